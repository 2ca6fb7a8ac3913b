//! Routes: what is never reached, never retried, or sent nowhere.

use std::collections::BTreeMap;

use prost_reflect::DynamicMessage;

use super::Notes;
use crate::schema::fields::{field, inner, list, number, text, texts};

/// What `retry_on` knows, for HTTP and gRPC:
/// <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter>.
const RETRY_ON: [&str; 16] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "envoy-ratelimited",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

/// Everything in a match that can make `prefix: /` match less than all.
const NARROWING: [&str; 8] = [
    "headers",
    "query_parameters",
    "cookies",
    "grpc",
    "runtime_fraction",
    "tls_context",
    "dynamic_metadata",
    "filter_state",
];

/// Envoy refuses a route configuration in which two virtual hosts answer to
/// the same domain, whatever its case.
pub(super) fn same_domains(config: &DynamicMessage, notes: &mut Notes<'_>) {
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    for host in list(config, "virtual_hosts") {
        let name = text(&host, "name");
        for domain in texts(&host, "domains") {
            if let Some(first) = taken.insert(domain.to_ascii_lowercase(), name.clone()) {
                let message = format!(
                    "the virtual host `{name}` claims the domain `{domain}`, which `{first}` has already"
                );
                let hint = "Envoy refuses it: a domain may stand once in a route configuration";
                notes.error("duplicate-domain", message, hint);
            }
        }
    }
}

pub(super) fn check(host: &DynamicMessage, notes: &mut Notes<'_>) {
    let host_name = text(host, "name");
    if let Some(policy) = inner(host, "retry_policy") {
        retry_on(&format!("the virtual host `{host_name}`"), &policy, notes);
    }
    let mut takes_all: Option<String> = None;
    for (at, route) in list(host, "routes").iter().enumerate() {
        let name = described(route, at, &host_name);
        if let Some(first) = &takes_all {
            let message = format!("{name} is never reached: {first} takes every request before it");
            notes.warning("shadowed-route", message, "put the route with `prefix: /` last");
        } else if takes_everything(route) {
            takes_all = Some(described_briefly(route, at));
        }
        if let Some(action) = inner(route, "route") {
            if let Some(policy) = inner(&action, "retry_policy") {
                retry_on(&name, &policy, notes);
            }
            no_weight(&name, &action, notes);
        }
    }
}

fn described(route: &DynamicMessage, at: usize, host: &str) -> String {
    format!("{} of the virtual host `{host}`", described_briefly(route, at))
}

fn described_briefly(route: &DynamicMessage, at: usize) -> String {
    match text(route, "name").as_str() {
        "" => format!("route {}", at + 1),
        name => format!("the route `{name}`"),
    }
}

fn takes_everything(route: &DynamicMessage) -> bool {
    inner(route, "match").is_some_and(|condition| {
        text(&condition, "prefix") == "/"
            && NARROWING.iter().all(|name| field(&condition, name).is_none())
    })
}

fn retry_on(whose: &str, policy: &DynamicMessage, notes: &mut Notes<'_>) {
    let given = text(policy, "retry_on");
    for token in given.split(',').map(str::trim).filter(|token| !token.is_empty()) {
        if !RETRY_ON.contains(&token) {
            let message =
                format!("{whose} retries on `{token}`, which Envoy doesn't know and skips");
            let hint = format!("known are {}", RETRY_ON.join(", "));
            notes.warning("unknown-retry-on", message, &hint);
        }
    }
}

fn no_weight(name: &str, action: &DynamicMessage, notes: &mut Notes<'_>) {
    let Some(weighted) = inner(action, "weighted_clusters") else { return };
    let weights = list(&weighted, "clusters");
    let sum: u64 =
        weights.iter().map(|cluster| u64::from(number(cluster, "weight").unwrap_or(0))).sum();
    if sum == 0 {
        let message = format!("{name} splits between clusters whose weights add up to 0");
        notes.error("zero-weights", message, "give at least one cluster a weight above 0");
    }
}
