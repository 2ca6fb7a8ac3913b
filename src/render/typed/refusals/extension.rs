//! Extensions: which message may configure what, and that there is one.
//!
//! Envoy finds an extension by the type of its configuration, among those of
//! one category that were built in; which those are, Envoys have told. Types
//! from elsewhere are left to those who built them.

use prost_reflect::{DynamicMessage, Kind, ReflectMessage};

use super::Refusals;
use crate::schema::fields::{field, inner, list, map, opened, text, unpacked};

/// Owner message, and the categories whose types may stand there.
const CATEGORIES: [(&str, &[&str]); 14] = [
    ("envoy.extensions.filters.http.cache.v3.CacheConfig", &["envoy.http.cache"]),
    ("envoy.config.listener.v3.Filter", &["envoy.filters.network"]),
    (
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
        &["envoy.filters.http", "envoy.filters.http.upstream"],
    ),
    (
        "envoy.config.listener.v3.ListenerFilter",
        &["envoy.filters.listener", "envoy.filters.udp_listener"],
    ),
    ("envoy.config.accesslog.v3.AccessLog", &["envoy.access_loggers"]),
    ("envoy.config.accesslog.v3.ExtensionFilter", &["envoy.access_loggers.extension_filters"]),
    (
        "envoy.config.core.v3.TransportSocket",
        &["envoy.transport_sockets.upstream", "envoy.transport_sockets.downstream"],
    ),
    ("envoy.config.cluster.v3.Cluster.CustomClusterType", &["envoy.clusters"]),
    ("envoy.config.route.v3.RetryPolicy.RetryHostPredicate", &["envoy.retry_host_predicates"]),
    ("envoy.config.route.v3.RetryPolicy.RetryPriority", &["envoy.retry_priorities"]),
    ("envoy.config.trace.v3.Tracing.Http", &["envoy.tracers"]),
    (
        "envoy.extensions.filters.network.http_connection_manager.v3.RequestIDExtension",
        &["envoy.request_id"],
    ),
    ("envoy.config.core.v3.HealthCheck.CustomHealthCheck", &["envoy.health_checkers"]),
    (
        "envoy.extensions.filters.network.thrift_proxy.v3.ThriftFilter",
        &["envoy.thrift_proxy.filters"],
    ),
];

/// Owner message, the field of it that holds an extension, and its category.
const PARTS: [(&str, &str, &str); 8] = [
    (
        "envoy.extensions.filters.http.compressor.v3.Compressor",
        "compressor_library",
        "envoy.compression.compressor",
    ),
    (
        "envoy.extensions.filters.http.decompressor.v3.Decompressor",
        "decompressor_library",
        "envoy.compression.decompressor",
    ),
    (
        "envoy.config.route.v3.ClusterSpecifierPlugin",
        "extension",
        "envoy.router.cluster_specifier_plugin",
    ),
    (
        "envoy.config.listener.v3.Listener.ConnectionBalanceConfig",
        "extend_balance",
        "envoy.network.connection_balance",
    ),
    ("envoy.config.rbac.v3.Permission", "matcher", "envoy.rbac.matchers"),
    ("envoy.config.route.v3.RateLimit.Action", "extension", "envoy.rate_limit_descriptors"),
    ("envoy.type.matcher.v3.StringMatcher", "custom", "envoy.string_matcher"),
    (
        "envoy.extensions.filters.http.stateful_session.v3.StatefulSession",
        "session_state",
        "envoy.http.stateful_session",
    ),
];

/// Filters that no route can configure, below `envoy.extensions.filters.http.`,
/// and since when one can.
const NO_ROUTE_FORM: [(&str, &str); 17] = [
    ("a2a.v3.A2a", ""),
    ("alternate_protocols_cache.v3.FilterConfig", ""),
    ("body_size_limit.v3.BodySizeLimit", ""),
    ("cache.v3.CacheConfig", ""),
    ("cache_v2.v3.CacheV2Config", ""),
    ("composite.v3.Composite", "1.39.0"),
    ("connect_grpc_bridge.v3.FilterConfig", ""),
    ("gcp_authn.v3.GcpAuthnFilterConfig", ""),
    ("grpc_http1_bridge.v3.Config", ""),
    ("grpc_stats.v3.FilterConfig", ""),
    ("grpc_web.v3.GrpcWeb", ""),
    ("json_to_metadata.v3.JsonToMetadata", "1.37.0"),
    ("original_src.v3.OriginalSrc", ""),
    ("router.v3.Router", ""),
    ("set_metadata.v3.Config", "1.39.0"),
    ("thrift_to_metadata.v3.ThriftToMetadata", ""),
    ("wasm.v3.Wasm", ""),
];

