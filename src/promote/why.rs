//! What something waits for: every blocker in order, who or what can clear it,
//! and when a closed window opens.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::blocks;
use super::conditions::{seconds_between, stages_before};
use super::course::{bake_seconds, deadline_seconds};
use super::gate::{Gate, GateKind, evaluate};
use super::health::{Verdict, verdict};
use super::policy::Policy;
use super::promotion::{Promotion, Status};
use super::quorum::Electorate;
use super::state::State;
use crate::model::{RepoName, Stage};

/// One thing that something waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blocker {
    /// The promotion that waits; `None`: the stage itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promotion: Option<crate::model::PromotionId>,
    /// Which gate is closed; `None`: it has begun, or none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateKind>,
    /// What it waits for, one sentence.
    pub what: String,
    /// Who or what can clear it, one sentence.
    pub clears: String,
    /// When it clears by itself, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// What a promotion waits for now; empty: for nothing.
pub fn why_promotion(state: &State, promotion: &Promotion, now: Timestamp) -> Vec<Blocker> {
    if promotion.status.is_waiting() {
        let (_, gates) = evaluate(state, promotion, now);
        let closed = gates.into_iter().filter(|gate| !gate.open);
        return closed.map(|gate| closed_gate(state, promotion, gate, now)).collect();
    }
    let mut blockers: Vec<Blocker> = on_its_way(promotion, now).into_iter().collect();
    if promotion.owes_review() {
        blockers.push(Blocker {
            promotion: Some(promotion.id.clone()),
            gate: None,
            what: "gates were skipped for it and nobody has reviewed that".into(),
            clears: format!("a second person: review {}", promotion.id),
            at: None,
        });
    }
    blockers
}

/// What keeps a stage from taking something newer: what is set on it, then
/// what each open promotion waits for.
pub fn why_stage(state: &State, repo: &RepoName, stage: &Stage, now: Timestamp) -> Vec<Blocker> {
    let mut blockers = Vec::new();
    let slot = state.slot(repo, stage);
    let mut add = |gate, what: String, clears: String, at| {
        blockers.push(Blocker { promotion: None, gate: Some(gate), what, clears, at });
    };
    for freeze in blocks::freezes(state, repo, stage, now) {
        let (word, what) = match &freeze.stage {
            Some(stage) => (stage.to_string(), stage.to_string()),
            None => ("all".into(), "every stage".into()),
        };
        let what = format!("{} froze {what}: {}", freeze.by, freeze.reason);
        add(GateKind::Freeze, what, format!("anybody who may: thaw {word}"), freeze.until);
    }
    if let Some(pin) = slot.pin.filter(|pin| pin.holds(now)) {
        let what = format!("{} pinned it: {}", pin.by, pin.reason);
        add(GateKind::Pin, what, format!("anybody who may: unpin {stage}"), pin.until);
    }
    if let Some(lock) = slot.lock.filter(|lock| lock.holds(now)) {
        let what = format!("{} locked it: {}", lock.by, lock.reason);
        add(GateKind::Lock, what, format!("{}: unlock {stage}", lock.by), lock.until);
    }
    if let Some(hold) = slot.hold {
        let what = format!("held by {}: {}", hold.by, hold.reason);
        add(GateKind::Pin, what, format!("anybody who may: unpin {stage}"), None);
    }
    let open = state.open(repo, stage);
    let owing = state.unreviewed(repo, stage);
    let owing = owing.into_iter().filter(|one| open.iter().all(|other| other.id != one.id));
    for promotion in open.iter().copied().chain(owing) {
        blockers.extend(why_promotion(state, promotion, now));
    }
    blockers
}

fn closed_gate(state: &State, promotion: &Promotion, gate: Gate, now: Timestamp) -> Blocker {
    let Gate { kind, detail, .. } = gate;
    let (clears, at) = clears(state, promotion, kind, now);
    Blocker { promotion: Some(promotion.id.clone()), gate: Some(kind), what: detail, clears, at }
}

