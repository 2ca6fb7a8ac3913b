//! Endpoints and addresses.

use std::net::{IpAddr, Ipv6Addr};

use prost_reflect::DynamicMessage;

use super::Refusals;
use crate::schema::fields::{field, inner, list, number, text, variant};

/// The hosts of a load assignment must be numbers: nobody resolves names there.
pub(super) fn only_addresses(
    assignment: &DynamicMessage,
    place: &'static str,
    why: &str,
    refusals: &mut Refusals<'_>,
) {
    for address in addresses(assignment).into_iter().chain(checked(assignment)) {
        let Some(socket) = inner(&address, "socket_address") else { continue };
        let host = text(&socket, "address");
        if text(&socket, "resolver_name").is_empty() && !is_address(&host) {
            let text = format!("`{host}` is no IP address, and hosts that {why} are not resolved");
            let hint = "give an IP address, or make the cluster STRICT_DNS";
            return refusals.refuse(place, "bad-address", text, hint);
        }
        if !text(&socket, "network_namespace_filepath").is_empty() {
            let text = format!("`{host}` has a network namespace, and hosts have none");
            let hint = "remove `network_namespace_filepath`";
            return refusals.refuse(place, "bad-address", text, hint);
        }
        if !text(&socket, "named_port").is_empty() {
            let text = format!("`{host}` has a named port, which is not resolved");
            return refusals.refuse(place, "bad-address", text, "give `port_value`");
        }
    }
}

/// An IP address; one of IPv6 may have a scope.
pub(super) fn is_address(host: &str) -> bool {
    match host.split_once('%') {
        Some((host, scope)) => !scope.is_empty() && host.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<IpAddr>().is_ok(),
    }
}

/// Where hosts are health-checked, if elsewhere.
fn checked(assignment: &DynamicMessage) -> Vec<DynamicMessage> {
    let localities = list(assignment, "endpoints");
    let hosts = localities.iter().flat_map(|locality| list(locality, "lb_endpoints"));
    let endpoints = hosts.filter_map(|host| inner(&host, "endpoint"));
    let configs = endpoints.filter_map(|endpoint| inner(&endpoint, "health_check_config"));
    configs.filter_map(|config| inner(&config, "address")).collect()
}

fn addresses(assignment: &DynamicMessage) -> Vec<DynamicMessage> {
    let localities = list(assignment, "endpoints");
    let hosts = localities.iter().flat_map(|locality| list(locality, "lb_endpoints"));
    let endpoints = hosts.filter_map(|host| inner(&host, "endpoint"));
    endpoints
        .flat_map(|endpoint| {
            let more = list(&endpoint, "additional_addresses");
            let more = more.iter().filter_map(|one| inner(one, "address"));
            inner(&endpoint, "address").into_iter().chain(more).collect::<Vec<_>>()
        })
        .collect()
}

/// Hosts are given in one way.
pub(super) fn locality(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let hosts = list(message, "lb_endpoints");
    if field(message, "leds_cluster_locality_config").is_some() && !hosts.is_empty() {
        let text = "hosts can't stand beside `leds_cluster_locality_config`";
        refusals.refuse("leds_cluster_locality_config", "oneof", text, "keep one of them");
    }
    let address = |host: &DynamicMessage| inner(&inner(host, "endpoint")?, "address");
    if hosts.iter().any(|host| address(host).is_none()) {
        let text = "`lb_endpoints` has a host without `endpoint: {address: …}`";
        refusals.refuse("lb_endpoints", "bad-address", text, "give its address");
    }
    let endpoints = hosts.iter().filter_map(|host| inner(host, "endpoint"));
    let more = endpoints.flat_map(|endpoint| list(&endpoint, "additional_addresses"));
    if more.into_iter().any(|one| inner(&one, "address").is_none()) {
        let text = "`additional_addresses` has an item without `address`";
        refusals.refuse("lb_endpoints", "validation", text, "give its `address`");
    }
}

