//! What happens to a promotion that has begun: its steps, its success, its
//! failure, and the way back.
//!
//! ```text
//! applying ── enough nodes have it ──▶ observing ── watched, measured ──▶ applying (the next step)
//!    │                                    │  ▲                       └──▶ verifying ──▶ succeeded
//!    │                                    ▼  │
//!    │                                   paused
//!    ▼ refused, too slow, out of bounds, aborted
//! rolling back ── enough nodes have what was before ──▶ rolled back (stage held, bundle vetoed)
//!    └── that fails, too ──▶ stuck
//! ```
//!
//! Each step has its own version, `<epoch>.<step>`, which is in the slot before
//! anybody is served it.

use super::advance::end;
use super::conditions::seconds_between;
use super::health::{MetricValue, Verdict, verdict};
use super::hold::{Hold, Veto};
use super::policy::Policy;
use super::promotion::{Kind, Promotion, Status};
use super::slot::{Candidate, StageSlot};
use super::step::{Document, Effect, Work};
use super::steps::{Course, Pause, PauseCause, StepState};
use crate::model::{Actor, BundleId, OnFailure, Rollout, Subset};

/// How long nodes may take to come back where the stage says nothing.
const BACK_SECONDS: u64 = 300;

/// Begins: the first step is served, or without steps everything.
pub(super) fn begin(work: &mut Work, mut promotion: Promotion, hold: Option<Hold>) {
    let mut slot = work.state.slot(&promotion.repo, &promotion.stage);
    let by = promotion.requested_by.clone();
    // What is promoted past a hold, in an emergency, does not end it.
    let hold = hold.or(slot.hold.take());
    let course = course_of(work, &promotion, &slot);
    let steps = course.rollout.as_ref().map_or(0, |rollout| rollout.steps.len());
    work.say(format!(
        "activate {} in {} of {} ({})",
        promotion.bundle, promotion.stage, promotion.repo, promotion.id
    ));
    promotion.status = Status::Applying;
    promotion.applied_at = Some(work.now);
    promotion.metrics.clear();
    promotion.course = Some(Box::new(course));
    if steps == 0 {
        let to = Some(promotion.bundle.clone());
        move_pointer(work, &mut promotion, to, (by, hold));
        return keep(work, promotion);
    }
    (slot.epoch, slot.step, slot.hold) = (slot.epoch + 1, 0, hold);
    work.put(Document::Slot(slot));
    serve(work, promotion, 0);
}

/// What it goes by from now on. There are steps only where something is served
/// that they protect.
fn course_of(work: &Work, promotion: &Promotion, slot: &StageSlot) -> Course {
    let bundle = work.state.bundles.get(&promotion.bundle);
    let policy = bundle.map(|bundle| Policy::of(&work.state, bundle, &promotion.stage));
    let mut rollout = policy.as_ref().and_then(|policy| policy.rollout.clone());
    let by_steps = promotion.kind == Kind::Promote && slot.current.is_some();
    if let Some(rollout) = rollout.as_mut().filter(|_| !by_steps) {
        rollout.steps.clear();
    }
    let forward = promotion.kind == Kind::Promote;
    if let Some(rollout) = rollout.as_mut().filter(|_| !forward) {
        rollout.bake_seconds = 0;
    }
    let metrics = policy.filter(|_| forward).map(|policy| policy.metrics).unwrap_or_default();
    Course { base: slot.current.clone(), rollout, metrics }
}

