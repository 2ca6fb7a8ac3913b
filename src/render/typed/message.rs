//! Mappings to messages: fields by name, oneofs, lists and maps.

use std::collections::HashMap;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

use super::{Mistake, Reader, scalar};
use crate::model::{did_you_mean, one_of};
use crate::render::yaml::{Entry, Node};
use crate::schema::Shape;

/// Messages inside one another, per `Any`. Protobuf decoders, Envoy's too,
/// refuse more than 100, and a few levels are left to the messages around.
const MAX_DEPTH: u32 = 90;

/// Where the reading stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    /// Messages around this one, within its `Any`.
    depth: u32,
    /// Whether `validate.rules` hold here.
    validated: bool,
    /// Whether the key `@type` may stand among the fields.
    type_key: bool,
}

impl At {
    /// At the start of a resource or an `Any`.
    pub(super) const ROOT: Self = Self { depth: 0, validated: true, type_key: false };

    /// The same place, where the mapping may hold `@type`.
    pub(super) fn with_type_key(self) -> Self {
        Self { type_key: true, ..self }
    }

    pub(super) fn deeper(self) -> Self {
        Self { depth: self.depth + 1, type_key: false, ..self }
    }
}

/// A field that the text gives.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    /// Its number.
    pub(super) number: u32,
    /// Where.
    pub(super) entry: &'a Entry,
    /// Whether its value could be read.
    pub(super) whole: bool,
}

