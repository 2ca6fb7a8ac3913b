//! Whether a route chooses its cluster by what is in a request: by a header, by
//! a plugin. Which clusters it needs is in no configuration then.

use bytes::Bytes;
use prost::Message;

use super::peek::{Any, managers};
use crate::model::{ResourceKind, TypeUrl};
use crate::snapshot::Served;

#[derive(Clone, PartialEq, Message)]
struct Routes {
    #[prost(message, repeated, tag = "2")]
    virtual_hosts: Vec<VirtualHost>,
}

#[derive(Clone, PartialEq, Message)]
struct VirtualHost {
    #[prost(message, repeated, tag = "3")]
    routes: Vec<Route>,
    /// Routes in a tree that is not looked into.
    #[prost(bytes = "bytes", optional, tag = "21")]
    matcher: Option<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
struct Route {
    #[prost(message, optional, tag = "2")]
    route: Option<Action>,
}

#[derive(Clone, PartialEq, Message)]
struct Action {
    #[prost(bytes = "bytes", optional, tag = "2")]
    cluster_header: Option<Bytes>,
    #[prost(message, optional, tag = "3")]
    weighted_clusters: Option<Weighted>,
    #[prost(message, repeated, tag = "30")]
    mirrors: Vec<Mirror>,
    #[prost(bytes = "bytes", optional, tag = "37")]
    plugin: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "39")]
    own_plugin: Option<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
struct Weighted {
    #[prost(message, repeated, tag = "1")]
    clusters: Vec<Weight>,
}

#[derive(Clone, PartialEq, Message)]
struct Weight {
    #[prost(string, tag = "12")]
    cluster_header: String,
}

#[derive(Clone, PartialEq, Message)]
struct Mirror {
    #[prost(string, tag = "5")]
    cluster_header: String,
}

impl Served {
    /// Of listeners, routes and virtual hosts: whether some route in it may
    /// lead to a cluster that it does not name.
    pub fn chooses_clusters(&self) -> bool {
        let Ok(Any { type_url, value }) = Any::decode(self.any.clone()) else { return false };
        match TypeUrl(type_url.into()).kind() {
            Some(ResourceKind::Routes) => of_routes(value),
            Some(ResourceKind::VirtualHosts) => VirtualHost::decode(value).is_ok_and(of_host),
            Some(ResourceKind::Listeners) => {
                managers(value).filter_map(|manager| manager.route_config).any(of_routes)
            }
            _ => false,
        }
    }
}

fn of_routes(message: Bytes) -> bool {
    Routes::decode(message).is_ok_and(|routes| routes.virtual_hosts.into_iter().any(of_host))
}

fn of_host(host: VirtualHost) -> bool {
    let mut actions = host.routes.into_iter().filter_map(|route| route.route);
    host.matcher.is_some() || actions.any(|action| action.chooses())
}

impl Action {
    fn chooses(&self) -> bool {
        let weights = self.weighted_clusters.iter().flat_map(|weighted| &weighted.clusters);
        self.cluster_header.is_some()
            || self.plugin.is_some()
            || self.own_plugin.is_some()
            || weights.into_iter().any(|one| !one.cluster_header.is_empty())
            || self.mirrors.iter().any(|one| !one.cluster_header.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::route::v3::route_action::{
        ClusterSpecifier, RequestMirrorPolicy,
    };
    use envoy_types::pb::envoy::config::route::v3::weighted_cluster::ClusterWeight;
    use envoy_types::pb::envoy::config::route::v3::{
        self as route, RouteAction, RouteConfiguration, WeightedCluster,
    };

    use super::*;
    use crate::snapshot::build;
    use crate::snapshot::testing::{key, resource_of};

    fn chooses(action: RouteAction) -> [bool; 2] {
        let action = Some(route::route::Action::Route(action));
        let routes = vec![route::Route { action, ..Default::default() }];
        let host = route::VirtualHost { routes, ..Default::default() };
        let all = RouteConfiguration { virtual_hosts: vec![host.clone()], ..Default::default() };
        let of = |kind: ResourceKind, body| {
            let snapshot = build(key("beta"), &[resource_of(kind, "r/x", body)]);
            snapshot.types[&kind.type_url()].all()[0].chooses_clusters()
        };
        [
            of(ResourceKind::Routes, all.encode_to_vec()),
            of(ResourceKind::VirtualHosts, host.encode_to_vec()),
        ]
    }

    fn to(specifier: ClusterSpecifier) -> RouteAction {
        RouteAction { cluster_specifier: Some(specifier), ..Default::default() }
    }

    #[test]
    fn a_route_that_goes_by_a_header_or_a_plugin_may_lead_anywhere() {
        let weighted = |one| {
            let clusters = vec![one];
            to(ClusterSpecifier::WeightedClusters(WeightedCluster {
                clusters,
                ..Default::default()
            }))
        };
        let weight = |header: &str| ClusterWeight {
            name: "a".into(),
            cluster_header: header.into(),
            ..Default::default()
        };
        let mirror = RequestMirrorPolicy { cluster_header: "x".into(), ..Default::default() };
        let mirrored = RouteAction { request_mirror_policies: vec![mirror], ..Default::default() };
        for (action, expected) in [
            (to(ClusterSpecifier::Cluster("a".into())), false),
            (to(ClusterSpecifier::ClusterHeader("x".into())), true),
            (to(ClusterSpecifier::ClusterSpecifierPlugin("p".into())), true),
            (weighted(weight("")), false),
            (weighted(weight("x")), true),
            (mirrored, true),
        ] {
            assert_eq!(chooses(action.clone()), [expected; 2], "{action:?}");
        }
    }
}
