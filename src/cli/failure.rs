//! Why a command failed, and the exit code that says so.

use std::fmt;

/// A failed command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// What failed, and why; empty where the result itself says it.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl Failure {
    /// It ran, and the answer is no.
    pub const FAILED: u8 = 1;
    /// It was asked for wrongly.
    pub const USAGE: u8 = 2;
    /// The configuration repository has problems.
    pub const PROBLEMS: u8 = 3;
    /// It is not allowed.
    pub const FORBIDDEN: u8 = 4;
    /// There is no such thing.
    pub const NOT_FOUND: u8 = 5;
    /// It does not fit the state of things.
    pub const CONFLICT: u8 = 6;
    /// Nobody answered in time.
    pub const UNAVAILABLE: u8 = 7;

    /// A failure with a message.
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: String::new() }
    }

    /// A failure that the printed result explains.
    pub fn silent(code: u8) -> Self {
        Self::new(code, "")
    }

    /// The same failure with a hint.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        if !self.hint.is_empty() {
            write!(f, "\n  hint: {}", self.hint)?;
        }
        Ok(())
    }
}
