//! By which steps a stage's nodes take something, and how the fleet before it
//! must stand.

use std::time::Duration;

use super::{duration, nodes};
use crate::model::{FleetRule, OnFailure, Rollout, RolloutStep, Subset};
use crate::render::document::{Node, Value};
use crate::render::mistakes::{Fields, Mistakes};

const FLEET_FIELDS: [&str; 1] = ["acked"];
const ROLLOUT_FIELDS: [&str; 5] = ["acked", "deadline", "steps", "bake", "on_failure"];
const STEP_FIELDS: [&str; 5] = ["percent", "localities", "nodes", "bake", "pause"];
/// People watch every one of them.
const STEPS_MAX: usize = 20;
/// A step that takes longer is nobody's to watch.
const WAIT_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Reads `fleet`.
pub(super) fn fleet(mistakes: &mut Mistakes<'_>, node: &Node) -> Option<FleetRule> {
    let fields = mistakes.fields(node, "`fleet`", &FLEET_FIELDS)?;
    let Some(node) = fields.get("acked") else {
        let message = "`fleet` must have `acked`";
        mistakes.hint(fields.at, "missing-field", message, "as in `fleet: {acked: 95%}`");
        return None;
    };
    percent(mistakes, node, "`acked`").map(|acked_percent| FleetRule { acked_percent })
}

/// Reads `rollout`.
pub(super) fn read(mistakes: &mut Mistakes<'_>, node: &Node) -> Option<Rollout> {
    let fields = mistakes.fields(node, "`rollout`", &ROLLOUT_FIELDS)?;
    let default = Rollout::default();
    let acked = fields.get("acked").and_then(|node| percent(mistakes, node, "`acked`"));
    let deadline = seconds(mistakes, &fields, "deadline");
    if let (Some(0), Some(node)) = (deadline, fields.get("deadline")) {
        mistakes.note(node.at, "out-of-range", "`deadline` must be at least one second");
    }
    let steps = fields.get("steps").map(|node| steps(mistakes, node)).unwrap_or_default();
    let on_failure = match fields.get("on_failure") {
        None => OnFailure::default(),
        Some(node) => match mistakes.text(node, "`on_failure`")? {
            "roll_back" => OnFailure::RollBack,
            "hold" => OnFailure::Hold,
            other => {
                let message = format!("`on_failure` must be `roll_back` or `hold`, not `{other}`");
                mistakes.note(node.at, "bad-value", message);
                return None;
            }
        },
    };
    Some(Rollout {
        acked_percent: acked.unwrap_or(default.acked_percent),
        deadline_seconds: deadline.unwrap_or(default.deadline_seconds),
        steps,
        bake_seconds: seconds(mistakes, &fields, "bake").unwrap_or(0),
        on_failure,
    })
}

fn seconds(mistakes: &mut Mistakes<'_>, fields: &Fields<'_>, name: &str) -> Option<u64> {
    let node = fields.get(name)?;
    let duration = duration::read(mistakes, node, &format!("`{name}`"), WAIT_MAX)?;
    // Half a second is some time, not none.
    Some(duration.as_millis().div_ceil(1000) as u64)
}

fn steps(mistakes: &mut Mistakes<'_>, node: &Node) -> Vec<RolloutStep> {
    let items = mistakes.list(node, "`steps`");
    if items.len() > STEPS_MAX {
        let message = format!("a rollout can have {STEPS_MAX} steps, not {}", items.len());
        mistakes.note(node.at, "out-of-range", message);
    }
    let mut steps: Vec<RolloutStep> = Vec::new();
    for item in items {
        let Some(step) = step(mistakes, item) else { continue };
        let before = steps.iter().filter_map(|step| step.subset.percent).max();
        if step.subset.percent.is_some_and(|percent| Some(percent) <= before) {
            let message = "`percent` must be more than in the steps before it";
            let hint = "it is the share of all nodes that have taken it, not of those that follow";
            mistakes.hint(item.at, "out-of-range", message, hint);
        }
        steps.push(step);
    }
    steps
}

fn step(mistakes: &mut Mistakes<'_>, node: &Node) -> Option<RolloutStep> {
    let fields = mistakes.fields(node, "a step", &STEP_FIELDS)?;
    let mut globs_of = |name: &str| {
        fields.get(name).map(|node| nodes::globs(mistakes, node, &format!("`{name}`")))
    };
    let (localities, ids) = (globs_of("localities"), globs_of("nodes"));
    let percent = fields.get("percent").and_then(|node| percent(mistakes, node, "`percent`"));
    if ["percent", "localities", "nodes"].iter().all(|name| fields.get(name).is_none()) {
        let message = "a step must say which nodes it adds";
        let hint = "with `percent`, `localities` or `nodes`";
        mistakes.hint(fields.at, "missing-field", message, hint);
        return None;
    }
    let pause = fields.get("pause").and_then(|node| mistakes.boolean(node, "`pause`"));
    let bake_seconds = seconds(mistakes, &fields, "bake").unwrap_or(0);
    let (localities, nodes) = (localities.unwrap_or_default(), ids.unwrap_or_default());
    let subset = Subset { percent, localities, nodes };
    Some(RolloutStep { subset, bake_seconds, pause: pause.unwrap_or(false) })
}

/// Reads `95%` or `95`.
fn percent(mistakes: &mut Mistakes<'_>, node: &Node, what: &str) -> Option<u32> {
    let number = match &node.value {
        Value::Int(number) => u32::try_from(*number).ok(),
        Value::Text(text) => text.strip_suffix('%').and_then(|digits| digits.trim().parse().ok()),
        _ => None,
    };
    let number = number.filter(|number| (1..=100).contains(number));
    if number.is_none() {
        let message = format!("{what} must be a whole share of 1% to 100%");
        mistakes.hint(node.at, "out-of-range", message, "as in `95%`");
    }
    number
}
