//! The latest snapshots, who is connected, and what they said.
//!
//! A switchboard, not an actor: publishing swaps a pointer in a watch channel
//! and wakes the streams, which look for themselves. Its locks guard small
//! tables, are taken when a stream or a snapshot comes or goes and never for a
//! message, and are never held while anything is awaited or written.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

use super::counters::Counts;
use super::pulse::Pulse;
use super::registry::{self, Registry};
use super::session::{Answer, Outgoing};
use super::standing::{SharedSession, Standing};
use super::{HubCounters, NodeStatus};
use crate::model::{NodeId, NodeIdentity, SnapshotKey, TypeUrl};
use crate::snapshot::{Routing, Snapshot};
use crate::telemetry::clock;

/// How many refusals are remembered.
const MAX_REFUSALS: usize = 256;

/// What a node's answer means to the rest of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The node took `version` of a type.
    Acked {
        /// What the node is served from.
        key: SnapshotKey,
        /// The node.
        node: NodeId,
        /// The type.
        type_url: TypeUrl,
        /// The type's version.
        version: Arc<str>,
    },
    /// The node refused it, in Envoy's own words.
    Nacked {
        /// What the node is served from.
        key: SnapshotKey,
        /// The node.
        node: NodeId,
        /// The type.
        type_url: TypeUrl,
        /// The type's version.
        version: Arc<str>,
        /// Envoy's own words.
        message: String,
    },
    /// A node came, went, or was assigned anew.
    Changed,
}

/// The switchboard between snapshots and streams; cheap to clone.
#[derive(Debug, Clone)]
pub struct Hub {
    shared: Arc<Shared>,
}

/// What a stream follows.
pub(super) type Latest = watch::Receiver<Option<Arc<Snapshot>>>;

#[derive(Debug)]
struct Shared {
    snapshots: Mutex<HashMap<SnapshotKey, watch::Sender<Option<Arc<Snapshot>>>>>,
    registry: Mutex<Registry>,
    refusals: Mutex<VecDeque<(TypeUrl, String)>>,
    routing: watch::Sender<Arc<Routing>>,
    /// Serves every node from this key, whatever the rules say.
    everyone: Option<SnapshotKey>,
    reports: mpsc::Sender<Report>,
    changes: Pulse,
    counts: Counts,
}

impl Hub {
    /// A hub that knows no snapshot. Reports go to `reports`; when it is full
    /// they are dropped (the reconciler looks at [`Hub::nodes`] on each tick).
    pub fn new(reports: mpsc::Sender<Report>) -> Self {
        Self::with(reports, None)
    }

    /// A hub that serves `snapshot` to every node.
    pub fn serving(snapshot: Arc<Snapshot>, reports: mpsc::Sender<Report>) -> Self {
        let hub = Self::with(reports, Some(snapshot.key.clone()));
        hub.publish(snapshot);
        hub
    }

    fn with(reports: mpsc::Sender<Report>, everyone: Option<SnapshotKey>) -> Self {
        let shared = Shared {
            snapshots: Mutex::default(),
            registry: Mutex::default(),
            refusals: Mutex::default(),
            routing: watch::Sender::default(),
            everyone,
            reports,
            changes: Pulse::default(),
            counts: Counts::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Serves `snapshot` from now on. The same version again changes nothing.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        let sender = self.sender(&snapshot.key);
        let news = sender.send_if_modified(|latest| {
            let news = latest.as_ref().is_none_or(|known| known.version != snapshot.version);
            if news {
                *latest = Some(snapshot.clone());
            }
            news
        });
        if news {
            tracing::info!(key = %snapshot.key, version = %snapshot.version.short(), "published");
        }
    }

    /// Stops serving a key: its streams are sent nothing more.
    pub fn withdraw(&self, key: &SnapshotKey) {
        if self.sender(key).send_replace(None).is_some() {
            tracing::info!(key = %key, "withdrawn");
        }
        // A key that nobody follows needs no channel.
        locked(&self.shared.snapshots)
            .retain(|_, sender| sender.receiver_count() > 0 || sender.borrow().is_some());
    }

    /// What is served for `key`.
    pub fn snapshot(&self, key: &SnapshotKey) -> Option<Arc<Snapshot>> {
        locked(&self.shared.snapshots).get(key).and_then(|sender| sender.borrow().clone())
    }

    /// Replaces the rules; open streams are assigned anew.
    pub fn route(&self, routing: Arc<Routing>) {
        self.shared.routing.send_replace(routing);
    }

    /// Every connected node, sorted by id.
    pub fn nodes(&self) -> Vec<NodeStatus> {
        self.streams().iter().filter_map(|streams| registry::status(streams)).collect()
    }

    /// One connected node.
    pub fn node(&self, node: &NodeId) -> Option<NodeStatus> {
        self.shared.changes.look();
        let streams = locked(&self.shared.registry).node(node);
        registry::status(&streams)
    }

    /// A counter that moves when [`Hub::nodes`] would give something else than
    /// when it was called last: however much happens between two looks moves
    /// it once. Whoever is woken by it must look before waiting again.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.follow()
    }

