//! What follows by itself: automatic requests, gates that opened, pointers
//! that move.

use super::answer::request;
use super::gate::{evaluate, seconds_between};
use super::record::{Ending, Hold, Promotion, State, Status};
use super::step::{Document, Effect, Work};
use crate::model::{Actor, BundleId, RepoName, Stage};

/// Moves everything on that can move.
pub(super) fn advance(work: &mut Work) {
    for (repo, stage, bundle) in automatic(&work.state) {
        let reason = "the stage takes what is eligible".to_owned();
        // A refusal means that the wish is void by now, which is no news.
        let _ = request(work, &repo, &stage, &bundle, Actor::system(), reason);
    }
    let waiting: Vec<Promotion> = work
        .state
        .promotions
        .values()
        .filter(|promotion| promotion.status == Status::Gated)
        .cloned()
        .collect();
    for promotion in waiting {
        look(work, promotion);
    }
}

/// What the stages that are marked `auto` want now.
fn automatic(state: &State) -> Vec<(RepoName, Stage, BundleId)> {
    let mut wishes = Vec::new();
    for repo in state.repos() {
        let Some(newest) = state.newest_eligible(&repo) else { continue };
        for spec in newest.manifest.stages.iter().filter(|spec| spec.auto) {
            // A commit can't make a stage automatic for itself.
            let current = state.current(&repo, &spec.name);
            let was = current.and_then(|current| current.manifest.stage(&spec.name));
            if was.is_none_or(|was| was.auto) && wants(state, &repo, &spec.name, newest) {
                wishes.push((repo.clone(), spec.name.clone(), newest.id.clone()));
            }
        }
    }
    wishes
}

fn wants(state: &State, repo: &RepoName, stage: &Stage, bundle: &super::BundleRecord) -> bool {
    let slot = state.slot(repo, stage);
    let current = slot.current.as_ref().and_then(|id| state.bundles.get(id));
    let serves_it =
        current.is_some_and(|current| current.id == bundle.id || current.equals_in(bundle, stage));
    let newer_serves =
        current.is_some_and(|current| current.commit.revision > bundle.commit.revision);
    // Asked once: what people rejected or Envoy refused is not asked again.
    let asked = state.promotions.values().any(|promotion| {
        &promotion.repo == repo && &promotion.stage == stage && promotion.bundle == bundle.id
    });
    let before = bundle.manifest.previous(stage);
    let ready_before = before.is_none_or(|before| bundle.verified.contains_key(&before.name));
    slot.hold.is_none() && !serves_it && !newer_serves && !asked && ready_before
}

/// Looks at one waiting promotion: records what its gates say now, and
/// applies it when all are open.
fn look(work: &mut Work, mut promotion: Promotion) {
    if serves(&work.state, &promotion) {
        let reason = format!("{} serves the same by now", promotion.stage);
        end(work, promotion, Status::Noop, Actor::system(), reason);
        return;
    }
    let (plan, gates) = evaluate(&work.state, &promotion, work.now);
    if plan.digest != promotion.plan.digest && promotion.valid_approvals().next().is_some() {
        work.say(format!("{}: the plan changed, earlier approvals are void", promotion.id));
    }
    let changed = plan != promotion.plan || gates != promotion.gates;
    (promotion.plan, promotion.gates) = (plan, gates);
    if promotion.gates.iter().all(|gate| gate.open) {
        activate(work, promotion, None);
    } else if changed {
        work.say(format!("{}: its gates changed", promotion.id));
        work.fire(Effect::Announce(promotion.id.clone()));
        work.put(Document::Promotion(Box::new(promotion)));
    }
}

/// Whether the stage came to serve what the promotion would bring, by another
/// way.
fn serves(state: &State, promotion: &Promotion) -> bool {
    let current = state.current(&promotion.repo, &promotion.stage);
    let wanted = state.bundles.get(&promotion.bundle);
    current.zip(wanted).is_some_and(|(current, wanted)| {
        current.id == wanted.id || current.equals_in(wanted, &promotion.stage)
    })
}

/// Moves the stage's pointer to the promotion's bundle.
pub(super) fn activate(work: &mut Work, mut promotion: Promotion, hold: Option<Hold>) {
    let by = promotion.requested_by.clone();
    // A person who promotes takes the stage out of its hold.
    let kept = work.state.slot(&promotion.repo, &promotion.stage).hold;
    let hold = hold.or(kept.filter(|_| by.person.is_none()));
    work.say(format!(
        "activate {} in {} of {} ({})",
        promotion.bundle, promotion.stage, promotion.repo, promotion.id
    ));
    move_pointer(work, &promotion, Some(promotion.bundle.clone()), by, hold);
    promotion.status = Status::Applying;
    promotion.applied_at = Some(work.now);
    work.fire(Effect::Announce(promotion.id.clone()));
    work.put(Document::Promotion(Box::new(promotion)));
}

/// Points the stage at `to` under a new epoch, and remembers how long the
/// bundle that leaves had stayed.
pub(super) fn move_pointer(
    work: &mut Work,
    promotion: &Promotion,
    to: Option<BundleId>,
    by: Actor,
    hold: Option<Hold>,
) {
    let mut slot = work.state.slot(&promotion.repo, &promotion.stage);
    let leaving = slot.current.as_ref().and_then(|id| work.state.bundles.get(id)).cloned();
    if let Some(mut bundle) = leaving
        && let Some(since) = bundle.verified.get(&promotion.stage)
    {
        let stay = seconds_between(*since, work.now);
        let longest = bundle.held_seconds.entry(promotion.stage.clone()).or_default();
        *longest = stay.max(*longest);
        work.put(Document::Bundle(Box::new(bundle)));
    }
    slot.current = to;
    slot.epoch += 1;
    slot.since = Some(work.now);
    slot.by = Some(by);
    slot.hold = hold;
    work.fire(Effect::Publish(slot.repo.clone(), slot.stage.clone()));
    work.put(Document::Slot(slot));
}

/// Ends a promotion.
pub(super) fn end(
    work: &mut Work,
    mut promotion: Promotion,
    status: Status,
    by: Actor,
    reason: String,
) {
    work.say(format!("{}: {} by {by}: {reason}", promotion.id, status.word()));
    promotion.status = status;
    promotion.ending = Some(Ending { by, at: work.now, reason });
    work.fire(Effect::Announce(promotion.id.clone()));
    work.put(Document::Promotion(Box::new(promotion)));
}
