//! The state machine as sentences, and as a walk of random events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

mod faults;
mod gates;
mod keeping;
mod model;
mod old;
mod steps;
mod walk;

use super::*;
use crate::model::{
    Actor, BundleId, Cell, CellResult, CommitId, CommitInfo, ContentHash, Manifest, Outcome,
    Person, PromotionId, RepoName, Revision, Stage, StageSpec, Via,
};

fn repo() -> RepoName {
    RepoName::new("mesh/config").unwrap()
}

fn stage(name: &str) -> Stage {
    Stage::new(name).unwrap()
}

fn person(name: &str) -> Actor {
    Actor::person(Person::new(name).unwrap(), Via::Slack)
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn spec(name: &str, approvals: usize) -> StageSpec {
    StageSpec {
        name: stage(name),
        envoy_versions: vec!["1.40.0".into()],
        approvals,
        auto: name == "beta",
        soak_seconds: 0,
        approvers: Vec::new(),
        nodes: Vec::new(),
        ..StageSpec::new(stage(name))
    }
}

fn manifest() -> Manifest {
    let stages = vec![spec("beta", 0), spec("staging", 1), spec("release", 2)];
    Manifest { stages, ..Manifest::default() }
}

/// Revision `n`, written by `author`, whose content differs in every stage.
fn bundle(n: u64, author: &str, manifest: Manifest) -> BundleRecord {
    let hash = |text: String| ContentHash::of(text.as_bytes());
    let render = manifest.stages.iter().map(|s| (s.name.clone(), hash(format!("{n}{}", s.name))));
    BundleRecord {
        id: BundleId::of(&hash(format!("bundle {n}"))),
        repo: repo(),
        commit: CommitInfo {
            markup: Default::default(),
            origin: None,
            revision: Revision(n),
            commit: CommitId([n as u8; 20]),
            author_name: author.into(),
            author_email: format!("{author}@example.com"),
            co_authors: Vec::new(),
            time: at(0),
            message: format!("change {n}"),
        },
        authors: BTreeSet::from([Person::new(author).unwrap()]),
        at: at(0),
        status: BundleStatus::Checking,
        render: render.collect(),
        manifest,
        problems: Vec::new(),
        findings: Vec::new(),
        matrix: Vec::new(),
        verified: BTreeMap::new(),
        held_seconds: BTreeMap::new(),
        mails: BTreeSet::new(),
        paths: None,
        vetoes: Vec::new(),
    }
}

/// A pipeline under test: takes events, keeps the state and the clock.
struct World {
    state: State,
    seconds: i64,
    log: Vec<String>,
    /// Every document, in the order in which it was written.
    recorded: Vec<Document>,
}

impl World {
    fn new() -> Self {
        Self { state: State::default(), seconds: 0, log: Vec::new(), recorded: Vec::new() }
    }

    fn send(&mut self, event: Event) -> Result<Decision, Refusal> {
        let decision = step(&self.state, event, at(self.seconds))?;
        for document in &decision.documents {
            self.state.put(document.clone());
        }
        self.recorded.extend(decision.documents.iter().cloned());
        self.log.push(decision.message.clone());
        Ok(decision)
    }

    fn push(&mut self, n: u64, author: &str) -> BundleId {
        self.push_with(n, author, manifest())
    }

    fn push_with(&mut self, n: u64, author: &str, manifest: Manifest) -> BundleId {
        let bundle = bundle(n, author, manifest);
        let id = bundle.id.clone();
        self.send(Event::Bundle(Box::new(bundle))).unwrap();
        id
    }

    fn run_cells(&mut self, id: &BundleId, outcome: Outcome) {
        let bundle = self.state.bundles[id].clone();
        for spec in &bundle.manifest.stages {
            for cell in bundle.cells(&spec.name) {
                self.send(Event::Cell(id.clone(), result(cell, outcome))).unwrap();
            }
        }
    }

    fn request(&mut self, name: &str, id: &BundleId, by: &str) -> Result<Decision, Refusal> {
        let (stage, by) = (stage(name), person(by));
        let reason = "because".to_owned();
        let bundle = id.clone();
        self.send(Event::Request { repo: repo(), stage, bundle, by, reason, after: None })
    }

    fn approve(&mut self, id: &PromotionId, by: &str) -> Result<Decision, Refusal> {
        let plan = Some(self.state.promotions[id].plan.digest.to_string()[..12].to_owned());
        self.send(Event::Approve { id: id.clone(), by: person(by), plan, note: String::new() })
    }

    fn settle(&mut self, id: &PromotionId) {
        let detail = "1 connected node(s) took it".to_owned();
        self.send(Event::Settled { id: id.clone(), detail }).unwrap();
    }

    fn newest(&self) -> &Promotion {
        self.state.promotions.values().max_by_key(|p| p.id.number()).unwrap()
    }

    fn current(&self, name: &str) -> Option<BundleId> {
        self.state.slot(&repo(), &stage(name)).current
    }

    /// Brings a fresh bundle to beta with success.
    fn in_beta(&mut self, n: u64) -> BundleId {
        let id = self.push(n, "ann");
        self.run_cells(&id, Outcome::Passed);
        let promotion = self.newest().id.clone();
        self.settle(&promotion);
        id
    }

    /// Brings a bundle that is in beta to staging with success.
    fn bring_to_staging(&mut self, id: &BundleId) {
        let promotion = self.request("staging", id, "bob").unwrap().about.unwrap();
        self.approve(&promotion, "cleo").unwrap();
        self.settle(&promotion);
    }
}

fn result(cell: Cell, outcome: Outcome) -> CellResult {
    let reasons = match outcome {
        Outcome::Passed => Vec::new(),
        _ => vec!["envoy said no".into()],
    };
    CellResult {
        cell,
        outcome,
        reasons,
        took_ms: 5,
        checks: 1,
        cached: false,
        proof: crate::model::Proof::default(),
    }
}

#[test]
fn beta_takes_a_bundle_by_itself_once_its_matrix_passed() {
    let mut world = World::new();
    let id = world.push(1, "ann");
    assert_eq!(world.newest().status, Status::Gated);
    assert_eq!(world.current("beta"), None);
    world.run_cells(&id, Outcome::Passed);
    assert_eq!(world.current("beta"), Some(id.clone()));
    let promotion = world.newest().id.clone();
    assert_eq!(world.state.promotions[&promotion].status, Status::Applying);
    world.settle(&promotion);
    assert_eq!(world.state.promotions[&promotion].status, Status::Succeeded);
    assert!(world.state.bundles[&id].verified.contains_key(&stage("beta")));
}

#[test]
fn a_failed_cell_keeps_the_gate_closed_and_says_why() {
    let mut world = World::new();
    let id = world.push(1, "ann");
    world.run_cells(&id, Outcome::Failed);
    assert_eq!(world.current("beta"), None);
    let gates = &world.newest().gates;
    let matrix = gates.iter().find(|gate| gate.kind == GateKind::Matrix).unwrap();
    assert_eq!(matrix.detail, "beta × 1.40.0 failed: envoy said no");
}

#[test]
fn a_cell_that_could_not_run_may_pass_later() {
    let mut world = World::new();
    let id = world.push(1, "ann");
    world.run_cells(&id, Outcome::Errored);
    assert_eq!(world.current("beta"), None);
    world.run_cells(&id, Outcome::Passed);
    assert_eq!(world.current("beta"), Some(id));
}

#[test]
fn staging_waits_for_a_person_who_is_neither_author_nor_requester() {
    let mut world = World::new();
    let id = world.in_beta(1);
    let promotion = world.request("staging", &id, "bob").unwrap().about.unwrap();
    let refused = |answer: Result<Decision, Refusal>| answer.unwrap_err().kind;
    assert_eq!(refused(world.approve(&promotion, "ann")), RefusalKind::Forbidden);
    assert_eq!(refused(world.approve(&promotion, "bob")), RefusalKind::Forbidden);
    assert_eq!(world.current("staging"), None);
    world.approve(&promotion, "cleo").unwrap();
    assert_eq!(world.current("staging"), Some(id));
}

#[test]
fn who_turns_out_to_be_an_author_approves_no_more_and_their_vote_is_void() {
    let mut world = World::new();
    let one = world.in_beta(1);
    world.bring_to_staging(&one);
    let mut two = bundle(2, "ann", manifest());
    two.mails = BTreeSet::from(["bob@elsewhere".to_owned(), "nobody@elsewhere".to_owned()]);
    let id = two.id.clone();
    world.send(Event::Bundle(Box::new(two))).unwrap();
    world.run_cells(&id, Outcome::Passed);
    let beta = world.newest().id.clone();
    world.settle(&beta);
    world.request("staging", &id, "dora").unwrap();
    let staging = world.newest().id.clone();
    world.approve(&staging, "cleo").unwrap();
    world.settle(&staging);
    world.request("release", &id, "dora").unwrap();
    let release = world.newest().id.clone();
    world.approve(&release, "bob").unwrap();
    world.approve(&release, "ann").unwrap_err();
    // Only now somebody writes down whose address that is.
    let bob = Person::new("bob").unwrap();
    let learnt = world.state.learn_authors(&|mail| (mail == "bob@elsewhere").then(|| bob.clone()));
    assert!(matches!(&learnt[..], [Document::Bundle(bundle)] if bundle.authors.contains(&bob)));
    world.send(Event::Tick).unwrap();
    let gate = |world: &World| {
        let gates = &world.state.promotions[&release].gates;
        let gate = gates.iter().find(|gate| gate.kind == GateKind::Approvals).unwrap();
        (gate.open, gate.detail.clone())
    };
    assert_eq!(gate(&world), (false, "0 of 2".into()));
    let refusal = world.approve(&release, "bob").unwrap_err();
    assert!(refusal.message.contains("is an author of"), "{refusal:?}");
    world.approve(&release, "cleo").unwrap();
    assert_eq!(gate(&world), (false, "1 of 2: cleo".into()));
    // Who was an author once stays one.
    assert_eq!(world.state.learn_authors(&|_| None), []);
    assert!(world.state.bundles[&id].authors.contains(&bob));
}

#[test]
fn a_stage_is_not_skipped() {
    let mut world = World::new();
    let id = world.in_beta(1);
    let promotion = world.request("release", &id, "bob").unwrap().about.unwrap();
    world.approve(&promotion, "cleo").unwrap();
    world.approve(&promotion, "dan").unwrap();
    assert_eq!(world.current("release"), None);
    let closed = world.state.promotions[&promotion].gates.iter().find(|gate| !gate.open).unwrap();
    assert_eq!(closed.kind, GateKind::Verified);
}

#[test]
fn a_double_click_is_one_vote() {
    let mut world = World::new();
    let id = world.in_beta(1);
    world.bring_to_staging(&id);
    let promotion = world.request("release", &id, "bob").unwrap().about.unwrap();
    world.approve(&promotion, "cleo").unwrap();
    let again = world.approve(&promotion, "cleo").unwrap();
    assert!(again.already && again.documents.is_empty());
    assert_eq!(world.state.promotions[&promotion].approvals.len(), 1);
    assert_eq!(world.current("release"), None);
    world.approve(&promotion, "dan").unwrap();
    assert_eq!(world.current("release"), Some(id));
}

#[test]
fn an_old_card_is_out_of_date_and_its_votes_are_void() {
    let mut world = World::new();
    let first = world.in_beta(1);
    world.bring_to_staging(&first);
    let waiting = world.request("release", &first, "bob").unwrap().about.unwrap();
    world.approve(&waiting, "cleo").unwrap();
    let seen = world.state.promotions[&waiting].plan.digest;
    // Something else moves the stage's pointer meanwhile.
    let mut slot = world.state.slot(&repo(), &stage("release"));
    slot.epoch += 1;
    world.state.put(Document::Slot(slot));
    world.send(Event::Tick).unwrap();
    assert_eq!(world.state.promotions[&waiting].valid_approvals().count(), 0);
    let plan = Some(seen.to_string());
    let answer = world.send(Event::Approve {
        id: waiting.clone(),
        by: person("dan"),
        plan,
        note: String::new(),
    });
    let refusal = answer.unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Conflict);
    assert_eq!(refusal.message, format!("this card of {waiting} is out of date"));
}

