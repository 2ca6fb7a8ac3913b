//! Protobuf's well-known types, each with a JSON form of its own.

use std::collections::HashMap;

use prost_reflect::{DynamicMessage, MapKey, MessageDescriptor, Value};

use super::message::At;
use super::{Mistake, Reader};
use crate::render::yaml::{Core, Data, Node, Scalar};

/// The longest `Duration` that protobuf allows, in seconds.
const MAX_DURATION_S: u64 = 315_576_000_000;

/// The years 1 to 9999, in seconds of Unix time: what a `Timestamp` can say.
const TIMESTAMPS_S: std::ops::Range<i64> = -62_135_596_800..253_402_300_800;

/// Above this, a float does not hold every whole number.
const MAX_EXACT: u128 = 1 << 53;

impl Reader<'_> {
    /// Reads a well-known type; `None` where `descriptor` is none.
    pub(super) fn well_known(
        &mut self,
        name: &str,
        descriptor: &MessageDescriptor,
        node: &Node,
        at: At,
    ) -> Option<DynamicMessage> {
        let well_known = descriptor.full_name().strip_prefix("google.protobuf.")?;
        let mut message = DynamicMessage::new(descriptor.clone());
        match well_known {
            "Any" => return Some(self.any(name, descriptor, node)),
            "Duration" => self.time(name, &mut message, node, duration),
            "Timestamp" => self.time(name, &mut message, node, timestamp),
            "FieldMask" => self.field_mask(name, &mut message, node),
            "Struct" => self.structure(name, &mut message, node, at),
            "ListValue" => self.list_value(name, &mut message, node, at),
            "Value" => self.value(name, &mut message, node, at),
            "BoolValue" | "StringValue" | "BytesValue" | "DoubleValue" | "FloatValue"
            | "Int32Value" | "Int64Value" | "UInt32Value" | "UInt64Value" => {
                let field = descriptor.get_field(1)?;
                if let Some(value) = self.single(name, &field.kind(), node, at) {
                    message.set_field(&field, value);
                }
            }
            _ => return None,
        }
        Some(message)
    }

    fn time(
        &mut self,
        name: &str,
        message: &mut DynamicMessage,
        node: &Node,
        read: impl Fn(&Scalar) -> Result<(i64, i32), Mistake>,
    ) {
        let time = match node.scalar() {
            Some(scalar) => read(scalar),
            None => Err(Mistake::wrong_type(format!("must be a text, not {}", node.describe()))),
        };
        match time {
            Ok((seconds, nanos)) => {
                message.set_field_by_number(1, Value::I64(seconds));
                message.set_field_by_number(2, Value::I32(nanos));
            }
            Err(mistake) => {
                let message = format!("`{name}` {}", mistake.message);
                self.mistake(node.span, Mistake { message, ..mistake });
            }
        }
    }

    fn field_mask(&mut self, name: &str, message: &mut DynamicMessage, node: &Node) {
        let Some(text) = node.as_str() else {
            let text = format!("`{name}` must be a field mask in a text, not {}", node.describe());
            let hint = "write the paths in one text: \"a.b,c\"";
            return self.mistake(node.span, Mistake::hinted("wrong-type", text, hint));
        };
        let paths = text.split(',').filter(|path| !path.is_empty());
        let paths = paths.map(|path| Value::String(snake_case(path))).collect();
        message.set_field_by_number(1, Value::List(paths));
    }

    fn structure(&mut self, name: &str, message: &mut DynamicMessage, node: &Node, at: At) {
        let value_type = message_of(message, 1, true);
        let (Some(entries), Some(value_type)) = (node.entries(), value_type) else {
            let text = format!("`{name}` must be a mapping, not {}", node.describe());
            return self.mistake(node.span, Mistake::wrong_type(text));
        };
        let mut fields = HashMap::with_capacity(entries.len());
        for entry in entries {
            // One level for the map's entry, one for the value.
            let value = self.message(&entry.key, &value_type, &entry.value, at.deeper().deeper());
            fields.insert(MapKey::String(entry.key.to_string()), Value::Message(value));
        }
        message.set_field_by_number(1, Value::Map(fields));
    }

    fn list_value(&mut self, name: &str, message: &mut DynamicMessage, node: &Node, at: At) {
        let value_type = message_of(message, 1, false);
        let (Some(items), Some(value_type)) = (node.items(), value_type) else {
            let text = format!("`{name}` must be a list, not {}", node.describe());
            return self.mistake(node.span, Mistake::wrong_type(text));
        };
        let values = items
            .iter()
            .map(|item| Value::Message(self.message(name, &value_type, item, at.deeper())))
            .collect();
        message.set_field_by_number(1, Value::List(values));
    }

    fn value(&mut self, name: &str, message: &mut DynamicMessage, node: &Node, at: At) {
        let (number, nested) = match &node.data {
            Data::Scalar(scalar) => {
                let (number, value) = free_scalar(scalar);
                return message.set_field_by_number(number, value);
            }
            Data::Map(_) => (5, message_of(message, 5, false)),
            Data::List(_) => (6, message_of(message, 6, false)),
        };
        if let Some(nested) = nested {
            let value = self.message(name, &nested, node, at.deeper());
            message.set_field_by_number(number, Value::Message(value));
        }
    }
}

