//! A discovery request from JSON: what we need of it, in either spelling.
//!
//! Written out instead of going through the descriptors: Envoy sends its whole
//! node, a hundred kilobytes of extension names, with every poll, and what
//! isn't read here is skipped without being kept. By the rules of proto3's
//! JSON form, `null` is a field's default; a field that is there twice is a
//! mistake.

use std::fmt;
use std::marker::PhantomData;

use envoy_types::pb::envoy::config::core::v3::node::UserAgentVersionType;
use envoy_types::pb::envoy::config::core::v3::{BuildVersion, Locality, Node};
use envoy_types::pb::envoy::service::discovery::v3::{DiscoveryRequest, ResourceLocator};
use envoy_types::pb::envoy::r#type::v3::SemanticVersion;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value};
use envoy_types::pb::google::rpc::Status;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

/// Reads `body`; the error says where it is wrong, by line and column.
pub(super) fn parse(body: &[u8]) -> Result<DiscoveryRequest, serde_json::Error> {
    serde_json::from_slice::<Object<Asked>>(body).map(|asked| asked.0.into_request())
}

/// A message, which is written as a JSON object; a derived reader would take a
/// list of values for it too.
#[derive(Debug, Default)]
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = Object<T>;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        from.deserialize_map(Reader(PhantomData))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    #[serde(alias = "versionInfo", deserialize_with = "nullable")]
    version_info: String,
    node: Option<Object<AskedNode>>,
    #[serde(alias = "resourceNames", deserialize_with = "nullable")]
    resource_names: Vec<String>,
    #[serde(alias = "resourceLocators", deserialize_with = "nullable")]
    resource_locators: Vec<Object<Named>>,
    #[serde(alias = "typeUrl", deserialize_with = "nullable")]
    type_url: String,
    #[serde(alias = "responseNonce", deserialize_with = "nullable")]
    response_nonce: String,
    #[serde(alias = "errorDetail")]
    error_detail: Option<Object<Said>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AskedNode {
    #[serde(deserialize_with = "nullable")]
    id: String,
    #[serde(deserialize_with = "nullable")]
    cluster: String,
    #[serde(deserialize_with = "nullable")]
    metadata: serde_json::Map<String, Json>,
    locality: Option<Object<Place>>,
    #[serde(alias = "userAgentName", deserialize_with = "nullable")]
    user_agent_name: String,
    #[serde(alias = "userAgentVersion", deserialize_with = "nullable")]
    user_agent_version: String,
    #[serde(alias = "userAgentBuildVersion")]
    user_agent_build_version: Option<Object<Build>>,
    #[serde(alias = "clientFeatures", deserialize_with = "nullable")]
    client_features: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    #[serde(deserialize_with = "nullable")]
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    #[serde(deserialize_with = "nullable")]
    message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Place {
    #[serde(deserialize_with = "nullable")]
    region: String,
    #[serde(deserialize_with = "nullable")]
    zone: String,
    #[serde(alias = "subZone", deserialize_with = "nullable")]
    sub_zone: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Build {
    version: Option<Object<Numbers>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Numbers {
    #[serde(alias = "majorNumber", deserialize_with = "number")]
    major_number: u32,
    #[serde(alias = "minorNumber", deserialize_with = "number")]
    minor_number: u32,
    #[serde(deserialize_with = "number")]
    patch: u32,
}

impl Asked {
    fn into_request(self) -> DiscoveryRequest {
        let locator =
            |one: Object<Named>| ResourceLocator { name: one.0.name, ..Default::default() };
        let error = |said: Object<Said>| Status { message: said.0.message, ..Status::default() };
        DiscoveryRequest {
            version_info: self.version_info,
            node: self.node.map(|node| node.0.into_node()),
            resource_names: self.resource_names,
            resource_locators: self.resource_locators.into_iter().map(locator).collect(),
            type_url: self.type_url,
            response_nonce: self.response_nonce,
            error_detail: self.error_detail.map(error),
        }
    }
}

impl AskedNode {
    fn into_node(self) -> Node {
        let place = |Object(one): Object<Place>| Locality {
            region: one.region,
            zone: one.zone,
            sub_zone: one.sub_zone,
        };
        let build =
            |one: Object<Build>| UserAgentVersionType::UserAgentBuildVersion(one.0.into_version());
        let text = self.user_agent_version;
        let text = (!text.is_empty()).then_some(UserAgentVersionType::UserAgentVersion(text));
        Node {
            id: self.id,
            cluster: self.cluster,
            metadata: Some(message(self.metadata)),
            locality: self.locality.map(place),
            user_agent_name: self.user_agent_name,
            user_agent_version_type: self.user_agent_build_version.map(build).or(text),
            client_features: self.client_features,
            ..Node::default()
        }
    }
}

impl Build {
    fn into_version(self) -> BuildVersion {
        let version = self.version.map(|Object(one)| SemanticVersion {
            major_number: one.major_number,
            minor_number: one.minor_number,
            patch: one.patch,
        });
        BuildVersion { version, metadata: None }
    }
}

/// A field whose `null` means that it is not there.
fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// A number, which may be written as text.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let given = Json::deserialize(from)?;
    let number = match &given {
        Json::Null => Some(0),
        Json::String(text) => text.parse().ok(),
        other => other.as_u64().and_then(|number| u32::try_from(number).ok()),
    };
    number.ok_or_else(|| serde::de::Error::custom(format!("{given} is no 32-bit number")))
}

fn message(map: serde_json::Map<String, Json>) -> Struct {
    Struct { fields: map.into_iter().map(|(key, one)| (key, value(one))).collect() }
}

fn value(json: Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(truth) => Kind::BoolValue(truth),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Kind::StringValue(text),
        Json::Array(items) => {
            Kind::ListValue(ListValue { values: items.into_iter().map(value).collect() })
        }
        Json::Object(map) => Kind::StructValue(message(map)),
    };
    Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_read_alike_and_unknown_fields_are_passed_over() {
        let snake = r#"{"version_info": "1", "resource_names": ["a"], "type_url": "t", "new": {"x": [1]},
            "response_nonce": "n", "error_detail": {"code": 3, "message": "no", "details": [{"@type": "x/y"}]},
            "resource_locators": [{"name": "b", "dynamic_parameters": {"k": "v"}}],
            "node": {"id": "i", "cluster": "c", "metadata": {"a": 1, "b": {"c": [null, true, "d"]}},
              "locality": {"region": "r", "zone": "z", "sub_zone": "s"}, "extensions": [{"name": "e"}],
              "user_agent_name": "envoy", "client_features": ["f"], "listening_addresses": [],
              "user_agent_build_version": {"version": {"major_number": 1, "minor_number": "40"}}}}"#;
        let camel = snake
            .replace("version_info", "versionInfo")
            .replace("resource_names", "resourceNames")
            .replace("type_url", "typeUrl")
            .replace("response_nonce", "responseNonce")
            .replace("error_detail", "errorDetail")
            .replace("resource_locators", "resourceLocators")
            .replace("sub_zone", "subZone")
            .replace("user_agent_name", "userAgentName")
            .replace("user_agent_build_version", "userAgentBuildVersion")
            .replace("major_number", "majorNumber")
            .replace("minor_number", "minorNumber")
            .replace("client_features", "clientFeatures");
        let read = parse(snake.as_bytes()).unwrap();
        assert_eq!(parse(camel.as_bytes()).unwrap(), read);
        let node = crate::xds::identity::identity(read.node.unwrap()).unwrap();
        assert_eq!(node.envoy_version.as_deref(), Some("1.40.0"));
        assert_eq!((node.locality.as_str(), node.metadata["a"].as_str()), ("r/z/s", "1"));
        assert_eq!(read.resource_locators[0].name, "b");
        assert_eq!(read.error_detail.unwrap().message, "no");
    }

    #[test]
    fn null_is_a_default() {
        let nulls = r#"{"version_info": null, "resource_names": null, "node": {"id": "i",
            "cluster": null, "metadata": null, "locality": null}, "error_detail": null}"#;
        let read = parse(nulls.as_bytes()).unwrap();
        assert_eq!((read.resource_names.len(), read.error_detail), (0, None));
        assert_eq!(parse(b"{}").unwrap(), DiscoveryRequest::default());
    }

    #[test]
    fn a_mistake_is_named_with_its_line_and_column() {
        for (body, expected) in [
            ("", "EOF while parsing a value at line 1 column 0"),
            ("{\n \"node\": }", "expected value at line 2 column 10"),
            ("{} {}", "trailing characters at line 1 column 4"),
            ("[1]", "invalid type: sequence, expected a JSON object at line 1 column 0"),
            ("{\"node\": [\"n\"]}", "invalid type: sequence, expected a JSON object"),
            ("{\"resource_locators\": [[\"a\"]]}", "sequence, expected a JSON object"),
            ("\"x\"", "invalid type: string \"x\", expected a JSON object at line 1 column 3"),
            ("{\"resource_names\": \"a\"}", "expected a sequence at line 1 column 22"),
            ("{\"version_info\": \"1\", \"versionInfo\": \"2\"}", "duplicate field `version_info`"),
        ] {
            let error = parse(body.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{body}: {error}");
        }
    }
}
