//! What each event changes by itself, before anything moves on.

use std::collections::BTreeSet;

use super::advance::{activate, end, move_pointer};
use super::gate::{Policy, evaluate};
use super::record::{
    Approval, BundleRecord, BundleStatus, DiffStat, Hold, Kind, Plan, Promotion, State, Status,
};
use super::step::{Document, Effect, Event, Refusal, RefusalKind, Work};
use crate::model::{
    Actor, BundleId, CellResult, ContentHash, Outcome, Person, PromotionId, RepoName, Stage,
};

type Answer = Result<(), Refusal>;

pub(super) fn answer(work: &mut Work, event: Event) -> Answer {
    match event {
        Event::Tick => Ok(()),
        Event::Bundle(bundle) => record_bundle(work, *bundle),
        Event::Cell(id, result) => record_cell(work, &id, result),
        Event::Request { repo, stage, bundle, by, reason } => {
            request(work, &repo, &stage, &bundle, by, reason)
        }
        Event::Approve { id, by, plan, note } => approve(work, &id, &by, plan.as_deref(), note),
        Event::Reject { id, by, reason } => reject(work, &id, &by, reason),
        Event::Cancel { id, by, reason } => cancel(work, &id, &by, reason),
        Event::Rollback { repo, stage, to, by, reason } => {
            rollback(work, &repo, &stage, to, by, reason)
        }
        Event::Settled { id, detail } => settle(work, &id, &detail),
        Event::Refused { id, detail } => fail(work, &id, detail),
    }
}

fn record_bundle(work: &mut Work, bundle: BundleRecord) -> Answer {
    if work.state.bundles.contains_key(&bundle.id) {
        work.already = true;
        return Ok(());
    }
    let word = match bundle.status {
        BundleStatus::Rejected => format!("rejected, {} problem(s)", bundle.problems.len()),
        _ => "recorded".into(),
    };
    work.say(format!(
        "{}: revision {} of {} {word}",
        bundle.id, bundle.commit.revision, bundle.repo
    ));
    work.put(Document::Bundle(Box::new(bundle)));
    Ok(())
}

fn record_cell(work: &mut Work, id: &BundleId, result: CellResult) -> Answer {
    let mut bundle = find_bundle(&work.state, id)?.clone();
    let same = |known: &CellResult| match result.outcome {
        // Why it could not run may have changed; a verdict stands.
        Outcome::Errored => known.outcome == result.outcome && known.reasons == result.reasons,
        outcome => known.outcome == outcome,
    };
    if bundle.result(&result.cell).is_some_and(same) {
        work.already = true;
        return Ok(());
    }
    let word = match result.outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "failed",
        Outcome::Errored => "could not run",
    };
    work.say(format!("{id}: {} {word}", result.cell));
    bundle.matrix.retain(|known| known.cell != result.cell);
    bundle.matrix.push(result);
    bundle.matrix.sort_by(|a, b| a.cell.cmp(&b.cell));
    let all_ran = bundle
        .manifest
        .stages
        .iter()
        .flat_map(|spec| work.state.cells(&bundle, &spec.name))
        .all(|cell| bundle.result(&cell).is_some());
    if all_ran && bundle.status == BundleStatus::Checking {
        bundle.status = BundleStatus::Eligible;
    }
    work.put(Document::Bundle(Box::new(bundle)));
    Ok(())
}

fn find_bundle<'a>(state: &'a State, id: &BundleId) -> Result<&'a BundleRecord, Refusal> {
    state.bundles.get(id).ok_or_else(|| {
        let hint = "`status` lists the bundles that are known";
        Refusal::new(RefusalKind::NotFound, format!("there is no bundle {id}"), hint)
    })
}

fn find_open<'a>(state: &'a State, id: &PromotionId) -> Result<&'a Promotion, Refusal> {
    let promotion = state.promotions.get(id).ok_or_else(|| {
        let hint = "`status` lists the promotions under way";
        Refusal::new(RefusalKind::NotFound, format!("there is no promotion {id}"), hint)
    })?;
    if promotion.status == Status::Gated {
        return Ok(promotion);
    }
    let message = format!("{id} is {} already", promotion.status.word());
    Err(Refusal::new(RefusalKind::Conflict, message, "nothing is left to decide about it"))
}

