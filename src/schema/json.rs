//! Messages as proto3 JSON, for programs: what `xds` answers with where it
//! speaks plain HTTP. Nothing is masked here; `yaml` prints for people.

use prost_reflect::{DynamicMessage, SerializeOptions, Value};
use serde_json::Serializer;

use super::{Schema, SchemaError};
use crate::model::TypeUrl;

/// The message in an `Any`, whose own type and nested ones the pool knows.
const ANY: &str = "google.protobuf.Any";

/// The JSON form of an `Any` that holds `body`.
pub(super) fn print(
    schema: &Schema,
    type_url: &TypeUrl,
    body: &[u8],
) -> Result<String, SchemaError> {
    let unknown = || SchemaError::UnknownType(type_url.message().to_owned());
    schema.message(&type_url.0).ok_or_else(unknown)?;
    let mut any = DynamicMessage::new(schema.message(ANY).ok_or_else(unknown)?);
    any.set_field_by_name("type_url", Value::String(type_url.0.to_string()));
    any.set_field_by_name("value", Value::Bytes(body.to_vec().into()));
    let mut text = Vec::with_capacity(body.len() * 2);
    // Envoy reads both spellings; these are the ones that people write.
    let options = SerializeOptions::new().use_proto_field_name(true);
    let no_form =
        |detail: String| SchemaError::NoJson { type_name: type_url.message().to_owned(), detail };
    any.serialize_with_options(&mut Serializer::new(&mut text), &options)
        .map_err(|error| no_form(error.to_string()))?;
    String::from_utf8(text).map_err(|error| no_form(error.to_string()))
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    fn any(schema: &Schema, json: &str) -> Vec<u8> {
        let descriptor = schema.message(ANY).unwrap();
        let read = &mut serde_json::Deserializer::from_str(json);
        DynamicMessage::deserialize(descriptor, read).unwrap().encode_to_vec()
    }

    #[test]
    fn a_message_reads_back_from_its_json_with_everything_nested_in_it() {
        let schema = Schema::load();
        let json = r#"{"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            "name": "a", "connectTimeout": "0.25s", "perConnectionBufferLimitBytes": 7,
            "typedExtensionProtocolOptions": {"x": {
                "@type": "type.googleapis.com/google.protobuf.Duration", "value": "3s"}},
            "metadata": {"filterMetadata": {"a": {"k": [1.5, null, "x", true]}}}}"#;
        let original = any(&schema, json);
        let decoded = DynamicMessage::decode(schema.message(ANY).unwrap(), &*original).unwrap();
        let type_url =
            TypeUrl(decoded.get_field_by_name("type_url").unwrap().as_str().unwrap().into());
        let body = decoded.get_field_by_name("value").unwrap().as_bytes().unwrap().clone();
        let printed = print(&schema, &type_url, &body).unwrap();
        assert!(printed.starts_with("{\"@type\":\"type.googleapis.com/envoy.config"), "{printed}");
        assert!(printed.contains("\"connect_timeout\":\"0.250s\""), "{printed}");
        assert_eq!(any(&schema, &printed), original);
    }

    #[test]
    fn what_has_no_json_form_says_so() {
        let schema = Schema::load();
        let unknown = print(&schema, &TypeUrl("x/no.such.Type".into()), b"");
        assert!(matches!(unknown, Err(SchemaError::UnknownType(_))));
        let inner =
            any(&schema, r#"{"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster"}"#);
        let broken = [inner.as_slice(), b"\xff"].concat();
        let cluster = TypeUrl("x/envoy.config.cluster.v3.Cluster".into());
        assert!(matches!(print(&schema, &cluster, &broken), Err(SchemaError::NoJson { .. })));
    }
}
