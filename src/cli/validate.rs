//! `convoy validate DIR`: every mistake, with its place.

use std::path::PathBuf;

use serde::Serialize;

use super::Failure;
use super::folder;
use super::output;
use crate::model::{FilePath, Finding, MANIFEST_PATH, Problem, Severity, Stage};
use crate::reconcile::{Assessment, assess};
use crate::render::{Output, Renderer};
use crate::schema::Schema;

/// The pipeline of a folder that has none.
const ONE_STAGE: &[u8] = b"stages: [{name: folder}]\n";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder that holds convoy.yaml
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Judge for this Envoy, instead of those that convoy.yaml names; the
    /// folder needs no convoy.yaml then
    #[arg(long, value_name = "VERSION")]
    envoy: Option<String>,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    valid: bool,
    stages: Vec<String>,
    resources: usize,
    problems: &'a [Problem],
    findings: &'a [Finding],
}

pub(super) fn run(args: &Args, output: &output::Output) -> Result<(), Failure> {
    let assessment = match &args.envoy {
        Some(version) => assess_for(&args.dir, version)?,
        None => assess_folder(&args.dir)?,
    };
    let report = report(&assessment);
    output.result(&report, || text(&report));
    match report.valid {
        true => Ok(()),
        false => Err(Failure::silent(Failure::PROBLEMS)),
    }
}

/// Reads and assesses a folder.
pub(super) fn assess_folder(dir: &std::path::Path) -> Result<Assessment, Failure> {
    let folder = folder::read(dir)?;
    let renderer = Renderer::new(Schema::load());
    assess(&renderer, &folder.tree, &folder.skipped).ok_or_else(|| {
        let message = format!("`{}` has no convoy.yaml, so it has no pipeline", dir.display());
        Failure::new(Failure::PROBLEMS, message).with_hint(match elsewhere(dir) {
            Some(found) => format!("`{}` has one: name that folder", found.display()),
            None => "write convoy.yaml; the sample in templates/envoy/sample shows one".into(),
        })
    })
}

/// Assesses a folder for one Envoy. One without convoy.yaml is taken for a
/// pipeline of one stage: its resources can be judged all the same.
fn assess_for(dir: &std::path::Path, version: &str) -> Result<Assessment, Failure> {
    let parts: Vec<&str> = version.split('.').collect();
    if parts.len() != 3 || parts.iter().any(|part| part.parse::<u16>().is_err()) {
        let message = format!("`{version}` is not an Envoy version");
        return Err(Failure::new(Failure::USAGE, message)
            .with_hint("write all three parts, as in `--envoy 1.36.4`"));
    }
    let mut folder = folder::read(dir)?;
    let manifest = FilePath::new(MANIFEST_PATH).map_err(|error| {
        Failure::new(Failure::FAILED, format!("the manifest has no path: {error}"))
    })?;
    folder.tree.files.entry(manifest).or_insert_with(|| bytes::Bytes::from_static(ONE_STAGE));
    let renderer = Renderer::new(Schema::load()).for_envoys(vec![version.to_owned()]);
    assess(&renderer, &folder.tree, &folder.skipped).ok_or_else(|| {
        Failure::new(Failure::PROBLEMS, format!("`{}` can't be judged", dir.display()))
    })
}

/// The folder with a manifest that was probably meant: one around `dir`, or
/// the only one in it.
fn elsewhere(dir: &std::path::Path) -> Option<PathBuf> {
    let has = |dir: &std::path::Path| dir.join("convoy.yaml").is_file();
    let around = dir.canonicalize().ok()?;
    if let Some(found) = around.ancestors().skip(1).find(|dir| has(dir)) {
        return Some(found.to_owned());
    }
    let inner = std::fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path());
    let mut found = inner.filter(|dir| has(dir));
    found.next().filter(|_| found.next().is_none())
}

fn report(assessment: &Assessment) -> Report<'_> {
    let resources = assessment.outputs.values().flat_map(|output| output.resources.groups.values());
    let stages = assessment.manifest.iter().flat_map(|manifest| &manifest.stages);
    Report {
        valid: assessment.is_valid(),
        stages: stages.map(|spec| spec.name.to_string()).collect(),
        resources: resources.map(Vec::len).sum(),
        problems: &assessment.problems,
        findings: &assessment.findings,
    }
}

fn text(report: &Report<'_>) -> String {
    let mut text = String::new();
    for problem in report.problems {
        text.push_str(&line("error", problem));
    }
    for finding in report.findings {
        let word = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        text.push_str(&line(word, &finding.problem));
    }
    let stops = |finding: &&Finding| finding.severity == Severity::Error;
    let count = report.problems.len() + report.findings.iter().filter(stops).count();
    let warnings = report.problems.len() + report.findings.len() - count;
    text.push_str(&match report.valid {
        true => format!(
            "ok: {} in {}, {}\n",
            counted(report.resources, "resource"),
            counted(report.stages.len(), "stage"),
            counted(warnings, "warning")
        ),
        false => format!("{}, {}\n", counted(count, "problem"), counted(warnings, "warning")),
    });
    text
}

/// What a stage of the folder rendered to.
pub(super) fn known<'a>(assessment: &'a Assessment, stage: &Stage) -> Result<&'a Output, Failure> {
    assessment.outputs.get(stage).ok_or_else(|| {
        let specs = assessment.manifest.iter().flat_map(|manifest| &manifest.stages);
        let names: Vec<_> = specs.map(|spec| spec.name.as_str()).collect();
        Failure::new(Failure::NOT_FOUND, format!("there is no stage `{stage}`"))
            .with_hint(format!("the stages are {}", names.join(", ")))
    })
}

/// A number with its noun.
pub(super) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// What stops a folder from being valid, as compilers print it.
pub(super) fn errors(assessment: &Assessment) -> Vec<String> {
    let findings = assessment.findings.iter().filter(|one| one.severity == Severity::Error);
    let problems = assessment.problems.iter().chain(findings.map(|one| &one.problem));
    problems.map(|problem| line("error", problem)).collect()
}

/// A problem as compilers print it.
pub(super) fn line(word: &str, problem: &Problem) -> String {
    let mut text = format!("{}: {word}: {} [{}]", problem.place, problem.message, problem.rule);
    if !problem.stages.is_empty() {
        let stages: Vec<_> = problem.stages.iter().map(ToString::to_string).collect();
        text.push_str(&format!(" (in {})", stages.join(", ")));
    }
    text.push('\n');
    if let Some(hint) = &problem.hint {
        text.push_str(&format!("  hint: {hint}\n"));
    }
    text
}
