//! What is measured while a stage takes something.

use crate::model::{MetricRule, Number, OnInconclusive};
use crate::render::document::{Node, Value};
use crate::render::mistakes::{Fields, Mistakes};

const FIELDS: [&str; 7] =
    ["name", "query", "baseline", "at_most", "at_least", "at_most_times_baseline", "inconclusive"];
/// Each is asked again and again.
const METRICS_MAX: usize = 20;
const QUERY_MAX: usize = 4096;
const NAME_MAX: usize = 64;

/// Reads the metrics of a stage.
pub(super) fn read(mistakes: &mut Mistakes<'_>, node: &Node) -> Vec<MetricRule> {
    let items = mistakes.list(node, "`metrics`");
    if items.len() > METRICS_MAX {
        let message = format!("a stage can have {METRICS_MAX} metrics, not {}", items.len());
        mistakes.note(node.at, "out-of-range", message);
    }
    let mut metrics: Vec<MetricRule> = Vec::new();
    for item in items {
        let Some(metric) = metric(mistakes, item) else { continue };
        if metrics.iter().any(|known| known.name == metric.name) {
            let message = format!("the metric `{}` is there twice", metric.name);
            mistakes.note(item.at, "duplicate-metric", message);
        }
        metrics.push(metric);
    }
    metrics
}

fn metric(mistakes: &mut Mistakes<'_>, node: &Node) -> Option<MetricRule> {
    let fields = mistakes.fields(node, "a metric", &FIELDS)?;
    let name = required(mistakes, &fields, "name", NAME_MAX);
    let query = required(mistakes, &fields, "query", QUERY_MAX);
    let baseline = match fields.get("baseline") {
        Some(node) => Some(bounded(mistakes, node, "`baseline`", QUERY_MAX)?),
        None => None,
    };
    let at_most = number(mistakes, &fields, "at_most");
    let at_least = number(mistakes, &fields, "at_least");
    let times = number(mistakes, &fields, "at_most_times_baseline");
    let bound = ["at_most", "at_least", "at_most_times_baseline"];
    if bound.iter().all(|name| fields.get(name).is_none()) {
        let message = "a metric must have a bound";
        let hint = "add `at_most`, `at_least`, or `baseline` and `at_most_times_baseline`";
        mistakes.hint(fields.at, "missing-field", message, hint);
    }
    match (&baseline, &times) {
        (Some(_), None) if fields.get(bound[2]).is_none() => {
            let message = "a `baseline` needs `at_most_times_baseline`";
            mistakes.note(fields.at, "missing-field", message);
        }
        (None, Some(_)) => {
            let message = "`at_most_times_baseline` needs a `baseline`, a query to compare with";
            mistakes.note(fields.at, "missing-field", message);
        }
        _ => {}
    }
    let inconclusive = inconclusive(mistakes, &fields);
    Some(MetricRule {
        name: name?,
        query: query?,
        baseline,
        at_most,
        at_least,
        at_most_times_baseline: times,
        inconclusive,
    })
}

fn required(
    mistakes: &mut Mistakes<'_>,
    fields: &Fields<'_>,
    name: &str,
    most: usize,
) -> Option<String> {
    let Some(node) = fields.get(name) else {
        mistakes.note(fields.at, "missing-field", format!("a metric must have a `{name}`"));
        return None;
    };
    bounded(mistakes, node, &format!("`{name}`"), most)
}

fn bounded(mistakes: &mut Mistakes<'_>, node: &Node, what: &str, most: usize) -> Option<String> {
    let text = mistakes.text(node, what)?;
    let fits = !text.trim().is_empty() && text.len() <= most;
    if !fits {
        let message = format!("{what} must have 1 to {most} bytes, not {}", text.len());
        mistakes.note(node.at, "out-of-range", message);
    }
    fits.then(|| text.to_owned())
}

fn number(mistakes: &mut Mistakes<'_>, fields: &Fields<'_>, name: &str) -> Option<Number> {
    let node = fields.get(name)?;
    let text = match &node.value {
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        _ => String::new(),
    };
    let number = Number::new(&text);
    if number.is_none() {
        let found = node.value.what();
        let message = format!("`{name}` must be a finite number, not {found}");
        mistakes.hint(node.at, "wrong-type", message, "as in `at_most: 0.01`");
    }
    number
}

fn inconclusive(mistakes: &mut Mistakes<'_>, fields: &Fields<'_>) -> OnInconclusive {
    let Some(node) = fields.get("inconclusive") else { return OnInconclusive::default() };
    match mistakes.text(node, "`inconclusive`") {
        Some("wait") => OnInconclusive::Wait,
        Some("pause") => OnInconclusive::Pause,
        Some(other) => {
            let message = format!("`inconclusive` must be `wait` or `pause`, not `{other}`");
            mistakes.note(node.at, "bad-value", message);
            OnInconclusive::default()
        }
        None => OnInconclusive::default(),
    }
}
