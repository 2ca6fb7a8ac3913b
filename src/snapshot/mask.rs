//! Resources as YAML with their secrets hidden: what Envoy's own schema marks
//! as sensitive is never sent to a browser, an API client or a Git host.

use prost_reflect::{
    DynamicMessage, ExtensionDescriptor, FieldDescriptor, ReflectMessage as _, Value,
};

use similar::TextDiff;

use super::{ResourceDiff, Snapshot};
use crate::model::TypeUrl;
use crate::schema::Schema;

/// What stands in a secret's place.
const MASK: &str = "[hidden]";
/// The option by which Envoy's schema marks sensitive fields.
const SENSITIVE: &str = "udpa.annotations.sensitive";
/// Marked in Envoy's schema as well, listed here in case a pool was built
/// without its options.
const ALWAYS: [&str; 6] = [
    "envoy.extensions.transport_sockets.tls.v3.TlsCertificate.private_key",
    "envoy.extensions.transport_sockets.tls.v3.TlsCertificate.pkcs12",
    "envoy.extensions.transport_sockets.tls.v3.TlsCertificate.password",
    "envoy.extensions.transport_sockets.tls.v3.TlsSessionTicketKeys.keys",
    "envoy.extensions.transport_sockets.tls.v3.GenericSecret.secret",
    "envoy.extensions.transport_sockets.tls.v3.GenericSecret.secrets",
];
/// Where a secret lies is no secret, and people need it.
const KEPT: [&str; 2] = ["filename", "environment_variable"];
/// Messages nested deeper are hidden whole.
const DEPTH_MAX: usize = 64;

/// A resource for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Masked {
    /// The resource as YAML.
    pub yaml: String,
    /// Whether anything was hidden.
    pub hidden: bool,
}

/// The YAML of a resource that is encoded as a `google.protobuf.Any`; `None`
/// where it can't be decoded.
pub fn masked_any(schema: &Schema, any: &[u8]) -> Option<Masked> {
    let wrapper = TypeUrl("type.googleapis.com/google.protobuf.Any".into());
    let any = schema.decode(&wrapper, any).ok()?;
    let (type_url, body) = unwrap_any(&any)?;
    let mut message = schema.decode(&type_url, &body).ok()?;
    let masker = Masker { schema, mark: schema.pool().get_extension_by_name(SENSITIVE) };
    let hidden = masker.message(&mut message, 0);
    Some(Masked { yaml: schema.to_yaml(&message), hidden })
}

/// The difference as it was made, or, where a side hides something, of the
/// masked texts; without hashes of secrets.
pub fn masked_diff(
    schema: &Schema,
    diff: &ResourceDiff,
    old: Option<&Snapshot>,
    new: Option<&Snapshot>,
) -> String {
    let side = |snapshot: Option<&Snapshot>| {
        let served = snapshot?.types.get(&diff.type_url)?.resources.get(&diff.name)?;
        masked_any(schema, &served.any)
    };
    without_hashes(&text_of(diff, side(old), side(new)))
}

/// What differs in a few words for each field, at most `max`, without the
/// hashes of secrets: short ones could be guessed by them.
pub fn masked_sentences(diff: &ResourceDiff, max: usize) -> Vec<String> {
    diff.sentences(max).iter().map(|sentence| without_hashes(sentence)).collect()
}

fn without_hashes(sentence: &str) -> String {
    let mut rest = sentence;
    let mut shown = String::new();
    while let Some((before, after)) = rest.split_once("[redacted sha256:") {
        shown.push_str(before);
        shown.push_str(MASK);
        rest = after.split_once(']').map_or("", |(_, after)| after);
    }
    shown.push_str(rest);
    shown
}

fn text_of(diff: &ResourceDiff, old: Option<Masked>, new: Option<Masked>) -> String {
    let hides = [&old, &new].into_iter().flatten().any(|side| side.hidden);
    if !hides {
        return diff.text.clone();
    }
    let yaml = |side: Option<Masked>| side.map(|side| side.yaml).unwrap_or_default();
    let (old, new) = (yaml(old), yaml(new));
    if old == new {
        return " only hidden values differ\n".into();
    }
    TextDiff::from_lines(&old, &new).unified_diff().context_radius(3).to_string()
}

