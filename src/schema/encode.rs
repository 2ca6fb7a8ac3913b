//! The canonical encoding: one byte string per message, in every process.
//!
//! prost's own encoders write maps in the hash map's order, which differs from
//! run to run; versions are hashes of these bytes, so the order must be fixed.
//! Called through `Schema::encode` only.

use std::collections::HashMap;

use prost::encoding::{WireType, encode_key, encode_varint};
use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind, MapKey,
    ReflectMessage, Value,
};

/// How many `Any`s inside one another are opened. Envoy's configuration nests
/// them 6 deep at most; deeper ones keep their bytes as they are.
const MAX_ANY_DEPTH: u32 = 32;

/// Encodes `message`, opening and re-encoding every `Any` of a known type.
pub(super) fn canonical(pool: &DescriptorPool, message: &DynamicMessage) -> Vec<u8> {
    encode(Opener { pool: Some(pool), depth: 0 }, message)
}

/// Encodes `message` and keeps the bytes inside its `Any`s.
pub(super) fn outer(message: &DynamicMessage) -> Vec<u8> {
    encode(Opener { pool: None, depth: 0 }, message)
}

fn encode(opener: Opener<'_>, message: &DynamicMessage) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    opener.message(message, &mut bytes);
    bytes
}

/// Opens `Any`s where it has a pool to find their types in.
#[derive(Clone, Copy)]
struct Opener<'a> {
    pool: Option<&'a DescriptorPool>,
    depth: u32,
}

/// A field or an extension, as far as encoding cares.
struct Slot {
    number: u32,
    kind: Kind,
    packed: bool,
}

impl From<FieldDescriptor> for Slot {
    fn from(field: FieldDescriptor) -> Self {
        Self { number: field.number(), kind: field.kind(), packed: field.is_packed() }
    }
}

impl From<ExtensionDescriptor> for Slot {
    fn from(field: ExtensionDescriptor) -> Self {
        Self { number: field.number(), kind: field.kind(), packed: field.is_packed() }
    }
}

impl Opener<'_> {
    fn message(self, message: &DynamicMessage, out: &mut Vec<u8>) {
        if message.descriptor().full_name() == "google.protobuf.Any"
            && let Some(reordered) = self.reopened(message)
        {
            return self.fields(&reordered, out);
        }
        self.fields(message, out);
    }

    fn fields(self, message: &DynamicMessage, out: &mut Vec<u8>) {
        let fields = message.fields().map(|(field, value)| (Slot::from(field), value));
        let extensions = message.extensions().map(|(field, value)| (Slot::from(field), value));
        let mut slots: Vec<_> = fields.chain(extensions).collect();
        slots.sort_by_key(|(slot, _)| slot.number);
        for (slot, value) in slots {
            self.field(&slot, value, out);
        }
        for unknown in message.unknown_fields() {
            unknown.encode(out);
        }
    }

    /// The same `Any` around canonical bytes; `None` where its type is not
    /// known or its bytes are not of that type.
    fn reopened(self, any: &DynamicMessage) -> Option<DynamicMessage> {
        let pool = self.pool.filter(|_| self.depth < MAX_ANY_DEPTH)?;
        let type_url = any.get_field_by_name("type_url")?;
        let body = any.get_field_by_name("value")?;
        let name = type_url.as_str()?.rsplit('/').next()?.to_owned();
        let inner =
            DynamicMessage::decode(pool.get_message_by_name(&name)?, body.as_bytes()?.clone())
                .ok()?;
        let bytes = encode(Opener { depth: self.depth + 1, ..self }, &inner);
        let mut reordered = any.clone();
        reordered.set_field_by_name("value", Value::Bytes(bytes.into()));
        Some(reordered)
    }

    fn field(self, slot: &Slot, value: &Value, out: &mut Vec<u8>) {
        match value {
            Value::List(items) if slot.packed => {
                let mut packed = Vec::new();
                for item in items {
                    scalar(&slot.kind, item, &mut packed);
                }
                delimited(slot.number, &packed, out);
            }
            Value::List(items) => {
                for item in items {
                    self.single(slot.number, &slot.kind, item, out);
                }
            }
            Value::Map(entries) => self.map(slot, entries, out),
            value => self.single(slot.number, &slot.kind, value, out),
        }
    }

    fn map(self, slot: &Slot, entries: &HashMap<MapKey, Value>, out: &mut Vec<u8>) {
        let Kind::Message(entry) = &slot.kind else { return };
        let (key_kind, value_kind) =
            (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
        let mut encoded: Vec<(Vec<u8>, &Value)> = entries
            .iter()
            .map(|(key, value)| {
                let mut bytes = Vec::new();
                self.single(1, &key_kind, &key.clone().into(), &mut bytes);
                (bytes, value)
            })
            .collect();
        encoded.sort_by(|a, b| a.0.cmp(&b.0));
        for (mut entry, value) in encoded {
            self.single(2, &value_kind, value, &mut entry);
            delimited(slot.number, &entry, out);
        }
    }

    fn single(self, number: u32, kind: &Kind, value: &Value, out: &mut Vec<u8>) {
        match value {
            Value::Message(message) => {
                let mut body = Vec::new();
                self.message(message, &mut body);
                delimited(number, &body, out);
            }
            Value::String(text) => delimited(number, text.as_bytes(), out),
            Value::Bytes(bytes) => delimited(number, bytes, out),
            value => {
                encode_key(number, kind.wire_type(), out);
                scalar(kind, value, out);
            }
        }
    }
}

fn delimited(number: u32, body: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(body.len() as u64, out);
    out.extend_from_slice(body);
}

/// Writes a number without its key. Negative 32-bit numbers are sign-extended
/// to ten bytes, as the wire format asks.
#[expect(clippy::cast_sign_loss, reason = "the wire format reinterprets the bits")]
fn scalar(kind: &Kind, value: &Value, out: &mut Vec<u8>) {
    match (value, kind) {
        (Value::Bool(v), _) => out.push(u8::from(*v)),
        (Value::I32(v), Kind::Sfixed32) => out.extend_from_slice(&v.to_le_bytes()),
        (Value::I32(v), Kind::Sint32) => {
            encode_varint(u64::from(((v << 1) ^ (v >> 31)) as u32), out);
        }
        (Value::I32(v) | Value::EnumNumber(v), _) => encode_varint(i64::from(*v) as u64, out),
        (Value::I64(v), Kind::Sfixed64) => out.extend_from_slice(&v.to_le_bytes()),
        (Value::I64(v), Kind::Sint64) => encode_varint(((v << 1) ^ (v >> 63)) as u64, out),
        (Value::I64(v), _) => encode_varint(*v as u64, out),
        (Value::U32(v), Kind::Fixed32) => out.extend_from_slice(&v.to_le_bytes()),
        (Value::U32(v), _) => encode_varint(u64::from(*v), out),
        (Value::U64(v), Kind::Fixed64) => out.extend_from_slice(&v.to_le_bytes()),
        (Value::U64(v), _) => encode_varint(*v, out),
        (Value::F32(v), _) => out.extend_from_slice(&v.to_le_bytes()),
        (Value::F64(v), _) => out.extend_from_slice(&v.to_le_bytes()),
        _ => debug_assert!(false, "{value:?} is not a scalar"),
    }
}
