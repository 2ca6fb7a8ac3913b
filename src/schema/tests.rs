//! The embedded descriptors, the canonical encoding, and YAML for people.

use std::collections::HashSet;

use prost::Message as _;
use prost_reflect::{DynamicMessage, ReflectMessage, Value};

use super::*;
use crate::model::ResourceKind;

/// Reads protobuf's JSON form.
fn message(schema: &Schema, type_name: &str, json: &str) -> DynamicMessage {
    let descriptor = schema.message(type_name).unwrap();
    let mut deserializer = serde_json::Deserializer::from_str(json);
    DynamicMessage::deserialize(descriptor, &mut deserializer).unwrap()
}

const CLUSTER: &str = r#"{
  "name": "web", "connectTimeout": "0.25s", "type": "STRICT_DNS",
  "perConnectionBufferLimitBytes": 32768,
  "metadata": {"filterMetadata": {
    "b": {"k1": 1.5, "k2": [true, null], "k3": {"z": "1", "y": "2", "x": "3"}},
    "a": {"k": -7}, "c": {}, "d": {}, "e": {}}},
  "typedExtensionProtocolOptions": {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
      "explicitHttpConfig": {"http2ProtocolOptions": {"maxConcurrentStreams": 0}}},
    "opaque": {"@type": "type.googleapis.com/xds.type.v3.TypedStruct",
      "typeUrl": "x", "value": {"m": 1, "n": 2, "o": 3, "p": 4}}}}"#;

#[test]
fn the_descriptors_hold_every_kind_and_our_own_additions() {
    let schema = Schema::load();
    for kind in ResourceKind::ALL {
        let descriptor = schema.message(&kind.type_url().0).unwrap();
        assert!(descriptor.get_field_by_name(kind.name_field()).is_some(), "{kind:?}");
    }
    for name in ["xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct"] {
        assert!(schema.message(name).is_some(), "{name}");
    }
    assert!(schema.message("type.googleapis.com/no.such.Type").is_none());
}

#[test]
fn equal_messages_give_equal_bytes_and_lose_nothing() {
    let schema = Schema::load();
    let mut encoded = HashSet::new();
    let mut by_prost = HashSet::new();
    for _ in 0..100 {
        let parsed = message(&schema, "envoy.config.cluster.v3.Cluster", CLUSTER);
        by_prost.insert(parsed.encode_to_vec());
        let bytes = schema.encode(&parsed);
        let again = DynamicMessage::decode(parsed.descriptor(), bytes.clone()).unwrap();
        assert_eq!(schema.encode(&again), bytes);
        encoded.insert(bytes);
    }
    assert_eq!(encoded.len(), 1);
    assert!(by_prost.len() > 1, "the input must have maps that prost writes in any order");
}

