//! Messages as YAML for people: protobuf's JSON form with proto field names.
//!
//! Not an input format of ours (`render::typed` reads) and never parsed back
//! by Convoy. The order of keys is fixed, so two outputs can be diffed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage, Value};
use serde_yaml::{Mapping, Value as Yaml};

use super::Schema;
use crate::model::ContentHash;

/// Fields of a sensitive message that say where a secret lies, not what it is.
const POINTERS: [&str; 4] = ["filename", "environment_variable", "path", "watched_directory"];

/// How many messages inside one another are printed, `Any`s included; deeper
/// ones are cut. No message that `render` makes is that deep.
const MAX_DEPTH: u32 = 256;

/// Prints `message`.
pub(super) fn print(schema: &Schema, message: &DynamicMessage) -> String {
    serde_yaml::to_string(&value(schema, message)).unwrap_or_default()
}

/// The same before it is text.
pub(super) fn value(schema: &Schema, message: &DynamicMessage) -> Yaml {
    Printer { schema, masked: false, depth: 0 }.message(message)
}

#[derive(Clone, Copy)]
struct Printer<'a> {
    schema: &'a Schema,
    /// Inside a field whose content must not be shown.
    masked: bool,
    depth: u32,
}

impl Printer<'_> {
    fn message(self, message: &DynamicMessage) -> Yaml {
        if self.depth > MAX_DEPTH {
            return text("[nested too deeply to show]");
        }
        let inner = Self { depth: self.depth + 1, ..self };
        let descriptor = message.descriptor();
        match descriptor.full_name().strip_prefix("google.protobuf.") {
            Some("Any") => inner.any(message),
            Some("Duration") => text(duration(message)),
            Some("Timestamp") => text(timestamp(message)),
            Some("FieldMask") => text(field_mask(message)),
            Some("Struct") => inner.only_field(message, "fields").unwrap_or_else(empty),
            Some("ListValue") => {
                inner.only_field(message, "values").unwrap_or_else(|| Yaml::Sequence(Vec::new()))
            }
            Some("Value") => inner.json_value(message),
            Some(name) if name.ends_with("Value") => inner.wrapper(message),
            _ => Yaml::Mapping(inner.fields(message)),
        }
    }

    fn fields(self, message: &DynamicMessage) -> Mapping {
        let shape = self.schema.shape(&message.descriptor());
        let mut fields: Vec<_> = message.fields().collect();
        fields.sort_by_key(|(field, _)| field.number());
        let mut mapping = Mapping::new();
        for (field, value) in fields {
            let masked = self.masked || shape.sensitive.contains(&field.number());
            let printer = Self { masked: masked && !POINTERS.contains(&field.name()), ..self };
            mapping.insert(text(field.name()), printer.field(&field, value));
        }
        mapping
    }

    fn field(self, field: &FieldDescriptor, value: &Value) -> Yaml {
        let kind = field.kind();
        match (value, &kind) {
            (Value::List(items), _) => {
                Yaml::Sequence(items.iter().map(|item| self.single(&kind, item)).collect())
            }
            (Value::Map(entries), Kind::Message(entry)) => {
                let kind = entry.map_entry_value_field().kind();
                let mut sorted: Vec<_> = entries.iter().collect();
                sorted.sort_by_key(|(key, _)| *key);
                let pairs = sorted.into_iter().map(|(k, v)| (key(k), self.single(&kind, v)));
                Yaml::Mapping(pairs.collect())
            }
            _ => self.single(&kind, value),
        }
    }

    fn single(self, kind: &Kind, value: &Value) -> Yaml {
        match value {
            Value::Bool(v) => Yaml::Bool(*v),
            Value::I32(v) => Yaml::from(*v),
            Value::I64(v) => Yaml::from(*v),
            Value::U32(v) => Yaml::from(*v),
            Value::U64(v) => Yaml::from(*v),
            // The shortest text that reads back to the same 32-bit value.
            Value::F32(v) => float(v.to_string().parse().unwrap_or(f64::from(*v))),
            Value::F64(v) => float(*v),
            Value::String(v) if self.masked => mask(v.as_bytes()),
            Value::Bytes(v) if self.masked => mask(v),
            Value::String(v) => text(v.as_str()),
            Value::Bytes(v) => text(STANDARD.encode(v)),
            Value::EnumNumber(number) => enum_name(kind, *number),
            Value::Message(message) => self.message(message),
            Value::List(_) | Value::Map(_) => Yaml::Null,
        }
    }

    fn only_field(self, message: &DynamicMessage, name: &str) -> Option<Yaml> {
        let field = message.descriptor().get_field_by_name(name)?;
        let set = message.has_field(&field);
        set.then(|| self.field(&field, &message.get_field(&field)))
    }

    fn wrapper(self, message: &DynamicMessage) -> Yaml {
        let Some(field) = message.descriptor().get_field_by_name("value") else {
            return Yaml::Null;
        };
        self.field(&field, &message.get_field(&field))
    }

    fn json_value(self, message: &DynamicMessage) -> Yaml {
        let set = message.fields().next();
        match set {
            Some((field, _)) if field.name() == "null_value" => Yaml::Null,
            Some((field, value)) => self.field(&field, value),
            None => Yaml::Null,
        }
    }

    fn any(self, any: &DynamicMessage) -> Yaml {
        let type_url = any.get_field_by_name("type_url");
        let type_url = type_url.as_ref().and_then(|url| url.as_str()).unwrap_or_default();
        let body = any.get_field_by_name("value");
        let body = body.as_ref().and_then(|body| body.as_bytes()).cloned().unwrap_or_default();
        if type_url.is_empty() && body.is_empty() {
            return empty();
        }
        let mut mapping = Mapping::new();
        mapping.insert(text("@type"), text(type_url));
        let inner = self
            .schema
            .message(type_url)
            .and_then(|descriptor| DynamicMessage::decode(descriptor, body.clone()).ok());
        match inner.map(|inner| (is_well_known(&inner), inner)) {
            Some((false, inner)) => mapping.extend(self.fields(&inner)),
            Some((true, inner)) => drop(mapping.insert(text("value"), self.message(&inner))),
            None if body.is_empty() => {}
            None if self.masked => drop(mapping.insert(text("value"), mask(&body))),
            None => drop(mapping.insert(text("value"), text(STANDARD.encode(body)))),
        }
        Yaml::Mapping(mapping)
    }
}

