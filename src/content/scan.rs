//! Searching texts, for a literal or a regular expression. Bounded: a line is
//! cut for show, a file gives no more hits than asked for.

use super::ContentError;

/// What is searched for.
#[derive(Debug, Clone)]
pub struct Scan {}

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
        let _ = (text, regex, ignore_case);
        todo!()
    }

    /// The lines of a text that match, at most `hits_max`.
    pub fn lines(&self, text: &str, hits_max: usize) -> Vec<Hit> {
        let _ = (text, hits_max);
        todo!()
    }
}
