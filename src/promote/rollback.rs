//! A person's way back to what was good: it waits for nothing and nobody.

use super::ask::{new_promotion, supersede};
use super::course::{begin, veto};
use super::hold::Hold;
use super::promotion::Kind;
use super::state::State;
use super::step::{Document, Refusal, RefusalKind, Work};
use crate::model::{Actor, BundleId, RepoName, Stage};

pub(super) fn rollback(
    work: &mut Work,
    repo: &RepoName,
    stage: &Stage,
    to: Option<&BundleId>,
    (by, reason): (Actor, String),
) {
    let Ok(target) = target(&work.state, repo, stage, to) else { return };
    let slot = work.state.slot(repo, stage);
    let left = slot.candidate.map(|candidate| candidate.bundle).or(slot.current);
    lift(work, &target, stage);
    let Some(bundle) = work.state.bundles.get(&target).cloned() else { return };
    let made = (by.clone(), reason.clone());
    let promotion = new_promotion(work, &bundle, stage, Kind::Rollback, made);
    // Going back is the safe direction: it does not wait for what is going on.
    supersede(work, &promotion, |other| other.status.is_active());
    work.about = Some(promotion.id.clone());
    if let Some(left) = left.filter(|left| *left != target) {
        veto(work, &promotion, &left, (by.clone(), reason.clone()));
    }
    let hold = Hold { by, reason, at: work.now };
    begin(work, promotion, Some(hold));
}

/// Whoever names what an earlier rollback left wants it back.
fn lift(work: &mut Work, target: &BundleId, stage: &Stage) {
    let Some(mut bundle) = work.state.bundles.get(target).cloned() else { return };
    let before = bundle.vetoes.len();
    let of_rollback =
        |veto: &super::Veto| veto.promotion.is_some() && veto.stage.as_ref() == Some(stage);
    bundle.vetoes.retain(|veto| !of_rollback(veto));
    if bundle.vetoes.len() < before {
        work.say(format!("{target}: its veto in {stage} ends"));
        work.put(Document::Bundle(Box::new(bundle)));
    }
}

/// What a rollback of `stage` leads to.
pub(super) fn target(
    state: &State,
    repo: &RepoName,
    stage: &Stage,
    to: Option<&BundleId>,
) -> Result<BundleId, Refusal> {
    let refuse =
        |message: String, hint: &str| Err(Refusal::new(RefusalKind::Conflict, message, hint));
    let slot = state.slot(repo, stage);
    let by_steps = slot.candidate.is_some();
    let target = match to {
        Some(id) => Some(id.clone()),
        // Most nodes are there still.
        None if by_steps => slot.current.clone(),
        None if slot.last_good != slot.current => slot.last_good.clone(),
        None => slot.before_last_good.clone(),
    };
    let Some(target) = target else {
        let message = format!("{stage} has nothing good to go back to");
        return refuse(message, "name a bundle that succeeded there: rollback STAGE to BUNDLE");
    };
    if slot.current.as_ref() == Some(&target) && !by_steps {
        let message = format!("{stage} serves {target} already");
        return refuse(message, "there is nothing to roll back");
    }
    let Some(bundle) = state.bundles.get(&target) else {
        let hint = "`status` lists the bundles that are known";
        let message = format!("there is no bundle {target}");
        return Err(Refusal::new(RefusalKind::NotFound, message, hint));
    };
    if &bundle.repo != repo || !bundle.verified.contains_key(stage) {
        let message = format!("{target} never succeeded in {stage}");
        let hint = "a rollback leads to what was good there; use promote for anything else";
        return refuse(message, hint);
    }
    Ok(target)
}
