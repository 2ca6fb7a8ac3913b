//! How nodes stand and what is measured, as conditions.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::bundle::BundleRecord;
use super::conditions::stages_before;
use super::gate::{Gate, GateKind};
use super::people::FleetFacts;
use super::policy::Policy;
use super::promotion::{Kind, Promotion, Status};
use super::state::State;
use crate::model::{MetricRule, OnInconclusive, Stage};

/// What a metric's query came to. Only a failure is one: that nothing can be
/// said, or nobody can be asked, is not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "is", content = "detail")]
pub enum MetricValue {
    /// Within its bounds.
    Pass,
    /// Out of its bounds, and how far.
    Fail(String),
    /// No data, or too little of it.
    Inconclusive(String),
    /// Nobody answered.
    Unreachable(String),
}

/// What was measured last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// What it came to.
    pub value: MetricValue,
    /// Since when it comes to that.
    pub at: Timestamp,
}

impl MetricValue {
    /// Whether `other` means the same for a promotion, whatever its figures.
    pub fn means(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// The nodes of the stage before are well: enough have what they are served,
/// and none refuses it. What nobody knows of is not well.
pub(super) fn fleet(
    state: &State,
    bundle: &BundleRecord,
    stage: &Stage,
    policy: &Policy,
) -> Option<Gate> {
    let needed = policy.fleet?.acked_percent;
    let Some(before) = stages_before(state, bundle, stage).pop() else {
        return Some(Gate::new(GateKind::Fleet, true, "the first stage"));
    };
    let name = &before.name;
    let facts = state.fleet.get(&(bundle.repo.clone(), name.clone())).copied();
    let FleetFacts { nodes, acked, nacked } = facts.unwrap_or_default();
    let enough = acked as u64 * 100 >= nodes as u64 * u64::from(needed);
    // The detail must not change by the node: each change is a commit.
    let (open, detail) = match (nodes, nacked) {
        (0, _) => (false, format!("no node of {name} is connected")),
        (_, 1..) => (false, format!("nodes of {name} refuse what they are served")),
        _ if !enough => (false, format!("less than {needed}% of {name}'s nodes have all of it")),
        _ => (true, format!("at least {needed}% of {name}'s nodes have all of it, none refuses")),
    };
    Some(Gate::new(GateKind::Fleet, open, detail))
}

/// What is measured before it begins. Only a failure keeps it away: a stage
/// that has no traffic yet has nothing to measure.
pub(super) fn metrics(promotion: &Promotion) -> Option<Gate> {
    if !promotion.status.is_waiting() || promotion.metrics.is_empty() {
        return None;
    }
    let failed = promotion.metrics.iter().find_map(|(name, measured)| match &measured.value {
        MetricValue::Fail(detail) => Some(format!("{name}: {detail}")),
        _ => None,
    });
    let detail = failed.clone().unwrap_or_else(|| "none is out of its bounds".into());
    Some(Gate::new(GateKind::Metrics, failed.is_none(), detail))
}

/// What all metrics of a promotion that is under way come to together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All are within their bounds, or there is none.
    Passed,
    /// One is out of its bounds.
    Failed(String),
    /// Of one nothing can be said.
    Unknown {
        /// Of which, and why.
        detail: String,
        /// Whether it asks for a person.
        pause: bool,
    },
}

/// What was measured since the step's nodes have it.
pub(super) fn verdict(promotion: &Promotion) -> Verdict {
    let rules = promotion.course.as_ref().map(|course| course.metrics.as_slice());
    let mut unknown: Option<(String, bool)> = None;
    for rule in rules.unwrap_or_default() {
        let pauses = rule.inconclusive == OnInconclusive::Pause;
        let (detail, pause) = match promotion.metrics.get(&rule.name).map(|found| &found.value) {
            Some(MetricValue::Pass) => continue,
            Some(MetricValue::Fail(detail)) => {
                return Verdict::Failed(format!("{}: {detail}", rule.name));
            }
            Some(MetricValue::Inconclusive(detail)) => {
                (format!("{} is inconclusive: {detail}", rule.name), pauses)
            }
            Some(MetricValue::Unreachable(detail)) => {
                (format!("{} can't be measured: {detail}", rule.name), pauses)
            }
            None => (format!("{} is not measured yet", rule.name), false),
        };
        // One that asks for a person is told before one that does not.
        if unknown.as_ref().is_none_or(|(_, known)| pause && !known) {
            unknown = Some((detail, pause));
        }
    }
    unknown.map_or(Verdict::Passed, |(detail, pause)| Verdict::Unknown { detail, pause })
}

/// What is to be measured for a promotion now; empty: nothing.
pub fn asks(state: &State, promotion: &Promotion) -> Vec<MetricRule> {
    if promotion.kind == Kind::Rollback {
        return Vec::new();
    }
    match promotion.status {
        Status::Gated | Status::Ready => {
            let Some(bundle) = state.bundles.get(&promotion.bundle) else { return Vec::new() };
            // Where nothing is served, nothing is measured.
            let serves = state.current(&promotion.repo, &promotion.stage).is_some();
            let policy = serves.then(|| Policy::of(state, bundle, &promotion.stage));
            policy.map(|policy| policy.metrics).unwrap_or_default()
        }
        Status::Observing | Status::Verifying | Status::Paused => {
            promotion.course.as_ref().map(|course| course.metrics.clone()).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}
