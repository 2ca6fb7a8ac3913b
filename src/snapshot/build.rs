//! From resources to a snapshot: wrapped once, versioned by content.
//!
//! Pure. Every version is a hash of canonical bytes, so two replicas, or one
//! process before and after a restart, give the same names to the same
//! content. `reconcile` builds snapshots; `xds` serves them untouched.

use std::collections::{BTreeMap, btree_map};
use std::iter::Peekable;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use prost::Message;

use super::changes::Memory;
use super::index::Index;
use super::wire;
use crate::model::{
    ContentHash, Resource, ResourceKind, ResourceName, SnapshotKey, TypeUrl, Wrapping,
};

/// One resource as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Its name within the type.
    pub name: ResourceName,
    /// The version a delta client sees: the short content hash.
    pub version: Arc<str>,
    /// The encoded `google.protobuf.Any` that holds it.
    pub any: Bytes,
    /// The hash of the message inside and of its wrapping.
    pub hash: ContentHash,
    /// Its time to live and its other names.
    pub wrapping: Wrapping,
    /// For a cluster whose endpoints come by EDS: the name it asks for.
    pub endpoints: Option<ResourceName>,
}

impl Served {
    /// Wraps the message `body` of type `type_url`.
    pub fn new(type_url: &TypeUrl, name: ResourceName, body: &Bytes, hash: ContentHash) -> Self {
        let mut any = BytesMut::with_capacity(wire::any_len(type_url, body));
        wire::put_any(type_url, body, &mut any);
        Self::wrapped(type_url, name, any.freeze(), body, Wrapping::default(), hash)
    }

    /// Wraps a resource with all that is said around its message.
    pub fn of(resource: &Resource) -> Self {
        let Resource { type_url, name, body, wrapping, hash, .. } = resource;
        let plain = Self::new(type_url, name.clone(), body, *hash);
        Self { wrapping: wrapping.clone(), ..plain }
    }

    /// Takes a message that is wrapped already.
    pub(super) fn wrapped(
        type_url: &TypeUrl,
        name: ResourceName,
        any: Bytes,
        body: &Bytes,
        wrapping: Wrapping,
        hash: ContentHash,
    ) -> Self {
        let endpoints = endpoints_of(type_url, &name, body);
        Self { name, version: hash.short().into(), any, hash, wrapping, endpoints }
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
    pub(super) index: Index,
}

impl TypeSnapshot {
    /// The snapshot of a type from its resources.
    pub fn new(resources: BTreeMap<ResourceName, Arc<Served>>) -> Self {
        let version = version_of(resources.values());
        Self { version, resources, memory: Memory::default(), index: Index::default() }
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
        Self::on(None, key, types)
    }

    /// The snapshot that holds `types`, each as it is in `before` if it is the
    /// same there.
    fn on(
        before: Option<&Self>,
        key: SnapshotKey,
        types: BTreeMap<TypeUrl, BTreeMap<ResourceName, Arc<Served>>>,
    ) -> Self {
        let types: BTreeMap<_, _> = types
            .into_iter()
            .map(|(type_url, resources)| {
                let known = before.and_then(|before| before.types.get(&type_url));
                let same = known.filter(|known| same(&known.resources, &resources)).cloned();
                let own = same.unwrap_or_else(|| Arc::new(TypeSnapshot::new(resources)));
                (type_url, own)
            })
            .collect();
        let parts = types.iter().flat_map(|(url, one)| [url.0.as_bytes(), one.version.as_bytes()]);
        let version = ContentHash::of_parts(parts);
        Self { key, types, version }
    }
}

/// Whether both hold the very same resources.
fn same(a: &BTreeMap<ResourceName, Arc<Served>>, b: &BTreeMap<ResourceName, Arc<Served>>) -> bool {
    a.len() == b.len() && a.values().zip(b.values()).all(|(a, b)| Arc::ptr_eq(a, b))
}

/// Builds the snapshot of `key` from its resources, which have no name twice
/// within a type (`render` reports that).
pub fn build(key: SnapshotKey, resources: &[Arc<Resource>]) -> Snapshot {
    build_on(None, key, resources)
}

/// Builds the same snapshot as [`build`], and takes over from `before` what did
/// not change: resources with their wrapping, and types as a whole. So memory
/// holds each content once, and a small change costs little.
pub fn build_on(
    before: Option<&Snapshot>,
    key: SnapshotKey,
    resources: &[Arc<Resource>],
) -> Snapshot {
    let mut types: BTreeMap<&TypeUrl, (Known<'_>, Vec<_>)> = BTreeMap::new();
    for same_type in resources.chunk_by(|a, b| a.type_url == b.type_url) {
        let Some(type_url) = same_type.first().map(|one| &one.type_url) else { continue };
        let new = || {
            let known = before.and_then(|before| before.types.get(type_url));
            (Known::new(known.map(|known| &known.resources)), Vec::new())
        };
        let (known, all) = types.entry(type_url).or_insert_with(new);
        all.extend(same_type.iter().map(|one| match known.find(one) {
            Some(known) => (known.name.clone(), known.clone()),
            None => (one.name.clone(), Arc::new(Served::of(one))),
        }));
    }
    // From a sorted list, a map is made without a search.
    let map = |(url, (_, all)): (&TypeUrl, (_, Vec<_>))| (url.clone(), all.into_iter().collect());
    Snapshot::on(before, key, types.into_iter().map(map).collect())
}

/// What was served before, asked for mostly in the order of the names.
struct Known<'b> {
    all: Option<&'b BTreeMap<ResourceName, Arc<Served>>>,
    ahead: Peekable<btree_map::Values<'b, ResourceName, Arc<Served>>>,
}

impl<'b> Known<'b> {
    fn new(all: Option<&'b BTreeMap<ResourceName, Arc<Served>>>) -> Self {
        let ahead = all.map(BTreeMap::values).unwrap_or_default().peekable();
        Self { all, ahead }
    }

    /// The same resource, if it was served.
    fn find(&mut self, one: &Resource) -> Option<&'b Arc<Served>> {
        while self.ahead.next_if(|next| next.name < one.name).is_some() {}
        let next = self.ahead.next_if(|next| next.name == one.name);
        let known = next.or_else(|| self.all?.get(&one.name))?;
        (known.hash == one.hash).then_some(known)
    }
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
    fn what_did_not_change_is_taken_over() {
        let listener = resource(ResourceKind::Listeners, "l", b"1");
        let before = build(key("beta"), &[cluster("a", 1), cluster("b", 1), listener.clone()]);
        let now = [cluster("a", 1), cluster("b", 2), listener];
        let built = build_on(Some(&before), key("beta"), &now);
        assert_eq!(built, build(key("beta"), &now));
        let (cds, lds) = (ResourceKind::Clusters.type_url(), ResourceKind::Listeners.type_url());
        assert!(Arc::ptr_eq(&built.types[&lds], &before.types[&lds]));
        let a = |of: &Snapshot| of.types[&cds].resources["a"].clone();
        assert!(Arc::ptr_eq(&a(&built), &a(&before)));
        assert!(!Arc::ptr_eq(&built.types[&cds], &before.types[&cds]));
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
            Served::of(&one).endpoints
        };
        assert_eq!(asked(&eds("")), Some(ResourceName("a".into())));
        assert_eq!(asked(&eds("other")), Some(ResourceName("other".into())));
        assert_eq!(asked(&Cluster::default()), None);
    }
}