/// Serves the step `index` under the slot's epoch.
fn serve(work: &mut Work, mut promotion: Promotion, index: u32) {
    let mut slot = work.state.slot(&promotion.repo, &promotion.stage);
    let steps = rollout(&promotion).map(|rollout| rollout.steps.as_slice()).unwrap_or_default();
    let of = steps.len() as u32 + 1;
    let reached = steps.iter().take(index as usize + 1);
    let subset = reached.fold(Subset::default(), |all, step| all.and(&step.subset));
    slot.step = index;
    slot.candidate = Some(Candidate {
        bundle: promotion.bundle.clone(),
        subset: subset.clone(),
        promotion: promotion.id.clone(),
    });
    work.say(format!(
        "{}: step {} of {of} of {}, {}: version {}",
        promotion.id,
        index + 1,
        slot.stage,
        subset.sentence(),
        slot.version()
    ));
    let (repo, stage, bundle) = (slot.repo.clone(), slot.stage.clone(), promotion.bundle.clone());
    let (epoch, step) = (slot.epoch, slot.step);
    promotion.step = Some(step_state(work, &slot, of, Some(subset.clone())));
    work.fire(Effect::Serve { repo, stage, bundle, subset, epoch, step });
    work.put(Document::Slot(slot));
    keep(work, promotion);
}

fn step_state(work: &Work, slot: &StageSlot, of: u32, subset: Option<Subset>) -> StepState {
    StepState {
        index: slot.step,
        of,
        epoch: slot.epoch,
        subset,
        since: work.now,
        nodes: 0,
        acked: 0,
        taken_at: None,
        paused: None,
    }
}

/// Serves everybody the promotion's bundle, as the last step of its epoch.
fn serve_all(work: &mut Work, mut promotion: Promotion) {
    let mut slot = work.state.slot(&promotion.repo, &promotion.stage);
    let of = rollout(&promotion).map_or(1, |rollout| rollout.steps.len() as u32 + 1);
    point(work, &mut slot, Some(promotion.bundle.clone()), promotion.requested_by.clone());
    (slot.step, slot.candidate) = (of - 1, None);
    work.say(format!(
        "{}: step {of} of {of} of {}, every node: version {}",
        promotion.id,
        slot.stage,
        slot.version()
    ));
    promotion.step = Some(step_state(work, &slot, of, None));
    work.fire(Effect::Publish(slot.repo.clone(), slot.stage.clone()));
    work.put(Document::Slot(slot));
    keep(work, promotion);
}

/// Points the stage at `to` under a new epoch, for every node.
fn move_pointer(
    work: &mut Work,
    promotion: &mut Promotion,
    to: Option<BundleId>,
    (by, hold): (Actor, Option<Hold>),
) {
    let mut slot = work.state.slot(&promotion.repo, &promotion.stage);
    point(work, &mut slot, to, by);
    (slot.epoch, slot.step, slot.candidate, slot.hold) = (slot.epoch + 1, 0, None, hold);
    promotion.step = Some(step_state(work, &slot, 1, None));
    work.fire(Effect::Publish(slot.repo.clone(), slot.stage.clone()));
    work.put(Document::Slot(slot));
}

/// Moves the pointer, and remembers how long the bundle that leaves had
/// stayed.
fn point(work: &mut Work, slot: &mut StageSlot, to: Option<BundleId>, by: Actor) {
    if slot.current == to {
        return;
    }
    let leaving = slot.current.as_ref().and_then(|id| work.state.bundles.get(id)).cloned();
    if let Some(mut bundle) = leaving
        && let Some(since) = bundle.verified.get(&slot.stage)
    {
        let stay = seconds_between(*since, work.now);
        let longest = bundle.held_seconds.entry(slot.stage.clone()).or_default();
        *longest = stay.max(*longest);
        work.put(Document::Bundle(Box::new(bundle)));
    }
    slot.current = to;
    slot.since = Some(work.now);
    slot.by = Some(by);
}

fn rollout(promotion: &Promotion) -> Option<&Rollout> {
    promotion.course.as_ref()?.rollout.as_ref()
}

/// Writes the promotion and shows it.
pub(super) fn keep(work: &mut Work, promotion: Promotion) {
    work.fire(Effect::Announce(promotion.id.clone()));
    work.put(Document::Promotion(Box::new(promotion)));
}

