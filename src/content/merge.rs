//! Merges: three texts by line, and several documents over each other.

use serde_json::Value;

use super::ContentError;

/// Two edits of the same lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The text with Git's markers (`<<<<<<<`, `|||||||`, `=======`,
    /// `>>>>>>>`) where both changed.
    pub marked: String,
}

/// Merges what `ours` and `theirs` made of `base`, by line.
///
/// # Errors
/// Both changed the same lines.
pub fn merge_three(base: &str, ours: &str, theirs: &str) -> Result<String, Conflict> {
    let _ = (base, ours, theirs);
    todo!()
}

/// Lays documents over each other, later ones over earlier ones: objects are
/// merged key by key, everything else is replaced.
///
/// # Errors
/// [`ContentError::Types`] where a key's values are of different types; null
/// is of every type.
pub fn overlay(documents: &[Value]) -> Result<Value, ContentError> {
    let _ = documents;
    todo!()
}
