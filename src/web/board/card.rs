//! What stands on the board and on pages about promotions, as data.

use jiff::Timestamp;
use serde::Serialize;

use super::squares;
use crate::model::{
    BundleId, CommitId, ContentHash, Outcome, Person, PromotionId, RepoName, Revision, Stage, Via,
};
use crate::promote::{
    Approval, BundleRecord, BundleStatus, DiffStat, Ending, Gate, GateKind, Hold, Kind, Promotion,
    Status,
};
use crate::reconcile::{Fleet, View};

/// One stage and what it serves.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct StageCard {
    pub(crate) stage: Stage,
    pub(crate) live: Option<BundleBrief>,
    pub(crate) epoch: u64,
    pub(crate) since: Option<Timestamp>,
    pub(crate) by: Option<String>,
    /// The live bundle's cells in this stage.
    pub(crate) matrix: Vec<Square>,
    pub(crate) fleet: Fleet,
    pub(crate) hold: Option<HoldBrief>,
    pub(crate) approvals_needed: usize,
    pub(crate) auto: bool,
    /// Promotions that have not ended.
    pub(crate) open: Vec<PromotionCard>,
    /// What could be promoted here next.
    pub(crate) candidate: Option<BundleBrief>,
    /// Why it can't be asked for now.
    pub(crate) obstacle: Option<Obstacle>,
    /// Where a rollback would lead.
    pub(crate) rollback: Option<BundleBrief>,
}

/// Why automation leaves a stage alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct HoldBrief {
    pub(crate) by: String,
    pub(crate) reason: String,
    pub(crate) at: Timestamp,
}

/// Why something can't be done, and what to do about it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Obstacle {
    pub(crate) message: String,
    pub(crate) hint: String,
}

/// A bundle in one line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct BundleBrief {
    pub(crate) id: BundleId,
    pub(crate) revision: Revision,
    pub(crate) commit: CommitId,
    pub(crate) short: String,
    pub(crate) subject: String,
    pub(crate) author: String,
    pub(crate) at: Timestamp,
    pub(crate) status: BundleStatus,
    pub(crate) problems: usize,
    pub(crate) findings: usize,
}

/// One square of the matrix, with or without a result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Square {
    pub(crate) stage: Stage,
    pub(crate) version: String,
    pub(crate) state: SquareState,
    pub(crate) reasons: Vec<String>,
    pub(crate) took_ms: u64,
    pub(crate) checks: usize,
    pub(crate) cached: bool,
    /// Since when it runs.
    pub(crate) since: Option<Timestamp>,
    /// What shows the result.
    pub(crate) evidence: Option<ContentHash>,
    /// Why it was not fenced off.
    pub(crate) unfenced: Option<String>,
}

/// How a square stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SquareState {
    Passed,
    Failed,
    Errored,
    Running,
    Waiting,
}

/// A promotion as its page and the board show it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct PromotionCard {
    pub(crate) id: PromotionId,
    pub(crate) repo: RepoName,
    pub(crate) stage: Stage,
    pub(crate) kind: Kind,
    pub(crate) status: Status,
    pub(crate) word: &'static str,
    pub(crate) ended: bool,
    pub(crate) bundle: BundleId,
    pub(crate) content: Option<BundleBrief>,
    pub(crate) from: Option<BundleId>,
    pub(crate) plan: ContentHash,
    pub(crate) plan_short: String,
    pub(crate) diff: DiffStat,
    pub(crate) requested_by: String,
    pub(crate) requested_via: Via,
    pub(crate) requested_at: Timestamp,
    pub(crate) reason: String,
    pub(crate) gates: Vec<GateLine>,
    pub(crate) approvals: Vec<ApprovalLine>,
    pub(crate) approvals_needed: usize,
    pub(crate) matrix: Vec<Square>,
    pub(crate) applied_at: Option<Timestamp>,
    pub(crate) ending: Option<EndingLine>,
}

/// A condition in words.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct GateLine {
    pub(crate) kind: GateKind,
    pub(crate) title: &'static str,
    pub(crate) open: bool,
    pub(crate) detail: String,
}

