//! What a pull request would change, as it was rendered, in Markdown.
//!
//! Everything in it was written by whoever opened the pull request. It is
//! shown and means nothing: no mention, no link, no picture, no HTML.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::check::count;
use super::status::{Status, StatusState};
use super::text;
use crate::model::{CommitId, Finding, NodeGroup, Place, Problem, Revision, Severity, Stage};
use crate::snapshot::{Impact, ResourceChange};

/// Mistakes and warnings that are listed; the rest is counted.
const LISTED_MAX: usize = 30;
/// Characters of all differences together: a comment takes 65,536.
const TEXTS_MAX: usize = 45_000;
/// Characters of one difference.
const TEXT_MAX: usize = 8_000;

/// A pull request's head, rendered and held against what it stands on.
#[derive(Debug, Clone, PartialEq)]
pub struct Review {
    /// The head.
    pub head: CommitId,
    /// What it stands on: the newest revision that it contains.
    pub base: Option<(Revision, CommitId)>,
    /// Whether there is a pipeline at all; without one there is nothing to
    /// say.
    pub is_pipeline: bool,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// What the linter says.
    pub findings: Vec<Finding>,
    /// What changes, in promotion order.
    pub stages: Vec<StageReview>,
    /// Whether more differs than was looked at.
    pub cut: bool,
}

/// What changes in a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct StageReview {
    /// The stage.
    pub stage: Stage,
    /// Resources that are new.
    pub added: usize,
    /// Resources that differ.
    pub changed: usize,
    /// Resources that go.
    pub removed: usize,
    /// Each of them, without secrets.
    pub differences: Vec<Difference>,
}

/// A resource that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The node group.
    pub group: NodeGroup,
    /// The type's last name, `Cluster`.
    pub kind: String,
    /// The resource.
    pub name: String,
    /// How.
    pub change: ResourceChange,
    /// What differs, in a few words for each field.
    pub sentences: Vec<String>,
    /// What an Envoy that takes it does.
    pub impact: Impact,
    /// A unified diff of its YAML, secrets hidden.
    pub text: String,
    /// Where it is written.
    pub place: Option<Place>,
}

impl Review {
    /// Whether merging it would make a bundle that may be promoted.
    pub fn is_valid(&self) -> bool {
        let stops = |finding: &Finding| finding.severity == Severity::Error;
        self.problems.is_empty() && !self.findings.iter().any(stops)
    }

    /// The status of the head.
    pub fn status(&self, page: &str) -> Status {
        let state = if self.is_valid() { StatusState::Success } else { StatusState::Failure };
        Status::new("convoy/render", state, &self.headline(), page.to_owned())
    }

    /// The comment's text.
    pub fn comment(&self) -> String {
        let mark = if self.is_valid() { "✅" } else { "❌" };
        let mut body = format!("### {mark} Convoy: {}\n\n", self.headline());
        self.list_mistakes(&mut body);
        self.list_warnings(&mut body);
        self.table(&mut body);
        self.texts(&mut body);
        let _ = match self.base {
            Some((revision, commit)) => writeln!(
                body,
                "\n<sub>{} rendered and compared with revision {revision} ({}). Nothing is served \
                 from a pull request.</sub>",
                self.head.short(),
                commit.short(),
            ),
            None => writeln!(
                body,
                "\n<sub>{} rendered; it stands on no known revision.</sub>",
                self.head.short()
            ),
        };
        body
    }

    fn headline(&self) -> String {
        let stopping = self.mistakes().count();
        if stopping > 0 {
            return format!("{} to mend before it can be promoted", count(stopping, "mistake"));
        }
        let changed = self.stages.iter().filter(|stage| stage.total() > 0).count();
        match (changed, self.warnings().count()) {
            (0, 0) => "it renders and changes nothing that is served".into(),
            (n, 0) => format!("it renders and changes {}", count(n, "stage")),
            (n, m) => {
                format!("it renders and changes {}, {}", count(n, "stage"), count(m, "warning"))
            }
        }
    }