#[test]
fn every_scalar_kind_is_encoded_as_prost_does() {
    let schema = Schema::load();
    // Rule messages hold every scalar kind of protobuf, single and repeated.
    let cases = [
        ("validate.SInt32Rules", r#"{"const": -5, "in": [-1, 2147483647]}"#),
        ("validate.SInt64Rules", r#"{"const": "-5", "in": ["-9223372036854775808", 1]}"#),
        ("validate.Int32Rules", r#"{"const": -5, "in": [0, 1]}"#),
        ("validate.Int64Rules", r#"{"const": "-5"}"#),
        ("validate.UInt32Rules", r#"{"const": 4294967295}"#),
        ("validate.UInt64Rules", r#"{"const": "18446744073709551615"}"#),
        ("validate.Fixed32Rules", r#"{"const": 7, "in": [1]}"#),
        ("validate.Fixed64Rules", r#"{"const": 7, "in": [1]}"#),
        ("validate.SFixed32Rules", r#"{"const": -7, "in": [1]}"#),
        ("validate.SFixed64Rules", r#"{"const": -7, "in": [1]}"#),
        ("validate.FloatRules", r#"{"const": 1.5, "in": [0.1]}"#),
        ("validate.DoubleRules", r#"{"const": 1.5, "in": ["NaN", "-Infinity"]}"#),
        ("validate.BytesRules", r#"{"const": "AAEC", "ip": false}"#),
        // Packed lists, and a oneof whose member has the default value.
        ("envoy.config.cluster.v3.OutlierDetection", r#"{"maxEjectionPercent": 0}"#),
        ("envoy.config.core.v3.SocketAddress", r#"{"address": "a", "portValue": 0}"#),
        ("envoy.type.v3.Int64Range", r#"{"start": "0", "end": "-1"}"#),
        (
            "envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
            r#"{"protoDescriptor": "p", "services": ["a", "b"]}"#,
        ),
        ("envoy.config.route.v3.RetryPolicy", r#"{"retriableStatusCodes": [500, 0, 503]}"#),
    ];
    for (type_name, json) in cases {
        let parsed = message(&schema, type_name, json);
        assert_eq!(schema.encode(&parsed).to_vec(), parsed.encode_to_vec(), "{type_name}");
    }
}

#[test]
fn unknown_content_stays_as_it_is() {
    let schema = Schema::load();
    let mut any = DynamicMessage::new(schema.message("google.protobuf.Any").unwrap());
    any.set_field_by_name("type_url", Value::String("type.googleapis.com/no.Such".into()));
    any.set_field_by_name("value", Value::Bytes(vec![1, 2, 3].into()));
    assert_eq!(schema.encode(&any).to_vec(), any.encode_to_vec());
    assert_eq!(schema.to_yaml(&any), "'@type': type.googleapis.com/no.Such\nvalue: AQID\n");
    // Field 1000 is not in the message: it stays, behind the known ones.
    let bytes = [0xc2, 0x3e, 1, b'x', 0x0a, 1, b'n'];
    let url = ResourceKind::Listeners.type_url();
    let listener = schema.decode(&url, &bytes).unwrap();
    assert_eq!(schema.encode(&listener).to_vec(), [0x0a, 1, b'n', 0xc2, 0x3e, 1, b'x']);
}

#[test]
fn wrong_types_and_bytes_are_errors() {
    let schema = Schema::load();
    let unknown = schema.decode(&TypeUrl("type.googleapis.com/a.B".into()), &[]).unwrap_err();
    assert_eq!(unknown.to_string(), "no message type `a.B` is known");
    let malformed = schema.decode(&ResourceKind::Clusters.type_url(), &[0x0a, 9]).unwrap_err();
    assert_eq!(malformed.to_string(), "malformed envoy.config.cluster.v3.Cluster");
}

#[test]
fn yaml_is_protobufs_json_form_in_a_fixed_order() {
    let schema = Schema::load();
    let cluster = message(&schema, "envoy.config.cluster.v3.Cluster", CLUSTER);
    insta::assert_snapshot!(schema.to_yaml(&cluster), @r"
    name: web
    type: STRICT_DNS
    connect_timeout: 0.25s
    per_connection_buffer_limit_bytes: 32768
    metadata:
      filter_metadata:
        a:
          k: -7
        b:
          k1: 1.5
          k2:
          - true
          - null
          k3:
            x: '3'
            y: '2'
            z: '1'
        c: {}
        d: {}
        e: {}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config:
          http2_protocol_options:
            max_concurrent_streams: 0
      opaque:
        '@type': type.googleapis.com/xds.type.v3.TypedStruct
        type_url: x
        value:
          m: 1
          n: 2
          o: 3
          p: 4
    ");
}

#[test]
fn secrets_are_masked_and_places_of_secrets_are_not() {
    let schema = Schema::load();
    let secret = message(
        &schema,
        "envoy.extensions.transport_sockets.tls.v3.Secret",
        r#"{"name": "cert", "tlsCertificate": {
            "certificateChain": {"inlineString": "public"},
            "privateKey": {"inlineString": "hunter2"},
            "password": {"filename": "/run/password"}}}"#,
    );
    let yaml = schema.to_yaml(&secret);
    assert!(!yaml.contains("hunter2"), "{yaml}");
    assert!(yaml.contains("inline_string: '[redacted sha256:f52fbd32]'"), "{yaml}");
    assert!(yaml.contains("public") && yaml.contains("/run/password"), "{yaml}");
    let generic = message(
        &schema,
        "envoy.extensions.transport_sockets.tls.v3.Secret",
        r#"{"name": "g", "genericSecret": {"secret": {"inlineBytes": "aHVudGVyMg=="}}}"#,
    );
    let yaml = schema.to_yaml(&generic);
    assert!(yaml.contains("inline_bytes: '[redacted sha256:f52fbd32]'"), "{yaml}");
    let any = message(
        &schema,
        "google.protobuf.Any",
        r#"{"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig",
            "name": "shown"}"#,
    );
    assert!(schema.to_yaml(&any).contains("name: shown"));
}
