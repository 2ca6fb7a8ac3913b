//! A walk of random events: what must hold after each of them, and that what
//! was recorded says all.

use proptest::prelude::*;

use super::*;

const STAGES: [&str; 3] = ["beta", "staging", "release"];

#[derive(Debug, Clone)]
enum Move {
    Push,
    Cells(usize, bool),
    Ask(usize, usize, usize),
    Vote(usize, usize),
    Reject(usize),
    Settle,
    Refuse,
    Facts(u32, bool),
    Steer(usize, usize),
    Back(usize),
    Keep(usize, usize, usize),
    Glass(usize, usize),
    Wait(i64),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        2 => Just(Move::Push),
        3 => (0..6usize, prop::bool::weighted(0.85)).prop_map(|(n, ok)| Move::Cells(n, ok)),
        4 => (0..3usize, 0..6usize, 0..5usize).prop_map(|(s, b, p)| Move::Ask(s, b, p)),
        6 => (0..12usize, 0..5usize).prop_map(|(n, p)| Move::Vote(n, p)),
        1 => (0..12usize).prop_map(Move::Reject),
        4 => Just(Move::Settle),
        1 => Just(Move::Refuse),
        4 => (0..11u32, prop::bool::weighted(0.9)).prop_map(|(n, ok)| Move::Facts(n, ok)),
        3 => (0..4usize, 0..5usize).prop_map(|(verb, who)| Move::Steer(verb, who)),
        1 => (0..3usize).prop_map(Move::Back),
        2 => (0..9usize, 0..3usize, 0..6usize).prop_map(|(k, s, b)| Move::Keep(k, s, b)),
        1 => (0..3usize, 0..6usize).prop_map(|(s, b)| Move::Glass(s, b)),
        2 => (1..1000i64).prop_map(Move::Wait),
    ];
    prop::collection::vec(one, 1..100)
}

const PEOPLE: [&str; 5] = ["ann", "bob", "cleo", "dan", "eve"];

fn by_steps() -> Manifest {
    let mut manifest = manifest();
    manifest.stages[1].rollout = Some(super::steps::ladder());
    manifest
}

fn play(world: &mut World, one: &Move, pushed: &mut u64) {
    let bundles: Vec<BundleId> = world.state.bundles.keys().cloned().collect();
    let promotions: Vec<PromotionId> = world.state.promotions.keys().cloned().collect();
    let pick = |n: &usize| bundles.get(n % bundles.len().max(1)).cloned();
    let active = world.state.promotions.values().find(|p| p.status.is_active()).cloned();
    let reason = || "because".to_owned();
    match one {
        Move::Push => {
            *pushed += 1;
            let manifest = if pushed.is_multiple_of(3) { manifest() } else { by_steps() };
            world.push_with(*pushed, PEOPLE[*pushed as usize % 2], manifest);
        }
        Move::Cells(n, ok) => {
            if let Some(id) = pick(n) {
                world.run_cells(&id, if *ok { Outcome::Passed } else { Outcome::Failed });
            }
        }
        Move::Ask(stage, n, who) => {
            if let Some(id) = pick(n) {
                let _ = world.request(STAGES[*stage], &id, PEOPLE[*who]);
            }
        }
        Move::Vote(n, who) => {
            if let Some(id) = promotions.get(n % promotions.len().max(1)) {
                let _ = world.approve(id, PEOPLE[*who]);
            }
        }
        Move::Reject(n) => {
            if let Some(id) = promotions.get(n % promotions.len().max(1)).cloned() {
                let _ = world.send(Event::Reject { id, by: person("eve"), reason: reason() });
            }
        }
        Move::Settle => {
            if let Some(promotion) = active {
                world.settle(&promotion.id);
            }
        }
        Move::Refuse => {
            if let Some(promotion) = active {
                let detail = "no".to_owned();
                let _ = world.send(Event::Refused { id: promotion.id, detail });
            }
        }
        Move::Facts(acked, ok) => {
            if let Some(promotion) = active.filter(|one| one.step.is_some()) {
                world.facts(&promotion.id, *acked, 10, (!ok).then_some("no"));
            }
        }
        Move::Steer(verb, who) => {
            if let Some(Promotion { id, .. }) = active {
                let (by, reason) = (person(PEOPLE[*who]), reason());
                let _ = world.send(match verb {
                    0 => Event::Pause { id, by, reason },
                    1 => Event::Resume { id, by },
                    2 => Event::Advance { id, by, to: None },
                    _ => Event::Abort { id, by, reason },
                });
            }
        }
        Move::Back(n) => {
            let (by, stage) = (person("bob"), stage(STAGES[*n]));
            let back = Event::Rollback { repo: repo(), stage, to: None, by, reason: reason() };
            let _ = world.send(back);
        }
        Move::Keep(kind, n, which) => {
            let (repo, stage, by, reason) = (repo(), stage(STAGES[*n]), person("bob"), reason());
            let until = Some(at(world.seconds + 500));
            let Some(bundle) = pick(which) else { return };
            let _ = world.send(match kind {
                0 => Event::Pin { repo, stage, bundle: None, until, by, reason },
                1 => Event::Unpin { repo, stage, by },
                2 => Event::Freeze { repo, stage: None, until, by, reason },
                3 => Event::Thaw { repo, stage: None, by },
                4 => Event::Lock { repo, stage, until, by, reason },
                5 => Event::Unlock { repo, stage, steal: Some(reason), by },
                6 => Event::Veto { bundle, stage: Some(stage), by, reason },
                7 => Event::Unveto { bundle, stage: Some(stage), by },
                _ => Event::Retest { bundle, stage: Some(stage), version: None, by },
            });
        }
        Move::Glass(n, which) => {
            let Some(bundle) = pick(which) else { return };
            let _ = world.send(Event::BreakGlass {
                repo: repo(),
                stage: stage(STAGES[*n]),
                bundle,
                incident: "INC-1".into(),
                reason: reason(),
                skip: vec![GateKind::Approvals, GateKind::Verified, GateKind::Soak],
                typed: STAGES[*n].into(),
                by: person("eve"),
            });
        }
        Move::Wait(seconds) => {
            world.seconds += seconds;
            let _ = world.send(Event::Tick);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if std::env::var_os("CONVOY_LONG").is_some() { 20_000 } else { 100 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_walk_breaks_the_rules(walk in moves()) {
        let (mut world, mut pushed) = (World::new(), 0);
        let breakglass = BTreeSet::from([Person::new("eve").unwrap()]);
        world.state.people = Arc::new(People { breakglass, ..People::default() });
        for one in &walk {
            let before = world.state.clone();
            play(&mut world, one, &mut pushed);
            if let Err(broken) = super::model::holds(&before, &world.state) {
                return Err(TestCaseError::fail(format!("{one:?}: {broken}")));
            }
        }
        // Time alone changes nothing that the walk had settled.
        let settled = world.state.clone();
        world.send(Event::Tick).unwrap();
        prop_assert_eq!(&settled, &world.state);
        // What was recorded, as it was recorded, is all there is to know.
        let mut replayed = State { people: settled.people.clone(), ..State::default() };
        for document in &world.recorded {
            replayed.put(super::model::reread(document));
        }
        prop_assert_eq!(replayed, settled);
    }
}