#[test]
fn a_commit_cannot_lower_the_bar_for_itself() {
    let mut world = World::new();
    let first = world.in_beta(1);
    world.bring_to_staging(&first);
    let mut lax = manifest();
    lax.stages[1].approvals = 0;
    let second = world.push_with(2, "ann", lax);
    world.run_cells(&second, Outcome::Passed);
    let promotion = world.newest().id.clone();
    world.settle(&promotion);
    world.request("staging", &second, "bob").unwrap();
    assert_eq!(world.current("staging"), Some(first));
}

#[test]
fn an_equal_rendering_is_a_no_op_and_counts_as_verified_there() {
    let mut world = World::new();
    let first = world.in_beta(1);
    let mut twin = bundle(2, "ann", manifest());
    let beta = stage("beta");
    twin.render.insert(beta.clone(), world.state.bundles[&first].render[&beta]);
    let second = twin.id.clone();
    world.send(Event::Bundle(Box::new(twin))).unwrap();
    world.run_cells(&second, Outcome::Passed);
    assert_eq!(world.current("beta"), Some(first.clone()), "beta had nothing to take");
    let noop = world.request("beta", &second, "bob").unwrap().about.unwrap();
    assert_eq!(world.state.promotions[&noop].status, Status::Noop);
    world.bring_to_staging(&second);
    assert_eq!(world.current("staging"), Some(second));
}

