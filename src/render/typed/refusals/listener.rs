//! Listeners: an address, and filter chains that can be told apart.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use prost_reflect::{DynamicMessage, ReflectMessage};

use super::{Refusals, endpoint, extension, filter, tree};
use crate::schema::fields::{field, inner, list, number, text, texts, unpacked, variant};

pub(super) fn check(listener: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let address = inner(listener, "address");
    let internal = ["internal_listener", "api_listener"];
    if address.is_none() && internal.iter().all(|name| field(listener, name).is_none()) {
        let text = "a listener needs an `address`";
        refusals.refuse("address", "no-address", text, "write address: {socket_address: …}");
    }
    let chains = list(listener, "filter_chains");
    let udp = address.and_then(|address| inner(&address, "socket_address"));
    let udp = udp.and_then(|socket| variant(&socket, "protocol")).as_deref() == Some("UDP");
    let none = chains.is_empty() && inner(listener, "default_filter_chain").is_none();
    if none && !udp && internal.iter().all(|name| field(listener, name).is_none()) {
        let text = "a listener needs a filter chain";
        refusals.refuse("filter_chains", "no-filter-chain", text, "add one to `filter_chains`");
    }
    places(listener, udp, refusals);
    let quic = inner(listener, "udp_listener_config")
        .is_some_and(|config| field(&config, "quic_options").is_some());
    if udp && !quic && !chains.is_empty() {
        let text = "a UDP listener without `quic_options` has no filter chains";
        refusals.refuse("filter_chains", "udp-listener", text, "use listener filters");
    }
    if udp && field(listener, "enable_mptcp").is_some() {
        let text = "`enable_mptcp` is for TCP, and the listener is for UDP";
        refusals.refuse("enable_mptcp", "validation", text, "remove it");
    }
    tree::listener(listener, refusals);
    let category = if udp { "envoy.filters.udp_listener" } else { "envoy.filters.listener" };
    for filter in list(listener, "listener_filters").iter().filter(|_| !quic) {
        extension::expect(filter, category, "listener_filters", refusals);
    }
    for chain in chains.iter().chain(&inner(listener, "default_filter_chain")) {
        transport(chain, quic, refusals);
    }
    if inner(listener, "filter_chain_matcher").is_some() {
        names(&chains, refusals);
    }
    // A matcher chooses by name and looks at no `filter_chain_match`.
    if inner(listener, "filter_chain_matcher").is_none() {
        alike(&chains, refusals);
    }
}

/// Addresses are numbers, and all of one protocol.
fn places(listener: &DynamicMessage, udp: bool, refusals: &mut Refusals<'_>) {
    let first = inner(listener, "address");
    let more = list(listener, "additional_addresses");
    if more.iter().any(|one| field(one, "address").is_none()) {
        let text = "an item of `additional_addresses` has no `address`";
        refusals.refuse("additional_addresses", "no-address", text, "give one, or remove it");
    }
    let more: Vec<_> = more.iter().filter_map(|one| inner(one, "address")).collect();
    for address in first.iter().chain(&more) {
        if field(address, "envoy_internal_address").is_some() {
            let text = "a listener can't have an internal address";
            let hint = "set `internal_listener: {}` instead";
            refusals.refuse("address", "bad-address", text, hint);
        }
        let Some(socket) = inner(address, "socket_address") else { continue };
        endpoint::compatible(&socket, refusals);
        let host = text(&socket, "address");
        if text(&socket, "resolver_name").is_empty() && !endpoint::is_address(&host) {
            let text = format!("`{host}` is no IP address, and listeners don't resolve names");
            refusals.refuse("address", "bad-address", text, "give an IP address, as 0.0.0.0");
        }
        if (variant(&socket, "protocol").as_deref() == Some("UDP")) != udp {
            let text = "`additional_addresses` must be of the same protocol";
            refusals.refuse("additional_addresses", "bad-address", text, "make a second listener");
        }
    }
}

/// The socket of a chain is a server's, and HTTP/3 is for QUIC alone.
fn transport(chain: &DynamicMessage, quic: bool, refusals: &mut Refusals<'_>) {
    let socket = inner(chain, "transport_socket");
    if let Some(socket) = &socket {
        let category = "envoy.transport_sockets.downstream";
        extension::expect(socket, category, "filter_chains", refusals);
    } else if quic {
        let text = "a filter chain of a QUIC listener needs a transport socket";
        refusals.refuse("filter_chains", "http3-transport", text, "give a QuicDownstreamTransport");
    }
    for filter in list(chain, "filters") {
        let manager = unpacked(refusals.schema, &filter, "typed_config");
        let Some(manager) = manager.filter(|one| one.descriptor().full_name() == filter::MANAGER)
        else {
            continue;
        };
        let http3 = variant(&manager, "codec_type").as_deref() == Some("HTTP3");
        if http3 != quic {
            let text = "`codec_type: HTTP3` is for listeners with `quic_options`, and they need it";
            refusals.refuse("filter_chains", "http3-transport", text, "change one of them");
        }
    }
}

