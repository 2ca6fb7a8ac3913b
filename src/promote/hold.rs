//! What people set to keep promotions away from a stage: each has somebody who
//! set it, a reason, and where it may end by itself, a time.
//!
//! | word | keeps away |
//! | --- | --- |
//! | hold | everything but a rollback, until somebody unpins |
//! | pin | everything, or everything but one bundle |
//! | veto | one bundle, from one stage or from all |
//! | lock | what others ask for |
//! | freeze | everything, from one stage or from all |

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{Actor, BundleId, PromotionId, RepoName, Stage};

/// Keeps a stage at what a rollback brought back, or at what failed in it, until
/// somebody unpins it: what was taken back must not come again by the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Who set it.
    pub by: Actor,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
}

/// Keeps a stage at what it serves, or for one bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The only bundle that may come; `None`: none may.
    pub bundle: Option<BundleId>,
    /// Who set it.
    pub by: Actor,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
    /// Until when; `None`: until it is taken off.
    pub until: Option<Timestamp>,
}

/// Keeps a stage for one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// For whom, and who set it.
    pub by: Actor,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
    /// Until when; `None`: until it is given back.
    pub until: Option<Timestamp>,
}

/// Keeps a bundle, and every other that a stage can't tell from it, out of a
/// stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Veto {
    /// Out of which; `None`: out of all.
    pub stage: Option<Stage>,
    /// Who set it.
    pub by: Actor,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
    /// The promotion that left it, where a rollback set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion: Option<PromotionId>,
}

/// Keeps every promotion out of a stage, or of all stages of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// The repository.
    pub repo: RepoName,
    /// The stage; `None`: all of them.
    pub stage: Option<Stage>,
    /// Who set it.
    pub by: Actor,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
    /// Until when; `None`: until it is thawed.
    pub until: Option<Timestamp>,
    /// Who ended it, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thawed: Option<(Actor, Timestamp)>,
}

impl Pin {
    /// Whether it holds at `now`.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl Lock {
    /// Whether it holds at `now`.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl Freeze {
    /// Whether it holds at `now`.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.thawed.is_none() && self.until.is_none_or(|until| now < until)
    }
}
