//! Canaries: steps, what is watched, pauses, and the way back.

use super::*;
use crate::model::{MetricRule, Number, OnFailure, OnInconclusive, Rollout, RolloutStep, Subset};

fn percent(percent: u32, bake_seconds: u64, pause: bool) -> RolloutStep {
    let subset = Subset { percent: Some(percent), ..Subset::default() };
    RolloutStep { subset, bake_seconds, pause }
}

pub(super) fn ladder() -> Rollout {
    let steps = vec![percent(10, 600, false), percent(50, 0, true)];
    Rollout { steps, acked_percent: 90, deadline_seconds: 300, ..Rollout::default() }
}

fn metric(name: &str, inconclusive: OnInconclusive) -> MetricRule {
    MetricRule {
        name: name.into(),
        query: format!("sum({name})"),
        baseline: None,
        at_most: Number::new("0.01"),
        at_least: None,
        at_most_times_baseline: None,
        inconclusive,
    }
}

/// A world in which beta goes by steps, serves revision 1, and is being
/// brought revision 2.
fn canary(change: impl Fn(&mut StageSpec)) -> (World, PromotionId, BundleId, BundleId) {
    let mut by_steps = manifest();
    by_steps.stages[0].rollout = Some(ladder());
    change(&mut by_steps.stages[0]);
    let mut world = World::new();
    let one = world.push_with(1, "ann", by_steps.clone());
    world.run_cells(&one, Outcome::Passed);
    let first = world.newest().id.clone();
    assert_eq!(world.newest().step.as_ref().unwrap().of, 1, "nothing is there to be protected");
    world.settle(&first);
    // What is measured is judged before it counts as good.
    for rule in &by_steps.stages[0].metrics {
        let _ = world.measure(&first, &rule.name, MetricValue::Pass);
    }
    world.wait(600);
    assert_eq!(world.state.promotions[&first].status, Status::Succeeded);
    let two = world.push_with(2, "ann", by_steps);
    world.run_cells(&two, Outcome::Passed);
    let promotion = world.newest().id.clone();
    (world, promotion, one, two)
}

impl World {
    pub(super) fn facts(
        &mut self,
        id: &PromotionId,
        acked: u32,
        nodes: u32,
        refused: Option<&str>,
    ) -> Decision {
        let step = self.state.promotions[id].step.clone().unwrap();
        let refused = refused.map(str::to_owned);
        let (epoch, step) = (step.epoch, step.index);
        self.send(Event::StepFacts { id: id.clone(), epoch, step, nodes, acked, refused }).unwrap()
    }

    fn measure(&mut self, id: &PromotionId, name: &str, value: MetricValue) -> Decision {
        self.send(Event::Metric { id: id.clone(), name: name.into(), value }).unwrap()
    }

    fn wait(&mut self, seconds: i64) -> Decision {
        self.seconds += seconds;
        self.send(Event::Tick).unwrap()
    }

    pub(super) fn status(&self, id: &PromotionId) -> Status {
        self.state.promotions[id].status
    }

    pub(super) fn slot(&self, name: &str) -> StageSlot {
        self.state.slot(&repo(), &stage(name))
    }
}

fn steer(id: &PromotionId, verb: &str) -> Event {
    let (id, by, reason) = (id.clone(), person("bob"), "because".to_owned());
    match verb {
        "pause" => Event::Pause { id, by, reason },
        "resume" => Event::Resume { id, by },
        "advance" => Event::Advance { id, by, to: None },
        _ => Event::Abort { id, by, reason },
    }
}

