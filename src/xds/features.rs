//! What a client says it can read beyond the base protocol, in
//! `node.client_features`.
//!
//! Envoy (1.36 to 1.40) can do both and says neither by itself: whoever wants
//! times to live names the features in the bootstrap's `node.client_features`.

use envoy_types::pb::envoy::config::core::v3::Node;

/// The client drops resources that outlive their time to live.
const TTL: &str = "xds.config.supports-resource-ttl";
/// The client reads a `Resource` around a message in state-of-the-world
/// responses, which have no other place for a time to live.
const WRAPPED: &str = "xds.config.supports-resource-in-sotw";

/// A client's optional abilities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Features {
    /// Times to live, on incremental streams.
    pub(super) ttl: bool,
    /// Wrapped resources with a time to live, on state-of-the-world streams.
    pub(super) wrapped: bool,
}

/// What `node` says it can do.
pub(super) fn features(node: &Node) -> Features {
    let says = |feature: &str| node.client_features.iter().any(|one| one == feature);
    Features { ttl: says(TTL), wrapped: says(WRAPPED) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_tells_what_it_can_read() {
        let node = |features: &[&str]| Node {
            client_features: features.iter().map(|one| (*one).to_owned()).collect(),
            ..Node::default()
        };
        assert_eq!(features(&node(&["other"])), Features::default());
        assert_eq!(features(&node(&[TTL])), Features { ttl: true, wrapped: false });
        assert_eq!(features(&node(&[WRAPPED, TTL])), Features { ttl: true, wrapped: true });
    }
}
