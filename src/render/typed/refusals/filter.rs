//! Filters: their order, and what single ones ask beyond their rules.

use std::collections::BTreeSet;

use prost_reflect::{DynamicMessage, ReflectMessage};

use super::{Refusals, extension, format, nanos};
use crate::schema::fields::{field, inner, list, map, text, texts, unpacked, variant};

/// The connection manager's message.
pub(super) const MANAGER: &str =
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

const ROUTER: &str = "envoy.extensions.filters.http.router.v3.Router";
const CODEC: &str = "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec";

/// Network filters that end a chain, by their types below
/// `envoy.extensions.filters.network.`.
const TERMINAL: [&str; 9] = [
    "http_connection_manager.v3.HttpConnectionManager",
    "http_connection_manager.v3.EnvoyMobileHttpConnectionManager",
    "tcp_proxy.v3.TcpProxy",
    "redis_proxy.v3.RedisProxy",
    "thrift_proxy.v3.ThriftProxy",
    "dubbo_proxy.v3.DubboProxy",
    "generic_proxy.v3.GenericProxy",
    "echo.v3.Echo",
    "direct_response.v3.Config",
];

/// The shortest time that a local rate limit fills its bucket in.
const FILL_MIN_NANOS: i128 = 50_000_000;

/// The types of the filters, in order; empty where a filter's is not known.
fn types(filters: &[DynamicMessage], refusals: &Refusals<'_>) -> Vec<String> {
    let known = |filter: &DynamicMessage| unpacked(refusals.schema, filter, "typed_config");
    let name = |config: DynamicMessage| config.descriptor().full_name().to_owned();
    filters.iter().map(|filter| known(filter).map(name).unwrap_or_default()).collect()
}

/// A network filter chain ends with the filter that ends it, and only there.
pub(super) fn network_chain(chain: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let types = types(&list(chain, "filters"), refusals);
    let short =
        |name: &str| name.strip_prefix("envoy.extensions.filters.network.").map(str::to_owned);
    let ends = |name: &String| short(name).is_some_and(|name| TERMINAL.contains(&name.as_str()));
    let Some((last, others)) = types.split_last() else { return };
    if let Some(early) = others.iter().find(|name| ends(name)) {
        return not_last(early, "network", "filters", refusals);
    }
    // Filters that are not Envoy's own, or that code decides on, may end a chain.
    let may = ["dynamic_modules.", "wasm.", "reverse_tunnel.", "ext_proc."];
    let never = short(last).is_some_and(|name| !may.iter().any(|part| name.starts_with(part)));
    if never && !ends(last) {
        let text = format!("the filter chain ends with `{last}`, which ends none");
        let hint = "put a TcpProxy, an HttpConnectionManager or such behind it";
        refusals.refuse("filters", "filter-order", text, hint);
    }
}

/// A chain of HTTP filters ends with the router, and only there.
pub(super) fn http_chain(manager: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let filters = list(manager, "http_filters");
    for filter in filters.iter().filter(|filter| field(filter, "is_optional").is_none()) {
        extension::expect(filter, "envoy.filters.http", "http_filters", refusals);
    }
    chain(&filters, ROUTER, "Router", "http_filters", refusals);
}

/// One for an upgrade is a chain like any other.
pub(super) fn upgrade_chain(upgrade: &DynamicMessage, refusals: &mut Refusals<'_>) {
    chain(&list(upgrade, "filters"), ROUTER, "Router", "filters", refusals);
}

/// One of an upstream ends with the codec, if there is one.
pub(super) fn upstream_chain(options: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let filters = list(options, "http_filters");
    if !filters.is_empty() {
        chain(&filters, CODEC, "UpstreamCodec", "http_filters", refusals);
    }
}

