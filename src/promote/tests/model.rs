//! A small world in full: two stages, three people, two bundles, every event
//! from every state that is reached within some depth.

use std::collections::HashSet;

use sha2::{Digest as _, Sha256};

use super::*;
use crate::model::{Rollout, RolloutStep, Subset};

/// A document as it comes back from its file.
pub(super) fn reread(document: &Document) -> Document {
    fn again<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
        serde_json::from_slice(&serde_json::to_vec_pretty(value).unwrap()).unwrap()
    }
    match document {
        Document::Bundle(bundle) => Document::Bundle(Box::new(again(&**bundle))),
        Document::Slot(slot) => Document::Slot(again(slot)),
        Document::Promotion(promotion) => Document::Promotion(Box::new(again(&**promotion))),
        Document::Freeze(freeze) => Document::Freeze(again(freeze)),
    }
}

/// What must hold of every step.
pub(super) fn holds(before: &State, after: &State) -> Result<(), String> {
    for ((repo, name), slot) in &after.slots {
        let open = after.open(repo, name);
        let active: Vec<_> = open.iter().filter(|p| p.status.is_active()).collect();
        check(active.len() <= 1, || format!("two promotions are under way in {name}"))?;
        let old = before.slot(repo, name);
        check((slot.epoch, slot.step) >= (old.epoch, old.step), || "a version came back".into())?;
        let same = (&slot.current, &slot.candidate) == (&old.current, &old.candidate);
        let version = (slot.epoch, slot.step) != (old.epoch, old.step);
        check(same || version, || format!("{name} serves something else under one version"))?;
        if let Some(candidate) = &slot.candidate {
            let of = active.first().map(|promotion| &promotion.id);
            check(of == Some(&candidate.promotion), || "a candidate is nobody's".into())?;
        }
    }
    for promotion in after.promotions.values() {
        let was = before.promotions.get(&promotion.id);
        let status = was.map(|was| was.status);
        let moved = status != Some(promotion.status);
        if status.is_some_and(Status::is_terminal) {
            check(!moved, || format!("{} left its end", promotion.id))?;
        }
        let began = promotion.applied_at.is_some() && was.is_none_or(|p| p.applied_at.is_none());
        if began && promotion.kind == Kind::Promote {
            proper(after, promotion)?;
        }
    }
    Ok(())
}

fn check(holds: bool, else_: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(else_()) }
}

/// No way to applying without quorum on this very plan, the matrix, and the
/// stage before, but in an emergency that names what it skips.
fn proper(after: &State, promotion: &Promotion) -> Result<(), String> {
    let Promotion { id, stage, .. } = promotion;
    let bundle = &after.bundles[&promotion.bundle];
    let spec = bundle.manifest.stage(stage).unwrap();
    let skips =
        |kind| promotion.breakglass.as_ref().is_some_and(|glass| glass.skip.contains(&kind));
    // Beginning is the one move of the pointer since its plan was made.
    let slot = after.slot(&promotion.repo, stage);
    check(promotion.plan.epoch + 1 == slot.epoch, || format!("{id} began on an old plan"))?;
    let base = promotion.course.as_ref().and_then(|course| course.base.clone());
    check(promotion.plan.from == base, || format!("{id} began from elsewhere"))?;
    let voters: BTreeSet<_> = promotion.valid_approvals().map(|vote| &vote.by).collect();
    check(voters.len() >= spec.approvals || skips(GateKind::Approvals), || {
        format!("{id} began with {} approvals", voters.len())
    })?;
    check(voters.iter().all(|voter| !bundle.authors.contains(voter)), || "an author".into())?;
    let requester = promotion.requested_by.person.as_ref();
    check(requester.is_none_or(|by| !voters.contains(by)), || "the requester".into())?;
    for cell in bundle.cells(stage) {
        let outcome = bundle.result(&cell).map(|result| result.outcome);
        check(outcome == Some(Outcome::Passed), || format!("{id} began without {cell}"))?;
    }
    if let Some(previous) = bundle.manifest.previous(stage) {
        let verified = bundle.verified.contains_key(&previous.name);
        check(verified || skips(GateKind::Verified), || format!("{id} skipped a stage"))?;
    }
    Ok(())
}

/// Canary takes all at once, release by one step; both want one approval.
fn small() -> Manifest {
    let mut canary = spec("canary", 0);
    let mut release = spec("release", 1);
    (canary.auto, release.auto) = (false, false);
    let subset = Subset { percent: Some(10), ..Subset::default() };
    let steps = vec![RolloutStep { subset, bake_seconds: 0, pause: true }];
    release.rollout = Some(Rollout { steps, ..Rollout::default() });
    Manifest { stages: vec![canary, release], ..Manifest::default() }
}

const PEOPLE: [&str; 3] = ["ann", "bob", "cleo"];

/// Two bundles whose cells have passed; the first is in both stages.
fn beginning() -> World {
    let mut world = World::new();
    let breakglass = BTreeSet::from([Person::new("cleo").unwrap()]);
    world.state.people = Arc::new(People { breakglass, ..People::default() });
    let one = world.push_with(1, "ann", small());
    world.run_cells(&one, Outcome::Passed);
    let canary = world.ask("canary", &one);
    world.settle(&canary);
    let release = world.ask("release", &one);
    world.approve(&release, "cleo").unwrap();
    world.settle(&release);
    let two = world.push_with(2, "ann", small());
    world.run_cells(&two, Outcome::Passed);
    world
}

