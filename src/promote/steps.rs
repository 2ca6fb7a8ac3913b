//! The steps by which a stage's nodes take something: which there are, and where
//! a promotion is among them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{Actor, BundleId, MetricRule, Rollout, Subset};

/// Where a promotion is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepState {
    /// Which step, from 0.
    pub index: u32,
    /// How many there are; the last one is everything.
    pub of: u32,
    /// The slot's epoch that it is served under: the version of the step is
    /// `<epoch>.<index>`.
    pub epoch: u64,
    /// Who is served; `None`: every node.
    pub subset: Option<Subset>,
    /// Since when it is served.
    pub since: Timestamp,
    /// The step's connected nodes, as of the last look that changed anything.
    pub nodes: u32,
    /// How many of them had taken it then.
    pub acked: u32,
    /// Since when enough of them have it: the bake time counts from here.
    pub taken_at: Option<Timestamp>,
    /// Who stopped it, where somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
}

/// What a promotion goes by once it began: what it would be changed to by
/// itself does not count any more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    /// What was served when it began: what everybody outside a step's subset
    /// is served.
    pub base: Option<BundleId>,
    /// The steps; `None`: everything at once, and silent nodes don't hold it
    /// up.
    pub rollout: Option<Rollout>,
    /// What is measured.
    pub metrics: Vec<MetricRule>,
}

/// Why something stopped on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PauseCause {
    /// A person wanted it.
    Person,
    /// The step asks for it.
    Step,
    /// A metric can't be judged.
    Metrics,
    /// It failed, and the stage holds what failed.
    Failure,
}

/// A stop on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// What stopped it.
    pub cause: PauseCause,
    /// Who.
    pub by: Actor,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
}

impl StepState {
    /// The name of what is served in this step.
    pub fn version(&self) -> String {
        format!("{}.{}", self.epoch, self.index)
    }

    /// Whether it is the one that brings everything.
    pub fn is_last(&self) -> bool {
        self.index + 1 >= self.of
    }
}
