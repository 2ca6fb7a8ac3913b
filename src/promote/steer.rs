//! Stopping a promotion on its way, letting it go on, taking it back.

use super::advance::end;
use super::course::{back, next, pause, resume, retry, succeed};
use super::event::Event;
use super::promotion::{Promotion, Status};
use super::step::Work;
use super::steps::{PauseCause, StepState};
use crate::model::{Actor, PromotionId};

pub(super) fn answer(work: &mut Work, event: Event) {
    match event {
        Event::Abort { id, by, reason } => abort(work, &id, by, &reason),
        Event::Pause { id, by, reason } => {
            if let Some(promotion) = under_way(work, &id) {
                pause(work, promotion, PauseCause::Person, by, reason);
            }
        }
        Event::Resume { id, by } => match under_way(work, &id) {
            Some(promotion) if promotion.status == Status::Stuck => retry(work, promotion, &by),
            Some(promotion) => resume(work, promotion, &by),
            None => {}
        },
        Event::Advance { id, by, to } => advance(work, &id, &by, to),
        _ => {}
    }
}

fn under_way(work: &mut Work, id: &PromotionId) -> Option<Promotion> {
    work.about = Some(id.clone());
    work.state.promotions.get(id).filter(|promotion| promotion.status.is_active()).cloned()
}

fn abort(work: &mut Work, id: &PromotionId, by: Actor, reason: &str) {
    let Some(promotion) = under_way(work, id) else { return };
    if promotion.status == Status::Stuck {
        // What is served stays, and so does the hold.
        let cause = promotion.cause.clone().unwrap_or_default();
        return end(work, promotion, Status::Failed, by, format!("{reason} ({cause})"));
    }
    let cause = format!("aborted by {by}: {reason}");
    back(work, promotion, cause, by);
}

fn advance(work: &mut Work, id: &PromotionId, by: &Actor, to: Option<u32>) {
    let Some(mut promotion) = under_way(work, id) else { return };
    work.say(format!("{id}: advanced by {by}"));
    let last = promotion.step.as_ref().is_none_or(StepState::is_last);
    if let Some(step) = &mut promotion.step {
        step.paused = None;
    }
    if last {
        return succeed(work, promotion, &format!("{by} takes it as it is"));
    }
    next(work, promotion, to);
}
