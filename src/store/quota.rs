//! What a repository may hold and take, and what it holds. Counted once by
//! a walk, then carried along with each commit that is prepared.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::edit::{Editor, Touch};
use super::entries::Entries;
use super::error::StoreError;
use super::object::Mode;
use super::open::Shared;
use super::repository::Repository;
use crate::model::{CommitId, FilePath, RepoName};

const MINUTE: Duration = Duration::from_secs(60);

/// What a repository may hold and take; `None`: no bound beside the store's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quota {
    /// Bytes of all files of the head together.
    pub bytes_max: Option<u64>,
    /// Files of the head.
    pub files_max: Option<u64>,
    /// Bytes of one file.
    pub file_bytes_max: Option<u64>,
    /// Commits a minute: so many may come at once, and one more each time its
    /// share of a minute is over.
    pub commits_per_minute_max: Option<u32>,
}

/// What a repository holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Files of the head.
    pub files: u64,
    /// Their bytes together.
    pub bytes: u64,
}

/// A repository's quota, and what is known of how far it is used.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    quota: Quota,
    /// What that commit holds; counted anew if the head is another one, as
    /// it is after an import.
    counted: Option<(CommitId, Usage)>,
    bucket: Option<Bucket>,
}

/// Commits that may be made at once, filling up evenly.
#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

/// Bounds a repository from now on.
pub(crate) fn set(shared: &Shared, repo: &RepoName, quota: Quota) -> Result<(), StoreError> {
    let repository = shared.repository(repo)?;
    if repo.is_internal() {
        let why = format!("`{repo}` is Convoy's own and has no quota");
        return Err(StoreError::Invalid(why));
    }
    let mut bounds = repository.bounds();
    if bounds.quota.commits_per_minute_max != quota.commits_per_minute_max {
        bounds.bucket = None;
    }
    bounds.quota = quota;
    Ok(())
}

/// What a repository holds.
pub(crate) fn usage(shared: &Shared, repo: &RepoName) -> Result<Usage, StoreError> {
    let repository = shared.repository(repo)?;
    let head = repository.head().commit;
    let counted = repository.bounds().counted;
    match (head, counted) {
        (None, _) => Ok(Usage::default()),
        (Some(commit), Some((known, usage))) if known == commit => Ok(usage),
        (Some(commit), _) => count(shared, &repository, commit),
    }
}

/// Counts by reading every folder of a commit.
fn count(shared: &Shared, repo: &Repository, commit: CommitId) -> Result<Usage, StoreError> {
    let mut reader = shared.reader(repo);
    let mut usage = Usage::default();
    let mut open = vec![reader.root(commit)?];
    let mut left = shared.options.files_max.saturating_mul(4);
    while let Some(folder) = open.pop() {
        let data = reader.object(&folder)?.data;
        let mut slots = Entries::of(&data);
        while let Some(slot) = slots.step()? {
            left = left.checked_sub(1).ok_or_else(|| {
                StoreError::Limit(format!("`{}` has too many files to be counted", repo.name))
            })?;
            if slot.mode == Mode::Folder {
                open.push(slot.id);
            } else if slot.mode.is_file() {
                usage.files += 1;
                usage.bytes += reader.size(&slot.id)?;
            }
        }
    }
    Ok(usage)
}

impl Bounds {
    /// Refuses a commit that comes too soon.
    pub(crate) fn check_rate(&mut self, repo: &RepoName) -> Result<(), StoreError> {
        let Some(per_minute) = self.quota.commits_per_minute_max else { return Ok(()) };
        let full = f64::from(per_minute);
        let now = Instant::now();
        let bucket = self.bucket.get_or_insert(Bucket { left: full, at: now });
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.left = (bucket.left + passed * full / MINUTE.as_secs_f64()).min(full);
        bucket.at = now;
        if bucket.left >= 1.0 {
            return Ok(());
        }
        let wait = match per_minute {
            0 => MINUTE,
            _ => MINUTE.mul_f64((1.0 - bucket.left) / full),
        };
        let wait_s = wait.as_millis().div_ceil(1000).max(1);
        Err(StoreError::TooOften {
            repo: repo.clone(),
            per_minute,
            wait_s: u64::try_from(wait_s).unwrap_or(u64::MAX),
        })
    }

