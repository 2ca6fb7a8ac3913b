//! Changing messages that are known only by description.
//!
//! Fields are named as Envoy's API names them; a name that a message lacks is
//! simply absent, so one edit serves every version of the API.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};

use crate::model::TypeUrl;
use crate::schema::Schema;

/// Messages nest this deep at most; protobuf decoders stop at 100.
const MAX_DEPTH: usize = 100;

/// The message in field `name`, where it is set.
pub(super) fn child<'a>(
    message: &'a mut DynamicMessage,
    name: &str,
) -> Option<&'a mut DynamicMessage> {
    if !message.has_field_by_name(name) {
        return None;
    }
    message.get_field_by_name_mut(name)?.as_message_mut()
}

/// The messages in the list or map `name`.
pub(super) fn children<'a>(
    message: &'a mut DynamicMessage,
    name: &str,
) -> Box<dyn Iterator<Item = &'a mut DynamicMessage> + 'a> {
    if !message.has_field_by_name(name) {
        return Box::new(std::iter::empty());
    }
    match message.get_field_by_name_mut(name) {
        Some(Value::List(list)) => Box::new(list.iter_mut().filter_map(Value::as_message_mut)),
        Some(Value::Map(map)) => Box::new(map.values_mut().filter_map(Value::as_message_mut)),
        _ => Box::new(std::iter::empty()),
    }
}

/// The text in field `name`; empty where it isn't set.
pub(super) fn text(message: &DynamicMessage, name: &str) -> String {
    let value = message.get_field_by_name(name);
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The number of the enum in field `name`.
pub(super) fn number(message: &DynamicMessage, name: &str) -> Option<i32> {
    message.get_field_by_name(name)?.as_enum_number()
}

/// Sets field `name` to a new message of its type and gives that.
pub(super) fn renew<'a>(
    message: &'a mut DynamicMessage,
    name: &str,
) -> Option<&'a mut DynamicMessage> {
    let field = message.descriptor().get_field_by_name(name)?;
    let kind = field.kind();
    let fresh = DynamicMessage::new(kind.as_message()?.clone());
    message.set_field(&field, Value::Message(fresh));
    message.get_field_mut(&field).as_message_mut()
}

/// Sets field `name`, if the message has such a field.
pub(super) fn set(message: &mut DynamicMessage, name: &str, value: Value) {
    let _ = message.try_set_field_by_name(name, value);
}

/// Points an `Address` at a loopback port, keeping TCP or UDP.
pub(super) fn to_loopback(address: &mut DynamicMessage, port: u16) {
    let protocol = child(address, "socket_address").and_then(|socket| number(socket, "protocol"));
    let Some(socket) = renew(address, "socket_address") else { return };
    set(socket, "address", Value::String("127.0.0.1".into()));
    set(socket, "port_value", Value::U32(port.into()));
    set(socket, "protocol", Value::EnumNumber(protocol.unwrap_or(0)));
}

/// The type URL and the content of an `Any`.
pub(super) fn any_parts(any: &DynamicMessage) -> Option<(String, Bytes)> {
    if any.descriptor().full_name() != "google.protobuf.Any" {
        return None;
    }
    let body = any.get_field_by_name("value")?.as_bytes()?.clone();
    Some((text(any, "type_url"), body))
}

/// Edits the message inside an `Any`; one of an unknown type stays as it is.
/// `edit` says whether it changed anything, and so does the result.
pub(super) fn inside(
    schema: &Schema,
    any: &mut DynamicMessage,
    edit: impl FnOnce(&mut DynamicMessage) -> bool,
) -> bool {
    let Some((type_url, body)) = any_parts(any) else { return false };
    let Ok(mut message) = schema.decode(&TypeUrl(type_url.into()), &body) else { return false };
    let changed = edit(&mut message);
    if changed {
        set(any, "value", Value::Bytes(schema.encode(&message)));
    }
    changed
}

/// Names files in the cell's folder.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    count: usize,
}

impl Files {
    /// Names files in `folder`.
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), count: 0 }
    }

    fn next(&mut self) -> Value {
        self.count += 1;
        let path = self.folder.join(format!("written-{}.log", self.count));
        Value::String(path.to_string_lossy().into_owned())
    }
}

/// Keeps what the message writes, at any depth, in the cell's folder, and
/// lets requests in that come without a PROXY header, as those of checks do.
pub(super) fn confine(schema: &Schema, message: &mut DynamicMessage, files: &mut Files) {
    walk(schema, message, MAX_DEPTH, &mut |message| match message.descriptor().full_name() {
        "envoy.extensions.access_loggers.file.v3.FileAccessLog" => {
            let is_file = !text(message, "path").starts_with("/dev/");
            if is_file {
                set(message, "path", files.next());
            }
            is_file
        }
        "envoy.extensions.health_check.event_sinks.file.v3.HealthCheckEventFileSink" => {
            set(message, "event_log_path", files.next());
            true
        }
        "envoy.config.core.v3.HealthCheck" if !text(message, "event_log_path").is_empty() => {
            set(message, "event_log_path", files.next());
            true
        }
        "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol" => {
            set(message, "allow_requests_without_proxy_protocol", Value::Bool(true));
            true
        }
        _ => false,
    });
}

/// Visits the message and all within it, `Any`s too, with `visit` saying
/// whether it changed anything.
pub(super) fn walk_all(
    schema: &Schema,
    message: &mut DynamicMessage,
    visit: &mut dyn FnMut(&mut DynamicMessage) -> bool,
) {
    walk(schema, message, MAX_DEPTH, visit);
}

/// Visits the message and all within it, `Any`s too.
fn walk(
    schema: &Schema,
    message: &mut DynamicMessage,
    depth: usize,
    visit: &mut dyn FnMut(&mut DynamicMessage) -> bool,
) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return false };
    if any_parts(message).is_some() {
        return inside(schema, message, |inner| walk(schema, inner, depth, visit));
    }
    let mut changed = visit(message);
    for (_, value) in message.fields_mut() {
        match value {
            Value::Message(inner) => changed |= walk(schema, inner, depth, visit),
            Value::List(list) => {
                for inner in list.iter_mut().filter_map(Value::as_message_mut) {
                    changed |= walk(schema, inner, depth, visit);
                }
            }
            Value::Map(map) => {
                for inner in map.values_mut().filter_map(Value::as_message_mut) {
                    changed |= walk(schema, inner, depth, visit);
                }
            }
            _ => {}
        }
    }
    changed
}
