//! Central Dogma's HTTP API v1, so that its clients work unchanged. Thin: it
//! turns its requests into ours and our answers into its; it decides nothing.
//!
//! Its errors have a shape of their own, `{"exception", "message"}`, which
//! `edge` writes for paths that [`is_ours`] knows.

use super::access::Entry;

/// The routes.
pub(crate) fn routes() -> Vec<Entry> {
    Vec::new()
}

/// Whether a path is one of Central Dogma's.
pub(crate) fn is_ours(path: &str) -> bool {
    let _ = path;
    false
}
