//! What people set to keep promotions away, and take off again. To set it is
//! the safe direction: one person, one step, a reason.

use super::Look;
use crate::model::{RepoName, Stage, Via};
use crate::promote::event::Event;
use crate::promote::step::RefusalKind;

impl Look<'_> {
    pub(super) fn keep(&mut self, event: &Event) {
        // Whoever may write to the upstream may have its commits tried again.
        let by_git = matches!(event, Event::Retest { by, .. } if by.via == Via::Git);
        if let Some(by) = event.by().filter(|_| !by_git) {
            self.a_person(by);
        }
        match event {
            Event::Pin { repo, stage, bundle, until, reason, .. } => {
                self.found.safe = true;
                self.stage(repo, stage);
                self.with_reason(reason, "a pin");
                self.ahead(*until);
                if let Some(bundle) = bundle
                    && self.bundle(bundle).is_some_and(|bundle| &bundle.repo != repo)
                {
                    let message = format!("{bundle} is not a bundle of {repo}");
                    self.refuse(RefusalKind::Invalid, message, "name one of that repository");
                }
            }
            Event::Unpin { repo, stage, .. } => {
                let slot = self.state.slot(repo, stage);
                let there = slot.pin.is_some() || slot.hold.is_some();
                self.there(repo, stage, there, "neither pinned nor held");
            }
            Event::Veto { bundle, stage, reason, .. } => {
                self.found.safe = true;
                self.with_reason(reason, "a veto");
                let found = self.bundle(bundle);
                if let (Some(found), Some(stage)) = (found, stage) {
                    self.stage(&found.repo, stage);
                }
            }
            Event::Unveto { bundle, stage, .. } => {
                let Some(found) = self.bundle(bundle) else { return };
                let of = |veto: &crate::promote::Veto| stage.is_none() || veto.stage == *stage;
                if !found.vetoes.iter().any(of) {
                    let place =
                        stage.as_ref().map_or(String::new(), |stage| format!(" in {stage}"));
                    let message = format!("nobody vetoed {bundle}{place}");
                    let hint = "a veto of all stages is ended without naming one";
                    self.refuse(RefusalKind::Conflict, message, hint);
                }
            }
            Event::Freeze { repo, stage, until, reason, .. } => {
                self.found.safe = true;
                if let Some(stage) = stage {
                    self.stage(repo, stage);
                }
                self.with_reason(reason, "a freeze");
                self.ahead(*until);
            }
            Event::Thaw { repo, stage, .. } => {
                let freeze = self.state.freezes.get(&(repo.clone(), stage.clone()));
                if !freeze.is_some_and(|freeze| freeze.holds(self.now)) {
                    let what = stage.as_ref().map_or("all stages", Stage::as_str);
                    let message = format!("{what} of {repo} is not frozen");
                    let hint = "`why STAGE` says what keeps promotions away";
                    self.refuse(RefusalKind::Conflict, message, hint);
                }
            }
            Event::Lock { .. } | Event::Unlock { .. } => self.lock(event),
            Event::Retest { bundle, stage, version, .. } => {
                self.found.safe = true;
                let Some(found) = self.bundle(bundle) else { return };
                if crate::promote::facts::cells_of(self.state, found, stage, version).is_empty() {
                    let message = format!("{bundle} has no such cell");
                    let hint = "name a stage and an Envoy version that its manifest names";
                    self.refuse(RefusalKind::NotFound, message, hint);
                }
            }
            _ => {}
        }
    }

    fn there(&mut self, repo: &RepoName, stage: &Stage, there: bool, word: &str) {
        if self.stage(repo, stage) && !there {
            let hint = "`why STAGE` says what keeps promotions away";
            self.refuse(RefusalKind::Conflict, format!("{stage} is {word}"), hint);
        }
    }

    fn lock(&mut self, event: &Event) {
        match event {
            Event::Lock { repo, stage, until, by, reason } => {
                self.found.safe = true;
                self.stage(repo, stage);
                self.with_reason(reason, "a lock");
                self.ahead(*until);
                let lock = self.state.slot(repo, stage).lock;
                let others = |lock: &crate::promote::Lock| lock.by.person != by.person;
                if let Some(lock) = lock.filter(|lock| lock.holds(self.now) && others(lock)) {
                    let message = format!("{stage} is locked by {}: {}", lock.by, lock.reason);
                    let hint = format!("ask them, or: unlock {stage} --steal \"…\"");
                    self.refuse(RefusalKind::Conflict, message, hint);
                }
            }
            Event::Unlock { repo, stage, steal, by } => {
                let lock = self.state.slot(repo, stage).lock.filter(|lock| lock.holds(self.now));
                self.there(repo, stage, lock.is_some(), "not locked");
                if let Some(lock) = lock.filter(|lock| lock.by.person != by.person) {
                    match steal {
                        Some(reason) => self.with_reason(reason, "taking somebody's lock"),
                        None => {
                            let message = format!("{stage} is locked by {}", lock.by);
                            let hint = "ask them, or say why you take it: --steal \"…\"";
                            self.refuse(RefusalKind::Forbidden, message, hint);
                        }
                    }
                }
            }
            _ => {}
        }
    }
}
