//! Small meshes as real Envoy messages: those that the conformance suite has
//! servers hold.

use std::sync::Arc;

use convoy::conform::Item;
use convoy::conform::item::{eds_cluster, rds_listener_on};
use convoy::model::{FilePath, Place, Resource, ResourceName};
use convoy::snapshot::{Snapshot, build};

use super::key;

/// A cluster by EDS; `seconds` makes a difference.
pub(super) fn cluster(name: &str, seconds: u32) -> Arc<Resource> {
    resource(eds_cluster(name, seconds))
}

/// The endpoints of a cluster.
pub(super) fn endpoints(name: &str) -> Arc<Resource> {
    resource(convoy::conform::item::endpoints(name, 1))
}

/// A listener on any loopback port that asks for route `r`. A port above
/// 65535 is one that Envoy refuses.
pub(super) fn listener(name: &str, port: u32) -> Arc<Resource> {
    resource(rds_listener_on(port, name, "r"))
}

/// Route `r`, which leads to `cluster`.
pub(super) fn routes_to(cluster: &str) -> Arc<Resource> {
    resource(convoy::conform::item::routes_to("r", cluster))
}

/// A whole mesh whose one route leads to `name`.
pub(super) fn mesh(name: &str, port: u32) -> Arc<Snapshot> {
    snapshot(&[cluster(name, 1), endpoints(name), listener("l", port), routes_to(name)])
}

pub(super) fn snapshot(resources: &[Arc<Resource>]) -> Arc<Snapshot> {
    Arc::new(build(key("beta"), resources))
}

fn resource(item: Item) -> Arc<Resource> {
    let place = Place::file(FilePath::new("resources/x.yaml").unwrap());
    let name = ResourceName(item.name.as_str().into());
    Arc::new(Resource::new(item.kind.type_url(), name, item.body.into(), place))
}
