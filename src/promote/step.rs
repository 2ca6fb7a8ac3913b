//! One step of the state machine.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::record::{BundleRecord, Promotion, StageSlot, State};
use crate::model::{Actor, BundleId, CellResult, PromotionId, RepoName, Stage};

/// Everything that can happen to a pipeline.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A new bundle was rendered and stored.
    Bundle(Box<BundleRecord>),
    /// A cell of a bundle's matrix has its result.
    Cell(BundleId, CellResult),
    /// Somebody asks for a promotion.
    Request { repo: RepoName, stage: Stage, bundle: BundleId, by: Actor, reason: String },
    /// Somebody says yes to the plan whose digest begins with `plan`.
    Approve { id: PromotionId, by: Actor, plan: Option<String>, note: String },
    /// Somebody says no.
    Reject { id: PromotionId, by: Actor, reason: String },
    /// Somebody takes a request back.
    Cancel { id: PromotionId, by: Actor, reason: String },
    /// Somebody wants back what was good.
    Rollback { repo: RepoName, stage: Stage, to: Option<BundleId>, by: Actor, reason: String },
    /// Every connected node of the stage took what the promotion brought.
    Settled { id: PromotionId },
    /// A node refused it.
    Refused { id: PromotionId, detail: String },
    /// Time passed.
    Tick,
}

/// A document to write; each replaces the one before it.
#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    /// `bundles/<id>/bundle.json`
    Bundle(Box<BundleRecord>),
    /// `stages/<project>/<repository>/<stage>.json`
    Slot(StageSlot),
    /// `promotions/<id>.json`
    Promotion(Box<Promotion>),
}

/// What to do once a decision is durable. Each may be done twice without harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Serve the stage's current bundle.
    Publish(RepoName, Stage),
    /// Show the promotion to people: post its card or edit it in place.
    Announce(PromotionId),
}

/// What an event led to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// The commit's message: what was decided, by whom.
    pub message: String,
    /// Written in one commit. Empty: nothing changed, nothing to record.
    pub documents: Vec<Document>,
    /// Fired when the commit is durable.
    pub effects: Vec<Effect>,
    /// The promotion the event was about, for the answer.
    pub about: Option<PromotionId>,
    /// Whether the event had been recorded before (a double click).
    pub already: bool,
}

/// Why an event was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Refusal {
    /// The sort, for status and exit codes.
    pub kind: RefusalKind,
    /// What was refused and why, one sentence.
    pub message: String,
    /// What to do next.
    pub hint: String,
}

/// The sort of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// No such bundle, stage, promotion.
    NotFound,
    /// This person may not.
    Forbidden,
    /// Not in this state of things.
    Conflict,
    /// It can't be meant that way.
    Invalid,
    /// Convoy could not; try again.
    Unavailable,
}

/// Takes one step.
///
/// # Errors
/// The event is refused; nothing changed.
pub fn step(_state: &State, _event: Event, _now: Timestamp) -> Result<Decision, Refusal> {
    todo!()
}
