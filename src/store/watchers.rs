//! Who waits for what, found by what changed: a commit looks up its paths, it
//! does not go through everybody who waits.

use super::error::StoreError;
use super::open::Shared;
use super::{Happening, Subscription};
use crate::content::Patterns;
use crate::model::{RepoName, Revision};

/// Follows subscriptions; see `Store::follow`.
#[derive(Debug)]
pub struct Follow {}

impl Follow {
    /// The next happening. Cancelling the call loses nothing.
    ///
    /// # Errors
    /// A repository was purged, or Git's data is damaged.
    pub async fn next(&mut self) -> Result<Happening, StoreError> {
        todo!()
    }
}

/// Waits until what `patterns` match differs from what it was at `since`.
pub(crate) async fn changed_since(
    shared: &Shared,
    repo: &RepoName,
    patterns: &Patterns,
    since: Revision,
) -> Result<Revision, StoreError> {
    let _ = (shared, repo, patterns, since);
    todo!()
}

/// Follows subscriptions.
pub(crate) fn follow(
    shared: &Shared,
    subscriptions: Vec<Subscription>,
) -> Result<Follow, StoreError> {
    let _ = (shared, subscriptions);
    todo!()
}
