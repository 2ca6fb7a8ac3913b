//! What is told to the state machine: bundles, results of cells, how nodes
//! stand, what is measured. Facts that are no news change nothing.

use super::bundle::{BundleRecord, BundleStatus};
use super::course::{acked_percent, fail, is_news, keep, rolled_back, taken};
use super::event::Event;
use super::health::{Measured, MetricValue, asks};
use super::promotion::{Promotion, Status};
use super::state::State;
use super::step::{Document, Effect, Work};
use super::steps::StepState;
use crate::model::{BundleId, Cell, CellResult, Outcome, PromotionId, Stage};

pub(super) fn answer(work: &mut Work, event: Event) {
    match event {
        Event::Bundle(bundle) => record_bundle(work, *bundle),
        Event::Cell(id, result) => record_cell(work, &id, result),
        Event::Settled { id, detail } => settled(work, &id, &detail),
        Event::Refused { id, detail } => refused(work, &id, detail),
        Event::StepFacts { id, epoch, step, nodes, acked, refused } => {
            step_facts(work, &id, (epoch, step), (nodes, acked), refused);
        }
        Event::Metric { id, name, value } => metric(work, &id, name, value),
        Event::Drift { id, detail } => drift(work, &id, detail),
        Event::Retest { bundle, stage, version, by } => {
            let line = format!("{by} has cells of {bundle} run again");
            retest(work, &bundle, &stage, &version, line);
        }
        _ => {}
    }
}

fn record_bundle(work: &mut Work, mut bundle: BundleRecord) {
    if work.state.bundles.contains_key(&bundle.id) {
        work.already = true;
        return;
    }
    let word = match bundle.status {
        BundleStatus::Rejected => format!("rejected, {} problem(s)", bundle.problems.len()),
        _ => "recorded".into(),
    };
    work.say(format!(
        "{}: revision {} of {} {word}",
        bundle.id, bundle.commit.revision, bundle.repo
    ));
    // A bundle brings no vetoes along, and none of its own past.
    bundle.vetoes.clear();
    work.put(Document::Bundle(Box::new(bundle)));
}

