//! The owner: takes one event at a time, decides, records, then acts.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Settings;
use super::assess::assess_next;
use super::bundle::{self, Bundle, Made, Source, diff_stat};
use super::cards::{self, Announcer};
use super::event::{Adoption, Event, Reply, SyncError};
use super::fleet::{Word, standing, word};
use super::handle::{Command, Handle, Receipt};
use super::record::{CardRecord, RecordError, Records};
use super::resolve::find_bundle;
use super::runs::Runs;
use super::sync::{BACKOFF, Mode, Repository, sync};
use super::view::{MirrorState, MirrorView, View};
use crate::model::{
    Actor, BundleId, Cell, CellResult, CommitId, Manifest, NodeGroup, Outcome, PromotionId,
    RepoName, Revision, SnapshotKey, Stage,
};
use crate::promote::{
    self, Decision, Document, Effect, Kind, Promotion, Refusal, RefusalKind, State, Status,
};
use crate::render::Renderer;
use crate::smoke::{self, Smoke, Suite};
use crate::snapshot::{Route, Routing};
use crate::store::{Import, Store, StoreError};
use crate::tasks::Tasks;
use crate::telemetry::{chain, clock};
use crate::xds::{Hub, Report};

/// Events that wait; a nudge beyond it is lost, everything else waits.
const EVENTS_MAX: usize = 1024;
/// How often gates are looked at without an event.
const TICK: Duration = Duration::from_secs(1);

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
    let (state, shown) = records.load().map_err(fail)?;
    let (events, inbox) = mpsc::channel(EVENTS_MAX);
    let (view, watching) = watch::channel(Arc::new(View::default()));
    let handle = Handle {
        events: events.clone(),
        view: watching.clone(),
        records: records.clone(),
        tasks: parts.tasks.clone(),
    };
    let outbox = parts.announcer.clone().map(|announcer| {
        let (wanted, queue) = mpsc::channel(EVENTS_MAX);
        let work = cards::run(announcer, queue, watching, shown, events.clone());
        (wanted, parts.tasks.spawn_outbox("cards", work))
    });
    let (cards, outbox) = outbox.unzip();
    let mirrors = parts.settings.repositories.iter().map(Mirror::new).collect();
    let tasks = parts.tasks.clone();
    let mut owner = Owner {
        parts,
        records,
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

struct Owner {
    parts: Parts,
    records: Records,
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
    started: (Instant, jiff::Timestamp),
}

impl Owner {
    /// Fires again every effect of what was decided before.
    async fn resume(&mut self) {
        for (repo, stage) in self.state.slots.keys().cloned().collect::<Vec<_>>() {
            self.publish(&repo, &stage).await;
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
        loop {
            let event = tokio::select! {
                () = &mut stopping => return self.finish(inbox).await,
                Some(event) = inbox.recv() => event,
                Some(_) = self.parts.reports.recv() => Event::Fleet,
                _ = tick.tick() => Event::Tick,
                else => return,
            };
            // Many reports mean one look.
            if matches!(event, Event::Fleet) {
                while self.parts.reports.try_recv().is_ok() {}
            }
            if let Err(error) = self.handle(event).await {
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
            Event::Cell { bundle, result } => self.cell(&bundle, result).await?,
            Event::Command { actor, command, reply } => self.command(actor, command, reply).await?,
            Event::Shown { promotion, card, content } => {
                let record = CardRecord { card, content };
                self.records.write_card(&promotion, &record, clock::now()).await?;
            }
            Event::Fleet => self.fleet().await?,
            Event::Tick => self.tick().await?,
        }
        Ok(())
    }

    async fn tick(&mut self) -> Result<(), RecordError> {
        let now = Instant::now();
        let due = self.mirrors.iter().filter(|(_, mirror)| mirror.due <= now);
        for repo in due.map(|(repo, _)| repo.clone()).collect::<Vec<_>>() {
            self.begin_sync(&repo, Mode::Import);
        }
        for (repo, stage) in std::mem::take(&mut self.unserved) {
            self.publish(&repo, &stage).await;
        }
        if self.state.promotions.values().any(|promotion| !promotion.status.is_terminal()) {
            self.system(promote::Event::Tick).await?;
            self.fleet().await?;
        }
        Ok(())
    }

    // === fetching and importing ===

    fn begin_sync(&mut self, repo: &RepoName, mode: Mode) {
        let Some(mirror) = self.mirrors.get_mut(repo) else { return };
        if mirror.busy {
            mirror.again = true;
            return;
        }
        mirror.busy = true;
        mirror.due = Instant::now() + mirror.repository.poll;
        let head = self.parts.store.head(repo).unwrap_or_default();
        let seen = mirror.seen(head.commit);
        let adopt = match mode {
            Mode::Adopt => std::mem::take(&mut mirror.adopt),
            Mode::Import => Vec::new(),
        };
        let repository = mirror.repository.clone();
        let (store, events) = (self.parts.store.clone(), self.events.clone());
        let quarantine = self.parts.settings.quarantine.clone();
        self.parts.tasks.spawn("sync", async move {
            let work = sync(&store, &repository, seen, &quarantine, mode);
            let result =
                AssertUnwindSafe(work).catch_unwind().await.unwrap_or(Err(SyncError::Lost));
            let _ = events.send(Event::Synced { repo: repository.name, result, adopt }).await;
        });
    }

    async fn synced(
        &mut self,
        repo: &RepoName,
        result: Result<Option<Import>, SyncError>,
        adopt: Vec<Adoption>,
    ) -> Result<(), RecordError> {
        let taken = match &result {
            Ok(Some(Import::Imported(revisions))) => revisions.last().copied(),
            _ => None,
        };
        let recorded = match (taken, adopt.first()) {
            (Some(revision), Some(Adoption { by, .. })) => {
                tracing::info!(repo = %repo, by = %by, revision = %revision, "adopted");
                self.records.write_adoption(repo, (by, clock::now()), revision).await
            }
            _ => Ok(()),
        };
        let Some(mirror) = self.mirrors.get_mut(repo) else { return recorded };
        mirror.busy = false;
        mirror.checked_at = Some(clock::now());
        let failures = match &mirror.state {
            MirrorState::Failing { failures, .. } => *failures,
            _ => 0,
        };
        let answer = match result {
            Ok(Some(Import::Diverged { ours, theirs })) => {
                tracing::warn!(repo = %repo, %ours, %theirs, "the upstream was rewritten");
                mirror.state = MirrorState::Diverged { ours, theirs };
                Ok("the upstream was rewritten again meanwhile")
            }
            // Still the rewritten head that nobody adopted.
            Ok(Some(Import::UpToDate))
                if adopt.is_empty() && matches!(mirror.state, MirrorState::Diverged { .. }) =>
            {
                Ok("the upstream is as it was")
            }
            Ok(imported) => {
                if let Some(Import::Imported(revisions)) = &imported {
                    tracing::info!(repo = %repo, revisions = revisions.len(),
                        revision = revisions.last().map_or(0, |r| r.0), "imported");
                }
                mirror.state = MirrorState::InStep;
                Ok("the upstream was adopted as it is now")
            }
            Err(error) => {
                let error = chain(&error);
                let failures = failures + 1;
                let jitter = f64::from(clock::now().subsec_millisecond()) / 1000.0;
                let wait = BACKOFF.wait(failures, jitter);
                tracing::warn!(repo = %repo, error, wait_s = wait.as_secs(), "could not fetch");
                mirror.due = Instant::now() + wait.min(mirror.repository.poll.max(BACKOFF.first));
                mirror.state = MirrorState::Failing { error: error.clone(), failures };
                Err(error)
            }
        };
        let again = std::mem::take(&mut mirror.again);
        let adopting = !mirror.adopt.is_empty();
        for Adoption { reply, .. } in adopt {
            let _ = reply.send(match &answer {
                Ok(message) => {
                    Ok(Receipt { promotion: None, message: (*message).into(), already: false })
                }
                Err(error) => Err(Refusal::new(
                    RefusalKind::Unavailable,
                    format!("{repo} was not adopted: {error}"),
                    "try again when the upstream answers",
                )),
            });
        }
        if adopting {
            self.begin_sync(repo, Mode::Adopt);
        } else if again {
            self.begin_sync(repo, Mode::Import);
        }
        self.begin_render(repo);
        recorded
    }

    // === rendering ===

    /// Renders the head where it was not.
    fn begin_render(&mut self, repo: &RepoName) {
        let Ok(head) = self.parts.store.head(repo) else { return };
        let Some(mirror) = self.mirrors.get_mut(repo) else { return };
        if head.revision.0 == 0
            || mirror.rendering.is_some()
            || mirror.rendered >= Some(head.revision)
        {
            return;
        }
        mirror.rendering = Some(head.revision);
        let (repo, revision) = (repo.clone(), head.revision);
        let (store, renderer) = (self.parts.store.clone(), self.parts.renderer.clone());
        let people = self.parts.settings.people_by_mail.clone();
        let before = self.state.newest(&repo).map(|bundle| bundle.commit.revision);
        let events = self.events.clone();
        self.parts.tasks.spawn("render", async move {
            let name = repo.clone();
            let work = tokio::task::spawn_blocking(move || {
                render(&store, &renderer, &people, &name, (before, revision))
            });
            let event = match work.await {
                Ok(Ok(made)) => Event::Rendered { repo, revision, made: made.map(Box::new) },
                Ok(Err(error)) => Event::RenderFailed { repo, revision, detail: chain(&error) },
                Err(error) => Event::RenderFailed { repo, revision, detail: chain(&error) },
            };
            let _ = events.send(event).await;
        });
    }

    async fn rendered(
        &mut self,
        repo: &RepoName,
        revision: Revision,
        made: Option<Box<Made>>,
    ) -> Result<(), RecordError> {
        let recorded = match made {
            Some(made) => self.record(repo, &made).await,
            None => Ok(()),
        };
        let Some(mirror) = self.mirrors.get_mut(repo) else { return recorded };
        if recorded.is_err() {
            // Nothing was recorded: the next look at the head renders it again.
            mirror.render_again();
            return recorded;
        }
        mirror.rendering = None;
        mirror.failures = 0;
        mirror.rendered = Some(revision);
        self.begin_render(repo);
        Ok(())
    }

    async fn record(&mut self, repo: &RepoName, made: &Made) -> Result<(), RecordError> {
        self.runs.keep_suite(&made.record.id, made.suite.clone());
        self.records.keep(made.bundle.clone());
        let event = promote::Event::Bundle(Box::new(made.record.clone()));
        let step = self.decide(event, Some(made), &Actor::system()).await?;
        if let Err(refusal) = step {
            tracing::error!(repo = %repo, refusal = %refusal, "a bundle was refused");
        }
        self.runs.drop_unwanted(&self.state);
        Ok(())
    }

    // === the matrix ===

    async fn begin_cells(&mut self) {
        for (id, cell) in self.runs.missing(&self.state, Instant::now()) {
            match self.plan(&id, &cell).await {
                Ok(plan) => self.begin_cell(id, cell, plan),
                Err(detail) => {
                    let result = errored(&cell, format!("it can't be planned: {detail}"));
                    if let Err(error) = self.cell(&id, result).await {
                        tracing::error!(error = %chain(&error), "a cell could not be recorded");
                    }
                }
            }
        }
    }

    fn begin_cell(&mut self, id: BundleId, cell: Cell, plan: smoke::Plan) {
        let (smoke, events) = (self.parts.smoke.clone(), self.events.clone());
        let bundle = id.clone();
        let task = self.parts.tasks.spawn("cell", async move {
            let cell = plan.cell.clone();
            let run = AssertUnwindSafe(smoke.run(plan)).catch_unwind().await;
            let result = run.unwrap_or_else(|_| {
                errored(&cell, "the run ended unexpectedly; the log has the reason".into())
            });
            let _ = events.send(Event::Cell { bundle, result }).await;
        });
        self.runs.began(&id, &cell, task.abort_handle());
    }

    async fn plan(&mut self, id: &BundleId, cell: &Cell) -> Result<smoke::Plan, String> {
        let state = self.state.clone();
        let record = state.bundles.get(id).ok_or("the bundle is gone")?;
        let bundle = self.records.bundle(record).await.map_err(|error| chain(&error))?;
        let suite = match self.runs.suite(id) {
            Some(suite) => suite,
            None => self.read_suite(record.repo.clone(), record.commit.revision).await?,
        };
        self.runs.keep_suite(id, suite.clone());
        let spec = record.manifest.stage(&cell.stage).ok_or("the stage is gone")?;
        let render = record.render.get(&cell.stage).ok_or("the stage was not rendered")?;
        Ok(smoke::Plan {
            cell: cell.clone(),
            render: *render,
            snapshots: bundle.stage(&cell.stage).cloned().collect(),
            suite,
            policy: spec.smoke.clone(),
        })
    }

    async fn read_suite(&self, repo: RepoName, revision: Revision) -> Result<Arc<Suite>, String> {
        let store = self.parts.store.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let tree = store.tree(&repo, revision)?;
            Ok::<_, StoreError>(Arc::new(Suite::read(&tree.source).0))
        });
        let read = reading.await.map_err(|error| error.to_string())?;
        read.map_err(|error| chain(&error))
    }

    async fn cell(&mut self, id: &BundleId, result: CellResult) -> Result<(), RecordError> {
        self.runs.ended(id, &result.cell, result.outcome, Instant::now());
        tracing::info!(bundle = %id, stage = %result.cell.stage, version = result.cell.version,
            outcome = ?result.outcome, took_ms = result.took_ms, cached = result.cached,
            "a smoke run ended");
        let cell = result.cell.clone();
        let recorded = self.system(promote::Event::Cell(id.clone(), result)).await;
        if recorded.is_err() {
            // It will run again, but not at once.
            self.runs.ended(id, &cell, Outcome::Errored, Instant::now());
        }
        recorded
    }

    // === commands ===

    async fn command(
        &mut self,
        actor: Actor,
        command: Command,
        reply: Reply,
    ) -> Result<(), RecordError> {
        if let Command::Adopt { repo } = command {
            self.adopt(repo, Adoption { by: actor, reply });
            return Ok(());
        }
        let answer = match self.event_of(actor.clone(), command) {
            Err(refusal) => Err(refusal),
            Ok(event) => match self.decide(event, None, &actor).await {
                Ok(step) => step.map(|decision| self.receipt(&decision)),
                Err(error) => {
                    let hint = "the log has the reason; nothing was changed";
                    let refusal =
                        Refusal::new(RefusalKind::Unavailable, "it could not be recorded", hint);
                    let _ = reply.send(Err(refusal));
                    return Err(error);
                }
            },
        };
        let _ = reply.send(answer);
        self.fleet().await
    }

    fn event_of(&self, by: Actor, command: Command) -> Result<promote::Event, Refusal> {
        Ok(match command {
            Command::Promote { repo, stage, bundle, reason } => {
                let bundle = find_bundle(&self.state, &repo, &bundle)?;
                promote::Event::Request { repo, stage, bundle, by, reason }
            }
            Command::Approve { id, plan, note } => promote::Event::Approve { id, by, plan, note },
            Command::Reject { id, reason } => promote::Event::Reject { id, by, reason },
            Command::Cancel { id, reason } => promote::Event::Cancel { id, by, reason },
            Command::Rollback { repo, stage, to, reason } => {
                let find = |text: String| find_bundle(&self.state, &repo, &text);
                let to = to.map(find).transpose()?;
                promote::Event::Rollback { repo, stage, to, by, reason }
            }
            Command::Adopt { repo } => {
                let message = format!("{repo} is adopted elsewhere");
                return Err(Refusal::new(RefusalKind::Invalid, message, "this is our mistake"));
            }
        })
    }

    fn adopt(&mut self, repo: RepoName, adoption: Adoption) {
        if !self.mirrors.contains_key(&repo) {
            let message = format!("{repo} follows no upstream");
            let hint = "name a repository that the configuration gives an upstream";
            let _ = adoption.reply.send(Err(Refusal::new(RefusalKind::NotFound, message, hint)));
            return;
        }
        let mirror = self.mirrors.get_mut(&repo);
        match mirror.filter(|mirror| matches!(mirror.state, MirrorState::Diverged { .. })) {
            Some(mirror) => {
                mirror.adopt.push(adoption);
                self.begin_sync(&repo, Mode::Adopt);
            }
            None => {
                let message = format!("{repo} has no upstream that was rewritten");
                let hint = "there is nothing to adopt; `status` shows the mirror";
                let refusal = Refusal::new(RefusalKind::Conflict, message, hint);
                let _ = adoption.reply.send(Err(refusal));
            }
        }
    }

    fn receipt(&self, decision: &Decision) -> Receipt {
        let about = decision.about.as_ref().and_then(|id| self.state.promotions.get(id));
        let message = match about {
            Some(promotion) => sentence(promotion),
            None => decision.message.lines().next().unwrap_or("done").to_owned(),
        };
        Receipt { promotion: about.cloned(), message, already: decision.already }
    }

    // === the fleet ===

    async fn fleet(&mut self) -> Result<(), RecordError> {
        let applying: Vec<Promotion> = self
            .state
            .promotions
            .values()
            .filter(|promotion| promotion.status == Status::Applying)
            .cloned()
            .collect();
        if applying.is_empty() {
            return Ok(());
        }
        for promotion in applying {
            if self.unserved.contains(&(promotion.repo.clone(), promotion.stage.clone())) {
                continue;
            }
            let stage = (&promotion.repo, &promotion.stage);
            // A refusal on the way to what was good before is of what is left.
            let since = promotion.applied_at.filter(|_| promotion.kind == Kind::Promote);
            let word = word(&self.parts.hub, &self.routing, stage, since);
            if let Some(event) = self.outcome(&promotion, word) {
                self.system(event).await?;
            }
        }
        Ok(())
    }

    fn outcome(&self, promotion: &Promotion, word: Word) -> Option<promote::Event> {
        let id = promotion.id.clone();
        match word {
            Word::Refused(detail) => Some(promote::Event::Refused { id, detail }),
            Word::Taken { .. } if self.may_return(promotion) => None,
            Word::Taken { nodes } => {
                let detail = format!("{nodes} connected node(s) took it");
                Some(promote::Event::Settled { id, detail })
            }
            Word::Waiting => {
                let since = promotion.applied_at?;
                let waited = clock::now().duration_since(since);
                let deadline = self.parts.settings.ack_deadline;
                let over = waited.unsigned_abs() > deadline && waited.is_positive();
                let detail = "some nodes have not answered, none refused".to_owned();
                over.then_some(promote::Event::Settled { id, detail })
            }
        }
    }

    /// Whether nodes that a restart cut off may yet come back and refuse it.
    fn may_return(&self, promotion: &Promotion) -> bool {
        let (started, started_at) = self.started;
        let wait = RETURN.min(self.parts.settings.ack_deadline);
        promotion.applied_at.is_some_and(|at| at < started_at) && started.elapsed() < wait
    }

    // === deciding ===

    async fn system(&mut self, event: promote::Event) -> Result<(), RecordError> {
        if let Err(refusal) = self.decide(event, None, &Actor::system()).await? {
            tracing::warn!(refusal = %refusal, "an event was refused");
        }
        Ok(())
    }

    /// Decides, makes it durable, then acts on it. The outer error means that
    /// nothing was recorded and nothing changed.
    async fn decide(
        &mut self,
        event: promote::Event,
        made: Option<&Made>,
        by: &Actor,
    ) -> Result<Result<Decision, Refusal>, RecordError> {
        let now = clock::now();
        let mut decision = match promote::step(&self.state, event, now) {
            Ok(decision) => decision,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if decision.documents.is_empty() {
            return Ok(Ok(decision));
        }
        let mut next = State::clone(&self.state);
        for document in &decision.documents {
            next.put(document.clone());
        }
        self.fill_diffs(&mut decision, &mut next).await;
        let (bundles, promotions) = self.records.forgettable(&next);
        let forgotten = self.records.forget(&bundles, &promotions)?;
        if !bundles.is_empty() {
            Arc::make_mut(&mut next.bundles).retain(|id, _| !bundles.contains(id));
        }
        if !promotions.is_empty() {
            Arc::make_mut(&mut next.promotions).retain(|id, _| !promotions.contains(id));
        }
        let content = made.map(|made| made.bundle.as_ref());
        let (documents, message) = (&decision.documents, &decision.message);
        self.records.write(documents, content, &forgotten, (by, now), message).await?;
        self.state = Arc::new(next);
        tracing::info!(by = %by, decision = message.lines().next().unwrap_or(""), "decided");
        self.act(&decision.effects).await;
        Ok(Ok(decision))
    }

    /// Counts what each promotion of the decision changes.
    async fn fill_diffs(&self, decision: &mut Decision, next: &mut State) {
        for document in &mut decision.documents {
            let Document::Promotion(promotion) = document else { continue };
            let (plan, before) = (&promotion.plan, self.state.promotions.get(&promotion.id));
            if before.is_some_and(|p| p.plan.from == plan.from && p.plan.to == plan.to) {
                continue;
            }
            let from = match &plan.from {
                Some(id) => self.content(next, id).await,
                None => None,
            };
            if let Some(to) = self.content(next, &plan.to).await {
                promotion.plan.diff = diff_stat(&promotion.stage, from.as_deref(), &to);
                next.put(Document::Promotion(promotion.clone()));
            }
        }
    }

    async fn content(&self, state: &State, id: &BundleId) -> Option<Arc<Bundle>> {
        self.records.bundle(state.bundles.get(id)?).await.ok()
    }

    async fn act(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Publish(repo, stage) => self.publish(repo, stage).await,
                Effect::Announce(id) => {
                    self.show();
                    self.announce(id);
                }
            }
        }
    }

    fn announce(&self, id: &PromotionId) {
        if let Some(cards) = &self.cards
            && cards.try_send(id.clone()).is_err()
        {
            tracing::warn!(promotion = %id, "its card is not brought up to date");
        }
    }

    /// Serves what the stage's pointer says, and who belongs to the stage.
    async fn publish(&mut self, repo: &RepoName, stage: &Stage) {
        let name = (repo.clone(), stage.clone());
        let bundle = match self.pointed_at(repo, stage).await {
            Ok(bundle) => bundle,
            Err(detail) => {
                // What is served stays, nobody's answer counts, and each tick
                // tries again.
                tracing::error!(repo = %repo, stage = %stage, detail,
                    "the stage's bundle can't be read");
                self.unserved.insert(name);
                return;
            }
        };
        self.unserved.remove(&name);
        let mut groups = BTreeSet::new();
        for snapshot in bundle.iter().flat_map(|bundle| bundle.stage(stage)) {
            groups.insert(snapshot.key.group.clone());
            self.parts.hub.publish(snapshot.clone());
        }
        self.routing = Arc::new(routing(&self.state));
        self.parts.hub.route(self.routing.clone());
        let before = self.served.insert(name, groups.clone()).unwrap_or_default();
        for group in before.difference(&groups).cloned() {
            let key = SnapshotKey { repo: repo.clone(), stage: stage.clone(), group };
            self.parts.hub.withdraw(&key);
        }
    }

    /// What the stage's pointer points at; `None`: at nothing.
    async fn pointed_at(
        &self,
        repo: &RepoName,
        stage: &Stage,
    ) -> Result<Option<Arc<Bundle>>, String> {
        let Some(id) = self.state.slot(repo, stage).current else { return Ok(None) };
        let record = self.state.bundles.get(&id).ok_or_else(|| format!("{id} is not known"))?;
        self.records.bundle(record).await.map(Some).map_err(|error| chain(&error))
    }

    fn show(&self) {
        let manifests = |repo: &RepoName| -> Option<(RepoName, Manifest)> {
            let newest = self.state.newest_eligible(repo)?;
            Some((repo.clone(), newest.manifest.clone()))
        };
        let view = View {
            state: self.state.clone(),
            manifests: self.state.repos().iter().filter_map(manifests).collect(),
            mirrors: self
                .mirrors
                .iter()
                .filter_map(|(repo, m)| self.mirror_view(repo, m))
                .collect(),
            running: self.runs.working().cloned().collect(),
            fleet: standing(&self.parts.hub.nodes()),
        };
        // Whoever follows is told of news only, not of every tick.
        self.view.send_if_modified(|shown| {
            let news = !shown.shows_the_same(&view);
            if news {
                *shown = Arc::new(view);
            }
            news
        });
    }

    fn mirror_view(&self, repo: &RepoName, mirror: &Mirror) -> Option<(RepoName, MirrorView)> {
        let upstream = mirror.repository.upstream.as_ref()?;
        let view = MirrorView {
            url: upstream.url.clone(),
            branch: upstream.branch.clone(),
            revision: self.parts.store.head(repo).unwrap_or_default().revision,
            state: mirror.state.clone(),
            checked_at: mirror.checked_at,
        };
        Some((repo.clone(), view))
    }
}

