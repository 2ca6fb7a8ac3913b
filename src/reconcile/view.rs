//! What everybody else may look at: one immutable value, replaced as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{BundleId, Cell, CommitId, Manifest, Outcome, RepoName, Revision, Stage};
use crate::promote::State;

/// Everything as of one moment.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Bundles, stages, promotions.
    pub state: Arc<State>,
    /// Per repository with a pipeline, the newest valid manifest: its stages
    /// and their order, for showing.
    pub manifests: BTreeMap<RepoName, Manifest>,
    /// Each mirrored repository.
    pub mirrors: BTreeMap<RepoName, MirrorView>,
    /// Cells at work now, and since when; those that wait for their turn are
    /// not among them.
    pub running: BTreeMap<(BundleId, Cell), Timestamp>,
    /// How the nodes of each stage that serves something stand.
    pub fleet: BTreeMap<(RepoName, Stage), Fleet>,
}

impl View {
    /// Whether nothing differs that anybody could see. States that are not one
    /// value count as different; what shows is compared cheaply.
    pub(super) fn shows_the_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
            && self.mirrors == other.mirrors
            && self.running == other.running
            && self.fleet == other.fleet
    }
}

/// How far a bundle's matrix is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Cells that wait for their turn.
    pub queued: usize,
    /// Cells at work.
    pub running: usize,
    /// Cells that passed.
    pub passed: usize,
    /// Cells that failed.
    pub failed: usize,
    /// Cells that could not run, and are tried again.
    pub errored: usize,
    /// How long all ended cells took together, in milliseconds.
    pub took_ms: u64,
    /// Since when the longest of those at work is.
    pub since: Option<Timestamp>,
}

impl View {
    /// How far the matrix of a bundle is; of one that is not known, nowhere.
    pub fn progress(&self, id: &BundleId) -> Progress {
        let mut progress = Progress::default();
        let Some(bundle) = self.state.bundles.get(id) else { return progress };
        let stages = bundle.manifest.stages.iter().map(|spec| &spec.name);
        for cell in stages.flat_map(|stage| bundle.cells(stage)) {
            let result = bundle.result(&cell);
            progress.took_ms += result.map_or(0, |result| result.took_ms);
            let at_work = self.running.get(&(id.clone(), cell));
            match (result.map(|result| result.outcome), at_work) {
                (Some(Outcome::Passed), _) => progress.passed += 1,
                (Some(Outcome::Failed), _) => progress.failed += 1,
                (_, Some(since)) => {
                    progress.running += 1;
                    progress.since = Some(progress.since.map_or(*since, |s| s.min(*since)));
                }
                (Some(Outcome::Errored), None) => progress.errored += 1,
                (None, None) => progress.queued += 1,
            }
        }
        progress
    }
}

/// How a stage's nodes stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fleet {
    /// Connected.
    pub nodes: usize,
    /// Took all they were sent.
    pub acked: usize,
    /// Refused something.
    pub nacked: usize,
}

/// How a mirror stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum MirrorState {
    /// Nothing was fetched so far.
    Waiting,
    /// Our head is the upstream's.
    InStep,
    /// The last try failed.
    Failing {
        /// Why.
        error: String,
        /// Tries in a row.
        failures: u32,
    },
    /// The upstream's branch was rewritten; a person must adopt it.
    Diverged {
        /// Our head.
        ours: CommitId,
        /// The upstream's.
        theirs: CommitId,
    },
}

/// One mirrored repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorView {
    /// The remote, without credentials.
    pub url: String,
    /// The branch.
    pub branch: String,
    /// Our head.
    pub revision: Revision,
    /// How it stands.
    #[serde(flatten)]
    pub state: MirrorState,
    /// When it was looked at last.
    pub checked_at: Option<Timestamp>,
}