fn record_cell(work: &mut Work, id: &BundleId, result: CellResult) {
    let Some(mut bundle) = work.state.bundles.get(id).cloned() else {
        work.already = true;
        return;
    };
    let same = |known: &CellResult| match result.outcome {
        // Why it could not run may have changed; a verdict stands.
        Outcome::Errored => known.outcome == result.outcome && known.reasons == result.reasons,
        outcome => known.outcome == outcome,
    };
    if bundle.result(&result.cell).is_some_and(same) {
        work.already = true;
        return;
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
    let cells = cells_of(&work.state, &bundle, &None, &None);
    let all_ran = cells.iter().all(|cell| bundle.result(cell).is_some());
    if all_ran && bundle.status == BundleStatus::Checking {
        bundle.status = BundleStatus::Eligible;
    }
    work.put(Document::Bundle(Box::new(bundle)));
}

/// The cells of a bundle, of one stage or version where one is named.
pub(super) fn cells_of(
    state: &State,
    bundle: &BundleRecord,
    stage: &Option<Stage>,
    version: &Option<String>,
) -> Vec<Cell> {
    let stages = bundle.manifest.stages.iter().map(|spec| &spec.name);
    let stages = stages.filter(|name| stage.as_ref().is_none_or(|stage| stage == *name));
    let cells = stages.flat_map(|name| state.cells(bundle, name));
    cells.filter(|cell| version.as_ref().is_none_or(|version| *version == cell.version)).collect()
}

fn retest(
    work: &mut Work,
    id: &BundleId,
    stage: &Option<Stage>,
    version: &Option<String>,
    line: String,
) {
    let Some(mut bundle) = work.state.bundles.get(id).cloned() else { return };
    let cells = cells_of(&work.state, &bundle, stage, version);
    work.say(line);
    bundle.matrix.retain(|result| !cells.contains(&result.cell));
    if bundle.status == BundleStatus::Eligible {
        bundle.status = BundleStatus::Checking;
    }
    work.fire(Effect::Retest { bundle: id.clone(), cells });
    work.put(Document::Bundle(Box::new(bundle)));
}

fn under_way(work: &mut Work, id: &PromotionId) -> Option<Promotion> {
    let found = work.state.promotions.get(id).filter(|one| one.status.is_active()).cloned();
    if found.is_none() {
        work.already = true;
    }
    found
}

/// All the nodes of the stage have what they are served now.
fn settled(work: &mut Work, id: &PromotionId, detail: &str) {
    let Some(promotion) = under_way(work, id) else { return };
    let whole = promotion.step.as_ref().is_none_or(StepState::is_last);
    match promotion.status {
        Status::Applying if whole => {
            work.about = Some(id.clone());
            taken(work, promotion, detail);
        }
        Status::RollingBack | Status::Stuck => {
            work.about = Some(id.clone());
            back_again(work, promotion, detail);
        }
        _ => work.already = true,
    }
}

/// What was before is back: the end of a failure, and of a person's way back.
fn back_again(work: &mut Work, promotion: Promotion, detail: &str) {
    match promotion.kind {
        super::Kind::Promote => rolled_back(work, promotion),
        super::Kind::Rollback => taken(work, promotion, detail),
    }
}

fn refused(work: &mut Work, id: &PromotionId, detail: String) {
    let Some(promotion) = under_way(work, id) else { return };
    // What failed once, or is given up, does not fail again.
    if promotion.status == Status::Stuck || is_held(&promotion) {
        work.already = true;
        return;
    }
    work.about = Some(id.clone());
    fail(work, promotion, detail);
}

fn is_held(promotion: &Promotion) -> bool {
    let paused = promotion.step.as_ref().and_then(|step| step.paused.as_ref());
    promotion.status == Status::Paused
        && paused.is_some_and(|pause| pause.cause == super::PauseCause::Failure)
}

fn step_facts(
    work: &mut Work,
    id: &PromotionId,
    of: (u64, u32),
    (nodes, acked): (u32, u32),
    refused_by: Option<String>,
) {
    let Some(mut promotion) = under_way(work, id) else { return };
    let percent = acked_percent(&promotion);
    // What goes at once is over before anybody reads how far it is.
    let by_steps = promotion.course.as_ref().is_some_and(|course| course.rollout.is_some());
    let Some(step) = promotion.step.as_mut().filter(|step| (step.epoch, step.index) == of) else {
        // Of a step that is past: whoever told it has not seen this one.
        work.already = true;
        return;
    };
    if let Some(detail) = refused_by {
        return refused(work, id, detail);
    }
    let acked = acked.min(nodes);
    let enough = u64::from(acked) * 100 >= u64::from(nodes) * u64::from(percent);
    let first = by_steps && (step.nodes, step.acked) == (0, 0) && nodes > 0;
    let waits = matches!(promotion.status, Status::Applying | Status::RollingBack | Status::Stuck);
    if !waits || (!enough && !first) {
        work.already = true;
        return;
    }
    (step.nodes, step.acked) = (nodes, acked);
    work.about = Some(id.clone());
    if !enough {
        work.say(format!("{id}: {acked} of {nodes} connected node(s) have it"));
        return keep(work, promotion);
    }
    let detail = match nodes {
        0 => "no node of the step is connected".to_owned(),
        _ => format!("{acked} of {nodes} connected node(s) took it"),
    };
    match promotion.status {
        Status::Applying => taken(work, promotion, &detail),
        _ => back_again(work, promotion, &detail),
    }
}

fn metric(work: &mut Work, id: &PromotionId, name: String, value: MetricValue) {
    let found = work.state.promotions.get(id).filter(|one| !one.status.is_terminal()).cloned();
    let Some(mut promotion) = found else {
        work.already = true;
        return;
    };
    let asked = asks(&work.state, &promotion).iter().any(|rule| rule.name == name);
    if !asked || !is_news(&promotion, &name, &value) {
        work.already = true;
        return;
    }
    let word = match &value {
        MetricValue::Pass => "is within its bounds".to_owned(),
        MetricValue::Fail(detail) => format!("is out of its bounds: {detail}"),
        MetricValue::Inconclusive(detail) => format!("is inconclusive: {detail}"),
        MetricValue::Unreachable(detail) => format!("can't be measured: {detail}"),
    };
    work.say(format!("{id}: {name} {word}"));
    promotion.metrics.insert(name, Measured { value, at: work.now });
    work.about = Some(id.clone());
    keep(work, promotion);
}

/// Nodes have something else than they are served: at the end of a promotion
/// that is a failure; before it, the step's nodes are not done.
fn drift(work: &mut Work, id: &PromotionId, detail: String) {
    let Some(promotion) = under_way(work, id) else { return };
    if promotion.status != Status::Verifying {
        work.already = true;
        return;
    }
    work.about = Some(id.clone());
    fail(work, promotion, format!("nodes have something else: {detail}"));
}