    fn mistakes(&self) -> impl Iterator<Item = &Problem> + Clone {
        let stops = self.findings.iter().filter(|one| one.severity == Severity::Error);
        self.problems.iter().chain(stops.map(|one| &one.problem))
    }

    fn warnings(&self) -> impl Iterator<Item = &Problem> + Clone {
        let warns = self.findings.iter().filter(|one| one.severity == Severity::Warning);
        warns.map(|one| &one.problem)
    }

    fn list_mistakes(&self, body: &mut String) {
        list(body, self.mistakes());
    }

    fn list_warnings(&self, body: &mut String) {
        if self.warnings().next().is_some() {
            let n = count(self.warnings().count(), "warning");
            let _ = writeln!(body, "<details><summary>{n}</summary>\n");
            list(body, self.warnings());
            body.push_str("</details>\n\n");
        }
    }

    fn table(&self, body: &mut String) {
        if self.stages.iter().all(|stage| stage.total() == 0) {
            return;
        }
        body.push_str("| Stage | New | Changed | Gone |\n| --- | --: | --: | --: |\n");
        for stage in &self.stages {
            let StageReview { stage: name, added, changed, removed, .. } = stage;
            let name = text::markdown(name.as_str());
            let _ = writeln!(body, "| {name} | {added} | {changed} | {removed} |");
        }
        body.push('\n');
    }

    /// Each difference once, with every stage and group that it shows in.
    fn texts(&self, body: &mut String) {
        let mut order: Vec<(&Difference, Vec<String>)> = Vec::new();
        let mut at: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
        for stage in &self.stages {
            for one in &stage.differences {
                let key = (one.kind.as_str(), one.name.as_str(), one.text.as_str());
                let index = *at.entry(key).or_insert_with(|| {
                    order.push((one, Vec::new()));
                    order.len() - 1
                });
                if let Some((_, places)) = order.get_mut(index) {
                    places.push(place_of(&stage.stage, &one.group));
                }
            }
        }
        let (mut left, mut shown) = (TEXTS_MAX, 0);
        for (one, places) in &order {
            let section = one.section(places);
            let Some(rest) = left.checked_sub(section.chars().count()) else { break };
            left = rest;
            shown += 1;
            body.push_str(&section);
        }
        if shown < order.len() || self.cut {
            let more = order.len() - shown;
            let _ = match more {
                0 => writeln!(body, "\nMore differs than is shown here."),
                n => {
                    writeln!(body, "\n{} more differ and are not shown here.", count(n, "resource"))
                }
            };
        }
    }
}

fn place_of(stage: &Stage, group: &NodeGroup) -> String {
    if *group == NodeGroup::default() { stage.to_string() } else { format!("{stage} ({group})") }
}

impl StageReview {
    /// Counts a resource that differs.
    pub fn count(&mut self, change: ResourceChange) {
        match change {
            ResourceChange::Added => self.added += 1,
            ResourceChange::Changed => self.changed += 1,
            ResourceChange::Removed => self.removed += 1,
        }
    }

    fn total(&self) -> usize {
        self.added + self.changed + self.removed
    }
}

impl Difference {
    fn section(&self, places: &[String]) -> String {
        let change = match self.change {
            ResourceChange::Added => "new",
            ResourceChange::Changed => "changed",
            ResourceChange::Removed => "gone",
        };
        let written = self.place.as_ref().map(|place| format!(", {place}")).unwrap_or_default();
        let title = format!(
            "{} {}: {change} in {}{written}",
            self.kind,
            text::line(&self.name, 200),
            places.join(", ")
        );
        // Within <summary> Markdown is not read, but HTML is.
        let title = title.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let title = title.replace('@', "@\u{2060}").replace('#', "#\u{2060}");
        let disturbs = if self.impact.disturbs() { "⚠️ " } else { "" };
        let mut body = format!("<details><summary>{disturbs}{title}</summary>\n\n");
        for sentence in &self.sentences {
            let _ = writeln!(body, "- {}", text::markdown(&text::line(sentence, 300)));
        }
        if self.impact.disturbs() {
            let impact = text::line(&self.impact.to_string(), 300);
            let _ = writeln!(body, "- ⚠️ an Envoy that takes it: {}", text::markdown(&impact));
        }
        let diff = text::block("diff", &text::clip(&self.text, TEXT_MAX));
        let _ = writeln!(body, "\n{diff}\n</details>");
        body
    }
}

