//! Whether somebody may do something now, and if not, every reason.
//!
//! The one guard: [`step`](super::step) asks it before it changes anything, and
//! so does whoever draws a button, answers a dry run, or opens a dialogue. It
//! changes nothing itself.

use jiff::Timestamp;
use serde::Serialize;

use super::blocks;
use super::bundle::{BundleRecord, BundleStatus};
use super::event::Event;
use super::promotion::Promotion;
use super::state::State;
use super::step::{Refusal, RefusalKind};
use crate::model::{Actor, BundleId, Person, PromotionId, RepoName, Stage};

mod keep;
mod steer;
mod urgent;
mod vote;

/// What an act that is allowed is like.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Allowed {
    /// It only keeps things as they are, or brings back what was: no question
    /// needs to be asked first.
    pub safe: bool,
    /// What must be typed to confirm it: the stage's name.
    pub typed: Option<Stage>,
    /// It was done before: nothing will change.
    pub already: bool,
    /// Enough others did it: it is recorded and changes nothing.
    pub needless: bool,
    /// What somebody should know before they do it.
    pub warnings: Vec<String>,
}

/// Whether `event` may happen in `state` at `now`.
///
/// # Errors
/// Every reason why not, the most telling first.
pub fn allowed(state: &State, event: &Event, now: Timestamp) -> Result<Allowed, Vec<Refusal>> {
    let mut look = Look { state, now, refusals: Vec::new(), found: Allowed::default() };
    look.at(event);
    if look.refusals.is_empty() { Ok(look.found) } else { Err(look.refusals) }
}

/// What somebody may do with a promotion now, and what would change something.
pub fn options(state: &State, id: &PromotionId, by: &Actor, now: Timestamp) -> Vec<&'static str> {
    let (id, by, reason) = (|| id.clone(), || by.clone(), || "-".to_owned());
    let acts = [
        ("approve", Event::Approve { id: id(), by: by(), plan: None, note: String::new() }),
        ("reject", Event::Reject { id: id(), by: by(), reason: reason() }),
        ("retract", Event::Retract { id: id(), by: by() }),
        ("cancel", Event::Cancel { id: id(), by: by(), reason: reason() }),
        ("abort", Event::Abort { id: id(), by: by(), reason: reason() }),
        ("pause", Event::Pause { id: id(), by: by(), reason: reason() }),
        ("resume", Event::Resume { id: id(), by: by() }),
        ("advance", Event::Advance { id: id(), by: by(), to: None }),
        ("review", Event::Review { id: id(), by: by(), note: reason() }),
    ];
    let may = |event: &Event| {
        allowed(state, event, now).is_ok_and(|found| !found.already && !found.needless)
    };
    acts.iter().filter(|(_, event)| may(event)).map(|(verb, _)| *verb).collect()
}

/// A look at one event.
struct Look<'a> {
    state: &'a State,
    now: Timestamp,
    refusals: Vec<Refusal>,
    found: Allowed,
}

impl<'a> Look<'a> {
    fn at(&mut self, event: &Event) {
        match event {
            Event::Request { repo, stage, bundle, after, .. } => {
                self.request((repo, stage), bundle, *after);
            }
            Event::Rollback { repo, stage, to, by, reason } => {
                self.found.safe = true;
                self.a_person(by);
                self.with_reason(reason, &format!("a rollback of {stage}"));
                self.rollback(repo, stage, to.as_ref());
            }
            Event::Approve { .. }
            | Event::Retract { .. }
            | Event::Reject { .. }
            | Event::Cancel { .. } => self.vote(event),
            Event::Abort { .. }
            | Event::Pause { .. }
            | Event::Resume { .. }
            | Event::Advance { .. } => self.steer(event),
            Event::Pin { .. }
            | Event::Unpin { .. }
            | Event::Veto { .. }
            | Event::Unveto { .. }
            | Event::Lock { .. }
            | Event::Unlock { .. }
            | Event::Freeze { .. }
            | Event::Thaw { .. }
            | Event::Retest { .. } => self.keep(event),
            Event::BreakGlass { .. } | Event::Review { .. } => self.urgent(event),
            Event::Bundle(_)
            | Event::Cell(..)
            | Event::Settled { .. }
            | Event::Refused { .. }
            | Event::StepFacts { .. }
            | Event::Metric { .. }
            | Event::Drift { .. }
            | Event::Tick => {}
        }
    }

    fn refuse(&mut self, kind: RefusalKind, message: impl Into<String>, hint: impl Into<String>) {
        self.refusals.push(Refusal::new(kind, message, hint));
    }

