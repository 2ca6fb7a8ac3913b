//! JSONPath: RFC 9535, and the sequence form of Central Dogma's API.

use serde_json::Value;

use super::ContentError;

/// Every value that a JSONPath (RFC 9535) finds.
///
/// # Errors
/// [`ContentError::Query`]: it is none.
pub fn select(document: &Value, path: &str) -> Result<Vec<Value>, ContentError> {
    let _ = (document, path);
    todo!()
}

/// Applies JSONPaths one after the other, each to what the one before gave. A
/// path that names one place gives its value; one that may name several
/// (a star, `..`, a filter, a slice, a union) gives an array.
///
/// # Errors
/// [`ContentError::Query`]: one is no JSONPath. [`ContentError::NotFound`]:
/// one that names one place finds nothing there.
pub fn select_in_sequence(document: &Value, paths: &[String]) -> Result<Value, ContentError> {
    let _ = (document, paths);
    todo!()
}
