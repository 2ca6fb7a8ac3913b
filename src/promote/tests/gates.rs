//! Gates beyond the matrix: quorums, owners, windows, fleet, schedule, expiry.

use super::*;
use crate::model::{
    FilePath, FleetRule, OwnerRule, Quorum, Span, Voter, Voters, Window, WindowEffect,
};

fn team(name: &str) -> Voter {
    Voter::Team(name.into())
}

fn people(names: &[&str]) -> BTreeSet<Person> {
    names.iter().map(|name| Person::new(name).unwrap()).collect()
}

/// A world whose staging stage is as `change` says, with revision 1 in beta.
fn staging(change: impl Fn(&mut Manifest)) -> (World, BundleId) {
    let mut manifest = manifest();
    change(&mut manifest);
    let mut world = World::new();
    let teams = [("leads", people(&["cleo", "dan"])), ("payments", people(&["eve", "fay"]))];
    world.state.people = Arc::new(People {
        teams: teams.into_iter().map(|(name, who)| (name.to_owned(), who)).collect(),
        ..People::default()
    });
    let id = world.push_with(1, "ann", manifest);
    world.run_cells(&id, Outcome::Passed);
    let promotion = world.newest().id.clone();
    world.settle(&promotion);
    (world, id)
}

impl World {
    pub(super) fn gate(&self, id: &PromotionId, kind: GateKind) -> (bool, String) {
        let (_, gates) = evaluate(&self.state, &self.state.promotions[id], at(self.seconds));
        let gate = gates.iter().find(|gate| gate.kind == kind).expect("the gate");
        (gate.open, gate.detail.clone())
    }

    pub(super) fn ask(&mut self, name: &str, id: &BundleId) -> PromotionId {
        self.request(name, id, "bob").unwrap().about.unwrap()
    }
}

#[test]
fn a_quorum_counts_its_own_people_and_all_must_be_reached() {
    let (mut world, id) = staging(|manifest| {
        let spec = &mut manifest.stages[1];
        spec.approvals = 2;
        spec.quorums = vec![
            Quorum { count: 1, from: Voters::Of(vec![team("leads")]) },
            Quorum { count: 2, from: Voters::Of(vec![team("payments"), team("leads")]) },
        ];
    });
    let promotion = world.ask("staging", &id);
    let refusal = world.approve(&promotion, "zoe").unwrap_err();
    assert_eq!(refusal.message, "zoe is in no quorum of staging");
    world.approve(&promotion, "eve").unwrap();
    world.approve(&promotion, "fay").unwrap();
    let (open, detail) = world.gate(&promotion, GateKind::Approvals);
    assert_eq!((open, detail.as_str()), (false, "2 of 2: eve, fay; 0 of 1 from team:leads"));
    world.approve(&promotion, "cleo").unwrap();
    assert_eq!(world.current("staging"), Some(id));
}

#[test]
fn the_owners_of_what_changes_must_say_yes() {
    let rules = || {
        vec![
            OwnerRule { paths: vec!["**".into()], from: vec![team("leads")] },
            OwnerRule { paths: vec!["resources/pay*".into()], from: vec![team("payments")] },
        ]
    };
    let (mut world, one) = staging(|manifest| {
        manifest.owners = rules();
        manifest.stages[1].quorums = vec![Quorum { count: 1, from: Voters::Owners }];
    });
    // Nobody knows the files of the first bundle, so every owner is asked.
    let first = world.ask("staging", &one);
    world.approve(&first, "cleo").unwrap();
    let (_, detail) = world.gate(&first, GateKind::Approvals);
    assert!(detail.ends_with("0 of 1 from the owners (team:payments)"), "{detail}");
    world.approve(&first, "eve").unwrap();
    world.settle(&first);
    let mut two = bundle(2, "ann", world.state.bundles[&one].manifest.clone());
    two.paths = Some(BTreeSet::from([FilePath::new("resources/pay.yaml").unwrap()]));
    // It takes the rule away that would ask for its own owners.
    two.manifest.owners.truncate(1);
    let id = two.id.clone();
    world.send(Event::Bundle(Box::new(two))).unwrap();
    world.run_cells(&id, Outcome::Passed);
    let beta = world.newest().id.clone();
    world.settle(&beta);
    let second = world.ask("staging", &id);
    world.approve(&second, "dan").unwrap();
    assert_eq!(world.status(&second), Status::Gated);
    world.approve(&second, "fay").unwrap();
    assert_eq!(world.current("staging"), Some(id));
}