#[test]
fn a_canary_goes_step_by_step_and_each_has_its_own_version() {
    let (mut world, id, one, two) = canary(|_| {});
    let slot = world.slot("beta");
    assert_eq!((slot.current.clone(), slot.version()), (Some(one.clone()), "2.0".into()));
    let candidate = slot.candidate.unwrap();
    assert_eq!((candidate.bundle, candidate.subset.percent), (two.clone(), Some(10)));
    // Nine of ten is enough, eight is not.
    world.facts(&id, 8, 10, None);
    assert_eq!(world.status(&id), Status::Applying);
    world.facts(&id, 9, 10, None);
    assert_eq!(world.status(&id), Status::Observing);
    world.wait(599);
    assert_eq!(world.slot("beta").version(), "2.0", "it is watched for ten minutes");
    let decision = world.wait(1);
    let serve = |effect: &&Effect| matches!(effect, Effect::Serve { epoch: 2, step: 1, .. });
    assert!(decision.effects.iter().any(|effect| serve(&effect)), "{:?}", decision.effects);
    assert_eq!(world.slot("beta").candidate.unwrap().subset.percent, Some(50));
    world.facts(&id, 5, 5, None);
    assert_eq!(world.status(&id), Status::Paused, "the second step waits for a person");
    world.wait(100_000);
    assert_eq!(world.status(&id), Status::Paused);
    world.send(steer(&id, "advance")).unwrap();
    let slot = world.slot("beta");
    assert_eq!((slot.current.clone(), slot.version()), (Some(two.clone()), "2.2".into()));
    assert_eq!(slot.candidate, None);
    world.facts(&id, 10, 10, None);
    assert_eq!(world.status(&id), Status::Succeeded);
    assert_eq!(world.slot("beta").last_good, Some(two));
    assert_eq!(world.slot("beta").before_last_good, Some(one));
}

#[test]
fn a_nack_in_the_second_step_brings_everything_back_and_keeps_it_out() {
    let (mut world, id, one, two) = canary(|_| {});
    world.facts(&id, 10, 10, None);
    world.wait(600);
    let refused = "edge-7 refused Listener `front` (resources/listeners/front.yaml:3): no";
    let decision = world.facts(&id, 3, 50, Some(refused));
    assert!(decision.effects.contains(&Effect::Publish(repo(), stage("beta"))));
    let slot = world.slot("beta");
    assert_eq!((slot.current, slot.candidate), (Some(one.clone()), None));
    assert_eq!((slot.epoch, slot.step), (3, 0), "what comes back has a new epoch");
    assert!(slot.hold.unwrap().reason.contains(refused));
    assert_eq!(world.status(&id), Status::RollingBack);
    world.facts(&id, 100, 100, None);
    assert_eq!(world.status(&id), Status::RolledBack);
    let promotion = &world.state.promotions[&id];
    assert_eq!(promotion.ending.as_ref().unwrap().reason, refused);
    // Automation can't undo it, and neither can a slip of the finger.
    world.wait(100_000);
    assert_eq!(world.current("beta"), Some(one));
    let refusal = world.request("beta", &two, "bob").unwrap_err();
    assert!(refusal.message.contains("is vetoed in beta"), "{refusal}");
    assert!(refusal.hint.contains(&format!("unveto {two} in beta")), "{}", refusal.hint);
}

#[test]
fn a_commit_that_renders_what_was_vetoed_is_kept_out_too() {
    let (mut world, id, _, two) = canary(|_| {});
    world.facts(&id, 0, 10, Some("no"));
    world.facts(&id, 10, 10, None);
    let mut twin = world.state.bundles[&two].clone();
    twin.id = BundleId::of(&ContentHash::of(b"a comment was changed"));
    (twin.commit.revision, twin.vetoes) = (Revision(3), Vec::new());
    let third = twin.id.clone();
    world.send(Event::Bundle(Box::new(twin))).unwrap();
    let unpin = Event::Unpin { repo: repo(), stage: stage("beta"), by: person("bob") };
    world.send(unpin).unwrap();
    assert!(world.state.promotions.values().all(|one| one.bundle != third), "nobody asked");
    assert!(world.request("beta", &third, "bob").is_err());
    let by = person("bob");
    world.send(Event::Unveto { bundle: two, stage: Some(stage("beta")), by }).unwrap();
    // Now the stage takes what is eligible.
    assert_eq!(world.newest().bundle, third);
}

