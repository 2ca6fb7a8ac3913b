//! Who is connected. Touched when a stream comes or goes and when somebody
//! looks, never by what a stream does in between: that is in its `Standing`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::NodeStatus;
use super::standing::Standing;
use crate::model::NodeId;

/// Every open stream, by node. Within a node, a later stream is further back.
#[derive(Debug, Default)]
pub(super) struct Registry {
    nodes: BTreeMap<NodeId, Vec<Arc<Standing>>>,
}

impl Registry {
    /// A stream of a node opened.
    pub(super) fn joined(&mut self, standing: Arc<Standing>) {
        self.nodes.entry(standing.identity().id.clone()).or_default().push(standing);
    }

    /// A stream ended; with its last stream a node goes.
    pub(super) fn left(&mut self, standing: &Arc<Standing>) {
        let node = &standing.identity().id;
        let Some(streams) = self.nodes.get_mut(node) else { return };
        streams.retain(|one| !Arc::ptr_eq(one, standing));
        if streams.is_empty() {
            self.nodes.remove(node);
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
    let mut types = BTreeMap::new();
    for one in streams.iter().flat_map(|stream| stream.session().statuses()) {
        match types.get_mut(&one.type_url) {
            None => drop(types.insert(one.type_url.clone(), one)),
            Some(known) => super::status::merge(known, one),
        }
    }
    Some(NodeStatus {
        identity: last.identity().clone(),
        credential: last.credential().map(str::to_owned),
        key: last.key(),
        connected_at: first.since(),
        streams: streams.len(),
        types: types.into_values().collect(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use jiff::Timestamp;

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
        Arc::new(Standing::new(identity, None, None, session, Timestamp::UNIX_EPOCH))
    }

    #[test]
    fn a_node_lasts_as_long_as_its_last_stream() {
        let mut registry = Registry::default();
        let (one, two) = (stream("a"), stream("a"));
        registry.joined(one.clone());
        registry.joined(two.clone());
        registry.left(&one);
        assert_eq!(status(&registry.all()[0]).map(|node| node.streams), Some(1));
        registry.left(&two);
        assert!(registry.all().is_empty());
        assert!(registry.node(&NodeId("a".into())).is_empty());
    }
}