/// Filters that ask for more where a route configures them, and for what.
const FOR_ROUTES: [(&str, &str); 2] = [
    ("envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit", "token_bucket"),
    ("envoy.extensions.filters.http.bandwidth_limit.v3.BandwidthLimit", "limit_kbps"),
];

/// The messages of matchers that read something.
const INPUTS: [&str; 2] = [
    "xds.type.matcher.v3.Matcher.MatcherTree",
    "xds.type.matcher.v3.Matcher.MatcherList.Predicate.SinglePredicate",
];

/// Messages with a `typed_config` that Envoy can do without.
const OPTIONAL: [&str; 4] = [
    "envoy.config.cluster.v3.Cluster.CustomClusterType",
    "envoy.extensions.filters.network.http_connection_manager.v3.RequestIDExtension",
    "envoy.config.core.v3.GrpcService.GoogleGrpc.CallCredentials.MetadataCredentialsFromPlugin",
    "envoy.config.metrics.v3.StatsSink",
];

pub(super) fn check(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    for name in ["typed_per_filter_config", "typed_extension_protocol_options"] {
        for (_, any) in map(message, name) {
            built_in(&text(&any, "type_url"), name, refusals);
        }
    }
    for (_, any) in map(message, "typed_per_filter_config") {
        for_routes(&text(&any, "type_url"), refusals);
        bucketless(&any, refusals);
    }
    let descriptor = message.descriptor();
    let owner = descriptor.full_name();
    if let Some((_, field, category)) = PARTS.iter().find(|(name, ..)| *name == owner)
        && let Some(extension) = inner(message, field)
        && !is_optional(message)
    {
        expect(&extension, category, field, refusals);
    }
    if owner == "envoy.config.route.v3.FilterConfig"
        && !is_optional(message)
        && let Some(any) = inner(message, "config")
    {
        for_routes(&text(&any, "type_url"), refusals);
    }
    if INPUTS.contains(&owner) {
        input(message, refusals);
    }
    let Some(config) = descriptor.get_field_by_name("typed_config") else { return };
    let holds_any = matches!(config.kind(), Kind::Message(kind)
        if kind.full_name() == "google.protobuf.Any" && !config.is_list());
    if !holds_any {
        return;
    }
    let given = inner(message, "typed_config").map(|any| text(&any, "type_url"));
    let type_url = given.unwrap_or_default();
    if type_url.is_empty() {
        let is_given = field(message, "typed_config").is_some();
        let by_name = OPTIONAL.contains(&owner)
            && !(is_given && owner == "envoy.config.cluster.v3.Cluster.CustomClusterType");
        if !by_name {
            unset(message, refusals);
        }
        return;
    }
    if is_optional(message) {
        return;
    }
    let type_name = type_url.rsplit('/').next().unwrap_or_default();
    let fitting = CATEGORIES.iter().find(|(name, _)| *name == owner);
    match fitting {
        Some((_, categories)) if !is_one_of(type_name, categories, refusals) => {
            let text = format!("`{type_name}` does not configure a {}", descriptor.name());
            let hint = format!("give a type of the category {}", categories.join(" or "));
            refusals.refuse("typed_config", "wrong-extension", text, &hint);
        }
        _ => built_in(type_name, "typed_config", refusals),
    }
}

/// Whether Envoy goes on without the extension.
fn is_optional(message: &DynamicMessage) -> bool {
    field(message, "is_optional").is_some_and(|value| value.as_bool() == Some(true))
}

/// Whether the type is an extension of one of `categories`. Types from
/// elsewhere are left to those who built them.
fn is_one_of(name: &str, categories: &[&str], refusals: &Refusals<'_>) -> bool {
    if !name.starts_with("envoy.") {
        return true;
    }
    let known = refusals.schema.releases().extension(name);
    known.is_some_and(|known| categories.iter().any(|category| known.is(category)))
}

/// What a matcher reads is an input. Envoys don't tell of all inputs, so only
/// what is known to be something else is refused.
fn input(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let any = inner(message, "input").and_then(|input| inner(&input, "typed_config"));
    let type_url = any.map(|any| text(&any, "type_url")).unwrap_or_default();
    let name = type_url.rsplit('/').next().unwrap_or_default();
    let known = refusals.schema.releases().extension(name);
    if known.is_some_and(|known| !known.is_some_matching()) {
        let text = format!("`{name}` is no input of a matcher");
        refusals.refuse("input", "wrong-extension", text, "give a type whose name ends with Input");
    }
}