fn chain(
    filters: &[DynamicMessage],
    end: &str,
    noun: &str,
    field: &'static str,
    refusals: &mut Refusals<'_>,
) {
    let types = types(filters, refusals);
    let Some((last, others)) = types.split_last() else { return };
    if others.iter().any(|name| name == end) {
        return not_last(noun, "HTTP", field, refusals);
    }
    // Discovered filters and such from elsewhere may end a chain.
    let never =
        last.starts_with("envoy.extensions.filters.http.") && !last.contains("dynamic_modules");
    let never = never && !last.contains(".mcp_router.") && !last.contains(".file_server.");
    if never && last != end {
        let text = format!("the HTTP filters end with `{last}`, not with the {noun}");
        let hint = format!("put the {noun} behind it");
        refusals.refuse(field, "filter-order", text, &hint);
    }
}

fn not_last(name: &str, sort: &str, field: &'static str, refusals: &mut Refusals<'_>) {
    let text = format!("`{name}` ends a chain of {sort} filters, but others stand behind it");
    refusals.refuse(field, "filter-order", text, "put it last, once");
}

/// Checks a filter's own configuration.
pub(super) fn check(name: &str, message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    match name.strip_prefix("envoy.extensions.filters.http.").unwrap_or(name) {
        "router.v3.Router" => {
            let filters = list(message, "upstream_http_filters");
            if !filters.is_empty() {
                chain(&filters, CODEC, "UpstreamCodec", "upstream_http_filters", refusals);
            }
        }
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TunnelingConfig" => {
            format::refuse(&text(message, "hostname"), "hostname", true, refusals);
            if field(message, "post_path").is_some() && field(message, "use_post").is_none() {
                let text = "`post_path` needs `use_post: true`";
                refusals.refuse("post_path", "validation", text, "set it");
            }
        }
        "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit"
        | "envoy.extensions.filters.listener.local_ratelimit.v3.LocalRateLimit" => {
            bucket(message, "token_bucket", refusals);
        }
        "envoy.extensions.filters.network.zookeeper_proxy.v3.ZooKeeperProxy" => {
            let thresholds = list(message, "latency_threshold_overrides");
            let mut seen = BTreeSet::new();
            if thresholds.iter().any(|one| !seen.insert(variant(one, "opcode"))) {
                let text = "`latency_threshold_overrides` has an opcode twice";
                let field = "latency_threshold_overrides";
                refusals.refuse(field, "validation", text, "keep one of them");
            }
        }
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy" => connecting(message, refusals),
        "envoy.extensions.filters.network.redis_proxy.v3.RedisProxy.PrefixRoutes" => {
            let prefixes = list(message, "routes").into_iter().map(|route| text(&route, "prefix"));
            let mut seen = BTreeSet::new();
            if let Some(twice) = prefixes.into_iter().find(|prefix| !seen.insert(prefix.clone())) {
                let text = format!("the prefix `{twice}` is there twice");
                refusals.refuse("routes", "validation", text, "keep one of them");
            }
        }
        "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"
            if field(message, "disallowed_versions")
                .and_then(|versions| Some(versions.as_list()?.len()))
                .unwrap_or(0)
                > 1 =>
        {
            let text = "every version of the protocol is disallowed";
            refusals.refuse("disallowed_versions", "validation", text, "allow one");
        }
        "stateful_session.v3.StatefulSession" => {
            let name = inner(message, "session_state").map(|state| text(&state, "name"));
            let known = ["cookie", "header", "envelope"];
            let fits = |name: &String| {
                name.strip_prefix("envoy.http.stateful_session.")
                    .is_some_and(|name| known.contains(&name))
            };
            if name.is_some_and(|name| !fits(&name)) {
                let text = "`session_state` is found by its name";
                let hint = "name it envoy.http.stateful_session.cookie, .header or .envelope";
                refusals.refuse("session_state", "wrong-extension", text, hint);
            }
        }
        "oauth2.v3.OAuth2Config" => {
            format::refuse(&text(message, "redirect_uri"), "redirect_uri", true, refusals);
            let uri = text(message, "authorization_endpoint");
            if !uri.contains("://") {
                let text = format!("`authorization_endpoint` is no URL: {uri}");
                refusals.refuse("authorization_endpoint", "validation", text, "write https://…");
            }
        }
        "ratelimit.v3.RateLimit" => {
            limits(message, refusals);
            let is_limited = |limit: &DynamicMessage| field(limit, "limit").is_some();
            if list(message, "rate_limits").iter().any(is_limited) {
                older(message, "rate_limits", "`limit` in `rate_limits`", "1.39.0", refusals);
            }
        }
        "ext_authz.v3.HttpService" => paths(message, refusals),
        "jwt_authn.v3.JwtAuthentication" => providers(message, refusals),
        "jwt_authn.v3.JwtProvider" => key_set(message, refusals),
        "local_ratelimit.v3.LocalRateLimit" => {
            bucket(message, "token_bucket", refusals);
            limits(message, refusals);
            let described = |one: &DynamicMessage| format!("{:?}", list(one, "entries"));
            let mut seen = BTreeSet::new();
            if list(message, "descriptors").iter().any(|one| !seen.insert(described(one))) {
                let text = "`descriptors` has one twice";
                refusals.refuse("descriptors", "validation", text, "keep one of them");
            }
        }
        "ratelimit.v3.RateLimitPerRoute" => {
            limits(message, refusals);
            let is_limited = |limit: &DynamicMessage| field(limit, "limit").is_some();
            if list(message, "rate_limits").iter().any(is_limited) {
                older(message, "rate_limits", "`limit` in `rate_limits`", "1.39.0", refusals);
            }
        }
        "oauth2.v3.OAuth2" if field(message, "config").is_none() => {
            older(message, "config", "a filter without `config`", "1.37.0", refusals);
        }
        "envoy.extensions.common.ratelimit.v3.LocalRateLimitDescriptor" => {
            bucket(message, "token_bucket", refusals);
        }
        "envoy.extensions.wasm.v3.EnvironmentVariables" => environment(message, refusals),
        _ => {}
    }
}

