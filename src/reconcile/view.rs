//! What everybody else may look at: one immutable value, replaced as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{BundleId, Cell, CommitId, Manifest, RepoName, Revision, Stage};
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
    /// Cells at work now.
    pub running: BTreeSet<(BundleId, Cell)>,
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