/// Enough of the step's nodes have it: they are watched from now on.
pub(super) fn taken(work: &mut Work, mut promotion: Promotion, detail: &str) {
    let Some(step) = &mut promotion.step else {
        return succeed(work, promotion, detail);
    };
    step.taken_at = Some(work.now);
    let last = step.is_last();
    promotion.metrics.clear();
    let measured = promotion.course.as_ref().is_some_and(|course| !course.metrics.is_empty());
    if last && !measured && bake_seconds(&promotion) == 0 {
        return succeed(work, promotion, detail);
    }
    promotion.status = if last { Status::Verifying } else { Status::Observing };
    work.say(format!("{}: {detail}, it is {}", promotion.id, promotion.status.word()));
    if measured {
        work.fire(Effect::Ask(promotion.id.clone()));
    }
    keep(work, promotion);
}

/// How long the step is watched.
pub(super) fn bake_seconds(promotion: &Promotion) -> u64 {
    let (Some(step), Some(rollout)) = (&promotion.step, rollout(promotion)) else { return 0 };
    let own = rollout.steps.get(step.index as usize).map(|step| step.bake_seconds);
    own.unwrap_or(rollout.bake_seconds)
}

/// How long the step's nodes may take; `None`: whoever watches them knows.
pub(super) fn deadline_seconds(promotion: &Promotion) -> Option<u64> {
    let own = rollout(promotion).map(|rollout| rollout.deadline_seconds);
    match promotion.status {
        Status::RollingBack => Some(own.unwrap_or(BACK_SECONDS)),
        _ => own,
    }
}

/// How large a share of the step's nodes must have it, in percent.
pub(super) fn acked_percent(promotion: &Promotion) -> u32 {
    rollout(promotion).map_or(100, |rollout| rollout.acked_percent)
}

/// Moves on whatever time, and what was measured, let move on.
pub(super) fn progress(work: &mut Work, promotion: Promotion) {
    let Some(step) = &promotion.step else { return };
    let waited = seconds_between(step.since, work.now);
    let late = deadline_seconds(&promotion).filter(|deadline| waited >= *deadline);
    match (promotion.status, late) {
        (Status::Applying | Status::RollingBack, Some(deadline)) => {
            let cause = format!(
                "{} of {} connected nodes had it within {deadline} s",
                step.acked, step.nodes
            );
            fail(work, promotion, cause);
        }
        (Status::Observing | Status::Verifying, _) => judge(work, promotion),
        _ => {}
    }
}

/// Looks at what was measured, and at the time.
fn judge(work: &mut Work, promotion: Promotion) {
    let Some(taken_at) = promotion.step.as_ref().and_then(|step| step.taken_at) else { return };
    let baked = seconds_between(taken_at, work.now) >= bake_seconds(&promotion);
    match verdict(&promotion) {
        Verdict::Failed(detail) => fail(work, promotion, detail),
        Verdict::Unknown { detail, pause: true } if baked => {
            pause(work, promotion, PauseCause::Metrics, Actor::system(), detail);
        }
        Verdict::Passed if baked && promotion.status == Status::Verifying => {
            succeed(work, promotion, "what is measured is within its bounds");
        }
        Verdict::Passed if baked && asks_for_a_person(&promotion) => {
            let reason = "the step waits for `advance`".to_owned();
            pause(work, promotion, PauseCause::Step, Actor::system(), reason);
        }
        Verdict::Passed if baked => next(work, promotion, None),
        _ => {}
    }
}

fn asks_for_a_person(promotion: &Promotion) -> bool {
    let index = promotion.step.as_ref().map_or(0, |step| step.index as usize);
    rollout(promotion).and_then(|rollout| rollout.steps.get(index)).is_some_and(|step| step.pause)
}

/// Takes it to the next step, or to the first that holds `percent` of all.
pub(super) fn next(work: &mut Work, mut promotion: Promotion, percent: Option<u32>) {
    let Some(index) = promotion.step.as_ref().map(|step| step.index) else { return };
    let steps = rollout(&promotion).map(|rollout| rollout.steps.as_slice()).unwrap_or_default();
    let ahead = steps.iter().enumerate().skip(index as usize + 1);
    let target = match percent {
        None => index as usize + 1,
        Some(percent) => ahead
            .filter(|(_, step)| step.subset.percent >= Some(percent))
            .map(|(index, _)| index)
            .next()
            .unwrap_or(steps.len()),
    };
    let last = target >= steps.len();
    promotion.status = Status::Applying;
    promotion.cause = None;
    promotion.metrics.clear();
    if last { serve_all(work, promotion) } else { serve(work, promotion, target as u32) }
}

