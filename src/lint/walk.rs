//! Finds the parts that rules are about, wherever a resource holds them.

use prost_reflect::{DynamicMessage, ReflectMessage};

use crate::schema::Schema;
use crate::schema::fields::{inner, list, map, opened, text, unpacked};

const CONNECTION_MANAGER: &str =
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const FAULT: &str = "envoy.extensions.filters.http.fault.v3.HTTPFault";

/// A part of a resource that rules are about.
pub(super) enum Part<'m> {
    /// A cluster.
    Cluster(&'m DynamicMessage),
    /// A route configuration, discovered or inline.
    Routes(&'m DynamicMessage),
    /// A virtual host, of a route configuration or by itself.
    VirtualHost(&'m DynamicMessage),
    /// A fault filter's configuration, and where it is.
    Fault { name: &'m str, config: &'m DynamicMessage },
}

/// Shows each part of `message` to `visit`.
pub(super) fn resource(schema: &Schema, message: &DynamicMessage, visit: &mut dyn FnMut(Part<'_>)) {
    match message.descriptor().full_name() {
        "envoy.config.cluster.v3.Cluster" => visit(Part::Cluster(message)),
        "envoy.config.listener.v3.Listener" => listener(schema, message, visit),
        "envoy.config.route.v3.RouteConfiguration" => routes(schema, message, visit),
        "envoy.config.route.v3.ScopedRouteConfiguration" => {
            if let Some(config) = inner(message, "route_configuration") {
                routes(schema, &config, visit);
            }
        }
        "envoy.config.route.v3.VirtualHost" => virtual_host(schema, message, visit),
        "envoy.config.core.v3.TypedExtensionConfig" => filter(schema, message, visit),
        _ => {}
    }
}

fn listener(schema: &Schema, message: &DynamicMessage, visit: &mut dyn FnMut(Part<'_>)) {
    let mut chains = list(message, "filter_chains");
    chains.extend(inner(message, "default_filter_chain"));
    for config in chains.iter().flat_map(|chain| list(chain, "filters")) {
        let Some(manager) = unpacked(schema, &config, "typed_config") else { continue };
        if manager.descriptor().full_name() != CONNECTION_MANAGER {
            continue;
        }
        for http_filter in list(&manager, "http_filters") {
            filter(schema, &http_filter, visit);
        }
        if let Some(config) = inner(&manager, "route_config") {
            routes(schema, &config, visit);
        }
    }
}

fn routes(schema: &Schema, message: &DynamicMessage, visit: &mut dyn FnMut(Part<'_>)) {
    visit(Part::Routes(message));
    for host in list(message, "virtual_hosts") {
        virtual_host(schema, &host, visit);
    }
}

fn virtual_host(schema: &Schema, message: &DynamicMessage, visit: &mut dyn FnMut(Part<'_>)) {
    visit(Part::VirtualHost(message));
    overrides(schema, message, visit);
    for route in list(message, "routes") {
        overrides(schema, &route, visit);
    }
}

fn overrides(schema: &Schema, message: &DynamicMessage, visit: &mut dyn FnMut(Part<'_>)) {
    for (name, any) in map(message, "typed_per_filter_config") {
        if let Some(config) = opened(schema, &any) {
            fault(&name, &config, visit);
        }
    }
}

fn filter(schema: &Schema, message: &DynamicMessage, visit: &mut dyn FnMut(Part<'_>)) {
    if let Some(config) = unpacked(schema, message, "typed_config") {
        fault(&text(message, "name"), &config, visit);
    }
}

fn fault(name: &str, config: &DynamicMessage, visit: &mut dyn FnMut(Part<'_>)) {
    if config.descriptor().full_name() == FAULT {
        visit(Part::Fault { name, config });
    }
}
