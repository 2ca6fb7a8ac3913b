//! What a durable record does to repositories and their folders: by the writer
//! when it is new, by `open` when it is read back.

use std::path::PathBuf;
use std::sync::Arc;

use crate::model::{FilePath, RepoName};
use crate::store::Head;
use crate::store::error::{StoreError, failed};
use crate::store::open::Shared;
use crate::store::record::Record;
use crate::store::repository::{self, Repository};

/// Applies a durable record's revisions.
pub(crate) fn apply(
    repo: &Repository,
    record: &Record,
    touched: Vec<Vec<FilePath>>,
) -> Result<Head, StoreError> {
    repo.apply(record, touched).ok_or_else(|| {
        let what = format!("applying revision {} of `{}`", record.first, record.repo);
        StoreError::damaged(what, "the record contradicts the repository")
    })
}

/// Makes all of a repository's folder that takes room.
pub(super) fn lay_out(shared: &Shared, name: &RepoName, number: u64) -> Result<(), StoreError> {
    let what = format!("making the folder of `{name}`");
    repository::create_folder(&*shared.files, &shared.dir, name, number).map_err(failed(what))
}

/// Makes a repository whose record is durable; no harm if it is there.
pub(crate) fn make(
    shared: &Shared,
    name: &RepoName,
    number: u64,
) -> Result<Arc<Repository>, StoreError> {
    if let Ok(repo) = shared.repository(name) {
        return Ok(repo);
    }
    let what = || format!("making the folder of `{name}`");
    let head = repository::git_dir(&shared.dir, name).join("HEAD.new");
    if shared.files.len(&head).is_err() {
        lay_out(shared, name, number)?;
    }
    repository::finish_folder(&*shared.files, &shared.dir, name).map_err(failed(what()))?;
    let repo = Repository::open(&*shared.files, &shared.dir, name, &shared.index)?;
    Ok(shared.insert(repo))
}

/// Takes a repository out whose purge is durable, and gives the folder that is
/// left to remove.
pub(crate) fn unmake(
    shared: &Shared,
    repo: &Repository,
    number: u64,
) -> Result<PathBuf, StoreError> {
    let purged = repository::purged_dir(&repo.git_dir, number);
    let what = || format!("removing `{}`", repo.git_dir.display());
    repo.set_gone(true);
    shared.remove(&repo.name);
    shared.index.forget(&repo.name);
    shared.files.rename_dir(&repo.git_dir, &purged).map_err(failed(what()))?;
    if let Some(project) = repo.git_dir.parent() {
        shared.files.sync_dir(project).map_err(failed(what()))?;
    }
    Ok(purged)
}
