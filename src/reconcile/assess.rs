//! Everything that can be said about a source tree without booting an Envoy.
//!
//! The one verdict: a push, the editor's preview, the CLI and the API all ask
//! [`assess`], so they can't disagree.

use std::collections::{BTreeMap, BTreeSet};

use crate::lint;
use crate::model::{Finding, Manifest, Problem, Severity, SourceTree, Stage};
use crate::render::{Output, Renderer};
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
    let mut by_stage = Collected::default();
    let mut findings = Collected::default();
    let mut outputs = BTreeMap::new();
    for stage in manifest.stages.iter().map(|spec| &spec.name) {
        let output = renderer.render(tree, &manifest, stage);
        by_stage.add(stage, output.problems.iter().cloned());
        for resources in output.resources.groups.values() {
            by_stage.add(stage, snapshot::check(renderer.schema(), resources));
        }
        let said = lint::run(renderer.schema(), stage, &output.resources);
        findings.add(stage, said.into_iter());
        outputs.insert(stage.clone(), output);
    }
    problems.extend(skipped.iter().filter(|problem| problem.rule == "file-too-large").cloned());
    problems.extend(by_stage.problems(manifest.stages.len()));
    problems.sort();
    let mut findings: Vec<Finding> = findings.findings(manifest.stages.len());
    findings.extend(
        skipped
            .iter()
            .filter(|problem| problem.rule != "file-too-large")
            .map(|problem| Finding { problem: problem.clone(), severity: Severity::Warning }),
    );
    findings.sort();
    Some(Assessment { manifest: Some(manifest), problems, findings, outputs, suite })
}

fn broken_manifest(tree: &SourceTree, mut problems: Vec<Problem>) -> Assessment {
    let (suite, more) = Suite::read(tree);
    problems.extend(more);
    problems.sort();
    Assessment { manifest: None, problems, findings: Vec::new(), outputs: BTreeMap::new(), suite }
}

/// The same statement about several stages, said once.
#[derive(Debug)]
struct Collected<T: Ord>(BTreeMap<T, BTreeSet<Stage>>);

impl<T: Ord> Default for Collected<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Ord> Collected<T> {
    fn add(&mut self, stage: &Stage, items: impl IntoIterator<Item = T>) {
        for item in items {
            self.0.entry(item).or_default().insert(stage.clone());
        }
    }
}

/// No stages are named where it concerns all of them.
fn stages_of(stages: BTreeSet<Stage>, all: usize) -> Vec<Stage> {
    if stages.len() == all { Vec::new() } else { stages.into_iter().collect() }
}

impl Collected<Problem> {
    fn problems(self, all: usize) -> impl Iterator<Item = Problem> {
        self.0
            .into_iter()
            .map(move |(problem, stages)| Problem { stages: stages_of(stages, all), ..problem })
    }
}

impl Collected<Finding> {
    fn findings(self, all: usize) -> Vec<Finding> {
        let with_stages = |(finding, stages): (Finding, BTreeSet<Stage>)| Finding {
            problem: Problem { stages: stages_of(stages, all), ..finding.problem },
            severity: finding.severity,
        };
        self.0.into_iter().map(with_stages).collect()
    }
}