/// A matcher names chains, so they have names, each its own.
fn names(chains: &[DynamicMessage], refusals: &mut Refusals<'_>) {
    let names: Vec<_> = chains.iter().map(|chain| text(chain, "name")).collect();
    let hint = "`filter_chain_matcher` chooses by name";
    if names.iter().any(String::is_empty) {
        refusals.refuse("filter_chains", "validation", "a filter chain has no `name`", hint);
    } else if let Some(twice) = repeated(&names) {
        let text = format!("two filter chains have the name `{twice}`");
        refusals.refuse("filter_chains", "validation", text, hint);
    }
}

/// Server names may begin with `*.`, and hold no other wildcard.
fn wildcards(chain: &DynamicMessage) -> Option<String> {
    let given = inner(chain, "filter_chain_match")?;
    let partial = |name: &String| name.strip_prefix("*.").unwrap_or(name).contains('*');
    texts(&given, "server_names").into_iter().find(partial)
}

/// Envoy can't choose between two chains that one connection matches alike.
fn alike(chains: &[DynamicMessage], refusals: &mut Refusals<'_>) {
    for (at, chain) in chains.iter().enumerate() {
        if let Some(name) = wildcards(chain) {
            let text = format!("`server_names` can't hold the wildcard `{name}`");
            let hint = "a wildcard stands for the first labels: *.example.com";
            return refusals.refuse("filter_chains", "same-filter-chain", text, hint);
        }
        if let Some(twice) = Criteria::values(chain).iter().find_map(|values| repeated(values)) {
            let text = format!("`{twice}` is there twice in the match of filter chain {}", at + 1);
            return refusals.refuse("filter_chains", "same-filter-chain", text, "keep one of them");
        }
    }
    let criteria: Vec<_> = chains.iter().map(Criteria::of).collect();
    for (at, second) in criteria.iter().enumerate() {
        if let Some(first) = criteria[..at].iter().position(|first| first.meets(second)) {
            let text = format!(
                "filter chain {} matches what filter chain {} matches already",
                at + 1,
                first + 1
            );
            let hint = "make their `filter_chain_match` differ";
            return refusals.refuse("filter_chains", "same-filter-chain", text, hint);
        }
    }
}

/// What a chain asks for, criterion by criterion; one that asks for nothing
/// stands as the empty text, and differs from one that asks for something.
struct Criteria(Vec<BTreeSet<String>>);

impl Criteria {
    fn of(chain: &DynamicMessage) -> Self {
        Self(Self::values(chain).into_iter().map(Self::or_nothing).collect())
    }

    /// Each criterion's values as they are given.
    fn values(chain: &DynamicMessage) -> [Vec<String>; 9] {
        let Some(given) = inner(chain, "filter_chain_match") else {
            return Default::default();
        };
        let ranges = |name: &str| -> Vec<String> {
            let shown = |range: &DynamicMessage| {
                let bits = number(range, "prefix_len").unwrap_or(0);
                masked(&text(range, "address_prefix"), bits)
            };
            list(&given, name).iter().map(shown).collect()
        };
        let one = |value: Option<String>| value.into_iter().collect::<Vec<_>>();
        let ports = field(&given, "source_ports");
        let ports = ports.as_deref().and_then(|ports| ports.as_list()).unwrap_or_default();
        [
            one(number(&given, "destination_port").map(|port| port.to_string())),
            ranges("prefix_ranges"),
            texts(&given, "server_names").iter().map(|name| name.to_lowercase()).collect(),
            one(Some(text(&given, "transport_protocol"))),
            texts(&given, "application_protocols"),
            ranges("direct_source_prefix_ranges"),
            one(variant(&given, "source_type")),
            ranges("source_prefix_ranges"),
            ports.iter().map(|port| format!("{port:?}")).collect(),
        ]
    }

    fn or_nothing(values: Vec<String>) -> BTreeSet<String> {
        let any = |value: &String| value.is_empty() || value == "ANY";
        match values.iter().all(any) {
            true => BTreeSet::from([String::new()]),
            false => values.into_iter().collect(),
        }
    }

    fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(one, other)| !one.is_disjoint(other))
    }
}

/// A range by its first address: two that differ in masked bits are one.
fn masked(prefix: &str, bits: u32) -> String {
    match prefix.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => {
            let mask = u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or(0);
            format!("{}/{bits}", Ipv4Addr::from_bits(ip.to_bits() & mask))
        }
        Ok(IpAddr::V6(ip)) => {
            let mask = u128::MAX.checked_shl(128 - bits.min(128)).unwrap_or(0);
            format!("{}/{bits}", Ipv6Addr::from_bits(ip.to_bits() & mask))
        }
        Err(_) => format!("{prefix}/{bits}"),
    }
}

fn repeated(values: &[String]) -> Option<&String> {
    let mut seen = BTreeSet::new();
    values.iter().find(|value| !seen.insert(*value))
}
