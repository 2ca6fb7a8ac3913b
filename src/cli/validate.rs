//! `convoy validate DIR`: every mistake, with its place.

use std::path::PathBuf;

use serde::Serialize;

use super::Failure;
use super::folder;
use super::output::Output;
use crate::model::{Finding, Problem, Severity};
use crate::reconcile::{Assessment, assess};
use crate::render::Renderer;
use crate::schema::Schema;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder that holds convoy.yaml
    #[arg(default_value = ".")]
    dir: PathBuf,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    valid: bool,
    stages: Vec<String>,
    resources: usize,
    problems: &'a [Problem],
    findings: &'a [Finding],
}

pub(super) fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let assessment = assess_folder(&args.dir)?;
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
        Failure::new(Failure::PROBLEMS, message)
            .with_hint("write convoy.yaml; the sample in templates/envoy/sample shows one")
    })
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
    let count = report.problems.len();
    text.push_str(&match report.valid {
        true => format!(
            "ok: {} resources in {} stages, {} warning(s)\n",
            report.resources,
            report.stages.len(),
            report.findings.len()
        ),
        false => format!("{count} problem(s), {} finding(s)\n", report.findings.len()),
    });
    text
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