fn person(by: &Actor) -> Result<&Person, Refusal> {
    by.person.as_ref().ok_or_else(|| {
        let message = "only a person can decide this";
        Refusal::new(
            RefusalKind::Forbidden,
            message,
            "act as somebody whom the configuration names",
        )
    })
}

pub(super) fn request(
    work: &mut Work,
    repo: &RepoName,
    stage: &Stage,
    id: &BundleId,
    by: Actor,
    reason: String,
) -> Answer {
    let bundle = find_bundle(&work.state, id)?.clone();
    refuse_unfit(&work.state, &bundle, repo, stage)?;
    // What automation asks for waits while the stage is held; a person's wish
    // ends the hold, so it is another one.
    let held = work.state.slot(repo, stage).hold.is_some();
    let stronger =
        |open: &Promotion| held && open.requested_by.person.is_none() && by.person.is_some();
    let same = |open: &&Promotion| &open.bundle == id && !stronger(open);
    if let Some(open) = work.state.open(repo, stage).into_iter().find(same) {
        work.about = Some(open.id.clone());
        work.already = true;
        return Ok(());
    }
    let promotion = new_promotion(work, &bundle, stage, Kind::Promote, by, reason);
    supersede(work, &promotion, |other| other.status == Status::Gated);
    let current = work.state.slot(repo, stage).current;
    let current = current.and_then(|current| work.state.bundles.get(&current));
    let unchanged = current.is_some_and(|current| current.equals_in(&bundle, stage));
    work.about = Some(promotion.id.clone());
    if unchanged {
        let reason = format!("{stage} renders the same for {id} as for what it serves");
        end(work, promotion, Status::Noop, Actor::system(), reason);
        return Ok(());
    }
    let line = format!("{}: {} asks for {id} in {stage}", promotion.id, promotion.requested_by);
    work.say(line);
    work.fire(Effect::Announce(promotion.id.clone()));
    work.put(Document::Promotion(Box::new(promotion)));
    Ok(())
}

fn refuse_unfit(state: &State, bundle: &BundleRecord, repo: &RepoName, stage: &Stage) -> Answer {
    if &bundle.repo != repo {
        let message = format!("{} is a bundle of {}, not of {repo}", bundle.id, bundle.repo);
        return Err(Refusal::new(
            RefusalKind::Invalid,
            message,
            "name a bundle of that repository",
        ));
    }
    if bundle.status == BundleStatus::Rejected {
        let message = format!("{} was rejected: {} problem(s)", bundle.id, bundle.problems.len());
        let hint = "mend the problems in a new commit; the bundle's page lists them";
        return Err(Refusal::new(RefusalKind::Conflict, message, hint));
    }
    if bundle.manifest.stage(stage).is_none() {
        let names: Vec<_> = bundle.manifest.stages.iter().map(|s| s.name.as_str()).collect();
        let message = format!("{} has no stage {stage}", bundle.id);
        let hint = format!("its stages are {}", names.join(", "));
        return Err(Refusal::new(RefusalKind::NotFound, message, hint));
    }
    if state.slot(repo, stage).current.as_ref() == Some(&bundle.id) {
        let message = format!("{stage} serves {} already", bundle.id);
        return Err(Refusal::new(RefusalKind::Conflict, message, "there is nothing to promote"));
    }
    Ok(())
}

fn new_promotion(
    work: &Work,
    bundle: &BundleRecord,
    stage: &Stage,
    kind: Kind,
    by: Actor,
    reason: String,
) -> Promotion {
    let blank = Plan {
        digest: ContentHash([0; 32]),
        epoch: 0,
        from: None,
        to: bundle.id.clone(),
        diff: DiffStat::default(),
    };
    let mut promotion = Promotion {
        id: work.state.next_promotion(),
        repo: bundle.repo.clone(),
        stage: stage.clone(),
        bundle: bundle.id.clone(),
        kind,
        requested_by: by,
        requested_at: work.now,
        reason,
        status: Status::Gated,
        plan: blank,
        approvals: Vec::new(),
        gates: Vec::new(),
        applied_at: None,
        ending: None,
    };
    (promotion.plan, promotion.gates) = evaluate(&work.state, &promotion, work.now);
    promotion
}

/// Ends every open promotion of the same stage that `which` picks.
fn supersede(work: &mut Work, by: &Promotion, which: impl Fn(&Promotion) -> bool) {
    let open = work.state.open(&by.repo, &by.stage);
    let older: Vec<Promotion> = open.into_iter().filter(|other| which(other)).cloned().collect();
    for promotion in older {
        let reason = format!("{} took its place", by.id);
        end(work, promotion, Status::Superseded, by.requested_by.clone(), reason);
    }
}

