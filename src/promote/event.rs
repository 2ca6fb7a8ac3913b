//! Everything that can happen to a pipeline.

use jiff::Timestamp;

use super::bundle::BundleRecord;
use super::gate::GateKind;
use super::health::MetricValue;
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
        /// It does not begin before.
        after: Option<Timestamp>,
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
    /// Somebody takes their own yes back.
    Retract {
        /// Which promotion.
        id: PromotionId,
        /// Who.
        by: Actor,
    },
    /// Somebody wants back what was served before a promotion that is under way.
    Abort {
        /// Which promotion.
        id: PromotionId,
        /// Who.
        by: Actor,
        /// Why.
        reason: String,
    },
    /// Somebody stops a promotion where it is.
    Pause {
        /// Which promotion.
        id: PromotionId,
        /// Who.
        by: Actor,
        /// Why.
        reason: String,
    },
    /// Somebody lets it go on; one that is stuck is tried again.
    Resume {
        /// Which promotion.
        id: PromotionId,
        /// Who.
        by: Actor,
    },
    /// Somebody takes a promotion to its next step, whatever is left of this one.
    Advance {
        /// Which promotion.
        id: PromotionId,
        /// Who.
        by: Actor,
        /// To the first step that holds so many percent; `None`: the next.
        to: Option<u32>,
    },
    /// Somebody keeps a stage at what it serves, or for one bundle.
    Pin {
        /// The repository.
        repo: RepoName,
        /// The stage.
        stage: Stage,
        /// The only bundle that may come.
        bundle: Option<BundleId>,
        /// Until when; `None`: until somebody ends it.
        until: Option<Timestamp>,
        /// Who.
        by: Actor,
        /// Why.
        reason: String,
    },
    /// Somebody takes off a stage's pin, and its hold.
    Unpin {
        /// The repository.
        repo: RepoName,
        /// The stage.
        stage: Stage,
        /// Who.
        by: Actor,
    },
    /// Somebody keeps a bundle out of a stage, or with `None` out of all.
    Veto {
        /// The bundle.
        bundle: BundleId,
        /// The stage.
        stage: Option<Stage>,
        /// Who.
        by: Actor,
        /// Why.
        reason: String,
    },
    /// Somebody ends the vetoes of a bundle in a stage, or with `None` all of them.
    Unveto {
        /// The bundle.
        bundle: BundleId,
        /// The stage.
        stage: Option<Stage>,
        /// Who.
        by: Actor,
    },
    /// Somebody wants a stage for themselves.
    Lock {
        /// The repository.
        repo: RepoName,
        /// The stage.
        stage: Stage,
        /// Until when; `None`: until somebody ends it.
        until: Option<Timestamp>,
        /// Who.
        by: Actor,
        /// Why.
        reason: String,
    },
    /// Somebody gives a stage back.
    Unlock {
        /// The repository.
        repo: RepoName,
        /// The stage.
        stage: Stage,
        /// Why it is taken from somebody else.
        steal: Option<String>,
        /// Who.
        by: Actor,
    },
    /// Somebody keeps every promotion out of a stage, or with `None` out of all.
    Freeze {
        /// The repository.
        repo: RepoName,
        /// The stage.
        stage: Option<Stage>,
        /// Until when; `None`: until somebody ends it.
        until: Option<Timestamp>,
        /// Who.
        by: Actor,
        /// Why.
        reason: String,
    },
    /// Somebody ends a freeze.
    Thaw {
        /// The repository.
        repo: RepoName,
        /// The stage; `None`: the freeze of all stages.
        stage: Option<Stage>,
        /// Who.
        by: Actor,
    },
    /// Somebody skips gates in an emergency.
    BreakGlass {
        /// The repository.
        repo: RepoName,
        /// The stage.
        stage: Stage,
        /// What to bring.
        bundle: BundleId,
        /// The incident's id.
        incident: String,
        /// Why.
        reason: String,
        /// Each gate that is skipped.
        skip: Vec<GateKind>,
        /// The stage's name, as they typed it to confirm.
        typed: String,
        /// Who.
        by: Actor,
    },
    /// A second person looked at what was skipped.
    Review {
        /// Which promotion.
        id: PromotionId,
        /// Who.
        by: Actor,
        /// What they found.
        note: String,
    },
    /// Somebody wants cells to run again.
    Retest {
        /// The bundle.
        bundle: BundleId,
        /// Of this stage only.
        stage: Option<Stage>,
        /// Of this Envoy version only.
        version: Option<String>,
        /// Who.
        by: Actor,
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
    /// How the nodes of a step stand. Told again and again: only news counts.
    StepFacts {
        /// Which promotion.
        id: PromotionId,
        /// The epoch that the step is served under; facts of another are old.
        epoch: u64,
        /// Which step.
        step: u32,
        /// How many of its nodes are connected.
        nodes: u32,
        /// How many of those have taken all of it.
        acked: u32,
        /// Who refused it, with Envoy's words and whose line that is.
        refused: Option<String>,
    },
    /// What a metric came to.
    Metric {
        /// Which promotion.
        id: PromotionId,
        /// The metric's name, as the promotion's policy has it.
        name: String,
        /// What it came to.
        value: MetricValue,
    },
    /// Nodes have something else than they are served.
    Drift {
        /// Which promotion.
        id: PromotionId,
        /// Which, in words.
        detail: String,
    },
    /// Time passed.
    Tick,
}

impl Event {
    /// The promotion that it is about, where it names one.
    pub fn promotion(&self) -> Option<&PromotionId> {
        match self {
            Self::Approve { id, .. }
            | Self::Reject { id, .. }
            | Self::Cancel { id, .. }
            | Self::Retract { id, .. }
            | Self::Abort { id, .. }
            | Self::Pause { id, .. }
            | Self::Resume { id, .. }
            | Self::Advance { id, .. }
            | Self::Review { id, .. }
            | Self::Settled { id, .. }
            | Self::Refused { id, .. }
            | Self::StepFacts { id, .. }
            | Self::Metric { id, .. }
            | Self::Drift { id, .. } => Some(id),
            _ => None,
        }
    }

    /// Who acts; `None` for facts.
    pub fn by(&self) -> Option<&Actor> {
        match self {
            Self::Request { by, .. }
            | Self::Approve { by, .. }
            | Self::Reject { by, .. }
            | Self::Cancel { by, .. }
            | Self::Rollback { by, .. }
            | Self::Retract { by, .. }
            | Self::Abort { by, .. }
            | Self::Pause { by, .. }
            | Self::Resume { by, .. }
            | Self::Advance { by, .. }
            | Self::Pin { by, .. }
            | Self::Unpin { by, .. }
            | Self::Veto { by, .. }
            | Self::Unveto { by, .. }
            | Self::Lock { by, .. }
            | Self::Unlock { by, .. }
            | Self::Freeze { by, .. }
            | Self::Thaw { by, .. }
            | Self::BreakGlass { by, .. }
            | Self::Review { by, .. }
            | Self::Retest { by, .. } => Some(by),
            Self::Bundle(_)
            | Self::Cell(..)
            | Self::Settled { .. }
            | Self::Refused { .. }
            | Self::StepFacts { .. }
            | Self::Metric { .. }
            | Self::Drift { .. }
            | Self::Tick => None,
        }
    }
}