/// Refuses what Envoys before `version` don't take.
fn older(
    message: &DynamicMessage,
    field: &'static str,
    noun: &str,
    version: &str,
    refusals: &mut Refusals<'_>,
) {
    if let Some(older) = refusals.older_than(version) {
        let name = message.descriptor().name().to_owned();
        let text = format!("Envoy {older} does not take {noun} in {name}");
        let hint = format!("Envoy {version} does");
        refusals.refuse(field, "newer-than-envoy", text, &hint);
    }
}

/// Who connects late says how much may come before; and what is told is told.
fn connecting(proxy: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let mode = variant(proxy, "upstream_connect_mode").unwrap_or_default();
    if !["", "IMMEDIATE"].contains(&&*mode) && field(proxy, "max_early_data_bytes").is_none() {
        let text = format!("`upstream_connect_mode: {mode}` needs `max_early_data_bytes`");
        refusals.refuse("upstream_connect_mode", "validation", text, "set it");
    }
    let content = ["value", "format_string"];
    let says_nothing =
        |entry: &DynamicMessage| content.iter().all(|name| field(entry, name).is_none());
    if list(proxy, "proxy_protocol_tlvs").iter().any(says_nothing) {
        let text = "an entry of `proxy_protocol_tlvs` needs `value` or `format_string`";
        refusals.refuse("proxy_protocol_tlvs", "validation", text, "give one of them");
    }
}

fn paths(service: &DynamicMessage, refusals: &mut Refusals<'_>) {
    for name in ["path_prefix", "path_override"] {
        let path = text(service, name);
        if !path.is_empty() && !path.starts_with('/') {
            let text = format!("`{name}` must begin with /, is \"{path}\"");
            refusals.refuse(name, "validation", text, "");
        }
    }
}

/// Every provider that a JWT rule requires must be there.
fn providers(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let names = |field: &str| -> BTreeSet<String> {
        map(message, field).into_iter().map(|(name, _)| name).collect()
    };
    let known = names("providers");
    let named = names("requirement_map");
    let mut required = Vec::new();
    for rule in list(message, "rules") {
        required.extend(inner(&rule, "requires"));
        let name = text(&rule, "requirement_name");
        if !name.is_empty() && !named.contains(&name) {
            let text =
                format!("a rule names the requirement `{name}`, which `requirement_map` lacks");
            refusals.refuse("rules", "missing-provider", text, "define it, or name another");
        }
    }
    required
        .extend(map(message, "requirement_map").into_iter().map(|(_, requirement)| requirement));
    let mut missing = BTreeSet::new();
    required.iter().for_each(|requirement| lacking(requirement, &known, &mut missing));
    for name in missing {
        let text = format!("a rule requires the provider `{name}`, which is not in `providers`");
        refusals.refuse("rules", "missing-provider", text, "define it, or name another");
    }
}