/// Stops it where it is.
pub(super) fn pause(
    work: &mut Work,
    mut promotion: Promotion,
    cause: PauseCause,
    by: Actor,
    reason: String,
) {
    work.say(format!("{}: paused by {by}: {reason}", promotion.id));
    promotion.cause = Some(reason.clone());
    if let Some(step) = &mut promotion.step {
        step.paused = Some(Pause { cause, by, reason, at: work.now });
    }
    promotion.status = Status::Paused;
    keep(work, promotion);
}

/// Lets it go on from where it was stopped.
pub(super) fn resume(work: &mut Work, mut promotion: Promotion, by: &Actor) {
    work.say(format!("{}: resumed by {by}", promotion.id));
    let stopped = promotion.step.as_mut().and_then(|step| step.paused.take());
    let cause = stopped.map(|pause| pause.cause);
    promotion.cause = None;
    if cause == Some(PauseCause::Failure) {
        release(work, &promotion);
    }
    if cause == Some(PauseCause::Step) {
        return next(work, promotion, None);
    }
    let Some(step) = &mut promotion.step else { return };
    let last = step.is_last();
    promotion.status = match &mut step.taken_at {
        None => {
            // Its nodes get their whole time again.
            step.since = work.now;
            Status::Applying
        }
        Some(at) => {
            if cause != Some(PauseCause::Person) {
                *at = work.now;
                promotion.metrics.clear();
            }
            if last { Status::Verifying } else { Status::Observing }
        }
    };
    if promotion.status != Status::Applying {
        work.fire(Effect::Ask(promotion.id.clone()));
    }
    keep(work, promotion);
}

/// Ends the hold that its own failure set; no other.
fn release(work: &mut Work, promotion: &Promotion) {
    let mut slot = work.state.slot(&promotion.repo, &promotion.stage);
    let own = failed(promotion);
    slot.hold = slot.hold.filter(|hold| !hold.reason.starts_with(&own));
    work.put(Document::Slot(slot));
}

/// Every node has it, and nothing speaks against it.
pub(super) fn succeed(work: &mut Work, promotion: Promotion, detail: &str) {
    let mut slot = work.state.slot(&promotion.repo, &promotion.stage);
    if slot.last_good.as_ref() != Some(&promotion.bundle) {
        slot.before_last_good = match promotion.kind {
            Kind::Promote => slot.last_good.take(),
            // What was left behind is not where the next rollback leads.
            Kind::Rollback => slot.before_last_good.filter(|bundle| *bundle != promotion.bundle),
        };
        slot.last_good = Some(promotion.bundle.clone());
    }
    if let Some(mut bundle) = work.state.bundles.get(&promotion.bundle).cloned() {
        bundle.verified.insert(promotion.stage.clone(), work.now);
        work.put(Document::Bundle(Box::new(bundle)));
    }
    work.put(Document::Slot(slot));
    let reason = format!("{} serves {}: {detail}", promotion.stage, promotion.bundle);
    end(work, promotion, Status::Succeeded, Actor::system(), reason);
}

/// How the reason of a hold begins that a promotion's failure set.
fn failed(promotion: &Promotion) -> String {
    format!("{} failed: ", promotion.id)
}

