//! Pins, vetoes, locks, freezes, emergencies, and what tells of them.

use super::*;

fn pin(bundle: Option<BundleId>, until: Option<Timestamp>) -> Event {
    let (by, reason) = (person("kim"), "load test".to_owned());
    Event::Pin { repo: repo(), stage: stage("staging"), bundle, until, by, reason }
}

fn freeze(name: Option<&str>, until: Option<Timestamp>) -> Event {
    let (by, reason) = (person("kim"), "year end".to_owned());
    Event::Freeze { repo: repo(), stage: name.map(stage), until, by, reason }
}

fn lock(by: &str) -> Event {
    let (by, reason) = (person(by), "debugging".to_owned());
    Event::Lock { repo: repo(), stage: stage("staging"), until: None, by, reason }
}

/// Revision 1 is in beta and approved for staging, but for what keeps it away.
fn kept_away(event: Event) -> (World, PromotionId, BundleId) {
    let mut world = World::new();
    let id = world.in_beta(1);
    world.send(event).unwrap();
    let promotion = world.request("staging", &id, "bob").unwrap().about.unwrap();
    world.approve(&promotion, "cleo").unwrap();
    (world, promotion, id)
}

#[test]
fn each_keeper_closes_its_gate_names_itself_and_ends() {
    let by = || person("dan");
    let (repo_, name) = (repo, || stage("staging"));
    let table = [
        (
            pin(None, None),
            GateKind::Pin,
            "kim pinned the stage to what it serves: load test",
            Event::Unpin { repo: repo_(), stage: name(), by: by() },
        ),
        (
            freeze(Some("staging"), None),
            GateKind::Freeze,
            "kim froze staging: year end",
            Event::Thaw { repo: repo_(), stage: Some(name()), by: by() },
        ),
        (
            freeze(None, None),
            GateKind::Freeze,
            "kim froze all stages: year end",
            Event::Thaw { repo: repo_(), stage: None, by: by() },
        ),
        (
            lock("kim"),
            GateKind::Lock,
            "kim locked the stage: debugging",
            Event::Unlock {
                repo: repo_(),
                stage: name(),
                steal: Some("kim is away".into()),
                by: by(),
            },
        ),
    ];
    for (set, kind, detail, end) in table {
        let (mut world, promotion, id) = kept_away(set);
        assert_eq!(world.gate(&promotion, kind), (false, detail.into()));
        let now = at(world.seconds);
        let why = why_promotion(&world.state, &world.state.promotions[&promotion], now);
        assert_eq!((why.len(), why[0].gate, why[0].what.as_str()), (1, Some(kind), detail));
        assert!(!why[0].clears.is_empty());
        assert!(!why_stage(&world.state, &repo(), &stage("staging"), now).is_empty());
        assert!(allowed(&world.state, &end, now).is_ok());
        world.send(end.clone()).unwrap();
        assert_eq!(world.current("staging"), Some(id), "{detail}");
        assert!(world.send(end).is_err(), "there is nothing left to end");
    }
}

#[test]
fn what_ends_by_itself_ends_by_itself() {
    for set in [pin(None, Some(at(3600))), freeze(None, Some(at(3600)))] {
        let (mut world, promotion, id) = kept_away(set.clone());
        let why =
            why_promotion(&world.state, &world.state.promotions[&promotion], at(world.seconds));
        assert_eq!(why[0].at, Some(at(3600)));
        world.seconds = 3599;
        world.send(Event::Tick).unwrap();
        assert_eq!(world.current("staging"), None);
        world.seconds = 3600;
        world.send(Event::Tick).unwrap();
        assert_eq!(world.current("staging"), Some(id));
        assert_eq!(world.send(set).unwrap_err().kind, RefusalKind::Invalid, "it is over");
    }
}

#[test]
fn a_pin_lets_its_own_bundle_in() {
    let mut world = World::new();
    let id = world.in_beta(1);
    world.send(pin(Some(id.clone()), None)).unwrap();
    world.bring_to_staging(&id);
    assert_eq!(world.current("staging"), Some(id));
}

#[test]
fn a_lock_is_the_holders_and_is_taken_only_with_a_reason() {
    let (mut world, promotion, _) = kept_away(lock("kim"));
    let refusal = world.send(lock("dan")).unwrap_err();
    assert!(refusal.message.contains("is locked by kim"), "{refusal}");
    let unlock = |by: &str, steal: Option<&str>| Event::Unlock {
        repo: repo(),
        stage: stage("staging"),
        steal: steal.map(str::to_owned),
        by: person(by),
    };
    assert_eq!(world.send(unlock("dan", None)).unwrap_err().kind, RefusalKind::Forbidden);
    assert_eq!(world.send(unlock("dan", Some(" "))).unwrap_err().kind, RefusalKind::Invalid);
    world.send(unlock("kim", None)).unwrap();
    assert_eq!(world.status(&promotion), Status::Applying);
    let (mut own, promotion, _) = kept_away(lock("bob"));
    assert_eq!(own.status(&promotion), Status::Applying, "bob locked it, bob asked");
    assert!(own.send(unlock("bob", None)).is_ok());
}

