//! What keeps a promotion away although its bundle is fit: time, and people.
//!
//! Each gives a gate where there is anything to say, else none: what nobody
//! asked for is not a line that people read.

use jiff::Timestamp;

use super::bundle::BundleRecord;
use super::gate::{Gate, GateKind};
use super::hold::{Freeze, Hold, Lock, Pin, Veto};
use super::policy::Policy;
use super::promotion::Promotion;
use super::state::State;
use super::window::{Closed, Windows};
use crate::model::{RepoName, Stage};

/// It does not begin before its time.
pub(super) fn schedule(promotion: &Promotion, now: Timestamp) -> Option<Gate> {
    let after = promotion.after?;
    let open = now >= after;
    let word = if open { "since" } else { "not before" };
    Some(Gate::new(GateKind::Schedule, open, format!("{word} {after}")))
}

/// The stage's windows.
pub(super) fn window(policy: &Policy, now: Timestamp) -> Option<Gate> {
    if policy.windows.is_empty() {
        return None;
    }
    let sets: Vec<Windows<'_>> = policy.windows.iter().map(|set| Windows::new(set)).collect();
    let closed = sets.iter().find_map(|set| Some((set, set.closed(now)?)));
    let Some((set, closed)) = closed else {
        return Some(Gate::new(GateKind::Window, true, "open"));
    };
    let why = match closed {
        Closed::NotAllowed => "outside the windows that allow".to_owned(),
        Closed::Denied(window) if window.reason.is_empty() => format!("closed: {window}"),
        Closed::Denied(window) => format!("closed: {window} ({})", window.reason),
    };
    let next = match set.opens(now) {
        Some(at) => format!("opens {at}"),
        None => "it does not open within a year".into(),
    };
    Some(Gate::new(GateKind::Window, false, format!("{why}; {next}")))
}

/// When all windows of a policy are open next.
pub(super) fn window_opens(policy: &Policy, now: Timestamp) -> Option<Timestamp> {
    let sets: Vec<Windows<'_>> = policy.windows.iter().map(|set| Windows::new(set)).collect();
    let mut at = now;
    // Each round moves past one set that is closed.
    for _ in 0..1000 {
        match sets.iter().find(|set| set.closed(at).is_some()) {
            None => return Some(at),
            Some(set) => at = set.opens(at)?,
        }
    }
    None
}

/// The freezes that hold in a stage.
pub(super) fn freezes<'a>(
    state: &'a State,
    repo: &RepoName,
    stage: &Stage,
    now: Timestamp,
) -> Vec<&'a Freeze> {
    let of = |which: Option<&Stage>| state.freezes.get(&(repo.clone(), which.cloned()));
    let both = [of(None), of(Some(stage))];
    both.into_iter().flatten().filter(|freeze| freeze.holds(now)).collect()
}

/// Nobody froze the stage.
pub(super) fn freeze(state: &State, promotion: &Promotion, now: Timestamp) -> Option<Gate> {
    let frozen = freezes(state, &promotion.repo, &promotion.stage, now);
    let freeze = frozen.first()?;
    let what = freeze.stage.as_ref().map_or("all stages".to_owned(), ToString::to_string);
    let Freeze { by, reason, until, .. } = freeze;
    let detail = format!("{by} froze {what}{}: {reason}", ending(*until));
    Some(Gate::new(GateKind::Freeze, false, detail))
}

pub(super) fn ending(until: Option<Timestamp>) -> String {
    until.map_or(String::new(), |until| format!(" until {until}"))
}

/// The pin that keeps a promotion away.
pub(super) fn pinned(state: &State, promotion: &Promotion, now: Timestamp) -> Option<Pin> {
    let pin = state.slot(&promotion.repo, &promotion.stage).pin?;
    let lets_in = pin.bundle.as_ref() == Some(&promotion.bundle);
    (pin.holds(now) && !lets_in).then_some(pin)
}

/// The stage is neither pinned to something else nor held.
pub(super) fn pin(state: &State, promotion: &Promotion, now: Timestamp) -> Option<Gate> {
    let Some(pin) = pinned(state, promotion, now) else { return held(state, promotion) };
    let Pin { bundle, by, reason, until, .. } = pin;
    let to = bundle.map_or("what it serves".to_owned(), |bundle| bundle.to_string());
    let detail = format!("{by} pinned the stage to {to}{}: {reason}", ending(until));
    Some(Gate::new(GateKind::Pin, false, detail))
}

/// What the stage serves stays until somebody ends the hold. Also before
/// somebody's own wish: it may be older than the reason for the hold.
fn held(state: &State, promotion: &Promotion) -> Option<Gate> {
    let Promotion { repo, stage, .. } = promotion;
    let Hold { by, reason, .. } = state.slot(repo, stage).hold?;
    let detail = format!("held by {by}: {reason}; `unpin {stage}` ends it");
    Some(Gate::new(GateKind::Pin, false, detail))
}

/// The veto that keeps a bundle, or one that the stage can't tell from it, out
/// of a stage.
pub(super) fn vetoed<'a>(
    state: &'a State,
    bundle: &'a BundleRecord,
    stage: &Stage,
) -> Option<&'a Veto> {
    let of_stage = |veto: &&Veto| veto.stage.as_ref().is_none_or(|of| of == stage);
    let own = bundle.vetoes.iter().find(of_stage);
    own.or_else(|| {
        let twins = state.bundles.values().filter(|other| {
            !other.vetoes.is_empty()
                && other.repo == bundle.repo
                && other.id != bundle.id
                && other.renders_as(bundle, stage)
        });
        twins.flat_map(|twin| &twin.vetoes).find(of_stage)
    })
}

/// Nobody vetoed the bundle.
pub(super) fn veto(state: &State, bundle: &BundleRecord, stage: &Stage) -> Option<Gate> {
    let Veto { by, reason, .. } = vetoed(state, bundle, stage)?;
    Some(Gate::new(GateKind::Veto, false, format!("{by} vetoed {}: {reason}", bundle.id)))
}

/// The lock that keeps a promotion away.
pub(super) fn locked(state: &State, promotion: &Promotion, now: Timestamp) -> Option<Lock> {
    let lock = state.slot(&promotion.repo, &promotion.stage).lock?;
    let own = lock.by.person == promotion.requested_by.person;
    (lock.holds(now) && !own).then_some(lock)
}

/// Nobody else locked the stage.
pub(super) fn lock(state: &State, promotion: &Promotion, now: Timestamp) -> Option<Gate> {
    let Lock { by, reason, until, .. } = locked(state, promotion, now)?;
    let detail = format!("{by} locked the stage{}: {reason}", ending(until));
    Some(Gate::new(GateKind::Lock, false, detail))
}

/// Nobody else is under way in the stage.
pub(super) fn free(state: &State, promotion: &Promotion) -> Gate {
    let open = state.open(&promotion.repo, &promotion.stage);
    let active = open.iter().find(|other| other.status.is_active() && other.id != promotion.id);
    if let Some(other) = active {
        let ahead = open.iter().filter(|one| one.status.is_waiting());
        let ahead = ahead.filter(|one| one.id.number() < promotion.id.number()).count();
        let detail = match ahead {
            0 => format!("{} is {}", other.id, other.status.word()),
            ahead => format!("{} is {}, and {ahead} wait before it", other.id, other.status.word()),
        };
        return Gate::new(GateKind::Free, false, detail);
    }
    Gate::new(GateKind::Free, true, "nothing else is going on")
}
