//! Searching texts, for a literal or a regular expression. Bounded: a line is
//! cut for show, a file gives no more hits than asked for.

use regex::{Regex, RegexBuilder};

use super::ContentError;

/// The longest text that is searched for, in bytes.
const TEXT_BYTES_MAX: usize = 1000;
/// What an expression may compile to, in bytes.
const COMPILED_BYTES_MAX: usize = 1 << 20;
/// A line is cut to so many characters, of which so many stand before the
/// match.
const SHOWN_MAX: usize = 400;
const SHOWN_BEFORE_MAX: usize = 100;

/// What is searched for.
#[derive(Debug, Clone)]
pub struct Scan {
    expression: Regex,
}

/// A line that was found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Hit {
    /// Its number, from 1.
    pub line: usize,
    /// The column of the first match in characters, from 1.
    pub column: usize,
    /// The line, cut to 400 characters around the match.
    pub text: String,
}

impl Scan {
    /// A literal, or with `regex` a regular expression of bounded size.
    ///
    /// # Errors
    /// [`ContentError::Query`]: empty, longer than 1,000 bytes, or no
    /// expression.
    pub fn new(text: &str, regex: bool, ignore_case: bool) -> Result<Self, ContentError> {
        if text.is_empty() {
            return Err(ContentError::Query("there is nothing to search for".into()));
        }
        if text.len() > TEXT_BYTES_MAX {
            let why = format!("what is searched for is longer than {TEXT_BYTES_MAX} bytes");
            return Err(ContentError::Query(why));
        }
        let pattern = if regex { text.to_owned() } else { regex::escape(text) };
        let expression = RegexBuilder::new(&pattern)
            .case_insensitive(ignore_case)
            .size_limit(COMPILED_BYTES_MAX)
            .dfa_size_limit(COMPILED_BYTES_MAX)
            .build()
            .map_err(|error| {
                ContentError::Query(format!("not a regular expression: {}", brief(&error)))
            })?;
        Ok(Self { expression })
    }

    /// The lines of a text that match, at most `hits_max`.
    pub fn lines(&self, text: &str, hits_max: usize) -> Vec<Hit> {
        let lines = text.lines().enumerate();
        let hits = lines.filter_map(|(number, line)| {
            let found = self.expression.find(line)?;
            let column = line[..found.start()].chars().count() + 1;
            Some(Hit { line: number + 1, column, text: cut(line, column - 1) })
        });
        hits.take(hits_max).collect()
    }
}

/// The last line of the crate's report, which draws the expression above it.
fn brief(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim().trim_start_matches("error: ").to_owned()
}

fn cut(line: &str, before: usize) -> String {
    let skipped = before.saturating_sub(SHOWN_BEFORE_MAX);
    line.chars().skip(skipped).take(SHOWN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(scan: &Scan, text: &str) -> Vec<(usize, usize)> {
        scan.lines(text, 100).iter().map(|hit| (hit.line, hit.column)).collect()
    }

    #[test]
    fn lines_are_found_with_their_place() {
        let text = "one\r\nTwo a.b\nüü a.b a.b\nxaxb";
        assert_eq!(hits(&Scan::new("a.b", false, false).unwrap(), text), [(2, 5), (3, 4)]);
        assert_eq!(hits(&Scan::new("a.b", true, false).unwrap(), text), [(2, 5), (3, 4), (4, 2)]);
        assert_eq!(hits(&Scan::new("two", false, true).unwrap(), text), [(2, 1)]);
        assert_eq!(hits(&Scan::new("^one$", true, false).unwrap(), text), [(1, 1)]);
        assert_eq!(Scan::new("a", false, false).unwrap().lines(text, 1).len(), 1);
    }

    #[test]
    fn long_lines_are_cut_around_the_match() {
        let line = format!("{}needle{}", "ä".repeat(1000), "z".repeat(1000));
        let hit = &Scan::new("needle", false, false).unwrap().lines(&line, 1)[0];
        assert_eq!((hit.column, hit.text.chars().count()), (1001, 400));
        assert!(hit.text.contains("needle"));
    }

    #[test]
    fn what_can_not_be_searched_for_is_refused() {
        for (text, regex) in [("", false), ("(", true), ("\\w{1000}{1000}", true)] {
            assert!(matches!(Scan::new(text, regex, false), Err(ContentError::Query(_))), "{text}");
        }
        assert!(Scan::new(&"x".repeat(1001), false, false).is_err());
        let error = Scan::new("a(b", true, false).unwrap_err().to_string();
        assert_eq!(error, "not a regular expression: unclosed group");
    }
}
