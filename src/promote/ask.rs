//! New promotions.

use jiff::Timestamp;

use super::advance::end;
use super::blocks::vetoed;
use super::bundle::BundleRecord;
use super::course::keep;
use super::gate::evaluate;
use super::promotion::{DiffStat, Kind, Plan, Promotion, Status};
use super::step::Work;
use crate::model::{Actor, BundleId, ContentHash, RepoName, Stage};

/// Somebody, or automation, asks for a bundle in a stage.
pub(super) fn request(
    work: &mut Work,
    (repo, stage): (&RepoName, &Stage),
    id: &BundleId,
    (by, reason): (Actor, String),
    after: Option<Timestamp>,
) {
    let Some(bundle) = work.state.bundles.get(id).cloned() else { return };
    let same = |open: &&Promotion| &open.bundle == id && open.kind == Kind::Promote;
    let known = work.state.open(repo, stage).into_iter().find(same).map(|open| open.id.clone());
    if let Some(known) = known {
        work.about = Some(known);
        work.already = true;
        return;
    }
    let mut promotion = new_promotion(work, &bundle, stage, Kind::Promote, (by, reason));
    promotion.after = after;
    (promotion.plan, promotion.gates) = evaluate(&work.state, &promotion, work.now);
    // Automation does not end an emergency.
    let by_person = promotion.requested_by.person.is_some();
    supersede(work, &promotion, |other| {
        other.status.is_waiting() && (by_person || other.breakglass.is_none())
    });
    work.about = Some(promotion.id.clone());
    let current = work.state.current(repo, stage);
    if current.is_some_and(|current| current.equals_in(&bundle, stage)) {
        let reason = format!("{stage} renders the same for {id} as for what it serves");
        return end(work, promotion, Status::Noop, Actor::system(), reason);
    }
    let line = format!("{}: {} asks for {id} in {stage}", promotion.id, promotion.requested_by);
    work.say(line);
    keep(work, promotion);
}

pub(super) fn new_promotion(
    work: &Work,
    bundle: &BundleRecord,
    stage: &Stage,
    kind: Kind,
    (by, reason): (Actor, String),
) -> Promotion {
    let blank = Plan {
        digest: ContentHash::of(&[]),
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
        after: None,
        step: None,
        course: None,
        metrics: Default::default(),
        cause: None,
        breakglass: None,
    };
    (promotion.plan, promotion.gates) = evaluate(&work.state, &promotion, work.now);
    promotion
}

/// Ends every open promotion of the same stage that `which` picks.
pub(super) fn supersede(work: &mut Work, by: &Promotion, which: impl Fn(&Promotion) -> bool) {
    let open = work.state.open(&by.repo, &by.stage);
    let older: Vec<Promotion> = open.into_iter().filter(|other| which(other)).cloned().collect();
    for promotion in older {
        let reason = format!("{} took its place", by.id);
        end(work, promotion, Status::Superseded, by.requested_by.clone(), reason);
    }
}

/// What the stages that are marked `auto` want now.
pub(super) fn automatic(work: &mut Work) {
    for (repo, stage, bundle) in wishes(work) {
        let reason = "the stage takes what is eligible".to_owned();
        request(work, (&repo, &stage), &bundle, (Actor::system(), reason), None);
    }
}

fn wishes(work: &Work) -> Vec<(RepoName, Stage, BundleId)> {
    let state = &work.state;
    let mut wishes = Vec::new();
    for repo in state.repos() {
        let Some(newest) = state.newest_eligible(&repo) else { continue };
        for spec in newest.manifest.stages.iter().filter(|spec| spec.auto) {
            // A commit can't make a stage automatic for itself.
            let current = state.current(&repo, &spec.name);
            let was = current.and_then(|current| current.manifest.stage(&spec.name));
            if was.is_none_or(|was| was.auto) && wants(work, &repo, &spec.name, newest) {
                wishes.push((repo.clone(), spec.name.clone(), newest.id.clone()));
            }
        }
    }
    wishes
}

fn wants(work: &Work, repo: &RepoName, stage: &Stage, bundle: &BundleRecord) -> bool {
    let state = &work.state;
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
    let vetoed = vetoed(state, bundle, stage).is_some();
    slot.hold.is_none() && !vetoed && !serves_it && !newer_serves && !asked && ready_before
}
