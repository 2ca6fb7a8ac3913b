//! The forms that people fill in: a note to a yes, the reason of a no, a
//! request, and what is done past the gates.
//!
//! Pure. Each carries what it is [`About`]; what comes back is checked anew.

use serde::{Deserialize, Serialize};

use super::card::{counted, named, prefix};
use super::message;
use super::text::{clean, joined};
use super::view::{Input, View, block, choice};
use crate::model::{BundleId, RepoName, Stage};
use crate::promote::{BundleRecord, BundleStatus, Gate, GateKind, Promotion, State};

/// Which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A yes, with a note.
    Approve,
    /// A no, with its reason.
    Reject,
    /// A request.
    Promote,
    /// Past the gates.
    Breakglass,
}

impl Form {
    /// Its name at Slack.
    pub fn callback_id(self) -> &'static str {
        match self {
            Self::Approve => "approve_note",
            Self::Reject => "reject_reason",
            Self::Promote => "promote",
            Self::Breakglass => "breakglass",
        }
    }

    /// The form that a name means.
    pub fn named(callback_id: &str) -> Option<Self> {
        let all = [Self::Approve, Self::Reject, Self::Promote, Self::Breakglass];
        all.into_iter().find(|form| form.callback_id() == callback_id)
    }
}

/// Incident ids are short words of some other system.
const INCIDENT_MAX: usize = 100;
/// The shortcut that opens the form for a request.
pub const SHORTCUT: &str = "promote_open";
/// The input in which the stage's name is typed again.
pub const TYPED: &str = "typed";
/// The input for a note or a reason.
pub const REASON: &str = "reason";
/// The chosen stage, as `project/repository stage`.
pub const STAGE: &str = "stage";
/// The chosen bundle.
pub const BUNDLE: &str = "bundle";

/// What a form is about. It grants nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// The promotion.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The beginning of the plan that was shown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub plan: String,
    /// The repository.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub repo: String,
    /// The stage; where it is named, its name must be typed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stage: String,
    /// The bundle.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub bundle: String,
    /// The incident.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub incident: String,
    /// The gates that were listed as passed over.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skip: Vec<GateKind>,
    /// Where the answer goes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub channel: String,
}

impl About {
    /// Reads it back; `None` where it is none of ours.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A yes, below the lines that say what `changes`: for the last stage its name
/// is typed, and the reason is asked for.
pub fn approve(
    promotion: &Promotion,
    state: &State,
    changes: Vec<String>,
    last: bool,
    channel: &str,
) -> View {
    let Promotion { id, stage, plan, .. } = promotion;
    let about = About {
        id: id.to_string(),
        plan: prefix(promotion),
        stage: if last { stage.to_string() } else { String::new() },
        channel: channel.to_owned(),
        ..About::default()
    };
    let to = named(&plan.to, state.bundles.get(&plan.to));
    let text = format!(
        "*{stage}* will serve {to}: {}. The plan is `{}`.",
        counted(plan.diff),
        prefix(promotion)
    );
    let mut blocks = vec![block(&message::section(&text))];
    if !changes.is_empty() {
        blocks.push(block(&message::section(&joined(&changes, "\n", message::SECTION_MAX))));
    }
    if last {
        blocks.push(typed(stage));
    }
    let label = if last { "Why it may go there" } else { "A note" };
    let note = Input { name: REASON, label, optional: !last, lines: true, ..Input::NEEDED };
    blocks.push(note.block());
    View::form(
        Form::Approve.callback_id(),
        &format!("Approve {id}"),
        "Approve",
        &about.text(),
        blocks,
    )
}

/// A no.
pub fn reject(promotion: &Promotion, channel: &str) -> View {
    let Promotion { id, stage, bundle, .. } = promotion;
    let about = About {
        id: id.to_string(),
        plan: prefix(promotion),
        channel: channel.to_owned(),
        ..About::default()
    };
    let text = format!("{id} will not bring `{bundle}` to *{stage}*.");
    let label = "Why not, and what would have to change";
    let reason = Input { name: REASON, label, lines: true, ..Input::NEEDED };
    let blocks = vec![block(&message::section(&text)), reason.block()];
    View::form(Form::Reject.callback_id(), &format!("Reject {id}"), "Reject", &about.text(), blocks)
}

/// A request; `stages` are those of every pipeline.
pub fn promote(stages: &[(RepoName, Stage)], state: &State, channel: &str) -> Option<View> {
    let of_stage = |(repo, stage): &(RepoName, Stage)| {
        (format!("{repo} {stage}"), format!("{stage} of {repo}"))
    };
    let stages = choice(STAGE, "To", &stages.iter().map(of_stage).collect::<Vec<_>>())?;
    let mut bundles: Vec<_> =
        state.bundles.values().filter(|one| one.status == BundleStatus::Eligible).collect();
    bundles.sort_by_key(|one| std::cmp::Reverse((one.at, one.commit.revision)));
    let of_bundle = |one: &&BundleRecord| {
        let (id, revision) = (one.id.to_string(), one.commit.revision);
        (id.clone(), format!("{id} r{revision} {}", one.commit.subject()))
    };
    let bundles = choice(BUNDLE, "Bundle", &bundles.iter().map(of_bundle).collect::<Vec<_>>())?;
    let reason = Input { name: REASON, label: "Why", optional: true, lines: true, ..Input::NEEDED };
    let about = About { channel: channel.to_owned(), ..About::default() };
    let blocks = vec![stages, bundles, reason.block()];
    Some(View::form(Form::Promote.callback_id(), "Promote config", "Ask", &about.text(), blocks))
}

/// What somebody wants to bring past the gates.
#[derive(Debug, Clone, Copy)]
pub struct Urgent<'a> {
    /// The repository.
    pub repo: &'a RepoName,
    /// The stage.
    pub stage: &'a Stage,
    /// The bundle.
    pub bundle: &'a BundleId,
    /// The incident.
    pub incident: &'a str,
    /// Why, as it was typed.
    pub reason: &'a str,
    /// The gates that are closed.
    pub closed: &'a [Gate],
}

