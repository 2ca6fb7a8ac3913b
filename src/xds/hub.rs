//! The latest snapshots, who is connected, and what they said.
//!
//! A switchboard, not an actor: publishing swaps a pointer in a watch channel
//! and wakes the streams, which look for themselves. Its locks guard small
//! tables, are taken when a stream or a snapshot comes or goes and never for a
//! message, and are never held while anything is awaited or written.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

use super::counters::Counts;
use super::line::{Issue, Latest, Line, Offer};
use super::load::{ClusterLoad, Loads};
use super::pulse::Pulse;
use super::registry::{self, Registry};
use super::session::{Answer, Outgoing};
use super::standing::{Seat, SharedSession, Standing};
use super::{Doubt, HubCounters, Lags, NodeStatus, Release, ResourceStatus, Tally};
use crate::model::{ContentHash, NodeId, NodeIdentity, SnapshotKey, TypeUrl};
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

#[derive(Debug)]
struct Shared {
    lines: Mutex<HashMap<SnapshotKey, Arc<Line>>>,
    registry: Mutex<Registry>,
    refusals: Mutex<VecDeque<(TypeUrl, String)>>,
    routing: watch::Sender<Arc<Routing>>,
    /// Serves every node from this key, whatever the rules say.
    everyone: Option<SnapshotKey>,
    reports: mpsc::Sender<Report>,
    changes: Pulse,
    loads: Mutex<Loads>,
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
            lines: Mutex::default(),
            registry: Mutex::default(),
            refusals: Mutex::default(),
            routing: watch::Sender::default(),
            everyone,
            reports,
            changes: Pulse::default(),
            loads: Mutex::default(),
            counts: Counts::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Serves `snapshot` from now on. The same version again changes nothing.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        self.release(snapshot, None);
    }

    /// Serves `snapshot`, which came with `release`, from now on. The same
    /// version again changes nothing for nodes; whoever has it then counts as
    /// having the newer release.
    pub fn release(&self, snapshot: Arc<Snapshot>, release: Option<Release>) {
        let key = snapshot.key.clone();
        let base = Some(Issue { snapshot, release });
        self.serve(&key, Offer { base, trial: None });
    }

    /// Serves what is offered for `key` from now on, as one change. Nodes for
    /// whom it is what they were served before are sent nothing.
    pub fn serve(&self, key: &SnapshotKey, offer: Offer) {
        let tried = offer.trial.as_ref().map(|(cohort, _)| cohort.subset().sentence());
        for news in self.line(key).serve(offer) {
            let (version, release) = (news.snapshot.version, &news.release);
            let revision = release.as_ref().map_or(0, |release| release.revision.0);
            tracing::info!(key = %key, version = %version.short(), revision, tried, "published");
            if let Some(release) = release {
                let lag = seconds(release.committed_at, clock::now());
                self.shared.counts.publish_lag.observe(lag);
            }
        }
        self.stands();
    }

    /// Takes the word that the fleet took `snapshot` before: what a node that
    /// joins is served while the newest is refused.
    pub fn vouch(&self, snapshot: Arc<Snapshot>) {
        self.line(&snapshot.key).vouch(snapshot);
    }

    /// Takes the word that the fleet refused `version` before we started.
    pub fn condemn(&self, key: &SnapshotKey, version: ContentHash) {
        self.line(key).condemn(version);
    }

    /// The publications that are rather refused than taken.
    pub fn doubts(&self) -> Vec<Doubt> {
        let lines = locked(&self.shared.lines).clone();
        let mut doubts: Vec<_> = lines
            .into_iter()
            .filter_map(|(key, line)| {
                let (version, taken, refused) = line.doubt()?;
                Some(Doubt { key, version, taken, refused })
            })
            .collect();
        doubts.sort_by(|a, b| a.key.cmp(&b.key));
        doubts
    }

    /// Stops serving a key: its streams are sent nothing more.
    pub fn withdraw(&self, key: &SnapshotKey) {
        if self.line(key).withdraw() {
            tracing::info!(key = %key, "withdrawn");
        }
        // A key that nobody follows needs no line.
        locked(&self.shared.lines).retain(|_, line| !line.is_idle());
        self.stands();
    }

    /// What is served for `key`.
    pub fn snapshot(&self, key: &SnapshotKey) -> Option<Arc<Snapshot>> {
        let line = locked(&self.shared.lines).get(key).cloned();
        Some(line?.live().main()?.snapshot.clone())
    }

    /// What `node`, which is served from `key`, is to be served: the candidate
    /// that is tried on it, or what everybody else is served.
    pub fn due(&self, key: &SnapshotKey, node: &NodeIdentity) -> Option<Arc<Snapshot>> {
        let line = locked(&self.shared.lines).get(key).cloned();
        Some(line?.due(node)?.snapshot.clone())
    }

    /// What is served for `key`, and the release that it came with last.
    pub fn served(&self, key: &SnapshotKey) -> Option<(Arc<Snapshot>, Option<Release>)> {
        let line = locked(&self.shared.lines).get(key).cloned()?;
        let snapshot = line.live().main()?.snapshot.clone();
        let release = line.release(snapshot.version);
        Some((snapshot, release))
    }

    /// Replaces the rules; open streams are assigned anew.
    pub fn route(&self, routing: Arc<Routing>) {
        self.shared.routing.send_replace(routing);
    }

    /// Every connected node, sorted by id.
    pub fn nodes(&self) -> Vec<NodeStatus> {
        self.streams().iter().filter_map(|streams| registry::status(streams)).collect()
    }

    /// How the nodes of each key stand, in numbers. Cheap: no session is asked.
    pub fn tally(&self) -> BTreeMap<SnapshotKey, Tally> {
        let mut tallies: BTreeMap<SnapshotKey, Tally> = BTreeMap::new();
        for streams in self.streams() {
            let seats: Vec<_> = streams.iter().map(|stream| stream.seat().clone()).collect();
            let Some(key) = seats.last().and_then(|seat| seat.key.clone()) else { continue };
            let tally = tallies.entry(key).or_default();
            tally.nodes += 1;
            let identity = streams.first().map(|stream| stream.identity());
            let in_step = |seat: &Seat| identity.is_some_and(|node| seat.is_in_step(node));
            tally.in_step += usize::from(seats.iter().all(in_step));
            tally.refusing += usize::from(seats.iter().any(|seat| seat.refusing));
        }
        tallies
    }

    /// Every resource that a node asks for or holds, by type and name. Costs
    /// as much as the node has resources.
    pub fn resources(&self, node: &NodeId) -> Vec<ResourceStatus> {
        let streams = locked(&self.shared.registry).node(node);
        let resources = streams.iter().flat_map(|stream| stream.session().resources());
        let mut resources: Vec<_> = resources.collect();
        resources.sort_by(|a, b| (&a.type_url, &a.name).cmp(&(&b.type_url, &b.name)));
        resources
    }

    /// What a node's streams are served from.
    pub(super) fn serves(&self, node: &NodeId) -> Vec<Arc<Snapshot>> {
        let streams = locked(&self.shared.registry).node(node);
        streams.iter().filter_map(|stream| stream.session().serves()).collect()
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

    /// What nodes reported of the load on clusters, summed up.
    pub fn cluster_loads(&self) -> Vec<ClusterLoad> {
        self.loads().all()
    }

    /// How many reported sums were not kept, because there are too many.
    pub fn loads_refused(&self) -> u64 {
        self.loads().refused()
    }

    /// The sums, for whoever takes reports in.
    pub(super) fn loads(&self) -> MutexGuard<'_, Loads> {
        locked(&self.shared.loads)
    }

    /// What was counted so far.
    pub fn counters(&self) -> HubCounters {
        self.shared.counts.read()
    }

    /// How many responses of each kind were refused so far.
    pub fn nacks_by_kind(&self) -> Vec<(&'static str, u64)> {
        self.shared.counts.nacks_by_kind()
    }

    /// How long news took so far.
    pub fn lags(&self) -> Lags {
        self.shared.counts.lags()
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
        // Under the lock, so that no line goes before it is followed.
        Latest::new(locked(&self.shared.lines).entry(key.clone()).or_default().clone())
    }

    /// A stream introduced itself, and follows `latest` of `key`.
    pub(super) fn joined(
        &self,
        identity: NodeIdentity,
        credential: Option<Arc<str>>,
        (key, latest): (Option<SnapshotKey>, Option<&Latest>),
        session: SharedSession,
    ) -> Arc<Standing> {
        let standing = Standing::new(identity, credential, session, clock::now());
        standing.assign(key, latest.map(|latest| latest.line().clone()));
        let standing = Arc::new(standing);
        let returns = locked(&self.shared.registry).joined(standing.clone());
        self.shared.counts.opened.add(1);
        self.shared.counts.reconnects.add(u64::from(returns));
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
    pub(super) fn assigned(
        &self,
        standing: &Standing,
        (key, latest): (Option<&SnapshotKey>, Option<&Latest>),
    ) {
        standing.assign(key.cloned(), latest.map(|latest| latest.line().clone()));
        self.report(Report::Changed);
        self.stands();
    }

    /// A stream stands otherwise than before; how, its session knows.
    pub(super) fn stands(&self) {
        self.shared.changes.beat();
    }

    /// Looks whether a stream took all of what it is served now, after
    /// something happened on it.
    pub(super) fn look(&self, standing: &Standing, latest: Option<&mut Latest>) {
        self.stands();
        let Some(latest) = latest.filter(|latest| latest.is_open()) else { return };
        if !standing.session().is_in_step() {
            return;
        }
        let Some((publication, due)) = latest.took() else { return };
        let now = clock::now();
        let mut seat = standing.seat();
        seat.settled = Some((publication.snapshot.version, now));
        drop(seat);
        // Who came later than the publication shows how long joining takes,
        // not how long news do.
        if let Some((_, began)) = due.filter(|(at, _)| standing.since() <= *at) {
            let counts = &self.shared.counts;
            counts.ack_lag.observe(began.elapsed().as_secs_f64());
            if let Some(release) = &publication.release {
                counts.commit_lag.observe(seconds(release.committed_at, now));
            }
        }
    }

    /// A request came, perhaps with an answer in it.
    pub(super) fn answered(
        &self,
        standing: &Standing,
        latest: Option<&mut Latest>,
        type_url: &TypeUrl,
        answer: Option<Answer>,
    ) {
        let counts = &self.shared.counts;
        counts.requests.add(1);
        let Some(answer) = answer else { return };
        standing.seat().refusing = standing.session().is_refusing();
        let (node, type_url) = (standing.identity().id.clone(), type_url.clone());
        let key = standing.seat().key.clone();
        match answer {
            Answer::Acked { version } => {
                counts.acks.add(1);
                if let Some(key) = key {
                    self.report(Report::Acked { key, node, type_url, version });
                }
            }
            Answer::Nacked { version, message, resources, superseded } => {
                counts.nacked(&type_url);
                // What is about older content only says nothing of the newest.
                if let Some(latest) = latest.filter(|_| !superseded) {
                    latest.refused();
                    standing.seat().unsettle(standing.identity());
                }
                let names = resources.iter().map(|name| &*name.0).collect::<Vec<_>>().join(" ");
                // A fleet that refuses one thing is one line, not a thousand.
                match self.remember(&type_url, &message) {
                    true => tracing::warn!(node.id = %node, %type_url, %version,
                        resources = names, %message, "an update was refused"),
                    false => tracing::debug!(node.id = %node, %type_url, %version,
                        resources = names, %message, "an update was refused here too"),
                }
                if let Some(key) = key {
                    self.report(Report::Nacked { key, node, type_url, version, message });
                }
            }
        }
    }

    /// A response of so many bytes is about to be written.
    pub(super) fn pushed(&self, outgoing: &Outgoing, bytes: usize) {
        let counts = &self.shared.counts;
        counts.pushes.add(1);
        counts.resources.add(outgoing.resources.len() as u64);
        counts.bytes.add(bytes as u64);
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

    /// A request named another node than its stream's first one.
    pub(super) fn other_node(&self) {
        self.shared.counts.other_nodes.add(1);
    }

    /// Whether it is not the same as the one before it.
    fn remember(&self, type_url: &TypeUrl, message: &str) -> bool {
        let mut refusals = locked(&self.shared.refusals);
        let same = |(url, words): &(TypeUrl, String)| url == type_url && words == message;
        let news = !refusals.back().is_some_and(same);
        if refusals.len() == MAX_REFUSALS {
            refusals.pop_front();
        }
        refusals.push_back((type_url.clone(), message.to_owned()));
        news
    }

    fn report(&self, report: Report) {
        if let Err(TrySendError::Full(_)) = self.shared.reports.try_send(report) {
            self.shared.counts.reports_dropped.add(1);
        }
    }

    fn line(&self, key: &SnapshotKey) -> Arc<Line> {
        locked(&self.shared.lines).entry(key.clone()).or_default().clone()
    }

    /// The open streams, by node, for a look at them.
    fn streams(&self) -> Vec<Vec<Arc<Standing>>> {
        self.shared.changes.look();
        locked(&self.shared.registry).all()
    }
}

/// From one moment to another; nothing where the clock went back.
fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

fn locked<T>(table: &Mutex<T>) -> MutexGuard<'_, T> {
    // The tables hold plain data that is whole after every statement.
    table.lock().unwrap_or_else(PoisonError::into_inner)
}
