//! The task of one repository: brings GitHub to where it shall be, one thing
//! after the other, and begins anew whenever the state has moved.
//!
//! Where GitHub is away, everything waits, longer each time. Where it refuses
//! a single thing, that thing waits and the others go on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;

use crate::githost::{HostError, NewPull, Pages, Pull, wanted};
use crate::model::CommitId;
use crate::promote::State;
use crate::retry::Backoff;
use crate::telemetry::{chain, clock};

use super::intents::{Intent, Intents};
use super::items::{Item, Seen, items};
use super::memory::Remembered;
use super::pulls::{self, Pulls};
use super::{IntentError, ReviewError, Reviewer, Watched};

/// After a failure of GitHub as a whole.
const BACKOFF: Backoff =
    Backoff { first: Duration::from_secs(2), longest: Duration::from_secs(300) };
/// After GitHub refused one thing.
const REFUSED: Backoff =
    Backoff { first: Duration::from_secs(30), longest: Duration::from_secs(6 * 3600) };
/// How long one pull request may take to be fetched and rendered.
const REVIEW_MAX: Duration = Duration::from_secs(300);
/// A branch that was not pushed by then never will be.
const PUSHED_WITHIN: Duration = Duration::from_secs(3600);

/// Something may have changed that the state does not tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nudge {
    /// Pull requests.
    Pulls,
    /// An edit was pushed.
    Intents,
    /// What is said about a commit shall be said again.
    Again(CommitId),
}

pub(super) struct Keeper {
    pub(super) watched: Watched,
    pub(super) pages: Pages,
    pub(super) state: watch::Receiver<Arc<State>>,
    pub(super) memory: Remembered,
    pub(super) intents: Intents,
    pub(super) reviewer: Arc<dyn Reviewer>,
    pub(super) reviews: Arc<Semaphore>,
}

/// Where a keeper is.
struct Progress {
    pulls: Pulls,
    /// When pull requests are looked at next.
    look: Instant,
    /// Nothing is sent before.
    not_before: Option<Instant>,
    failures: u32,
    /// Things that GitHub refused, when to try again, and how often it did.
    refused: BTreeMap<String, (Instant, u32)>,
}

impl Progress {
    fn new() -> Self {
        Self {
            pulls: Pulls::default(),
            look: Instant::now(),
            not_before: None,
            failures: 0,
            refused: BTreeMap::new(),
        }
    }

    fn may_go(&self) -> bool {
        self.not_before.is_none_or(|time| time <= Instant::now())
    }

    /// When there is something to do without news.
    fn due(&self) -> Instant {
        let again = self.refused.values().map(|(time, _)| *time).min();
        self.not_before.unwrap_or_else(|| again.map_or(self.look, |time| time.min(self.look)))
    }

    fn is_refused(&self, key: &str) -> bool {
        self.refused.get(key).is_some_and(|(time, _)| *time > Instant::now())
    }

    /// Leaves one thing alone for a while; gives for how long.
    fn refuse(&mut self, key: String) -> Duration {
        let failures = self.refused.get(&key).map_or(1, |(_, failures)| failures + 1);
        let wait = REFUSED.wait(failures, 0.0);
        self.refused.insert(key, (Instant::now() + wait, failures));
        wait
    }
}

impl Keeper {
    pub(super) async fn run(mut self, mut nudges: mpsc::Receiver<Nudge>) {
        let mut at = Progress::new();
        loop {
            if at.may_go() {
                match self.round(&mut at).await {
                    Ok(()) => (at.failures, at.not_before) = (0, None),
                    Err(error) => self.fail(&mut at, &error),
                }
            }
            tokio::select! {
                () = tokio::time::sleep_until(at.due()) => {}
                changed = self.state.changed(), if at.not_before.is_none() => {
                    if changed.is_err() { return }
                }
                nudge = nudges.recv() => match nudge {
                    Some(nudge) => self.nudged(&mut at, nudge),
                    None => return,
                },
            }
            while let Ok(nudge) = nudges.try_recv() {
                self.nudged(&mut at, nudge);
            }
        }
    }

