//! Listeners: an address, and filter chains that can be told apart.

use std::collections::BTreeSet;

use prost_reflect::DynamicMessage;

use super::Refusals;
use crate::schema::fields::{field, inner, list, number, text, texts, variant};

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
    // A matcher chooses by name and looks at no `filter_chain_match`.
    if inner(listener, "filter_chain_matcher").is_none() {
        alike(&chains, refusals);
    }
}

/// Envoy can't choose between two chains that one connection matches alike.
fn alike(chains: &[DynamicMessage], refusals: &mut Refusals<'_>) {
    for (at, chain) in chains.iter().enumerate() {
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
                format!("{}/{bits}", text(range, "address_prefix"))
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

fn repeated(values: &[String]) -> Option<&String> {
    let mut seen = BTreeSet::new();
    values.iter().find(|value| !seen.insert(*value))
}
