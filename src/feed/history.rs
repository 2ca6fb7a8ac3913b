//! History for readers of some paths: only commits of which they may see
//! something.

use crate::access::Reach;
use crate::model::{CommitInfo, RepoName, Revision};
use crate::store::{HistoryQuery, Store, StoreError};

/// How many commits are looked at for one answer to somebody who may read
/// some paths only.
const LOOKED_MAX: usize = 20_000;

/// Revisions that changed what the query matches and the reader may read,
/// newest first.
///
/// # Errors
/// As [`Store::history_of`].
pub fn history(
    store: &Store,
    repo: &RepoName,
    query: HistoryQuery,
    reach: &Reach,
) -> Result<Vec<CommitInfo>, StoreError> {
    if *reach == Reach::All {
        return store.history_of(repo, &query);
    }
    let limit = query.limit;
    let candidates =
        store.history_of(repo, &HistoryQuery { limit: LOOKED_MAX, ..query.clone() })?;
    let mut seen = Vec::new();
    for info in candidates {
        if seen.len() == limit {
            break;
        }
        let before = Revision(info.revision.0.saturating_sub(1));
        let changed = store.changed(repo, before, info.revision, &query.patterns)?;
        if changed.iter().any(|one| reach.covers(&one.path)) {
            seen.push(info);
        }
    }
    Ok(seen)
}