    fn nudged(&mut self, at: &mut Progress, nudge: Nudge) {
        match nudge {
            Nudge::Pulls => at.look = Instant::now(),
            // Somebody waits: it is tried at once, unless GitHub itself said
            // when; the client keeps to that.
            Nudge::Intents => {
                at.not_before = None;
                at.refused.retain(|key, _| !key.starts_with("intent/"));
            }
            Nudge::Again(commit) => {
                let named = format!("/{commit}/");
                self.memory.forget(|key| key.contains(&named));
                at.refused.retain(|key, _| !key.contains(&named));
                at.pulls.forget(&commit);
                at.look = Instant::now();
            }
        }
    }

    fn fail(&self, at: &mut Progress, error: &HostError) {
        at.failures += 1;
        let jitter = f64::from(clock::now().subsec_millisecond()) / 1000.0;
        let wait = BACKOFF.wait(at.failures, jitter).max(error.wait().unwrap_or_default());
        at.not_before = Some(Instant::now() + wait);
        self.intents.failed();
        tracing::warn!(repo = %self.watched.repo, error = %error, wait_s = wait.as_secs(),
            "GitHub was not told; it is once it answers");
    }

    /// Everything there is to do now.
    async fn round(&mut self, at: &mut Progress) -> Result<(), HostError> {
        self.open_intents(at).await?;
        if at.look <= Instant::now() {
            self.look(at).await?;
        }
        self.write(at).await?;
        loop {
            let refused = |pull: &Pull| at.is_refused(&review_key(pull));
            let Some(pull) = at.pulls.unseen(refused) else { break };
            self.review(at, &pull).await;
            self.write(at).await?;
        }
        self.tidy(at);
        Ok(())
    }

    /// Looks which pull requests wait. That we may not see them holds up
    /// nothing else.
    async fn look(&self, at: &mut Progress) -> Result<(), HostError> {
        let Watched { repo, github, branch, pulls_max, poll, .. } = &self.watched;
        at.look = Instant::now() + *poll;
        if *pulls_max == 0 {
            return Ok(());
        }
        match github.open_pulls(branch, *pulls_max).await {
            Ok(open) => at.pulls.replace(open),
            Err(error) if error.is_transient() => {
                at.look = Instant::now();
                return Err(error);
            }
            Err(error) => {
                at.look += BACKOFF.longest;
                tracing::warn!(repo = %repo, error = %error, "pull requests can't be looked at");
            }
        }
        Ok(())
    }

    /// Writes whatever differs, one thing after the other, as of the newest
    /// state at each.
    async fn write(&mut self, at: &mut Progress) -> Result<(), HostError> {
        let mut seen = Seen::default();
        let mut all = self.items(at);
        while let Some(item) = self.next(at, &all) {
            let Watched { github, repo, .. } = &self.watched;
            let key = item.key();
            match item.write(github, &self.memory, repo.as_str(), &mut seen).await {
                Ok(id) => {
                    at.refused.remove(&refusal_key(&item));
                    self.memory.put(&key, item.written(id));
                }
                Err(error) if error.is_transient() => {
                    self.memory.doubt(&key);
                    return Err(error);
                }
                Err(error) => {
                    self.memory.doubt(&key);
                    let wait = at.refuse(refusal_key(&item));
                    tracing::warn!(repo = %repo, item = key, error = %error,
                        wait_s = wait.as_secs(), "GitHub refused something");
                }
            }
            if self.state.has_changed().unwrap_or(false) {
                all = self.items(at);
            }
        }
        Ok(())
    }

    fn items(&mut self, at: &Progress) -> Vec<Item> {
        let state = self.state.borrow_and_update().clone();
        let Watched { repo, reports, .. } = &self.watched;
        items(wanted(&state, repo, &self.pages, *reports), at.pulls.shown().cloned())
    }

    /// The first thing that is not there, and not refused either.
    fn next(&self, at: &Progress, all: &[Item]) -> Option<Item> {
        let differs = |item: &&Item| {
            self.memory.get(&item.key()).is_none_or(|written| written.hash != item.hash())
        };
        let mut all = all.iter().filter(differs);
        all.find(|item| !at.is_refused(&refusal_key(item))).cloned()
    }

