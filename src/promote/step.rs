//! One step of the state machine: an event in, a decision out.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::advance;
use super::answer;
use super::bundle::BundleRecord;
use super::event::Event;
use super::guards::allowed;
use super::hold::Freeze;
use super::promotion::Promotion;
use super::slot::StageSlot;
use super::state::State;
use crate::model::{BundleId, Cell, PromotionId, RepoName, Stage, Subset};

/// A document to write; each replaces the one before it.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a step writes a few, and moves none of them around")]
pub enum Document {
    /// What is known about a bundle.
    Bundle(Box<BundleRecord>),
    /// What a stage serves.
    Slot(StageSlot),
    /// A promotion.
    Promotion(Box<Promotion>),
    /// A freeze, or its end.
    Freeze(Freeze),
}

/// What to do once a decision is durable. Each may be done twice without harm.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Serve the stage's current bundle.
    Publish(RepoName, Stage),
    /// Show the promotion to people: post its card or edit it in place.
    Announce(PromotionId),
    /// Serve a step of a promotion: `bundle` to the nodes of `subset`, and to
    /// everybody else the stage's current bundle. The slot says the same.
    Serve {
        /// The repository.
        repo: RepoName,
        /// The stage.
        stage: Stage,
        /// What the subset is served.
        bundle: BundleId,
        /// Whom.
        subset: Subset,
        /// The version of what is served is `<epoch>.<step>`.
        epoch: u64,
        /// The step.
        step: u32,
    },
    /// Measure what the promotion's stage asks for, until its status changes.
    Ask(PromotionId),
    /// Tell whoever watches over security, loudly.
    Alarm {
        /// Which promotion.
        promotion: PromotionId,
        /// What happened, one sentence.
        line: String,
    },
    /// Run these cells again, whatever is known of their content.
    Retest {
        /// The bundle.
        bundle: BundleId,
        /// Which.
        cells: Vec<Cell>,
    },
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
    let found = allowed(state, &event, now).map_err(first)?;
    if found.already {
        work.about = event.promotion().cloned();
        work.already = true;
        return Ok(work.finish());
    }
    answer::answer(&mut work, event);
    advance::advance(&mut work);
    Ok(work.finish())
}

/// The most telling reason of several.
fn first(refusals: Vec<Refusal>) -> Refusal {
    let none = || Refusal::new(RefusalKind::Conflict, "it is refused", "`why` says more");
    refusals.into_iter().next().unwrap_or_else(none)
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
        Document::Freeze(freeze) => format!("freeze {} {:?}", freeze.repo, freeze.stage),
    }
}
