//! What follows by itself: automatic requests, promotions under way that go
//! on, gates that opened.

use std::sync::Arc;

use super::ask;
use super::course::{begin, keep, progress};
use super::expiry;
use super::gate::{GateKind, evaluate};
use super::promotion::{Ending, Promotion, Status};
use super::state::State;
use super::step::{Document, Effect, Work};
use crate::model::Actor;

/// Passes that move something on; each step of a ladder without a bake time
/// takes one.
const PASSES_MAX: usize = 100;

/// Moves everything on that can move; a pointer that moved, or a hold that
/// ended, may set more free. Each pass moves something or is the last.
pub(super) fn advance(work: &mut Work) {
    for _ in 0..PASSES_MAX {
        let before = (work.state.slots.clone(), work.state.promotions.clone());
        pass(work);
        // Whatever is written makes a new map, as `before` holds the old one.
        let written = !Arc::ptr_eq(&before.1, &work.state.promotions);
        if !written && before.0 == work.state.slots {
            return;
        }
    }
}

fn pass(work: &mut Work) {
    ask::automatic(work);
    for promotion in by_number(work, |promotion| promotion.status.is_active()) {
        progress(work, promotion);
    }
    // First come, first served.
    for promotion in by_number(work, |promotion| promotion.status.is_waiting()) {
        look(work, promotion);
    }
}

fn by_number(work: &Work, which: impl Fn(&Promotion) -> bool) -> Vec<Promotion> {
    let all = work.state.promotions.values();
    let mut some: Vec<Promotion> = all.filter(|promotion| which(promotion)).cloned().collect();
    some.sort_by_key(|promotion| promotion.id.number());
    some
}

/// Looks at one waiting promotion: records what its gates say now, and begins
/// it when all are open.
fn look(work: &mut Work, mut promotion: Promotion) {
    if serves(&work.state, &promotion) {
        let reason = format!("{} serves the same by now", promotion.stage);
        return end(work, promotion, Status::Noop, Actor::system(), reason);
    }
    if let Some(reason) = expiry::expired(&work.state, &promotion, work.now) {
        return end(work, promotion, Status::Expired, Actor::system(), reason);
    }
    let (plan, gates) = evaluate(&work.state, &promotion, work.now);
    if plan.digest != promotion.plan.digest && promotion.valid_approvals().next().is_some() {
        work.say(format!("{}: the plan changed, earlier approvals are void", promotion.id));
    }
    let closed: Vec<GateKind> = gates.iter().filter(|g| !g.open).map(|gate| gate.kind).collect();
    let queued = closed == [GateKind::Free] && has_active(&work.state, &promotion);
    let status = if queued { Status::Ready } else { Status::Gated };
    let changed = plan != promotion.plan || gates != promotion.gates || status != promotion.status;
    (promotion.plan, promotion.gates, promotion.status) = (plan, gates, status);
    if queued && promotion.breakglass.is_some() {
        // An emergency waits for nothing that is going on.
        ask::supersede(work, &promotion, |other| other.status.is_active());
        begin(work, promotion, None);
    } else if closed.is_empty() {
        begin(work, promotion, None);
    } else if changed {
        work.say(format!("{}: its gates changed", promotion.id));
        keep(work, promotion);
    }
}

fn has_active(state: &State, promotion: &Promotion) -> bool {
    state.active(&promotion.repo, &promotion.stage).is_some()
}

/// Whether the stage came to serve what the promotion would bring, by another
/// way.
fn serves(state: &State, promotion: &Promotion) -> bool {
    // What is being rolled out there is not served to everybody yet.
    if has_active(state, promotion) {
        return false;
    }
    let current = state.current(&promotion.repo, &promotion.stage);
    let wanted = state.bundles.get(&promotion.bundle);
    current.zip(wanted).is_some_and(|(current, wanted)| {
        current.id == wanted.id || current.equals_in(wanted, &promotion.stage)
    })
}

/// Ends a promotion.
pub(super) fn end(
    work: &mut Work,
    mut promotion: Promotion,
    status: Status,
    by: Actor,
    reason: String,
) {
    work.say(format!("{}: {} by {by}: {reason}", promotion.id, status.word()));
    promotion.status = status;
    promotion.ending = Some(Ending { by, at: work.now, reason });
    work.fire(Effect::Announce(promotion.id.clone()));
    work.put(Document::Promotion(Box::new(promotion)));
}
