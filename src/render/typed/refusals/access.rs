//! Filters that decide who may pass: keys, passwords, tokens, other servers.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::DynamicMessage;

use super::{Refusals, nanos};
use crate::schema::fields::{field, inner, list, map, text, variant};

/// The bytes of a SHA-1 hash.
const SHA1_BYTES: usize = 20;

/// Checks a filter's own configuration.
pub(super) fn check(name: &str, message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    match name.strip_prefix("envoy.extensions.filters.http.").unwrap_or(name) {
        "basic_auth.v3.BasicAuth" | "basic_auth.v3.BasicAuthPerRoute" => users(message, refusals),
        "api_key_auth.v3.ApiKeyAuth" | "api_key_auth.v3.ApiKeyAuthPerRoute" => {
            let mut seen = BTreeSet::new();
            let mut keys = list(message, "credentials").into_iter().map(|one| text(&one, "key"));
            if keys.any(|key| !seen.insert(key)) {
                let text = "`credentials` has a key twice";
                refusals.refuse("credentials", "validation", text, "keep one of them");
            }
        }
        "envoy.extensions.filters.network.rbac.v3.RBAC" => connections(message, refusals),
        "ext_authz.v3.ExtAuthz" => {
            let request = inner(message, "http_service")
                .and_then(|service| inner(&service, "authorization_request"));
            let twice = request.is_some_and(|request| field(&request, "allowed_headers").is_some());
            if twice && field(message, "allowed_headers").is_some() {
                let text = "`allowed_headers` stands here and in `authorization_request`";
                refusals.refuse("allowed_headers", "oneof", text, "keep this one");
            }
        }
        "envoy.config.rbac.v3.Permission" => ports(message, refusals),
        "ext_proc.v3.ExternalProcessor" => processor(message, refusals),
        "ext_authz.v3.HttpService" => {
            let both = ["path_prefix", "path_override"];
            if both.iter().all(|name| !text(message, name).is_empty())
                && refusals.newer_than("1.37.0")
            {
                let text = "`path_override` can't stand beside `path_prefix`";
                refusals.refuse("path_override", "oneof", text, "keep one of them");
            }
        }
        "health_check.v3.HealthCheck" => {
            let passes = inner(message, "pass_through_mode")
                .is_some_and(|passes| field(&passes, "value").is_some());
            if nanos(message, "cache_time").is_some_and(|time| time > 0) && !passes {
                let text = "`cache_time` needs `pass_through_mode: true`";
                refusals.refuse("cache_time", "validation", text, "set it, or remove the time");
            }
        }
        "header_to_metadata.v3.Config.Rule" | "json_to_metadata.v3.JsonToMetadata.Rule" => {
            for name in ["on_header_missing", "on_missing"] {
                let missing = inner(message, name);
                if missing.is_some_and(|pair| field(&pair, "value").is_none()) {
                    let text = "what is set where it is missing needs a `value`";
                    let field =
                        if name == "on_missing" { "on_missing" } else { "on_header_missing" };
                    refusals.refuse(field, "validation", text, "give one");
                }
            }
        }
        "admission_control.v3.AdmissionControl.SuccessCriteria.GrpcCriteria" => {
            let codes = field(message, "grpc_success_status");
            let codes = codes.as_deref().and_then(|codes| codes.as_list()).unwrap_or_default();
            if codes.iter().any(|code| code.as_u32().is_some_and(|code| code > 16)) {
                let text = "`grpc_success_status` holds a code above 16";
                refusals.refuse("grpc_success_status", "validation", text, "gRPC has 0 to 16");
            }
        }
        "admission_control.v3.AdmissionControl.SuccessCriteria.HttpCriteria" => {
            let bound = |range: &DynamicMessage, name: &str| {
                field(range, name).and_then(|value| value.as_i32()).unwrap_or(0)
            };
            let wrong = |range: &DynamicMessage| {
                let (start, end) = (bound(range, "start"), bound(range, "end"));
                start > end || start < 100 || end > 600
            };
            if list(message, "http_success_status").iter().any(wrong) {
                let text = "`http_success_status` has a range that is none";
                let hint = "start is from 100, end is not below it and at most 600";
                refusals.refuse("http_success_status", "validation", text, hint);
            }
        }
        _ => {}
    }
}

