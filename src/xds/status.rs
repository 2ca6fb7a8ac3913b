//! What we know of each node, for people. Plain data; the hub fills it in.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Release;
use crate::model::{NodeIdentity, ResourceName, SnapshotKey, TypeUrl};

/// A refused update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nack {
    /// The version refused.
    pub version: Arc<str>,
    /// Envoy's own words.
    pub message: String,
    /// When.
    pub at: Timestamp,
    /// Which resources it is about, as far as those words tell.
    #[serde(default)]
    pub resources: Vec<ResourceName>,
    /// The release that the version came with.
    #[serde(default)]
    pub release: Option<Release>,
}

/// One type on one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeStatus {
    /// The type.
    pub type_url: TypeUrl,
    /// Whether it is told of changes only.
    pub delta: bool,
    /// Whether it asks for all resources.
    pub wildcard: bool,
    /// How many names it asks for one by one.
    pub names: usize,
    /// The version sent last (of the whole type, for delta streams too).
    pub sent: Option<Arc<str>>,
    /// The version it took last.
    pub acked: Option<Arc<str>>,
    /// The newest release that has the version it took last.
    pub release: Option<Release>,
    /// Since when there is something that it did not take yet: when the first
    /// version that it lacks was published. `None` where it is in step.
    pub behind_since: Option<Timestamp>,
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
    /// The newest release that it took all of, on every stream.
    pub release: Option<Release>,
    /// Whether it took all of what it is to be served now.
    pub in_step: bool,
    /// Whether it is served an earlier release, because those who got the
    /// newest refuse it.
    pub spared: bool,
    /// By type, sorted.
    pub types: Vec<TypeStatus>,
}

/// One resource on one node, as far as it can be known from here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceStatus {
    /// Its type.
    pub type_url: TypeUrl,
    /// Its name.
    pub name: ResourceName,
    /// How it stands.
    pub state: ResourceState,
    /// The version to be served; `None` where there is no such resource.
    pub served: Option<Arc<str>>,
    /// The version that was sent last and not refused.
    pub sent: Option<Arc<str>>,
    /// The version that was taken last; `None` also where that is unknown
    /// because an answer is due.
    pub acked: Option<Arc<str>>,
    /// The version that was refused.
    pub nacked: Option<Arc<str>>,
}

/// How a resource on a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceState {
    /// The node has what is served.
    Synced,
    /// It was asked for, and does not exist.
    Missing,
    /// It was not sent yet, or is to be sent again.
    NotSent,
    /// It was sent, and the answer is due.
    Sent,
    /// The node still has one that is gone or has another version.
    Stale,
    /// The node refused it.
    Nacked,
}

/// How the nodes of one key stand, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connected.
    pub nodes: usize,
    /// Took all they are to be served.
    pub in_step: usize,
    /// Refuse something.
    pub refusing: usize,
}

/// A publication that those who got it rather refuse: whoever joins is served
/// the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// Whose.
    pub key: SnapshotKey,
    /// The snapshot's version.
    pub version: crate::model::ContentHash,
    /// How many streams took all of it.
    pub taken: u64,
    /// How many refused a part of it.
    pub refused: u64,
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
    known.release = later.release.or(known.release.take());
    known.behind_since = match (known.behind_since, later.behind_since) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ResourceKind;

    fn status(names: usize, version: &str) -> TypeStatus {
        TypeStatus {
            type_url: ResourceKind::Endpoints.type_url(),
            delta: true,
            wildcard: false,
            names,
            sent: Some(version.into()),
            acked: Some(version.into()),
            release: None,
            behind_since: None,
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