/// It failed: back, or where the stage says so, held as it is.
pub(super) fn fail(work: &mut Work, mut promotion: Promotion, cause: String) {
    if promotion.kind == Kind::Rollback || promotion.status == Status::RollingBack {
        return stuck(work, promotion, cause);
    }
    let holds = rollout(&promotion).is_some_and(|rollout| rollout.on_failure == OnFailure::Hold);
    if !holds {
        return back(work, promotion, cause, Actor::system());
    }
    let mut slot = work.state.slot(&promotion.repo, &promotion.stage);
    let reason = format!("{}{cause}", failed(&promotion));
    slot.hold.get_or_insert(Hold { by: Actor::system(), reason, at: work.now });
    work.put(Document::Slot(slot));
    let last = promotion.step.as_ref().is_none_or(StepState::is_last);
    promotion.cause = Some(cause.clone());
    if last {
        return end(work, promotion, Status::Failed, Actor::system(), cause);
    }
    pause(work, promotion, PauseCause::Failure, Actor::system(), cause);
}

/// Brings back what was served before, under a new epoch; holds the stage and
/// vetoes the bundle, so that no automation undoes it.
pub(super) fn back(work: &mut Work, mut promotion: Promotion, cause: String, by: Actor) {
    let slot = work.state.slot(&promotion.repo, &promotion.stage);
    let good = match &slot.candidate {
        Some(_) => slot.current.clone(),
        None => {
            let mut good = [&slot.last_good, &slot.before_last_good].into_iter().flatten();
            good.find(|good| **good != promotion.bundle).cloned()
        }
    };
    let reason = format!("{} was refused: {cause}", promotion.id);
    veto(work, &promotion, &promotion.bundle.clone(), (by.clone(), reason.clone()));
    let hold = Hold { by: by.clone(), reason, at: work.now };
    let nothing = good.is_none();
    move_pointer(work, &mut promotion, good, (by.clone(), Some(hold)));
    promotion.cause = Some(cause.clone());
    if nothing {
        return end(work, promotion, Status::Failed, by, cause);
    }
    work.say(format!("{}: rolling back: {cause}", promotion.id));
    promotion.status = Status::RollingBack;
    keep(work, promotion);
}

/// Keeps what a rollback left out of its stage.
pub(super) fn veto(
    work: &mut Work,
    promotion: &Promotion,
    left: &BundleId,
    (by, reason): (Actor, String),
) {
    let Some(mut bundle) = work.state.bundles.get(left).cloned() else { return };
    let stage = Some(promotion.stage.clone());
    if bundle.vetoes.iter().any(|veto| veto.stage == stage) {
        return;
    }
    let (at, promotion) = (work.now, Some(promotion.id.clone()));
    bundle.vetoes.push(Veto { stage, by, reason, at, promotion });
    work.put(Document::Bundle(Box::new(bundle)));
}

/// What was before is back.
pub(super) fn rolled_back(work: &mut Work, promotion: Promotion) {
    let reason = promotion.cause.clone().unwrap_or_default();
    end(work, promotion, Status::RolledBack, Actor::system(), reason);
}

/// The way back failed, too: a person must look.
fn stuck(work: &mut Work, mut promotion: Promotion, cause: String) {
    work.say(format!("{}: stuck: {cause}", promotion.id));
    let line = format!("{} in {} is stuck: {cause}", promotion.id, promotion.stage);
    work.fire(Effect::Alarm { promotion: promotion.id.clone(), line });
    promotion.cause = Some(cause);
    promotion.status = Status::Stuck;
    keep(work, promotion);
}

/// Tries the way back once more, under a new epoch.
pub(super) fn retry(work: &mut Work, mut promotion: Promotion, by: &Actor) {
    work.say(format!("{}: tried again by {by}", promotion.id));
    let slot = work.state.slot(&promotion.repo, &promotion.stage);
    let (to, hold) = (slot.current.clone(), slot.hold.clone());
    move_pointer(work, &mut promotion, to, (by.clone(), hold));
    promotion.status = match promotion.kind {
        Kind::Promote => Status::RollingBack,
        Kind::Rollback => Status::Applying,
    };
    keep(work, promotion);
}

/// Whether a metric's answer changes anything: only another sort of answer
/// does, so that figures that change all the time are not recorded.
pub(super) fn is_news(promotion: &Promotion, name: &str, value: &MetricValue) -> bool {
    promotion.metrics.get(name).is_none_or(|known| !known.value.means(value))
}
