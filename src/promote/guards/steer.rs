//! Stopping a promotion on its way, letting it go on, taking it back.

use super::Look;
use crate::model::{Actor, PromotionId};
use crate::promote::event::Event;
use crate::promote::health::MetricValue;
use crate::promote::policy::Policy;
use crate::promote::promotion::{Kind, Promotion, Status};
use crate::promote::step::RefusalKind;
use crate::promote::steps::{Course, StepState};

impl<'a> Look<'a> {
    pub(super) fn steer(&mut self, event: &Event) {
        match event {
            Event::Abort { id, by, reason } => {
                self.found.safe = true;
                self.with_reason(reason, "an abort");
                if let Some(promotion) = self.under_way(id, by) {
                    self.abort(promotion);
                }
            }
            Event::Pause { id, by, reason } => {
                self.found.safe = true;
                self.with_reason(reason, "a pause");
                if let Some(promotion) = self.under_way(id, by) {
                    self.pause(promotion);
                }
            }
            Event::Resume { id, by } => {
                if let Some(promotion) = self.under_way(id, by) {
                    self.owner(promotion, by);
                    self.resume(promotion);
                }
            }
            Event::Advance { id, by, to } => {
                if let Some(promotion) = self.under_way(id, by) {
                    self.owner(promotion, by);
                    self.advance(promotion, *to);
                }
            }
            _ => {}
        }
    }

    /// A promotion that has begun and not ended.
    fn under_way(&mut self, id: &PromotionId, by: &Actor) -> Option<&'a Promotion> {
        self.a_person(by)?;
        let promotion = self.promotion(id)?;
        if promotion.status.is_active() {
            return Some(promotion);
        }
        if promotion.status.is_waiting() {
            let message = format!("{id} has not begun");
            self.refuse(RefusalKind::Conflict, message, format!("to end it: cancel {id}"));
        } else {
            self.ended(promotion);
        }
        None
    }

    /// Whoever asked for it, or may approve in the stage.
    fn owner(&mut self, promotion: &Promotion, by: &Actor) {
        let Some(who) = &by.person else { return };
        let Some(bundle) = self.state.bundles.get(&promotion.bundle) else { return };
        let policy = Policy::of(self.state, bundle, &promotion.stage);
        let asked_for_it = promotion.requested_by.person.as_ref() == Some(who);
        if !asked_for_it && !policy.allows(who.as_str()) {
            let message = format!("{who} neither asked for {} nor approves in it", promotion.id);
            let hint = "the requester or an approver of the stage can; anybody can abort it";
            self.refuse(RefusalKind::Forbidden, message, hint);
        }
    }

    fn abort(&mut self, promotion: &Promotion) {
        let id = &promotion.id;
        if promotion.status == Status::RollingBack {
            self.found.already = true;
        } else if promotion.kind == Kind::Rollback && promotion.status != Status::Stuck {
            let message = format!("{id} brings back what was good; that is not taken back");
            self.refuse(RefusalKind::Conflict, message, "promote something else when it is done");
        }
    }

    fn pause(&mut self, promotion: &Promotion) {
        let id = &promotion.id;
        match promotion.status {
            Status::Paused => self.found.already = true,
            Status::Applying | Status::Observing | Status::Verifying
                if promotion.kind == Kind::Promote => {}
            status => {
                let message = format!("{id} is {} and can't be paused", status.word());
                self.refuse(RefusalKind::Conflict, message, "going back is not stopped");
            }
        }
    }

    fn resume(&mut self, promotion: &Promotion) {
        if !matches!(promotion.status, Status::Paused | Status::Stuck) {
            let message = format!("{} is {}, not paused", promotion.id, promotion.status.word());
            self.refuse(RefusalKind::Conflict, message, "there is nothing to resume");
        }
    }

    fn advance(&mut self, promotion: &Promotion, to: Option<u32>) {
        let id = &promotion.id;
        let watched =
            matches!(promotion.status, Status::Observing | Status::Paused | Status::Verifying);
        let (Some(step), Some(course), true) = (&promotion.step, &promotion.course, watched) else {
            let message = format!("{id} is {}", promotion.status.word());
            let hint = "it can be advanced once the step's nodes have taken it";
            return self.refuse(RefusalKind::Conflict, message, hint);
        };
        if step.taken_at.is_none() {
            let message = format!("the nodes of this step have not taken {id} yet");
            let hint = "resume it and wait for them, or abort it";
            self.refuse(RefusalKind::Conflict, message, hint);
        }
        let failed = promotion.metrics.iter().find_map(|(name, found)| match &found.value {
            MetricValue::Fail(detail) => Some(format!("{name}: {detail}")),
            _ => None,
        });
        if let Some(failed) = failed {
            let message = format!("{id} is out of its bounds: {failed}");
            self.refuse(RefusalKind::Conflict, message, format!("abort {id}"));
        }
        if let Some(percent) = to {
            self.reachable(id, step, course, percent);
        }
    }

    fn reachable(&mut self, id: &PromotionId, step: &StepState, course: &Course, percent: u32) {
        let here = step.subset.as_ref().map_or(100, |subset| subset.percent.unwrap_or(0));
        if percent > 100 {
            let message = format!("{percent} % is more than all");
            self.refuse(RefusalKind::Invalid, message, "write a share of at most 100");
        } else if percent <= here {
            let steps = course.rollout.iter().flat_map(|rollout| &rollout.steps);
            let ahead = steps.filter_map(|step| step.subset.percent).filter(|n| *n > here);
            let ahead: Vec<_> = ahead.chain([100]).map(|n| n.to_string()).collect();
            let message = format!("{id} is at {here} % already");
            let hint = format!("the steps ahead are: {}", ahead.join(", "));
            self.refuse(RefusalKind::Conflict, message, hint);
        }
    }
}
