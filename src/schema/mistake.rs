//! What the YAML reader says of a text that it can't read: where, and what.
//!
//! The reader puts the place into its words, in several ways; whoever reports
//! the mistake has a form of its own for places.

use serde_saphyr::{Error, Location};

use crate::model::{FilePath, Place, Problem};

/// The deepest nesting that is read of Convoy's own files: far more than people
/// write, and little enough for the stack of a server's thread in any build.
pub(crate) const DEPTH_MAX: usize = 32;

/// Line and column of a position, both from 1; 0 where it is not known.
pub(crate) fn position(location: &Location) -> (u32, u32) {
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    (small(location.line()), small(location.column()))
}

/// Where the reader stopped, and its words without the place.
pub(crate) fn mistake(error: &Error) -> ((u32, u32), String) {
    let at = error.location().map_or((0, 0), |location| position(&location));
    (at, words(root(error)))
}

/// The mistake as a problem of `file`; `syntax` is the rule of those that are
/// neither a key that is there twice nor more than is read.
pub(crate) fn unreadable(file: &FilePath, error: &Error, syntax: &str) -> Problem {
    let ((line, column), words) = mistake(error);
    let place = Place { file: file.clone(), line, column };
    match root(error) {
        Error::DuplicateMappingKey { .. } => {
            Problem::new(place, "duplicate-key", words).with_hint("keep one of them")
        }
        error if is_too_deep(error) => Problem::new(place, "yaml-budget", words)
            .with_hint("look for an unclosed bracket or a wrong indent"),
        error if is_too_much(error) => Problem::new(place, "yaml-budget", words)
            .with_hint("split the file, or use fewer aliases of large anchors"),
        _ => Problem::new(place, syntax, words),
    }
}

fn words(error: &Error) -> String {
    match error {
        Error::DuplicateMappingKey { key, .. } => {
            format!("the key `{}` is there twice", key.as_deref().unwrap_or("?"))
        }
        error if is_too_deep(error) => "nested deeper than is read".into(),
        error if is_too_much(error) => "larger, or repeats more, than is read".into(),
        other => sentence(&other.to_string()),
    }
}

/// Our bound, or for brackets the scanner's own, which comes first.
fn is_too_deep(error: &Error) -> bool {
    let text = error.to_string();
    text.contains("Depth {") || text.contains("recursion limit exceeded")
}

fn is_too_much(error: &Error) -> bool {
    matches!(
        error,
        Error::Budget { .. }
            | Error::AliasReplayLimitExceeded { .. }
            | Error::AliasExpansionLimitExceeded { .. }
            | Error::AliasReplayStackDepthExceeded { .. }
    )
}

/// The error itself, without what the reader wraps around it.
fn root(error: &Error) -> &Error {
    match error.without_snippet() {
        Error::AliasError { error, .. } => root(error),
        other => other,
    }
}

fn sentence(text: &str) -> String {
    let text = text.lines().next().unwrap_or("not YAML");
    let text = match text.strip_prefix("error: line ").and_then(|rest| rest.split_once(": ")) {
        Some((_, rest)) => rest,
        None => text,
    };
    let cut = [" at line ", " (line "].iter().filter_map(|mark| text.find(mark)).min();
    text[..cut.unwrap_or(text.len())].trim_end_matches(['.', ',', ':']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readers_words_lose_their_place() {
        for text in [
            "bad thing at line 3, column 4",
            "error: line 3 column 4: bad thing",
            "bad thing (line 3, column 4)\n  | snippet",
        ] {
            assert_eq!(sentence(text), "bad thing");
        }
    }
}