fn is_well_known(message: &DynamicMessage) -> bool {
    let descriptor = message.descriptor();
    descriptor.package_name() == "google.protobuf" && descriptor.name() != "Empty"
}

fn text(value: impl Into<String>) -> Yaml {
    Yaml::String(value.into())
}

fn empty() -> Yaml {
    Yaml::Mapping(Mapping::new())
}

fn key(key: &MapKey) -> Yaml {
    match key {
        MapKey::Bool(v) => Yaml::Bool(*v),
        MapKey::I32(v) => Yaml::from(*v),
        MapKey::I64(v) => Yaml::from(*v),
        MapKey::U32(v) => Yaml::from(*v),
        MapKey::U64(v) => Yaml::from(*v),
        MapKey::String(v) => text(v.as_str()),
    }
}

fn mask(secret: &[u8]) -> Yaml {
    text(format!("[redacted sha256:{}]", &ContentHash::of(secret).to_string()[..8]))
}

#[expect(clippy::cast_possible_truncation, reason = "checked to be a whole number in range")]
fn float(value: f64) -> Yaml {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        v if v.is_nan() => text("NaN"),
        v if v.is_infinite() => text(if v > 0.0 { "Infinity" } else { "-Infinity" }),
        v if v.fract() == 0.0 && v.abs() < EXACT => Yaml::from(v as i64),
        v => Yaml::from(v),
    }
}

fn enum_name(kind: &Kind, number: i32) -> Yaml {
    let Kind::Enum(descriptor) = kind else { return Yaml::from(number) };
    match descriptor.get_value(number) {
        Some(value) => text(value.name()),
        None => Yaml::from(number),
    }
}

fn parts(time: &DynamicMessage) -> (i64, i32) {
    let seconds = time.get_field_by_name("seconds").and_then(|v| v.as_i64());
    let nanos = time.get_field_by_name("nanos").and_then(|v| v.as_i32());
    (seconds.unwrap_or_default(), nanos.unwrap_or_default())
}

fn duration(message: &DynamicMessage) -> String {
    let (seconds, nanos) = parts(message);
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    let (seconds, nanos) = (seconds.unsigned_abs(), nanos.unsigned_abs());
    if nanos == 0 {
        return format!("{sign}{seconds}s");
    }
    format!("{sign}{seconds}.{}s", format!("{nanos:09}").trim_end_matches('0'))
}

fn timestamp(message: &DynamicMessage) -> String {
    let (seconds, nanos) = parts(message);
    match jiff::Timestamp::new(seconds, nanos) {
        Ok(time) => time.to_string(),
        Err(_) => format!("[outside the calendar: {seconds} s]"),
    }
}

fn field_mask(message: &DynamicMessage) -> String {
    let paths = message.get_field_by_name("paths");
    let paths = paths.as_ref().and_then(|paths| paths.as_list()).unwrap_or_default();
    paths.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
}
