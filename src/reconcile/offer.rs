//! What can be done about a promotion: what the guard that decides would let
//! somebody do now. Buttons and forms are drawn from it alone.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::chat::{Decide, Offer};
use crate::model::{Actor, Person, Via};
use crate::promote::{self, Promotion, State};

/// People whose rights are looked at for one card: with more, a button may be
/// missing that the command still does.
const ASKED_MAX: usize = 24;

/// The buttons for everybody who sees the card. Who presses one is asked
/// again.
pub fn offer(state: &State, promotion: &Promotion, now: Timestamp) -> Offer {
    shown(&options(state, promotion, now))
}

/// The buttons for one person.
pub fn offer_to(state: &State, promotion: &Promotion, person: &Person, now: Timestamp) -> Offer {
    shown(&options_of(state, promotion, person, now))
}

/// The verbs that at least one person could use.
pub fn options(state: &State, promotion: &Promotion, now: Timestamp) -> BTreeSet<&'static str> {
    let people = somebody(state, promotion);
    people.iter().flat_map(|person| options_of(state, promotion, person, now)).collect()
}

/// The verbs that a person could use.
pub fn options_of(
    state: &State,
    promotion: &Promotion,
    person: &Person,
    now: Timestamp,
) -> BTreeSet<&'static str> {
    // How they come is no part of what they may.
    let by = Actor::person(person.clone(), Via::System);
    promote::options(state, &promotion.id, &by, now).into_iter().collect()
}

fn shown(verbs: &BTreeSet<&'static str>) -> Offer {
    Offer::of(|decide: Decide| verbs.contains(decide.verb().spec().name))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::samples;
    use crate::promote::{Approval, Ending, Status};

    /// A state in which every cell of the bundle passed.
    fn state(promotion: &Promotion) -> State {
        let mut state = samples::state(vec![promotion.clone()]);
        let mut bundle = samples::bundle("b-new", 12);
        for result in &mut bundle.matrix {
            result.outcome = crate::model::Outcome::Passed;
        }
        state.put(promote::Document::Bundle(Box::new(bundle)));
        state
    }

    fn offered(promotion: &Promotion) -> Vec<&'static str> {
        let state = state(promotion);
        options(&state, promotion, samples::at(60)).into_iter().collect()
    }

    #[test]
    fn what_waits_can_be_decided_and_what_ended_can_not() {
        let waiting = samples::promotion(142, "canary");
        assert_eq!(offered(&waiting), ["approve", "cancel", "reject"]);
        let shown = offer(&state(&waiting), &waiting, samples::at(60));
        let buttons = [Decide::Approve, Decide::Note, Decide::Reject, Decide::Cancel];
        assert_eq!(shown.0, buttons.into());
        let ending =
            Ending { by: samples::person("kim"), at: samples::at(50), reason: "no".into() };
        for status in [Status::Rejected, Status::Succeeded, Status::Noop, Status::Failed] {
            let ending = Some(ending.clone());
            let ended = Promotion { status, ending, ..waiting.clone() };
            assert_eq!(offered(&ended), Vec::<&str>::new(), "{status:?}");
        }
    }

    #[test]
    fn one_yes_more_than_enough_is_not_asked_for() {
        let mut promotion = samples::promotion(142, "canary");
        let now = samples::at(60);
        promotion.plan = promote::evaluate(&state(&promotion), &promotion, now).0;
        let by = Person::new("kim").unwrap();
        let (plan, note) = (promotion.plan.digest, String::new());
        promotion.approvals = vec![Approval { by, via: Via::Slack, plan, at: now, note }];
        assert_eq!(offered(&promotion), ["cancel", "reject"]);
        let lee = Person::new("lee").unwrap();
        assert_eq!(
            options_of(&state(&promotion), &promotion, &lee, now).into_iter().collect::<Vec<_>>(),
            ["reject"]
        );
    }
}