/// The message type of a field, or of a map field's values.
fn message_of(message: &DynamicMessage, number: u32, map: bool) -> Option<MessageDescriptor> {
    use prost_reflect::{Kind, ReflectMessage};
    let Kind::Message(descriptor) = message.descriptor().get_field(number)?.kind() else {
        return None;
    };
    if !map {
        return Some(descriptor);
    }
    descriptor.map_entry_value_field().kind().as_message().cloned()
}

/// The field of `google.protobuf.Value` for a scalar. Numbers that a float
/// can't hold stay texts, as Envoy's own loader keeps them.
fn free_scalar(scalar: &Scalar) -> (u32, Value) {
    #[expect(clippy::cast_precision_loss, reason = "checked to be exact")]
    match scalar.core() {
        Core::Null => (1, Value::EnumNumber(0)),
        Core::Int(value) if value.unsigned_abs() <= MAX_EXACT => (2, Value::F64(value as f64)),
        Core::Float(value) if value.is_finite() => (2, Value::F64(value)),
        Core::Bool(value) => (4, Value::Bool(value)),
        Core::Int(_) | Core::Float(_) | Core::Text(_) => {
            (3, Value::String(scalar.text.to_string()))
        }
    }
}

fn duration(scalar: &Scalar) -> Result<(i64, i32), Mistake> {
    let text = &*scalar.text;
    let bad = |hint: String| {
        let message = format!("must be a duration such as 1.5s, not {}", scalar.describe());
        Mistake::hinted("bad-duration", message, hint)
    };
    let Some(number) = text.strip_suffix('s') else { return Err(bad(unit_hint(text))) };
    let (negative, digits) = match number.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, number),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) || digits.ends_with('.') {
        return Err(bad(unit_hint(text)));
    }
    if fraction.len() > 9 {
        return Err(bad("write at most nine digits behind the point".into()));
    }
    let seconds = whole.parse::<u64>().ok().filter(|seconds| *seconds <= MAX_DURATION_S);
    let Some(seconds) = seconds.and_then(|seconds| i64::try_from(seconds).ok()) else {
        return Err(bad(format!("write at most {MAX_DURATION_S}s")));
    };
    let nanos: i32 = format!("{fraction:0<9}").parse().unwrap_or(0);
    Ok(if negative { (-seconds, -nanos) } else { (seconds, nanos) })
}

/// What to write instead of a duration in another unit.
fn unit_hint(text: &str) -> String {
    const UNITS: [(&str, f64); 4] = [("ms", 0.001), ("us", 0.000_001), ("m", 60.0), ("h", 3600.0)];
    for (unit, seconds) in UNITS.into_iter().chain([("", 1.0)]) {
        let number = text.strip_suffix(unit).and_then(|number| number.parse::<f64>().ok());
        if let Some(number) = number.filter(|number| number.is_finite()) {
            return format!("write {}s", number * seconds);
        }
    }
    "write a number of seconds and an s, such as 0.25s".into()
}

fn timestamp(scalar: &Scalar) -> Result<(i64, i32), Mistake> {
    let time = scalar.text.parse::<jiff::Timestamp>().ok();
    // The whole second at or before the time, also before 1970.
    let parts = time.map(|time| {
        let nanos = time.as_nanosecond();
        (nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000))
    });
    parts
        .and_then(|(seconds, nanos)| {
            Some((i64::try_from(seconds).ok()?, i32::try_from(nanos).ok()?))
        })
        .filter(|(seconds, _)| TIMESTAMPS_S.contains(seconds))
        .ok_or_else(|| {
            let message = format!("must be a time in RFC 3339, not {}", scalar.describe());
            Mistake::hinted("bad-timestamp", message, "write it like 2026-01-31T08:00:00Z")
        })
}

fn snake_case(path: &str) -> String {
    let mut snake = String::with_capacity(path.len() + 4);
    for c in path.trim().chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}
