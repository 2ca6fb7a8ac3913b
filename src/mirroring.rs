//! Mirrors that are documents: each runs in a task of its own, so that one
//! that fails or hangs harms no other. From a remote to (a folder of) a
//! repository, or from it to the remote by a push that expects what the
//! remote's branch was, never forced.
//!
//! What the configuration file names as a repository's upstream is not here:
//! `reconcile` follows it, commit by commit. A mirror here brings a tree over
//! as one commit, and writes down what it brought in its message.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::govern::Govern;
use crate::model::{CommitId, Revision};
use crate::store::Store;
use crate::tasks::Tasks;

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
    /// Since when it has been in step, by the last run that worked.
    pub in_step_at: Option<Timestamp>,
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
    pub outcome: Outcome,
}

/// A handle; cheap to clone.
#[derive(Debug, Clone)]
pub struct Mirroring {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {}

impl Mirroring {
    /// Starts a task for each mirror, and follows the documents.
    /// `brought` is called with a repository after something came into it.
    pub fn start(
        store: Store,
        govern: Govern,
        work: std::path::PathBuf,
        brought: Arc<dyn Fn(&crate::model::RepoName) + Send + Sync>,
        tasks: &Tasks,
    ) -> Self {
        let _ = (store, govern, work, brought, tasks);
        Self { inner: Arc::new(Inner {}) }
    }

    /// Runs a mirror now and waits for it; `None`: there is no such mirror.
    pub async fn run(&self, project: &str, id: &str) -> Option<Run> {
        let _ = (project, id, &self.inner);
        todo!()
    }

    /// How every mirror is doing.
    pub fn states(&self) -> Vec<MirrorState> {
        todo!()
    }
}
