//! One Envoy, as it introduces itself.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The `id` of an Envoy's node message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub Arc<str>);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an Envoy says of itself in the first message of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeIdentity {
    /// `node.id`, never empty.
    pub id: NodeId,
    /// `node.cluster`.
    pub cluster: String,
    /// The text-valued (or number- or bool-valued, as text) top-level fields
    /// of `node.metadata`. `stage` names the node's stage.
    pub metadata: BTreeMap<String, String>,
    /// Envoy's version as `major.minor.patch`, where it tells.
    pub envoy_version: Option<String>,
    /// `region/zone/sub_zone`, empty where it tells none.
    pub locality: String,
}
