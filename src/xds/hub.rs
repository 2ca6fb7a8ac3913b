//! The latest snapshots, who is connected, and what they said.
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::NodeStatus;
use crate::model::{NodeId, SnapshotKey, TypeUrl};
use crate::snapshot::{Routing, Snapshot};

/// What a node's answer means to the rest of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The node took `version` of a type.
    Acked { key: SnapshotKey, node: NodeId, type_url: TypeUrl, version: Arc<str> },
    /// The node refused it, in Envoy's own words.
    Nacked { key: SnapshotKey, node: NodeId, type_url: TypeUrl, version: Arc<str>, message: String },
    /// A node came, went, or was assigned anew.
    Changed,
}

/// The switchboard between snapshots and streams; cheap to clone.
#[derive(Debug, Clone)]
pub struct Hub {}

impl Hub {
    /// A hub that knows no snapshot. Reports go to `reports`; when it is full
    /// they are dropped (the reconciler looks at [`Hub::nodes`] on each tick).
    pub fn new(_reports: mpsc::Sender<Report>) -> Self {
        todo!()
    }
    /// Serves `snapshot` from now on. The same version again changes nothing.
    pub fn publish(&self, _snapshot: Arc<Snapshot>) {
        todo!()
    }
    /// Stops serving a key: its streams are sent nothing more.
    pub fn withdraw(&self, _key: &SnapshotKey) {
        todo!()
    }
    /// What is served for `key`.
    pub fn snapshot(&self, _key: &SnapshotKey) -> Option<Arc<Snapshot>> {
        todo!()
    }
    /// Replaces the rules; open streams are assigned anew.
    pub fn route(&self, _routing: Arc<Routing>) {
        todo!()
    }
    /// Every connected node, sorted by id.
    pub fn nodes(&self) -> Vec<NodeStatus> {
        todo!()
    }
    /// A counter that moves whenever [`Hub::nodes`] would give something else.
    pub fn changes(&self) -> watch::Receiver<u64> {
        todo!()
    }
}
