//! The owner: takes one event at a time, decides, records, then acts.
//!
//! Here are its parts, its start, its loop and its end; what it does about each
//! kind of event is in the files beside, one kind each.

mod commands;
mod decisions;
mod matrix;
mod measuring;
mod nodes;
mod rendering;
mod serving;
mod upstreams;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::nodes::{Look, Told};
use super::Settings;
use super::cards::{self, Announcer};
use super::changes::Differ;
use super::event::{Adoption, Event};
use super::handle::Handle;
use super::measure::Measuring;
use super::record::{DoubtRecord, Loaded, RecordError, Records};
use super::runs::Runs;
use super::sync::{BACKOFF, Mode, Repository};
use super::trees::Trees;
use super::view::{MirrorState, View};
use crate::govern::{Govern, Registry};
use crate::model::{CommitId, NodeGroup, PromotionId, RepoName, Revision, SnapshotKey, Stage};
use crate::promote::{self, Promotion, State};
use crate::render::Renderer;
use crate::smoke::Smoke;
use crate::snapshot::Routing;
use crate::store::{Store, StoreError};
use crate::tasks::Tasks;
use crate::telemetry::{chain, clock};
use crate::xds::{Hub, Report};

/// Events that wait; a nudge beyond it is lost, everything else waits.
const EVENTS_MAX: usize = 1024;
/// How often gates are looked at without an event.
const TICK: Duration = Duration::from_secs(1);

/// How long reports of nodes are gathered before one look at all of them: a
/// large fleet answers within it, and people don't notice it.
const GATHER: Duration = Duration::from_millis(50);
/// After a start, nodes get this long to come back before a promotion that was
/// being applied counts as taken by those that are there.
const RETURN: Duration = Duration::from_secs(10);
/// After a start, cards of promotions that ended within this time are looked
/// at again: the process may have ended before they were edited.
const CARDS_AGAIN: Duration = Duration::from_secs(24 * 3600);
/// How long the card that is being shown may take when the process ends.
const LAST_CARD: Duration = Duration::from_secs(3);
/// Commits whose authors are looked up for one bundle.
const AUTHORS_OF_MAX: usize = 1000;

/// What the reconciler works with.
#[derive(Debug)]
pub struct Parts {
    /// Revisions and decisions.
    pub store: Store,
    /// The renderer.
    pub renderer: Arc<Renderer>,
    /// Who there is: the person behind a commit's mail address.
    pub govern: Govern,
    /// Where snapshots are served.
    pub hub: Hub,
    /// What the hub reports.
    pub reports: mpsc::Receiver<Report>,
    /// Where cells run.
    pub smoke: Smoke,
    /// Where cards are shown; `None`: nowhere.
    pub announcer: Option<Arc<dyn Announcer>>,
    /// What the configuration says.
    pub settings: Settings,
    /// Where tasks run.
    pub tasks: Tasks,
}

/// Why the reconciler could not start.
#[derive(Debug, thiserror::Error)]
#[error("the recorded decisions can't be read")]
pub struct StartError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// Reads back what was decided, serves it, and starts the owner.
///
/// # Errors
/// `@convoy/state` can't be read.
pub async fn start(parts: Parts) -> Result<Handle, StartError> {
    let fail = |error: RecordError| StartError(Box::new(error));
    let records = Records::new(parts.store.clone());
    for repository in &parts.settings.repositories {
        let created = parts.store.create(&repository.name).await;
        created.map_err(|error| fail(error.into()))?;
    }
    let Loaded { state, cards: shown, doubts } = records.load().map_err(fail)?;
    let (events, inbox) = mpsc::channel(EVENTS_MAX);
    let (view, watching) = watch::channel(Arc::new(View::default()));
    let schema = parts.renderer.schema().clone();
    let differ = Differ::new(schema, parts.hub.clone(), records.clone());
    let handle = Handle {
        events: events.clone(),
        view: watching.clone(),
        records: records.clone(),
        tasks: parts.tasks.clone(),
        smoke: parts.smoke.clone(),
        differ: differ.clone(),
    };
    let outbox = parts.announcer.clone().map(|announcer| {
        let (wanted, queue) = mpsc::channel(EVENTS_MAX);
        let work = cards::run((announcer, Some(differ)), queue, watching, shown, events.clone());
        (wanted, parts.tasks.spawn_outbox("cards", work))
    });
    let (cards, outbox) = outbox.unzip();
    let mirrors = parts.settings.repositories.iter().map(Mirror::new).collect();
    let tasks = parts.tasks.clone();
    let mut owner = Owner {
        parts,
        records,
        trees: Trees::default(),
        state: Arc::new(state),
        mirrors,
        runs: Runs::default(),
        served: BTreeMap::new(),
        routing: Arc::default(),
        view,
        events,
        cards,
        outbox,
        unserved: BTreeSet::new(),
        doubts,
        told: BTreeMap::new(),
        measuring: Measuring::default(),
        people: None,
        started: (Instant::now(), clock::now()),
    };
    owner.resume().await;
    tasks.spawn_core("reconcile", owner.run(inbox));
    Ok(handle)
}