/// The longest path of a UNIX domain socket.
const PATH_MAX: usize = 107;

/// A socket by path.
pub(super) fn pipe(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let path = text(message, "path");
    if path.len() > PATH_MAX {
        let text = format!("`path` has {} bytes, more than {PATH_MAX}", path.len());
        refusals.refuse("path", "bad-address", text, "UNIX domain sockets have short paths");
    }
    if path.starts_with('@') && field(message, "mode").is_some() {
        let text = "`mode` can't be set for an abstract socket";
        refusals.refuse("mode", "bad-address", text, "remove it");
    }
}

/// The share of requests that are dropped.
pub(super) fn drops(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let drops = list(message, "drop_overloads");
    if drops.len() > 1 {
        let text = format!("Envoy takes one of `drop_overloads`, not {}", drops.len());
        refusals.refuse("drop_overloads", "validation", text, "keep one");
    }
    let whole = |share: &DynamicMessage| match variant(share, "denominator").as_deref() {
        Some("MILLION") => 1_000_000,
        Some("TEN_THOUSAND") => 10_000,
        _ => 100,
    };
    let shares = drops.iter().filter_map(|drop| inner(drop, "drop_percentage"));
    if shares.into_iter().any(|share| number(&share, "numerator").unwrap_or(0) > whole(&share)) {
        let text = "`drop_percentage` is more than all requests";
        refusals.refuse("drop_overloads", "validation", text, "lower it");
    }
}

/// Where connections are made from.
pub(super) fn binding(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let source = inner(message, "source_address");
    let mut more = list(message, "extra_source_addresses");
    more.extend(list(message, "additional_source_addresses"));
    let more: Vec<_> =
        more.iter().map(|one| inner(one, "address").unwrap_or_else(|| one.clone())).collect();
    let is_v6 = |socket: &DynamicMessage| {
        let host = text(socket, "address");
        is_address(&host).then(|| host.contains(':'))
    };
    let wrong = if source.iter().chain(&more).any(|socket| is_v6(socket).is_none()) {
        "an address to connect from must be an IP address"
    } else if source.is_none() && !more.is_empty() {
        "more source addresses need a `source_address`"
    } else if more.len() > 1 {
        "there can be one more source address"
    } else if source.iter().any(|first| more.iter().any(|one| is_v6(one) == is_v6(first))) {
        "two source addresses must be of different IP versions"
    } else {
        return;
    };
    refusals.refuse("source_address", "bad-address", wrong, "give one of IPv4 and one of IPv6");
}

/// Addresses are numbers, which one resolver reads.
pub(super) fn socket(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let resolver = text(message, "resolver_name");
    if !resolver.is_empty() && resolver != "envoy.ip" {
        let text = format!("Envoy has no resolver `{resolver}`");
        refusals.refuse("resolver_name", "bad-address", text, "remove it");
    }
}

/// One that listens for IPv4 as well must be an address of IPv6 that can.
pub(super) fn compatible(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    if field(message, "ipv4_compat").is_none() {
        return;
    }
    let host = text(message, "address");
    let fits = |ip: Ipv6Addr| ip.is_unspecified() || ip.to_ipv4_mapped().is_some();
    if !host.parse::<Ipv6Addr>().is_ok_and(fits) {
        let text = format!("`ipv4_compat` can't be set for `{host}`");
        let hint = "it is for `::` and for IPv4 addresses mapped to IPv6";
        refusals.refuse("address", "bad-address", text, hint);
    }
}

/// A range is written as numbers; Envoy dies of one that is not.
pub(super) fn range(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let prefix = text(message, "address_prefix");
    if prefix.parse::<IpAddr>().is_err() {
        let text = format!("`address_prefix` must be an IP address, is \"{prefix}\"");
        refusals.refuse("address_prefix", "bad-address", text, "write the bits into `prefix_len`");
    }
}
