//! Extensions: which message may configure what, and that there is one.
//!
//! Envoy finds an extension by the type of its configuration, among those of
//! one category. Categories are packages, so a type of Envoy's own in the wrong
//! package is refused; types from elsewhere are left to those who built them.

use prost_reflect::{DynamicMessage, Kind, ReflectMessage};

use super::Refusals;
use crate::schema::fields::{field, inner, list, text};

/// Owner message, its field, and the packages whose types may stand there.
const CATEGORIES: [(&str, &[&str]); 8] = [
    ("envoy.config.listener.v3.Filter", &["envoy.extensions.filters.network."]),
    (
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
        &["envoy.extensions.filters.http.", "envoy.extensions.common.matching."],
    ),
    (
        "envoy.config.listener.v3.ListenerFilter",
        &["envoy.extensions.filters.listener.", "envoy.extensions.filters.udp."],
    ),
    ("envoy.config.accesslog.v3.AccessLog", &["envoy.extensions.access_loggers."]),
    ("envoy.config.accesslog.v3.ExtensionFilter", &["envoy.extensions.access_loggers.filters."]),
    ("envoy.config.core.v3.TransportSocket", &["envoy.extensions.transport_sockets."]),
    ("envoy.config.cluster.v3.Cluster.CustomClusterType", &["envoy.extensions.clusters."]),
    ("envoy.config.route.v3.RetryPolicy.RetryHostPredicate", &["envoy.extensions.retry.host."]),
];

/// Types that hold another type's name and configuration.
const WRAPPERS: [&str; 2] = ["xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct"];

/// Messages with a `typed_config` that Envoy can do without.
const OPTIONAL: [&str; 6] = [
    "envoy.config.cluster.v3.Cluster.CustomClusterType",
    "envoy.extensions.filters.network.http_connection_manager.v3.RequestIDExtension",
    "envoy.config.core.v3.GrpcService.GoogleGrpc.CallCredentials.MetadataCredentialsFromPlugin",
    "envoy.config.trace.v3.Tracing.Http",
    "envoy.config.metrics.v3.StatsSink",
    "envoy.config.cluster.v3.Filter",
];

pub(super) fn check(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let descriptor = message.descriptor();
    let owner = descriptor.full_name();
    let Some(config) = descriptor.get_field_by_name("typed_config") else { return };
    let holds_any = matches!(config.kind(), Kind::Message(kind)
        if kind.full_name() == "google.protobuf.Any" && !config.is_list());
    if !holds_any || OPTIONAL.contains(&owner) {
        return;
    }
    let given = inner(message, "typed_config").map(|any| text(&any, "type_url"));
    let type_url = given.unwrap_or_default();
    if type_url.is_empty() {
        return unset(message, refusals);
    }
    let type_name = type_url.rsplit('/').next().unwrap_or_default();
    let Some((_, packages)) = CATEGORIES.iter().find(|(name, _)| *name == owner) else { return };
    let from_elsewhere = !type_name.starts_with("envoy.") || WRAPPERS.contains(&type_name);
    if from_elsewhere || packages.iter().any(|package| type_name.starts_with(package)) {
        return;
    }
    let text = format!("`{type_name}` does not configure a {}", descriptor.name());
    let hint = format!("give a type of {}*", packages.join("* or "));
    refusals.refuse("typed_config", "wrong-extension", text, &hint);
}

fn unset(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let elsewhere = ["config_discovery", "is_optional"];
    if elsewhere.iter().any(|name| field(message, name).is_some()) {
        return;
    }
    let text = format!(
        "the {} `{}` has no `typed_config`: Envoy finds an extension by its type",
        message.descriptor().name(),
        text(message, "name")
    );
    refusals.refuse("typed_config", "no-extension", text, "give its configuration with `@type`");
}

/// The load balancing policies of a list: one must be of a type that Envoy has.
pub(super) fn policies(policy: &DynamicMessage) -> bool {
    list(policy, "policies").iter().any(|policy| {
        inner(policy, "typed_extension_config").is_some_and(|config| {
            let any = inner(&config, "typed_config");
            let type_url = any.map(|any| text(&any, "type_url")).unwrap_or_default();
            let name = type_url.rsplit('/').next().unwrap_or_default();
            let ours = "envoy.extensions.load_balancing_policies.";
            !name.is_empty() && (!name.starts_with("envoy.") || name.starts_with(ours))
        })
    })
}
