//! The connected nodes as data, in the words that people of the field know.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Site;
use crate::model::{NodeIdentity, SnapshotKey, Stage, TypeUrl};
use crate::reconcile::Culprit;
use crate::xds::{Nack, NodeStatus, Release, TypeStatus};

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
    /// By which credential it came, by name.
    pub(crate) credential: Option<String>,
    pub(crate) key: Option<SnapshotKey>,
    pub(crate) connected_at: Timestamp,
    pub(crate) streams: usize,
    /// The worst of its types' states.
    pub(crate) state: SyncState,
    /// The newest release that it took all of.
    pub(crate) release: Option<Release>,
    /// It is served an earlier release, as others refuse the newest.
    pub(crate) spared: bool,
    pub(crate) types: Vec<TypeCard>,
}

/// One type on one node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct TypeCard {
    pub(crate) type_url: String,
    /// The message's name without its package.
    pub(crate) kind: String,
    pub(crate) state: SyncState,
    /// Whether it is told of changes only.
    pub(crate) delta: bool,
    pub(crate) wildcard: bool,
    pub(crate) names: usize,
    pub(crate) sent: Option<Arc<str>>,
    pub(crate) acked: Option<Arc<str>>,
    /// The newest release that has the ACKed version.
    pub(crate) release: Option<Release>,
    /// Since when it lacks something that is published.
    pub(crate) behind_since: Option<Timestamp>,
    pub(crate) answered_at: Option<Timestamp>,
    pub(crate) nacked: Option<NackCard>,
}

/// A refusal, and what it leads back to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct NackCard {
    #[serde(flatten)]
    pub(crate) nack: Nack,
    /// Where the refused resources were written, and by whom.
    pub(crate) culprits: Vec<Culprit>,
}

/// How a node stands to what it was sent; later is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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

/// Which nodes are asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    pub(crate) stage: Option<Stage>,
    pub(crate) state: Option<SyncState>,
}

/// The nodes that are asked for, with what their refusals lead back to.
pub(crate) async fn shown(site: &Site, wanted: &Wanted) -> Nodes {
    let mut nodes = nodes(&site.web.hub.nodes(), wanted);
    attribute(site, &mut nodes.nodes).await;
    nodes
}

/// The nodes of all that are asked for.
pub(crate) fn nodes(all: &[NodeStatus], wanted: &Wanted) -> Nodes {
    let of_stage = |node: &&NodeStatus| {
        let stage = wanted.stage.as_ref();
        stage.is_none_or(|stage| node.key.as_ref().map(|k| &k.stage) == Some(stage))
    };
    let of_state = |card: &NodeCard| wanted.state.is_none_or(|state| card.state == state);
    let cards = all.iter().filter(of_stage).map(node_card);
    let mut nodes: Vec<_> = cards.filter(of_state).collect();
    let mut states = BTreeMap::new();
    for node in &nodes {
        *states.entry(node.state).or_default() += 1;
    }
    let total = nodes.len();
    nodes.sort_by_key(|node| std::cmp::Reverse(node.state));
    nodes.truncate(NODES_SHOWN_MAX);
    Nodes { total, states, nodes }
}

/// Finds out what refusals lead back to: once for all nodes that refuse the
/// same thing.
pub(crate) async fn attribute(site: &Site, nodes: &mut [NodeCard]) {
    let mut known: BTreeMap<_, Vec<Culprit>> = BTreeMap::new();
    for node in nodes {
        let Some(key) = node.key.clone() else { continue };
        for card in &mut node.types {
            let type_url = TypeUrl(card.type_url.as_str().into());
            let Some(card) = &mut card.nacked else { continue };
            let nack = &card.nack;
            let what = (key.clone(), type_url, nack.version.clone(), nack.resources.clone());
            if let Some(culprits) = known.get(&what) {
                card.culprits.clone_from(culprits);
                continue;
            }
            card.culprits = site.web.handle.culprits(&key, &what.1, nack).await;
            known.insert(what, card.culprits.clone());
        }
    }
}

