//! From resources to a snapshot: wrapped once, versioned by content.
//!
//! Pure. Every version is a hash of canonical bytes, so two replicas, or one
//! process before and after a restart, give the same names to the same
//! content. `reconcile` builds snapshots; `xds` serves them untouched.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use prost::Message;

use super::changes::Memory;
use super::wire;
use crate::model::{ContentHash, Resource, ResourceKind, ResourceName, SnapshotKey, TypeUrl};

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
    /// For a cluster whose endpoints come by EDS: the name it asks for.
    pub endpoints: Option<ResourceName>,
}

impl Served {
    /// Wraps the message `body` of type `type_url`.
    pub fn new(type_url: &TypeUrl, name: ResourceName, body: &Bytes, hash: ContentHash) -> Self {
        let mut any = BytesMut::with_capacity(wire::any_len(type_url, body));
        wire::put_any(type_url, body, &mut any);
        Self::wrapped(type_url, name, any.freeze(), body, hash)
    }

    /// Takes a message that is wrapped already.
    pub(super) fn wrapped(
        type_url: &TypeUrl,
        name: ResourceName,
        any: Bytes,
        body: &Bytes,
        hash: ContentHash,
    ) -> Self {
        let endpoints = endpoints_of(type_url, &name, body);
        Self { name, version: hash.short().into(), any, hash, endpoints }
    }

    /// The message inside, without its `Any`; empty where `any` is damaged.
    pub fn body(&self) -> Bytes {
        wire::split_any(&self.any).map(|(_, body)| body).unwrap_or_default()
    }
}

/// All resources of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeSnapshot {
    /// The version a state-of-the-world client sees: a short hash over every
    /// name and content of the type.
    pub version: Arc<str>,
    /// By name.
    pub resources: BTreeMap<ResourceName, Arc<Served>>,
    pub(super) memory: Memory,
}

impl TypeSnapshot {
    /// The snapshot of a type from its resources.
    pub fn new(resources: BTreeMap<ResourceName, Arc<Served>>) -> Self {
        let version = version_of(resources.values());
        Self { version, resources, memory: Memory::default() }
    }
}

impl Default for TypeSnapshot {
    fn default() -> Self {
        Self::new(BTreeMap::new())
    }
}

/// The version of a set of resources of one type, given in the order of their
/// names: a short hash over every name and content.
pub fn version_of<'a>(resources: impl IntoIterator<Item = &'a Arc<Served>>) -> Arc<str> {
    let parts = resources.into_iter().flat_map(|one| [one.name.0.as_bytes(), &one.hash.0]);
    ContentHash::of_parts(parts).short().into()
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

impl Snapshot {
    /// The snapshot that holds `types`.
    pub(super) fn of(
        key: SnapshotKey,
        types: BTreeMap<TypeUrl, BTreeMap<ResourceName, Arc<Served>>>,
    ) -> Self {
        let types: BTreeMap<_, _> = types
            .into_iter()
            .map(|(type_url, resources)| (type_url, Arc::new(TypeSnapshot::new(resources))))
            .collect();
        let parts = types.iter().flat_map(|(url, one)| [url.0.as_bytes(), one.version.as_bytes()]);
        let version = ContentHash::of_parts(parts);
        Self { key, types, version }
    }
}

/// Builds the snapshot of `key` from its resources, which have no name twice
/// within a type (`render` reports that).
pub fn build(key: SnapshotKey, resources: &[Arc<Resource>]) -> Snapshot {
    let mut types: BTreeMap<TypeUrl, BTreeMap<ResourceName, Arc<Served>>> = BTreeMap::new();
    for one in resources {
        let served = Served::new(&one.type_url, one.name.clone(), &one.body, one.hash);
        let same_type = types.entry(one.type_url.clone()).or_default();
        same_type.insert(one.name.clone(), Arc::new(served));
    }
    Snapshot::of(key, types)
}

/// The two fields of a cluster that say which endpoints it asks for; a decoder
/// skips all others.
#[derive(Clone, PartialEq, Message)]
struct ClusterPeek {
    #[prost(message, optional, tag = "3")]
    eds_cluster_config: Option<EdsPeek>,
}

#[derive(Clone, PartialEq, Message)]
struct EdsPeek {
    #[prost(string, tag = "2")]
    service_name: String,
}

fn endpoints_of(type_url: &TypeUrl, name: &ResourceName, body: &Bytes) -> Option<ResourceName> {
    if type_url.message() != ResourceKind::Clusters.message() {
        return None;
    }
    let eds = ClusterPeek::decode(body.clone()).ok()?.eds_cluster_config?;
    if eds.service_name.is_empty() {
        return Some(name.clone());
    }
    Some(ResourceName(eds.service_name.into()))
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::cluster::v3::{Cluster, cluster::EdsClusterConfig};
    use envoy_types::pb::google::protobuf::Any;

    use super::*;
    use crate::snapshot::testing::{cluster, key, resource, resource_of};

    #[test]
    fn equal_content_gives_equal_versions_in_any_order() {
        let a = build(key("beta"), &[cluster("a", 1), cluster("b", 1)]);
        let b = build(key("beta"), &[cluster("b", 1), cluster("a", 1)]);
        assert_eq!(a, b);
    }

    #[test]
    fn a_changed_resource_changes_only_its_own_type() {
        let listener = resource(ResourceKind::Listeners, "l", b"1");
        let a = build(key("beta"), &[cluster("a", 1), listener.clone()]);
        let b = build(key("beta"), &[cluster("a", 2), listener]);
        let (cds, lds) = (ResourceKind::Clusters.type_url(), ResourceKind::Listeners.type_url());
        assert_ne!(a.types[&cds].version, b.types[&cds].version);
        assert_eq!(a.types[&lds].version, b.types[&lds].version);
        assert_ne!(a.version, b.version);
    }

    #[test]
    fn a_resource_is_wrapped_as_protobuf_says() {
        let snapshot = build(key("beta"), &[cluster("a", 7)]);
        let served = &snapshot.types[&ResourceKind::Clusters.type_url()].resources
            [&ResourceName("a".into())];
        let any = Any::decode(served.any.clone()).unwrap();
        assert_eq!(any.type_url, "type.googleapis.com/envoy.config.cluster.v3.Cluster");
        assert_eq!(any.value, served.body());
        assert_eq!(&*served.version, ContentHash::of(&any.value).short());
    }

    #[test]
    fn a_cluster_knows_which_endpoints_it_asks_for() {
        let eds = |service_name: &str| Cluster {
            name: "a".into(),
            eds_cluster_config: Some(EdsClusterConfig {
                service_name: service_name.into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let asked = |cluster: &Cluster| {
            let body = cluster.encode_to_vec();
            let one = resource_of(ResourceKind::Clusters, "a", body);
            Served::new(&one.type_url, one.name.clone(), &one.body, one.hash).endpoints
        };
        assert_eq!(asked(&eds("")), Some(ResourceName("a".into())));
        assert_eq!(asked(&eds("other")), Some(ResourceName("other".into())));
        assert_eq!(asked(&Cluster::default()), None);
    }
}