#[test]
fn who_is_gone_counts_no_more_not_even_at_the_last_moment() {
    let (mut world, id) = staging(|manifest| manifest.stages[1].soak_seconds = 600);
    let promotion = world.ask("staging", &id);
    world.approve(&promotion, "cleo").unwrap();
    assert!(world.gate(&promotion, GateKind::Approvals).0);
    let active = Some(people(&["ann", "bob", "dan"]));
    world.state.people = Arc::new(People { active, ..People::default() });
    world.seconds = 600;
    world.send(Event::Tick).unwrap();
    assert_eq!(world.current("staging"), None);
    assert_eq!(world.gate(&promotion, GateKind::Approvals), (false, "0 of 1".into()));
    let refusal = world.approve(&promotion, "eve").unwrap_err();
    assert!(refusal.message.contains("is not active"), "{refusal}");
    world.approve(&promotion, "dan").unwrap();
    assert_eq!(world.current("staging"), Some(id));
}

fn window(effect: WindowEffect, days: &[u8], from: u16, to: u16) -> Window {
    let span = Span::Weekly { days: days.iter().copied().collect(), from, to };
    Window { effect, span, zone: "Europe/Berlin".into(), reason: "by hand".into() }
}

/// The second of the world's clock at which it is `text`.
fn second(text: &str) -> i64 {
    let at: Timestamp = text.parse().unwrap();
    at.as_second() - 1_800_000_000
}

#[test]
fn a_promotion_waits_for_its_window_and_begins_when_it_opens() {
    let (mut world, id) = staging(|manifest| {
        manifest.stages[1].approvals = 0;
        let days: Vec<u8> = (1..=5).collect();
        manifest.stages[1].windows = vec![window(WindowEffect::Allow, &days, 540, 1020)];
    });
    // A Saturday in January.
    world.seconds = second("2027-01-16T10:00:00Z");
    let promotion = world.ask("staging", &id);
    let why = why_promotion(&world.state, &world.state.promotions[&promotion], at(world.seconds));
    assert_eq!(why[0].gate, Some(GateKind::Window));
    assert_eq!(why[0].at, Some("2027-01-18T08:00:00Z".parse().unwrap()), "{why:?}");
    world.seconds = second("2027-01-18T07:59:59Z");
    assert!(world.send(Event::Tick).unwrap().documents.is_empty(), "no commit by the second");
    world.seconds = second("2027-01-18T08:00:00Z");
    world.send(Event::Tick).unwrap();
    assert_eq!(world.current("staging"), Some(id));
}

#[test]
fn a_clock_that_jumps_over_a_windows_edge_decides_by_what_it_reads_now() {
    let (mut world, id) = staging(|manifest| {
        manifest.stages[1].windows = vec![window(WindowEffect::Allow, &[1], 540, 1020)];
    });
    let inside = second("2027-01-18T10:00:00Z");
    world.seconds = second("2027-01-18T07:00:00Z");
    let promotion = world.ask("staging", &id);
    // From before the window to after it, and back: it was never open.
    world.seconds = second("2027-01-18T17:00:00Z");
    world.approve(&promotion, "cleo").unwrap();
    assert_eq!(world.status(&promotion), Status::Gated);
    world.seconds = second("2027-01-18T06:00:00Z");
    world.send(Event::Tick).unwrap();
    assert_eq!(world.status(&promotion), Status::Gated);
    world.seconds = inside;
    world.send(Event::Tick).unwrap();
    assert_eq!(world.status(&promotion), Status::Applying);
    // What has begun is not stopped by a window, nor by a clock that goes back.
    world.seconds = second("2027-01-17T06:00:00Z");
    world.send(Event::Tick).unwrap();
    assert_eq!(world.status(&promotion), Status::Applying);
}

#[test]
fn a_commit_cannot_open_a_window_for_itself() {
    let (mut world, one) = staging(|manifest| {
        manifest.stages[1].approvals = 0;
        manifest.stages[1].windows = vec![window(WindowEffect::Deny, &[6], 0, 1440)];
    });
    let first = world.ask("staging", &one);
    world.settle(&first);
    world.seconds = second("2027-01-16T10:00:00Z");
    let two = world.push(2, "ann");
    world.run_cells(&two, Outcome::Passed);
    let beta = world.newest().id.clone();
    world.settle(&beta);
    let second = world.ask("staging", &two);
    world.approve(&second, "cleo").unwrap();
    let (open, detail) = world.gate(&second, GateKind::Window);
    assert!(!open && detail.contains("by hand") && detail.contains("opens"), "{detail}");
}

