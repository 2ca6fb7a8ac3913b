//! Who is connected. Touched when a stream comes or goes and when somebody
//! looks, never by what a stream does in between: that is in its `Standing`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::line::Line;
use super::standing::{Seat, Standing};
use super::{NodeStatus, TypeStatus};
use crate::model::{NodeId, TypeUrl};

/// How many nodes that left are remembered; then the memory begins anew.
const LEFT_MAX: usize = 20_000;

/// Every open stream, by node. Within a node, a later stream is further back.
#[derive(Debug, Default)]
pub(super) struct Registry {
    nodes: BTreeMap<NodeId, Vec<Arc<Standing>>>,
    /// Who was here and is not any more.
    left: BTreeSet<NodeId>,
}

impl Registry {
    /// A stream of a node opened. True where the node returns.
    pub(super) fn joined(&mut self, standing: Arc<Standing>) -> bool {
        let node = standing.identity().id.clone();
        let returns = self.left.remove(&node);
        self.nodes.entry(node).or_default().push(standing);
        returns
    }

    /// A stream ended; with its last stream a node goes.
    pub(super) fn left(&mut self, standing: &Arc<Standing>) {
        let node = &standing.identity().id;
        let Some(streams) = self.nodes.get_mut(node) else { return };
        streams.retain(|one| !Arc::ptr_eq(one, standing));
        if streams.is_empty() {
            self.nodes.remove(node);
            if self.left.len() == LEFT_MAX {
                self.left.clear();
            }
            self.left.insert(node.clone());
        }
    }

    /// The streams of one node.
    pub(super) fn node(&self, node: &NodeId) -> Vec<Arc<Standing>> {
        self.nodes.get(node).cloned().unwrap_or_default()
    }

    /// The streams of every node, sorted by node id.
    pub(super) fn all(&self) -> Vec<Vec<Arc<Standing>>> {
        self.nodes.values().cloned().collect()
    }
}

/// A node as its streams show it; the newest introduction counts.
pub(super) fn status(streams: &[Arc<Standing>]) -> Option<NodeStatus> {
    let (first, last) = (streams.first()?, streams.last()?);
    let mut types: BTreeMap<TypeUrl, TypeStatus> = BTreeMap::new();
    for one in streams.iter().flat_map(|stream| type_statuses(stream)) {
        match types.get_mut(&one.type_url) {
            None => drop(types.insert(one.type_url.clone(), one)),
            Some(known) => super::status::merge(known, one),
        }
    }
    let seats: Vec<_> = streams.iter().map(|stream| stream.seat().clone()).collect();
    let releases: Option<Vec<_>> = seats.iter().map(Seat::release).collect();
    Some(NodeStatus {
        identity: last.identity().clone(),
        credential: last.credential().map(str::to_owned),
        key: seats.last().and_then(|seat| seat.key.clone()),
        connected_at: first.since(),
        streams: streams.len(),
        // A node is as far as its last stream is.
        release: releases.and_then(|all| all.into_iter().min_by_key(|one| one.revision)),
        in_step: seats.iter().all(|seat| seat.is_in_step(last.identity())),
        spared: seats.iter().any(|seat| seat.spared),
        types: types.into_values().collect(),
    })
}

/// The types of one stream, with where their versions come from.
fn type_statuses(stream: &Standing) -> Vec<TypeStatus> {
    let (mut types, serves) = {
        let session = stream.session();
        (session.statuses(), session.serves())
    };
    let seat = stream.seat().clone();
    let Some(line) = &seat.line else { return types };
    for one in &mut types {
        let origin = |version: &Arc<str>| line.origin(&one.type_url, version);
        let due = serves.as_ref().and_then(|serves| serves.types.get(&one.type_url));
        let due = due.map(|of_type| &of_type.version);
        // Who sees a part of a snapshot has versions of its own, which lead
        // nowhere: then what the whole stream took last is the word.
        let took = one.acked.as_ref().map(|acked| origin(acked).and_then(|one| one.release));
        let release = took.and_then(|took| took.or_else(|| seat.release()));
        let asks = one.wildcard || one.names > 0;
        let behind = asks && due.is_some() && due != one.acked.as_ref();
        let published = || line.due(stream.identity()).map(|due| due.at);
        let since = || behind_since(line, &seat, one, due).or_else(published);
        one.behind_since = if behind { since() } else { None };
        one.release = release;
        if let Some(nack) = &mut one.nacked {
            nack.release = line.origin(&one.type_url, &nack.version).and_then(|one| one.release);
        }
    }
    types
}

/// When the first version was published that a stream lacks: the one after
/// what it took last. Whoever took nothing lacks what is due.
fn behind_since(
    line: &Line,
    seat: &Seat,
    one: &TypeStatus,
    due: Option<&Arc<str>>,
) -> Option<Timestamp> {
    let took = one.acked.as_ref().and_then(|acked| line.version_left_at(&one.type_url, acked));
    let settled = || seat.settled.and_then(|(version, _)| line.left_at(version));
    let origin = || due.and_then(|due| line.origin(&one.type_url, due)).map(|one| one.since);
    took.or_else(settled).or_else(origin)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::model::NodeIdentity;
    use crate::xds::session::{Protocol, Session};

    fn stream(id: &str) -> Arc<Standing> {
        let identity = NodeIdentity {
            id: NodeId(id.into()),
            cluster: "web".into(),
            metadata: BTreeMap::new(),
            envoy_version: None,
            locality: String::new(),
        };
        let session = Arc::new(Mutex::new(Session::new(Protocol::Sotw)));
        Arc::new(Standing::new(identity, None, session, Timestamp::UNIX_EPOCH))
    }

    #[test]
    fn a_node_lasts_as_long_as_its_last_stream() {
        let mut registry = Registry::default();
        let (one, two) = (stream("a"), stream("a"));
        assert!(!registry.joined(one.clone()));
        assert!(!registry.joined(two.clone()));
        registry.left(&one);
        assert_eq!(status(&registry.all()[0]).map(|node| node.streams), Some(1));
        registry.left(&two);
        assert!(registry.all().is_empty());
        assert!(registry.node(&NodeId("a".into())).is_empty());
        assert!(registry.joined(one), "it returns");
    }
}
