//! Every rule, a file for each family.
//!
//! A rule's function says what a client says and returns at the first thing
//! that is not as the sentence says. It asks for as little as it can, so that
//! a server that breaks one rule fails that one and not its neighbours.

mod beside;
mod demand;
mod fetch;
mod flight;
mod initial;
mod limits;
mod missing;
mod nack;
mod nonce;
mod order;
mod pair;
mod reconnect;
mod removal;
mod stream;
mod subscribe;
mod ttl;
mod types;
mod version;
mod wildcard;
mod wire;
mod xdstp;

use super::rule::{Rule, Stop};

/// What a rule's function comes to.
type Done = Result<(), Stop>;

static FAMILIES: [&[Rule]; 20] = [
    types::RULES,
    wire::RULES,
    stream::RULES,
    wildcard::RULES,
    subscribe::RULES,
    missing::RULES,
    nonce::RULES,
    nack::RULES,
    version::RULES,
    initial::RULES,
    reconnect::RULES,
    removal::RULES,
    order::RULES,
    flight::RULES,
    limits::RULES,
    ttl::RULES,
    demand::RULES,
    xdstp::RULES,
    fetch::RULES,
    beside::RULES,
];

/// Every rule.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    FAMILIES.iter().flat_map(|family| family.iter())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_rule_has_an_id_of_its_own_and_a_place_to_run() {
        let mut ids = BTreeSet::new();
        for rule in all() {
            assert!(ids.insert(rule.id), "{} is there twice", rule.id);
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
            assert!(rule.id.chars().all(plain), "{}", rule.id);
            assert_eq!(rule.id.matches('.').count(), 1, "{}", rule.id);
            assert!(!rule.transports.is_empty() && !rule.source.is_empty(), "{}", rule.id);
            assert!(!rule.says.ends_with('.'), "{}", rule.id);
        }
    }
}
