//! The matrix of a bundle: what real Envoys said, stage by version.

use std::collections::BTreeSet;

use slack_morphism::prelude::SlackBlock;

use super::WORDS_MAX;
use crate::chat::message;
use crate::chat::text::{clean, joined};
use crate::model::{Cell, CellResult, Outcome, Stage};
use crate::promote::BundleRecord;

/// More columns than this are no table any more.
const COLUMNS_MAX: usize = 8;
const STAGES_MAX: usize = 20;
const REASONS_MAX: usize = 5;

/// The table, and the first reasons of what failed in `stage`. `None` where
/// the pipeline asks for no smoke run.
pub(in crate::chat) fn section(bundle: &BundleRecord, stage: &Stage) -> Option<SlackBlock> {
    let versions = versions(bundle);
    if versions.is_empty() {
        return None;
    }
    let mut lines = vec![format!("```\n{}\n```", table(bundle, &versions))];
    let of_stage = bundle.matrix.iter().filter(|result| &result.cell.stage == stage);
    let bad = of_stage.filter(|result| result.outcome != Outcome::Passed);
    lines.extend(bad.take(REASONS_MAX).map(reason));
    Some(message::section(&joined(&lines, "\n", message::SECTION_MAX)))
}

/// Every version that the manifest names, oldest first.
fn versions(bundle: &BundleRecord) -> Vec<String> {
    let number = |part: &str| part.parse::<u64>().unwrap_or(u64::MAX);
    let all = bundle.manifest.stages.iter().flat_map(|spec| &spec.envoy_versions);
    let mut all: Vec<_> = all.collect::<BTreeSet<_>>().into_iter().cloned().collect();
    all.sort_by_key(|version| version.split('.').map(number).collect::<Vec<_>>());
    let newest = all.len().saturating_sub(COLUMNS_MAX);
    all.split_off(newest)
}

fn table(bundle: &BundleRecord, versions: &[String]) -> String {
    let stages = &bundle.manifest.stages;
    let widest = stages.iter().map(|spec| spec.name.as_str().len()).max().unwrap_or(0);
    let mut lines = vec![format!("{:widest$}  {}", "", versions.join("  "))];
    for spec in stages.iter().take(STAGES_MAX) {
        let cells = versions.iter().map(|version| {
            let asked = spec.envoy_versions.contains(version);
            let cell = Cell { stage: spec.name.clone(), version: version.clone() };
            let mark = if asked { mark(bundle.result(&cell)) } else { "·" };
            format!("{mark:^width$}", width = version.len())
        });
        let cells = cells.collect::<Vec<_>>().join("  ");
        lines.push(format!("{:widest$}  {}", spec.name.as_str(), cells.trim_end()));
    }
    lines.join("\n")
}

fn mark(result: Option<&CellResult>) -> &'static str {
    match result.map(|result| result.outcome) {
        Some(Outcome::Passed) => "✓",
        Some(Outcome::Failed) => "✗",
        Some(Outcome::Errored) => "!",
        None => "…",
    }
}

fn reason(result: &CellResult) -> String {
    let word = match result.outcome {
        Outcome::Errored => "could not run",
        _ => "failed",
    };
    let first = result.reasons.first().map_or("no reason was given", String::as_str);
    format!("✗ {} {word}: {}", result.cell, clean(first, WORDS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::samples;

    #[test]
    fn the_table_has_a_mark_for_every_cell() {
        let mut bundle = samples::bundle("b-1", 1);
        bundle.manifest.stages[0].envoy_versions.push("1.9.0".into());
        assert_eq!(
            table(&bundle, &versions(&bundle)),
            "         1.9.0  1.36.4  1.38.3\n\
             beta       …      ✓       ✓\n\
             canary     ·      ✓       ✗\n\
             release    ·      !       …"
        );
    }

    #[test]
    fn a_pipeline_without_smoke_runs_has_no_table() {
        let mut bundle = samples::bundle("b-1", 1);
        bundle.manifest.stages.iter_mut().for_each(|spec| spec.envoy_versions.clear());
        assert!(section(&bundle, &samples::stage("beta")).is_none());
    }
}