/// Everything that can happen in a state.
fn events(state: &State) -> Vec<Event> {
    let (repo, reason) = (repo(), || "why".to_owned());
    let mut all = vec![Event::Tick];
    for name in ["canary", "release"].map(stage) {
        let (repo, stage) = (|| repo.clone(), || name.clone());
        for bundle in state.bundles.keys() {
            for by in ["bob", "cleo"].map(person) {
                let (bundle, reason) = (bundle.clone(), reason());
                all.push(Event::Request {
                    repo: repo(),
                    stage: stage(),
                    bundle,
                    by,
                    reason,
                    after: None,
                });
            }
            let (bundle, by) = (|| bundle.clone(), || person("cleo"));
            all.push(Event::BreakGlass {
                repo: repo(),
                stage: stage(),
                bundle: bundle(),
                incident: "INC-1".into(),
                reason: reason(),
                skip: vec![GateKind::Approvals],
                typed: name.to_string(),
                by: by(),
            });
            let of = Some(stage());
            all.push(Event::Veto {
                bundle: bundle(),
                stage: of.clone(),
                by: by(),
                reason: reason(),
            });
            all.push(Event::Unveto { bundle: bundle(), stage: of, by: by() });
        }
        let by = || person("bob");
        all.extend([
            Event::Rollback { repo: repo(), stage: stage(), to: None, by: by(), reason: reason() },
            Event::Pin {
                repo: repo(),
                stage: stage(),
                bundle: None,
                until: None,
                by: by(),
                reason: reason(),
            },
            Event::Unpin { repo: repo(), stage: stage(), by: by() },
        ]);
    }
    for promotion in state.promotions.values().filter(|one| !one.status.is_terminal()) {
        let id = || promotion.id.clone();
        for by in PEOPLE.map(person) {
            all.push(Event::Approve { id: id(), by, plan: None, note: String::new() });
        }
        let by = || person("bob");
        all.extend([
            Event::Retract { id: id(), by: person("cleo") },
            Event::Reject { id: id(), by: by(), reason: reason() },
            Event::Cancel { id: id(), by: by(), reason: reason() },
            Event::Abort { id: id(), by: by(), reason: reason() },
            Event::Pause { id: id(), by: by(), reason: reason() },
            Event::Resume { id: id(), by: by() },
            Event::Advance { id: id(), by: by(), to: None },
            Event::Settled { id: id(), detail: "all".into() },
            Event::Refused { id: id(), detail: "no".into() },
        ]);
        if let Some(step) = &promotion.step {
            for (acked, refused) in [(10, None), (0, Some("no".to_owned()))] {
                let (epoch, step) = (step.epoch, step.index);
                all.push(Event::StepFacts { id: id(), epoch, step, nodes: 10, acked, refused });
            }
        }
    }
    all
}

fn name_of(state: &State) -> [u8; 32] {
    Sha256::digest(format!("{state:?}")).into()
}

#[test]
fn no_event_of_a_small_world_breaks_the_rules() {
    let long = std::env::var_os("CONVOY_LONG").is_some();
    let (depth, transitions_max) = if long { (7, 3_000_000) } else { (4, 3_000) };
    let start = beginning();
    let (mut seen, mut transitions, mut refused) = (HashSet::new(), 0_usize, 0_usize);
    let mut statuses: BTreeSet<Status> = BTreeSet::new();
    seen.insert(name_of(&start.state));
    let (mut level, mut reached) = (vec![start.state], 0);
    'all: for at_depth in 1..=depth {
        let mut next = Vec::new();
        for state in level {
            for event in events(&state) {
                let now = at(0);
                let decision = match step(&state, event.clone(), now) {
                    Ok(decision) => decision,
                    Err(_) => {
                        refused += 1;
                        continue;
                    }
                };
                transitions += 1;
                let mut after = state.clone();
                let mut replayed = state.clone();
                for document in &decision.documents {
                    after.put(document.clone());
                    replayed.put(reread(document));
                }
                assert_eq!(after, replayed, "{event:?}");
                if let Err(broken) = holds(&state, &after).and_then(|()| proved(&after)) {
                    panic!("{event:?} at depth {at_depth}: {broken}\n{after:#?}");
                }
                statuses.extend(after.promotions.values().map(|one| one.status));
                if seen.insert(name_of(&after)) {
                    next.push(after);
                }
                if transitions >= transitions_max {
                    break 'all;
                }
            }
        }
        (level, reached) = (next, at_depth);
    }
    eprintln!(
        "{} states, {transitions} transitions, {refused} refusals, every event to depth \
         {reached}, {} of {} statuses",
        seen.len(),
        statuses.len(),
        Status::ALL.len()
    );
    let (levels, kinds) = if long { (4, 12) } else { (2, 8) };
    assert!(reached >= levels && statuses.len() >= kinds, "{reached} {statuses:?}");
}

/// Release only ever held what canary verified.
fn proved(state: &State) -> Result<(), String> {
    let slot = state.slot(&repo(), &stage("release"));
    let served = slot.current.iter().chain(slot.candidate.iter().map(|one| &one.bundle));
    for id in served {
        let verified = state.bundles[id].verified.contains_key(&stage("canary"));
        check(verified, || format!("release serves {id}, which canary never held"))?;
    }
    Ok(())
}
