//! Keeps GitHub in step with what is known here: statuses, check runs,
//! comments and deployments, and the pull requests that edits become.
//!
//! What shall be there follows from the state and from the pull requests that
//! wait; a small task per repository brings GitHub there, newest state only.
//! Nobody waits for it: GitHub being away delays what is shown there, and
//! nothing else. What was written is remembered in the store's index, which
//! may be deleted: then it is looked for on GitHub before it is written again.
//! That an edit shall become a pull request is a document of `@convoy/state`,
//! written before its branch is pushed.
//!
//! ```text
//! state ─────────┐
//! hooks ─nudge──▶├─ keeper (one a repository) ─▶ items ─▶ githost ─▶ GitHub
//! timer ─────────┤    ├─ pulls ─▶ reviewer (quarantine, assess)
//! edits ─intent──┘    └─ memory   what was written
//! ```
//!
//! It decides nothing about promotions. Called by `app` (start), `web` (edits
//! and hooks).

mod app_credential;
mod intents;
mod items;
mod keeper;
mod memory;
mod pulls;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::githost::{GitHub, Pages, Pull, Reports, Review};
use crate::model::{CommitId, RepoName};
use crate::promote::State;
use crate::store::Store;
use crate::tasks::Tasks;

pub use app_credential::AppCredential;
use intents::Intents;
pub use intents::{Intent, IntentError};
use keeper::{Keeper, Nudge};
use memory::Memory;

/// Nudges that wait; one beyond it is lost, which the next look makes up for.
const NUDGES_MAX: usize = 256;
/// How long somebody who saved an edit waits for its pull request; it is made
/// later all the same.
const OPENED_WITHIN: Duration = Duration::from_secs(8);
/// Pull requests that are rendered at once: each uses a whole core.
const REVIEWS_MAX: usize = 1;

/// A repository that is on GitHub.
#[derive(Debug, Clone)]
pub struct Watched {
    /// Ours.
    pub repo: RepoName,
    /// The branch that is followed.
    pub branch: String,
    /// Theirs.
    pub github: GitHub,
    /// What is written there.
    pub reports: Reports,
    /// How often pull requests are looked at without a nudge.
    pub poll: Duration,
    /// Pull requests that are rendered, newest first.
    pub pulls_max: usize,
}

/// Renders a pull request's head without making a revision of it; `app` plugs
/// `reconcile` in.
pub trait Reviewer: Send + Sync + std::fmt::Debug {
    /// The head of a pull request, held against what it stands on. The error
    /// is a sentence for people and whether trying again may help.
    fn review<'a>(
        &'a self,
        repo: &'a RepoName,
        pull: &'a Pull,
    ) -> BoxFuture<'a, Result<Review, ReviewError>>;
}

/// Why a pull request was not rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct ReviewError {
    /// Why, and what to do.
    pub detail: String,
    /// Whether trying again may help.
    pub transient: bool,
}

/// What the keepers need.
#[derive(Debug)]
pub struct Parts {
    /// Each repository that is on GitHub.
    pub watched: Vec<Watched>,
    /// Addresses of console pages.
    pub pages: Pages,
    /// Where intents and the memory lie.
    pub store: Store,
    /// The newest state.
    pub state: watch::Receiver<Arc<State>>,
    /// Who renders pull requests.
    pub reviewer: Arc<dyn Reviewer>,
    /// Where tasks run.
    pub tasks: Tasks,
}

/// All keepers as others see them; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Hosting {
    shared: Option<Arc<Shared>>,
}

#[derive(Debug)]
struct Shared {
    keepers: BTreeMap<RepoName, mpsc::Sender<Nudge>>,
    watched: BTreeMap<RepoName, Watched>,
    intents: Intents,
}

/// A pull request as whoever saved an edit sees it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Opened {
    /// Its number.
    pub number: u64,
    /// Its page.
    pub url: String,
}

impl Hosting {
    /// Reads back what was intended, and starts a keeper per repository.
    ///
    /// # Errors
    /// What is recorded can't be read.
    pub fn start(parts: Parts) -> Result<Self, IntentError> {
        let Parts { watched, pages, store, state, reviewer, tasks } = parts;
        if watched.is_empty() {
            return Ok(Self::default());
        }
        let memory = Memory::open(&store).map_err(IntentError::index)?;
        let intents = Intents::load(store)?;
        let reviews = Arc::new(Semaphore::new(REVIEWS_MAX));
        let mut keepers = BTreeMap::new();
        for one in &watched {
            let (nudge, nudges) = mpsc::channel(NUDGES_MAX);
            let keeper = Keeper {
                watched: one.clone(),
                pages: pages.clone(),
                state: state.clone(),
                memory: memory.of(&one.repo),
                intents: intents.clone(),
                reviewer: reviewer.clone(),
                reviews: reviews.clone(),
            };
            tasks.spawn("hosting", keeper.run(nudges));
            keepers.insert(one.repo.clone(), nudge);
        }
        let watched = watched.into_iter().map(|one| (one.repo.clone(), one)).collect();
        Ok(Self { shared: Some(Arc::new(Shared { keepers, watched, intents })) })
    }

    /// Whether edits of a repository become pull requests.
    pub fn opens_pulls(&self, repo: &RepoName) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.watched.contains_key(repo))
    }

    /// Its pull requests may have changed.
    pub fn nudge(&self, repo: &RepoName) {
        self.tell(repo, Nudge::Pulls);
    }

    /// Somebody asked for what is said about a commit to be said again.
    pub fn again(&self, repo: &RepoName, commit: CommitId) {
        self.tell(repo, Nudge::Again(commit));
    }

    fn tell(&self, repo: &RepoName, nudge: Nudge) {
        let keeper = self.shared.as_ref().and_then(|shared| shared.keepers.get(repo));
        if let Some(keeper) = keeper {
            let _ = keeper.try_send(nudge);
        }
    }

    /// Records that a branch, which is about to be pushed, shall become a pull
    /// request. Doing it twice gives what was recorded first.
    ///
    /// # Errors
    /// It could not be recorded; then nothing may be pushed.
    pub async fn intend(&self, intent: Intent) -> Result<Intent, IntentError> {
        match &self.shared {
            Some(shared) if self.opens_pulls(&intent.repo) => shared.intents.put(intent).await,
            _ => Ok(intent),
        }
    }

    /// Waits a moment for the pull request of a branch that was pushed. `None`:
    /// GitHub has not answered yet; it is made once it does.
    pub async fn opened(&self, repo: &RepoName, branch: &str) -> Option<Opened> {
        let shared = self.shared.as_ref()?;
        let mut news = shared.intents.watch();
        let failures = *news.borrow_and_update();
        self.tell(repo, Nudge::Intents);
        let opened = async {
            loop {
                let intent = shared.intents.get(repo, branch)?;
                if let Some((number, url)) = intent.number.zip(intent.url) {
                    return Some(Opened { number, url });
                }
                if intent.refused.is_some() || *news.borrow_and_update() != failures {
                    return None;
                }
                news.changed().await.ok()?;
            }
        };
        tokio::time::timeout(OPENED_WITHIN, opened).await.ok().flatten()
    }

    /// Why a branch will not become a pull request, if GitHub said so.
    pub fn refusal(&self, repo: &RepoName, branch: &str) -> Option<String> {
        self.shared.as_ref()?.intents.get(repo, branch)?.refused
    }
}
