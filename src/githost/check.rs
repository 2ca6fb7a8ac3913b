//! A check run: mistakes and findings at the lines that they are about.
//!
//! Only a GitHub App may write one. GitHub takes fifty annotations with a
//! request and appends those of later ones, so a run that was cut off midway
//! is carried on by how many it has.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{GitHub, HostError, text};
use crate::model::{CommitId, Finding, Problem, Severity};

/// What the run is called.
pub const CHECK_NAME: &str = "convoy";
/// Annotations that GitHub takes at once.
const AT_ONCE: usize = 50;
/// Annotations that are shown at all; the summary counts the rest.
const ANNOTATIONS_MAX: usize = 500;
const TITLE_MAX: usize = 255;
const MESSAGE_MAX: usize = 4_000;
const SUMMARY_MAX: usize = 60_000;

/// How bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Stops the bundle.
    Failure,
    /// Is shown.
    Warning,
}

/// One mistake at its line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Annotation {
    path: String,
    start_line: u32,
    end_line: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_column: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_column: Option<u32>,
    annotation_level: Level,
    title: String,
    message: String,
}

/// A check run that shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What it was made from: another one is another run.
    pub external_id: String,
    /// Whether everything holds.
    pub conclusion: Conclusion,
    /// Its headline.
    pub title: String,
    /// Below it, Markdown.
    pub summary: String,
    /// The mistakes.
    pub annotations: Vec<Annotation>,
    /// Where there is more to see.
    pub details_url: String,
}

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Conclusion {
    /// Everything holds.
    Success,
    /// Something does not.
    Failure,
    /// Something is worth a look.
    Neutral,
}

/// A check run that is there.
#[derive(Debug, Clone, Deserialize)]
pub struct CheckRun {
    /// GitHub's number.
    pub id: u64,
    /// What it was made from.
    pub external_id: Option<String>,
    output: RunOutput,
}

#[derive(Debug, Clone, Deserialize)]
struct RunOutput {
    #[serde(default)]
    annotations_count: usize,
}

impl Annotation {
    fn of(problem: &Problem, annotation_level: Level) -> Self {
        let place = &problem.place;
        // GitHub has no annotation of a whole file but at its first line.
        let (line, column) = (place.line.max(1), (place.column > 0).then_some(place.column));
        let hint = problem.hint.iter().map(|hint| format!("\n{hint}"));
        let message: String = std::iter::once(problem.message.clone()).chain(hint).collect();
        Self {
            path: place.file.to_string(),
            start_line: line,
            end_line: line,
            start_column: column,
            end_column: column,
            annotation_level,
            title: text::line(&format!("{}{}", problem.rule, in_stages(problem)), TITLE_MAX),
            message: text::clip(&message, MESSAGE_MAX),
        }
    }
}

fn in_stages(problem: &Problem) -> String {
    match problem.stages.as_slice() {
        [] => String::new(),
        stages => {
            let names: Vec<_> = stages.iter().map(ToString::to_string).collect();
            format!(" ({})", names.join(", "))
        }
    }
}

impl Check {
    /// The run that says what is wrong with a tree.
    pub fn of(
        external_id: String,
        (problems, findings): (&[Problem], &[Finding]),
        details_url: String,
    ) -> Self {
        let level = |finding: &Finding| match finding.severity {
            Severity::Error => Level::Failure,
            Severity::Warning => Level::Warning,
        };
        let problems = problems.iter().map(|problem| Annotation::of(problem, Level::Failure));
        let findings = findings.iter().map(|one| Annotation::of(&one.problem, level(one)));
        let mut annotations: Vec<_> = problems.chain(findings).collect();
        // Should there be too many, those that stop the bundle are shown.
        annotations.sort_by_key(|one| one.annotation_level != Level::Failure);
        let stopping =
            annotations.iter().filter(|one| one.annotation_level == Level::Failure).count();
        let (all, warnings) = (annotations.len(), annotations.len() - stopping);
        annotations.truncate(ANNOTATIONS_MAX);
        let (conclusion, title) = match (stopping, warnings) {
            (0, 0) => (Conclusion::Success, "renders, and nothing was found".to_owned()),
            (0, n) => (Conclusion::Neutral, format!("renders, with {}", count(n, "warning"))),
            (n, 0) => (Conclusion::Failure, count(n, "mistake")),
            (n, m) => (
                Conclusion::Failure,
                format!("{} and {}", count(n, "mistake"), count(m, "warning")),
            ),
        };
        let left_out = all - annotations.len();
        let summary = match left_out {
            0 => format!("{title}."),
            n => format!("{title}. {n} more are not shown as annotations."),
        };
        Self { external_id, conclusion, title, summary, annotations, details_url }
    }

    /// The request that makes the run, with the first annotations.
    fn create(&self, commit: &CommitId) -> Value {
        let mut body = json!({
            "name": CHECK_NAME,
            "head_sha": commit.to_string(),
            "external_id": self.external_id,
            "details_url": self.details_url,
        });
        self.complete(&mut body, 0);
        body
    }