    /// What was counted so far.
    pub fn counters(&self) -> HubCounters {
        self.shared.counts.read()
    }

    /// The newest refusals, oldest first, at most 256: type and Envoy's words.
    pub fn refusals(&self) -> Vec<(TypeUrl, String)> {
        locked(&self.shared.refusals).iter().cloned().collect()
    }

    /// The rules, to be followed.
    pub(super) fn routing(&self) -> watch::Receiver<Arc<Routing>> {
        self.shared.routing.subscribe()
    }

    /// What `node` is served from under the rules as they are.
    pub(super) fn assign(&self, node: &NodeIdentity) -> Option<SnapshotKey> {
        let everyone = self.shared.everyone.clone();
        everyone.or_else(|| self.shared.routing.borrow().assign(node))
    }

    /// The snapshots of `key`, to be followed; it need not have one yet.
    pub(super) fn follow(&self, key: &SnapshotKey) -> Latest {
        locked(&self.shared.snapshots).entry(key.clone()).or_default().subscribe()
    }

    /// A stream introduced itself.
    pub(super) fn joined(
        &self,
        identity: NodeIdentity,
        credential: Option<Arc<str>>,
        key: Option<SnapshotKey>,
        session: SharedSession,
    ) -> Arc<Standing> {
        let standing = Standing::new(identity, credential, key, session, clock::now());
        let standing = Arc::new(standing);
        locked(&self.shared.registry).joined(standing.clone());
        self.shared.counts.opened.add(1);
        self.report(Report::Changed);
        self.stands();
        standing
    }

    /// A stream ended.
    pub(super) fn left(&self, standing: &Arc<Standing>) {
        locked(&self.shared.registry).left(standing);
        self.shared.counts.closed.add(1);
        self.report(Report::Changed);
        self.stands();
    }

    /// A stream is served from `key` now.
    pub(super) fn assigned(&self, standing: &Standing, key: Option<&SnapshotKey>) {
        standing.assign(key.cloned());
        self.report(Report::Changed);
        self.stands();
    }

    /// A stream stands otherwise than before; how, its session knows.
    pub(super) fn stands(&self) {
        self.shared.changes.beat();
    }

    /// A request came, perhaps with an answer in it.
    pub(super) fn answered(&self, standing: &Standing, type_url: &TypeUrl, answer: Option<Answer>) {
        let counts = &self.shared.counts;
        counts.requests.add(1);
        let Some(answer) = answer else { return };
        let (node, type_url) = (standing.identity().id.clone(), type_url.clone());
        match answer {
            Answer::Acked { version } => {
                counts.acks.add(1);
                if let Some(key) = standing.key() {
                    self.report(Report::Acked { key, node, type_url, version });
                }
            }
            Answer::Nacked { version, message } => {
                counts.nacks.add(1);
                tracing::warn!(node.id = %node, %type_url, %version, %message, "an update was refused");
                self.remember(&type_url, &message);
                if let Some(key) = standing.key() {
                    self.report(Report::Nacked { key, node, type_url, version, message });
                }
            }
        }
    }

    /// A response is about to be written.
    pub(super) fn pushed(&self, outgoing: &Outgoing) {
        let counts = &self.shared.counts;
        counts.pushes.add(1);
        counts.resources.add(outgoing.resources.len() as u64);
        counts.bytes.add(outgoing.encoded_len() as u64);
    }

    /// A request that opened no stream is answered with so many resources.
    pub(super) fn polled(&self, resources: usize) {
        self.shared.counts.pushes.add(1);
        self.shared.counts.resources.add(resources as u64);
    }

    /// A stream was refused, or ended for a reason of ours.
    pub(super) fn refused(&self) {
        self.shared.counts.refused.add(1);
    }

    fn remember(&self, type_url: &TypeUrl, message: &str) {
        let mut refusals = locked(&self.shared.refusals);
        if refusals.len() == MAX_REFUSALS {
            refusals.pop_front();
        }
        refusals.push_back((type_url.clone(), message.to_owned()));
    }

    fn report(&self, report: Report) {
        if let Err(TrySendError::Full(_)) = self.shared.reports.try_send(report) {
            self.shared.counts.reports_dropped.add(1);
        }
    }

    fn sender(&self, key: &SnapshotKey) -> watch::Sender<Option<Arc<Snapshot>>> {
        locked(&self.shared.snapshots).entry(key.clone()).or_default().clone()
    }

    /// The open streams, by node, for a look at them.
    fn streams(&self) -> Vec<Vec<Arc<Standing>>> {
        self.shared.changes.look();
        locked(&self.shared.registry).all()
    }
}

fn locked<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    // The tables hold plain data that is whole after every statement.
    table.lock().unwrap_or_else(PoisonError::into_inner)
}
