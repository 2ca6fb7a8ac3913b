//! Which buttons a promotion's card offers: what the guard that decides would
//! let somebody do now.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::chat::{Decide, Offer};
use crate::model::{Actor, Person, Via};
use crate::promote::{self, GateKind, Promotion, State};

/// People whose rights are looked at for one card: with more, a button may be
/// missing that the command still does.
const ASKED_MAX: usize = 24;

/// The buttons for everybody who sees the card: what at least one person could
/// do. Who presses one is asked again.
pub fn offer(state: &State, promotion: &Promotion, now: Timestamp) -> Offer {
    if promotion.status.is_terminal() && promotion.breakglass.is_none() {
        return Offer::default();
    }
    let mut verbs = BTreeSet::new();
    for person in somebody(state, promotion) {
        let by = Actor::person(person, Via::Slack);
        verbs.extend(promote::options(state, &promotion.id, &by, now));
    }
    let enough = promotion.gates.iter().any(|gate| gate.kind == GateKind::Approvals && gate.open);
    Offer::of(|decide| match decide {
        Decide::Approve | Decide::Note => verbs.contains("approve") && !enough,
        decide => verbs.contains(decide.action_id()),
    })
}

/// Whoever may have a right to something: the requester, approvers by name,
/// everybody who is there, and somebody who is nobody in particular.
fn somebody(state: &State, promotion: &Promotion) -> BTreeSet<Person> {
    let active = state.people.active.iter().flatten().cloned();
    let mut people: BTreeSet<_> = active.take(ASKED_MAX).collect();
    people.extend(promotion.requested_by.person.clone());
    let bundle = state.bundles.get(&promotion.bundle);
    let spec = bundle.and_then(|bundle| bundle.manifest.stage(&promotion.stage));
    let named = spec.into_iter().flat_map(|spec| &spec.approvers);
    people.extend(named.take(ASKED_MAX).filter_map(|name| Person::new(name).ok()));
    if state.people.active.is_none() {
        people.extend(Person::new("somebody").ok());
    }
    people
}

/// Whether the person's yes to the promotion would count now.
pub fn can_approve(state: &State, promotion: &Promotion, person: &Person, now: Timestamp) -> bool {
    let event = promote::Event::Approve {
        id: promotion.id.clone(),
        by: Actor::person(person.clone(), Via::Slack),
        plan: None,
        note: String::new(),
    };
    promote::allowed(state, &event, now).is_ok_and(|found| !found.already)
}
