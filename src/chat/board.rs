//! The answer to `status`: what each stage serves.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::card::{WORDS_MAX, named, standing, when};
use super::links::{Links, link};
use super::message::{self, Message};
use super::text::{clean, joined};
use crate::model::{Manifest, RepoName, Stage};
use crate::promote::State;

/// How a stage's nodes stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeCount {
    /// Connected.
    pub nodes: usize,
    /// Took all they were sent.
    pub acked: usize,
    /// Refused something.
    pub nacked: usize,
}

/// The board of `repo`, or one of its stages. `notes` stand below it.
pub fn board(
    repo: &RepoName,
    manifest: &Manifest,
    only: Option<&Stage>,
    state: &State,
    nodes: &BTreeMap<Stage, NodeCount>,
    notes: &[String],
    links: &Links,
) -> Message {
    let stages = manifest.stages.iter().map(|spec| &spec.name);
    let shown: Vec<_> = stages.filter(|stage| only.is_none_or(|only| only == *stage)).collect();
    let line = |stage: &&Stage| stage_lines(repo, stage, state, nodes.get(*stage), links);
    let lines: Vec<_> = shown.iter().map(line).collect();
    let mut blocks =
        vec![message::section(&format!("*{repo}* · {}", link(&links.board(), "Board")))];
    // Each stage is a block of its own, as long as there are blocks.
    match lines.len() {
        0..=40 => blocks.extend(lines.iter().map(|line| message::section(line))),
        _ => blocks.push(message::section(&joined(&lines, "\n", message::SECTION_MAX))),
    }
    if !notes.is_empty() {
        let notes: Vec<_> = notes.iter().map(|note| clean(note, WORDS_MAX)).collect();
        blocks.push(message::context(&notes));
    }
    let serves = shown.iter().map(|stage| match state.slot(repo, stage).current {
        Some(bundle) => format!("{stage} serves {bundle}"),
        None => format!("{stage} serves nothing"),
    });
    let text = format!("{repo}: {}", serves.collect::<Vec<_>>().join(", "));
    Message::new(&text, blocks)
}

fn stage_lines(
    repo: &RepoName,
    stage: &Stage,
    state: &State,
    nodes: Option<&NodeCount>,
    links: &Links,
) -> String {
    let slot = state.slot(repo, stage);
    let mut text = match &slot.current {
        Some(id) => format!("*{stage}*  {}", named(id, state.bundles.get(id))),
        None => format!("*{stage}*  serves nothing so far"),
    };
    if let (Some(at), Some(by)) = (slot.since, &slot.by) {
        let _ = write!(text, " since {} by {}", when(at), clean(&by.to_string(), 64));
    }
    if let Some(count) = nodes {
        let _ = write!(text, " · {} of {} nodes took it", count.acked, count.nodes);
        if count.nacked > 0 {
            let _ = write!(text, ", :x: {} refused", count.nacked);
        }
    }
    if let Some(hold) = &slot.hold {
        let (by, reason) = (clean(&hold.by.to_string(), 64), clean(&hold.reason, WORDS_MAX));
        let _ = write!(text, "\n      :lock: held by {by}: {reason}");
    }
    for promotion in state.open(repo, stage) {
        let page = link(&links.promotion(&promotion.id), promotion.id.as_str());
        let _ = write!(text, "\n      {page} to `{}`: {}", promotion.bundle, standing(promotion));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Audience, message::assert_within_limits, samples};

    fn show(only: Option<&Stage>) -> Message {
        let state = samples::state(vec![samples::promotion(142, "canary")]);
        let count = NodeCount { nodes: 3, acked: 2, nacked: 1 };
        let nodes = BTreeMap::from([(samples::stage("canary"), count)]);
        let links = Links::new("https://convoy.example.com");
        let notes = ["the upstream <diverged>".to_owned()];
        let message =
            board(&samples::repo(), &samples::manifest(), only, &state, &nodes, &notes, &links);
        assert_within_limits(&message);
        message
    }

    #[test]
    fn the_board_shows_every_stage() {
        insta::assert_json_snapshot!("board", show(None).answer(Audience::Caller));
    }

    #[test]
    fn one_stage_can_be_asked_for() {
        let shown = show(Some(&samples::stage("beta"))).answer(Audience::Caller).to_string();
        assert!(shown.contains("beta") && !shown.contains("canary"), "{shown}");
    }

    #[test]
    fn a_very_long_pipeline_stays_within_the_limits() {
        let mut manifest = samples::manifest();
        let spec = manifest.stages[0].clone();
        for n in 0..200 {
            manifest.stages.push(crate::model::StageSpec {
                name: samples::stage(&format!("stage-{n}")),
                ..spec.clone()
            });
        }
        let state = samples::state(Vec::new());
        let links = Links::new("https://convoy.example.com");
        let none = BTreeMap::new();
        let message = board(&samples::repo(), &manifest, None, &state, &none, &[], &links);
        assert_within_limits(&message);
    }
}
