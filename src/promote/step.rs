//! One step of the state machine: an event in, a decision out.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::advance;
use super::answer;
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
    Request {
        /// The repository.
        repo: RepoName,
        /// The stage to bring it to.
        stage: Stage,
        /// What to bring.
        bundle: BundleId,
        /// Who asks.
        by: Actor,
        /// Why.
        reason: String,
    },
    /// Somebody says yes to the plan whose digest begins with `plan`.
    Approve {
        /// Which promotion.
        id: PromotionId,
        /// Who.
        by: Actor,
        /// The beginning of the digest they saw; `None`: as it stands.
        plan: Option<String>,
        /// What they add.
        note: String,
    },
    /// Somebody says no.
    Reject {
        /// Which promotion.
        id: PromotionId,
        /// Who.
        by: Actor,
        /// Why.
        reason: String,
    },
    /// Somebody takes a request back.
    Cancel {
        /// Which promotion.
        id: PromotionId,
        /// Who.
        by: Actor,
        /// Why.
        reason: String,
    },
    /// Somebody wants back what was good.
    Rollback {
        /// The repository.
        repo: RepoName,
        /// The stage.
        stage: Stage,
        /// To what; `None`: to what was good before.
        to: Option<BundleId>,
        /// Who.
        by: Actor,
        /// Why.
        reason: String,
    },
    /// Every connected node of the stage took what the promotion brought.
    Settled {
        /// Which promotion.
        id: PromotionId,
        /// How many nodes, in words.
        detail: String,
    },
    /// A node refused it.
    Refused {
        /// Which promotion.
        id: PromotionId,
        /// Which node, and Envoy's words.
        detail: String,
    },
    /// Time passed.
    Tick,
}

/// A document to write; each replaces the one before it.
#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    /// What is known about a bundle.
    Bundle(Box<BundleRecord>),
    /// What a stage serves.
    Slot(StageSlot),
    /// A promotion.
    Promotion(Box<Promotion>),
}

/// What to do once a decision is durable. Each may be done twice without harm.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
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

impl Refusal {
    /// A refusal of a sort.
    pub fn new(kind: RefusalKind, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: hint.into() }
    }
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

/// Takes one step: answers the event, then moves everything on that the
/// answer set free (gates are looked at anew each time, so a forgotten
/// trigger can't leave a promotion waiting).
///
/// # Errors
/// The event is refused; nothing changed.
pub fn step(state: &State, event: Event, now: Timestamp) -> Result<Decision, Refusal> {
    let mut work = Work::new(state, now);
    answer::answer(&mut work, event)?;
    advance::advance(&mut work);
    Ok(work.finish())
}

/// A step under way: the state with the changes so far, and what they were.
pub(super) struct Work {
    pub(super) state: State,
    pub(super) now: Timestamp,
    pub(super) about: Option<PromotionId>,
    pub(super) already: bool,
    lines: Vec<String>,
    documents: Vec<Document>,
    effects: Vec<Effect>,
}

impl Work {
    fn new(state: &State, now: Timestamp) -> Self {
        Self {
            state: state.clone(),
            now,
            about: None,
            already: false,
            lines: Vec::new(),
            documents: Vec::new(),
            effects: Vec::new(),
        }
    }

    /// Writes a document; a later one of the same name replaces it.
    pub(super) fn put(&mut self, document: Document) {
        let name = name_of(&document);
        self.documents.retain(|written| name_of(written) != name);
        self.state.put(document.clone());
        self.documents.push(document);
    }

    /// Adds a line to the decision's message. People's words stay within it:
    /// a line of their own could pass for another decision.
    pub(super) fn say(&mut self, line: impl Into<String>) {
        let words = |c: char| if c.is_control() { ' ' } else { c };
        self.lines.push(line.into().chars().map(words).collect());
    }

    /// Fires an effect once, however often it is asked for.
    pub(super) fn fire(&mut self, effect: Effect) {
        if !self.effects.contains(&effect) {
            self.effects.push(effect);
        }
    }

    fn finish(self) -> Decision {
        let message = match self.lines.split_first() {
            None => "update".into(),
            Some((first, [])) => first.clone(),
            Some((first, rest)) => format!("{first}\n\n{}", rest.join("\n")),
        };
        Decision {
            message,
            documents: self.documents,
            effects: self.effects,
            about: self.about,
            already: self.already,
        }
    }
}

fn name_of(document: &Document) -> String {
    match document {
        Document::Bundle(bundle) => format!("bundle {}", bundle.id),
        Document::Slot(slot) => format!("slot {} {}", slot.repo, slot.stage),
        Document::Promotion(promotion) => format!("promotion {}", promotion.id),
    }
}
