//! Votes on a promotion that waits, and ends of it.

use super::Look;
use crate::model::{Actor, Person, PromotionId};
use crate::promote::event::Event;
use crate::promote::gate::{Gate, GateKind, evaluate};
use crate::promote::policy::Policy;
use crate::promote::promotion::{Plan, Promotion, Status};
use crate::promote::quorum::Electorate;
use crate::promote::step::RefusalKind;

impl<'a> Look<'a> {
    pub(super) fn vote(&mut self, event: &Event) {
        match event {
            Event::Approve { id, by, plan, .. } => self.approve(id, by, plan.as_deref()),
            Event::Retract { id, by } => self.retract(id, by),
            Event::Reject { id, by, .. } => {
                self.found.safe = true;
                if let Some(promotion) = self.can_end(id, by, Status::Rejected) {
                    self.waiting(promotion);
                }
            }
            Event::Cancel { id, by, .. } => self.cancel(id, by),
            _ => {}
        }
    }

    /// A promotion that `by` did not end so already.
    fn can_end(&mut self, id: &PromotionId, by: &Actor, as_: Status) -> Option<&'a Promotion> {
        let who = self.a_person(by)?;
        let promotion = self.promotion(id)?;
        let ended_by = promotion.ending.as_ref().and_then(|ending| ending.by.person.as_ref());
        if promotion.status == as_ && ended_by == Some(who) {
            self.found.already = true;
            return None;
        }
        Some(promotion)
    }

    /// It has not begun, and not ended.
    fn waiting(&mut self, promotion: &Promotion) -> bool {
        if promotion.status.is_waiting() {
            return true;
        }
        if promotion.status.is_active() {
            let message = format!("{} is {} already", promotion.id, promotion.status.word());
            let hint = format!("to bring back what was served before: abort {}", promotion.id);
            self.refuse(RefusalKind::Conflict, message, hint);
        } else {
            self.ended(promotion);
        }
        false
    }

    fn cancel(&mut self, id: &PromotionId, by: &Actor) {
        self.found.safe = true;
        let Some(promotion) = self.can_end(id, by, Status::Cancelled) else { return };
        if !self.waiting(promotion) {
            return;
        }
        let requester = promotion.requested_by.person.as_ref();
        if requester.is_some_and(|requester| Some(requester) != by.person.as_ref()) {
            let message = format!("{id} is {}'s; {by} can't cancel it", promotion.requested_by);
            self.refuse(RefusalKind::Forbidden, message, "`reject` it instead");
        }
    }

    fn approve(&mut self, id: &PromotionId, by: &Actor, seen: Option<&str>) {
        let Some(who) = self.a_person(by) else { return };
        let Some(promotion) = self.promotion(id) else { return };
        let voted = voted(promotion, who, seen);
        if voted && promotion.applied_at.is_some() {
            // The click that made it begin, once more.
            self.found.already = true;
            return;
        }
        if !self.waiting(promotion) {
            return;
        }
        let Some(bundle) = self.bundle(&promotion.bundle) else { return };
        let policy = Policy::of(self.state, bundle, &promotion.stage);
        let electorate = Electorate::of(self.state, promotion, &policy);
        match electorate.map(|all| all.admits(who)) {
            Some(Err(refusal)) => self.refusals.push(refusal),
            _ if voted => {
                self.found.already = true;
                return;
            }
            _ => {}
        }
        let (plan, gates) = evaluate(self.state, promotion, self.now);
        if is_stale(&plan, seen) {
            let message = format!("this card of {id} is out of date");
            let hint = format!("look at it again: the plan is {} now", plan.digest.short());
            self.refuse(RefusalKind::Conflict, message, hint);
        }
        let lacks = |gate: &Gate| gate.kind == GateKind::Approvals && !gate.open;
        self.found.needless = !gates.iter().any(lacks);
        let matrix = gates.iter().find(|gate| gate.kind == GateKind::Matrix && !gate.open);
        if let Some(gate) = matrix {
            let message = format!("{id} can't be approved yet: {}", gate.detail);
            let hint = "an approval is for the results too; wait until every cell has passed";
            self.refuse(RefusalKind::Conflict, message, hint);
        }
    }

    fn retract(&mut self, id: &PromotionId, by: &Actor) {
        self.found.safe = true;
        let Some(who) = self.a_person(by) else { return };
        let Some(promotion) = self.promotion(id) else { return };
        if !self.waiting(promotion) {
            return;
        }
        if !promotion.valid_approvals().any(|vote| &vote.by == who) {
            let message = format!("{who} has not approved {id} as it stands");
            self.refuse(RefusalKind::Conflict, message, "there is nothing to take back");
        }
    }
}

/// Whether somebody's yes to what they saw is there already.
fn voted(promotion: &Promotion, who: &Person, seen: Option<&str>) -> bool {
    promotion.valid_approvals().any(|vote| {
        &vote.by == who && seen.is_none_or(|seen| vote.plan.to_string().starts_with(seen))
    })
}

/// Whether `seen` is not the beginning of the plan as it stands.
fn is_stale(plan: &Plan, seen: Option<&str>) -> bool {
    let digest = plan.digest.to_string();
    seen.is_some_and(|seen| seen.len() < 4 || !digest.starts_with(seen))
}
