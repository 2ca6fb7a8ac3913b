//! One promotion: what is asked for, by whom, and where it stands.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::breakglass::BreakGlass;
use super::gate::Gate;
use super::health::Measured;
use super::steps::{Course, StepState};
use crate::model::{Actor, BundleId, ContentHash, Person, PromotionId, RepoName, Stage, Via};

/// Forward, or back to what was good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// To a bundle that the stage's gates let pass.
    Promote,
    /// To a bundle that succeeded in this stage before.
    Rollback,
}

/// Where a promotion stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Some gate is closed.
    Gated,
    /// Every gate is open; another promotion of the stage is under way.
    Ready,
    /// Its step is served; waiting for the nodes' word.
    Applying,
    /// The step's nodes have taken it and are watched.
    Observing,
    /// Somebody, or something that can't be judged, stopped it on its way.
    Paused,
    /// Everything is served; what is measured decides.
    Verifying,
    /// What was served before comes back; waiting for the nodes' word.
    #[serde(alias = "rolling_back")]
    RollingBack,
    /// It could not be brought back; a person must look.
    Stuck,
    /// Every node that is connected took it.
    Succeeded,
    /// Nothing to do: what is rendered is what is served.
    Noop,
    /// An approver said no.
    Rejected,
    /// The requester took it back.
    Cancelled,
    /// A newer request for the stage took its place.
    Superseded,
    /// Nobody decided it in time.
    Expired,
    /// It failed, and what was served before is served again.
    #[serde(alias = "rolled_back")]
    RolledBack,
    /// It failed, and there was no way back or none was wanted: the stage is
    /// held as it is.
    #[serde(alias = "failed_held")]
    Failed,
}

impl Status {
    /// Every one, in the order of a promotion's life.
    pub const ALL: [Self; 16] = [
        Self::Gated,
        Self::Ready,
        Self::Applying,
        Self::Observing,
        Self::Paused,
        Self::Verifying,
        Self::RollingBack,
        Self::Stuck,
        Self::Succeeded,
        Self::Noop,
        Self::Rejected,
        Self::Cancelled,
        Self::Superseded,
        Self::Expired,
        Self::RolledBack,
        Self::Failed,
    ];

    /// Whether it has not begun: it can still be voted on and taken back.
    pub fn is_waiting(self) -> bool {
        matches!(self, Self::Gated | Self::Ready)
    }

    /// Whether it has the stage for itself.
    pub fn is_active(self) -> bool {
        !self.is_waiting() && !self.is_terminal()
    }

    /// Whether nothing can happen to it any more.
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Succeeded
                | Self::Noop
                | Self::Rejected
                | Self::Cancelled
                | Self::Superseded
                | Self::Expired
                | Self::RolledBack
                | Self::Failed
        )
    }

    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gated => "waiting",
            Self::Ready => "ready",
            Self::Applying => "applying",
            Self::Observing => "watched",
            Self::Paused => "paused",
            Self::Verifying => "verifying",
            Self::RollingBack => "rolling back",
            Self::Stuck => "stuck",
            Self::Succeeded => "succeeded",
            Self::Noop => "no-op",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
            Self::Expired => "expired",
            Self::RolledBack => "rolled back",
            Self::Failed => "failed",
        }
    }
}

/// How much a promotion changes for a stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffStat {
    /// Resources that are new.
    pub added: usize,
    /// Resources whose content differs.
    pub changed: usize,
    /// Resources that go.
    pub removed: usize,
}

/// Exactly what an approval is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Binds everything below, the results of the matrix and the policy.
    pub digest: ContentHash,
    /// The slot's epoch that it starts from.
    pub epoch: u64,
    /// What is served when it starts.
    pub from: Option<BundleId>,
    /// What is served when it ends.
    pub to: BundleId,
    /// How much changes. Follows from `from` and `to`, for people; whoever
    /// holds the rendered resources fills it in.
    pub diff: DiffStat,
}

/// One person's yes to one plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who.
    pub by: Person,
    /// By which way.
    pub via: Via,
    /// The plan it is valid for.
    pub plan: ContentHash,
    /// When.
    pub at: Timestamp,
    /// What they added.
    pub note: String,
}

/// How a promotion ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// Who ended it.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// The act that moves one stage's pointer, with its record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Promotion {
    /// Its name.
    pub id: PromotionId,
    /// The repository.
    pub repo: RepoName,
    /// The stage whose pointer it moves.
    pub stage: Stage,
    /// The bundle it moves to.
    pub bundle: BundleId,
    /// Forward or back.
    pub kind: Kind,
    /// Who asked.
    pub requested_by: Actor,
    /// When.
    pub requested_at: Timestamp,
    /// Why, in their words.
    pub reason: String,
    /// Where it stands.
    pub status: Status,
    /// What an approval is for, as of the last look.
    pub plan: Plan,
    /// The votes, valid ones and those that an earlier plan had.
    pub approvals: Vec<Approval>,
    /// Each condition and whether it holds, as of the last look.
    pub gates: Vec<Gate>,
    /// When the pointer moved, if it did.
    pub applied_at: Option<Timestamp>,
    /// How it ended, if it did.
    pub ending: Option<Ending>,
    /// It does not begin before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Timestamp>,
    /// Where it is on its way, once it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepState>,
    /// What it goes by, once it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub course: Option<Box<Course>>,
    /// What was measured last, by the metric's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, Measured>,
    /// Why it rolls back, is paused or stuck, one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What was skipped in an emergency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breakglass: Option<BreakGlass>,
}

impl Promotion {
    /// The approvals that count for the plan as it stands.
    pub fn valid_approvals(&self) -> impl Iterator<Item = &Approval> {
        self.approvals.iter().filter(|approval| approval.plan == self.plan.digest)
    }

    /// Whether gates were skipped for it, it began, and no second person has
    /// looked at it since.
    pub fn owes_review(&self) -> bool {
        let unseen = self.breakglass.as_ref().is_some_and(|glass| glass.review.is_none());
        unseen && self.applied_at.is_some()
    }
}
