//! `google.protobuf.Any`: a mapping that names its own type.

use prost_reflect::{DynamicMessage, MessageDescriptor, Value};

use super::document::TYPE_PREFIX;
use super::message::At;
use super::{MAX_TYPE_LOOKUPS, Mistake, Reader};
use crate::model::nearest;
use crate::render::yaml::Node;

impl Reader<'_> {
    /// Reads an `Any` and encodes what is in it.
    pub(super) fn any(
        &mut self,
        name: &str,
        descriptor: &MessageDescriptor,
        node: &Node,
    ) -> DynamicMessage {
        let mut any = DynamicMessage::new(descriptor.clone());
        if node.entries().is_none() {
            let message =
                format!("`{name}` must be a mapping with `@type`, not {}", node.describe());
            self.mistake(node.span, Mistake::wrong_type(message));
            return any;
        }
        // Protobuf's JSON form of an `Any` that holds nothing.
        if node.entries().is_some_and(<[_]>::is_empty) {
            return any;
        }
        let Some(inner_type) = self.declared_type(node) else { return any };
        let inner = if has_value_form(&inner_type) {
            self.value_form(&inner_type, node)
        } else {
            self.message(name, &inner_type, node, At::ROOT.with_type_key())
        };
        let type_url = format!("{TYPE_PREFIX}{}", inner_type.full_name());
        any.set_field_by_number(1, Value::String(type_url));
        any.set_field_by_number(2, Value::Bytes(self.schema.encode_outer(&inner)));
        any
    }

    /// Types with a JSON form of their own stand under the key `value`.
    fn value_form(&mut self, descriptor: &MessageDescriptor, node: &Node) -> DynamicMessage {
        for entry in node.entries().unwrap_or_default() {
            if !matches!(&*entry.key, "@type" | "value") {
                let message = format!("`{}` has no field `{}`", descriptor.name(), entry.key);
                let hint = "this type is written as `value: …` beside its `@type`";
                self.mistake(entry.key_span, Mistake::hinted("unknown-field", message, hint));
            }
        }
        match node.get("value") {
            Some(value) => self.message("value", descriptor, value, At::ROOT),
            None => {
                let message = format!("a `{}` needs the key `value`", descriptor.full_name());
                self.mistake(node.span, Mistake::new("wrong-type", message, None));
                DynamicMessage::new(descriptor.clone())
            }
        }
    }

    /// The type that the mapping's `@type` names.
    pub(super) fn declared_type(&mut self, node: &Node) -> Option<MessageDescriptor> {
        let Some(declared) = node.get("@type") else {
            let message = "`@type` is missing, so the type of this mapping is not known";
            let hint = "begin it with `\"@type\": type.googleapis.com/…`";
            self.mistake(node.span, Mistake::hinted("missing-type", message, hint));
            return None;
        };
        let Some(type_url) = declared.as_str() else {
            let message = format!("`@type` must be a text, not {}", declared.describe());
            self.mistake(declared.span, Mistake::wrong_type(message));
            return None;
        };
        let name = type_url.rsplit('/').next().unwrap_or(type_url);
        let Some(descriptor) = self.schema.message(name) else {
            let hint = self.nearest_type(name);
            let message = format!("no message type `{name}` is known");
            self.mistake(declared.span, Mistake::new("unknown-type", message, hint));
            return None;
        };
        if type_url.strip_prefix(TYPE_PREFIX) != Some(name) {
            let message = format!("Envoy does not resolve the type URL `{type_url}`");
            let hint = format!("write {TYPE_PREFIX}{name}");
            self.mistake(declared.span, Mistake::hinted("unknown-type", message, hint));
        }
        Some(descriptor)
    }

    /// A type of the same short name (another version or package), else the
    /// one whose full name is spelt most alike.
    fn nearest_type(&mut self, wanted: &str) -> Option<String> {
        self.type_lookups += 1;
        if self.type_lookups > MAX_TYPE_LOOKUPS {
            return None;
        }
        let short = wanted.rsplit('.').next().unwrap_or(wanted);
        let all = || self.schema.pool().all_messages();
        let same_name = nearest(
            wanted,
            all().filter(|message| message.name() == short).map(|m| m.full_name().to_owned()),
        );
        same_name
            .or_else(|| nearest(wanted, all().map(|message| message.full_name().to_owned())))
            .or_else(|| {
                let found = all().find(|message| message.name() == short)?;
                Some(found.full_name().to_owned())
            })
            .map(|name| format!("did you mean {TYPE_PREFIX}{name}?"))
    }
}

fn has_value_form(descriptor: &MessageDescriptor) -> bool {
    descriptor.package_name() == "google.protobuf"
        && matches!(
            descriptor.name(),
            "Any"
                | "Duration"
                | "Timestamp"
                | "FieldMask"
                | "Struct"
                | "Value"
                | "ListValue"
                | "BoolValue"
                | "StringValue"
                | "BytesValue"
                | "DoubleValue"
                | "FloatValue"
                | "Int32Value"
                | "Int64Value"
                | "UInt32Value"
                | "UInt64Value"
        )
}
