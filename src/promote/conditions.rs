//! What a bundle must have shown before a stage takes it: no problems, a matrix
//! that passed, success in the stage before, for long enough.

use jiff::Timestamp;

use super::bundle::{BundleRecord, BundleStatus};
use super::gate::{Gate, GateKind};
use super::policy::Policy;
use super::state::State;
use crate::model::{CellResult, Outcome, Stage, StageSpec};

pub(super) fn valid(bundle: &BundleRecord) -> Gate {
    let rejected = bundle.status == BundleStatus::Rejected;
    let detail = match (rejected, bundle.problems.len()) {
        (true, count) => format!("{} has {count} problem(s)", bundle.id),
        (false, _) => "no problems".into(),
    };
    Gate::new(GateKind::Valid, !rejected, detail)
}

pub(super) fn matrix(state: &State, bundle: &BundleRecord, stage: &Stage) -> Gate {
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
pub(super) fn stages_before<'a>(
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

pub(super) fn verified(state: &State, bundle: &BundleRecord, stage: &Stage) -> Gate {
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

pub(super) fn soak(
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

/// Since when a stage that serves the bundle, or one that it can't tell from
/// it, does so with success.
pub(super) fn serves_since(
    state: &State,
    bundle: &BundleRecord,
    stage: &Stage,
) -> Option<Timestamp> {
    let (since, _) = tenure(state, bundle, stage, Timestamp::UNIX_EPOCH)?;
    serves_twin(state, bundle, stage).then_some(since)
}

fn serves_twin(state: &State, bundle: &BundleRecord, stage: &Stage) -> bool {
    let current = state.slot(&bundle.repo, stage).current;
    let current = current.and_then(|id| state.bundles.get(&id));
    current.is_some_and(|current| current.id == bundle.id || current.equals_in(bundle, stage))
}
