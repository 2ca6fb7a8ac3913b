//! `convoy ci`: what the server would say of a commit, in anybody's pipeline.
//!
//! The same assessment and the same matrix, told as a build tells it: a line
//! `file:line: message` a mistake, a JUnit file, an exit code.

mod emit;
mod junit;

use std::path::PathBuf;

use serde::Serialize;

use super::Failure;
use super::matrix::Matrix;
use super::output::Output;
use super::smoke::table;
use super::validate::{assess_folder, counted};
use crate::model::{CellResult, Outcome, Problem, Severity};
use crate::reconcile::Assessment;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder that holds convoy.yaml
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Print a pipeline that runs this command, and do nothing else
    #[arg(long, value_name = "SYSTEM")]
    emit: Option<emit::System>,
    /// The image with convoy in it, for --emit
    #[arg(long, default_value = "convoy:latest", requires = "emit")]
    image: String,
    /// Write a JUnit report there
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// How mistakes are told; by itself as the pipeline that runs understands
    #[arg(long, value_enum)]
    annotations: Option<Style>,
    #[command(flatten)]
    matrix: Matrix,
}

/// How a mistake is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Style {
    /// `file:line:column: error: message`
    Plain,
    /// GitHub's workflow commands
    Github,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    passed: bool,
    problems: Vec<Told>,
    cells: &'a [CellResult],
}

/// One mistake at its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Told {
    severity: Severity,
    file: String,
    line: u32,
    column: u32,
    message: String,
}

pub(super) async fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    if let Some(system) = args.emit {
        return emit::print(system, &args.dir, &args.image);
    }
    let assessment = assess_folder(&args.dir)?;
    let mut told = mistakes(&assessment);
    let is_valid = assessment.is_valid();
    let cells = match is_valid {
        true => args.matrix.run(&assessment, output).await?,
        false => Vec::new(),
    };
    told.extend(cells.iter().flat_map(of_cell));
    let style = args.annotations.unwrap_or_else(Style::here);
    for one in &told {
        output.error(&style.tell(one, &args.dir));
    }
    if let Some(file) = &args.junit {
        let report = junit::report(&told, &cells);
        std::fs::write(file, report).map_err(|error| {
            let message = format!("`{}` can't be written: {error}", file.display());
            Failure::new(Failure::FAILED, message)
        })?;
    }
    let passed = is_valid && cells.iter().all(|cell| cell.outcome == Outcome::Passed);
    let report = Report { passed, problems: told, cells: &cells };
    output.result(&report, || text(&report, is_valid));
    match (is_valid, passed) {
        (false, _) => Err(Failure::silent(Failure::PROBLEMS)),
        (true, false) => Err(Failure::silent(Failure::FAILED)),
        (true, true) => Ok(()),
    }
}

fn text(report: &Report<'_>, is_valid: bool) -> String {
    let of = |severity| report.problems.iter().filter(|one| one.severity == severity).count();
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    let counts = format!("{}, {}", counted(errors, "error"), counted(warnings, "warning"));
    match is_valid {
        false => format!("FAILED: {counts}; nothing was booted\n"),
        true => {
            let word = if report.passed { "ok" } else { "FAILED" };
            let count = counted(report.cells.len(), "cell");
            format!("{}{word}: {count}, {counts}\n", table(report.cells))
        }
    }
}

fn mistakes(assessment: &Assessment) -> Vec<Told> {
    let problems = assessment.problems.iter().map(|problem| (Severity::Error, problem));
    let findings = assessment.findings.iter().map(|one| (one.severity, &one.problem));
    problems.chain(findings).map(|(severity, problem)| Told::of(severity, problem)).collect()
}

impl Told {
    fn of(severity: Severity, problem: &Problem) -> Self {
        let hint = problem.hint.as_ref().map(|hint| format!(" ({hint})"));
        Self {
            severity,
            file: problem.place.file.to_string(),
            line: problem.place.line.max(1),
            column: problem.place.column.max(1),
            message: format!("{} [{}]{}", problem.message, problem.rule, hint.unwrap_or_default()),
        }
    }
}

/// A cell's reasons name the check's place, where a check is what failed.
fn of_cell(result: &CellResult) -> Vec<Told> {
    if result.outcome == Outcome::Passed {
        return Vec::new();
    }
    let told = |reason: &String| {
        let (file, line, column) =
            place(reason).unwrap_or_else(|| (crate::model::MANIFEST_PATH.to_owned(), 1, 1));
        let message = format!("{}: {reason}", result.cell);
        Told { severity: Severity::Error, file, line, column, message }
    };
    result.reasons.iter().map(told).collect()
}

/// The last `(checks/file.yaml:1:2)` of a reason: of a step before its check.
fn place(reason: &str) -> Option<(String, u32, u32)> {
    let inner = reason.split('(').skip(1).filter_map(|part| part.split(')').next());
    inner.filter_map(parse_place).last()
}

fn parse_place(text: &str) -> Option<(String, u32, u32)> {
    let mut parts = text.rsplitn(3, ':');
    let (column, line) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let file = parts.next().filter(|file| file.starts_with("checks/"))?;
    Some((file.to_owned(), line, column))
}

impl Style {
    fn here() -> Self {
        match std::env::var_os("GITHUB_ACTIONS") {
            Some(_) => Self::Github,
            None => Self::Plain,
        }
    }

    fn tell(self, told: &Told, dir: &std::path::Path) -> String {
        let word = match told.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let Told { file, line, column, message, .. } = told;
        // From where the command was called, so that an editor finds it.
        let file = dir.join(file);
        let file = file.strip_prefix(".").unwrap_or(&file).display().to_string();
        match self {
            Self::Plain => format!("{file}:{line}:{column}: {word}: {message}"),
            Self::Github => format!(
                "::{word} file={},line={line},col={column}::{}",
                property(&file),
                data(message)
            ),
        }
    }
}

/// GitHub's escapes: what would end the message or the line.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_at_the_last_place_that_it_names() {
        let plain = "group edge: check `a (b)` (checks/a.yaml:3:5): expected status 200, got 503";
        assert_eq!(place(plain), Some(("checks/a.yaml".into(), 3, 5)));
        let step = "check `a` (checks/a.yaml:3:5): step 2 (checks/a.yaml:9:7): expected (x:1:2)";
        assert_eq!(place(step), Some(("checks/a.yaml".into(), 9, 7)));
        assert_eq!(place("envoy refused Listener: (something:1:2)"), None);
    }

    #[test]
    fn nothing_that_a_person_wrote_ends_an_annotation() {
        let told = Told {
            severity: Severity::Error,
            file: "checks/a,b.yaml".into(),
            line: 3,
            column: 1,
            message: "100 %\n::warning::gotcha".into(),
        };
        assert_eq!(
            Style::Github.tell(&told, std::path::Path::new(".")),
            "::error file=checks/a%2Cb.yaml,line=3,col=1::100 %25%0A::warning::gotcha"
        );
        let plain = Style::Plain.tell(&told, std::path::Path::new("mesh"));
        assert!(plain.starts_with("mesh/checks/a,b.yaml:3:1: error: 100 %"), "{plain}");
    }
}
