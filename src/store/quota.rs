//! What a repository may hold and take, and what it holds.

use serde::Serialize;

use super::Quota;
use super::error::StoreError;
use super::open::Shared;
use crate::model::RepoName;

/// What a repository holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Files of the head.
    pub files: u64,
    /// Their bytes together.
    pub bytes: u64,
}

/// Bounds a repository from now on.
pub(crate) fn set(shared: &Shared, repo: &RepoName, quota: Quota) -> Result<(), StoreError> {
    let _ = (shared, repo, quota);
    todo!()
}

/// What a repository holds.
pub(crate) fn usage(shared: &Shared, repo: &RepoName) -> Result<Usage, StoreError> {
    let _ = (shared, repo);
    todo!()
}
