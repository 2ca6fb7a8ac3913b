//! Holds a message against `validate.rules`, the limits that Envoy enforces
//! when it loads the message: every breach at once, each at its own place.
//!
//! Called for each message right after its fields were read, so nested
//! messages and the content of every `Any` are covered by the same walk.

mod bytes;
mod form;
mod range;
mod text;

use std::collections::HashSet;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage, Value};

use super::message::Given;
use super::{Mistake, Reader};
use crate::model::one_of;
use crate::render::yaml::{Node, Span};
use crate::schema::{FieldRules, Number, RuleKind, Shape, Size};

/// Beyond this, the members of a oneof are not all listed.
const LISTED_MEMBERS: usize = 8;

impl Reader<'_> {
    /// Checks the rules of one message. A field whose value could not be read
    /// is left alone: its mistake has been reported.
    pub(super) fn validate(
        &mut self,
        shape: &Shape,
        message: &DynamicMessage,
        node: &Node,
        given: &[Given<'_>],
    ) {
        for (field, rules) in &shape.rules {
            let given = given.iter().find(|given| given.number == field.number());
            if given.is_some_and(|given| !given.whole) || self.is_overruled(field) {
                continue;
            }
            let outer = self.hidden;
            self.hidden |= shape.sensitive.contains(&field.number());
            self.validate_field(field, rules, message, node.span, given.map(|g| &g.entry.value));
            self.hidden = outer;
        }
        for oneof in &shape.required_oneofs {
            let members: Vec<_> = oneof.fields().collect();
            let is_given =
                |field: &FieldDescriptor| given.iter().any(|given| given.number == field.number());
            if !members.iter().any(is_given) {
                let names: Vec<_> = members.iter().map(|field| field.name().to_owned()).collect();
                self.breach(node.span, oneof.name(), "must be set", members_hint(&names));
            }
        }
    }

    pub(super) fn validate_field(
        &mut self,
        field: &FieldDescriptor,
        rules: &FieldRules,
        message: &DynamicMessage,
        around: Span,
        node: Option<&Node>,
    ) {
        let set = message.has_field(field);
        let span = node.map_or(around, |node| node.span);
        // Rules of a oneof's member hold where that member is the chosen one.
        if !set && field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic()) {
            return;
        }
        if rules.required && !set {
            return self.breach(span, field.name(), "must be set", None);
        }
        // A field that knows whether it is set is only checked where it is.
        if field.supports_presence() && !set {
            return;
        }
        let value = message.get_field(field);
        match (&rules.kind, &*value) {
            (RuleKind::List { size, unique, ignore_empty, items }, Value::List(values)) => {
                if !(*ignore_empty && values.is_empty()) {
                    self.validate_size(span, field.name(), *size, values.len(), "item");
                }
                if *unique {
                    self.validate_unique(field.name(), values, span, node);
                }
                if let Some(rules) = items {
                    self.validate_items(field, rules, values, node);
                }
            }
            (RuleKind::Map { size, ignore_empty, keys, values: value_rules }, Value::Map(map)) => {
                if !(*ignore_empty && map.is_empty()) {
                    self.validate_size(span, field.name(), *size, map.len(), "entry");
                }
                self.validate_entries(field, keys.as_deref(), value_rules.as_deref(), &value, node);
            }
            (_, value) => {
                if let Some(breach) = breach_of(rules, &field.kind(), value) {
                    self.breach(span, field.name(), &breach, None);
                }
            }
        }
    }

    fn validate_size(&mut self, span: Span, name: &str, size: Size, actual: usize, noun: &str) {
        if let Some(breach) = size_breach(size, actual, noun) {
            self.breach(span, name, &breach, None);
        }
    }

    fn validate_unique(&mut self, name: &str, values: &[Value], span: Span, node: Option<&Node>) {
        let mut seen = HashSet::new();
        for (index, value) in values.iter().enumerate() {
            if !seen.insert(format!("{value:?}")) {
                let item = node.and_then(|node| node.items()?.get(index));
                let span = item.map_or(span, |item| item.span);
                self.breach(span, name, "must not hold an item twice", None);
            }
        }
    }

    fn validate_items(
        &mut self,
        field: &FieldDescriptor,
        rules: &FieldRules,
        values: &[Value],
        node: Option<&Node>,
    ) {
        let Some(items) = node.and_then(Node::items) else { return };
        for (item, value) in items.iter().zip(values) {
            if let Some(breach) = breach_of(rules, &field.kind(), value) {
                self.breach(item.span, field.name(), &format!("has an item that {breach}"), None);
            }
        }
    }

    fn validate_entries(
        &mut self,
        field: &FieldDescriptor,
        keys: Option<&FieldRules>,
        values: Option<&FieldRules>,
        map: &Value,
        node: Option<&Node>,
    ) {
        let (Kind::Message(entry_type), Some(map)) = (field.kind(), map.as_map()) else { return };
        let key_kind = entry_type.map_entry_key_field().kind();
        let value_kind = entry_type.map_entry_value_field().kind();
        for entry in node.and_then(Node::entries).unwrap_or_default() {
            let Ok(key) = super::scalar::map_key(&key_kind, &entry.key) else { continue };
            let value = map.get(&key);
            if let Some(breach) = keys.and_then(|rules| breach_of(rules, &key_kind, &key.into())) {
                let breach = format!("has a key that {breach}");
                self.breach(entry.key_span, field.name(), &breach, None);
            }
            if let (Some(rules), Some(value)) = (values, value)
                && let Some(breach) = breach_of(rules, &value_kind, value)
            {
                let breach = format!("has a value that {breach}");
                self.breach(entry.value.span, field.name(), &breach, None);
            }
        }
    }

    fn breach(&mut self, span: Span, name: &str, breach: &str, hint: Option<String>) {
        self.mistake(span, Mistake::new("validation", format!("`{name}` {breach}"), hint));
    }
}

