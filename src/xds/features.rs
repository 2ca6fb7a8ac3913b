//! What a client can read beyond the base protocol, by its own word, and
//! whether it drains.
//!
//! Times to live it names in `node.client_features`. Envoy (1.36 to 1.40) reads
//! them and does not say so by itself: whoever wants them names the features in
//! the bootstrap's `node.client_features`.
//!
//! Errors about single resources (`resource_errors`, xRFC TP3) have no feature:
//! who does not know the field skips it. But in the state of the world they
//! make for responses that nobody else needs, which say in a word what a client
//! would else find out by a timer: that a name it asked for is not there. So
//! they go to clients that are known to use them, and by their user agent that
//! is gRPC, whatever its version: older ones take such a response for one that
//! changes nothing. Envoy up to 1.40 reads no errors, and is sent what it was
//! always sent. Incremental streams need none: `removed_resources` says the
//! same there, and everybody reads it. The one error that is ever told is that
//! a resource is not there; who may not see a resource is told the same, lest
//! an error give away that it is.

use envoy_types::pb::envoy::config::core::v3::Node;

/// The client drops resources that outlive their time to live.
const TTL: &str = "xds.config.supports-resource-ttl";
/// The client reads a `Resource` around a message in state-of-the-world
/// responses, which have no other place for a time to live.
/// By the name in Envoy's list of features, and by the one that Envoy's own
/// description of times to live and xRFC TP3 give.
const WRAPPED: [&str; 2] = ["xds.config.resource-in-sotw", "xds.config.supports-resource-in-sotw"];
/// How the user agent of any gRPC client begins: `gRPC Go`, `gRPC C-core linux`.
const GRPC: &str = "gRPC ";
/// The user agent of Envoy.
const ENVOY: &str = "envoy";

/// A client's optional abilities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Features {
    /// Times to live, on incremental streams.
    pub(super) ttl: bool,
    /// Wrapped resources with a time to live, on state-of-the-world streams.
    pub(super) wrapped: bool,
    /// Errors about single resources, on state-of-the-world streams.
    pub(super) errors: bool,
    /// It goes on with a listener's connections for a while when the listener
    /// is replaced.
    pub(super) drains: bool,
}

/// What `node` says it can do.
pub(super) fn features(node: &Node) -> Features {
    let says = |feature: &str| node.client_features.iter().any(|one| one == feature);
    // gRPC reads wrapped resources and knows no time to live: without its
    // content, a wrapped resource is an error there.
    let ttl = says(TTL);
    let wrapped = ttl && WRAPPED.iter().any(|feature| says(feature));
    let agent = node.user_agent_name.as_str();
    Features { ttl, wrapped, errors: agent.starts_with(GRPC), drains: agent == ENVOY }
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
        assert_eq!(features(&node(&[TTL])), Features { ttl: true, ..Features::default() });
        for wrapped in WRAPPED {
            let both = Features { ttl: true, wrapped: true, ..Features::default() };
            assert_eq!(features(&node(&[wrapped, TTL])), both);
            assert_eq!(features(&node(&[wrapped])), Features::default());
        }
    }

    #[test]
    fn only_grpc_is_known_to_read_errors() {
        let agent = |name: &str| Node { user_agent_name: name.into(), ..Node::default() };
        for name in ["gRPC C-core linux", "gRPC Go", "gRPC Java"] {
            assert!(features(&agent(name)).errors, "{name}");
        }
        for name in ["envoy", "", "my gRPC thing", "gRPCfoo"] {
            assert!(!features(&agent(name)).errors, "{name}");
        }
        assert!(features(&agent("envoy")).drains && !features(&agent("gRPC Go")).drains);
    }
}
