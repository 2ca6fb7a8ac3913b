//! The board as data: what each stage of each pipeline serves, why, and what
//! waits. Pure functions of the view; API and console show the same values.

mod card;

use jiff::Timestamp;
use serde::Serialize;

use crate::model::{Actor, Manifest, Person, RepoName, Stage, StageSpec, Via};
use crate::promote::{self, BundleRecord, BundleStatus, Event, StageSlot};
use crate::reconcile::{MirrorView, Progress, View};

pub(crate) use card::{
    BundleBrief, HoldBrief, Obstacle, PromotionCard, Square, SquareState, StageCard,
};

/// One repository's pipeline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Pipeline {
    pub(crate) repo: RepoName,
    pub(crate) mirror: Option<MirrorView>,
    /// The newest bundle, of any status.
    pub(crate) newest: Option<BundleBrief>,
    /// The newest bundle's cells, as long as its matrix is not complete.
    pub(crate) proving: Vec<Square>,
    /// How far that is.
    pub(crate) progress: Option<Progress>,
    /// In promotion order.
    pub(crate) stages: Vec<StageCard>,
}

/// Every pipeline, sorted by repository.
pub(crate) fn pipelines(view: &View, now: Timestamp) -> Vec<Pipeline> {
    view.manifests.iter().map(|(repo, manifest)| pipeline(view, repo, manifest, now)).collect()
}

/// One pipeline.
pub(crate) fn pipeline(
    view: &View,
    repo: &RepoName,
    manifest: &Manifest,
    now: Timestamp,
) -> Pipeline {
    let stages = manifest.stages.iter().map(|spec| stage_card(view, repo, manifest, spec, now));
    let newest = view.state.newest(repo);
    let proving = newest.filter(|bundle| bundle.status == BundleStatus::Checking);
    Pipeline {
        repo: repo.clone(),
        mirror: view.mirrors.get(repo).cloned(),
        newest: newest.map(BundleBrief::of),
        proving: proving.map(|bundle| all_squares(view, bundle)).unwrap_or_default(),
        progress: proving.map(|bundle| view.progress(&bundle.id)),
        stages: stages.collect(),
    }
}

fn stage_card(
    view: &View,
    repo: &RepoName,
    manifest: &Manifest,
    spec: &StageSpec,
    now: Timestamp,
) -> StageCard {
    let stage = &spec.name;
    let slot = view.state.slot(repo, stage);
    let live = slot.current.as_ref().and_then(|id| view.state.bundles.get(id));
    let open = view.state.open(repo, stage).into_iter().map(|p| PromotionCard::of(view, p));
    let fleet = view.fleet.get(&(repo.clone(), stage.clone()));
    let candidate = candidate(view, repo, manifest, stage, &slot);
    StageCard {
        stage: stage.clone(),
        live: live.map(BundleBrief::of),
        epoch: slot.epoch,
        since: slot.since,
        by: slot.by.as_ref().map(ToString::to_string),
        matrix: live.map(|bundle| squares(view, bundle, stage)).unwrap_or_default(),
        fleet: fleet.copied().unwrap_or_default(),
        hold: slot.hold.as_ref().map(HoldBrief::of),
        approvals_needed: spec.approvals,
        auto: spec.auto,
        open: open.collect(),
        obstacle: candidate.and_then(|bundle| obstacle(view, bundle, stage, now)),
        candidate: candidate.map(BundleBrief::of),
        rollback: rollback_target(view, &slot).map(BundleBrief::of),
    }
}

/// The first stage takes the newest bundle, every other what the stage
/// before it serves, unless it, or a bundle that renders to the same, is
/// served already, or it is on its way.
fn candidate<'a>(
    view: &'a View,
    repo: &RepoName,
    manifest: &Manifest,
    stage: &Stage,
    slot: &StageSlot,
) -> Option<&'a BundleRecord> {
    let bundle = match manifest.previous(stage) {
        None => view.state.newest_eligible(repo)?,
        Some(previous) => {
            view.state.bundles.get(&view.state.slot(repo, &previous.name).current?)?
        }
    };
    let live = slot.current.as_ref().and_then(|id| view.state.bundles.get(id));
    let output = |bundle: &BundleRecord| bundle.render.get(stage).copied();
    let same = |live: &BundleRecord| output(live).is_some() && output(live) == output(bundle);
    let served = live.is_some_and(|live| live.id == bundle.id || same(live));
    let asked = view.state.open(repo, stage).iter().any(|open| open.bundle == bundle.id);
    (!served && !asked).then_some(bundle)
}

/// Why nobody could ask for the bundle now, whoever they are.
fn obstacle(view: &View, bundle: &BundleRecord, stage: &Stage, now: Timestamp) -> Option<Obstacle> {
    let by = Actor::person(Person::new("anybody").ok()?, Via::Web);
    let (repo, stage, id) = (bundle.repo.clone(), stage.clone(), bundle.id.clone());
    let reason = String::new();
    let event = Event::Request { repo, stage, bundle: id, by, reason, after: None };
    let refusal = promote::allowed(&view.state, &event, now).err()?.into_iter().next()?;
    Some(Obstacle { message: refusal.message, hint: refusal.hint })
}

fn rollback_target<'a>(view: &'a View, slot: &StageSlot) -> Option<&'a BundleRecord> {
    let current = slot.current.as_ref()?;
    let mut good = [&slot.last_good, &slot.before_last_good].into_iter().flatten();
    view.state.bundles.get(good.find(|id| *id != current)?)
}

/// Every square that the bundle's manifest asks for in `stage`.
pub(crate) fn squares(view: &View, bundle: &BundleRecord, stage: &Stage) -> Vec<Square> {
    let square = |cell| match bundle.result(&cell) {
        Some(result) => Square {
            stage: cell.stage,
            version: cell.version,
            state: SquareState::of(result.outcome),
            reasons: result.reasons.clone(),
            took_ms: result.took_ms,
            checks: result.checks,
            cached: result.cached,
            since: None,
            evidence: result.proof.evidence,
            unfenced: result.proof.unfenced.clone(),
        },
        None => {
            let since = view.running.get(&(bundle.id.clone(), cell.clone())).copied();
            let state = if since.is_some() { SquareState::Running } else { SquareState::Waiting };
            Square {
                stage: cell.stage,
                version: cell.version,
                state,
                reasons: Vec::new(),
                took_ms: 0,
                checks: 0,
                cached: false,
                since,
                evidence: None,
                unfenced: None,
            }
        }
    };
    bundle.cells(stage).into_iter().map(square).collect()
}

/// Every square of every stage.
pub(crate) fn all_squares(view: &View, bundle: &BundleRecord) -> Vec<Square> {
    let stages = bundle.manifest.stages.iter();
    stages.flat_map(|spec| squares(view, bundle, &spec.name)).collect()
}

#[cfg(test)]
pub(crate) mod tests;