fn lacking(requirement: &DynamicMessage, known: &BTreeSet<String>, missing: &mut BTreeSet<String>) {
    let mut name = text(requirement, "provider_name");
    if let Some(inner) = inner(requirement, "provider_and_audiences") {
        name = text(&inner, "provider_name");
    }
    let given = ["provider_name", "provider_and_audiences"];
    if given.iter().any(|name| field(requirement, name).is_some()) && !known.contains(&name) {
        missing.insert(name);
    }
    for part in ["requires_any", "requires_all"] {
        let parts = inner(requirement, part).map(|part| list(&part, "requirements"));
        parts.unwrap_or_default().iter().for_each(|part| lacking(part, known, missing));
    }
}

/// Keys that are written in place are JSON.
fn key_set(provider: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let Some(local) = inner(provider, "local_jwks") else { return };
    if field(&local, "inline_string").is_none() {
        return;
    }
    let wrong = match serde_json::from_str::<serde_json::Value>(&text(&local, "inline_string")) {
        Err(_) => "it is not JSON",
        Ok(set) => match set.get("keys").map(serde_json::Value::as_array) {
            None => "it has no `keys`",
            Some(None) => "its `keys` are no list",
            Some(Some(keys)) if !keys.iter().any(is_key) => "it has no key that is one",
            Some(Some(_)) => return,
        },
    };
    let text = format!("`local_jwks` is no JSON Web Key Set: {wrong}");
    refusals.refuse("local_jwks", "bad-jwks", text, "write {\"keys\": [ … ]}");
}

/// Whether a key has the parts of its kind.
fn is_key(key: &serde_json::Value) -> bool {
    let has =
        |name: &str| key.get(name).and_then(serde_json::Value::as_str).is_some_and(is_base64url);
    match key.get("kty").and_then(serde_json::Value::as_str) {
        Some("RSA") => has("n") && has("e"),
        Some("EC") => has("x") && has("y"),
        Some("oct") => has("k"),
        Some("OKP") => has("x"),
        _ => false,
    }
}

/// Whether Envoy reads `text` as base64 of URLs, padded or not.
fn is_base64url(text: &str) -> bool {
    let mut bare = text.trim_end_matches(['=', '.']).bytes();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    // Whoever counts bits finds none for a single character at the end.
    bare.len() % 4 != 1 && bare.all(fits) || text.contains(|c: char| c.is_ascii_whitespace())
}

fn bucket(message: &DynamicMessage, name: &'static str, refusals: &mut Refusals<'_>) {
    let Some(bucket) = inner(message, name) else { return };
    if nanos(&bucket, "fill_interval").is_some_and(|interval| interval < FILL_MIN_NANOS) {
        let text = "`fill_interval` must be at least 0.05s";
        refusals.refuse(name, "validation", text, "raise it, and `tokens_per_fill` with it");
    }
}

/// Limits that stand in a filter have no stage and no key to disable them.
fn limits(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let odd = |limit: &DynamicMessage| {
        field(limit, "stage").is_some() || !text(limit, "disable_key").is_empty()
    };
    if list(message, "rate_limits").iter().any(odd) {
        let text = "`stage` and `disable_key` have no meaning here";
        refusals.refuse("rate_limits", "validation", text, "remove them");
    }
}

fn environment(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let mut seen = BTreeSet::new();
    if let Some(twice) =
        texts(message, "host_env_keys").into_iter().find(|key| !seen.insert(key.clone()))
    {
        let text = format!("`host_env_keys` has `{twice}` twice");
        refusals.refuse("host_env_keys", "validation", text, "keep one of them");
    }
}
