//! `convoy smoke DIR`: the matrix of a folder, here and now.

use std::path::PathBuf;

use serde::Serialize;

use super::Failure;
use super::matrix::{Matrix, outcome};
use super::output::{Output, columns};
use super::validate::{assess_folder, counted, errors};
use crate::model::{CellResult, Outcome};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder that holds convoy.yaml
    #[arg(default_value = ".")]
    dir: PathBuf,
    #[command(flatten)]
    matrix: Matrix,
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
    let cells = args.matrix.run(&assessment, output).await?;
    let passed = cells.iter().all(|cell| cell.outcome == Outcome::Passed);
    let report = Report { passed, cells };
    output.result(&report, || table(&report.cells));
    match report.passed {
        true => Ok(()),
        false => Err(Failure::silent(Failure::FAILED)),
    }
}

/// The cells, and below them why some did not pass.
pub(super) fn table(cells: &[CellResult]) -> String {
    let mut rows =
        vec![vec!["STAGE".into(), "ENVOY".into(), "RESULT".into(), "CHECKS".into(), "TIME".into()]];
    let mut reasons = String::new();
    for cell in cells {
        let took = match cell.cached {
            true => "known".to_owned(),
            false => format!("{} ms", cell.took_ms),
        };
        rows.push(vec![
            cell.cell.stage.to_string(),
            cell.cell.version.clone(),
            outcome(cell),
            cell.checks.to_string(),
            took,
        ]);
        for reason in &cell.reasons {
            reasons.push_str(&format!("{}: {reason}\n", cell.cell));
        }
    }
    format!("{}{reasons}", columns(&rows))
}
