//! What is wrong with what somebody wrote, and where.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{FilePath, Stage};

/// A position in a source file. Lines and columns are counted from 1, columns
/// in characters; line 0 means the file as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The file, as committed.
    pub file: FilePath,
    /// The line, from 1; 0 for the whole file.
    pub line: u32,
    /// The column in characters, from 1; 0 for the whole line.
    pub column: u32,
}

impl Place {
    /// The whole of `file`.
    pub fn file(file: FilePath) -> Self {
        Self { file, line: 0, column: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (0, _) => write!(f, "{}", self.file),
            (line, 0) => write!(f, "{}:{line}", self.file),
            (line, column) => write!(f, "{}:{line}:{column}", self.file),
        }
    }
}

/// Whether something stops a bundle or only asks for a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Stops the bundle.
    Error,
    /// Is shown, and stops nothing.
    Warning,
}

/// An author's mistake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// Which rule, as a stable short name: `yaml-syntax`, `unknown-field` …
    pub rule: String,
    /// What is wrong, one sentence, lower case, without a full stop.
    pub message: String,
    /// What to do about it, where there is something to say.
    pub hint: Option<String>,
    /// The stages it shows in; empty means all of them.
    pub stages: Vec<Stage>,
}

impl Problem {
    /// A problem without a hint that concerns every stage.
    pub fn new(place: Place, rule: &str, message: impl Into<String>) -> Self {
        Self { place, rule: rule.into(), message: message.into(), hint: None, stages: Vec::new() }
    }

    /// The same problem with a hint.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} [{}]", self.place, self.message, self.rule)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// What the linter says of rendered resources.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Finding {
    /// Where, and what.
    pub problem: Problem,
    /// Whether it stops the bundle.
    pub severity: Severity,
}
