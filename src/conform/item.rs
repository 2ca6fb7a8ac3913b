//! The resources that the suite has a server hold: small, valid, and telling
//! their revision apart.

use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, DiscoveryType, EdsClusterConfig,
};
use envoy_types::pb::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{
    Address, AggregatedConfigSource, ApiVersion, ConfigSource, DataSource, SocketAddress,
    TypedExtensionConfig, address,
};
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints,
};
use envoy_types::pb::envoy::config::listener::v3::{Filter, FilterChain, Listener, filter};
use envoy_types::pb::envoy::config::route::v3::scoped_route_configuration::{Key, key};
use envoy_types::pb::envoy::config::route::v3::{
    DirectResponseAction, Route, RouteAction, RouteConfiguration, RouteMatch,
    ScopedRouteConfiguration, VirtualHost, route, route_action, route_match,
};
use envoy_types::pb::envoy::extensions::filters::http::buffer::v3::Buffer;
use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, Rds, http_connection_manager, http_filter,
};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    GenericSecret, Secret, secret,
};
use envoy_types::pb::envoy::service::runtime::v3::Runtime;
use envoy_types::pb::google::protobuf::value::Kind as Scalar;
use envoy_types::pb::google::protobuf::{Any, Struct, UInt32Value, Value};
use prost::{Message, Name};

use crate::model::ResourceKind;

/// A resource to be held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its name.
    pub name: String,
    /// The message, encoded.
    pub body: Vec<u8>,
    /// How long a client may keep it without hearing of it.
    pub ttl: Option<Duration>,
}

impl Item {
    fn new(kind: ResourceKind, name: &str, message: &impl Message) -> Self {
        Self { kind, name: name.to_owned(), body: message.encode_to_vec(), ttl: None }
    }

    /// The same with a time to live.
    #[must_use]
    pub(super) fn with_ttl(self, ttl: Duration) -> Self {
        Self { ttl: Some(ttl), ..self }
    }
}

/// Any resource of `kind`; equal arguments give equal ones, and another
/// `revision` another content.
pub(super) fn item(kind: ResourceKind, name: &str, revision: u32) -> Item {
    match kind {
        ResourceKind::Clusters => cluster(name, revision),
        ResourceKind::Endpoints => endpoints(name, revision),
        ResourceKind::Secrets => secret(name, revision),
        ResourceKind::ExtensionConfigs => extension(name, revision),
        ResourceKind::Listeners => listener(name, revision),
        ResourceKind::ScopedRoutes => scope(name, revision),
        ResourceKind::Routes => routes(name, revision),
        ResourceKind::VirtualHosts => virtual_host(name, revision),
        ResourceKind::Runtime => runtime(name, revision),
    }
}

fn timeout(revision: u32) -> Option<envoy_types::pb::google::protobuf::Duration> {
    Some(envoy_types::pb::google::protobuf::Duration { seconds: i64::from(revision), nanos: 0 })
}

/// A cluster whose endpoints are its own affair.
pub(super) fn cluster(name: &str, revision: u32) -> Item {
    let assignment = ClusterLoadAssignment { cluster_name: name.into(), ..Default::default() };
    let message = Cluster {
        name: name.into(),
        connect_timeout: timeout(revision),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Static.into())),
        load_assignment: Some(assignment),
        ..Default::default()
    };
    Item::new(ResourceKind::Clusters, name, &message)
}

/// A cluster whose endpoints come by EDS.
pub fn eds_cluster(name: &str, revision: u32) -> Item {
    let eds = EdsClusterConfig { eds_config: Some(ads()), ..Default::default() };
    let message = Cluster {
        name: name.into(),
        connect_timeout: timeout(revision),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        eds_cluster_config: Some(eds),
        ..Default::default()
    };
    Item::new(ResourceKind::Clusters, name, &message)
}

/// One endpoint on a loopback port.
pub fn endpoints(name: &str, revision: u32) -> Item {
    let endpoint = Endpoint { address: Some(socket(20_000 + revision)), ..Default::default() };
    let endpoint = LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(endpoint)),
        ..Default::default()
    };
    let locality = LocalityLbEndpoints { lb_endpoints: vec![endpoint], ..Default::default() };
    let message = ClusterLoadAssignment {
        cluster_name: name.into(),
        endpoints: vec![locality],
        ..Default::default()
    };
    Item::new(ResourceKind::Endpoints, name, &message)
}

/// A listener with its routes inside.
pub(super) fn listener(name: &str, revision: u32) -> Item {
    let inside = RouteConfiguration {
        name: name.into(),
        virtual_hosts: vec![host("all", "*", answer(revision))],
        ..Default::default()
    };
    listener_with(port(name), name, http_connection_manager::RouteSpecifier::RouteConfig(inside))
}

/// A listener whose routes come by RDS.
pub(super) fn rds_listener(name: &str, route: &str) -> Item {
    rds_listener_on(port(name), name, route)
}

