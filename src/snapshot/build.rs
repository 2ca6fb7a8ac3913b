//! From resources to a snapshot: wrapped once, versioned by content.
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::model::{ContentHash, Resource, ResourceName, SnapshotKey, TypeUrl};

/// One resource as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Its name within the type.
    pub name: ResourceName,
    /// The version a delta client sees: the short content hash.
    pub version: Arc<str>,
    /// The encoded `google.protobuf.Any` that holds it.
    pub any: Bytes,
    /// The hash of the message inside.
    pub hash: ContentHash,
}

/// All resources of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeSnapshot {
    /// The version a state-of-the-world client sees: a short hash over every
    /// name and content of the type.
    pub version: Arc<str>,
    /// By name.
    pub resources: BTreeMap<ResourceName, Arc<Served>>,
}

/// What one stage × node group is served. Never changed after it was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// For whom.
    pub key: SnapshotKey,
    /// By type. A type that has no resource has no entry.
    pub types: BTreeMap<TypeUrl, Arc<TypeSnapshot>>,
    /// A hash over every type's version.
    pub version: ContentHash,
}

/// Builds the snapshot of `key` from its resources, which have no name twice
/// within a type (`render` reports that).
pub fn build(_key: SnapshotKey, _resources: &[Arc<Resource>]) -> Snapshot {
    todo!()
}
