//! What differs between two revisions, by walking only folders that differ.

use super::error::StoreError;
use super::open::Shared;
use crate::content::Patterns;
use crate::model::{Changed, RepoName, Revision};

/// Files that match and differ, sorted by path.
pub(crate) fn changed(
    shared: &Shared,
    repo: &RepoName,
    from: Revision,
    to: Revision,
    patterns: &Patterns,
) -> Result<Vec<Changed>, StoreError> {
    let _ = (shared, repo, from, to, patterns);
    todo!()
}
