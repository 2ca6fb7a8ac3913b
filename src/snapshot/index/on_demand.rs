//! Which route configurations load their virtual hosts on demand: those of an
//! HTTP connection manager that has Envoy's `on_demand` filter.
//!
//! Reads the few fields that say so, and skips all others.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::peek::{Filter, managers};
use crate::model::ResourceName;
use crate::snapshot::Served;

/// The type of the filter's configuration, as a type URL ends.
const FILTER: &str = "/envoy.extensions.filters.http.on_demand.v3.OnDemand";
/// The route configurations of `listeners` that are loaded so.
pub(super) fn routes<'a>(
    listeners: impl Iterator<Item = &'a Arc<Served>>,
) -> BTreeSet<ResourceName> {
    listeners
        .flat_map(|one| managers(one.body()))
        .filter(|manager| manager.http_filters.iter().any(is_on_demand))
        .filter_map(|manager| manager.rds)
        .map(|rds| ResourceName(rds.route.into()))
        .collect()
}

fn is_on_demand(filter: &Filter) -> bool {
    filter.typed_config.as_ref().is_some_and(|config| config.type_url.ends_with(FILTER))
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::listener::v3 as listener;
    use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as http;
    use envoy_types::pb::google::protobuf::Any as ProtoAny;

    use prost::Message as _;

    use super::super::peek::MANAGER;
    use super::*;
    use crate::model::ResourceKind;
    use crate::snapshot::build;
    use crate::snapshot::testing::{key, resource_of};

    fn any(end: &str, value: Vec<u8>) -> ProtoAny {
        ProtoAny { type_url: format!("type.googleapis.com{end}"), value }
    }

    /// A filter chain for `route` with the HTTP filters of the types `filters`.
    fn chain(route: &str, filters: &[&str]) -> listener::FilterChain {
        let filter = |end: &&str| http::HttpFilter {
            config_type: Some(http::http_filter::ConfigType::TypedConfig(any(end, vec![]))),
            ..Default::default()
        };
        let rds = http::Rds { route_config_name: route.into(), config_source: None };
        let manager = http::HttpConnectionManager {
            http_filters: filters.iter().map(filter).collect(),
            route_specifier: Some(http::http_connection_manager::RouteSpecifier::Rds(rds)),
            ..Default::default()
        };
        let config = any(MANAGER, manager.encode_to_vec());
        let filter = listener::Filter {
            config_type: Some(listener::filter::ConfigType::TypedConfig(config)),
            ..Default::default()
        };
        listener::FilterChain { filters: vec![filter], ..Default::default() }
    }

    #[test]
    fn routes_behind_the_on_demand_filter_are_found() {
        let router = "/envoy.extensions.filters.http.router.v3.Router";
        let message = listener::Listener {
            filter_chains: vec![chain("a", &[FILTER, router]), chain("b", &[router])],
            default_filter_chain: Some(chain("c", &[FILTER])),
            ..Default::default()
        };
        let resource = resource_of(ResourceKind::Listeners, "l", message.encode_to_vec());
        let snapshot = build(key("beta"), &[resource]);
        let found = snapshot.types[&ResourceKind::Listeners.type_url()].routes_on_demand();
        let names: Vec<_> = found.iter().map(|name| name.0.as_ref()).collect();
        assert_eq!(names, ["a", "c"]);
    }
}
