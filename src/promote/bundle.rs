//! What is known about one bundle.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::hold::Veto;
use crate::model::{
    BundleId, Cell, CellResult, CommitInfo, ContentHash, FilePath, Finding, Manifest, Person,
    Problem, RepoName, Stage,
};

/// Whether a bundle may be promoted at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BundleStatus {
    /// Its smoke runs are under way.
    Checking,
    /// It rendered without problems and its matrix is complete.
    Eligible,
    /// It has problems or error findings; never promoted.
    Rejected,
}

/// What is known about one bundle: the rendered output of one revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BundleRecord {
    /// Its name.
    pub id: BundleId,
    /// Where it comes from.
    pub repo: RepoName,
    /// The commit it was rendered from.
    pub commit: CommitInfo,
    /// The people that the configuration maps among the authors of the commit
    /// and of those since the bundle before it. They can't approve it.
    pub authors: BTreeSet<Person>,
    /// The mail addresses of everybody who wrote a part of it: whom they are
    /// may be told later than it was made.
    #[serde(default)]
    pub mails: BTreeSet<String>,
    /// When it was recorded.
    pub at: Timestamp,
    /// Whether it may be promoted.
    pub status: BundleStatus,
    /// The pipeline as this revision describes it.
    pub manifest: Manifest,
    /// Every mistake, if it was rejected.
    pub problems: Vec<Problem>,
    /// What the linter says.
    pub findings: Vec<Finding>,
    /// Per stage, the hash of everything rendered for it.
    pub render: BTreeMap<Stage, ContentHash>,
    /// Results of the matrix, one per cell that ran, by stage then version.
    pub matrix: Vec<CellResult>,
    /// Per stage that ever held it with success: since when, the last time.
    pub verified: BTreeMap<Stage, Timestamp>,
    /// Per stage that held it and moved on: the longest stay, in seconds.
    #[serde(default)]
    pub held_seconds: BTreeMap<Stage, u64>,
    /// The files that differ from the bundle before it; `None`: nobody knows,
    /// so it may be any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<BTreeSet<FilePath>>,
    /// Who keeps it out of stages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vetoes: Vec<Veto>,
}

impl BundleRecord {
    /// The mail addresses of everybody who is known to have written a part.
    pub(super) fn mails(&self) -> impl Iterator<Item = &String> {
        let own = std::iter::once(&self.commit.author_email).chain(&self.commit.co_authors);
        own.chain(&self.mails)
    }

    /// The cells that the manifest asks for in `stage`.
    pub fn cells(&self, stage: &Stage) -> Vec<Cell> {
        let versions = self.manifest.stage(stage).map(|spec| spec.envoy_versions.clone());
        let cell = |version| Cell { stage: stage.clone(), version };
        versions.unwrap_or_default().into_iter().map(cell).collect()
    }

    /// Whether a stage can't tell this bundle from `other`: the same rendered
    /// resources for the same nodes under the same policy.
    pub fn equals_in(&self, other: &Self, stage: &Stage) -> bool {
        self.render.get(stage) == other.render.get(stage)
            && self.manifest.groups == other.manifest.groups
            && self.manifest.stage(stage) == other.manifest.stage(stage)
    }

    /// Whether a stage's nodes would be served the same.
    pub fn renders_as(&self, other: &Self, stage: &Stage) -> bool {
        self.render.contains_key(stage)
            && self.render.get(stage) == other.render.get(stage)
            && self.manifest.groups == other.manifest.groups
    }

    /// The result of `cell`, where it ran.
    pub fn result(&self, cell: &Cell) -> Option<&CellResult> {
        self.matrix.iter().find(|result| &result.cell == cell)
    }
}