impl Reader<'_> {
    /// Reads a message of any type. What could not be read is left out, and
    /// has been reported, under the name of the field that holds it.
    pub(super) fn message(
        &mut self,
        name: &str,
        descriptor: &MessageDescriptor,
        node: &Node,
        at: At,
    ) -> DynamicMessage {
        if at.depth > MAX_DEPTH {
            let message = format!("messages are nested deeper than {MAX_DEPTH} levels");
            let hint = "protobuf decoders refuse such a message";
            self.mistake(node.span, Mistake::hinted("too-deep", message, hint));
            return DynamicMessage::new(descriptor.clone());
        }
        match self.well_known(name, descriptor, node, at) {
            Some(message) => message,
            None => self.fields(name, descriptor, node, at),
        }
    }

    fn fields(
        &mut self,
        name: &str,
        descriptor: &MessageDescriptor,
        node: &Node,
        at: At,
    ) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        let Some(entries) = node.entries() else {
            let text = format!("`{name}` must be a mapping, not {}", node.describe());
            self.mistake(node.span, Mistake::wrong_type(text));
            return message;
        };
        let shape = self.schema.shape(descriptor);
        let mut given = Vec::with_capacity(entries.len());
        let around = self.to_service;
        self.to_service |= descriptor.full_name() == "envoy.config.core.v3.HttpService";
        let before_all = self.mistakes;
        for entry in entries {
            if self.is_full() {
                return message;
            }
            if at.type_key && &*entry.key == "@type" {
                continue;
            }
            let Some(field) = shape.fields.get(&*entry.key) else {
                self.unknown_field(descriptor, &shape, entry);
                continue;
            };
            if !self.is_first(field, entry, &given, descriptor) || is_unset(field, &entry.value) {
                continue;
            }
            let before = self.mistakes;
            let skipped = shape.skipped.contains(&field.number());
            let inner = At { validated: at.validated && !skipped, ..at }.deeper();
            let outer = self.hidden;
            self.hidden |= shape.sensitive.contains(&field.number());
            if let Some(value) = self.field(field, &entry.value, inner) {
                message.set_field(field, value);
            }
            self.hidden = outer;
            let whole = self.mistakes == before;
            given.push(Given { number: field.number(), entry, whole });
        }
        if at.validated {
            self.validate(&shape, &message, node, &given);
        }
        if self.mistakes == before_all {
            self.refusals(&message, node, &given);
        }
        if self.mistakes == before_all && shape.differs {
            self.releases(&shape, &message, node, &given);
        }
        self.to_service = around;
        message
    }

    /// Reports a field that is given twice, or beside another of its oneof.
    fn is_first(
        &mut self,
        field: &FieldDescriptor,
        entry: &Entry,
        given: &[Given<'_>],
        descriptor: &MessageDescriptor,
    ) -> bool {
        if let Some(first) = given.iter().find(|given| given.number == field.number()) {
            let message = format!(
                "`{}` is given twice: as `{}` in line {}, and as `{}`",
                field.name(),
                first.entry.key,
                first.entry.key_span.line,
                entry.key
            );
            let hint = "keep one of them";
            self.mistake(entry.key_span, Mistake::hinted("duplicate-key", message, hint));
            return false;
        }
        if is_unset(field, &entry.value) {
            return true;
        }
        let Some(oneof) = field.containing_oneof() else { return true };
        let in_oneof = |given: &&Given<'_>| {
            descriptor.get_field(given.number).is_some_and(|other| {
                other.containing_oneof().is_some_and(|other| other.name() == oneof.name())
            })
        };
        let Some(first) = given.iter().find(in_oneof) else { return true };
        let message = format!(
            "`{}` can't stand beside `{}` of line {}: only one `{}` is allowed",
            entry.key,
            first.entry.key,
            first.entry.key_span.line,
            oneof.name()
        );
        self.mistake(entry.key_span, Mistake::hinted("oneof", message, "keep one of them"));
        false
    }

    fn unknown_field(&mut self, descriptor: &MessageDescriptor, shape: &Shape, entry: &Entry) {
        let message = format!("`{}` has no field `{}`", descriptor.name(), entry.key);
        let hint = if &*entry.key == "@type" {
            Some("the type of this field is fixed: remove `@type`".into())
        } else {
            did_you_mean(&entry.key, descriptor.fields().map(|field| field.name().to_owned()))
                .or_else(|| known_fields(shape, descriptor))
        };
        self.mistake(entry.key_span, Mistake::new("unknown-field", message, hint));
    }

    fn field(&mut self, field: &FieldDescriptor, node: &Node, at: At) -> Option<Value> {
        if field.is_map() {
            self.map(field, node, at)
        } else if field.is_list() {
            self.list(field, node, at)
        } else {
            self.single(field.name(), &field.kind(), node, at)
        }
    }

    fn list(&mut self, field: &FieldDescriptor, node: &Node, at: At) -> Option<Value> {
        let name = field.name();
        let Some(items) = node.items() else {
            let message = format!("`{name}` must be a list, not {}", node.describe());
            let hint = "put `- ` before each item";
            self.mistake(node.span, Mistake::hinted("wrong-type", message, hint));
            return None;
        };
        let kind = field.kind();
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            if self.is_full() {
                return None;
            }
            if item.is_null() && !takes_null(&kind) {
                let message = format!("an item of `{name}` is null");
                let hint = "remove the item, or give it a value";
                self.mistake(item.span, Mistake::hinted("wrong-type", message, hint));
                continue;
            }
            values.extend(self.single(name, &kind, item, at));
        }
        Some(Value::List(values))
    }

    fn map(&mut self, field: &FieldDescriptor, node: &Node, at: At) -> Option<Value> {
        let name = field.name();
        let Kind::Message(entry_type) = field.kind() else { return None };
        let Some(entries) = node.entries() else {
            let message = format!("`{name}` must be a mapping, not {}", node.describe());
            self.mistake(node.span, Mistake::wrong_type(message));
            return None;
        };
        let key_kind = entry_type.map_entry_key_field().kind();
        let value_kind = entry_type.map_entry_value_field().kind();
        let mut values = HashMap::with_capacity(entries.len());
        for entry in entries {
            if self.is_full() {
                return None;
            }
            if entry.value.is_null() && !takes_null(&value_kind) {
                let message = format!("`{}` in `{name}` is null", entry.key);
                let hint = "remove the key, or give it a value";
                self.mistake(entry.value.span, Mistake::hinted("wrong-type", message, hint));
                continue;
            }
            let key = self.map_key(name, &key_kind, entry);
            let value = self.single(name, &value_kind, &entry.value, at.deeper());
            if let (Some(key), Some(value)) = (key, value)
                && values.insert(key, value).is_some()
            {
                let message = format!("`{}` stands for a key that `{name}` already has", entry.key);
                let hint = "keep one of them";
                self.mistake(entry.key_span, Mistake::hinted("duplicate-key", message, hint));
            }
        }
        Some(Value::Map(values))
    }

    fn map_key(&mut self, name: &str, kind: &Kind, entry: &Entry) -> Option<MapKey> {
        match scalar::map_key(kind, &entry.key) {
            Ok(key) => Some(key),
            Err(mut mistake) => {
                mistake.message = format!("a key of `{name}` {}", mistake.message);
                self.mistake(entry.key_span, mistake);
                None
            }
        }
    }

    pub(super) fn single(&mut self, name: &str, kind: &Kind, node: &Node, at: At) -> Option<Value> {
        if let Kind::Message(descriptor) = kind {
            return Some(Value::Message(self.message(name, descriptor, node, at)));
        }
        match scalar::read(kind, node) {
            Ok(value) => Some(value),
            Err(mut mistake) => {
                mistake.message = format!("`{name}` {}", mistake.message);
                self.mistake(node.span, mistake);
                None
            }
        }
    }
}

/// Null leaves a field unset, except where null is a value.
fn is_unset(field: &FieldDescriptor, node: &Node) -> bool {
    node.is_null() && (field.is_list() || field.is_map() || !takes_null(&field.kind()))
}

fn takes_null(kind: &Kind) -> bool {
    match kind {
        Kind::Message(descriptor) => descriptor.full_name() == "google.protobuf.Value",
        Kind::Enum(descriptor) => descriptor.full_name() == "google.protobuf.NullValue",
        _ => false,
    }
}

fn known_fields(shape: &Shape, descriptor: &MessageDescriptor) -> Option<String> {
    const FEW: usize = 12;
    if shape.fields.is_empty() {
        return Some("this message has no fields".into());
    }
    let names: Vec<_> = descriptor.fields().map(|field| field.name().to_owned()).collect();
    (names.len() <= FEW).then(|| format!("its fields are {}", one_of(&names)))
}