#[test]
fn a_step_that_is_too_slow_is_taken_back() {
    let (mut world, id, one, _) = canary(|_| {});
    world.facts(&id, 4, 10, None);
    world.wait(299);
    assert_eq!(world.status(&id), Status::Applying);
    world.wait(1);
    assert_eq!(world.status(&id), Status::RollingBack);
    let cause = world.state.promotions[&id].cause.clone().unwrap();
    assert_eq!(cause, "4 of 10 connected nodes had it within 300 s");
    assert_eq!(world.current("beta"), Some(one));
}

#[test]
fn facts_of_a_step_that_is_past_count_for_nothing() {
    let (mut world, id, ..) = canary(|_| {});
    let old = world.state.promotions[&id].step.clone().unwrap();
    world.facts(&id, 10, 10, None);
    world.wait(600);
    let late = |epoch, step| Event::StepFacts {
        id: id.clone(),
        epoch,
        step,
        nodes: 10,
        acked: 10,
        refused: Some("no".into()),
    };
    for (epoch, step) in [(old.epoch, old.index), (old.epoch + 1, 1), (old.epoch - 1, 1)] {
        let decision = world.send(late(epoch, step)).unwrap();
        assert!(decision.already && decision.documents.is_empty(), "{epoch}.{step}");
    }
    assert_eq!(world.status(&id), Status::Applying);
}

#[test]
fn a_pause_stops_the_clocks_and_resume_goes_on() {
    let (mut world, id, ..) = canary(|_| {});
    world.send(steer(&id, "pause")).unwrap();
    assert!(world.send(steer(&id, "pause")).unwrap().already);
    world.wait(10_000);
    assert_eq!(world.status(&id), Status::Paused, "no deadline while it is paused");
    world.send(steer(&id, "resume")).unwrap();
    assert_eq!(world.status(&id), Status::Applying);
    world.wait(299);
    world.facts(&id, 10, 10, None);
    assert_eq!(world.status(&id), Status::Observing);
    world.send(steer(&id, "pause")).unwrap();
    world.wait(600);
    assert_eq!(world.slot("beta").step, 0);
    world.send(steer(&id, "resume")).unwrap();
    assert_eq!(world.slot("beta").step, 1, "it was watched for long enough");
    assert!(world.send(steer(&id, "resume")).is_err(), "it is not paused");
}

#[test]
fn advance_skips_to_a_share_but_not_over_nodes_that_have_not_answered() {
    let (mut world, id, _, two) = canary(|_| {});
    let to = |percent| Event::Advance { id: id.clone(), by: person("bob"), to: Some(percent) };
    let refusal = world.send(to(50)).unwrap_err();
    assert!(refusal.message.contains("is applying"), "{refusal}");
    world.facts(&id, 10, 10, None);
    assert!(world.send(to(10)).unwrap_err().message.contains("10 % already"));
    assert!(world.send(to(101)).is_err());
    world.send(to(51)).unwrap();
    assert_eq!(world.current("beta"), Some(two), "no step holds 51 %, so all of it");
    assert_eq!(world.slot("beta").version(), "2.2");
}

#[test]
fn an_abort_is_open_to_everybody_and_brings_back_what_was() {
    let (mut world, id, one, two) = canary(|_| {});
    let no_reason = Event::Abort { id: id.clone(), by: person("eve"), reason: " ".into() };
    assert_eq!(world.send(no_reason).unwrap_err().kind, RefusalKind::Invalid);
    world.send(steer(&id, "abort")).unwrap();
    assert!(world.send(steer(&id, "abort")).unwrap().already);
    world.facts(&id, 10, 10, None);
    assert_eq!(world.status(&id), Status::RolledBack);
    assert_eq!(world.current("beta"), Some(one));
    assert_eq!(world.slot("beta").hold.unwrap().by, person("bob"));
    assert_eq!(world.state.bundles[&two].vetoes[0].promotion, Some(id));
}

