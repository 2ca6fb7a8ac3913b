//! The answer to `why`: what something waits for, and who can help.

use std::fmt::Write as _;

use super::card::{WORDS_MAX, gate_line, named, standing, when};
use super::links::{Links, link};
use super::message::{self, Message};
use super::text::{clean, joined};
use crate::model::{RepoName, Stage};
use crate::promote::{BundleRecord, BundleStatus, Promotion, State, Status};

const PROBLEMS_MAX: usize = 5;

/// Why a promotion stands where it does.
pub fn why_promotion(promotion: &Promotion, links: &Links) -> Message {
    let page = link(&links.promotion(&promotion.id), promotion.id.as_str());
    let Promotion { stage, bundle, .. } = promotion;
    let mut lines =
        vec![format!("{page} to bring `{bundle}` to *{stage}*: {}", standing(promotion))];
    if promotion.status == Status::Gated {
        lines.extend(promotion.gates.iter().map(gate_line));
    }
    answer(&lines)
}

/// Why a stage serves what it serves, and not something newer.
pub fn why_stage(repo: &RepoName, stage: &Stage, state: &State, links: &Links) -> Message {
    let slot = state.slot(repo, stage);
    let mut lines = vec![match &slot.current {
        Some(id) => format!("*{stage}* serves {}", named(id, state.bundles.get(id))),
        None => format!("*{stage}* serves nothing so far"),
    }];
    if let (Some(at), Some(by)) = (slot.since, &slot.by) {
        let _ = write!(lines[0], " since {}, moved by {}", when(at), clean(&by.to_string(), 64));
    }
    if let Some(hold) = &slot.hold {
        let (by, reason) = (clean(&hold.by.to_string(), 64), clean(&hold.reason, WORDS_MAX));
        let ends = format!("Nothing is promoted here until somebody uses `unpin {stage}`");
        lines.push(format!(":lock: held by {by}: {reason}. {ends}"));
    }
    let open = state.open(repo, stage);
    for promotion in &open {
        let page = link(&links.promotion(&promotion.id), promotion.id.as_str());
        lines.push(format!("{page} to `{}`: {}", promotion.bundle, standing(promotion)));
        lines.extend(promotion.gates.iter().filter(|gate| !gate.open).map(gate_line));
    }
    if open.is_empty() {
        lines.extend(newest(repo, stage, state));
    }
    answer(&lines)
}

/// What became of the newest bundle, where nothing waits.
fn newest(repo: &RepoName, stage: &Stage, state: &State) -> Vec<String> {
    let Some(newest) = state.newest(repo) else {
        return vec!["No bundle was rendered so far".into()];
    };
    let name = named(&newest.id, Some(newest));
    if state.slot(repo, stage).current.as_ref() == Some(&newest.id) {
        return vec!["That is the newest bundle; nothing waits".into()];
    }
    match newest.status {
        BundleStatus::Checking => vec![format!("The newest bundle, {name}, is being smoke-tested")],
        BundleStatus::Rejected => rejected(&name, newest),
        BundleStatus::Eligible => vec![format!(
            "The newest bundle, {name}, waits for somebody to ask: `promote {} to {stage}`",
            newest.id
        )],
    }
}

fn rejected(name: &str, bundle: &BundleRecord) -> Vec<String> {
    let count = bundle.problems.len();
    let mut lines = vec![format!("The newest bundle, {name}, was rejected for {count} problems:")];
    let problem = |problem: &crate::model::Problem| {
        let place = clean(&problem.place.to_string(), WORDS_MAX);
        format!("      `{place}` {}", clean(&problem.message, WORDS_MAX))
    };
    lines.extend(bundle.problems.iter().take(PROBLEMS_MAX).map(problem));
    lines
}

fn answer(lines: &[String]) -> Message {
    let markup = joined(lines, "\n", message::SECTION_MAX);
    Message::new(&markup, vec![message::section(&markup)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{message::assert_within_limits, samples};
    use crate::model::{FilePath, Place, Problem};

    fn links() -> Links {
        Links::new("https://convoy.example.com")
    }

    #[test]
    fn a_waiting_promotion_names_its_closed_gates() {
        let message = why_promotion(&samples::promotion(142, "canary"), &links());
        assert_within_limits(&message);
        insta::assert_snapshot!("why_promotion", message.text);
    }

    #[test]
    fn a_stage_says_what_waits_or_what_to_ask_for() {
        let why = |state: &State| {
            let stage = samples::stage("canary");
            let message = why_stage(&samples::repo(), &stage, state, &links());
            assert_within_limits(&message);
            message.text
        };
        let waiting = why(&samples::state(vec![samples::promotion(142, "canary")]));
        assert!(waiting.contains("P-142") && waiting.contains("1 of 2 cells"), "{waiting}");
        let mut state = samples::state(Vec::new());
        assert!(why(&state).contains("`promote b-new to canary`"));
        let bundles = std::sync::Arc::make_mut(&mut state.bundles);
        let newest = bundles.get_mut(&samples::bundle_id("b-new")).unwrap();
        newest.status = BundleStatus::Rejected;
        let place = Place { file: FilePath::new("resources/a.yaml").unwrap(), line: 3, column: 1 };
        newest.problems = vec![Problem::new(place, "unknown-field", "no field `nmae`"); 20];
        let rejected = why(&state);
        assert!(rejected.contains("20 problems") && rejected.contains("a.yaml:3:1"), "{rejected}");
    }
}
