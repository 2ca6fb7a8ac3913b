//! Small meshes as real Envoy messages.

use std::sync::Arc;

use convoy::model::{FilePath, Place, Resource, ResourceKind, ResourceName};
use convoy::snapshot::{Snapshot, build};
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, DiscoveryType, EdsClusterConfig,
};
use envoy_types::pb::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{
    Address, AggregatedConfigSource, ApiVersion, ConfigSource, SocketAddress, address,
};
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::listener::v3::{Filter, FilterChain, Listener, filter};
use envoy_types::pb::envoy::config::route::v3::{
    Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost, route, route_action,
    route_match,
};
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, Rds, http_connection_manager, http_filter,
};
use envoy_types::pb::google::protobuf::{Any, Duration};
use prost::{Message, Name};

use super::key;

/// A cluster by EDS; `seconds` makes a difference.
pub(super) fn cluster(name: &str, seconds: i64) -> Arc<Resource> {
    let message = Cluster {
        name: name.into(),
        connect_timeout: Some(Duration { seconds, nanos: 0 }),
        eds_cluster_config: Some(EdsClusterConfig {
            eds_config: Some(ads()),
            ..Default::default()
        }),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        ..Default::default()
    };
    resource(ResourceKind::Clusters, name, &message)
}

/// No endpoints: enough for a cluster to be warm.
pub(super) fn endpoints(name: &str) -> Arc<Resource> {
    let message = ClusterLoadAssignment { cluster_name: name.into(), ..Default::default() };
    resource(ResourceKind::Endpoints, name, &message)
}

/// A listener on any loopback port that asks for route `r`. A port above
/// 65535 is one that Envoy refuses.
pub(super) fn listener(name: &str, port: u32) -> Arc<Resource> {
    let router = HttpFilter {
        name: "router".into(),
        config_type: Some(http_filter::ConfigType::TypedConfig(any(&Router::default()))),
        ..Default::default()
    };
    let rds = Rds { config_source: Some(ads()), route_config_name: "r".into() };
    let manager = HttpConnectionManager {
        stat_prefix: "x".into(),
        http_filters: vec![router],
        route_specifier: Some(http_connection_manager::RouteSpecifier::Rds(rds)),
        ..Default::default()
    };
    let filter = Filter {
        name: "hcm".into(),
        config_type: Some(filter::ConfigType::TypedConfig(any(&manager))),
    };
    let socket = SocketAddress {
        address: "127.0.0.1".into(),
        port_specifier: Some(PortSpecifier::PortValue(port)),
        ..Default::default()
    };
    let message = Listener {
        name: name.into(),
        address: Some(Address { address: Some(address::Address::SocketAddress(socket)) }),
        filter_chains: vec![FilterChain { filters: vec![filter], ..Default::default() }],
        ..Default::default()
    };
    resource(ResourceKind::Listeners, name, &message)
}

/// Route `r`, which leads to `cluster`.
pub(super) fn routes_to(cluster: &str) -> Arc<Resource> {
    let action = RouteAction {
        cluster_specifier: Some(route_action::ClusterSpecifier::Cluster(cluster.into())),
        ..Default::default()
    };
    let route = Route {
        r#match: Some(RouteMatch {
            path_specifier: Some(route_match::PathSpecifier::Prefix("/".into())),
            ..Default::default()
        }),
        action: Some(route::Action::Route(action)),
        ..Default::default()
    };
    let host = VirtualHost {
        name: "v".into(),
        domains: vec!["*".into()],
        routes: vec![route],
        ..Default::default()
    };
    let message =
        RouteConfiguration { name: "r".into(), virtual_hosts: vec![host], ..Default::default() };
    resource(ResourceKind::Routes, "r", &message)
}

/// A whole mesh whose one route leads to `name`.
pub(super) fn mesh(name: &str, port: u32) -> Arc<Snapshot> {
    snapshot(&[cluster(name, 1), endpoints(name), listener("l", port), routes_to(name)])
}

pub(super) fn snapshot(resources: &[Arc<Resource>]) -> Arc<Snapshot> {
    Arc::new(build(key("beta"), resources))
}

fn resource(kind: ResourceKind, name: &str, message: &impl Message) -> Arc<Resource> {
    let place = Place::file(FilePath::new("resources/x.yaml").unwrap());
    let body = message.encode_to_vec().into();
    Arc::new(Resource::new(kind.type_url(), ResourceName(name.into()), body, place))
}

fn any<M: Message + Name>(message: &M) -> Any {
    Any {
        type_url: format!("type.googleapis.com/{}", M::full_name()),
        value: message.encode_to_vec(),
    }
}

fn ads() -> ConfigSource {
    ConfigSource {
        resource_api_version: ApiVersion::V3.into(),
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        ..Default::default()
    }
}
