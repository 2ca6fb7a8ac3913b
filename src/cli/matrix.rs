//! The smoke matrix of a folder, for the commands that run it here and now.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Failure;
use super::envoy::Place;
use super::output::Output;
use super::validate::known;
use crate::app::PrivateListeners;
use crate::model::{Cell, CellResult, RepoName, SnapshotKey, Stage};
use crate::reconcile::Assessment;
use crate::schema::Schema;
use crate::smoke::{Evidence, Plan, Smoke, SmokeOptions, install, open_cache};
use crate::snapshot;

#[derive(Debug, clap::Args)]
pub(super) struct Matrix {
    /// Only this stage
    #[arg(long)]
    stage: Option<Stage>,
    /// Only this Envoy version, also where the manifest does not name it
    #[arg(long, value_name = "VERSION")]
    envoy: Vec<String>,
    /// How many Envoys run at once; one for each core by default
    #[arg(long, value_name = "NUMBER")]
    parallel: Option<usize>,
    /// Write each cell's logs and configuration below this folder
    #[arg(long, value_name = "DIR")]
    evidence: Option<PathBuf>,
    /// Remember results in this folder: cells of unchanged content don't run
    /// again
    #[arg(long, env = "CONVOY_SMOKE_CACHE", value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Run Envoys and checks without a network, folder and processes of their
    /// own
    #[arg(long)]
    no_fence: bool,
    #[command(flatten)]
    place: Place,
}

impl Matrix {
    /// Runs it, and writes the evidence where that was asked for.
    pub(super) async fn run(
        &self,
        assessment: &Assessment,
        output: &Output,
    ) -> Result<Vec<CellResult>, Failure> {
        let plans = self.plans(assessment)?;
        all_installed(&plans, &self.place.folder())?;
        let work = tempfile::tempdir().map_err(|error| failed("no temporary folder", &error))?;
        let smoke = self.smoke(work.path())?;
        let runs = plans.into_iter().map(|plan| {
            let smoke = smoke.clone();
            async move {
                let cell = plan.cell.clone();
                let began = || output.progress(&format!("{cell} …"));
                let result = smoke.run_watched(plan, began).await;
                output.message(&told(&result));
                result
            }
        });
        let all = futures_util::future::join_all(runs);
        let cells = tokio::select! {
            cells = all => cells,
            _ = tokio::signal::ctrl_c() => return Err(Failure::new(130, "interrupted")),
        };
        warn_of_open_ones(&cells, self.no_fence, output);
        if let Some(folder) = &self.evidence {
            for cell in &cells {
                let kept = cell.proof.evidence.and_then(|hash| smoke.evidence(hash));
                let written = kept.map_or(Ok(()), |kept| write(folder, &kept));
                let place = folder.display();
                written.map_err(|e| failed(&format!("`{place}` can't be written"), &e))?;
            }
        }
        Ok(cells)
    }

    fn smoke(&self, work: &Path) -> Result<Smoke, Failure> {
        let cache = self.cache.as_ref().map(|folder| {
            open_cache(folder).map_err(|error| {
                failed(&format!("the cache in `{}` can't be opened", folder.display()), &error)
                    .with_hint("only one convoy may use it at a time")
            })
        });
        // Of a cell that is known, the evidence is where the result is.
        let shelf = self.cache.clone().unwrap_or_else(|| work.into()).join("evidence");
        let options = SmokeOptions {
            envoys: self.place.folder(),
            work: work.join("cells"),
            parallel: self.parallel.unwrap_or_else(cores).max(1),
            evidence: Some(shelf),
            warden: std::env::current_exe().ok().filter(|_| !self.no_fence),
        };
        Ok(Smoke::new(Schema::load(), options, Arc::new(PrivateListeners), cache.transpose()?))
    }

    fn plans(&self, assessment: &Assessment) -> Result<Vec<Plan>, Failure> {
        let manifest = assessment.manifest.as_ref();
        let specs = manifest.iter().flat_map(|manifest| &manifest.stages);
        let specs: Vec<_> = specs
            .filter(|spec| self.stage.as_ref().is_none_or(|only| only == &spec.name))
            .collect();
        if let Some(stage) = &self.stage {
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
            let versions = if self.envoy.is_empty() { &spec.envoy_versions } else { &self.envoy };
            for version in versions {
                plans.push(Plan {
                    cell: Cell { stage: spec.name.clone(), version: version.clone() },
                    render: rendered.hash,
                    snapshots: snapshots.clone(),
                    suite: suite.clone(),
                    policy: spec.smoke.clone(),
                    bundle: String::new(),
                    fresh: false,
                });
            }
        }
        match plans.is_empty() {
            true => Err(Failure::new(Failure::USAGE, "no stage asks for a smoke run").with_hint(
                "name versions in convoy.yaml (`envoy: [...]`) or with --envoy VERSION",
            )),
            false => Ok(plans),
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

fn told(result: &CellResult) -> String {
    let outcome = outcome(result);
    match result.cached {
        true => format!("{}: {outcome}, known from an earlier run", result.cell),
        false => format!("{}: {outcome} in {} ms", result.cell, result.took_ms),
    }
}

/// `passed`, `failed` or `errored`.
pub(super) fn outcome(result: &CellResult) -> String {
    format!("{:?}", result.outcome).to_lowercase()
}

/// Loud, because what runs is what somebody else wrote.
fn warn_of_open_ones(cells: &[CellResult], wanted: bool, output: &Output) {
    let why = cells.iter().find_map(|cell| cell.proof.unfenced.as_ref());
    if let Some(why) = why.filter(|_| !wanted) {
        output.error(&format!(
            "warning: Envoys and checks ran NOT fenced off from this machine: {why}"
        ));
    }
}

fn write(folder: &Path, evidence: &Evidence) -> std::io::Result<()> {
    let Cell { stage, version } = &evidence.cell;
    for (group, files) in &evidence.groups {
        let folder = folder.join(format!("{stage}-{version}")).join(group);
        std::fs::create_dir_all(&folder)?;
        for (name, text) in files {
            std::fs::write(folder.join(name), text)?;
        }
    }
    Ok(())
}

fn failed(what: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Failure::FAILED, format!("{what}: {error}"))
}

/// Nothing is booted where one is missing: the answer would be half of one.
fn all_installed(plans: &[Plan], folder: &Path) -> Result<(), Failure> {
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
