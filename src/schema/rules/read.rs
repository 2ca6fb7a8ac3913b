//! Reads a `validate.FieldRules` message into plain types, field by field.
//!
//! By name and not through generated types: the rules are an extension that
//! only the descriptor pool knows. Called once per message type, by `Shape`.

use bytes::Bytes;
use prost_reflect::{DynamicMessage, Value};

use super::{
    BytesRules, FieldRules, Number, Pattern, Range, RuleKind, Size, StringRules, WellKnown,
};

impl FieldRules {
    /// Reads a `validate.FieldRules` message.
    pub(in crate::schema) fn read(rules: &DynamicMessage) -> Self {
        let mut read = Self::default();
        for (field, value) in rules.fields() {
            let Some(body) = value.as_message() else { continue };
            let body = Body(body);
            read.required |= body.flag("required");
            match field.name() {
                "message" => read.skip = body.flag("skip"),
                name => read.kind = body.kind(name),
            }
        }
        read
    }
}

/// One of the rule messages, read field by field by name.
struct Body<'a>(&'a DynamicMessage);

impl Body<'_> {
    fn get(&self, name: &str) -> Option<Value> {
        let set = self.0.has_field_by_name(name);
        set.then(|| self.0.get_field_by_name(name).map(std::borrow::Cow::into_owned)).flatten()
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Value::Bool(true)))
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get(name)?.as_str().map(str::to_owned)
    }

    fn bytes(&self, name: &str) -> Option<Bytes> {
        self.get(name)?.as_bytes().cloned()
    }

    fn number(&self, name: &str) -> Option<Number> {
        Number::of(&self.get(name)?)
    }

    fn list<T>(&self, name: &str, read: impl Fn(&Value) -> Option<T>) -> Vec<T> {
        let list = self.get(name);
        list.iter().flat_map(|v| v.as_list().unwrap_or_default()).filter_map(read).collect()
    }

    fn size(&self, exact: &str, min: &str, max: &str) -> Size {
        let limit = |name| self.get(name).and_then(|value| value.as_u64());
        Size { min: limit(exact).or(limit(min)), max: limit(exact).or(limit(max)) }
    }

    fn nested(&self, name: &str) -> Option<Box<FieldRules>> {
        Some(Box::new(FieldRules::read(self.get(name)?.as_message()?)))
    }

    fn kind(&self, name: &str) -> RuleKind {
        match name {
            "bool" => match self.get("const") {
                Some(Value::Bool(allowed)) => RuleKind::Bool(allowed),
                _ => RuleKind::Free,
            },
            "string" => RuleKind::Text(Box::new(self.string())),
            "bytes" => RuleKind::Bytes(Box::new(self.byte_string())),
            "enum" => {
                RuleKind::Enum { defined_only: self.flag("defined_only"), range: self.range() }
            }
            "repeated" => RuleKind::List {
                size: self.size("", "min_items", "max_items"),
                unique: self.flag("unique"),
                ignore_empty: self.flag("ignore_empty"),
                items: self.nested("items"),
            },
            "map" => RuleKind::Map {
                size: self.size("", "min_pairs", "max_pairs"),
                ignore_empty: self.flag("ignore_empty"),
                keys: self.nested("keys"),
                values: self.nested("values"),
            },
            "any" => RuleKind::Any {
                allowed: self.list("in", |v| v.as_str().map(str::to_owned)),
                denied: self.list("not_in", |v| v.as_str().map(str::to_owned)),
            },
            _ => RuleKind::Number(self.range()),
        }
    }

    fn range(&self) -> Range {
        Range {
            constant: self.number("const"),
            lt: self.number("lt"),
            lte: self.number("lte"),
            gt: self.number("gt"),
            gte: self.number("gte"),
            allowed: self.list("in", Number::of),
            denied: self.list("not_in", Number::of),
            ignore_empty: self.flag("ignore_empty"),
        }
    }

    fn string(&self) -> StringRules {
        StringRules {
            constant: self.text("const"),
            chars: self.size("len", "min_len", "max_len"),
            bytes: self.size("len_bytes", "min_bytes", "max_bytes"),
            pattern: self.text("pattern").map(Pattern::new),
            prefix: self.text("prefix"),
            suffix: self.text("suffix"),
            contains: self.text("contains"),
            not_contains: self.text("not_contains"),
            allowed: self.list("in", |v| v.as_str().map(str::to_owned)),
            denied: self.list("not_in", |v| v.as_str().map(str::to_owned)),
            form: self.form(),
            ignore_empty: self.flag("ignore_empty"),
        }
    }

    fn byte_string(&self) -> BytesRules {
        let forms = [("ip", WellKnown::Ip), ("ipv4", WellKnown::Ipv4), ("ipv6", WellKnown::Ipv6)];
        BytesRules {
            constant: self.bytes("const"),
            size: self.size("len", "min_len", "max_len"),
            pattern: self.text("pattern").map(Pattern::new),
            prefix: self.bytes("prefix"),
            suffix: self.bytes("suffix"),
            contains: self.bytes("contains"),
            allowed: self.list("in", |v| v.as_bytes().cloned()),
            denied: self.list("not_in", |v| v.as_bytes().cloned()),
            address: forms.into_iter().find(|(name, _)| self.flag(name)).map(|(_, form)| form),
            ignore_empty: self.flag("ignore_empty"),
        }
    }

    fn form(&self) -> Option<WellKnown> {
        const FORMS: [(&str, WellKnown); 9] = [
            ("email", WellKnown::Email),
            ("hostname", WellKnown::Hostname),
            ("ip", WellKnown::Ip),
            ("ipv4", WellKnown::Ipv4),
            ("ipv6", WellKnown::Ipv6),
            ("uri", WellKnown::Uri),
            ("uri_ref", WellKnown::UriRef),
            ("address", WellKnown::Address),
            ("uuid", WellKnown::Uuid),
        ];
        let strict = !matches!(self.get("strict"), Some(Value::Bool(false)));
        match self.get("well_known_regex").and_then(|value| value.as_enum_number()) {
            Some(1) if strict => Some(WellKnown::HeaderName),
            Some(2) if strict => Some(WellKnown::HeaderValue),
            Some(1 | 2) => Some(WellKnown::HeaderLoose),
            _ => FORMS.into_iter().find(|(name, _)| self.flag(name)).map(|(_, form)| form),
        }
    }
}
