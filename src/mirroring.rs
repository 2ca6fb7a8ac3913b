//! Mirrors that are documents: each runs in a task of its own, so that one
//! that fails or hangs harms no other. From a remote to (a folder of) a
//! repository, or from it to the remote by a push that expects what the
//! remote's branch was, never forced.
//!
//! What the configuration file names as a repository's upstream is not here:
//! `reconcile` follows it, commit by commit. A mirror here brings a tree over
//! as one commit, and writes down what it brought in its message. Only where a
//! whole repository goes to a branch that holds nothing but its revisions are
//! these pushed as they are.
//!
//! ```text
//! registry ──► keeper ──► worker (one a mirror) ──► run ──► remote   who we are there
//!                            │ board: how it went        ├──► inward   remote → here
//!                            └ next time, back-off       └──► outward  here → remote
//! ```
//!
//! A mirror wins in its folder: what people wrote there is replaced, and the
//! commit's message says so; the revisions keep it. Where one mirror goes in
//! and another out between the same two places, neither replaces what the
//! other has still to bring.
//!
//! Called by `app` (start), `web` (run now, states) and the metrics page.

mod board;
mod changes;
mod error;
mod inward;
mod keeper;
mod outward;
mod remote;
mod rules;
mod run;
mod synced;
mod words;
mod worker;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::oneshot;

use crate::govern::{CredentialDocument, Govern, MirrorDocument};
use crate::mirror::{Allow, Limits};
use crate::model::{CommitId, RepoName, Revision};
use crate::store::Store;
use crate::tasks::Tasks;
use crate::telemetry::clock;

/// Documents that change while a run is asked for are followed that often.
const ASKS_MAX: usize = 3;

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum Outcome {
    /// Something was brought over.
    Brought {
        /// Our revision.
        revision: Revision,
        /// The remote's commit.
        commit: CommitId,
        /// Files that changed.
        files: usize,
    },
    /// Nothing had changed.
    UpToDate,
    /// It failed.
    Failed {
        /// Why, and what to do; without secrets.
        error: String,
    },
}

/// How a mirror is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MirrorState {
    /// Its project.
    pub project: String,
    /// Its id.
    pub id: String,
    /// Whether it runs now.
    pub running: bool,
    /// The last run's result.
    pub last: Option<Run>,
    /// Runs that failed in a row.
    pub failures: u32,
    /// When the first of them began; `None` while none failed.
    pub failing_since: Option<Timestamp>,
    /// Since when it has been in step, by the last run that worked.
    pub in_step_at: Option<Timestamp>,
    /// When it became known here: what it lags behind where it was never in
    /// step.
    pub known_since: Timestamp,
    /// When it runs next by itself.
    pub next_at: Option<Timestamp>,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// What it came to.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What the remote has and a mirror doesn't bring: symbolic links,
    /// submodules, names that no file may have.
    pub skipped: Vec<String>,
}

/// What mirrors may reach, and how.
#[derive(Debug, Clone, Default)]
pub struct Remotes {
    /// The remotes that they may name.
    pub allow: Allow,
    /// Certificates (PEM) to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Bounds of one fetch or push.
    pub limits: Limits,
}

/// What mirrors need to know.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// A folder of their own.
    pub work: PathBuf,
    /// What they may reach.
    pub remotes: Remotes,
    /// Repositories that follow an upstream of the configuration; nothing
    /// else is mirrored into them.
    pub followed: BTreeSet<RepoName>,
}

/// Told of a repository after something came into it.
pub type Brought = Arc<dyn Fn(&RepoName) + Send + Sync>;

/// A handle; cheap to clone.
#[derive(Debug, Clone)]
pub struct Mirroring {
    keeper: Arc<keeper::Keeper>,
}

impl Mirroring {
    /// Starts a task for each mirror, and follows the documents.
    /// `brought` is called with a repository after something came into it.
    pub fn start(
        store: Store,
        govern: Govern,
        settings: Settings,
        brought: Brought,
        tasks: &Tasks,
    ) -> Self {
        let mut documents = govern.watch();
        let env = run::Env::new(store, govern, settings, brought);
        let keeper = Arc::new(keeper::Keeper::new(env, tasks.clone()));
        keeper.sweep(&documents.borrow());
        keeper.follow(&documents.borrow_and_update().clone());
        let following = keeper.clone();
        tasks.spawn("mirroring", async move {
            while documents.changed().await.is_ok() {
                let registry = documents.borrow_and_update().clone();
                following.follow(&registry);
            }
        });
        Self { keeper }
    }

    /// Runs a mirror now and waits for it; `None`: there is no such mirror.
    pub async fn run(&self, project: &str, id: &str) -> Option<Run> {
        for _ in 0..ASKS_MAX {
            let inbox = self.keeper.inbox(project, id)?;
            let (answer, answered) = oneshot::channel();
            if inbox.send(answer).await.is_err() {
                continue;
            }
            if let Ok(run) = answered.await {
                return Some(run);
            }
        }
        let (now, error) = (clock::now(), "the mirror was changed while it ran; run it again");
        let outcome = Outcome::Failed { error: error.into() };
        Some(Run { began: now, ended: now, outcome, skipped: Vec::new() })
    }

    /// How every mirror is doing, by project and id.
    pub fn states(&self) -> Vec<MirrorState> {
        self.keeper.states()
    }

    /// Whether a mirror can be what it says, before it is written: its URL is
    /// allowed, its rules can be read, its credential fits.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub fn check(
        &self,
        mirror: &MirrorDocument,
        credential: Option<&CredentialDocument>,
    ) -> Result<(), String> {
        self.keeper.check(mirror, credential).map_err(|error| error.to_string())
    }
}