/// The same on a loopback port of one's choice; above 65535 it is one that
/// Envoy refuses.
pub fn rds_listener_on(port: u32, name: &str, route: &str) -> Item {
    let rds = Rds { config_source: Some(ads()), route_config_name: route.into() };
    listener_with(port, name, http_connection_manager::RouteSpecifier::Rds(rds))
}

fn listener_with(port: u32, name: &str, routes: http_connection_manager::RouteSpecifier) -> Item {
    let router = HttpFilter {
        name: "envoy.filters.http.router".into(),
        config_type: Some(http_filter::ConfigType::TypedConfig(any(&Router::default()))),
        ..Default::default()
    };
    let manager = HttpConnectionManager {
        stat_prefix: "conform".into(),
        http_filters: vec![router],
        route_specifier: Some(routes),
        ..Default::default()
    };
    let filter = Filter {
        name: "envoy.filters.network.http_connection_manager".into(),
        config_type: Some(filter::ConfigType::TypedConfig(any(&manager))),
    };
    let message = Listener {
        name: name.into(),
        address: Some(socket(port)),
        filter_chains: vec![FilterChain { filters: vec![filter], ..Default::default() }],
        ..Default::default()
    };
    Item::new(ResourceKind::Listeners, name, &message)
}

/// A port that belongs to the name, so that no two listeners share one.
fn port(name: &str) -> u32 {
    let sum = name.bytes().fold(7_u32, |sum, byte| (sum * 31 + u32::from(byte)) % 9_973);
    11_000 + sum
}

/// Routes that answer by themselves.
pub(super) fn routes(name: &str, revision: u32) -> Item {
    routes_with(name, answer(revision))
}

/// Routes that lead to a cluster.
pub fn routes_to(name: &str, cluster: &str) -> Item {
    let action = RouteAction {
        cluster_specifier: Some(route_action::ClusterSpecifier::Cluster(cluster.into())),
        ..Default::default()
    };
    routes_with(name, route::Action::Route(action))
}

fn routes_with(name: &str, action: route::Action) -> Item {
    let virtual_hosts = vec![host("all", "*", action)];
    let message = RouteConfiguration { name: name.into(), virtual_hosts, ..Default::default() };
    Item::new(ResourceKind::Routes, name, &message)
}

/// A virtual host on its own, named `route/host`, serving `host.example`.
pub(super) fn virtual_host(name: &str, revision: u32) -> Item {
    let domain = format!("{}.example", name.rsplit('/').next().unwrap_or(name));
    Item::new(ResourceKind::VirtualHosts, name, &host(name, &domain, answer(revision)))
}

fn host(name: &str, domain: &str, action: route::Action) -> VirtualHost {
    let route = Route {
        r#match: Some(RouteMatch {
            path_specifier: Some(route_match::PathSpecifier::Prefix("/".into())),
            ..Default::default()
        }),
        action: Some(action),
        ..Default::default()
    };
    VirtualHost {
        name: name.into(),
        domains: vec![domain.into()],
        routes: vec![route],
        ..Default::default()
    }
}

fn answer(revision: u32) -> route::Action {
    let status = 200 + revision;
    route::Action::DirectResponse(DirectResponseAction { status, ..Default::default() })
}

/// A scope that leads to the routes of the same name.
fn scope(name: &str, revision: u32) -> Item {
    let fragment = key::Fragment {
        r#type: Some(key::fragment::Type::StringKey(format!("{name}-{revision}"))),
    };
    let message = ScopedRouteConfiguration {
        name: name.into(),
        route_configuration_name: name.into(),
        key: Some(Key { fragments: vec![fragment] }),
        ..Default::default()
    };
    Item::new(ResourceKind::ScopedRoutes, name, &message)
}

fn secret(name: &str, revision: u32) -> Item {
    let inline = Specifier::InlineString(format!("not a secret, revision {revision}"));
    let generic = GenericSecret {
        secret: Some(DataSource { specifier: Some(inline), ..Default::default() }),
        ..Default::default()
    };
    let message = Secret { name: name.into(), r#type: Some(secret::Type::GenericSecret(generic)) };
    Item::new(ResourceKind::Secrets, name, &message)
}

fn extension(name: &str, revision: u32) -> Item {
    let buffer = Buffer { max_request_bytes: Some(UInt32Value { value: revision }) };
    let message = TypedExtensionConfig { name: name.into(), typed_config: Some(any(&buffer)) };
    Item::new(ResourceKind::ExtensionConfigs, name, &message)
}

fn runtime(name: &str, revision: u32) -> Item {
    let value = Value { kind: Some(Scalar::NumberValue(f64::from(revision))) };
    let layer = Struct { fields: [("conform.revision".to_owned(), value)].into() };
    let message = Runtime { name: name.into(), layer: Some(layer) };
    Item::new(ResourceKind::Runtime, name, &message)
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

fn socket(port: u32) -> Address {
    let socket = SocketAddress {
        address: "127.0.0.1".into(),
        port_specifier: Some(PortSpecifier::PortValue(port)),
        ..Default::default()
    };
    Address { address: Some(address::Address::SocketAddress(socket)) }
}
