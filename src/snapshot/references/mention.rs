//! Finds what a message names: every place where Envoy's vocabulary refers to
//! a resource by its name, at any depth.
//!
//! Generic over messages. A field is known by its own name and its owner's,
//! never by a list of filters, because filters come and go with Envoy's
//! versions. It does not know what exists; `references` asks that.

use prost_reflect::{DynamicMessage, MapKey, ReflectMessage, Value};

use super::Decode;
use crate::model::{Mention, ResourceKind, TypeUrl};

/// Messages nest in messages; Envoy itself gives up at 100 levels.
const MAX_DEPTH: usize = 100;

/// Everything that `message` names and that comes from this control plane.
pub(super) fn mentions(decode: &Decode<'_>, message: &DynamicMessage) -> Vec<Mention> {
    let mut walk = Walk { decode, found: Vec::new() };
    walk.message(message, 0);
    walk.found
}

struct Walk<'a> {
    decode: &'a Decode<'a>,
    found: Vec<Mention>,
}

impl Walk<'_> {
    fn message(&mut self, message: &DynamicMessage, depth: usize) {
        let descriptor = message.descriptor();
        if depth > MAX_DEPTH || is_opaque(descriptor.full_name()) {
            return;
        }
        if descriptor.full_name() == "google.protobuf.Any" {
            return self.any(message, depth);
        }
        self.found.extend(named_by(message));
        for (field, value) in message.fields() {
            if field.name() == "scoped_routes" && !routes_come_from_here(value) {
                continue;
            }
            self.value(value, depth + 1);
        }
    }

    fn value(&mut self, value: &Value, depth: usize) {
        match value {
            Value::Message(message) => self.message(message, depth),
            Value::List(values) => values.iter().for_each(|value| self.value(value, depth)),
            Value::Map(map) => {
                let entries: std::collections::BTreeMap<&MapKey, &Value> = map.iter().collect();
                entries.values().for_each(|value| self.value(value, depth));
            }
            _ => {}
        }
    }

    fn any(&mut self, any: &DynamicMessage, depth: usize) {
        let Some(type_url) = text(any, "type_url") else { return };
        let body = any.get_field_by_name("value");
        let body = body.as_deref().and_then(Value::as_bytes).cloned().unwrap_or_default();
        if let Some(message) = (self.decode)(&TypeUrl(type_url.into()), &body) {
            self.message(&message, depth + 1);
        }
    }
}

/// Messages whose names are not references to what we serve: a config source
/// names clusters of the bootstrap, and metadata is anybody's.
fn is_opaque(name: &str) -> bool {
    const OPAQUE: [&str; 4] = [
        "envoy.config.core.v3.ConfigSource",
        "envoy.config.core.v3.ApiConfigSource",
        "envoy.config.core.v3.Metadata",
        "envoy.config.core.v3.Node",
    ];
    OPAQUE.contains(&name)
}

/// What `message` names by fields of its own.
fn named_by(message: &DynamicMessage) -> Vec<Mention> {
    let mut found = Vec::new();
    let mut add = |kind, name: Option<String>| {
        found.extend(name.map(|name| Mention { kind, name }));
    };
    match message.descriptor().full_name() {
        "envoy.config.cluster.v3.Cluster" => add(ResourceKind::Endpoints, endpoints(message)),
        "envoy.config.route.v3.ScopedRouteConfiguration" => {
            add(ResourceKind::Routes, text(message, "route_configuration_name"));
        }
        "envoy.extensions.filters.network.http_connection_manager.v3.Rds" => {
            add(ResourceKind::Routes, from_here(message, "config_source", "route_config_name"));
        }
        "envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig" => {
            add(ResourceKind::Secrets, from_here(message, "sds_config", "name"));
        }
        "envoy.extensions.clusters.aggregate.v3.ClusterConfig" => {
            texts(message, "clusters")
                .into_iter()
                .for_each(|c| add(ResourceKind::Clusters, Some(c)));
        }
        name if name.ends_with("WeightedCluster.ClusterWeight") => {
            add(ResourceKind::Clusters, text(message, "name"));
        }
        name => {
            CLUSTER_FIELDS.iter().filter(|_| is_configuration(name)).for_each(|field| {
                add(ResourceKind::Clusters, text(message, field));
            });
            add(ResourceKind::ExtensionConfigs, discovered_extension(message));
        }
    }
    found
}

/// The spellings under which Envoy's configuration names one cluster.
const CLUSTER_FIELDS: [&str; 4] =
    ["cluster", "cluster_name", "collector_cluster", "default_cluster"];

/// Whether a message's cluster fields are references. A load assignment names
/// itself so, and a dynamic module's cluster names its code.
fn is_configuration(message: &str) -> bool {
    (message.starts_with("envoy.config.") || message.starts_with("envoy.extensions."))
        && !message.starts_with("envoy.config.endpoint.")
        && !message.starts_with("envoy.extensions.clusters.dynamic_modules.")
}

/// The endpoints that a cluster gets by EDS from here.
fn endpoints(cluster: &DynamicMessage) -> Option<String> {
    const EDS: i32 = 3;
    if cluster.get_field_by_name("type")?.as_enum_number() != Some(EDS) {
        return None;
    }
    let eds = sub(cluster, "eds_cluster_config")?;
    comes_from_here(&sub(&eds, "eds_config")?)
        .then(|| text(&eds, "service_name").or_else(|| text(cluster, "name")))?
}

/// The extension that a filter's `config_discovery` asks for: it goes by the
/// filter's own name.
fn discovered_extension(filter: &DynamicMessage) -> Option<String> {
    let discovery = sub(filter, "config_discovery")?;
    comes_from_here(&sub(&discovery, "config_source")?).then(|| text(filter, "name"))?
}

fn from_here(message: &DynamicMessage, source: &str, name: &str) -> Option<String> {
    comes_from_here(&sub(message, source)?).then(|| text(message, name))?
}

/// Whether a `ConfigSource` is this control plane: `ads` or `self`.
fn comes_from_here(source: &DynamicMessage) -> bool {
    source.has_field_by_name("ads") || source.has_field_by_name("self")
}

/// Whether the route configurations that `ScopedRoutes` leads to are ours.
fn routes_come_from_here(scoped_routes: &Value) -> bool {
    let source = scoped_routes.as_message().and_then(|message| sub(message, "rds_config_source"));
    source.is_none_or(|source| comes_from_here(&source))
}

fn sub(message: &DynamicMessage, field: &str) -> Option<DynamicMessage> {
    if !message.has_field_by_name(field) {
        return None;
    }
    message.get_field_by_name(field)?.as_message().cloned()
}

fn text(message: &DynamicMessage, field: &str) -> Option<String> {
    let value = message.get_field_by_name(field)?;
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn texts(message: &DynamicMessage, field: &str) -> Vec<String> {
    let Some(value) = message.get_field_by_name(field) else { return Vec::new() };
    let values = value.as_list().unwrap_or_default();
    values.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