/// One repository, and what goes on with it.
struct Mirror {
    repository: Repository,
    state: MirrorState,
    checked_at: Option<jiff::Timestamp>,
    busy: bool,
    again: bool,
    adopt: Vec<Adoption>,
    due: Instant,
    rendering: Option<Revision>,
    rendered: Option<Revision>,
    failures: u32,
}

impl Mirror {
    fn new(repository: &Repository) -> (RepoName, Self) {
        let mirror = Self {
            repository: repository.clone(),
            state: MirrorState::Waiting,
            checked_at: None,
            busy: false,
            again: false,
            adopt: Vec::new(),
            due: Instant::now(),
            rendering: None,
            rendered: None,
            failures: 0,
        };
        (repository.name.clone(), mirror)
    }

    /// What was to be rendered was not, or was not recorded.
    fn render_again(&mut self) {
        self.rendering = None;
        self.failures += 1;
        let wait = BACKOFF.wait(self.failures, 0.0);
        self.due = Instant::now() + wait.min(self.repository.poll.max(BACKOFF.first));
    }

    /// The upstream head that needs no fetch.
    fn seen(&self, head: Option<CommitId>) -> Option<CommitId> {
        match self.state {
            MirrorState::Diverged { theirs, .. } => Some(theirs),
            _ => head,
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

struct Owner {
    parts: Parts,
    records: Records,
    trees: Trees,
    state: Arc<State>,
    mirrors: BTreeMap<RepoName, Mirror>,
    runs: Runs,
    served: BTreeMap<(RepoName, Stage), BTreeSet<NodeGroup>>,
    routing: Arc<Routing>,
    view: watch::Sender<Arc<View>>,
    events: mpsc::Sender<Event>,
    cards: Option<mpsc::Sender<PromotionId>>,
    outbox: Option<JoinHandle<()>>,
    /// Stages whose pointer moved although what it points at could not be read.
    unserved: BTreeSet<(RepoName, Stage)>,
    /// What nodes refuse, as it is recorded.
    doubts: BTreeMap<SnapshotKey, DoubtRecord>,
    /// What each promotion under way was told of its nodes.
    told: BTreeMap<PromotionId, Told>,
    measuring: Measuring,
    /// Who there was when authors were looked up the last time.
    people: Option<Arc<Registry>>,
    started: (Instant, jiff::Timestamp),
}

impl Owner {
    /// Fires again every effect of what was decided before.
    async fn resume(&mut self) {
        for (key, doubt) in &self.doubts {
            self.parts.hub.condemn(key, doubt.version);
        }
        for (repo, stage) in self.state.slots.keys().cloned().collect::<Vec<_>>() {
            self.vouch(&repo, &stage).await;
            self.publish(&repo, &stage).await;
        }
        if let Err(error) = self.learn_authors().await {
            tracing::error!(error = %chain(&error), "who wrote what could not be recorded");
        }
        for (repo, mirror) in &mut self.mirrors {
            mirror.rendered = self.state.newest(repo).map(|bundle| bundle.commit.revision);
        }
        self.show();
        let (_, now) = self.started;
        let recent = |at: jiff::Timestamp| now.duration_since(at).unsigned_abs() < CARDS_AGAIN;
        let fresh = |p: &&Promotion| p.ending.as_ref().is_none_or(|ending| recent(ending.at));
        // One whose card shows this already is left alone.
        for promotion in self.state.promotions.values().filter(fresh) {
            self.announce(&promotion.id);
        }
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Event>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut stopping = std::pin::pin!(self.parts.tasks.stopping());
        let (mut look, mut gather): (Option<Instant>, Duration) = (None, GATHER);
        loop {
            let event = tokio::select! {
                () = &mut stopping => return self.finish(inbox).await,
                Some(event) = inbox.recv() => event,
                Some(_) = self.parts.reports.recv(), if look.is_none() => {
                    look = Some(Instant::now() + gather);
                    continue;
                }
                () = sleep_until(look) => {
                    look = None;
                    // Many reports mean one look.
                    while self.parts.reports.try_recv().is_ok() {}
                    Event::Fleet
                }
                _ = tick.tick() => Event::Tick,
                else => return,
            };
            let (looks, began) = (matches!(event, Event::Fleet), Instant::now());
            let handled = self.handle(event).await;
            if looks {
                // The larger the fleet, the rarer the look: a tenth of the time.
                gather = GATHER.max(began.elapsed() * 10).min(TICK);
            }
            if let Err(error) = handled {
                tracing::error!(error = %chain(&error), "a decision could not be recorded");
                if matches!(error, RecordError::Store(StoreError::Halted)) {
                    self.parts.tasks.fail("the journal can't be written; restart to recover");
                    return;
                }
            }
            self.begin_cells().await;
            self.show();
        }
    }

    /// Waits for the card that is being shown, so that a restart edits it.
    async fn finish(mut self, mut inbox: mpsc::Receiver<Event>) {
        self.cards = None;
        let Some(outbox) = self.outbox.take() else { return };
        let ended = tokio::time::timeout(LAST_CARD, outbox);
        let mut ended = std::pin::pin!(ended);
        loop {
            let event = tokio::select! {
                biased;
                Some(event) = inbox.recv() => event,
                _ = &mut ended => return,
            };
            if matches!(event, Event::Shown { .. })
                && let Err(error) = self.handle(event).await
            {
                tracing::warn!(error = %chain(&error), "a card's place was not recorded");
            }
        }
    }

    async fn handle(&mut self, event: Event) -> Result<(), RecordError> {
        match event {
            Event::Nudge(repo) => self.begin_sync(&repo, Mode::Import),
            Event::Synced { repo, result, adopt } => self.synced(&repo, result, adopt).await?,
            Event::Rendered { repo, revision, made } => {
                self.rendered(&repo, revision, made).await?;
            }
            Event::RenderFailed { repo, revision, detail } => {
                tracing::error!(repo = %repo, revision = %revision, detail, "rendering failed");
                if let Some(mirror) = self.mirrors.get_mut(&repo) {
                    mirror.render_again();
                }
            }
            Event::Measured { subject, value } => self.measured(&subject, value).await?,
            Event::CellBegan { bundle, cell } => self.runs.at_work(&bundle, &cell, clock::now()),
            Event::Cell { bundle, result } => self.cell(&bundle, result).await?,
            Event::Command { actor, command, reply } => self.command(actor, command, reply).await?,
            Event::Shown { promotion, room, record, done } => {
                self.records.write_card(&promotion, &room, &record, clock::now()).await?;
                let _ = done.send(());
            }
            Event::Fleet => self.fleet(Look::News).await?,
            Event::Tick => self.tick().await?,
        }
        Ok(())
    }

    async fn tick(&mut self) -> Result<(), RecordError> {
        let now = Instant::now();
        // Who only looks should see who there is by now, too.
        self.learn_authors().await?;
        self.learn_fleet();
        let due = self.mirrors.iter().filter(|(_, mirror)| mirror.due <= now);
        for repo in due.map(|(repo, _)| repo.clone()).collect::<Vec<_>>() {
            self.begin_sync(&repo, Mode::Import);
        }
        for (repo, stage) in std::mem::take(&mut self.unserved) {
            self.publish(&repo, &stage).await;
        }
        if self.state.promotions.values().any(|promotion| !promotion.status.is_terminal()) {
            self.system(promote::Event::Tick).await?;
            self.fleet(Look::All).await?;
            self.begin_measuring();
        }
        Ok(())
    }
}