fn approve(
    work: &mut Work,
    id: &PromotionId,
    by: &Actor,
    seen: Option<&str>,
    note: String,
) -> Answer {
    let mut promotion = find_open(&work.state, id)?.clone();
    let who = person(by)?.clone();
    let bundle = find_bundle(&work.state, &promotion.bundle)?;
    let (plan, gates) = evaluate(&work.state, &promotion, work.now);
    let authors = work.state.authors(bundle, &promotion.stage);
    refuse_vote(&promotion, &authors, &Policy::of(&work.state, bundle, &promotion.stage), &who)?;
    refuse_stale(&promotion, &plan, seen)?;
    work.about = Some(id.clone());
    if promotion.approvals.iter().any(|vote| vote.by == who && vote.plan == plan.digest) {
        work.already = true;
        return Ok(());
    }
    if let Some(gate) = gates.iter().find(|g| g.kind == super::GateKind::Matrix && !g.open) {
        let message = format!("{id} can't be approved yet: {}", gate.detail);
        let hint = "an approval is for the results too; wait until every cell has passed";
        return Err(Refusal::new(RefusalKind::Conflict, message, hint));
    }
    work.say(format!("{id}: {who} approves {}", plan.digest.short()));
    let vote = Approval { by: who, via: by.via, plan: plan.digest, at: work.now, note };
    promotion.approvals.push(vote);
    (promotion.plan, promotion.gates) = evaluate(&work.state, &promotion, work.now);
    work.fire(Effect::Announce(id.clone()));
    work.put(Document::Promotion(Box::new(promotion)));
    Ok(())
}

fn refuse_vote(
    promotion: &Promotion,
    authors: &BTreeSet<Person>,
    policy: &Policy,
    who: &Person,
) -> Answer {
    let refuse =
        |message: String, hint: &str| Err(Refusal::new(RefusalKind::Forbidden, message, hint));
    if authors.contains(who) {
        let message = format!("{who} is an author of {} and can't approve it", promotion.bundle);
        return refuse(message, "somebody who did not write it must approve");
    }
    if promotion.requested_by.person.as_ref() == Some(who) {
        let message = format!("{who} asked for {} and can't approve it", promotion.id);
        return refuse(message, "somebody other than the requester must approve");
    }
    if !policy.allows(who.as_str()) {
        let message = format!("{who} is not an approver of {}", promotion.stage);
        return refuse(message, "the stage's `approvers` in convoy.yaml says who is");
    }
    Ok(())
}

fn refuse_stale(promotion: &Promotion, plan: &Plan, seen: Option<&str>) -> Answer {
    let digest = plan.digest.to_string();
    match seen {
        Some(seen) if seen.len() < 4 || !digest.starts_with(seen) => {
            let message = format!("this card of {} is out of date", promotion.id);
            let hint = format!("look at it again: the plan is {} now", plan.digest.short());
            Err(Refusal::new(RefusalKind::Conflict, message, hint))
        }
        _ => Ok(()),
    }
}

fn reject(work: &mut Work, id: &PromotionId, by: &Actor, reason: String) -> Answer {
    let promotion = find_open(&work.state, id)?.clone();
    person(by)?;
    work.about = Some(id.clone());
    end(work, promotion, Status::Rejected, by.clone(), reason);
    Ok(())
}

fn cancel(work: &mut Work, id: &PromotionId, by: &Actor, reason: String) -> Answer {
    let promotion = find_open(&work.state, id)?.clone();
    let who = person(by)?;
    if promotion.requested_by.person.as_ref().is_some_and(|requester| requester != who) {
        let message = format!("{id} is {}'s; {who} can't cancel it", promotion.requested_by);
        return Err(Refusal::new(RefusalKind::Forbidden, message, "`reject` it instead"));
    }
    work.about = Some(id.clone());
    end(work, promotion, Status::Cancelled, by.clone(), reason);
    Ok(())
}