/// Past the gates: each closed one is listed, the stage's name is typed.
pub fn breakglass(urgent: &Urgent<'_>, channel: &str) -> View {
    let Urgent { repo, stage, bundle, incident, reason, closed } = urgent;
    let (skipped, kept): (Vec<&Gate>, Vec<_>) =
        closed.iter().partition(|gate| gate.kind.can_be_skipped());
    let about = About {
        repo: repo.to_string(),
        stage: stage.to_string(),
        bundle: bundle.to_string(),
        incident: (*incident).chars().take(INCIDENT_MAX).collect(),
        skip: skipped.iter().map(|gate| gate.kind).collect(),
        channel: channel.to_owned(),
        ..About::default()
    };
    let mut lines = vec![
        format!(":rotating_light: *{stage}* of {repo} will serve `{bundle}` at once."),
        format!("Incident: {}", clean(incident, 100)),
        "Everybody is told, it is recorded in your name, and somebody else must review it.".into(),
    ];
    lines.push(match skipped.is_empty() {
        true => "No gate is closed that may be passed over.".into(),
        false => "Passed over:".into(),
    });
    let shown = |gate: &&Gate| format!("{}: {}", gate.kind.word(), clean(&gate.detail, 200));
    lines.extend(skipped.iter().map(|gate| format!("      :warning: {}", shown(gate))));
    lines.extend(kept.iter().map(|gate| format!("      :no_entry: never: {}", shown(gate))));
    let why = Input {
        name: REASON,
        label: "Why it can't wait",
        filled: reason,
        lines: true,
        ..Input::NEEDED
    };
    let blocks = vec![block(&message::section(&lines.join("\n"))), typed(stage), why.block()];
    View::form(
        Form::Breakglass.callback_id(),
        "Break the glass",
        "Break the glass",
        &about.text(),
        blocks,
    )
}

fn typed(stage: &Stage) -> serde_json::Value {
    let label = format!("Type the stage's name: {stage}");
    Input { name: TYPED, label: &label, placeholder: stage.as_str(), ..Input::NEEDED }.block()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::samples;
    use crate::chat::view::assert_view_within_limits;

    #[test]
    fn every_form_says_what_it_is_about_and_keeps_the_limits() {
        let promotion = samples::promotion(142, "release");
        let state = samples::state(vec![promotion.clone()]);
        for view in samples::views() {
            assert_view_within_limits(&view);
            let json = view.json();
            if json["type"] == "modal" {
                let form = json["callback_id"].as_str().and_then(Form::named);
                assert!(form.is_some(), "{json}");
                assert!(About::parse(json["private_metadata"].as_str().unwrap()).is_some());
            }
        }
        let all: Vec<_> = samples::views().iter().map(|view| view.json().clone()).collect();
        insta::assert_json_snapshot!("views", all);
        let last = approve(&promotion, &state, Vec::new(), true, "C1");
        insta::assert_json_snapshot!("form_last_stage", last.json());
        let about = About::parse(last.json()["private_metadata"].as_str().unwrap()).unwrap();
        assert_eq!((about.id.as_str(), about.stage.as_str()), ("P-142", "release"));
        assert_eq!(about.plan, "abababababab");
        assert!(
            !approve(&promotion, &state, Vec::new(), false, "C1")
                .json()
                .to_string()
                .contains(TYPED)
        );
    }

    #[test]
    fn a_form_without_anything_to_choose_is_not_shown() {
        let state = samples::state(Vec::new());
        assert_eq!(promote(&[], &state, "C1"), None);
        let stages = [(samples::repo(), samples::stage("canary"))];
        assert_eq!(promote(&stages, &State::default(), "C1"), None);
        assert!(promote(&stages, &state, "C1").is_some());
    }
}