/// Reads, assesses and makes one revision. Blocking.
fn render(
    store: &Store,
    renderer: &Renderer,
    people: &BTreeMap<String, crate::model::Person>,
    repo: &RepoName,
    (before, revision): (Option<Revision>, Revision),
) -> Result<Option<Made>, StoreError> {
    let began = Instant::now();
    let (tree, skipped) = match store.tree(repo, revision) {
        Ok(tree) => (tree.source, tree.skipped),
        Err(error) => return Err(error),
    };
    let read_ms = began.elapsed().as_millis() as u64;
    let commit = store.info(repo, revision)?;
    let since = match before {
        Some(before) => {
            let count = usize::try_from(revision.0.saturating_sub(before.0)).unwrap_or(usize::MAX);
            store.history(repo, Some(revision), None, count.min(AUTHORS_OF_MAX))?
        }
        None => Vec::new(),
    };
    let made = assess_next(renderer, before.is_some(), &tree, &skipped).map(|assessment| {
        let source = Source { repo, commit, since, people_by_mail: people, now: clock::now() };
        bundle::make(source, assessment)
    });
    let render_ms = began.elapsed().as_millis() as u64 - read_ms;
    tracing::info!(repo = %repo, revision = %revision, read_ms, render_ms, "rendered");
    Ok(made)
}