#[test]
fn a_veto_keeps_a_bundle_out_of_one_stage_or_all() {
    for of in [Some(stage("staging")), None] {
        let (mut world, promotion, id) = kept_away(pin(None, None));
        let (by, reason) = (person("kim"), "it breaks checkout".to_owned());
        let veto = Event::Veto { bundle: id.clone(), stage: of.clone(), by, reason };
        world.send(veto).unwrap();
        let unpin = Event::Unpin { repo: repo(), stage: stage("staging"), by: person("kim") };
        world.send(unpin).unwrap();
        assert_eq!(world.status(&promotion), Status::Gated);
        let (open, detail) = world.gate(&promotion, GateKind::Veto);
        assert!(!open && detail.ends_with("it breaks checkout"), "{detail}");
        let by = person("dan");
        world.send(Event::Unveto { bundle: id.clone(), stage: of, by }).unwrap();
        assert_eq!(world.current("staging"), Some(id));
    }
}

#[test]
fn who_keeps_away_needs_a_reason_and_is_a_person() {
    let mut world = World::new();
    world.in_beta(1);
    let empty = |mut event: Event| {
        match &mut event {
            Event::Pin { reason, .. }
            | Event::Freeze { reason, .. }
            | Event::Lock { reason, .. } => {
                reason.clear();
            }
            _ => {}
        }
        event
    };
    for event in [pin(None, None), freeze(None, None), lock("kim")] {
        let refusal = world.send(empty(event.clone())).unwrap_err();
        assert!(refusal.message.contains("needs a reason"), "{refusal}");
    }
    let nobody = Event::Thaw { repo: repo(), stage: None, by: Actor::system() };
    assert_eq!(world.send(nobody).unwrap_err().kind, RefusalKind::Forbidden);
    let nowhere = Event::Unpin { repo: repo(), stage: stage("moon"), by: person("kim") };
    assert_eq!(world.send(nowhere).unwrap_err().kind, RefusalKind::NotFound);
}

fn glass(bundle: &BundleId, skip: &[GateKind], by: &str, typed: &str) -> Event {
    Event::BreakGlass {
        repo: repo(),
        stage: stage("release"),
        bundle: bundle.clone(),
        incident: "INC-7".into(),
        reason: "the fix".into(),
        skip: skip.to_vec(),
        typed: typed.into(),
        by: person(by),
    }
}

const SKIP: [GateKind; 2] = [GateKind::Approvals, GateKind::Verified];

fn emergency() -> (World, BundleId) {
    let mut world = World::new();
    let breakglass = BTreeSet::from([Person::new("olga").unwrap()]);
    world.state.people = Arc::new(People { breakglass, ..People::default() });
    let id = world.in_beta(1);
    (world, id)
}

#[test]
fn breaking_the_glass_takes_a_role_an_incident_each_gate_and_the_stages_name() {
    let (mut world, id) = emergency();
    let table = [
        (glass(&id, &SKIP, "bob", "release"), "bob can't break the glass"),
        (glass(&id, &[], "olga", "release"), "names each gate"),
        (glass(&id, &SKIP, "olga", "beta"), "is not confirmed"),
        (glass(&id, &[GateKind::Valid], "olga", "release"), "`valid` is never skipped"),
        (glass(&id, &[GateKind::Matrix], "olga", "release"), "`smoke matrix` is never skipped"),
    ];
    for (event, words) in table {
        let refusal = world.send(event).unwrap_err();
        assert!(refusal.message.contains(words), "{refusal}");
    }
    let mut nameless = glass(&id, &SKIP, "olga", "release");
    if let Event::BreakGlass { incident, .. } = &mut nameless {
        *incident = "two words".into();
    }
    assert!(world.send(nameless).is_err());
    let all = allowed(&world.state, &glass(&id, &[], "bob", ""), at(0)).unwrap_err();
    assert_eq!(all.len(), 3, "every reason is told: {all:?}");
}

