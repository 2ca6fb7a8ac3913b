//! What a stage serves.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::hold::{Hold, Lock, Pin};
use crate::model::{Actor, BundleId, PromotionId, RepoName, Stage, Subset};

/// What a stage serves: the one pointer that a promotion moves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageSlot {
    /// The repository.
    pub repo: RepoName,
    /// The stage.
    pub stage: Stage,
    /// What is served now.
    pub current: Option<BundleId>,
    /// The newest bundle that succeeded here.
    pub last_good: Option<BundleId>,
    /// The one that succeeded before it: where a rollback leads.
    pub before_last_good: Option<BundleId>,
    /// Counts every move of the pointer.
    pub epoch: u64,
    /// When the pointer moved last.
    pub since: Option<Timestamp>,
    /// Who moved it.
    pub by: Option<Actor>,
    /// Set by a rollback: automation leaves the stage alone.
    pub hold: Option<Hold>,
    /// Which step of the epoch is served: the version of what the stage serves
    /// is `<epoch>.<step>`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub step: u32,
    /// What some of the nodes are served instead of `current`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Candidate>,
    /// Keeps everybody's promotions away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
    /// Keeps other people's promotions away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<Lock>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What the nodes of a subset are served while a promotion goes by steps;
/// everybody else is served the slot's current bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// What.
    pub bundle: BundleId,
    /// To whom.
    pub subset: Subset,
    /// By which promotion.
    pub promotion: PromotionId,
}

impl StageSlot {
    /// A slot that nothing was ever activated in.
    pub fn empty(repo: &RepoName, stage: &Stage) -> Self {
        Self {
            repo: repo.clone(),
            stage: stage.clone(),
            current: None,
            last_good: None,
            before_last_good: None,
            epoch: 0,
            since: None,
            by: None,
            hold: None,
            step: 0,
            candidate: None,
            pin: None,
            lock: None,
        }
    }

    /// The name of what is served now: it changes with each step, and only
    /// then.
    pub fn version(&self) -> String {
        format!("{}.{}", self.epoch, self.step)
    }
}