fn rollback(
    work: &mut Work,
    repo: &RepoName,
    stage: &Stage,
    to: Option<BundleId>,
    by: Actor,
    reason: String,
) -> Answer {
    person(&by)?;
    if reason.trim().is_empty() {
        let message = format!("a rollback of {stage} needs a reason");
        return Err(Refusal::new(RefusalKind::Invalid, message, "say why: --reason \"…\""));
    }
    let target = rollback_target(&work.state, repo, stage, to)?;
    let bundle = find_bundle(&work.state, &target)?.clone();
    let promotion = new_promotion(work, &bundle, stage, Kind::Rollback, by.clone(), reason.clone());
    // Going back is the safe direction: it does not wait for what is going on.
    supersede(work, &promotion, |other| other.status == Status::Applying);
    work.about = Some(promotion.id.clone());
    let hold = Hold { by, reason, at: work.now };
    activate(work, promotion, Some(hold));
    Ok(())
}

fn rollback_target(
    state: &State,
    repo: &RepoName,
    stage: &Stage,
    to: Option<BundleId>,
) -> Result<BundleId, Refusal> {
    let mut bundles = state.bundles.values().filter(|bundle| &bundle.repo == repo);
    if !bundles.any(|bundle| bundle.manifest.stage(stage).is_some()) {
        let message = format!("{repo} has no stage {stage}");
        return Err(Refusal::new(RefusalKind::NotFound, message, "`status` lists the stages"));
    }
    let slot = state.slot(repo, stage);
    let target = match to {
        Some(id) => Some(find_bundle(state, &id)?.id.clone()),
        None if slot.last_good != slot.current => slot.last_good.clone(),
        None => slot.before_last_good.clone(),
    };
    let Some(target) = target else {
        let message = format!("{stage} has nothing good to go back to");
        let hint = "name a bundle that succeeded there: rollback STAGE to BUNDLE";
        return Err(Refusal::new(RefusalKind::Conflict, message, hint));
    };
    if slot.current.as_ref() == Some(&target) {
        let message = format!("{stage} serves {target} already");
        return Err(Refusal::new(RefusalKind::Conflict, message, "there is nothing to roll back"));
    }
    let bundle = find_bundle(state, &target)?;
    if &bundle.repo != repo || !bundle.verified.contains_key(stage) {
        let message = format!("{target} never succeeded in {stage}");
        let hint = "a rollback leads to what was good there; use promote for anything else";
        return Err(Refusal::new(RefusalKind::Conflict, message, hint));
    }
    Ok(target)
}

fn applying(state: &State, id: &PromotionId) -> Option<Promotion> {
    state.promotions.get(id).filter(|promotion| promotion.status == Status::Applying).cloned()
}

fn settle(work: &mut Work, id: &PromotionId, detail: &str) -> Answer {
    let Some(promotion) = applying(&work.state, id) else {
        work.already = true;
        return Ok(());
    };
    let mut slot = work.state.slot(&promotion.repo, &promotion.stage);
    if slot.last_good.as_ref() != Some(&promotion.bundle) {
        slot.before_last_good = match promotion.kind {
            Kind::Promote => slot.last_good.take(),
            // What was left behind is not where the next rollback leads.
            Kind::Rollback => slot.before_last_good.filter(|bundle| *bundle != promotion.bundle),
        };
        slot.last_good = Some(promotion.bundle.clone());
    }
    if let Some(mut bundle) = work.state.bundles.get(&promotion.bundle).cloned() {
        bundle.verified.insert(promotion.stage.clone(), work.now);
        work.put(Document::Bundle(Box::new(bundle)));
    }
    work.put(Document::Slot(slot));
    work.about = Some(id.clone());
    let reason = format!("{} serves {}: {detail}", promotion.stage, promotion.bundle);
    end(work, promotion, Status::Succeeded, Actor::system(), reason);
    Ok(())
}

fn fail(work: &mut Work, id: &PromotionId, detail: String) -> Answer {
    let Some(promotion) = applying(&work.state, id) else {
        work.already = true;
        return Ok(());
    };
    work.about = Some(id.clone());
    let slot = work.state.slot(&promotion.repo, &promotion.stage);
    let mut good = [&slot.last_good, &slot.before_last_good].into_iter().flatten();
    let good = good.find(|good| **good != promotion.bundle).cloned();
    if promotion.kind == Kind::Promote {
        let hold = Hold {
            by: Actor::system(),
            reason: format!("{id} was refused: {detail}"),
            at: work.now,
        };
        move_pointer(work, &promotion, good, Actor::system(), Some(hold));
    }
    end(work, promotion, Status::Failed, Actor::system(), detail);
    Ok(())
}