#[test]
fn breaking_the_glass_skips_what_it_names_loudly_and_owes_a_review() {
    let (mut world, id) = emergency();
    let decision = world.send(glass(&id, &SKIP, "olga", "release")).unwrap();
    let promotion = decision.about.clone().unwrap();
    let alarm =
        |effect: &Effect| matches!(effect, Effect::Alarm { line, .. } if line.contains("INC-7"));
    assert!(decision.effects.iter().any(alarm), "{:?}", decision.effects);
    assert_eq!(world.current("release"), Some(id));
    let skipped = |gate: &&Gate| gate.detail.starts_with("skipped for INC-7");
    assert_eq!(world.state.promotions[&promotion].gates.iter().filter(skipped).count(), 2);
    world.settle(&promotion);
    let now = at(world.seconds);
    let marked =
        |world: &World| !why_stage(&world.state, &repo(), &stage("release"), now).is_empty();
    assert!(marked(&world), "the stage is marked after it succeeded");
    let review = |by: &str, note: &str| Event::Review {
        id: promotion.clone(),
        by: person(by),
        note: note.into(),
    };
    assert_eq!(world.send(review("olga", "fine")).unwrap_err().kind, RefusalKind::Forbidden);
    assert_eq!(world.send(review("ann", "fine")).unwrap_err().kind, RefusalKind::Forbidden);
    assert_eq!(world.send(review("bob", "")).unwrap_err().kind, RefusalKind::Invalid);
    world.send(review("bob", "seen")).unwrap();
    assert!(world.send(review("bob", "seen")).unwrap().already);
    assert!(!marked(&world));
}

#[test]
fn breaking_the_glass_skips_nothing_else_and_ends_after_an_hour() {
    let (mut world, _) = emergency();
    let two = world.push(2, "ann");
    let promotion = world.send(glass(&two, &SKIP, "olga", "release")).unwrap().about.unwrap();
    assert_eq!(world.status(&promotion), Status::Gated, "no Envoy has accepted it");
    world.seconds = 3599;
    world.send(Event::Tick).unwrap();
    assert_eq!(world.status(&promotion), Status::Gated);
    world.seconds = 3600;
    world.send(Event::Tick).unwrap();
    assert_eq!(world.status(&promotion), Status::Expired);
    world.run_cells(&two, Outcome::Passed);
    assert_eq!(world.current("release"), None);
}

#[test]
fn what_somebody_may_do_is_what_the_guard_allows() {
    let (world, promotion, _) = kept_away(pin(None, None));
    let may = |who: &str| options(&world.state, &promotion, &person(who), at(0));
    assert_eq!(may("bob"), ["reject", "cancel"], "the requester");
    assert_eq!(may("ann"), ["reject"], "the author");
    assert_eq!(may("cleo"), ["reject", "retract"], "who approved");
    assert_eq!(may("dan"), ["reject"], "one yes is enough");
    assert_eq!(options(&world.state, &promotion, &Actor::system(), at(0)), [""; 0]);
}

#[test]
fn a_vote_taken_back_is_no_vote_and_can_be_given_again() {
    let (mut world, promotion, id) = kept_away(pin(None, None));
    let retract = || Event::Retract { id: promotion.clone(), by: person("cleo") };
    world.send(retract()).unwrap();
    assert!(world.send(retract()).is_err());
    let unpin = Event::Unpin { repo: repo(), stage: stage("staging"), by: person("kim") };
    world.send(unpin).unwrap();
    assert_eq!(world.current("staging"), None);
    world.approve(&promotion, "cleo").unwrap();
    assert_eq!(world.current("staging"), Some(id));
}

#[test]
fn cells_that_run_again_close_the_gate_until_they_passed() {
    let mut world = World::new();
    let id = world.in_beta(1);
    let promotion = world.request("staging", &id, "bob").unwrap().about.unwrap();
    let (by, of) = (person("bob"), Some(stage("staging")));
    let retest =
        |stage, version| Event::Retest { bundle: id.clone(), stage, version, by: by.clone() };
    assert!(world.send(retest(of.clone(), Some("9.9.9".into()))).is_err());
    // A check that somebody asks for again on the upstream names nobody of ours.
    let by_git = |via| Event::Retest {
        bundle: id.clone(),
        stage: None,
        version: None,
        by: Actor { person: None, via },
    };
    let may = |via| allowed(&world.state, &by_git(via), at(world.seconds)).is_ok();
    assert!(may(Via::Git) && !may(Via::Api));
    let decision = world.send(retest(of, None)).unwrap();
    let effect =
        |effect: &Effect| matches!(effect, Effect::Retest { cells, .. } if cells.len() == 1);
    assert!(decision.effects.iter().any(effect), "{:?}", decision.effects);
    assert!(!world.gate(&promotion, GateKind::Matrix).0);
    assert!(world.approve(&promotion, "cleo").is_err());
    world.run_cells(&id, Outcome::Passed);
    world.approve(&promotion, "cleo").unwrap();
    assert_eq!(world.current("staging"), Some(id));
}