/// A range of ports holds ports.
fn ports(permission: &DynamicMessage, refusals: &mut Refusals<'_>) {
    // The end of a range is not part of it.
    const END_MAX: i32 = 65_536;
    let Some(range) = inner(permission, "destination_port_range") else { return };
    let bound = |name: &str| field(&range, name).and_then(|value| value.as_i32()).unwrap_or(0);
    let (start, end) = (bound("start"), bound("end"));
    if !(0..END_MAX).contains(&start) || !(0..=END_MAX).contains(&end) {
        let text = format!("`destination_port_range` is from {start} to {end}, which are no ports");
        let hint = "give a start of at least 0 and an end of at most 65536";
        refusals.refuse("destination_port_range", "validation", text, hint);
    }
}

/// Rules for connections can't ask for a request's headers.
fn connections(filter: &DynamicMessage, refusals: &mut Refusals<'_>) {
    for name in ["rules", "shadow_rules"] {
        let policies = inner(filter, name).map(|rules| map(&rules, "policies"));
        let asks = policies.unwrap_or_default().iter().any(|(_, policy)| {
            ["permissions", "principals"]
                .iter()
                .any(|part| list(policy, part).iter().any(asks_for_header))
        });
        if asks {
            let text = format!("`{name}` asks for a header, and a connection has none");
            let hint = "use the HTTP filter RBAC for headers";
            refusals.refuse(name, "validation", text, hint);
        }
    }
}

/// Whether a permission or a principal, or one within it, is about a header.
fn asks_for_header(rule: &DynamicMessage) -> bool {
    let many =
        [("and_rules", "rules"), ("or_rules", "rules"), ("and_ids", "ids"), ("or_ids", "ids")];
    let within = |(set, items): &(&str, &str)| {
        inner(rule, set).is_some_and(|set| list(&set, items).iter().any(asks_for_header))
    };
    field(rule, "header").is_some()
        || many.iter().any(within)
        || ["not_rule", "not_id"]
            .iter()
            .filter_map(|name| inner(rule, name))
            .any(|one| asks_for_header(&one))
}

/// Passwords as `htpasswd -s` writes them.
fn users(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let Some(source) = inner(message, "users") else { return };
    let Some(content) = field(&source, "inline_string") else { return };
    let content = content.as_str().unwrap_or_default();
    let mut seen = BTreeSet::new();
    let wrong = content
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .find_map(|line| {
            let Some((name, hash)) = line.split_once(':') else {
                return Some("a line without `user:password`");
            };
            let bytes = hash.strip_prefix("{SHA}").and_then(|hash| STANDARD.decode(hash).ok());
            match bytes {
                _ if name.is_empty() => Some("a user without a name"),
                _ if !seen.insert(name.to_owned()) => Some("a user twice"),
                Some(bytes) if bytes.len() == SHA1_BYTES => None,
                _ => Some("a password that is not {SHA} and base64"),
            }
        });
    let wrong = if content.is_empty() { Some("nothing") } else { wrong };
    if let Some(wrong) = wrong {
        let text = format!("`users` holds {wrong}");
        refusals.refuse("users", "bad-users", text, "make it with `htpasswd -nbs`");
    }
}

/// What an external processor is sent.
fn processor(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let mode = inner(message, "processing_mode");
    let is = |name: &str, value: &str| {
        mode.as_ref().and_then(|mode| variant(mode, name)).as_deref() == Some(value)
    };
    for (body, trailer) in [
        ("request_body_mode", "request_trailer_mode"),
        ("response_body_mode", "response_trailer_mode"),
    ] {
        if is(body, "FULL_DUPLEX_STREAMED") && !is(trailer, "SEND") {
            let text = format!("`{body}: FULL_DUPLEX_STREAMED` needs `{trailer}: SEND`");
            refusals.refuse("processing_mode", "validation", text, "set it");
        }
        let sends = !is(body, "NONE") || is(trailer, "SEND");
        if mode.is_some() && field(message, "http_service").is_some() && sends {
            let text = "over HTTP, a processor is sent headers alone";
            refusals.refuse("processing_mode", "validation", text, "use gRPC for bodies");
        }
    }
    if field(message, "disable_clear_route_cache").is_some()
        && field(message, "route_cache_action").is_some()
    {
        let text = "`route_cache_action` can't stand beside `disable_clear_route_cache`";
        refusals.refuse("route_cache_action", "oneof", text, "keep the former");
    }
}