#[test]
fn a_nack_brings_back_what_was_good_and_holds_the_stage() {
    let mut world = World::new();
    let good = world.in_beta(1);
    let bad = world.push(2, "ann");
    world.run_cells(&bad, Outcome::Passed);
    assert_eq!(world.current("beta"), Some(bad.clone()));
    let promotion = world.newest().id.clone();
    let detail = "a-1 refused Listener: no".to_owned();
    let decision = world.send(Event::Refused { id: promotion.clone(), detail }).unwrap();
    assert_eq!(world.state.promotions[&promotion].status, Status::RollingBack);
    assert_eq!(world.current("beta"), Some(good.clone()));
    let vetoes = &world.state.bundles[&bad].vetoes;
    assert_eq!(vetoes.len(), 1, "{vetoes:?}");
    world.settle(&promotion);
    let ended = &world.state.promotions[&promotion];
    assert_eq!(ended.status, Status::RolledBack);
    assert_eq!(ended.ending.as_ref().unwrap().reason, "a-1 refused Listener: no");
    assert!(decision.effects.contains(&Effect::Publish(repo(), stage("beta"))));
    // Nothing else comes, whoever wants it, until somebody ends the hold.
    let third = world.push(3, "ann");
    world.run_cells(&third, Outcome::Passed);
    assert_eq!(world.current("beta"), Some(good.clone()));
    let asked = world.request("beta", &third, "bob").unwrap().about.unwrap();
    assert_eq!(world.current("beta"), Some(good));
    let why = why_promotion(&world.state, &world.state.promotions[&asked], at(world.seconds));
    let [blocker] = why.as_slice() else { panic!("{why:?}") };
    assert_eq!(blocker.gate, Some(GateKind::Pin));
    assert!(blocker.what.contains("a-1 refused Listener: no"), "{blocker:?}");
    assert_eq!(blocker.clears, "anybody who may: unpin beta");
    let of_stage = why_stage(&world.state, &repo(), &stage("beta"), at(world.seconds));
    assert_eq!(
        (of_stage[0].gate, of_stage[0].clears.as_str()),
        (blocker.gate, "anybody who may: unpin beta")
    );
    world.send(Event::Unpin { repo: repo(), stage: stage("beta"), by: person("dan") }).unwrap();
    assert_eq!(world.current("beta"), Some(third));
    assert_eq!(world.state.slot(&repo(), &stage("beta")).hold, None);
}

