//! What goes wrong between people: many clicks, races, old cards, policies
//! edited in between, authors under another name.

use super::*;

/// Revision 1 waits in staging for one approval; release asks for two.
fn waiting() -> (World, PromotionId, BundleId) {
    let mut world = World::new();
    let id = world.in_beta(1);
    world.bring_to_staging(&id);
    let promotion = world.request("release", &id, "bob").unwrap().about.unwrap();
    (world, promotion, id)
}

#[test]
fn two_hundred_approvals_of_one_person_are_one_vote() {
    let (mut world, promotion, _) = waiting();
    let mut commits = 0;
    for n in 0..200 {
        let via = [Via::Slack, Via::Web, Via::Cli, Via::Api][n % 4];
        let by = Actor::person(Person::new("cleo").unwrap(), via);
        let digest = world.state.promotions[&promotion].plan.digest.to_string();
        let plan = (n % 3 > 0).then(|| digest[..n % 60 + 4].to_owned());
        let note = format!("click {n}");
        let event = Event::Approve { id: promotion.clone(), by, plan, note };
        commits += usize::from(!world.send(event).unwrap().documents.is_empty());
    }
    assert_eq!(commits, 1);
    assert_eq!(world.state.promotions[&promotion].approvals.len(), 1);
    assert_eq!(world.gate(&promotion, GateKind::Approvals), (false, "1 of 2: cleo".into()));
    assert_eq!(world.current("release"), None);
}

#[test]
fn of_an_approval_and_a_rejection_that_race_the_first_counts() {
    let (mut world, promotion, id) = waiting();
    world.approve(&promotion, "cleo").unwrap();
    let reject =
        |by: &str| Event::Reject { id: promotion.clone(), by: person(by), reason: "no".into() };
    let mut other = World { state: world.state.clone(), ..World::new() };
    world.approve(&promotion, "dan").unwrap();
    let late = world.send(reject("eve")).unwrap_err();
    assert!(late.message.contains("is applying already"), "{late}");
    assert!(late.hint.contains("abort"), "{}", late.hint);
    assert_eq!(world.current("release"), Some(id));
    other.send(reject("eve")).unwrap();
    assert!(other.send(reject("eve")).unwrap().already, "the same click once more");
    assert_eq!(other.send(reject("dan")).unwrap_err().kind, RefusalKind::Conflict);
    assert_eq!(other.approve(&promotion, "dan").unwrap_err().kind, RefusalKind::Conflict);
    assert_eq!(other.current("release"), None);
}

#[test]
fn the_click_that_made_it_begin_may_come_twice() {
    let (mut world, promotion, _) = waiting();
    world.approve(&promotion, "cleo").unwrap();
    world.approve(&promotion, "dan").unwrap();
    assert_eq!(world.status(&promotion), Status::Applying);
    let again = world.approve(&promotion, "dan").unwrap();
    assert!(again.already && again.about == Some(promotion));
}

#[test]
fn a_policy_edited_in_between_voids_the_votes_and_the_stricter_holds() {
    let (mut world, promotion, id) = waiting();
    world.approve(&promotion, "cleo").unwrap();
    // What the stage serves now asks for three.
    let mut strict = manifest();
    strict.stages[2].approvals = 3;
    let served = bundle(9, "ann", strict);
    let mut slot = world.slot("release");
    slot.current = Some(served.id.clone());
    world.state.put(Document::Bundle(Box::new(served)));
    world.state.put(Document::Slot(slot));
    let decision = world.send(Event::Tick).unwrap();
    assert!(decision.message.contains("earlier approvals are void"), "{}", decision.message);
    for who in ["cleo", "dan"] {
        world.approve(&promotion, who).unwrap();
        assert_ne!(world.current("release"), Some(id.clone()));
    }
    world.approve(&promotion, "eve").unwrap();
    assert_eq!(world.current("release"), Some(id));
}

#[test]
fn an_author_by_a_trailer_or_a_second_account_does_not_approve() {
    let mut world = World::new();
    let mut one = bundle(1, "ann", manifest());
    one.commit.co_authors = vec!["Cleo@Work.example".to_lowercase(), "dan@home.example".into()];
    let id = one.id.clone();
    world.send(Event::Bundle(Box::new(one))).unwrap();
    // Both addresses of dan's lead to the one person that he is.
    let known = [("cleo@work.example", "cleo"), ("dan@home.example", "dan")];
    let person_of = |mail: &str| {
        let found = known.iter().find(|(address, _)| *address == mail);
        found.map(|(_, name)| Person::new(name).unwrap())
    };
    let learnt = world.state.learn_authors(&person_of);
    assert_eq!(learnt.len(), 1);
    world.run_cells(&id, Outcome::Passed);
    let beta = world.newest().id.clone();
    world.settle(&beta);
    let promotion = world.ask("staging", &id);
    for author in ["ann", "cleo", "dan"] {
        let refusal = world.approve(&promotion, author).unwrap_err();
        assert!(refusal.message.contains("is an author of"), "{refusal}");
    }
    world.approve(&promotion, "eve").unwrap();
    assert_eq!(world.current("staging"), Some(id));
}

#[test]
fn a_bot_never_counts() {
    let (mut world, promotion, _) = waiting();
    for via in [Via::Api, Via::System, Via::Slack] {
        let by = Actor { person: None, via };
        let event = Event::Approve { id: promotion.clone(), by, plan: None, note: String::new() };
        assert_eq!(world.send(event).unwrap_err().kind, RefusalKind::Forbidden);
    }
}

#[test]
fn a_clock_that_goes_back_neither_soaks_nor_expires() {
    let mut world = World::new();
    world.seconds = 10_000;
    let mut slow = manifest();
    slow.stages[1].soak_seconds = 600;
    let id = world.push_with(1, "ann", slow);
    world.run_cells(&id, Outcome::Passed);
    let beta = world.newest().id.clone();
    world.settle(&beta);
    let promotion = world.ask("staging", &id);
    world.approve(&promotion, "cleo").unwrap();
    world.seconds = -1_000_000;
    world.send(Event::Tick).unwrap();
    assert_eq!(world.status(&promotion), Status::Gated);
    world.seconds = 10_600;
    world.send(Event::Tick).unwrap();
    assert_eq!(world.status(&promotion), Status::Applying);
}

#[test]
fn a_dry_run_is_the_real_thing_without_its_end() {
    let (mut world, promotion, _) = waiting();
    world.approve(&promotion, "cleo").unwrap();
    let plan = None;
    let event = Event::Approve { id: promotion, by: person("dan"), plan, note: String::new() };
    let before = world.state.clone();
    let would = step(&world.state, event.clone(), at(world.seconds)).unwrap();
    assert_eq!(world.state, before);
    assert_eq!(world.send(event).unwrap(), would);
}