/// Who or what can clear a closed gate, and when it clears by itself.
fn clears(
    state: &State,
    promotion: &Promotion,
    kind: GateKind,
    now: Timestamp,
) -> (String, Option<Timestamp>) {
    let Promotion { repo, stage, bundle: id, .. } = promotion;
    let Some(bundle) = state.bundles.get(id) else {
        return ("nobody: ask for a bundle that is known".into(), None);
    };
    let policy = Policy::of(state, bundle, stage);
    match kind {
        GateKind::Valid => ("its author, in a new commit".into(), None),
        GateKind::Matrix => {
            (format!("the smoke runs; once the cause is mended: retest {id} {stage}"), None)
        }
        GateKind::Verified => {
            let before = stages_before(state, bundle, stage);
            let names: Vec<_> = before.iter().map(|spec| spec.name.to_string()).collect();
            (format!("a promotion of {id} to {}", names.join(" and ")), None)
        }
        GateKind::Soak => ("time".into(), soaked(state, promotion, &policy, now)),
        GateKind::Approvals => {
            let plan = evaluate(state, promotion, now).0;
            let wanted = Electorate::of(state, promotion, &policy).map(|all| all.wanted(&plan));
            (format!("approvals: {}", wanted.unwrap_or_default()), None)
        }
        GateKind::Schedule => ("time".into(), promotion.after),
        GateKind::Window => ("time".into(), blocks::window_opens(&policy, now)),
        GateKind::Freeze => {
            let frozen = blocks::freezes(state, repo, stage, now);
            let ends: Option<Vec<_>> = frozen.iter().map(|freeze| freeze.until).collect();
            let what = |all: bool| if all { "all".to_owned() } else { stage.to_string() };
            let all = frozen.first().is_some_and(|freeze| freeze.stage.is_none());
            (format!("anybody who may: thaw {}", what(all)), ends.and_then(|e| e.into_iter().max()))
        }
        GateKind::Pin => {
            let until = blocks::pinned(state, promotion, now).and_then(|pin| pin.until);
            (format!("anybody who may: unpin {stage}"), until)
        }
        GateKind::Veto => (format!("anybody who may: unveto {id} in {stage}"), None),
        GateKind::Lock => {
            let lock = blocks::locked(state, promotion, now);
            let who = lock.as_ref().map_or(String::new(), |lock| lock.by.to_string());
            (format!("{who}: unlock {stage}"), lock.and_then(|lock| lock.until))
        }
        GateKind::Fleet => ("the nodes of the stage before, or whoever runs them".into(), None),
        GateKind::Metrics => ("what is measured, once it is within its bounds".into(), None),
        GateKind::Free => match state.active(repo, stage) {
            Some(active) => (format!("the end of {}", active.id), None),
            None => ("the next look".into(), None),
        },
    }
}

/// When the stage before has had the bundle for long enough, if it keeps it.
fn soaked(
    state: &State,
    promotion: &Promotion,
    policy: &Policy,
    now: Timestamp,
) -> Option<Timestamp> {
    let bundle = state.bundles.get(&promotion.bundle)?;
    let before = stages_before(state, bundle, &promotion.stage).pop()?;
    let since = super::conditions::serves_since(state, bundle, &before.name)?;
    let soak = i64::try_from(policy.soak_seconds).ok().map(SignedDuration::from_secs)?;
    since.checked_add(soak).ok().filter(|at| *at > now)
}

/// What a promotion that has begun waits for.
fn on_its_way(promotion: &Promotion, now: Timestamp) -> Option<Blocker> {
    let Promotion { id, status, .. } = promotion;
    let step = promotion.step.as_ref();
    let after = |from: Timestamp, seconds: u64| {
        let wait = i64::try_from(seconds).ok().map(SignedDuration::from_secs)?;
        from.checked_add(wait).ok()
    };
    let cause = || promotion.cause.clone().unwrap_or_default();
    let nodes = |word: &str| match step.filter(|step| step.nodes > 0) {
        Some(step) => format!("{word}: {} of {} connected nodes had it", step.acked, step.nodes),
        None => word.to_owned(),
    };
    let (what, clears, at) = match status {
        Status::Applying => {
            let what = match step.filter(|step| step.of > 1) {
                Some(step) => {
                    nodes(&format!("the nodes of step {} of {}", step.index + 1, step.of))
                }
                None => nodes("the stage's nodes"),
            };
            let late = step.zip(deadline_seconds(promotion));
            let late = late.and_then(|(step, seconds)| after(step.since, seconds));
            (what, format!("the nodes, before the deadline; abort {id}"), late)
        }
        Status::Observing | Status::Verifying => {
            let taken = step.and_then(|step| step.taken_at).unwrap_or(now);
            let bake = bake_seconds(promotion);
            if seconds_between(taken, now) < bake {
                let what = format!("it is watched for {bake} s");
                (what, format!("time; advance {id}, abort {id}"), after(taken, bake))
            } else {
                let what = match verdict(promotion) {
                    Verdict::Unknown { detail, .. } | Verdict::Failed(detail) => detail,
                    Verdict::Passed => "the next look".into(),
                };
                (what, format!("what is measured; advance {id}, abort {id}"), None)
            }
        }
        Status::Paused => {
            let by = step.and_then(|step| step.paused.as_ref());
            let by = by.map_or(String::new(), |pause| format!(" by {}", pause.by));
            let clears = format!("a person: resume {id}, advance {id} or abort {id}");
            (format!("paused{by}: {}", cause()), clears, None)
        }
        Status::RollingBack => {
            let what = nodes(&format!("what was before comes back ({})", cause()));
            (what, "the nodes".into(), None)
        }
        Status::Stuck => {
            let clears = format!("a person: resume {id} tries again, abort {id} gives up");
            (format!("stuck: {}", cause()), clears, None)
        }
        _ => return None,
    };
    Some(Blocker { promotion: Some(id.clone()), gate: None, what, clears, at })
}