/// A vote, and whether it still counts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ApprovalLine {
    pub(crate) by: Person,
    pub(crate) via: Via,
    pub(crate) at: Timestamp,
    pub(crate) note: String,
    pub(crate) valid: bool,
}

/// How it ended, in words.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct EndingLine {
    pub(crate) by: String,
    pub(crate) at: Timestamp,
    pub(crate) reason: String,
}

impl SquareState {
    pub(super) fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Passed => Self::Passed,
            Outcome::Failed => Self::Failed,
            Outcome::Errored => Self::Errored,
        }
    }
}

impl HoldBrief {
    pub(super) fn of(hold: &Hold) -> Self {
        Self { by: hold.by.to_string(), reason: hold.reason.clone(), at: hold.at }
    }
}

impl BundleBrief {
    /// The bundle in one line.
    pub(crate) fn of(bundle: &BundleRecord) -> Self {
        Self {
            id: bundle.id.clone(),
            revision: bundle.commit.revision,
            commit: bundle.commit.commit,
            short: bundle.commit.commit.short(),
            subject: bundle.commit.subject().into(),
            author: bundle.commit.author_name.clone(),
            at: bundle.at,
            status: bundle.status,
            problems: bundle.problems.len(),
            findings: bundle.findings.len(),
        }
    }
}

impl PromotionCard {
    /// The promotion with what belongs to it.
    pub(crate) fn of(view: &View, promotion: &Promotion) -> Self {
        let content = view.state.bundles.get(&promotion.bundle);
        let spec = content.and_then(|bundle| bundle.manifest.stage(&promotion.stage));
        let Promotion { id, repo, stage, kind, status, bundle, .. } = promotion.clone();
        Self {
            matrix: content.map(|bundle| squares(view, bundle, &stage)).unwrap_or_default(),
            content: content.map(BundleBrief::of),
            from: promotion.plan.from.clone(),
            plan: promotion.plan.digest,
            plan_short: promotion.plan.digest.short(),
            diff: promotion.plan.diff,
            requested_by: promotion.requested_by.to_string(),
            requested_via: promotion.requested_by.via,
            requested_at: promotion.requested_at,
            reason: promotion.reason.clone(),
            gates: promotion.gates.iter().map(GateLine::of).collect(),
            approvals: promotion.approvals.iter().map(|a| line_of(promotion, a)).collect(),
            approvals_needed: spec.map_or(0, |spec| spec.approvals),
            applied_at: promotion.applied_at,
            ending: promotion.ending.as_ref().map(EndingLine::of),
            word: status.word(),
            ended: status.is_terminal(),
            id,
            repo,
            stage,
            kind,
            status,
            bundle,
        }
    }
}

impl GateLine {
    fn of(gate: &Gate) -> Self {
        let title = match gate.kind {
            GateKind::Valid => "No problems",
            GateKind::Matrix => "Smoke matrix",
            GateKind::Verified => "Verified before",
            GateKind::Soak => "Soak time",
            GateKind::Approvals => "Approvals",
            GateKind::Free => "Stage is free",
            GateKind::Schedule => "Its time has come",
            GateKind::Window => "Inside a window",
            GateKind::Freeze => "Not frozen",
            GateKind::Pin => "Not pinned",
            GateKind::Veto => "Not vetoed",
            GateKind::Lock => "Not locked",
            GateKind::Fleet => "Fleet is healthy",
            GateKind::Metrics => "Metrics",
        };
        Self { kind: gate.kind, title, open: gate.open, detail: gate.detail.clone() }
    }
}

fn line_of(promotion: &Promotion, approval: &Approval) -> ApprovalLine {
    ApprovalLine {
        by: approval.by.clone(),
        via: approval.via,
        at: approval.at,
        note: approval.note.clone(),
        valid: approval.plan == promotion.plan.digest,
    }
}

impl EndingLine {
    fn of(ending: &Ending) -> Self {
        Self { by: ending.by.to_string(), at: ending.at, reason: ending.reason.clone() }
    }
}