#[test]
fn the_fleet_before_must_be_well_and_what_nobody_knows_is_not() {
    let (mut world, id) = staging(|manifest| {
        manifest.stages[1].approvals = 0;
        manifest.stages[1].fleet = Some(FleetRule { acked_percent: 95 });
    });
    let promotion = world.ask("staging", &id);
    let table = [
        (None, "no node of beta is connected"),
        (Some((0, 0, 0)), "no node of beta is connected"),
        (Some((100, 94, 0)), "less than 95% of beta's nodes have all of it"),
        (Some((100, 99, 1)), "nodes of beta refuse what they are served"),
    ];
    for (facts, detail) in table {
        let facts = facts.map(|(nodes, acked, nacked)| FleetFacts { nodes, acked, nacked });
        let fleet = facts.map(|facts| ((repo(), stage("beta")), facts));
        world.state.fleet = Arc::new(fleet.into_iter().collect());
        world.send(Event::Tick).unwrap();
        assert_eq!(world.gate(&promotion, GateKind::Fleet), (false, detail.into()));
        assert_eq!(world.current("staging"), None, "{detail}");
    }
    let well = FleetFacts { nodes: 100, acked: 95, nacked: 0 };
    world.state.fleet = Arc::new([((repo(), stage("beta")), well)].into());
    world.send(Event::Tick).unwrap();
    assert_eq!(world.current("staging"), Some(id));
}

#[test]
fn a_request_for_later_waits_for_its_time() {
    let (mut world, id) = staging(|manifest| manifest.stages[1].approvals = 0);
    let ask = |after| Event::Request {
        repo: repo(),
        stage: stage("staging"),
        bundle: id.clone(),
        by: person("bob"),
        reason: String::new(),
        after: Some(after),
    };
    assert_eq!(world.send(ask(at(0))).unwrap_err().kind, RefusalKind::Invalid);
    let promotion = world.send(ask(at(3600))).unwrap().about.unwrap();
    world.seconds = 3599;
    world.send(Event::Tick).unwrap();
    assert_eq!(world.status(&promotion), Status::Gated);
    world.seconds = 3600;
    world.send(Event::Tick).unwrap();
    assert_eq!(world.status(&promotion), Status::Applying);
}

#[test]
fn a_request_that_nobody_decides_ends_and_closed_windows_do_not_count() {
    let (mut world, id) = staging(|manifest| {
        manifest.stages[1].expires_seconds = Some(3600);
        // An hour of every day.
        let days: Vec<u8> = (1..=7).collect();
        manifest.stages[1].windows = vec![window(WindowEffect::Allow, &days, 540, 570)];
    });
    world.seconds = second("2027-01-18T08:00:00Z");
    let promotion = world.ask("staging", &id);
    world.seconds = second("2027-01-19T08:29:00Z");
    world.send(Event::Tick).unwrap();
    assert_eq!(world.status(&promotion), Status::Gated, "59 minutes of open windows");
    world.seconds = second("2027-01-19T08:30:00Z");
    world.send(Event::Tick).unwrap();
    assert_eq!(world.status(&promotion), Status::Expired);
}

#[test]
fn a_persons_request_is_good_for_a_day_and_automations_for_ever() {
    let (mut world, id) = staging(|_| {});
    let promotion = world.ask("staging", &id);
    let two = world.push(2, "ann");
    let automatic = world.newest().id.clone();
    world.seconds = 86_399;
    world.send(Event::Tick).unwrap();
    assert_eq!(world.status(&promotion), Status::Gated);
    world.seconds = 86_400 * 400;
    world.send(Event::Tick).unwrap();
    assert_eq!(world.status(&promotion), Status::Expired);
    assert_eq!(world.status(&automatic), Status::Gated, "{two} was asked for by automation");
}

#[test]
fn what_is_measured_before_it_begins_closes_only_when_it_is_out_of_bounds() {
    let rule = crate::model::MetricRule {
        name: "errors".into(),
        query: "q".into(),
        baseline: None,
        at_most: crate::model::Number::new("1"),
        at_least: None,
        at_most_times_baseline: None,
        inconclusive: Default::default(),
    };
    let (mut world, one) = staging(|manifest| manifest.stages[1].metrics = vec![rule.clone()]);
    let first = world.ask("staging", &one);
    assert!(asks(&world.state, &world.state.promotions[&first]).is_empty(), "nothing is served");
    world.approve(&first, "cleo").unwrap();
    world.settle(&first);
    let say =
        |id: &PromotionId, value| Event::Metric { id: id.clone(), name: "errors".into(), value };
    world.send(say(&first, MetricValue::Pass)).unwrap();
    let two = world.push_with(2, "ann", world.state.bundles[&one].manifest.clone());
    world.run_cells(&two, Outcome::Passed);
    let beta = world.newest().id.clone();
    world.settle(&beta);
    let second = world.ask("staging", &two);
    world.send(say(&second, MetricValue::Fail("2 is more than 1".into()))).unwrap();
    world.approve(&second, "cleo").unwrap();
    assert_eq!(world.gate(&second, GateKind::Metrics), (false, "errors: 2 is more than 1".into()));
    let other = Event::Metric { id: second.clone(), name: "x".into(), value: MetricValue::Pass };
    assert!(world.send(other).unwrap().already, "nobody asked for that");
    world.send(say(&second, MetricValue::Unreachable("gone".into()))).unwrap();
    assert_eq!(world.status(&second), Status::Applying);
}
