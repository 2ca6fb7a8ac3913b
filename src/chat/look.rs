//! The answers to what only looks: lists, one bundle, one promotion, the
//! matrix, what a stage served, who did what.
//!
//! Digests, names and links; never a file's content or a value.

use std::fmt::Write as _;

use serde::Serialize;

use super::card::{self, Offer, Reminders, WORDS_MAX, counted, matrix, named, standing, when};
use super::links::{Links, link};
use super::message::{self, Message};
use super::text::{clean, cut, joined};
use crate::model::{Cell, Outcome, Person, RepoName, Role, Stage};
use crate::promote::{BundleRecord, BundleStatus, Promotion, State};

/// Entries of a list; the console has all.
const LISTED_MAX: usize = 15;
/// What a code block may hold.
const JSON_MAX: usize = 2_800;

/// Who the caller is to Convoy.
pub fn whoami(user: &str, person: Option<&Person>, role: Option<Role>) -> Message {
    let user = clean(user, 64);
    Message::plain(&match (person, role) {
        (None, _) => format!(
            "The Slack user `{user}` is linked to nobody: you can look, and nothing else. `link` \
             says who you are"
        ),
        (Some(person), Some(role)) => {
            format!("You are *{}*, as `{user}`; your role is {role}", clean(person.as_str(), 64))
        }
        (Some(person), None) => format!(
            "You are *{}*, as `{user}`; the policy of each stage says what you may decide",
            clean(person.as_str(), 64)
        ),
    })
}

/// The newest bundles of a repository, or those that were in `stage`.
pub fn bundles(repo: &RepoName, stage: Option<&Stage>, state: &State) -> Message {
    let of_repo = state.bundles.values().filter(|bundle| &bundle.repo == repo);
    let in_stage = |bundle: &&BundleRecord| {
        stage.is_none_or(|stage| {
            bundle.verified.contains_key(stage)
                || state.slot(repo, stage).current.as_ref() == Some(&bundle.id)
        })
    };
    let mut all: Vec<_> = of_repo.filter(in_stage).collect();
    all.sort_by_key(|bundle| std::cmp::Reverse(bundle.commit.revision));
    let line = |bundle: &&BundleRecord| {
        format!(
            "{} {} · “{}” by {} · {}",
            mark(bundle.status),
            named(&bundle.id, Some(bundle)),
            clean(bundle.commit.subject(), 100),
            clean(&bundle.commit.author_name, 64),
            when(bundle.at)
        )
    };
    list(&format!("Bundles of *{repo}*"), all.iter().map(line), all.len())
}

/// The newest promotions of a repository, or of one of its stages.
pub fn promotions(repo: &RepoName, stage: Option<&Stage>, state: &State, links: &Links) -> Message {
    let of_repo = state.promotions.values().filter(|one| &one.repo == repo);
    let mut all: Vec<_> =
        of_repo.filter(|one| stage.is_none_or(|stage| &one.stage == stage)).collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.id.number()));
    let line = |one: &&Promotion| {
        let page = link(&links.promotion(&one.id), one.id.as_str());
        format!("{page} · {} ← `{}`: {}", one.stage, one.bundle, standing(one))
    };
    list(&format!("Promotions of *{repo}*"), all.iter().map(line), all.len())
}

fn list(title: &str, lines: impl Iterator<Item = String>, count: usize) -> Message {
    let mut all = vec![title.to_owned()];
    all.extend(lines.take(LISTED_MAX));
    match count {
        0 => all.push("none so far".into()),
        count if count > LISTED_MAX => all.push(format!("… and {} more", count - LISTED_MAX)),
        _ => {}
    }
    Message::plain(&joined(&all, "\n", message::SECTION_MAX))
}

fn mark(status: BundleStatus) -> &'static str {
    match status {
        BundleStatus::Checking => ":hourglass_flowing_sand:",
        BundleStatus::Eligible => ":white_check_mark:",
        BundleStatus::Rejected => ":x:",
    }
}

