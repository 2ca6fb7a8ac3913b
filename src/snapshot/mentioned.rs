//! Which of some names a message of any type holds, at any depth.
//!
//! Reads the wire format alone, without a schema: every text in the message
//! that is one of the names is found, whatever field it is in, within `Any`s
//! too. So it may find a name that is none there, and never misses one that is
//! written out. For whoever must not lose anything; a precise answer with
//! places is `references`'. Pure.

use std::collections::BTreeSet;

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// Messages nest in messages; Envoy itself gives up at 100 levels.
const MAX_DEPTH: usize = 100;

/// Those of `names` that are in `message`.
pub fn mentioned<'n>(message: &[u8], names: &BTreeSet<&'n str>) -> BTreeSet<&'n str> {
    let mut found = BTreeSet::new();
    if !names.is_empty() {
        walk(message, names, MAX_DEPTH, &mut found);
    }
    found
}

/// Bytes that are no message end the walk through them: what was found until
/// then was a text all the same.
fn walk<'n>(
    mut message: &[u8],
    names: &BTreeSet<&'n str>,
    depth: usize,
    found: &mut BTreeSet<&'n str>,
) -> Option<()> {
    while !message.is_empty() && found.len() < names.len() {
        let (number, wire_type) = decode_key(&mut message).ok()?;
        if wire_type != WireType::LengthDelimited {
            skip_field(wire_type, number, &mut message, DecodeContext::default()).ok()?;
            continue;
        }
        let len = usize::try_from(decode_varint(&mut message).ok()?).ok()?;
        let (content, rest) = message.split_at_checked(len)?;
        message = rest;
        let text = std::str::from_utf8(content).ok();
        found.extend(text.and_then(|text| names.get(text)));
        if depth > 0 {
            walk(content, names, depth - 1, found);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::route::v3::{Route, RouteAction};
    use envoy_types::pb::envoy::config::route::v3::{
        RouteConfiguration, VirtualHost, WeightedCluster, route, route_action, weighted_cluster,
    };
    use envoy_types::pb::google::protobuf::{Any, UInt32Value};
    use prost::Message;

    use super::*;

    fn check(message: &[u8], names: &[&str], expected: &[&str]) {
        let found = mentioned(message, &names.iter().copied().collect());
        assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
    }

    /// A route to a cluster, one with weighted clusters, and one whose filter
    /// has a configuration that names a cluster.
    fn routes() -> Vec<u8> {
        let to = |specifier| Route {
            action: Some(route::Action::Route(RouteAction {
                cluster_specifier: Some(specifier),
                ..Default::default()
            })),
            ..Default::default()
        };
        let weighted = |name: &str| weighted_cluster::ClusterWeight {
            name: name.into(),
            weight: Some(UInt32Value { value: 1 }),
            ..Default::default()
        };
        let clusters = vec![weighted("w1"), weighted("w2")];
        let plain = to(route_action::ClusterSpecifier::Cluster("plain".into()));
        let split = to(route_action::ClusterSpecifier::WeightedClusters(WeightedCluster {
            clusters,
            ..Default::default()
        }));
        let inner = Any { type_url: "x/Inner".into(), value: plain.encode_to_vec() };
        let filtered = Route {
            typed_per_filter_config: [("f".to_owned(), inner)].into(),
            ..Default::default()
        };
        let host = VirtualHost { routes: vec![split, filtered], ..Default::default() };
        let message = RouteConfiguration { virtual_hosts: vec![host], ..Default::default() };
        message.encode_to_vec()
    }

    #[test]
    fn names_are_found_wherever_they_are() {
        let all = ["plain", "w1", "w2", "w", "other", ""];
        check(&routes(), &all, &["plain", "w1", "w2"]);
        check(&[], &all, &[]);
        check(&routes(), &[], &[]);
    }

    #[test]
    fn what_is_no_message_is_read_as_far_as_it_goes() {
        let mut cut = routes();
        cut.truncate(cut.len() - 3);
        mentioned(&cut, &["plain"].into());
        check(&[0xff; 40], &["a"], &[]);
        // A text, then rubbish.
        check(&[0x0a, 1, b'a', 0xff], &["a"], &["a"]);
    }

    #[test]
    fn nesting_is_followed_to_a_depth() {
        let mut message = vec![0x0a, 1, b'a'];
        for _ in 0..10_000 {
            if message.len() > 120 {
                break;
            }
            message = [&[0x0a, u8::try_from(message.len()).unwrap()], message.as_slice()].concat();
        }
        check(&message, &["a"], &["a"]);
    }
}