#[test]
fn rollback_needs_a_reason_and_leads_to_what_succeeded_before() {
    let mut world = World::new();
    let first = world.in_beta(1);
    let second = world.in_beta(2);
    let ask = |to, reason: &str| Event::Rollback {
        repo: repo(),
        stage: stage("beta"),
        to,
        by: person("bob"),
        reason: reason.into(),
    };
    assert_eq!(world.send(ask(None, " ")).unwrap_err().kind, RefusalKind::Invalid);
    let promotion = world.send(ask(None, "it is slow")).unwrap().about.unwrap();
    assert_eq!(world.current("beta"), Some(first.clone()));
    world.settle(&promotion);
    let slot = world.state.slot(&repo(), &stage("beta"));
    assert_eq!(slot.last_good, Some(first.clone()));
    assert_eq!(slot.hold.unwrap().reason, "it is slow");
    assert_eq!(world.send(ask(None, "again")).unwrap_err().kind, RefusalKind::Conflict);
    world.send(ask(Some(second.clone()), "no, that one")).unwrap();
    assert_eq!(world.current("beta"), Some(second));
}

#[test]
fn a_newer_request_takes_the_place_of_an_older_one() {
    let mut world = World::new();
    let first = world.in_beta(1);
    let older = world.request("staging", &first, "bob").unwrap().about.unwrap();
    let same = world.request("staging", &first, "dan").unwrap();
    assert!(same.already && same.about == Some(older.clone()));
    let second = world.in_beta(2);
    world.request("staging", &second, "bob").unwrap();
    assert_eq!(world.state.promotions[&older].status, Status::Superseded);
}

