//! Votes on a promotion that waits, and ends of it.

use super::advance::end;
use super::course::keep;
use super::event::Event;
use super::gate::evaluate;
use super::promotion::{Approval, Promotion, Status};
use super::step::Work;
use crate::model::{Actor, PromotionId};

pub(super) fn answer(work: &mut Work, event: Event) {
    match event {
        Event::Approve { id, by, note, .. } => approve(work, &id, &by, note),
        Event::Retract { id, by } => retract(work, &id, &by),
        Event::Reject { id, by, reason } => finish(work, &id, Status::Rejected, (by, reason)),
        Event::Cancel { id, by, reason } => finish(work, &id, Status::Cancelled, (by, reason)),
        _ => {}
    }
}

fn waiting(work: &mut Work, id: &PromotionId) -> Option<Promotion> {
    work.about = Some(id.clone());
    work.state.promotions.get(id).filter(|promotion| promotion.status.is_waiting()).cloned()
}

fn approve(work: &mut Work, id: &PromotionId, by: &Actor, note: String) {
    let Some(mut promotion) = waiting(work, id) else { return };
    let Some(who) = by.person.clone() else { return };
    (promotion.plan, promotion.gates) = evaluate(&work.state, &promotion, work.now);
    let plan = promotion.plan.digest;
    // One vote of a person for a plan, however it came here.
    if promotion.approvals.iter().any(|vote| vote.by == who && vote.plan == plan) {
        work.already = true;
        return;
    }
    work.say(format!("{id}: {who} approves {}", plan.short()));
    let vote = Approval { by: who, via: by.via, plan, at: work.now, note };
    promotion.approvals.push(vote);
    (promotion.plan, promotion.gates) = evaluate(&work.state, &promotion, work.now);
    keep(work, promotion);
}

fn retract(work: &mut Work, id: &PromotionId, by: &Actor) {
    let Some(mut promotion) = waiting(work, id) else { return };
    let plan = promotion.plan.digest;
    promotion.approvals.retain(|vote| Some(&vote.by) != by.person.as_ref() || vote.plan != plan);
    work.say(format!("{id}: {by} takes their approval back"));
    (promotion.plan, promotion.gates) = evaluate(&work.state, &promotion, work.now);
    keep(work, promotion);
}

fn finish(work: &mut Work, id: &PromotionId, status: Status, (by, reason): (Actor, String)) {
    if let Some(promotion) = waiting(work, id) {
        end(work, promotion, status, by, reason);
    }
}