    /// Refuses what would hold too much, and gives what it will hold, where
    /// that has to be known.
    pub(crate) fn check(
        &mut self,
        shared: &Shared,
        repo: &Repository,
        head: Option<CommitId>,
        editor: &mut Editor<'_>,
    ) -> Result<Option<Usage>, StoreError> {
        let Quota { bytes_max, files_max, file_bytes_max, .. } = self.quota;
        if bytes_max.is_none() && files_max.is_none() && file_bytes_max.is_none() {
            return Ok(None);
        }
        let touched = editor.touched();
        if let Some(bytes_max) = file_bytes_max {
            check_files(editor, &touched, &repo.name, bytes_max)?;
        }
        if bytes_max.is_none() && files_max.is_none() {
            return Ok(None);
        }
        let before = self.usage_at(shared, repo, head)?;
        let after = change(editor, before, &touched)?;
        let over =
            |after, before, most: Option<u64>| most.filter(|most| after > *most && after > before);
        if let Some(most) = over(after.files, before.files, files_max) {
            let (name, files) = (&repo.name, after.files);
            let why = format!("`{name}` would have {files} files; its quota is {most}");
            return Err(StoreError::Quota(why));
        }
        if let Some(most) = over(after.bytes, before.bytes, bytes_max) {
            let (name, bytes) = (&repo.name, after.bytes);
            let why = format!("`{name}` would have {bytes} bytes of files; its quota is {most}");
            return Err(StoreError::Quota(why));
        }
        Ok(Some(after))
    }

    /// Notes a commit that was handed to the writer.
    pub(crate) fn took(&mut self, commit: CommitId, usage: Option<Usage>) {
        self.counted = usage.map(|usage| (commit, usage));
        if let Some(bucket) = &mut self.bucket {
            bucket.left -= 1.0;
        }
    }

    fn usage_at(
        &self,
        shared: &Shared,
        repo: &Repository,
        head: Option<CommitId>,
    ) -> Result<Usage, StoreError> {
        match (head, self.counted) {
            (None, _) => Ok(Usage::default()),
            (Some(head), Some((known, usage))) if known == head => Ok(usage),
            (Some(head), _) => count(shared, repo, head),
        }
    }
}

fn check_files(
    editor: &mut Editor<'_>,
    touched: &[Touch],
    repo: &RepoName,
    bytes_max: u64,
) -> Result<(), StoreError> {
    for Touch { path, before, after } in touched {
        let Some(leaf) = after.filter(|leaf| before.is_none_or(|old| old.id != leaf.id)) else {
            continue;
        };
        let bytes = editor.size(&leaf)?;
        if bytes > bytes_max {
            return Err(too_large(path, bytes, repo, bytes_max));
        }
    }
    Ok(())
}

fn too_large(path: &FilePath, bytes: u64, repo: &RepoName, bytes_max: u64) -> StoreError {
    StoreError::Quota(format!(
        "`{path}` has {bytes} bytes; files of `{repo}` may have {bytes_max} by its quota"
    ))
}

fn change(
    editor: &mut Editor<'_>,
    mut usage: Usage,
    touched: &[Touch],
) -> Result<Usage, StoreError> {
    for Touch { before, after, .. } in touched {
        if let Some(leaf) = before.filter(|leaf| leaf.mode.is_file()) {
            usage.files = usage.files.saturating_sub(1);
            usage.bytes = usage.bytes.saturating_sub(editor.size(&leaf)?);
        }
        if let Some(leaf) = after.filter(|leaf| leaf.mode.is_file()) {
            usage.files += 1;
            usage.bytes += editor.size(&leaf)?;
        }
    }
    Ok(usage)
}
