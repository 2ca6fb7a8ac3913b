//! What we know of each node, for people. Plain data; the hub fills it in.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{NodeIdentity, SnapshotKey, TypeUrl};

/// A refused update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nack {
    /// The version refused.
    pub version: Arc<str>,
    /// Envoy's own words.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// One type on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeStatus {
    /// The type.
    pub type_url: TypeUrl,
    /// Whether it asks for all resources.
    pub wildcard: bool,
    /// How many names it asks for one by one.
    pub names: usize,
    /// The version sent last (of the whole type, for delta streams too).
    pub sent: Option<Arc<str>>,
    /// The version it took last.
    pub acked: Option<Arc<str>>,
    /// When it answered last, with either.
    pub answered_at: Option<Timestamp>,
    /// Its last refusal, until it takes a newer version.
    pub nacked: Option<Nack>,
}

/// One connected node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Who it is.
    pub identity: NodeIdentity,
    /// By which credential it came, by name; `None` where none is asked for.
    pub credential: Option<String>,
    /// What it is served from; `None` where no stage matches.
    pub key: Option<SnapshotKey>,
    /// Since when.
    pub connected_at: Timestamp,
    /// How many streams it has open.
    pub streams: usize,
    /// By type, sorted.
    pub types: Vec<TypeStatus>,
}

/// Takes in a later stream for the same type: Envoy opens one for each name
/// where it does not aggregate. A refusal on any of them is the type's.
pub(super) fn merge(known: &mut TypeStatus, later: TypeStatus) {
    known.wildcard |= later.wildcard;
    known.names += later.names;
    known.sent = later.sent.or(known.sent.take());
    known.acked = later.acked.or(known.acked.take());
    known.answered_at = later.answered_at.max(known.answered_at);
    known.nacked = later.nacked.or(known.nacked.take());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ResourceKind;

    fn status(names: usize, version: &str) -> TypeStatus {
        TypeStatus {
            type_url: ResourceKind::Endpoints.type_url(),
            wildcard: false,
            names,
            sent: Some(version.into()),
            acked: Some(version.into()),
            answered_at: None,
            nacked: None,
        }
    }

    #[test]
    fn streams_of_one_type_show_as_one() {
        let mut shown = status(1, "v1");
        merge(&mut shown, status(2, "v2"));
        assert_eq!(shown, status(3, "v2"));
    }
}