    /// Forgets what nobody speaks of any more.
    fn tidy(&mut self, at: &mut Progress) {
        let all = self.items(at);
        let keys: BTreeSet<String> = all.iter().map(Item::key).collect();
        self.memory.forget(|key| !keys.contains(key));
        let now = Instant::now();
        at.refused.retain(|_, (time, _)| *time + REFUSED.longest > now);
    }

    async fn review(&self, at: &mut Progress, pull: &Pull) {
        let Watched { repo, reports, .. } = &self.watched;
        let Ok(_turn) = self.reviews.acquire().await else { return };
        let review = tokio::time::timeout(REVIEW_MAX, self.reviewer.review(repo, pull)).await;
        let late = || ReviewError { detail: "it took too long".into(), transient: false };
        match review.unwrap_or_else(|_| Err(late())) {
            Ok(review) if review.head != pull.head.sha => {
                // Pushed meanwhile: what waits now is looked at again.
                at.refuse(review_key(pull));
                at.look = Instant::now() + BACKOFF.first;
            }
            Ok(review) => at.pulls.put(pulls::shown(pull, &review, *reports)),
            Err(error) if error.transient => {
                let wait = at.refuse(review_key(pull));
                tracing::warn!(repo = %repo, pull = pull.number, error = %error,
                    wait_s = wait.as_secs(), "a pull request could not be rendered");
            }
            Err(error) => {
                tracing::warn!(repo = %repo, pull = pull.number, error = %error,
                    "a pull request can't be rendered");
                at.pulls.put(pulls::unrendered(pull, &error, *reports));
            }
        }
    }

    /// Makes pull requests of edits that were pushed.
    async fn open_intents(&self, at: &mut Progress) -> Result<(), HostError> {
        for intent in self.intents.open(&self.watched.repo) {
            let key = format!("intent/{}", intent.branch);
            if at.is_refused(&key) {
                continue;
            }
            match self.open(&intent).await {
                Ok(true) => drop(at.refused.remove(&key)),
                Ok(false) => drop(at.refuse(key)),
                Err(error) if error.is_transient() => return Err(error),
                Err(error) => {
                    let wait = at.refuse(key);
                    self.intents.failed();
                    tracing::warn!(repo = %intent.repo, branch = intent.branch, error = %error,
                        wait_s = wait.as_secs(), "an edit is no pull request yet");
                }
            }
        }
        Ok(())
    }

    /// Whether the intent needs nothing more.
    async fn open(&self, intent: &Intent) -> Result<bool, HostError> {
        let github = &self.watched.github;
        if github.branch(&intent.branch).await?.is_none() {
            return Ok(self.is_dropped(intent).await);
        }
        let new = NewPull {
            title: intent.title.clone(),
            body: intent.body.clone(),
            head: intent.branch.clone(),
            base: intent.base.clone(),
        };
        let recorded = match github.ensure_pull(&new).await {
            Ok(pull) => {
                tracing::info!(repo = %intent.repo, branch = intent.branch, pull = pull.number,
                    "an edit is a pull request now");
                self.intents.done(intent.clone(), &pull).await
            }
            Err(error) => match error.refusal() {
                Some(why) => {
                    tracing::warn!(repo = %intent.repo, branch = intent.branch, why,
                        "GitHub makes no pull request of an edit");
                    self.intents.refuse(intent.clone(), why).await
                }
                None => return Err(error),
            },
        };
        Ok(self.is_recorded(intent, recorded))
    }

    /// The branch is not there: pushed later, taken away, or never pushed.
    async fn is_dropped(&self, intent: &Intent) -> bool {
        let age = clock::now().duration_since(intent.at);
        if age.is_negative() || age.unsigned_abs() < PUSHED_WITHIN {
            return false;
        }
        self.is_recorded(intent, self.intents.drop(intent).await)
    }

    fn is_recorded(&self, intent: &Intent, recorded: Result<(), IntentError>) -> bool {
        if let Err(error) = &recorded {
            tracing::error!(repo = %intent.repo, branch = intent.branch, error = %chain(error),
                "what became of an edit could not be recorded");
        }
        recorded.is_ok()
    }
}

fn review_key(pull: &Pull) -> String {
    format!("review/{}/{}/", pull.number, pull.head.sha)
}

/// Other words are tried at once.
fn refusal_key(item: &Item) -> String {
    format!("{}#{}", item.key(), item.hash().short())
}
