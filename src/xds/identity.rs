//! From Envoy's node message to who it is.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::core::v3::node::UserAgentVersionType;
use envoy_types::pb::envoy::config::core::v3::{Locality, Node};
use envoy_types::pb::google::protobuf::value::Kind;

use crate::model::{NodeId, NodeIdentity};

/// Who `node` is; `None` where it gives no id.
pub(super) fn identity(node: Node) -> Option<NodeIdentity> {
    if node.id.is_empty() {
        return None;
    }
    let fields = node.metadata.unwrap_or_default().fields;
    let metadata: BTreeMap<_, _> =
        fields.into_iter().filter_map(|(key, value)| Some((key, scalar(value.kind?)?))).collect();
    Some(NodeIdentity {
        id: NodeId(node.id.into()),
        cluster: node.cluster,
        metadata,
        envoy_version: node.user_agent_version_type.and_then(version),
        locality: node.locality.map(locality).unwrap_or_default(),
    })
}

/// A value that can be compared as text.
fn scalar(kind: Kind) -> Option<String> {
    match kind {
        Kind::StringValue(text) => Some(text),
        Kind::NumberValue(number) => Some(number.to_string()),
        Kind::BoolValue(truth) => Some(truth.to_string()),
        Kind::NullValue(_) | Kind::StructValue(_) | Kind::ListValue(_) => None,
    }
}

fn version(told: UserAgentVersionType) -> Option<String> {
    match told {
        UserAgentVersionType::UserAgentVersion(text) => Some(text).filter(|text| !text.is_empty()),
        UserAgentVersionType::UserAgentBuildVersion(build) => {
            let v = build.version?;
            Some(format!("{}.{}.{}", v.major_number, v.minor_number, v.patch))
        }
    }
}

/// A place as `region/zone/sub_zone`.
pub(super) fn locality(locality: Locality) -> String {
    let parts = [locality.region, locality.zone, locality.sub_zone];
    parts.join("/").trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::core::v3::BuildVersion;
    use envoy_types::pb::envoy::r#type::v3::SemanticVersion;
    use envoy_types::pb::google::protobuf::{Struct, Value};

    use super::*;

    #[test]
    fn a_node_tells_its_metadata_version_and_locality() {
        let field = |key: &str, kind| (key.to_owned(), Value { kind: Some(kind) });
        let version = SemanticVersion { major_number: 1, minor_number: 40, patch: 2 };
        let build = BuildVersion { version: Some(version), metadata: None };
        let fields = [
            field("stage", Kind::StringValue("beta".into())),
            field("shard", Kind::NumberValue(3.0)),
            field("edge", Kind::BoolValue(true)),
            field("deep", Kind::StructValue(Struct::default())),
        ];
        let node = Node {
            id: "a".into(),
            cluster: "web".into(),
            metadata: Some(Struct { fields: fields.into() }),
            locality: Some(Locality {
                region: "eu".into(),
                zone: "1".into(),
                ..Locality::default()
            }),
            user_agent_version_type: Some(UserAgentVersionType::UserAgentBuildVersion(build)),
            ..Node::default()
        };
        let text = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let expected = NodeIdentity {
            id: NodeId("a".into()),
            cluster: "web".into(),
            metadata: [text("stage", "beta"), text("shard", "3"), text("edge", "true")].into(),
            envoy_version: Some("1.40.2".into()),
            locality: "eu/1".into(),
        };
        assert_eq!(identity(node), Some(expected));
    }

    #[test]
    fn a_node_without_an_id_is_nobody() {
        assert_eq!(identity(Node { cluster: "web".into(), ..Node::default() }), None);
    }
}
