//! `convoy smoke DIR`: the matrix of a folder, here and now.

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::Failure;
use super::envoy::Place;
use super::output::{Output, columns};
use super::validate::{assess_folder, counted, errors, known};
use crate::app::PrivateListeners;
use crate::model::{Cell, CellResult, Outcome, RepoName, SnapshotKey, Stage};
use crate::reconcile::Assessment;
use crate::schema::Schema;
use crate::smoke::{Plan, Smoke, SmokeOptions, install};
use crate::snapshot;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder that holds convoy.yaml
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Only this stage
    #[arg(long)]
    stage: Option<Stage>,
    /// Only this Envoy version, also where the manifest does not name it
    #[arg(long, value_name = "VERSION")]
    envoy: Vec<String>,
    /// How many Envoys run at once
    #[arg(long, default_value_t = 2)]
    parallel: usize,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Serialize)]
struct Report {
    passed: bool,
    cells: Vec<CellResult>,
}

pub(super) async fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let assessment = assess_folder(&args.dir)?;
    if !assessment.is_valid() {
        let errors = errors(&assessment);
        for error in &errors {
            output.error(error.trim_end());
        }
        let message = format!("{}; nothing was booted", counted(errors.len(), "problem"));
        return Err(Failure::new(Failure::PROBLEMS, message));
    }
    let plans = plans(args, &assessment)?;
    all_installed(&plans, &args.place.folder())?;
    let work = tempfile::tempdir()
        .map_err(|error| Failure::new(Failure::FAILED, format!("no temporary folder: {error}")))?;
    let options = SmokeOptions {
        envoys: args.place.folder(),
        work: work.path().into(),
        parallel: args.parallel.max(1),
    };
    let smoke = Smoke::new(Schema::load(), options, Arc::new(PrivateListeners), None);
    let runs = plans.into_iter().map(|plan| {
        let smoke = smoke.clone();
        async move {
            output.progress(&format!("{} …", plan.cell));
            let result = smoke.run(plan).await;
            let outcome = format!("{:?}", result.outcome).to_lowercase();
            output.message(&format!("{}: {outcome} in {} ms", result.cell, result.took_ms));
            result
        }
    });
    let all = futures_util::future::join_all(runs);
    let cells = tokio::select! {
        cells = all => cells,
        _ = tokio::signal::ctrl_c() => return Err(Failure::new(130, "interrupted")),
    };
    let passed = cells.iter().all(|cell| cell.outcome == Outcome::Passed);
    let report = Report { passed, cells };
    output.result(&report, || text(&report));
    match report.passed {
        true => Ok(()),
        false => Err(Failure::silent(Failure::FAILED)),
    }
}

fn plans(args: &Args, assessment: &Assessment) -> Result<Vec<Plan>, Failure> {
    let manifest = assessment.manifest.as_ref();
    let specs = manifest.iter().flat_map(|manifest| &manifest.stages);
    let specs: Vec<_> =
        specs.filter(|spec| args.stage.as_ref().is_none_or(|only| only == &spec.name)).collect();
    if let Some(stage) = &args.stage {
        known(assessment, stage)?;
    }
    let suite = Arc::new(assessment.suite.clone());
    let mut plans = Vec::new();
    for spec in specs {
        let Some(rendered) = assessment.outputs.get(&spec.name) else { continue };
        let snapshots: Vec<_> = rendered
            .resources
            .groups
            .iter()
            .filter_map(|(group, resources)| {
                let repo = RepoName::new("local/folder").ok()?;
                let (stage, group) = (spec.name.clone(), group.clone());
                let key = SnapshotKey { repo, stage, group };
                Some(Arc::new(snapshot::build(key, resources)))
            })
            .collect();
        let versions = if args.envoy.is_empty() { &spec.envoy_versions } else { &args.envoy };
        for version in versions {
            plans.push(Plan {
                cell: Cell { stage: spec.name.clone(), version: version.clone() },
                render: rendered.hash,
                snapshots: snapshots.clone(),
                suite: suite.clone(),
                policy: spec.smoke.clone(),
            });
        }
    }
    match plans.is_empty() {
        true => Err(Failure::new(Failure::USAGE, "no stage asks for a smoke run")
            .with_hint("name versions in convoy.yaml (`envoy: [...]`) or with --envoy VERSION")),
        false => Ok(plans),
    }
}

/// Nothing is booted where one is missing: the answer would be half of one.
fn all_installed(plans: &[Plan], folder: &std::path::Path) -> Result<(), Failure> {
    let there = install::installed(folder);
    let mut missing: Vec<&str> = plans.iter().map(|plan| plan.cell.version.as_str()).collect();
    missing.retain(|version| !there.iter().any(|one| one == version));
    missing.sort_unstable();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("not installed in `{}`: Envoy {}", folder.display(), missing.join(", "));
    let hint = format!("convoy envoy install {}", missing.join(" "));
    Err(Failure::new(Failure::NOT_FOUND, message).with_hint(hint))
}

fn text(report: &Report) -> String {
    let mut rows =
        vec![vec!["STAGE".into(), "ENVOY".into(), "RESULT".into(), "CHECKS".into(), "TIME".into()]];
    let mut reasons = String::new();
    for cell in &report.cells {
        let outcome = format!("{:?}", cell.outcome).to_lowercase();
        rows.push(vec![
            cell.cell.stage.to_string(),
            cell.cell.version.clone(),
            outcome,
            cell.checks.to_string(),
            format!("{} ms", cell.took_ms),
        ]);
        for reason in &cell.reasons {
            reasons.push_str(&format!("{}: {reason}\n", cell.cell));
        }
    }
    format!("{}{reasons}", columns(&rows))
}
