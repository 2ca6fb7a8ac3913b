//! Short ways to read a message's fields by name.
//!
//! An absent field, a wrong name and a wrong type all read as nothing: those
//! who ask do so about messages that were checked when they were typed. Called
//! by the rules of `lint` and by `render::typed`.

use std::borrow::Cow;

use prost_reflect::{DynamicMessage, ReflectMessage, Value};

use super::Schema;
use crate::model::TypeUrl;

/// The field `name`, where it is set.
pub(crate) fn field<'m>(message: &'m DynamicMessage, name: &str) -> Option<Cow<'m, Value>> {
    let field = message.descriptor().get_field_by_name(name)?;
    message.has_field(&field).then(|| message.get_field(&field))
}

/// The message in the field `name`.
pub(crate) fn inner(message: &DynamicMessage, name: &str) -> Option<DynamicMessage> {
    match field(message, name)?.into_owned() {
        Value::Message(inner) => Some(inner),
        _ => None,
    }
}

/// The messages in the repeated field `name`.
pub(crate) fn list(message: &DynamicMessage, name: &str) -> Vec<DynamicMessage> {
    let Some(Value::List(items)) = field(message, name).map(Cow::into_owned) else {
        return Vec::new();
    };
    items
        .into_iter()
        .filter_map(|item| match item {
            Value::Message(inner) => Some(inner),
            _ => None,
        })
        .collect()
}

/// The values of the map field `name` that are messages, by text key.
pub(crate) fn map(message: &DynamicMessage, name: &str) -> Vec<(String, DynamicMessage)> {
    let Some(Value::Map(entries)) = field(message, name).map(Cow::into_owned) else {
        return Vec::new();
    };
    entries
        .into_iter()
        .filter_map(|(key, value)| match (key, value) {
            (prost_reflect::MapKey::String(key), Value::Message(inner)) => Some((key, inner)),
            _ => None,
        })
        .collect()
}

/// The text in the field `name`; empty where it is not set.
pub(crate) fn text(message: &DynamicMessage, name: &str) -> String {
    field(message, name).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The texts of a repeated field.
pub(crate) fn texts(message: &DynamicMessage, name: &str) -> Vec<String> {
    let Some(value) = field(message, name) else { return Vec::new() };
    let items = value.as_list().unwrap_or_default();
    items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// The number in the field `name`, wrapped or not.
pub(crate) fn number(message: &DynamicMessage, name: &str) -> Option<u32> {
    match field(message, name)?.as_ref() {
        Value::U32(number) => Some(*number),
        // A wrapper that is there without its value means zero.
        Value::Message(wrapper) => Some(number(wrapper, "value").unwrap_or(0)),
        _ => None,
    }
}

/// The name of the enum value in the field `name`, or of its default.
pub(crate) fn variant(message: &DynamicMessage, name: &str) -> Option<String> {
    let field = message.descriptor().get_field_by_name(name)?;
    let number = message.get_field(&field).as_enum_number()?;
    let kind = field.kind();
    Some(kind.as_enum()?.get_value(number)?.name().to_owned())
}

/// The message within the `Any` in the field `name`; `None` where there is
/// none, or none of a known type.
pub(crate) fn unpacked(
    schema: &Schema,
    message: &DynamicMessage,
    name: &str,
) -> Option<DynamicMessage> {
    opened(schema, &inner(message, name)?)
}

/// The message within an `Any`.
pub(crate) fn opened(schema: &Schema, any: &DynamicMessage) -> Option<DynamicMessage> {
    let type_url = TypeUrl(text(any, "type_url").into());
    let value = field(any, "value");
    let body = match value.as_deref() {
        Some(Value::Bytes(body)) => body.as_ref(),
        _ => &[],
    };
    schema.decode(&type_url, body).ok()
}
