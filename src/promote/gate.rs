//! The conditions of a promotion: what each asks, and what it finds.
//!
//! [`evaluate`] is the only place that knows them. It takes the state as it
//! is and changes nothing, so it may be asked at any time, by anyone.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::record::{Approval, BundleRecord, BundleStatus, Kind, Plan, Promotion, State, Status};
use crate::model::{CellResult, ContentHash, Outcome, Person, Stage, StageSpec};

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
    /// No other promotion of the stage is applying, and no hold keeps it.
    Free,
}

impl GateKind {
    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Matrix => "smoke matrix",
            Self::Verified => "verified before",
            Self::Soak => "soak",
            Self::Approvals => "approvals",
            Self::Free => "stage free",
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
    fn new(kind: GateKind, open: bool, detail: impl Into<String>) -> Self {
        Self { kind, open, detail: detail.into() }
    }
}

/// What a stage asks of a promotion: the stricter of the candidate's manifest
/// and the manifest of what the stage serves now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How many people must approve.
    pub approvals: usize,
    /// Each list that is not empty must name the approver.
    pub approvers: Vec<Vec<String>>,
    /// How long the stage before must have held the bundle, in seconds.
    pub soak_seconds: u64,
}

impl Policy {
    /// The policy for bringing `bundle` to `stage`.
    pub fn of(state: &State, bundle: &BundleRecord, stage: &Stage) -> Self {
        let current = state.slot(&bundle.repo, stage).current;
        let current = current.and_then(|id| state.bundles.get(&id));
        let specs: Vec<&StageSpec> = [Some(bundle), current]
            .into_iter()
            .flatten()
            .filter_map(|bundle| bundle.manifest.stage(stage))
            .collect();
        let mut approvers: Vec<Vec<String>> = specs
            .iter()
            .map(|spec| spec.approvers.clone())
            .filter(|list| !list.is_empty())
            .collect();
        approvers.dedup();
        Self {
            approvals: specs.iter().map(|spec| spec.approvals).max().unwrap_or(0),
            approvers,
            soak_seconds: specs.iter().map(|spec| spec.soak_seconds).max().unwrap_or(0),
        }
    }

    /// Whether the lists of approvers, if any, name `person`.
    pub fn allows(&self, person: &str) -> bool {
        self.approvers.iter().all(|list| list.iter().any(|name| name == person))
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
    let gates = match promotion.kind {
        Kind::Rollback => vec![free(state, promotion)],
        Kind::Promote => vec![
            valid(bundle),
            matrix(state, bundle, &promotion.stage),
            verified(state, bundle, &promotion.stage),
            soak(state, bundle, &promotion.stage, &policy, now),
            approvals(promotion, &plan, &policy, &state.authors(bundle, &promotion.stage)),
            free(state, promotion),
        ],
    };
    (plan, gates)
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

fn valid(bundle: &BundleRecord) -> Gate {
    let rejected = bundle.status == BundleStatus::Rejected;
    let detail = match (rejected, bundle.problems.len()) {
        (true, count) => format!("{} has {count} problem(s)", bundle.id),
        (false, _) => "no problems".into(),
    };
    Gate::new(GateKind::Valid, !rejected, detail)
}

fn matrix(state: &State, bundle: &BundleRecord, stage: &Stage) -> Gate {
    let cells = state.cells(bundle, stage);
    let own = bundle.cells(stage).len();
    let results: Vec<&CellResult> = cells.iter().filter_map(|cell| bundle.result(cell)).collect();
    let passed = results.iter().filter(|result| result.outcome == Outcome::Passed).count();
    let bad = results.iter().find(|result| result.outcome != Outcome::Passed);
    let detail = match (cells.len(), bad) {
        (0, _) => "the stage asks for no smoke run".into(),
        (_, Some(result)) => {
            let word = match result.outcome {
                Outcome::Errored => "could not run",
                _ => "failed",
            };
            let reason = result.reasons.first().map_or("", String::as_str);
            format!("{} {word}: {reason}", result.cell)
        }
        (all, None) if passed < all => format!("{passed} of {all} cells passed, the rest runs"),
        (all, None) => format!("{all} of {all} cells passed"),
    };
    let detail = match cells.len() - own {
        0 => detail,
        kept => format!("{detail} ({kept} dropped by the commit, kept by what {stage} serves)"),
    };
    Gate::new(GateKind::Matrix, passed == cells.len(), detail)
}

/// Since when, and for how many seconds at the longest, a stage held the
/// bundle or one that it can't tell from it.
fn tenure(
    state: &State,
    bundle: &BundleRecord,
    stage: &Stage,
    now: Timestamp,
) -> Option<(Timestamp, u64)> {
    let slot = state.slot(&bundle.repo, stage);
    let twins = state.bundles.values().filter(|other| {
        other.repo == bundle.repo && (other.id == bundle.id || other.equals_in(bundle, stage))
    });
    twins
        .filter_map(|twin| {
            let since = *twin.verified.get(stage)?;
            let past = twin.held_seconds.get(stage).copied().unwrap_or(0);
            let serving = slot.current.as_ref() == Some(&twin.id);
            let here = if serving { seconds_between(since, now) } else { 0 };
            Some((since, past.max(here)))
        })
        .max_by_key(|(_, seconds)| *seconds)
}

pub(super) fn seconds_between(earlier: Timestamp, later: Timestamp) -> u64 {
    u64::try_from(later.as_second() - earlier.as_second()).unwrap_or(0)
}

/// The stages that a bundle must have been in before `stage`: the one before
/// it as the candidate orders them, and the nearest one before it as what the
/// stage serves now orders them, so that no commit moves itself to the front.
fn stages_before<'a>(
    state: &'a State,
    bundle: &'a BundleRecord,
    stage: &Stage,
) -> Vec<&'a StageSpec> {
    let mut before: Vec<&StageSpec> = bundle.manifest.previous(stage).into_iter().collect();
    if let Some(current) = state.current(&bundle.repo, stage) {
        let earlier = current.manifest.stages.iter().take_while(|spec| &spec.name != stage);
        let kept = earlier.filter_map(|spec| bundle.manifest.stage(&spec.name)).last();
        before.extend(kept.filter(|kept| before.iter().all(|known| known.name != kept.name)));
    }
    before
}