/// A promotion, as its card shows it, without buttons.
pub fn promotion(promotion: &Promotion, state: &State, links: &Links) -> Message {
    card::card(promotion, state, &Offer::default(), links, None)
}

/// A bundle: where it comes from, what was found, where it stands.
pub fn bundle(bundle: &BundleRecord, state: &State) -> Message {
    let commit = &bundle.commit;
    let mut head = format!(
        "{} {} of *{}*\n“{}” by {}, commit `{}`, {}",
        mark(bundle.status),
        named(&bundle.id, Some(bundle)),
        bundle.repo,
        clean(commit.subject(), WORDS_MAX),
        clean(&commit.author_name, 80),
        commit.commit.short(),
        when(bundle.at)
    );
    let _ =
        write!(head, "\n{} problems, {} findings", bundle.problems.len(), bundle.findings.len());
    let problem = |problem: &crate::model::Problem| {
        let (place, said) = (problem.place.to_string(), &problem.message);
        format!("      `{}` {}", clean(&place, WORDS_MAX), clean(said, WORDS_MAX))
    };
    let mut lines = vec![head];
    lines.extend(bundle.problems.iter().take(5).map(problem));
    lines.extend(bundle.manifest.stages.iter().map(|spec| stands(bundle, &spec.name, state)));
    let text = joined(&lines, "\n", message::SECTION_MAX);
    let mut blocks = vec![message::section(&text)];
    blocks
        .extend(bundle.manifest.stages.last().and_then(|spec| matrix::section(bundle, &spec.name)));
    Message::new(&text, blocks)
}

fn stands(bundle: &BundleRecord, stage: &Stage, state: &State) -> String {
    let serves = state.slot(&bundle.repo, stage).current.as_ref() == Some(&bundle.id);
    let open = state.open(&bundle.repo, stage);
    let waiting = open.iter().find(|promotion| promotion.bundle == bundle.id);
    match (serves, waiting, bundle.verified.get(stage)) {
        (true, ..) => format!("*{stage}* serves it"),
        (_, Some(promotion), _) => format!("*{stage}* {}: {}", promotion.id, standing(promotion)),
        (_, _, Some(at)) => format!("*{stage}* served it until later than {}", when(*at)),
        _ => format!("*{stage}* never served it"),
    }
}

/// The matrix of a bundle; of one Envoy version only where one is named.
pub fn checks(bundle: &BundleRecord, version: Option<&str>) -> Message {
    let stages = bundle.manifest.stages.iter().map(|spec| &spec.name);
    let cells = stages.flat_map(|stage| bundle.cells(stage));
    let wanted: Vec<_> =
        cells.filter(|cell| version.is_none_or(|version| cell.version == version)).collect();
    let mut lines = vec![format!("Smoke runs of {}", named(&bundle.id, Some(bundle)))];
    lines.extend(wanted.iter().map(|cell| checked(bundle, cell)));
    if wanted.is_empty() {
        lines.push("it asks for none".into());
    }
    Message::plain(&joined(&lines, "\n", message::SECTION_MAX))
}

fn checked(bundle: &BundleRecord, cell: &Cell) -> String {
    let Some(result) = bundle.result(cell) else {
        return format!(":hourglass_flowing_sand: {cell}: not run so far");
    };
    let reason = result.reasons.first().map_or("no reason was given", String::as_str);
    match result.outcome {
        Outcome::Passed => format!(
            ":white_check_mark: {cell}: {} checks in {} ms{}",
            result.checks,
            result.took_ms,
            if result.cached { ", as before" } else { "" }
        ),
        Outcome::Failed => format!(":x: {cell} failed: {}", clean(reason, WORDS_MAX)),
        Outcome::Errored => format!(":warning: {cell} could not run: {}", clean(reason, WORDS_MAX)),
    }
}

