//! The connected nodes as data, in the words that people of the field know.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::model::{NodeIdentity, SnapshotKey, Stage};
use crate::xds::{Nack, NodeStatus, TypeStatus};

/// More nodes than these are counted, not shown.
pub(crate) const NODES_SHOWN_MAX: usize = 500;

/// The nodes of a stage, or of all.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Nodes {
    /// How many there are.
    pub(crate) total: usize,
    /// How many are in each state.
    pub(crate) states: BTreeMap<SyncState, usize>,
    /// The first of them: the worst first, then by id.
    pub(crate) nodes: Vec<NodeCard>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct NodeCard {
    pub(crate) identity: NodeIdentity,
    pub(crate) key: Option<SnapshotKey>,
    pub(crate) connected_at: Timestamp,
    pub(crate) streams: usize,
    /// The worst of its types' states.
    pub(crate) state: SyncState,
    pub(crate) types: Vec<TypeCard>,
}

/// One type on one node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct TypeCard {
    pub(crate) type_url: String,
    /// The message's name without its package.
    pub(crate) kind: String,
    pub(crate) state: SyncState,
    pub(crate) wildcard: bool,
    pub(crate) names: usize,
    pub(crate) sent: Option<Arc<str>>,
    pub(crate) acked: Option<Arc<str>>,
    pub(crate) answered_at: Option<Timestamp>,
    pub(crate) nacked: Option<Nack>,
}

/// How a node stands to what it was sent; later is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SyncState {
    /// It took what it was sent last.
    Synced,
    /// It was sent nothing.
    NotSent,
    /// It took an earlier version.
    Stale,
    /// It never answered.
    NeverAcked,
    /// It refused.
    Nacked,
}

/// The nodes that are served from `stage` (`None`: all nodes).
pub(crate) fn nodes(all: &[NodeStatus], stage: Option<&Stage>) -> Nodes {
    let of_stage = |node: &&NodeStatus| {
        stage.is_none_or(|stage| node.key.as_ref().map(|k| &k.stage) == Some(stage))
    };
    let mut nodes: Vec<_> = all.iter().filter(of_stage).map(node_card).collect();
    let mut states = BTreeMap::new();
    for node in &nodes {
        *states.entry(node.state).or_default() += 1;
    }
    let total = nodes.len();
    nodes.sort_by_key(|node| std::cmp::Reverse(node.state));
    nodes.truncate(NODES_SHOWN_MAX);
    Nodes { total, states, nodes }
}

fn node_card(node: &NodeStatus) -> NodeCard {
    let types: Vec<_> = node.types.iter().map(type_card).collect();
    NodeCard {
        identity: node.identity.clone(),
        key: node.key.clone(),
        connected_at: node.connected_at,
        streams: node.streams,
        state: types.iter().map(|card| card.state).max().unwrap_or(SyncState::NotSent),
        types,
    }
}

fn type_card(status: &TypeStatus) -> TypeCard {
    let message = status.type_url.message();
    TypeCard {
        type_url: status.type_url.to_string(),
        kind: message.rsplit('.').next().unwrap_or(message).into(),
        state: sync_state(status),
        wildcard: status.wildcard,
        names: status.names,
        sent: status.sent.clone(),
        acked: status.acked.clone(),
        answered_at: status.answered_at,
        nacked: status.nacked.clone(),
    }
}

fn sync_state(status: &TypeStatus) -> SyncState {
    match (&status.nacked, &status.sent, &status.acked) {
        (Some(_), _, _) => SyncState::Nacked,
        (None, None, _) => SyncState::NotSent,
        (None, Some(_), None) => SyncState::NeverAcked,
        (None, Some(sent), Some(acked)) if sent == acked => SyncState::Synced,
        _ => SyncState::Stale,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::{NodeId, ResourceKind};

    fn status(sent: Option<&str>, acked: Option<&str>, nack: bool) -> TypeStatus {
        let nack = nack.then(|| Nack {
            version: "v9".into(),
            message: "bad <listener>".into(),
            at: Timestamp::UNIX_EPOCH,
            resources: Vec::new(),
            release: None,
        });
        TypeStatus {
            type_url: ResourceKind::Listeners.type_url(),
            wildcard: true,
            names: 0,
            sent: sent.map(Into::into),
            acked: acked.map(Into::into),
            release: None,
            behind_since: None,
            answered_at: acked.map(|_| Timestamp::UNIX_EPOCH),
            nacked: nack,
        }
    }

    pub(crate) fn node(id: &str) -> NodeStatus {
        NodeStatus {
            identity: NodeIdentity {
                id: NodeId(id.into()),
                cluster: "front".into(),
                metadata: BTreeMap::new(),
                envoy_version: Some("1.36.4".into()),
                locality: "eu/a/".into(),
            },
            credential: None,
            key: None,
            connected_at: Timestamp::UNIX_EPOCH,
            streams: 1,
            release: None,
            in_step: false,
            spared: false,
            types: vec![
                status(Some("v1"), Some("v1"), false),
                status(Some("v9"), Some("v1"), true),
            ],
        }
    }

    #[test]
    fn states_have_the_words_of_the_field() {
        for (sent, acked, nack, state) in [
            (Some("v2"), Some("v2"), false, SyncState::Synced),
            (Some("v2"), Some("v1"), false, SyncState::Stale),
            (Some("v2"), None, false, SyncState::NeverAcked),
            (None, None, false, SyncState::NotSent),
            (Some("v2"), Some("v1"), true, SyncState::Nacked),
        ] {
            assert_eq!(sync_state(&status(sent, acked, nack)), state);
        }
    }

    #[test]
    fn a_node_is_as_bad_as_its_worst_type() {
        assert_eq!(nodes(&[node("n1")], None).nodes[0].state, SyncState::Nacked);
    }

    #[test]
    fn a_large_fleet_is_counted_whole_and_shown_in_part() {
        let fleet: Vec<_> = (0..600).map(|n| node(&format!("n{n}"))).collect();
        let nodes = nodes(&fleet, None);
        assert_eq!((nodes.total, nodes.nodes.len()), (600, NODES_SHOWN_MAX));
        assert_eq!(nodes.states, [(SyncState::Nacked, 600)].into());
    }

    #[test]
    fn the_worst_come_first() {
        let mut quiet = node("a");
        quiet.types.truncate(1);
        let ids: Vec<_> = nodes(&[quiet, node("b")], None)
            .nodes
            .into_iter()
            .map(|node| node.identity.id.to_string())
            .collect();
        assert_eq!(ids, ["b", "a"]);
    }
}