fn unwrap_any(any: &DynamicMessage) -> Option<(TypeUrl, Vec<u8>)> {
    let type_url = any.get_field_by_name("type_url")?.as_str()?.into();
    let body = any.get_field_by_name("value")?.as_bytes()?.to_vec();
    Some((TypeUrl(type_url), body))
}

struct Masker<'a> {
    schema: &'a Schema,
    mark: Option<ExtensionDescriptor>,
}

impl Masker<'_> {
    /// Hides what is sensitive; says whether anything was.
    fn message(&self, message: &mut DynamicMessage, depth: usize) -> bool {
        if depth > DEPTH_MAX {
            return hide_message(message);
        }
        if message.descriptor().full_name() == "google.protobuf.Any" {
            return self.any(message, depth);
        }
        let mut hidden = false;
        for (field, value) in message.fields_mut() {
            hidden |=
                if self.is_sensitive(&field) { hide(value) } else { self.value(value, depth) };
        }
        hidden
    }

    fn value(&self, value: &mut Value, depth: usize) -> bool {
        match value {
            Value::Message(message) => self.message(message, depth + 1),
            Value::List(values) => values.iter_mut().fold(false, |h, v| self.value(v, depth) | h),
            Value::Map(values) => values.values_mut().fold(false, |h, v| self.value(v, depth) | h),
            _ => false,
        }
    }

    /// What can't be looked into is hidden.
    fn any(&self, any: &mut DynamicMessage, depth: usize) -> bool {
        let inner =
            unwrap_any(any).and_then(|(type_url, body)| self.schema.decode(&type_url, &body).ok());
        let Some(mut inner) = inner else {
            any.set_field_by_name("value", Value::Bytes(bytes::Bytes::new()));
            return true;
        };
        let hidden = self.message(&mut inner, depth + 1);
        if hidden {
            any.set_field_by_name("value", Value::Bytes(self.schema.encode(&inner)));
        }
        hidden
    }

    fn is_sensitive(&self, field: &FieldDescriptor) -> bool {
        let marked = |mark: &ExtensionDescriptor| {
            field.options().get_extension(mark).as_bool().unwrap_or(false)
        };
        ALWAYS.contains(&field.full_name()) || self.mark.as_ref().is_some_and(marked)
    }
}

fn hide(value: &mut Value) -> bool {
    match value {
        Value::String(text) => *text = MASK.into(),
        Value::Bytes(bytes) => *bytes = MASK.as_bytes().into(),
        Value::Message(message) => return hide_message(message),
        Value::List(values) => return values.iter_mut().fold(false, |h, v| hide(v) | h),
        Value::Map(values) => return values.values_mut().fold(false, |h, v| hide(v) | h),
        _ => return false,
    }
    true
}

fn hide_message(message: &mut DynamicMessage) -> bool {
    let fields = message.fields_mut().filter(|(field, _)| !KEPT.contains(&field.name()));
    fields.fold(false, |hidden, (_, value)| hide(value) | hidden)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ResourceKind, ResourceName};
    use crate::snapshot::{Impact, ResourceChange};

    #[test]
    fn secrets_do_not_reach_the_diff() {
        let diff = ResourceDiff {
            type_url: ResourceKind::Secrets.type_url(),
            name: ResourceName("key".into()),
            change: ResourceChange::Changed,
            text: "-inline_string: hunter1\n+inline_string: hunter2\n".into(),
            fields: Vec::new(),
            more_fields: 0,
            impact: Impact::InPlace,
        };
        let side = |yaml: &str| Some(Masked { yaml: yaml.into(), hidden: true });
        let same = text_of(&diff, side("key: [hidden]\n"), side("key: [hidden]\n"));
        assert_eq!(same, " only hidden values differ\n");
        let new = text_of(&diff, None, side("key: [hidden]\n"));
        assert!(new.contains("+key: [hidden]") && !new.contains("hunter"), "{new}");
    }

    #[test]
    fn hashes_of_secrets_do_not_reach_the_sentences() {
        let told = "secret a: key: [redacted sha256:0a1b2c3d] → [redacted sha256:ffffffff]";
        assert_eq!(without_hashes(told), "secret a: key: [hidden] → [hidden]");
        assert_eq!(without_hashes("secret a is new"), "secret a is new");
    }
}
