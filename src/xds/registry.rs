//! Who is connected, and what each said: plain data behind the hub's lock.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{NodeStatus, TypeStatus};
use crate::model::{NodeId, NodeIdentity, SnapshotKey, TypeUrl};

/// Every connected node.
#[derive(Debug, Default)]
pub(super) struct Registry {
    nodes: BTreeMap<NodeId, Connected>,
}

#[derive(Debug)]
struct Connected {
    identity: NodeIdentity,
    key: Option<SnapshotKey>,
    connected_at: Timestamp,
    /// By number; a later stream has a greater one.
    streams: BTreeMap<u64, Vec<TypeStatus>>,
}

impl Registry {
    /// A stream of a node opened. The newest introduction counts.
    pub(super) fn joined(
        &mut self,
        stream: u64,
        identity: NodeIdentity,
        key: Option<SnapshotKey>,
        at: Timestamp,
    ) {
        let new = || Connected {
            identity: identity.clone(),
            key: None,
            connected_at: at,
            streams: BTreeMap::new(),
        };
        let node = self.nodes.entry(identity.id.clone()).or_insert_with(new);
        node.identity = identity;
        node.key = key;
        node.streams.insert(stream, Vec::new());
    }

    /// A stream ended; with its last stream a node goes.
    pub(super) fn left(&mut self, stream: u64, node: &NodeId) {
        let Some(connected) = self.nodes.get_mut(node) else { return };
        connected.streams.remove(&stream);
        if connected.streams.is_empty() {
            self.nodes.remove(node);
        }
    }

    /// A stream is served from `key` now. True where that is news.
    pub(super) fn assigned(&mut self, node: &NodeId, key: Option<&SnapshotKey>) -> bool {
        let Some(connected) = self.nodes.get_mut(node) else { return false };
        let news = connected.key.as_ref() != key;
        connected.key = key.cloned();
        news
    }

    /// A stream stands so now. True where that is news.
    pub(super) fn stands(&mut self, stream: u64, node: &NodeId, types: Vec<TypeStatus>) -> bool {
        let streams = self.nodes.get_mut(node).map(|connected| &mut connected.streams);
        let Some(known) = streams.and_then(|streams| streams.get_mut(&stream)) else {
            return false;
        };
        let news = *known != types;
        *known = types;
        news
    }

    /// Every node, sorted by id.
    pub(super) fn nodes(&self) -> Vec<NodeStatus> {
        self.nodes.values().map(Connected::status).collect()
    }
}

impl Connected {
    fn status(&self) -> NodeStatus {
        let mut types: BTreeMap<TypeUrl, TypeStatus> = BTreeMap::new();
        for one in self.streams.values().flatten() {
            match types.get_mut(&one.type_url) {
                Some(known) => merge(known, one),
                None => drop(types.insert(one.type_url.clone(), one.clone())),
            }
        }
        NodeStatus {
            identity: self.identity.clone(),
            key: self.key.clone(),
            connected_at: self.connected_at,
            streams: self.streams.len(),
            types: types.into_values().collect(),
        }
    }
}

/// Takes in a later stream for the same type: Envoy opens one for each name
/// where it does not aggregate. A refusal on any of them is the type's.
fn merge(known: &mut TypeStatus, later: &TypeStatus) {
    known.wildcard |= later.wildcard;
    known.names += later.names;
    known.sent = later.sent.clone().or(known.sent.take());
    known.acked = later.acked.clone().or(known.acked.take());
    known.answered_at = later.answered_at.max(known.answered_at);
    known.nacked = later.nacked.clone().or(known.nacked.take());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ResourceKind;

    fn identity(id: &str) -> NodeIdentity {
        NodeIdentity {
            id: NodeId(id.into()),
            cluster: "web".into(),
            metadata: BTreeMap::new(),
            envoy_version: None,
            locality: String::new(),
        }
    }

    fn status(names: usize, acked: &str) -> TypeStatus {
        TypeStatus {
            type_url: ResourceKind::Endpoints.type_url(),
            wildcard: false,
            names,
            sent: Some(acked.into()),
            acked: Some(acked.into()),
            answered_at: None,
            nacked: None,
        }
    }

    #[test]
    fn a_node_lasts_as_long_as_its_last_stream() {
        let mut registry = Registry::default();
        registry.joined(1, identity("a"), None, Timestamp::UNIX_EPOCH);
        registry.joined(2, identity("a"), None, Timestamp::UNIX_EPOCH);
        registry.left(1, &NodeId("a".into()));
        assert_eq!(registry.nodes()[0].streams, 1);
        registry.left(2, &NodeId("a".into()));
        assert_eq!(registry.nodes(), []);
    }

    #[test]
    fn streams_of_one_type_show_as_one() {
        let mut registry = Registry::default();
        let node = NodeId("a".into());
        registry.joined(1, identity("a"), None, Timestamp::UNIX_EPOCH);
        registry.joined(2, identity("a"), None, Timestamp::UNIX_EPOCH);
        assert!(registry.stands(1, &node, vec![status(1, "v1")]));
        assert!(registry.stands(2, &node, vec![status(2, "v2")]));
        assert!(!registry.stands(2, &node, vec![status(2, "v2")]));
        assert_eq!(registry.nodes()[0].types, [status(3, "v2")]);
    }
}
