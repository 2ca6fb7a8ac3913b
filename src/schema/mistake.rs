//! What the YAML reader says of a text that it can't read: where, and what.
//!
//! The reader puts the place into its words, in several ways; whoever reports
//! the mistake has a form of its own for places.

use serde_saphyr::{Error, Location};

/// Line and column of a position, both from 1; 0 where it is not known.
pub(crate) fn position(location: &Location) -> (u32, u32) {
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    (small(location.line()), small(location.column()))
}

/// Where the reader stopped, and its words without the place.
pub(crate) fn mistake(error: &Error) -> ((u32, u32), String) {
    let at = error.location().map_or((0, 0), |location| position(&location));
    (at, sentence(&error.without_snippet().to_string()))
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
