//! Which route configurations listeners and scoped routes name.
//!
//! Reads the few fields that say so, and skips all others.

use std::collections::BTreeSet;
use std::sync::Arc;

use prost::Message;

use super::peek::{Any, Manager, Named, managers};
use crate::model::ResourceName;
use crate::snapshot::Served;

/// The type of a scoped route, as a type URL ends.
const SCOPED: &str = "/envoy.config.route.v3.ScopedRouteConfiguration";

/// The route configurations that `all` name.
pub(super) fn named<'a>(all: impl Iterator<Item = &'a Arc<Served>>) -> BTreeSet<ResourceName> {
    let names = all.flat_map(|one| match Any::decode(one.any.clone()) {
        Ok(any) if any.type_url.ends_with(SCOPED) => {
            Named::decode(any.value).into_iter().map(|named| named.route).collect()
        }
        Ok(any) => managers(any.value).flat_map(of_manager).collect(),
        Err(_) => Vec::new(),
    });
    names.filter(|name| !name.is_empty()).map(|name| ResourceName(name.into())).collect()
}

fn of_manager(manager: Manager) -> impl Iterator<Item = String> {
    let scoped = manager.scoped_routes.and_then(|scoped| scoped.list);
    let scoped = scoped.into_iter().flat_map(|list| list.all);
    manager.rds.into_iter().chain(scoped).map(|named| named.route)
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::listener::v3 as listener;
    use envoy_types::pb::envoy::config::route::v3::ScopedRouteConfiguration;
    use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as http;
    use envoy_types::pb::google::protobuf::Any as ProtoAny;

    use super::super::peek::MANAGER;
    use super::*;
    use crate::model::{Resource, ResourceKind};
    use crate::snapshot::testing::{key, resource_of};
    use crate::snapshot::{Snapshot, build};

    fn manager(specifier: http::http_connection_manager::RouteSpecifier) -> ProtoAny {
        let manager =
            http::HttpConnectionManager { route_specifier: Some(specifier), ..Default::default() };
        ProtoAny {
            type_url: format!("type.googleapis.com{MANAGER}"),
            value: manager.encode_to_vec(),
        }
    }

    fn rds(route: &str) -> ProtoAny {
        let rds = http::Rds { route_config_name: route.into(), config_source: None };
        manager(http::http_connection_manager::RouteSpecifier::Rds(rds))
    }

    fn scope(route: &str) -> ScopedRouteConfiguration {
        ScopedRouteConfiguration { route_configuration_name: route.into(), ..Default::default() }
    }

    fn scopes(route: &str) -> ProtoAny {
        let list =
            http::ScopedRouteConfigurationsList { scoped_route_configurations: vec![scope(route)] };
        let specifier = http::scoped_routes::ConfigSpecifier::ScopedRouteConfigurationsList(list);
        let scoped = http::ScopedRoutes { config_specifier: Some(specifier), ..Default::default() };
        manager(http::http_connection_manager::RouteSpecifier::ScopedRoutes(scoped))
    }

    fn chain(config: ProtoAny) -> listener::FilterChain {
        let filter = listener::Filter {
            config_type: Some(listener::filter::ConfigType::TypedConfig(config)),
            ..Default::default()
        };
        listener::FilterChain { filters: vec![filter], ..Default::default() }
    }

    fn of(resource: Arc<Resource>) -> Snapshot {
        build(key("beta"), &[resource])
    }

    fn listeners(chains: Vec<listener::FilterChain>) -> Snapshot {
        let message = listener::Listener {
            default_filter_chain: chains.first().cloned(),
            filter_chains: chains.into_iter().skip(1).collect(),
            api_listener: Some(listener::ApiListener { api_listener: Some(rds("api")) }),
            ..Default::default()
        };
        of(resource_of(ResourceKind::Listeners, "l", message.encode_to_vec()))
    }

    fn check(snapshot: &Snapshot, expected: &[&str]) {
        let state = snapshot.types.values().next().unwrap();
        let names: Vec<_> = state.routes_named().iter().map(|name| name.0.as_ref()).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn routes_are_found_in_listeners_and_in_scopes() {
        let chains = vec![chain(rds("a")), chain(rds("b")), chain(scopes("c")), chain(rds(""))];
        check(&listeners(chains), &["a", "api", "b", "c"]);
        let scoped = scope("d").encode_to_vec();
        check(&of(resource_of(ResourceKind::ScopedRoutes, "s", scoped)), &["d"]);
        check(&of(resource_of(ResourceKind::Listeners, "l", vec![0xff])), &[]);
    }
}
