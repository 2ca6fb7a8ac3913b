//! The conditions of a promotion: what each asks, and what it finds.
//!
//! [`evaluate`] is the only place that knows them. It takes the state as it
//! is and changes nothing, so it may be asked at any time, by anyone.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::blocks;
use super::breakglass::BreakGlass;
use super::bundle::BundleRecord;
use super::conditions;
use super::health;
use super::policy::Policy;
use super::promotion::{Kind, Plan, Promotion};
use super::quorum::Electorate;
use super::state::State;
use crate::model::ContentHash;

/// Which condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GateKind {
    /// The bundle has no problems.
    Valid,
    /// Every cell of the stage's matrix passed.
    Matrix,
    /// The bundle succeeded in the stage before.
    Verified,
    /// It was there for long enough.
    Soak,
    /// Enough people said yes to this very plan.
    Approvals,
    /// No other promotion of the stage is under way.
    Free,
    /// Its time has come.
    Schedule,
    /// One of the stage's windows is open.
    Window,
    /// Nobody froze the stage.
    Freeze,
    /// The stage is not pinned to something else.
    Pin,
    /// Nobody vetoed the bundle.
    Veto,
    /// Nobody else locked the stage.
    Lock,
    /// The nodes of the stage before are well.
    Fleet,
    /// What is measured is within its bounds.
    Metrics,
}

impl GateKind {
    /// Every one.
    pub const ALL: [Self; 14] = [
        Self::Valid,
        Self::Matrix,
        Self::Verified,
        Self::Soak,
        Self::Approvals,
        Self::Free,
        Self::Schedule,
        Self::Window,
        Self::Freeze,
        Self::Pin,
        Self::Veto,
        Self::Lock,
        Self::Fleet,
        Self::Metrics,
    ];

    /// Whether an emergency may skip it. That the configuration is valid and
    /// that Envoys accepted it may not, and two promotions can't have a stage.
    pub fn can_be_skipped(self) -> bool {
        !matches!(self, Self::Valid | Self::Matrix | Self::Free)
    }

    /// The gate that people mean by a word, as it is recorded or as it is
    /// shown.
    pub fn from_word(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let is =
            |kind: &Self| format!("{kind:?}").to_ascii_lowercase() == text || kind.word() == text;
        Self::ALL.into_iter().find(is)
    }

    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Matrix => "smoke matrix",
            Self::Verified => "verified before",
            Self::Soak => "soak",
            Self::Approvals => "approvals",
            Self::Free => "stage free",
            Self::Schedule => "schedule",
            Self::Window => "window",
            Self::Freeze => "no freeze",
            Self::Pin => "no pin",
            Self::Veto => "no veto",
            Self::Lock => "no lock",
            Self::Fleet => "fleet health",
            Self::Metrics => "metrics",
        }
    }
}

/// One condition of one promotion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// Which.
    pub kind: GateKind,
    /// Whether it holds.
    pub open: bool,
    /// What it found, one sentence.
    pub detail: String,
}

impl Gate {
    pub(super) fn new(kind: GateKind, open: bool, detail: impl Into<String>) -> Self {
        Self { kind, open, detail: detail.into() }
    }
}

/// Looks at every condition of `promotion` and makes the plan that an
/// approval is for. The plan's diff is left as it is.
pub fn evaluate(state: &State, promotion: &Promotion, now: Timestamp) -> (Plan, Vec<Gate>) {
    let Some(bundle) = state.bundles.get(&promotion.bundle) else {
        let gone = Gate::new(GateKind::Valid, false, "the bundle is no longer known");
        return (promotion.plan.clone(), vec![gone]);
    };
    let policy = Policy::of(state, bundle, &promotion.stage);
    let plan = plan(state, promotion, bundle, &policy);
    let mut gates = match promotion.kind {
        Kind::Rollback => vec![blocks::free(state, promotion)],
        Kind::Promote => forward(state, promotion, bundle, &policy, &plan, now),
    };
    if let Some(glass) = &promotion.breakglass {
        gates.iter_mut().for_each(|gate| skip(gate, glass));
    }
    (plan, gates)
}

/// The conditions of a step forward; those that nobody asked for are left out.
fn forward(
    state: &State,
    promotion: &Promotion,
    bundle: &BundleRecord,
    policy: &Policy,
    plan: &Plan,
    now: Timestamp,
) -> Vec<Gate> {
    let stage = &promotion.stage;
    let approvals = Electorate::of(state, promotion, policy).map(|all| all.gate(plan));
    let always = [
        Some(conditions::valid(bundle)),
        Some(conditions::matrix(state, bundle, stage)),
        Some(conditions::verified(state, bundle, stage)),
        Some(conditions::soak(state, bundle, stage, policy, now)),
        approvals,
        blocks::schedule(promotion, now),
        blocks::window(policy, now),
        blocks::freeze(state, promotion, now),
        blocks::pin(state, promotion, now),
        blocks::veto(state, bundle, stage),
        blocks::lock(state, promotion, now),
        health::fleet(state, bundle, stage, policy),
        health::metrics(promotion),
        Some(blocks::free(state, promotion)),
    ];
    always.into_iter().flatten().collect()
}

/// Opens a gate that is skipped in an emergency; what it found stays to be
/// read.
fn skip(gate: &mut Gate, glass: &BreakGlass) {
    if !gate.open && gate.kind.can_be_skipped() && glass.skip.contains(&gate.kind) {
        gate.open = true;
        gate.detail = format!("skipped for {}: {}", glass.incident, gate.detail);
    }
}

fn plan(state: &State, promotion: &Promotion, bundle: &BundleRecord, policy: &Policy) -> Plan {
    let slot = state.slot(&promotion.repo, &promotion.stage);
    let from = slot.current.as_ref().and_then(|id| state.bundles.get(id));
    let rendered = |bundle: Option<&BundleRecord>| {
        let hash = bundle.and_then(|bundle| bundle.render.get(&promotion.stage));
        hash.map(ContentHash::to_string).unwrap_or_default()
    };
    let mut parts = vec![
        promotion.repo.to_string(),
        promotion.stage.to_string(),
        promotion.id.to_string(),
        slot.epoch.to_string(),
        slot.current.as_ref().map(ToString::to_string).unwrap_or_default(),
        bundle.id.to_string(),
        rendered(from),
        rendered(Some(bundle)),
        format!("{policy:?}"),
    ];
    for cell in state.cells(bundle, &promotion.stage) {
        let outcome = bundle.result(&cell).map(|result| result.outcome);
        parts.push(format!("{cell} {outcome:?}"));
    }
    Plan {
        digest: ContentHash::of_parts(parts.iter().map(String::as_bytes)),
        epoch: slot.epoch,
        from: slot.current,
        to: bundle.id.clone(),
        diff: promotion.plan.diff,
    }
}