#[test]
fn a_rollback_while_a_canary_runs_is_back_to_what_most_nodes_have() {
    let (mut world, id, one, two) = canary(|_| {});
    let (by, reason) = (person("bob"), "it is slow".to_owned());
    let ask = Event::Rollback { repo: repo(), stage: stage("beta"), to: None, by, reason };
    let back = world.send(ask).unwrap().about.unwrap();
    assert_eq!(world.status(&id), Status::Superseded);
    assert_eq!((world.current("beta"), world.slot("beta").candidate), (Some(one), None));
    assert_eq!(world.slot("beta").version(), "3.0");
    assert_eq!(world.state.bundles[&two].vetoes.len(), 1);
    world.settle(&back);
    assert_eq!(world.status(&back), Status::Succeeded);
}

#[test]
fn what_is_measured_decides_and_what_can_not_be_is_no_failure() {
    let (mut world, id, one, _) = canary(|spec| {
        spec.metrics = vec![metric("errors", OnInconclusive::Wait)];
    });
    world.facts(&id, 10, 10, None);
    assert_eq!(asks(&world.state, &world.state.promotions[&id]).len(), 1);
    world.wait(600);
    assert_eq!(world.status(&id), Status::Observing, "nothing was measured");
    let gone = || MetricValue::Unreachable("connection refused".into());
    world.measure(&id, "errors", gone());
    let again = world.measure(&id, "errors", MetricValue::Unreachable("timeout".into()));
    assert!(again.documents.is_empty(), "the same sort of answer is no news");
    world.wait(100_000);
    assert_eq!(world.status(&id), Status::Observing);
    let why = why_promotion(&world.state, &world.state.promotions[&id], at(world.seconds));
    assert_eq!(why[0].what, "errors can't be measured: connection refused");
    world.measure(&id, "errors", MetricValue::Pass);
    assert_eq!(world.slot("beta").step, 1);
    world.facts(&id, 10, 10, None);
    world.measure(&id, "errors", MetricValue::Fail("0.2 is more than 0.01".into()));
    assert_eq!(world.status(&id), Status::RollingBack);
    assert_eq!(world.current("beta"), Some(one));
    let cause = world.state.promotions[&id].cause.clone().unwrap();
    assert_eq!(cause, "errors: 0.2 is more than 0.01");
}

#[test]
fn a_metric_that_asks_for_a_person_pauses_and_a_person_may_go_on() {
    let (mut world, id, _, two) = canary(|spec| {
        spec.metrics = vec![metric("latency", OnInconclusive::Pause)];
    });
    world.facts(&id, 10, 10, None);
    world.measure(&id, "latency", MetricValue::Inconclusive("no data".into()));
    assert_eq!(world.status(&id), Status::Observing, "while it is watched, data may come");
    world.wait(600);
    assert_eq!(world.status(&id), Status::Paused);
    let paused = world.state.promotions[&id].step.clone().unwrap().paused.unwrap();
    assert_eq!(paused.cause, PauseCause::Metrics);
    world.send(steer(&id, "advance")).unwrap();
    world.facts(&id, 10, 10, None);
    world.measure(&id, "latency", MetricValue::Pass);
    world.send(steer(&id, "advance")).unwrap();
    world.facts(&id, 10, 10, None);
    assert_eq!(world.status(&id), Status::Verifying, "the whole is judged, too");
    assert_eq!(world.current("beta"), Some(two));
    world.measure(&id, "latency", MetricValue::Pass);
    assert_eq!(world.status(&id), Status::Succeeded);
}

#[test]
fn nodes_that_have_something_else_at_the_end_are_a_failure() {
    let (mut world, id, one, _) = canary(|spec| {
        spec.rollout = Some(Rollout { bake_seconds: 60, ..Rollout::default() });
    });
    let drift = || Event::Drift { id: id.clone(), detail: "edge-2 has 1.0".into() };
    assert!(world.send(drift()).unwrap().already, "nodes are still on their way");
    world.facts(&id, 10, 10, None);
    assert_eq!(world.status(&id), Status::Verifying);
    world.send(drift()).unwrap();
    assert_eq!((world.status(&id), world.current("beta")), (Status::RollingBack, Some(one)));
}

