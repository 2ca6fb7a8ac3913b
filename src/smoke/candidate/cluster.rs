//! Clusters whose endpoints are the echo upstream.

use std::net::IpAddr;

use prost_reflect::{DynamicMessage, Value};

use super::edit::{child, children, inside, number, renew, set, text, to_loopback};
use crate::schema::Schema;

const EDS: i32 = 3;
const V4_ONLY: i32 = 1;
/// Health is asked for at least this often, so that a run doesn't wait for it.
const HEALTH_INTERVAL_SECONDS: i64 = 1;

/// The name an EDS cluster asks its endpoints by; `None` for other types.
pub(super) fn eds_service(cluster: &mut DynamicMessage, name: &str) -> Option<String> {
    let is_eds = cluster.has_field_by_name("type") && number(cluster, "type") == Some(EDS);
    if !is_eds {
        return None;
    }
    let service = child(cluster, "eds_cluster_config").map(|config| text(config, "service_name"));
    Some(service.filter(|service| !service.is_empty()).unwrap_or_else(|| name.to_owned()))
}

/// Makes an EDS cluster ask for `name`, and the assignment be called so.
pub(super) fn set_service(
    cluster: &mut DynamicMessage,
    assignment: &mut DynamicMessage,
    name: &str,
) {
    if let Some(config) = child(cluster, "eds_cluster_config") {
        set(config, "service_name", Value::String(name.into()));
    }
    set(assignment, "cluster_name", Value::String(name.into()));
}

/// How many endpoints an assignment has.
pub(super) fn endpoints(assignment: &DynamicMessage) -> usize {
    let localities = assignment.get_field_by_name("endpoints");
    let localities = localities.as_ref().and_then(|list| list.as_list()).unwrap_or_default();
    let count = |locality: &Value| {
        let list = locality.as_message()?.get_field_by_name("lb_endpoints")?;
        list.as_list().map(<[Value]>::len)
    };
    localities.iter().filter_map(count).sum()
}

/// How many endpoints are written in the cluster itself.
pub(super) fn inline_endpoints(cluster: &mut DynamicMessage) -> usize {
    child(cluster, "load_assignment").map_or(0, |assignment| endpoints(assignment))
}

/// Whether the cluster's hosts are checked in a way that the echo upstream
/// can answer.
pub(super) fn is_health_checked(cluster: &mut DynamicMessage) -> bool {
    let mut checks = children(cluster, "health_checks").peekable();
    checks.peek().is_some() && checks.all(|check| !check.has_field_by_name("custom_health_check"))
}

/// Makes a cluster run on the echo upstream.
pub(super) fn rewrite(schema: &Schema, cluster: &mut DynamicMessage, port: &dyn Fn(usize) -> u16) {
    for field in ["transport_socket", "transport_socket_matches", "upstream_bind_config"] {
        cluster.clear_field_by_name(field);
    }
    if let Some(assignment) = child(cluster, "load_assignment") {
        rewrite_assignment(assignment, port);
    }
    if cluster.has_field_by_name("type") {
        set(cluster, "dns_lookup_family", Value::EnumNumber(V4_ONLY));
    }
    if let Some(any) = child(cluster, "cluster_type").and_then(|t| child(t, "typed_config"))
        && text(any, "type_url").ends_with("envoy.extensions.clusters.dns.v3.DnsCluster")
    {
        inside(schema, any, |dns| {
            set(dns, "dns_lookup_family", Value::EnumNumber(V4_ONLY));
            true
        });
    }
    for any in children(cluster, "typed_extension_protocol_options") {
        if text(any, "type_url").ends_with(".HttpProtocolOptions") {
            inside(schema, any, without_alpn);
        }
    }
    children(cluster, "health_checks").for_each(answerable);
}

/// Points every endpoint of an assignment at the upstream, keeping locality,
/// priority, weight and metadata.
pub(super) fn rewrite_assignment(assignment: &mut DynamicMessage, port: &dyn Fn(usize) -> u16) {
    let mut index = 0;
    for locality in children(assignment, "endpoints") {
        for lb_endpoint in children(locality, "lb_endpoints") {
            if let Some(endpoint) = child(lb_endpoint, "endpoint") {
                rewrite_endpoint(endpoint, port(index));
            }
            index += 1;
        }
    }
    for endpoint in children(assignment, "named_endpoints") {
        rewrite_endpoint(endpoint, port(0));
    }
}

fn rewrite_endpoint(endpoint: &mut DynamicMessage, port: u16) {
    // The health of another port or host must not be asked for.
    if let Some(config) = child(endpoint, "health_check_config") {
        config.clear_field_by_name("port_value");
        config.clear_field_by_name("address");
    }
    endpoint.clear_field_by_name("additional_addresses");
    let Some(address) = child(endpoint, "address") else { return };
    if address.has_field_by_name("envoy_internal_address") {
        return;
    }
    let name = child(address, "socket_address").map(|s| text(s, "address")).unwrap_or_default();
    to_loopback(address, port);
    // A DNS cluster's hosts are called by the name that was resolved, which
    // `auto_host_rewrite` puts into requests.
    let is_name = !name.is_empty() && name.parse::<IpAddr>().is_err();
    if is_name && text(endpoint, "hostname").is_empty() {
        set(endpoint, "hostname", Value::String(name));
    }
}

/// Without TLS there is nobody to agree on a protocol with, and no QUIC: both
/// become HTTP/2 with prior knowledge.
fn without_alpn(options: &mut DynamicMessage) -> bool {
    let automatic = child(options, "auto_config").map(|config| config.clone());
    let is_http3 = child(options, "explicit_http_config")
        .is_some_and(|config| config.has_field_by_name("http3_protocol_options"));
    if automatic.is_none() && !is_http3 {
        return false;
    }
    let kept = automatic.filter(|config| config.has_field_by_name("http2_protocol_options"));
    let kept = kept.and_then(|mut config| config.take_field_by_name("http2_protocol_options"));
    if let Some(explicit) = renew(options, "explicit_http_config") {
        match kept {
            Some(http2) => set(explicit, "http2_protocol_options", http2),
            None => drop(renew(explicit, "http2_protocol_options")),
        }
    }
    true
}

/// Makes a health check one that the echo upstream passes, soon.
fn answerable(check: &mut DynamicMessage) {
    for field in ["initial_jitter", "interval_jitter", "interval_jitter_percent"] {
        check.clear_field_by_name(field);
    }
    for field in
        ["interval", "unhealthy_interval", "unhealthy_edge_interval", "healthy_edge_interval"]
    {
        if let Some(interval) = child(check, field) {
            shorten(interval);
        }
    }
    if let Some(interval) = renew(check, "no_traffic_interval") {
        set(interval, "seconds", Value::I64(HEALTH_INTERVAL_SECONDS));
    }
    if let Some(http) = child(check, "http_health_check") {
        for field in ["expected_statuses", "receive", "service_name_matcher"] {
            http.clear_field_by_name(field);
        }
    }
    if let Some(tcp) = child(check, "tcp_health_check") {
        tcp.clear_field_by_name("receive");
    }
}

fn shorten(interval: &mut DynamicMessage) {
    let seconds = interval.get_field_by_name("seconds").and_then(|value| value.as_i64());
    if seconds.is_some_and(|seconds| seconds >= HEALTH_INTERVAL_SECONDS) {
        set(interval, "seconds", Value::I64(HEALTH_INTERVAL_SECONDS));
        set(interval, "nanos", Value::I32(0));
    }
}