    fn a_person<'b>(&mut self, by: &'b Actor) -> Option<&'b Person> {
        if by.person.is_none() {
            let hint = "act as somebody whom the configuration names";
            self.refuse(RefusalKind::Forbidden, "only a person can decide this", hint);
        }
        by.person.as_ref()
    }

    fn with_reason(&mut self, reason: &str, what: &str) {
        if reason.trim().is_empty() {
            let message = format!("{what} needs a reason");
            self.refuse(RefusalKind::Invalid, message, "say why: --reason \"…\"");
        }
    }

    /// Nothing can be set to end in the past.
    fn ahead(&mut self, until: Option<Timestamp>) {
        if until.is_some_and(|until| until <= self.now) {
            let message = "its end lies in the past";
            self.refuse(RefusalKind::Invalid, message, "name a time that is still to come");
        }
    }

    fn bundle(&mut self, id: &BundleId) -> Option<&'a BundleRecord> {
        let found = self.state.bundles.get(id);
        if found.is_none() {
            let hint = "`status` lists the bundles that are known";
            self.refuse(RefusalKind::NotFound, format!("there is no bundle {id}"), hint);
        }
        found
    }

    fn promotion(&mut self, id: &PromotionId) -> Option<&'a Promotion> {
        let found = self.state.promotions.get(id);
        if found.is_none() {
            let hint = "`status` lists the promotions under way";
            self.refuse(RefusalKind::NotFound, format!("there is no promotion {id}"), hint);
        }
        found
    }

    /// Some bundle of the repository knows the stage.
    fn stage(&mut self, repo: &RepoName, stage: &Stage) -> bool {
        let mut bundles = self.state.bundles.values().filter(|bundle| &bundle.repo == repo);
        let slot = self.state.slots.contains_key(&(repo.clone(), stage.clone()));
        let known = slot || bundles.any(|bundle| bundle.manifest.stage(stage).is_some());
        if !known {
            let message = format!("{repo} has no stage {stage}");
            self.refuse(RefusalKind::NotFound, message, "`status` lists the stages");
        }
        known
    }

    fn ended(&mut self, promotion: &Promotion) {
        let message = format!("{} is {} already", promotion.id, promotion.status.word());
        self.refuse(RefusalKind::Conflict, message, "nothing is left to decide about it");
    }

    fn request(
        &mut self,
        (repo, stage): (&RepoName, &Stage),
        id: &BundleId,
        after: Option<Timestamp>,
    ) {
        let Some(bundle) = self.bundle(id) else { return };
        self.fit(bundle, repo, stage);
        self.ahead(after);
        if let Some(veto) = blocks::vetoed(self.state, bundle, stage) {
            let message = format!("{id} is vetoed in {stage} by {}: {}", veto.by, veto.reason);
            let hint = format!("mend it in a new commit, or end the veto: unveto {id} in {stage}");
            self.refuse(RefusalKind::Conflict, message, hint);
        }
        let open = self.state.open(repo, stage);
        let active = open.iter().find(|other| other.status.is_active());
        if let Some(other) = active.filter(|other| &other.bundle != id) {
            let warning = format!("{} is {}; it waits for that", other.id, other.status.word());
            self.found.warnings.push(warning);
        }
        for other in open.iter().filter(|other| other.status.is_waiting() && &other.bundle != id) {
            self.found.warnings.push(format!("it takes the place of {}", other.id));
        }
        if let Some(hold) = self.state.slot(repo, stage).hold {
            let warning = format!(
                "{stage} is held by {}: {}; it waits until somebody ends that: unpin {stage}",
                hold.by, hold.reason
            );
            self.found.warnings.push(warning);
        }
    }

    /// The bundle can be brought to the stage at all.
    fn fit(&mut self, bundle: &BundleRecord, repo: &RepoName, stage: &Stage) {
        let id = &bundle.id;
        if &bundle.repo != repo {
            let message = format!("{id} is a bundle of {}, not of {repo}", bundle.repo);
            self.refuse(RefusalKind::Invalid, message, "name a bundle of that repository");
        }
        if bundle.status == BundleStatus::Rejected {
            let message = format!("{id} was rejected: {} problem(s)", bundle.problems.len());
            let hint = "mend the problems in a new commit; the bundle's page lists them";
            self.refuse(RefusalKind::Conflict, message, hint);
        } else if bundle.manifest.stage(stage).is_none() {
            let names: Vec<_> = bundle.manifest.stages.iter().map(|s| s.name.as_str()).collect();
            let message = format!("{id} has no stage {stage}");
            let hint = format!("its stages are: {}", names.join(", "));
            self.refuse(RefusalKind::NotFound, message, hint);
        }
    }

    fn rollback(&mut self, repo: &RepoName, stage: &Stage, to: Option<&BundleId>) {
        if !self.stage(repo, stage) {
            return;
        }
        let target = match super::rollback::target(self.state, repo, stage, to) {
            Ok(target) => target,
            Err(refusal) => return self.refusals.push(refusal),
        };
        let slot = self.state.slot(repo, stage);
        if let Some(pin) = slot.pin.filter(|pin| pin.holds(self.now))
            && pin.bundle.as_ref() != Some(&target)
        {
            let message = format!("{stage} is pinned by {}: {}", pin.by, pin.reason);
            self.refuse(RefusalKind::Conflict, message, format!("take it off: unpin {stage}"));
        }
        let bundle = self.state.bundles.get(&target);
        let veto = bundle.and_then(|bundle| blocks::vetoed(self.state, bundle, stage));
        // Whoever names what a rollback left wants it back.
        if let Some(veto) = veto.filter(|veto| to.is_none() || veto.promotion.is_none()) {
            let message = format!("{target} is vetoed in {stage} by {}: {}", veto.by, veto.reason);
            let hint = format!("name another bundle, or: unveto {target} in {stage}");
            self.refuse(RefusalKind::Conflict, message, hint);
        }
        for freeze in blocks::freezes(self.state, repo, stage, self.now) {
            let warning = format!("{} froze it: {}", freeze.by, freeze.reason);
            self.found.warnings.push(warning);
        }
    }
}