/// The stages before `stage` that the candidate's manifest does without.
fn stages_dropped(state: &State, bundle: &BundleRecord, stage: &Stage) -> Vec<String> {
    let current = state.current(&bundle.repo, stage).into_iter();
    let earlier = current
        .flat_map(|current| current.manifest.stages.iter().take_while(|spec| &spec.name != stage));
    let gone = earlier.filter(|spec| bundle.manifest.stage(&spec.name).is_none());
    gone.map(|spec| spec.name.to_string()).collect()
}

fn verified(state: &State, bundle: &BundleRecord, stage: &Stage) -> Gate {
    let before = stages_before(state, bundle, stage);
    let held = |spec: &StageSpec| tenure(state, bundle, &spec.name, Timestamp::UNIX_EPOCH);
    let missing = before.iter().find(|spec| held(spec).is_none());
    let mut detail = match (before.last(), missing) {
        (None, _) => "the first stage".into(),
        (_, Some(missing)) => {
            format!("has not succeeded in {}; promote it there first", missing.name)
        }
        (Some(_), None) => {
            let names: Vec<_> = before.iter().map(|spec| spec.name.as_str()).collect();
            format!("succeeded in {}", names.join(", "))
        }
    };
    let dropped = stages_dropped(state, bundle, stage);
    if !dropped.is_empty() {
        detail = format!("{detail} (the commit drops the stage {})", dropped.join(", "));
    }
    Gate::new(GateKind::Verified, missing.is_none(), detail)
}

fn soak(
    state: &State,
    bundle: &BundleRecord,
    stage: &Stage,
    policy: &Policy,
    now: Timestamp,
) -> Gate {
    let needed = policy.soak_seconds;
    let before = stages_before(state, bundle, stage).pop();
    let Some(before) = before.filter(|_| needed > 0) else {
        return Gate::new(GateKind::Soak, true, "no soak asked for");
    };
    let stay = tenure(state, bundle, &before.name, now);
    let held = stay.map_or(0, |(_, seconds)| seconds);
    let open = held >= needed;
    // The detail must not change by the second: each change is a commit.
    let detail = match stay {
        _ if open => format!("at least {needed} s in {}", before.name),
        None => format!("{needed} s in {}, not begun", before.name),
        Some((since, _)) if serves_twin(state, bundle, &before.name) => {
            let from = i64::try_from(needed).map(jiff::SignedDuration::from_secs);
            let ready = from.ok().and_then(|wait| since.checked_add(wait).ok()).unwrap_or(since);
            format!("{needed} s in {}, until {ready}", before.name)
        }
        Some((_, held)) => format!("left {} after {held} s of {needed} s", before.name),
    };
    Gate::new(GateKind::Soak, open, detail)
}

fn serves_twin(state: &State, bundle: &BundleRecord, stage: &Stage) -> bool {
    let current = state.slot(&bundle.repo, stage).current;
    let current = current.and_then(|id| state.bundles.get(&id));
    current.is_some_and(|current| current.id == bundle.id || current.equals_in(bundle, stage))
}

/// Counts votes; not that of somebody who turned out to be an author since.
fn approvals(
    promotion: &Promotion,
    plan: &Plan,
    policy: &Policy,
    authors: &BTreeSet<Person>,
) -> Gate {
    let counts = |approval: &&Approval| {
        approval.plan == plan.digest
            && policy.allows(approval.by.as_str())
            && !authors.contains(&approval.by)
    };
    let yes: Vec<&str> =
        promotion.approvals.iter().filter(counts).map(|approval| approval.by.as_str()).collect();
    let detail = match (policy.approvals, yes.len()) {
        (0, _) => "none needed".into(),
        (needed, 0) => format!("0 of {needed}"),
        (needed, count) => format!("{count} of {needed}: {}", yes.join(", ")),
    };
    Gate::new(GateKind::Approvals, yes.len() >= policy.approvals, detail)
}

fn free(state: &State, promotion: &Promotion) -> Gate {
    let open = state.open(&promotion.repo, &promotion.stage);
    let applying =
        open.iter().find(|other| other.status == Status::Applying && other.id != promotion.id);
    if let Some(other) = applying {
        return Gate::new(GateKind::Free, false, format!("{} is being applied", other.id));
    }
    let hold = state.slot(&promotion.repo, &promotion.stage).hold;
    match hold.filter(|_| promotion.requested_by.person.is_none()) {
        Some(hold) => {
            let detail = format!("held by {}: {}", hold.by, hold.reason);
            Gate::new(GateKind::Free, false, detail)
        }
        None => Gate::new(GateKind::Free, true, "nothing else is going on"),
    }
}
