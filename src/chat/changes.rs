//! What differs, as lines of a message: what each change is and what Envoys do
//! with it, as many as there is room for.
//!
//! Pure. Names and values come from the configuration: everything is cleaned
//! and escaped. What is secret was hidden before it came here.

use super::links::link;
use super::text::{clean, length};
use crate::snapshot::{Change, Impact, ResourceChange, Summary};

/// Lines together are not longer than this: they share a section of 3,000
/// characters with others.
const CHARS_MAX: usize = 2_400;
/// One change is not longer, before it is escaped.
const WORDS_MAX: usize = 260;
/// Node groups of one change that are named.
const PLACES_MAX: usize = 3;

/// `3 connected nodes would take it: 1 made anew, 2 changed in place`, then
/// each change, at most `most`; `page` is where the rest can be read.
pub fn changes(summary: &Summary, most: usize, page: &str) -> Vec<String> {
    if summary.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![head(summary)];
    let mut chars = 0;
    for change in summary.changes.iter().take(most) {
        let line = line(change);
        chars += length(&line);
        if chars > CHARS_MAX {
            break;
        }
        lines.push(line);
    }
    let left = summary.changes.len() + summary.more + 1 - lines.len();
    if left > 0 {
        lines.push(format!("… and {left} more: {}", link(page, "View diff")));
    }
    lines
}

fn head(summary: &Summary) -> String {
    let effects = summary.effects.iter().map(|(word, count)| format!("{count} {word}"));
    let effects = effects.collect::<Vec<_>>().join(", ");
    format!("{}: {effects}", touched(summary.nodes))
}

/// How many connected nodes would be served something else.
fn touched(nodes: usize) -> String {
    match nodes {
        0 => "No connected node takes it now".into(),
        1 => "1 connected node takes it".into(),
        nodes => format!("{nodes} connected nodes take it"),
    }
}

fn line(change: &Change) -> String {
    let mark = match &change.impact {
        impact if impact.disturbs() => ":warning:",
        _ => "•",
    };
    let Change { what, details, impact, .. } = change;
    let told = match change.change {
        ResourceChange::Added => format!("{what} is new"),
        ResourceChange::Removed if *impact == Impact::InPlace => format!("{what} goes"),
        ResourceChange::Removed => format!("{what} {impact}"),
        ResourceChange::Changed if details.is_empty() => format!("{what} differs"),
        ResourceChange::Changed => format!("{what}: {}", details.join("; ")),
    };
    let effect = match change.change {
        ResourceChange::Changed => format!("{}; ", clean(&impact.to_string(), WORDS_MAX)),
        ResourceChange::Added | ResourceChange::Removed => String::new(),
    };
    format!("{mark} {}\n      {effect}{}", clean(&told, WORDS_MAX), places(change))
}

fn places(change: &Change) -> String {
    let named = change.places.iter().take(PLACES_MAX).map(|place| clean(place, 64));
    let mut text = named.collect::<Vec<_>>().join(", ");
    if change.places.len() > PLACES_MAX {
        text.push_str(&format!(" and {} more", change.places.len() - PLACES_MAX));
    }
    let nodes = if change.nodes == 1 { "1 node".into() } else { format!("{} nodes", change.nodes) };
    format!("{text}: {nodes}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(what: &str, details: &[&str]) -> Change {
        Change {
            what: what.into(),
            change: ResourceChange::Changed,
            details: details.iter().map(ToString::to_string).collect(),
            impact: Impact::RecreatesCluster,
            places: vec!["edge".into(), "inner".into()],
            nodes: 7,
        }
    }

    fn summary(changes: Vec<Change>) -> Summary {
        let effects = vec![("made anew".to_owned(), changes.len())];
        Summary { changed: changes.len(), nodes: 7, effects, changes, ..Summary::default() }
    }

    #[test]
    fn a_change_says_what_it_is_what_it_does_and_to_how_many() {
        let told =
            summary(vec![change("cluster pay", &["connect_timeout: 1s → 3s", "x: added 1"])]);
        assert_eq!(
            changes(&told, 10, "https://c"),
            [
                "7 connected nodes take it: 1 made anew",
                ":warning: cluster pay: connect_timeout: 1s → 3s; x: added 1\n      makes the \
                 cluster anew: connections and host health are lost; edge, inner: 7 nodes",
            ]
        );
        assert!(changes(&Summary::default(), 10, "https://c").is_empty());
    }

    #[test]
    fn what_comes_and_goes_says_so_once() {
        let comes = Change {
            change: ResourceChange::Added,
            impact: Impact::New,
            places: (0..5).map(|n| format!("g{n}")).collect(),
            nodes: 1,
            ..change("listener web", &[])
        };
        let by = vec!["route configuration main".to_owned()];
        let goes = |impact| Change {
            change: ResourceChange::Removed,
            impact,
            ..change("cluster pay", &[])
        };
        let all = vec![comes, goes(Impact::RemovedInUse { by }), goes(Impact::InPlace)];
        let lines = changes(&summary(all), 10, "https://c");
        assert_eq!(lines[1], "• listener web is new\n      g0, g1, g2 and 2 more: 1 node");
        let goes = ":warning: cluster pay goes, although route configuration main names it\n";
        assert!(lines[2].starts_with(goes), "{}", lines[2]);
        assert!(lines[3].starts_with("• cluster pay goes\n"), "{}", lines[3]);
    }

    #[test]
    fn names_and_values_can_neither_ping_nor_forge_nor_flood() {
        let evil = change("cluster <!channel>", &["x: `a` → <https://evil.example|b>"]);
        let many = vec![evil.clone(); 300];
        let lines = changes(&summary(many), 12, "https://c?a=1&b=2");
        let text = lines.join("\n");
        assert!(!text.contains("<!channel>") && !text.contains("<https://evil"), "{text}");
        assert!(text.contains("… and 288 more: <https://c?a=1&amp;b=2|View diff>"), "{text}");
        let long = change(&"&".repeat(5_000), &[&"<".repeat(5_000)]);
        let lines = changes(&summary(vec![long; 50]), 50, "https://c");
        assert!(length(&lines.join("\n")) <= super::super::message::SECTION_MAX, "{lines:?}");
        assert!(lines.last().unwrap().contains("more"), "{lines:?}");
    }
}