#[test]
fn soak_counts_the_longest_stay() {
    let mut world = World::new();
    let mut slow = manifest();
    slow.stages[1].soak_seconds = 600;
    let id = world.push_with(1, "ann", slow.clone());
    world.run_cells(&id, Outcome::Passed);
    let promotion = world.newest().id.clone();
    world.settle(&promotion);
    let waiting = world.request("staging", &id, "bob").unwrap().about.unwrap();
    world.approve(&waiting, "cleo").unwrap();
    world.seconds = 599;
    assert!(world.send(Event::Tick).unwrap().documents.is_empty(), "no commit by the second");
    assert_eq!(world.current("staging"), None);
    world.seconds = 600;
    world.send(Event::Tick).unwrap();
    assert_eq!(world.current("staging"), Some(id));
}

#[test]
fn rejected_cancelled_and_ended_promotions_refuse_more() {
    let mut world = World::new();
    let id = world.in_beta(1);
    let promotion = world.request("staging", &id, "bob").unwrap().about.unwrap();
    let cancel =
        |by: &str| Event::Cancel { id: promotion.clone(), by: person(by), reason: "no".into() };
    assert_eq!(world.send(cancel("dan")).unwrap_err().kind, RefusalKind::Forbidden);
    world.send(cancel("bob")).unwrap();
    assert_eq!(world.state.promotions[&promotion].status, Status::Cancelled);
    assert_eq!(world.approve(&promotion, "cleo").unwrap_err().kind, RefusalKind::Conflict);
}

/// Brings bundle 1 to staging, then gives a second manifest to change.
fn served_in_staging() -> (World, Manifest) {
    let mut world = World::new();
    let first = world.in_beta(1);
    world.bring_to_staging(&first);
    (world, manifest())
}

#[test]
fn a_commit_cannot_drop_a_cell_that_the_stage_asked_for() {
    let (mut world, mut lax) = served_in_staging();
    let first = world.current("staging");
    lax.stages[1].envoy_versions.clear();
    lax.stages[1].approvals = 0;
    let second = world.push_with(2, "ann", lax);
    world.run_cells(&second, Outcome::Passed);
    let promotion = world.newest().id.clone();
    world.settle(&promotion);
    let asked = world.request("staging", &second, "bob").unwrap().about.unwrap();
    let refusal = world.approve(&asked, "cleo").unwrap_err();
    assert!(refusal.message.contains("0 of 1 cells passed"), "{refusal}");
    assert!(refusal.message.contains("dropped by the commit"), "{refusal}");
    let stage = stage("staging");
    let cells = world.state.cells(&world.state.bundles[&second], &stage);
    assert_eq!(cells.len(), 1);
    for cell in cells {
        world.send(Event::Cell(second.clone(), result(cell, Outcome::Passed))).unwrap();
    }
    assert_eq!(world.current("staging"), first);
    world.approve(&asked, "cleo").unwrap();
    assert_eq!(world.current("staging"), Some(second));
}