    /// The request that appends the annotations from `done` on.
    fn append(&self, done: usize) -> Value {
        let mut body = json!({});
        self.complete(&mut body, done);
        body
    }

    /// The run is over once it has everything: until then it is under way.
    fn complete(&self, body: &mut Value, done: usize) {
        let rest = self.annotations.get(done..).unwrap_or_default();
        let part = &rest[..rest.len().min(AT_ONCE)];
        body["output"] = json!({
            "title": text::line(&self.title, TITLE_MAX),
            "summary": text::clip(&self.summary, SUMMARY_MAX),
            "annotations": part,
        });
        if done + part.len() < self.annotations.len() {
            body["status"] = json!("in_progress");
        } else {
            body["status"] = json!("completed");
            body["conclusion"] = json!(self.conclusion);
        }
    }
}

/// `3 mistakes`.
pub(super) fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

impl GitHub {
    /// Makes a check run, or carries one on that is there from before.
    ///
    /// # Errors
    /// See [`HostError`].
    pub async fn set_check(&self, commit: &CommitId, check: &Check) -> Result<(), HostError> {
        let runs = self.check_runs(commit).await?;
        let ours = |run: &&CheckRun| run.external_id.as_deref() == Some(&check.external_id);
        let mut run = match runs.into_iter().find(|run| ours(&run)) {
            Some(run) => self.carry_on(check, run).await?,
            None => self.post("/check-runs", &check.create(commit)).await?,
        };
        while run.output.annotations_count < check.annotations.len() {
            run = self.carry_on(check, run).await?;
        }
        Ok(())
    }

    async fn carry_on(&self, check: &Check, run: CheckRun) -> Result<CheckRun, HostError> {
        let had = run.output.annotations_count;
        let path = format!("/check-runs/{}", run.id);
        let now: CheckRun = self.patch(&path, &check.append(had)).await?;
        // One that does not count would be sent to for ever.
        let counted = now.output.annotations_count.max(had + AT_ONCE);
        let output = RunOutput { annotations_count: counted };
        Ok(CheckRun { output, ..now })
    }

    /// Our check runs of a commit, newest first.
    ///
    /// # Errors
    /// See [`HostError`].
    pub async fn check_runs(&self, commit: &CommitId) -> Result<Vec<CheckRun>, HostError> {
        let mut path = format!("/commits/{commit}/check-runs?check_name={CHECK_NAME}&filter=all");
        if let Some(app) = self.credential().app().filter(|app| app.parse::<u64>().is_ok()) {
            path += &format!("&app_id={app}");
        }
        self.list(&path, |mut page| page["check_runs"].take()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FilePath, Place};

    fn problem(n: u32) -> Problem {
        let file = FilePath::new("values/beta.yaml").unwrap();
        Problem::new(Place { file, line: n, column: 3 }, "unknown-field", format!("no {n}"))
            .with_hint("did you mean it?")
    }

    #[test]
    fn more_than_fifty_are_sent_in_parts_and_the_last_one_ends_the_run() {
        let problems: Vec<_> = (0..120).map(problem).collect();
        let check = Check::of("x".into(), (&problems, &[]), "https://x".into());
        let first = check.create(&CommitId([1; 20]));
        let length = |body: &Value| body["output"]["annotations"].as_array().unwrap().len();
        assert_eq!((length(&first), first["status"].as_str()), (50, Some("in_progress")));
        assert!(first["conclusion"].is_null());
        let (second, last) = (check.append(50), check.append(100));
        assert_eq!((length(&second), second["status"].as_str()), (50, Some("in_progress")));
        assert_eq!((length(&last), last["conclusion"].as_str()), (20, Some("failure")));
    }

    #[test]
    fn an_annotation_stands_at_its_line_and_says_what_to_do() {
        let warned = Finding { problem: problem(0), severity: Severity::Warning };
        let check = Check::of("x".into(), (&[problem(7)], &[warned]), "https://x".into());
        let said = serde_json::to_value(&check.annotations).unwrap();
        assert_eq!(said[0]["start_line"], 7);
        assert_eq!(said[0]["annotation_level"], "failure");
        assert_eq!(said[0]["message"], "no 7\ndid you mean it?");
        assert_eq!(
            (said[1]["start_line"].as_u64(), check.title.as_str()),
            (Some(1), "1 mistake and 1 warning")
        );
    }

    #[test]
    fn a_thousand_mistakes_are_counted_and_five_hundred_shown() {
        let problems: Vec<_> = (1..=1000).map(problem).collect();
        let check = Check::of("x".into(), (&problems, &[]), "https://x".into());
        assert_eq!(check.annotations.len(), 500);
        assert!(check.summary.contains("500 more"), "{}", check.summary);
    }
}
