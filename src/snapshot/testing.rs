//! Small resources for the tests of this module and of `xds`.

use std::sync::Arc;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::route::v3::{
    Route, RouteAction, RouteConfiguration, VirtualHost, route, route_action,
};
use envoy_types::pb::google::protobuf::Duration;
use prost::Message;

use crate::model::{
    FilePath, NodeGroup, Place, RepoName, Resource, ResourceKind, ResourceName, SnapshotKey, Stage,
};

/// The key of `stage` in `mesh/config`.
pub(crate) fn key(stage: &str) -> SnapshotKey {
    SnapshotKey {
        repo: RepoName::new("mesh/config").unwrap(),
        stage: Stage::new(stage).unwrap(),
        group: NodeGroup::default(),
    }
}

/// A resource whose body need not be a message.
pub(crate) fn resource(kind: ResourceKind, name: &str, body: &[u8]) -> Arc<Resource> {
    resource_of(kind, name, body.to_vec())
}

/// A resource from encoded bytes.
pub(crate) fn resource_of(kind: ResourceKind, name: &str, body: Vec<u8>) -> Arc<Resource> {
    let place = Place::file(FilePath::new("resources/x.yaml").unwrap());
    Arc::new(Resource::new(kind.type_url(), ResourceName(name.into()), body.into(), place))
}

/// A cluster that differs by `seconds`.
pub(crate) fn cluster(name: &str, seconds: i64) -> Arc<Resource> {
    let message = Cluster {
        name: name.into(),
        connect_timeout: Some(Duration { seconds, nanos: 0 }),
        ..Default::default()
    };
    resource_of(ResourceKind::Clusters, name, message.encode_to_vec())
}

/// A route configuration that leads to one cluster.
pub(crate) fn route_to(name: &str, cluster: &str) -> Arc<Resource> {
    let to = route_action::ClusterSpecifier::Cluster(cluster.into());
    let action = RouteAction { cluster_specifier: Some(to), ..Default::default() };
    let route = Route { action: Some(route::Action::Route(action)), ..Default::default() };
    let host = VirtualHost { name: "all".into(), routes: vec![route], ..VirtualHost::default() };
    let message = RouteConfiguration {
        name: name.into(),
        virtual_hosts: vec![host],
        ..RouteConfiguration::default()
    };
    resource_of(ResourceKind::Routes, name, message.encode_to_vec())
}