fn errored(cell: &Cell, reason: String) -> CellResult {
    CellResult {
        cell: cell.clone(),
        outcome: Outcome::Errored,
        reasons: vec![reason],
        took_ms: 0,
        checks: 0,
        cached: false,
    }
}

/// The rules for nodes, each stage's from the bundle that is active in it.
fn routing(state: &State) -> Routing {
    let mut routes = Vec::new();
    for repo in state.repos() {
        let Some(newest) = state.newest_eligible(&repo) else { continue };
        let ordered = newest.manifest.stages.iter().map(|spec| spec.name.clone());
        let slots =
            state.slots.keys().filter(|(of, _)| *of == repo).map(|(_, stage)| stage.clone());
        let mut stages: Vec<Stage> = ordered.collect();
        stages.extend(slots);
        let mut seen = BTreeSet::new();
        for stage in stages.into_iter().filter(|stage| seen.insert(stage.clone())) {
            let current = state.slot(&repo, &stage).current;
            let Some(bundle) = current.and_then(|id| state.bundles.get(&id)) else { continue };
            let Some(spec) = bundle.manifest.stage(&stage) else { continue };
            routes.push(Route {
                repo: repo.clone(),
                stage,
                nodes: spec.nodes.clone(),
                groups: bundle.manifest.groups.clone(),
            });
        }
    }
    Routing::new(routes)
}

fn sentence(promotion: &Promotion) -> String {
    let Promotion { id, bundle, stage, status, .. } = promotion;
    match status {
        Status::Gated => {
            let closed = promotion.gates.iter().find(|gate| !gate.open);
            let wait = closed.map_or(String::new(), |gate| {
                format!(", waiting for {}: {}", gate.kind.word(), gate.detail)
            });
            format!("{id}: {bundle} to {stage}{wait}")
        }
        Status::Applying => format!("{id}: {bundle} is being applied in {stage}"),
        _ => {
            let reason = promotion.ending.as_ref().map_or("", |ending| ending.reason.as_str());
            format!("{id}: {} ({reason})", status.word())
        }
    }
}
