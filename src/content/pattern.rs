//! Path patterns, as Central Dogma writes them: `*` within a part, `**` across
//! parts, `,` between alternatives; everything else is literal.

use super::ContentError;
use crate::model::FilePath;

/// One alternative of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: String,
}

/// A pattern with its alternatives: a path matches if one of them does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Patterns {
    /// What was written.
    text: String,
    alternatives: Vec<Pattern>,
}

impl Patterns {
    /// Parses a pattern. One that doesn't begin with `/` may match at any
    /// depth: `*.json` is `/**/*.json`.
    ///
    /// # Errors
    /// [`ContentError::Query`]: three stars in a row, or an empty alternative.
    pub fn new(text: &str) -> Result<Self, ContentError> {
        let _ = text;
        todo!()
    }

    /// Every path: `/**`.
    pub fn all() -> Self {
        let text = "/**".to_owned();
        Self { alternatives: vec![Pattern { text: text.clone() }], text }
    }

    /// Exactly this file.
    pub fn file(path: &FilePath) -> Self {
        let text = format!("/{path}");
        Self { alternatives: vec![Pattern { text: text.clone() }], text }
    }

    /// Whether a path matches.
    pub fn matches(&self, path: &FilePath) -> bool {
        let _ = path;
        todo!()
    }

    /// The alternatives.
    pub fn alternatives(&self) -> &[Pattern] {
        &self.alternatives
    }

    /// The one file that is meant, where there is no star and no alternative.
    pub fn literal(&self) -> Option<FilePath> {
        todo!()
    }

    /// What was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Pattern {
    /// Whether a path matches.
    pub fn matches(&self, path: &FilePath) -> bool {
        let _ = path;
        todo!()
    }

    /// The one file that is meant, where there is no star.
    pub fn literal(&self) -> Option<FilePath> {
        todo!()
    }

    /// The folder, without slashes at its ends, that everything matched lies
    /// below; empty for the root.
    pub fn folder(&self) -> &str {
        let _ = &self.text;
        todo!()
    }

    /// The last part, where it has no star.
    pub fn file_name(&self) -> Option<&str> {
        todo!()
    }
}