/// A node as data, without what its refusals lead back to.
pub(crate) fn node_card(node: &NodeStatus) -> NodeCard {
    let types: Vec<_> = node.types.iter().map(type_card).collect();
    let worst = types.iter().map(|card| card.state).max().unwrap_or(SyncState::NotSent);
    NodeCard {
        identity: node.identity.clone(),
        credential: node.credential.clone(),
        key: node.key.clone(),
        connected_at: node.connected_at,
        streams: node.streams,
        state: if node.spared { worst.max(SyncState::Stale) } else { worst },
        release: node.release.clone(),
        spared: node.spared,
        types,
    }
}

fn type_card(status: &TypeStatus) -> TypeCard {
    let message = status.type_url.message();
    let nacked = status.nacked.clone().map(|nack| NackCard { nack, culprits: Vec::new() });
    TypeCard {
        type_url: status.type_url.to_string(),
        kind: message.rsplit('.').next().unwrap_or(message).into(),
        state: sync_state(status),
        delta: status.delta,
        wildcard: status.wildcard,
        names: status.names,
        sent: status.sent.clone(),
        acked: status.acked.clone(),
        release: status.release.clone(),
        behind_since: status.behind_since,
        answered_at: status.answered_at,
        nacked,
    }
}

fn sync_state(status: &TypeStatus) -> SyncState {
    let behind = status.behind_since.is_some();
    match (&status.nacked, &status.sent, &status.acked) {
        (Some(_), _, _) => SyncState::Nacked,
        (None, None, _) => SyncState::NotSent,
        (None, Some(_), None) => SyncState::NeverAcked,
        (None, Some(sent), Some(acked)) if sent == acked && !behind => SyncState::Synced,
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
            delta: true,
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
    fn who_took_what_was_sent_and_lacks_what_was_not_is_stale() {
        let behind_since = Some(Timestamp::UNIX_EPOCH);
        let lags = TypeStatus { behind_since, ..status(Some("v1"), Some("v1"), false) };
        assert_eq!(sync_state(&lags), SyncState::Stale);
        let mut spared = node("a");
        spared.types.truncate(1);
        assert_eq!(node_card(&spared).state, SyncState::Synced);
        spared.spared = true;
        assert_eq!(node_card(&spared).state, SyncState::Stale);
    }

    #[test]
    fn only_the_nodes_in_a_state_are_shown_where_one_is_named() {
        let mut quiet = node("a");
        quiet.types.truncate(1);
        let wanted = Wanted { state: Some(SyncState::Synced), ..Wanted::default() };
        let shown = nodes(&[quiet, node("b")], &wanted);
        assert_eq!((shown.total, shown.states), (1, [(SyncState::Synced, 1)].into()));
    }

    #[test]
    fn a_node_is_as_bad_as_its_worst_type() {
        assert_eq!(nodes(&[node("n1")], &Wanted::default()).nodes[0].state, SyncState::Nacked);
    }

    #[test]
    fn a_large_fleet_is_counted_whole_and_shown_in_part() {
        let fleet: Vec<_> = (0..600).map(|n| node(&format!("n{n}"))).collect();
        let nodes = nodes(&fleet, &Wanted::default());
        assert_eq!((nodes.total, nodes.nodes.len()), (600, NODES_SHOWN_MAX));
        assert_eq!(nodes.states, [(SyncState::Nacked, 600)].into());
    }

    #[test]
    fn the_worst_come_first() {
        let mut quiet = node("a");
        quiet.types.truncate(1);
        let ids: Vec<_> = nodes(&[quiet, node("b")], &Wanted::default())
            .nodes
            .into_iter()
            .map(|node| node.identity.id.to_string())
            .collect();
        assert_eq!(ids, ["b", "a"]);
    }
}
