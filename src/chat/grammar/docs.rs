//! What the table of verbs says to shells, to the console's palette and to
//! readers of the documentation.

use std::fmt::Write as _;

use serde::Serialize;

use super::verbs::{COMMON, Family, Kind, Runs, Seat, VERBS, VerbSpec};
use super::{ask::Events, verbs::Arg};

/// One entry of the console's palette.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// What is typed first.
    pub verb: &'static str,
    /// The whole form.
    pub usage: String,
    /// What it does.
    pub about: &'static str,
    /// A line that works.
    pub example: &'static str,
    /// Whether it changes something.
    pub changes: bool,
    /// What can follow, each with the kind of its values.
    pub parts: Vec<Part>,
}

/// What can follow a verb.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// The word or option before it; `None`: it stands by its position.
    pub name: Option<String>,
    /// The kind of its values, as the usage calls it.
    pub label: &'static str,
    /// Whether the line is refused without it.
    pub needed: bool,
    /// Its values, where they are few and fixed.
    pub values: Vec<&'static str>,
}

/// The table for a palette that completes and explains while somebody types.
pub fn palette() -> Vec<Entry> {
    let entry = |spec: &VerbSpec| Entry {
        verb: spec.name,
        usage: spec.usage(),
        about: spec.about,
        example: spec.example,
        changes: spec.changes(),
        parts: spec.args.iter().chain(&COMMON).map(part).collect(),
    };
    VERBS.iter().map(entry).collect()
}

fn part(arg: &Arg) -> Part {
    let name = match arg.seat {
        Seat::Word(word) => Some(word.to_owned()),
        Seat::Flag(flag) => Some(format!("--{flag}")),
        Seat::Next | Seat::Rest => None,
    };
    let values = match arg.kind {
        Kind::Verb => VERBS.iter().map(|spec| spec.name).collect(),
        Kind::Things => vec!["bundles", "promotions"],
        Kind::Events => Events::WORDS.to_vec(),
        Kind::StageOrAll => vec!["all"],
        _ => Vec::new(),
    };
    Part { name, label: arg.label, needed: arg.needed, values }
}

/// What may come next in `line`, whose last word is being typed: verbs, then
/// the words and options of the verb, fixed values, and `stages`.
pub fn completions(line: &str, stages: &[&str]) -> Vec<String> {
    let begun: Vec<_> = line.split_whitespace().collect();
    let (done, typing) = match line.ends_with(char::is_whitespace) || line.is_empty() {
        true => (begun.as_slice(), ""),
        false => begun.split_last().map_or((&[][..], ""), |(last, done)| (done, *last)),
    };
    let mut found: Vec<String> = match done.split_first() {
        None => VERBS.iter().map(|spec| spec.name.to_owned()).collect(),
        Some((verb, words)) => match super::verbs::find(verb) {
            Ok(spec) => following(spec, words, stages),
            Err(_) => Vec::new(),
        },
    };
    found.retain(|word| word.starts_with(&typing.to_lowercase()));
    found
}

fn following(spec: &VerbSpec, words: &[&str], stages: &[&str]) -> Vec<String> {
    let valued = |arg: &Arg| -> Vec<String> {
        let of_stages = matches!(
            arg.kind,
            Kind::Stage
                | Kind::StageOrAll
                | Kind::Source
                | Kind::StageOrBundle
                | Kind::StageOrPromotion
        );
        let stages = stages.iter().filter(|_| of_stages).map(|stage| (*stage).to_owned());
        part(arg).values.into_iter().map(str::to_owned).chain(stages).collect()
    };
    let last = words.last().copied().unwrap_or_default();
    let dashed = last.strip_prefix("--");
    if let Some(arg) = spec.named(dashed.unwrap_or(last), dashed.is_some())
        && arg.kind != Kind::Switch
    {
        return valued(arg);
    }
    let mut found: Vec<_> =
        spec.args.iter().filter(|arg| arg.seat == Seat::Next).flat_map(valued).collect();
    for arg in spec.args.iter().chain(&COMMON) {
        let name = match arg.seat {
            Seat::Word(word) => word.to_owned(),
            Seat::Flag(flag) => format!("--{flag}"),
            Seat::Next | Seat::Rest => continue,
        };
        if !words.contains(&name.as_str()) {
            found.push(name);
        }
    }
    found
}

/// The documentation page, in Markdown.
pub fn document(command: &str) -> String {
    let mut page = format!(
        "# What can be typed\n\n\
         After `{command}` in Slack, after a mention of the app, and after `convoy` in a shell. \
         Words such as `to`, `in`, `for` and `until` with what follows them may stand in any \
         order, and `--to` is the same as `to`. Reasons stand at the end, or in quotes.\n\n\
         - **P** is a promotion (`P-142`), **SRC** a bundle's id or the beginning of it, a stage \
           whose bundle is meant, a commit, `#PR`, `r12` or `latest`.\n\
         - **TIME** is `2h` from now, `mon 09:00`, `tomorrow 18:00`, `18:00` or \
           `2026-12-24T09:00`, with a zone behind it if it is another than the configured one \
           (`Asia/Tokyo`, `UTC`, `+09:00`); what was understood is said back with its zone. \
           **DURATION** is `30m`, `2h`, `3d`.\n\
         - Nothing that changes something happens unseen: a preview is shown and the same person \
           confirms it within ten minutes. The verbs marked *at once* are in the safe direction, \
           or name the plan that they are for.\n\
         - Everywhere: `--repo PROJECT/REPOSITORY` where there are several, `--here` to answer so \
           that the channel sees it, `--json` for the record itself.\n"
    );
    for family in Family::ALL {
        let _ = write!(page, "\n## {}\n\n| | |\n| --- | --- |\n", family.title());
        for spec in VERBS.iter().filter(|spec| spec.family == family) {
            let mark = match spec.runs {
                Runs::AtOnce if family != Family::Account => " *At once.*",
                Runs::Form => " *Always in a form.*",
                _ => "",
            };
            let usage = spec.usage().replace('|', "\\|");
            let example = spec.example;
            let _ = writeln!(page, "| `{usage}` | {}{mark} `{example}` |", spec.about);
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completions_come_from_the_table() {
        let stages = ["beta", "canary"];
        let table: [(&str, &[&str]); 7] = [
            ("pro", &["promote"]),
            ("un", &["unpin", "unveto", "unlock", "unsubscribe"]),
            ("list ", &["bundles", "promotions", "beta", "canary", "--repo", "--here", "--json"]),
            ("promote beta to ", &["beta", "canary"]),
            ("promote beta to c", &["canary"]),
            ("promote beta --d", &["--dry-run"]),
            ("xyzzy ", &[]),
        ];
        for (line, words) in table {
            assert_eq!(completions(line, &stages), words, "{line}");
        }
        assert_eq!(completions("", &stages).len(), VERBS.len());
    }

    #[test]
    fn the_palette_and_the_page_name_every_verb() {
        let page = document("/convoy");
        for (spec, entry) in VERBS.iter().zip(palette()) {
            assert_eq!((entry.verb, entry.usage), (spec.name, spec.usage()));
            assert!(page.contains(spec.example), "{}", spec.example);
        }
        insta::assert_snapshot!("page", page);
    }
}
