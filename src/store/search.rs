//! Searching the content of a revision's files.

use super::SearchResult;
use super::error::StoreError;
use super::open::Shared;
use crate::content::{Patterns, Scan};
use crate::model::{FilePath, RepoName, Revision};

/// Lines that match, in files that match and may be read.
pub(crate) fn search(
    shared: &Shared,
    repo: &RepoName,
    revision: Revision,
    patterns: &Patterns,
    scan: &Scan,
    admit: &dyn Fn(&FilePath) -> bool,
) -> Result<SearchResult, StoreError> {
    let _ = (shared, repo, revision, patterns, scan, admit);
    todo!()
}