fn list<'a>(body: &mut String, problems: impl Iterator<Item = &'a Problem> + Clone) {
    for problem in problems.clone().take(LISTED_MAX) {
        let place = text::code(&problem.place.to_string());
        let message = text::markdown(&text::line(&problem.message, 600));
        let rule = text::code(&problem.rule);
        let _ = write!(body, "- {place} {message} {rule}");
        if let Some(hint) = &problem.hint {
            let _ = write!(body, "<br>{}", text::markdown(&text::line(hint, 600)));
        }
        body.push('\n');
    }
    let more = problems.count().saturating_sub(LISTED_MAX);
    if more > 0 {
        let _ = writeln!(body, "- and {more} more");
    }
    body.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FilePath;

    fn difference(stage: &str, name: &str, text: &str) -> StageReview {
        StageReview {
            stage: Stage::new(stage).unwrap(),
            added: 0,
            changed: 1,
            removed: 0,
            differences: vec![Difference {
                group: NodeGroup::default(),
                kind: "Cluster".into(),
                name: name.into(),
                change: ResourceChange::Changed,
                sentences: vec![format!("cluster {name}: it differs")],
                impact: Impact::RecreatesCluster,
                text: text.into(),
                place: None,
            }],
        }
    }

    fn review(stages: Vec<StageReview>) -> Review {
        Review {
            head: CommitId([1; 20]),
            base: Some((Revision(7), CommitId([2; 20]))),
            is_pipeline: true,
            problems: Vec::new(),
            findings: Vec::new(),
            stages,
            cut: false,
        }
    }

    #[test]
    fn what_differs_alike_in_several_stages_is_shown_once() {
        let text = "-connect_timeout: 1s\n+connect_timeout: 3s\n";
        let stages = ["beta", "release"].map(|stage| difference(stage, "payments", text));
        let body = review(stages.to_vec()).comment();
        assert_eq!(body.matches("+connect_timeout: 3s").count(), 1, "{body}");
        assert!(body.contains("Cluster payments: changed in beta, release"), "{body}");
        assert!(body.contains("makes the cluster anew"), "{body}");
        assert!(body.contains("changes 2 stages") && body.contains("revision 7"), "{body}");
    }

    #[test]
    fn what_others_wrote_is_shown_and_does_nothing() {
        let evil = "</details>@ann fixes #1 <img src=x>";
        let mut review = review(vec![difference("beta", evil, "+```\n+</details> @ann\n")]);
        let file = FilePath::new("a`b.yaml").unwrap();
        let problem = Problem::new(Place::file(file), "rule", "see @ann ![x](https://evil/x)");
        review.problems.push(problem.with_hint("<b>#1</b>"));
        let body = review.comment();
        let outside: String = body.split("````").step_by(2).collect();
        for part in ["@ann", "fixes #1", "<img", "![x]", "<b>", "</details>@"] {
            assert!(!outside.contains(part), "{part}: {body}");
        }
        assert!(body.contains("❌") && !review.is_valid());
    }

    #[test]
    fn however_much_differs_the_comment_fits() {
        let stages = (0..40)
            .map(|n| difference("beta", &format!("c{n}"), &format!("+{n}{}", "x".repeat(20_000))));
        let body = review(stages.collect()).comment();
        assert!(body.chars().count() < 65_000 && body.contains("more differ"), "{}", body.len());
    }
}
