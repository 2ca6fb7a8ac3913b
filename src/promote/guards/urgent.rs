//! Skipping gates in an emergency, and looking at it afterwards.

use super::Look;
use crate::model::{Actor, PromotionId, RepoName, Stage};
use crate::promote::event::Event;
use crate::promote::gate::GateKind;
use crate::promote::step::RefusalKind;

/// An incident's id is a short word of some other system.
const INCIDENT_MAX: usize = 64;

impl Look<'_> {
    pub(super) fn urgent(&mut self, event: &Event) {
        match event {
            Event::BreakGlass { repo, stage, bundle, incident, reason, skip, typed, by } => {
                self.found.typed = Some(stage.clone());
                self.role(by);
                if let Some(bundle) = self.bundle(bundle) {
                    self.fit(bundle, repo, stage);
                }
                self.with_reason(reason, "breaking the glass");
                self.incident(incident);
                self.skips(skip);
                self.typed(repo, stage, typed);
            }
            Event::Review { id, by, note } => self.review(id, by, note),
            _ => {}
        }
    }

    fn role(&mut self, by: &Actor) {
        let Some(who) = self.a_person(by) else { return };
        if !self.state.people.may_break_glass(who) {
            let message = format!("{who} can't break the glass");
            let hint = "it takes the role: members of the team `breakglass` have it";
            self.refuse(RefusalKind::Forbidden, message, hint);
        }
    }

    fn incident(&mut self, incident: &str) {
        let sane = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '#' | '/');
        let fits = !incident.is_empty() && incident.len() <= INCIDENT_MAX;
        if !fits || !incident.chars().all(sane) {
            let message = "breaking the glass needs the incident's id";
            self.refuse(RefusalKind::Invalid, message, "name it: --incident INC-1234");
        }
    }

    fn skips(&mut self, skip: &[GateKind]) {
        if skip.is_empty() {
            let message = "breaking the glass names each gate that is skipped";
            let hint = "list them: --skip soak,approvals; a promotion needs none of this";
            self.refuse(RefusalKind::Invalid, message, hint);
        }
        for kind in skip.iter().filter(|kind| !kind.can_be_skipped()) {
            let message = format!("the gate `{}` is never skipped", kind.word());
            let hint = "what is invalid, or what an Envoy did not accept, is never served";
            self.refuse(RefusalKind::Forbidden, message, hint);
        }
    }

    fn typed(&mut self, repo: &RepoName, stage: &Stage, typed: &str) {
        if typed.trim() != stage.as_str() {
            let message = format!("breaking the glass of {stage} in {repo} is not confirmed");
            let hint = format!("type the stage's name to confirm it: {stage}");
            self.refuse(RefusalKind::Invalid, message, hint);
        }
    }

    fn review(&mut self, id: &PromotionId, by: &Actor, note: &str) {
        let Some(who) = self.a_person(by) else { return };
        let Some(promotion) = self.promotion(id) else { return };
        let Some(glass) = &promotion.breakglass else {
            let message = format!("{id} skipped no gate");
            return self.refuse(RefusalKind::Conflict, message, "there is nothing to review");
        };
        if glass.review.as_ref().is_some_and(|review| &review.by == who) {
            self.found.already = true;
            return;
        }
        self.with_reason(note, "a review");
        if glass.review.is_some() || promotion.applied_at.is_none() {
            let message = match &glass.review {
                Some(review) => format!("{} reviewed {id} already", review.by),
                None => format!("{id} has not begun"),
            };
            self.refuse(RefusalKind::Conflict, message, "there is nothing to review");
        }
        let authors = self.state.bundles.get(&promotion.bundle).map(|bundle| &bundle.authors);
        let is_author = authors.is_some_and(|authors| authors.contains(who));
        if glass.by.person.as_ref() == Some(who) || is_author {
            let message = format!("{who} can't review {id}: it is their own");
            self.refuse(RefusalKind::Forbidden, message, "a second person must look at it");
        }
        if !self.state.people.is_active(who) {
            let message = format!("{who} is not active and can't review {id}");
            self.refuse(RefusalKind::Forbidden, message, "somebody else must look at it");
        }
    }
}