/// Refuses an extension that is not one of `category`, in the field `field` of
/// the message that is being checked.
pub(super) fn expect(
    extension: &DynamicMessage,
    category: &str,
    field: &'static str,
    refusals: &mut Refusals<'_>,
) {
    let any = inner(extension, "typed_config");
    let type_url = any.map(|any| text(&any, "type_url")).unwrap_or_default();
    let name = type_url.rsplit('/').next().unwrap_or_default();
    if !name.is_empty() && !is_one_of(name, &[category], refusals) {
        let text = format!("`{name}` is no extension of the category {category}");
        refusals.refuse(field, "wrong-extension", text, "give one that is");
    }
}

/// Filters whose configuration for a route is a message of its own, and others
/// that have none: a route can't take the filter's.
fn for_routes(type_url: &str, refusals: &mut Refusals<'_>) {
    let name = type_url.rsplit('/').next().unwrap_or_default();
    if name.is_empty() {
        let text = "an entry of `typed_per_filter_config` has no type";
        return refusals.refuse(
            "typed_per_filter_config",
            "no-extension",
            text,
            "give its `@type`",
        );
    }
    if name == "envoy.config.route.v3.FilterConfig" {
        return;
    }
    let filters = ["envoy.filters.http", "envoy.filters.http.upstream"];
    let has_own = refusals.schema.releases().has_other_route_form(name);
    let none = |(filter, since): &(&str, &str)| {
        name.strip_prefix("envoy.extensions.filters.http.") == Some(*filter)
            && (since.is_empty() || refusals.older_than(since).is_some())
    };
    if has_own || NO_ROUTE_FORM.iter().any(none) || !is_one_of(name, &filters, refusals) {
        let text = format!("`{name}` configures no HTTP filter for a route");
        let hint = "the filter's page names the message for routes, if there is one";
        refusals.refuse("typed_per_filter_config", "wrong-extension", text, hint);
    }
}

/// What a filter asks for where a route configures it, even if it has one itself.
fn bucketless(any: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let Some(mut config) = opened(refusals.schema, any) else { return };
    if config.descriptor().full_name() == "envoy.config.route.v3.FilterConfig" {
        let wrapped = unpacked(refusals.schema, &config, "config");
        match wrapped {
            Some(wrapped) if field(&config, "disabled").is_none() => config = wrapped,
            _ => return,
        }
    }
    let name = config.descriptor().full_name().to_owned();
    let asked = FOR_ROUTES.iter().find(|(filter, _)| *filter == name);
    if let Some((_, needed)) = asked.filter(|(_, needed)| field(&config, needed).is_none()) {
        let short = config.descriptor().name().to_owned();
        let text = format!("a {short} for a route needs `{needed}`");
        refusals.refuse("typed_per_filter_config", "validation", text, "give one");
    }
}

/// The type of an extension is one that each of the stage's Envoys has.
fn built_in(type_url: &str, field: &'static str, refusals: &mut Refusals<'_>) {
    let name = type_url.rsplit('/').next().unwrap_or_default();
    let releases = refusals.schema.releases();
    if !name.starts_with("envoy.") || releases.since(name).is_none() {
        return;
    }
    // Envoys don't tell of all of them; of the others, the message is known or
    // it is not.
    let has = |release: usize| match releases.extension(name) {
        Some(extension) => extension.known.has(release),
        None => releases.knows_name(release, name),
    };
    let lacking = refusals.targets.iter().find(|(release, _)| !has(*release));
    let Some((_, version)) = lacking else { return };
    let text = format!("Envoy {version} has no extension `{name}`");
    let hint = releases.since(name).map(|since| format!("Envoy {since} has it"));
    refusals.refuse(field, "newer-than-envoy", text, &hint.unwrap_or_default());
}

/// What is discovered by itself is a filter.
pub(super) fn discovered(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    const FILTERS: [&str; 5] = [
        "envoy.filters.http",
        "envoy.filters.http.upstream",
        "envoy.filters.network",
        "envoy.filters.listener",
        "envoy.filters.udp.session",
    ];
    let any = inner(message, "typed_config");
    let type_url = any.map(|any| text(&any, "type_url")).unwrap_or_default();
    let name = type_url.rsplit('/').next().unwrap_or_default();
    if !name.is_empty() && !is_one_of(name, &FILTERS, refusals) {
        let text = format!("`{name}` configures no filter, and only filters are discovered");
        refusals.refuse("typed_config", "wrong-extension", text, "give a filter's configuration");
    }
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
pub(super) fn policies(policy: &DynamicMessage, refusals: &Refusals<'_>) -> bool {
    list(policy, "policies").iter().any(|policy| {
        inner(policy, "typed_extension_config").is_some_and(|config| {
            let any = inner(&config, "typed_config");
            let type_url = any.map(|any| text(&any, "type_url")).unwrap_or_default();
            let name = type_url.rsplit('/').next().unwrap_or_default();
            !name.is_empty() && is_one_of(name, &["envoy.load_balancing_policies"], refusals)
        })
    })
}
