//! The server under test, and who we say we are.

use std::collections::BTreeMap;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value};

use super::tls::Tls;

/// Where the server is and how to speak to it.
#[derive(Debug, Clone)]
pub struct Target {
    /// `host:port`.
    pub address: String,
    /// Without it connections are in the clear.
    pub tls: Option<Tls>,
    /// What requests call the server, and its certificate too; without it, its
    /// address.
    pub authority: Option<String>,
    /// Sent as `authorization: Bearer …` with every call.
    pub token: Option<crate::model::Secret>,
    /// Who the clients are.
    pub node: NodeShape,
    /// How long something that must come may take.
    pub patience: Duration,
    /// How long nothing must come where silence is the right answer.
    pub quiet: Duration,
    /// How many cases run at once.
    pub at_once: usize,
}

impl Target {
    /// What requests begin their URLs with.
    pub(super) fn origin(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.authority.as_deref().unwrap_or(&self.address))
    }
}

/// What the nodes of all cases have in common.
#[derive(Debug, Clone, Default)]
pub struct NodeShape {
    /// One id for every case; without it each case is a node of its own.
    pub id: Option<String>,
    /// `node.cluster`.
    pub cluster: String,
    /// `node.metadata`.
    pub metadata: BTreeMap<String, String>,
}

impl NodeShape {
    /// The node of a case.
    pub(super) fn node(&self, id: &str) -> Node {
        let text = |value: &String| Value { kind: Some(Kind::StringValue(value.clone())) };
        let fields = self.metadata.iter().map(|(key, value)| (key.clone(), text(value))).collect();
        Node {
            id: self.id.clone().unwrap_or_else(|| id.to_owned()),
            cluster: self.cluster.clone(),
            metadata: Some(Struct { fields }),
            user_agent_name: "convoy-conformance".into(),
            ..Node::default()
        }
    }
}
