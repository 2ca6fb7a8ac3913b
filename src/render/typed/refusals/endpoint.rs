//! Endpoints and addresses.

use std::net::{IpAddr, Ipv6Addr};

use prost_reflect::DynamicMessage;

use super::Refusals;
use crate::schema::fields::{field, inner, list, text};

/// The hosts of a load assignment must be numbers: nobody resolves names there.
pub(super) fn only_addresses(
    assignment: &DynamicMessage,
    place: &'static str,
    why: &str,
    refusals: &mut Refusals<'_>,
) {
    for address in addresses(assignment) {
        let Some(socket) = inner(&address, "socket_address") else { continue };
        let host = text(&socket, "address");
        if text(&socket, "resolver_name").is_empty() && host.parse::<IpAddr>().is_err() {
            let text = format!("`{host}` is no IP address, and hosts that {why} are not resolved");
            let hint = "give an IP address, or make the cluster STRICT_DNS";
            return refusals.refuse(place, "bad-address", text, hint);
        }
        if !text(&socket, "named_port").is_empty() {
            let text = format!("`{host}` has a named port, which is not resolved");
            return refusals.refuse(place, "bad-address", text, "give `port_value`");
        }
    }
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

/// An address that serves IPv4 as well must be one of IPv6 that can.
pub(super) fn socket(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let resolver = text(message, "resolver_name");
    if !resolver.is_empty() && resolver != "envoy.ip" {
        let text = format!("Envoy has no resolver `{resolver}`");
        refusals.refuse("resolver_name", "bad-address", text, "remove it");
    }
    if field(message, "ipv4_compat").is_none() {
        return;
    }
    let host = text(message, "address");
    let fits = |ip: Ipv6Addr| ip.is_unspecified() || ip.to_ipv4_mapped().is_some();
    if !host.parse::<Ipv6Addr>().is_ok_and(fits) {
        let text = format!("`ipv4_compat` can't be set for `{host}`");
        let hint = "it is for `::` and for IPv4 addresses mapped to IPv6";
        refusals.refuse("ipv4_compat", "bad-address", text, hint);
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