/// What a stage served, newest first.
pub fn history(repo: &RepoName, stage: &Stage, state: &State, links: &Links) -> Message {
    let of_stage = state.promotions.values().filter(|one| &one.repo == repo && &one.stage == stage);
    let mut moved: Vec<_> = of_stage.filter_map(|one| Some((one.applied_at?, one))).collect();
    moved.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let line = |(at, one): &(jiff::Timestamp, &Promotion)| {
        let page = link(&links.promotion(&one.id), one.id.as_str());
        let by = clean(&one.requested_by.to_string(), 64);
        let bundle = named(&one.bundle, state.bundles.get(&one.bundle));
        format!(
            "{} {bundle} · {page} by {by} · {} · {}",
            when(*at),
            counted(one.plan.diff),
            standing(one)
        )
    };
    list(&format!("What *{stage}* of {repo} served"), moved.iter().map(line), moved.len())
}

/// Who did what to a promotion.
pub fn audit(promotion: &Promotion, links: &Links) -> Message {
    let page = link(&links.promotion(&promotion.id), promotion.id.as_str());
    let by = clean(&promotion.requested_by.to_string(), 64);
    let reason = match promotion.reason.is_empty() {
        true => String::new(),
        false => format!(": {}", clean(&promotion.reason, WORDS_MAX)),
    };
    let mut lines = vec![
        format!("{page} · {} ← `{}`", promotion.stage, promotion.bundle),
        format!("*{by}* asked for it {}{reason}", when(promotion.requested_at)),
    ];
    let told = card::notes(promotion, &Reminders::default(), promotion.requested_at);
    lines.extend(told.into_iter().map(|note| note.message.text));
    lines.push(standing(promotion));
    Message::plain(&joined(&lines, "\n", message::SECTION_MAX))
}

/// A record itself, in a code block.
pub fn json(record: &impl Serialize) -> Message {
    let text = serde_json::to_string_pretty(record).unwrap_or_default();
    // A fence within would end the block.
    let text = super::text::escape(&text.replace('`', "'"));
    Message::plain(&format!("```\n{}\n```", cut(&text, JSON_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::message::assert_within_limits;
    use crate::chat::samples;

    fn links() -> Links {
        Links::new("https://convoy.example.com")
    }

    #[test]
    fn every_look_names_what_it_shows_within_the_limits() {
        let mut one = samples::promotion(142, "canary");
        one.applied_at = Some(samples::at(50));
        let state = samples::state(vec![one.clone(), samples::promotion(143, "release")]);
        let (repo, canary) = (samples::repo(), samples::stage("canary"));
        let of = &state.bundles[&samples::bundle_id("b-new")];
        let table = [
            (bundles(&repo, None, &state), "b-new"),
            (bundles(&repo, Some(&canary), &state), "b-old"),
            (promotions(&repo, Some(&canary), &state, &links()), "P-142"),
            (promotion(&one, &state, &links()), "P-142"),
            (bundle(of, &state), "canary"),
            (checks(of, None), "not run so far"),
            (checks(of, Some("1.38.3")), "canary"),
            (checks(of, Some("0.0.0")), "asks for none"),
            (history(&repo, &canary, &state, &links()), "P-142"),
            (history(&repo, &samples::stage("beta"), &state, &links()), "none so far"),
            (audit(&one, &links()), "asked for it"),
            (json(of), "\"b-new\""),
            (whoami("U1", None, None), "linked to nobody"),
            (whoami("U1", Person::new("kim").ok().as_ref(), Some(Role::Operator)), "*kim*"),
        ];
        for (message, part) in table {
            assert_within_limits(&message);
            assert!(message.text.contains(part), "{part}: {}", message.text);
            assert!(!message.text.contains("<!channel>"), "{}", message.text);
        }
    }

    #[test]
    fn a_long_list_says_how_much_is_left_out() {
        let many = (1..100).map(|n| samples::promotion(n, "canary")).collect();
        let shown = promotions(&samples::repo(), None, &samples::state(many), &links());
        assert_within_limits(&shown);
        assert!(shown.text.contains("84 more"), "{}", shown.text);
    }
}