fn members_hint(names: &[String]) -> Option<String> {
    (names.len() <= LISTED_MEMBERS).then(|| format!("give {}", one_of(names)))
}

/// How `value` breaks `rules`, as a phrase that goes behind the field's name.
fn breach_of(rules: &FieldRules, kind: &Kind, value: &Value) -> Option<String> {
    match (&rules.kind, value) {
        (_, Value::Message(message)) => message_breach(rules, message),
        (RuleKind::Number(limits), value) => range::breach(limits, Number::of(value)?, kind),
        (RuleKind::Bool(allowed), Value::Bool(value)) => {
            (allowed != value).then(|| format!("must be {allowed}"))
        }
        (RuleKind::Text(limits), Value::String(value)) => text::breach(limits, value),
        (RuleKind::Bytes(limits), Value::Bytes(value)) => bytes::breach(limits, value),
        (RuleKind::Enum { defined_only, range: limits }, Value::EnumNumber(number)) => {
            let unknown = kind.as_enum().is_some_and(|kind| kind.get_value(*number).is_none());
            if *defined_only && unknown {
                return Some(format!("must be a defined value, is {number}"));
            }
            range::breach(limits, Number::of(value)?, kind)
        }
        _ => None,
    }
}

/// Rules that stand on a message-typed field: on a wrapper they are about the
/// value inside, on a `Duration` about its length.
fn message_breach(rules: &FieldRules, message: &DynamicMessage) -> Option<String> {
    let descriptor = message.descriptor();
    match &rules.kind {
        RuleKind::Free => None,
        RuleKind::Any { allowed, denied } => {
            let type_url = message.get_field_by_number(1)?;
            let type_url = type_url.as_str()?;
            let wrong = (!allowed.is_empty() && !allowed.iter().any(|url| url == type_url))
                || denied.iter().any(|url| url == type_url);
            wrong.then(|| format!("must not hold a `{type_url}`"))
        }
        RuleKind::Number(limits) if matches!(descriptor.name(), "Duration" | "Timestamp") => {
            let number = Number::of(&Value::Message(message.clone()))?;
            range::breach(limits, number, &Kind::Message(descriptor))
        }
        _ => {
            let inner = descriptor.get_field_by_name("value")?;
            breach_of(rules, &inner.kind(), &message.get_field(&inner))
        }
    }
}

/// How a length breaks its limits.
fn size_breach(size: Size, actual: usize, noun: &str) -> Option<String> {
    let actual = actual as u64;
    if size.min.is_some_and(|min| actual < min) && actual == 0 {
        return Some("must not be empty".into());
    }
    let plural = |count: u64| match (count, noun) {
        (1, noun) => format!("1 {noun}"),
        (count, "entry") => format!("{count} entries"),
        (count, noun) => format!("{count} {noun}s"),
    };
    if let Some(min) = size.min.filter(|min| actual < *min) {
        return Some(format!("must have at least {}, has {actual}", plural(min)));
    }
    let max = size.max.filter(|max| actual > *max)?;
    Some(format!("must have at most {}, has {actual}", plural(max)))
}