#[test]
fn a_commit_cannot_move_a_stage_to_the_front_or_make_it_automatic() {
    let (mut world, mut lax) = served_in_staging();
    let first = world.current("staging");
    lax.stages.swap(0, 1);
    lax.stages[0].auto = true;
    lax.stages[0].approvals = 0;
    let second = world.push_with(2, "ann", lax);
    world.run_cells(&second, Outcome::Passed);
    let of_staging = |p: &&Promotion| p.stage == stage("staging") && p.bundle == second;
    assert_eq!(world.state.promotions.values().find(of_staging), None, "nobody asked");
    let asked = world.request("staging", &second, "bob").unwrap().about.unwrap();
    world.approve(&asked, "cleo").unwrap();
    assert_eq!(world.current("staging"), first);
    let gates = &world.state.promotions[&asked].gates;
    let closed: Vec<_> = gates.iter().filter(|gate| !gate.open).collect();
    assert_eq!(closed[0].detail, "has not succeeded in beta; promote it there first");
}

#[test]
fn who_wrote_an_earlier_part_cannot_approve_the_whole() {
    let (mut world, same) = served_in_staging();
    world.push_with(2, "cleo", same.clone());
    let third = world.push_with(3, "ann", same);
    world.run_cells(&third, Outcome::Passed);
    let promotion = world.newest().id.clone();
    world.settle(&promotion);
    let asked = world.request("staging", &third, "bob").unwrap().about.unwrap();
    assert_eq!(world.approve(&asked, "cleo").unwrap_err().kind, RefusalKind::Forbidden);
    world.approve(&asked, "dan").unwrap();
    assert_eq!(world.current("staging"), Some(third));
}

#[test]
fn what_a_stage_came_to_serve_by_another_way_is_not_applied_again() {
    let mut world = World::new();
    let good = world.in_beta(1);
    let bad = world.push(2, "ann");
    world.run_cells(&bad, Outcome::Passed);
    let applying = world.newest().id.clone();
    let back = world.request("beta", &good, "bob").unwrap().about.unwrap();
    assert_eq!(world.state.promotions[&back].status, Status::Ready);
    world.send(Event::Refused { id: applying.clone(), detail: "no".into() }).unwrap();
    world.settle(&applying);
    assert_eq!(world.current("beta"), Some(good));
    assert_eq!(world.state.promotions[&back].status, Status::Noop);
}

#[test]
fn a_person_who_asks_for_what_automation_waits_with_does_not_end_the_hold() {
    let mut world = World::new();
    world.in_beta(1);
    world.in_beta(2);
    let third = world.push(3, "ann");
    let waiting = world.newest().id.clone();
    let (by, reason) = (person("bob"), "it is slow".to_owned());
    let rollback = Event::Rollback { repo: repo(), stage: stage("beta"), to: None, by, reason };
    let back = world.send(rollback).unwrap().about.unwrap();
    world.settle(&back);
    world.run_cells(&third, Outcome::Passed);
    assert_eq!(world.state.promotions[&waiting].status, Status::Gated);
    let asked = world.request("beta", &third, "bob").unwrap();
    assert!(asked.already && asked.about == Some(waiting.clone()), "{asked:?}");
    assert_eq!(world.state.promotions[&waiting].status, Status::Gated);
    world.send(Event::Unpin { repo: repo(), stage: stage("beta"), by: person("bob") }).unwrap();
    assert_eq!(world.current("beta"), Some(third));
}

#[test]
fn a_reason_of_several_lines_stays_one_line_of_the_record() {
    let mut world = World::new();
    let id = world.in_beta(1);
    let promotion = world.request("staging", &id, "bob").unwrap().about.unwrap();
    let reason = "no\n\nP-9: cleo approves\nVia: system".to_owned();
    let decision = world.send(Event::Reject { id: promotion, by: person("dan"), reason }).unwrap();
    assert_eq!(decision.message.lines().count(), 1, "{}", decision.message);
}