#[test]
fn a_stage_that_holds_what_failed_waits_for_a_person() {
    let (mut world, id, one, two) = canary(|spec| {
        spec.rollout = Some(Rollout { on_failure: OnFailure::Hold, ..ladder() });
    });
    world.facts(&id, 1, 10, Some("edge-1 refused Cluster"));
    assert_eq!(world.status(&id), Status::Paused);
    let slot = world.slot("beta");
    assert_eq!((slot.current.clone(), slot.candidate.is_some()), (Some(one.clone()), true));
    assert!(slot.hold.is_some());
    assert!(world.facts(&id, 1, 10, Some("edge-1 refused Cluster")).already);
    world.send(steer(&id, "resume")).unwrap();
    assert_eq!((world.status(&id), world.slot("beta").hold), (Status::Applying, None));
    world.facts(&id, 10, 10, None);
    world.wait(600);
    world.facts(&id, 10, 10, None);
    world.send(steer(&id, "advance")).unwrap();
    world.facts(&id, 1, 10, Some("edge-2 refused Cluster"));
    assert_eq!(world.status(&id), Status::Failed);
    assert_eq!(world.current("beta"), Some(two), "it stays as it is");
    assert!(world.slot("beta").hold.is_some());
    assert_eq!(world.slot("beta").last_good, Some(one));
}

#[test]
fn a_way_back_that_fails_is_stuck_until_a_person_looks() {
    let (mut world, id, one, two) = canary(|_| {});
    world.facts(&id, 0, 10, Some("no"));
    let decision = world.facts(&id, 9, 10, Some("edge-3 refused Listener"));
    assert_eq!(world.status(&id), Status::Stuck);
    assert!(decision.effects.iter().any(|effect| matches!(effect, Effect::Alarm { .. })));
    let third = world.push(3, "ann");
    world.run_cells(&third, Outcome::Passed);
    let asked = world.request("beta", &third, "bob").unwrap().about.unwrap();
    assert_eq!(world.status(&asked), Status::Gated, "the stage is held");
    world.send(steer(&id, "resume")).unwrap();
    assert_eq!((world.status(&id), world.slot("beta").epoch), (Status::RollingBack, 4));
    world.wait(300);
    assert_eq!(world.status(&id), Status::Stuck, "that was too slow");
    world.send(steer(&id, "abort")).unwrap();
    assert_eq!(world.status(&id), Status::Failed);
    assert_eq!(world.status(&asked), Status::Gated, "it is still held");
    world.send(Event::Unpin { repo: repo(), stage: stage("beta"), by: person("dan") }).unwrap();
    assert_eq!(world.status(&asked), Status::Applying, "the next one has its turn");
    assert_eq!((world.current("beta"), world.slot("beta").candidate.is_some()), (Some(one), true));
    assert!(!world.state.bundles[&two].vetoes.is_empty());
}

#[test]
fn what_comes_back_late_ends_what_was_stuck() {
    let (mut world, id, ..) = canary(|_| {});
    world.facts(&id, 0, 10, Some("no"));
    world.wait(300);
    assert_eq!(world.status(&id), Status::Stuck);
    world.facts(&id, 10, 10, None);
    assert_eq!(world.status(&id), Status::RolledBack);
}

#[test]
fn a_commit_cannot_drop_the_steps_or_the_metrics_that_it_is_to_go_by() {
    let (mut world, id, ..) = canary(|spec| {
        spec.metrics = vec![metric("errors", OnInconclusive::Wait)];
    });
    for _ in 0..3 {
        world.facts(&id, 10, 10, None);
        world.measure(&id, "errors", MetricValue::Pass);
        world.wait(600);
        let _ = world.send(steer(&id, "advance"));
    }
    assert_eq!(world.status(&id), Status::Succeeded);
    let three = world.push_with(3, "ann", manifest());
    world.run_cells(&three, Outcome::Passed);
    let promotion = world.newest();
    let course = promotion.course.as_ref().unwrap();
    assert_eq!(promotion.step.as_ref().unwrap().of, 3);
    assert_eq!(course.rollout, Some(ladder()));
    assert_eq!(course.metrics.len(), 1);
}
