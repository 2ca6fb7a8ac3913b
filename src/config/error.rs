//! What is wrong with the configuration, where, and what to do about it.

use std::fmt;

/// One mistake. The program says it and exits with 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// `file:line:column`, a flag, or a variable; empty for a rule that
    /// concerns several keys.
    pub place: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl ConfigError {
    /// A mistake at a place.
    pub fn at(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into(), hint: String::new() }
    }

    /// A rule between keys that is broken.
    pub fn rule(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { place: String::new(), message: message.into(), hint: hint.into() }
    }

    /// The same mistake with a hint.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.message)?;
        if !self.hint.is_empty() {
            write!(f, "\n  hint: {}", self.hint)?;
        }
        Ok(())
    }
}
