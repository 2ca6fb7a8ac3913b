//! What changes would come to, without writing anything.

use super::error::StoreError;
use super::open::Shared;
use crate::model::{Change, Effect, RepoName, Revision};

/// The effects of `changes` on top of `base`, sorted by path.
pub(crate) fn preview(
    shared: &Shared,
    repo: &RepoName,
    base: Revision,
    changes: &[Change],
) -> Result<Vec<Effect>, StoreError> {
    let _ = (shared, repo, base, changes);
    todo!()
}
