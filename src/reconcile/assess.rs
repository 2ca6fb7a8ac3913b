//! Everything that can be said about a source tree without booting an Envoy.
//!
//! The one verdict: a push, the editor's preview, the CLI and the API all ask
//! [`assess`], so they can't disagree.

use std::collections::BTreeMap;

use crate::lint;
use crate::model::{
    FilePath, Finding, MANIFEST_PATH, Manifest, Place, Problem, Severity, SourceTree, Stage,
};
use crate::render::{self, Output, Renderer};
use crate::smoke::Suite;
use crate::snapshot;

/// What was found out about a tree.
#[derive(Debug, Clone)]
pub struct Assessment {
    /// The pipeline; `None` where the tree has no (valid) manifest.
    pub manifest: Option<Manifest>,
    /// Every mistake, sorted by place; one that shows in some stages only
    /// says in which.
    pub problems: Vec<Problem>,
    /// What the linter says.
    pub findings: Vec<Finding>,
    /// What each stage rendered to.
    pub outputs: BTreeMap<Stage, Output>,
    /// The checks.
    pub suite: Suite,
}

impl Assessment {
    /// Whether the tree may become a bundle that is promoted.
    pub fn is_valid(&self) -> bool {
        let stops = |finding: &Finding| finding.severity == Severity::Error;
        self.manifest.is_some() && self.problems.is_empty() && !self.findings.iter().any(stops)
    }
}

/// Assesses `tree`; `skipped` is what the store left out of it. `None`: the
/// tree has no `convoy.yaml` and is plain versioned configuration.
pub fn assess(renderer: &Renderer, tree: &SourceTree, skipped: &[Problem]) -> Option<Assessment> {
    let manifest = match renderer.manifest(tree) {
        Ok(manifest) => manifest?,
        Err(problems) => return Some(broken_manifest(tree, problems)),
    };
    let (suite, mut problems) = Suite::read(tree);
    let mut findings: Vec<Finding> = Vec::new();
    let mut outputs = BTreeMap::new();
    for stage in manifest.stages.iter().map(|spec| &spec.name) {
        let output = renderer.render(tree, &manifest, stage);
        let in_stage = |problem: Problem| Problem { stages: vec![stage.clone()], ..problem };
        problems.extend(output.problems.iter().cloned());
        for resources in output.resources.groups.values() {
            let missing = snapshot::check(renderer.schema(), resources, &output.incomplete);
            problems.extend(missing.into_iter().map(in_stage));
        }
        let said = lint::run(renderer.schema(), stage, &output.resources);
        findings.extend(said.into_iter().map(|finding| Finding {
            problem: in_stage(finding.problem),
            severity: finding.severity,
        }));
        findings.extend(
            output
                .warnings
                .iter()
                .cloned()
                .map(|problem| Finding { problem, severity: Severity::Warning }),
        );
        outputs.insert(stage.clone(), output);
    }
    let incomplete =
        outputs.values().flat_map(|output| output.incomplete.iter().copied()).collect();
    let rendered = outputs.values().map(|output: &Output| &output.resources);
    problems.extend(suite.misfits(&manifest, rendered, &incomplete));
    let (refused, mut left_out): (Vec<_>, Vec<_>) =
        skipped.iter().cloned().partition(|problem| problem.rule == "file-too-large");
    problems.extend(refused);
    left_out.extend(render::overlooked(tree));
    left_out.extend(suite.unrunnable(tree));
    let stages: Vec<Stage> = manifest.stages.iter().map(|spec| spec.name.clone()).collect();
    let problems = render::unite(problems, &stages);
    let findings = unite_findings(findings, left_out, &stages);
    Some(Assessment { manifest: Some(manifest), problems, findings, outputs, suite })
}

/// As [`assess`], for a tree that follows another: where there was a pipeline,
/// a tree without `convoy.yaml` is a mistake.
pub fn assess_next(
    renderer: &Renderer,
    had_pipeline: bool,
    tree: &SourceTree,
    skipped: &[Problem],
) -> Option<Assessment> {
    let without = || without_manifest(tree).filter(|_| had_pipeline);
    assess(renderer, tree, skipped).or_else(without)
}

/// A tree without `convoy.yaml`, of a repository whose pipeline that would end.
fn without_manifest(tree: &SourceTree) -> Option<Assessment> {
    let place = Place::file(FilePath::new(MANIFEST_PATH).ok()?);
    let message = "the manifest is gone, and with it the pipeline; what is served stays";
    let problem = Problem::new(place, "missing-manifest", message)
        .with_hint("bring convoy.yaml back, also to change the stages");
    Some(broken_manifest(tree, vec![problem]))
}

/// The same finding of several stages once; what was left out is a warning.
fn unite_findings(
    findings: Vec<Finding>,
    left_out: Vec<Problem>,
    stages: &[Stage],
) -> Vec<Finding> {
    let mut by_severity: BTreeMap<Severity, Vec<Problem>> = BTreeMap::new();
    by_severity.insert(Severity::Warning, left_out);
    for finding in findings {
        by_severity.entry(finding.severity).or_default().push(finding.problem);
    }
    by_severity
        .into_iter()
        .flat_map(|(severity, problems)| {
            let united = render::unite(problems, stages);
            united.into_iter().map(move |problem| Finding { problem, severity })
        })
        .collect()
}

fn broken_manifest(tree: &SourceTree, mut problems: Vec<Problem>) -> Assessment {
    let (suite, more) = Suite::read(tree);
    problems.extend(more);
    problems.sort();
    Assessment { manifest: None, problems, findings: Vec::new(), outputs: BTreeMap::new(), suite }
}
