//! Versioned repositories: bare Git repositories behind one journal.
//!
//! A commit is prepared in memory (`commit`), appended to the journal with
//! everybody else's and made durable by one fdatasync (`writer`), and only
//! then applied, acknowledged and told to watchers. Checkpoints move what is
//! durable into the Git folders, where stock `git` reads it. After a crash
//! the journal is replayed (`open`); a torn tail was never acknowledged.
//!
//! Not here: fetching from an upstream (`mirror`), what the files mean
//! (`render`), who may write (`web`, `reconcile`). The index in sled is a
//! cache of what Git says and may be deleted while the store is closed.

mod audit;
mod backup;
mod cache;
mod changed;
mod checkpoint;
mod commit;
mod delta;
mod edit;
mod entries;
mod error;
mod files;
mod found;
mod fsck;
mod hashed;
mod history;
mod hold;
mod hub;
mod import;
mod index;
mod interest;
mod journal;
mod line;
mod lineage;
mod lookups;
mod new_commit;
mod object;
mod open;
mod pack;
mod packer;
mod preview;
mod quota;
mod reads;
mod record;
mod refs;
mod repository;
mod require;
mod search;
#[cfg(test)]
mod sim;
mod subscription;
#[cfg(test)]
mod tests;
mod touched;
mod touched_batch;
mod tree;
mod walk;
mod watchers;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{oneshot, watch};

use crate::content::Patterns;
use crate::model::{CommitId, Fetched, FilePath, Origin, RepoName, Revision};

pub use audit::{Audit, AuditDetail, AuditEntry, AuditFault, AuditQuery};
pub use backup::{BackupSummary, backup_folder, restore};
pub use error::StoreError;
use files::RealFiles;
pub use found::{FileAt, FileHits, Found, FoundKind, HistoryQuery, SearchResult, TreeAt};
pub use fsck::{Damage, Fsck, fsck};
use import::Diverging;
pub use import::Import;
use index::Index;
pub use new_commit::NewCommit;
use open::{Inner, Tuning};
pub use quota::{Quota, Usage};
pub use subscription::{Happening, Subscription};
pub use watchers::Follow;
use writer::Message;

/// A handle on the store; cheap to clone. Reads block on the disk for at most
/// a few milliseconds; writes wait for the journal. The folder is free again
/// when the last handle is dropped.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

/// Bounds and tuning of a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Files above this many bytes are not read as content.
    pub file_bytes_max: u64,
    /// Trees with more files are refused.
    pub files_max: usize,
    /// The journal is cut behind a checkpoint once it is longer than this.
    pub checkpoint_bytes: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { file_bytes_max: 4 << 20, files_max: 50_000, checkpoint_bytes: 64 << 20 }
    }
}

/// Where a repository stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// Its newest revision; 0 while it is empty.
    pub revision: Revision,
    /// The commit; `None` while it is empty.
    pub commit: Option<CommitId>,
}

impl Store {
    /// Opens the store in `dir`, creating it if it is not there: replays the
    /// journal, rebuilds the index if it is missing or damaged.
    ///
    /// # Errors
    /// The folder can't be used, or what is in it is damaged.
    pub fn open(dir: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        Self::open_with(dir, options, Tuning::default(), Arc::new(RealFiles::default()))
    }

    fn open_with(
        dir: &Path,
        options: StoreOptions,
        tuning: Tuning,
        files: Arc<dyn files::Files>,
    ) -> Result<Self, StoreError> {
        Ok(Self { inner: Arc::new(open::open(dir, options, tuning, files, Index::open)?) })
    }

    /// Creates a repository; no harm if it is there.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn create(&self, repo: &RepoName) -> Result<(), StoreError> {
        commit::create(&self.inner, repo).await
    }

    /// Every repository, sorted.
    pub fn repositories(&self) -> Vec<RepoName> {
        self.inner.shared.names()
    }

    /// Where a repository stands.
    ///
    /// # Errors
    /// There is no such repository.
    pub fn head(&self, repo: &RepoName) -> Result<Head, StoreError> {
        Ok(self.inner.shared.repository(repo)?.head())
    }

    /// Waits until what `patterns` match differs from what it was at `since`,
    /// and gives the head of then. Content that changed and changed back does
    /// not count. Dropping the future ends the watch.
    ///
    /// # Errors
    /// There is no such repository or revision, the repository was purged
    /// meanwhile, or Git's data is damaged.
    pub async fn changed_since(
        &self,
        repo: &RepoName,
        patterns: &Patterns,
        since: Revision,
    ) -> Result<Revision, StoreError> {
        watchers::changed_since(&self.inner.shared, repo, patterns, since).await
    }

    /// Follows any number of patterns: each revision that changed what one
    /// matches is told once, in its repository's order, from where the
    /// subscription says. What is not taken yet costs nothing. Like every
    /// handle, it keeps the store open.
    ///
    /// # Errors
    /// There is no such repository or revision.
    pub fn follow(&self, subscriptions: Vec<Subscription>) -> Result<Follow, StoreError> {
        watchers::follow(&self.inner, subscriptions)
    }

    /// Bounds a repository from now on.
    ///
    /// # Errors
    /// There is no such repository.
    pub fn set_quota(&self, repo: &RepoName, quota: Quota) -> Result<(), StoreError> {
        quota::set(&self.inner.shared, repo, quota)
    }

    /// Creates a repository on somebody's behalf; no harm if it is there.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn create_by(&self, repo: &RepoName, by: &Origin) -> Result<(), StoreError> {
        commit::create_by(&self.inner, repo, by).await
    }

    /// Removes a repository with all its history for ever. Whoever watches it
    /// is told that it is gone.
    ///
    /// # Errors
    /// There is no such repository, it is one of Convoy's own, or the journal
    /// can't be written.
    pub async fn purge(&self, repo: &RepoName, by: &Origin) -> Result<(), StoreError> {
        commit::purge(&self.inner, repo, by).await
    }

    /// The audit log: every change of every repository, in order.
    pub fn audit(&self) -> Audit {
        audit::open(&self.inner)
    }

    /// Writes everything into a folder that a store can be opened on, while
    /// others go on writing: every repository as of one moment, and
    /// everything acknowledged before the call.
    ///
    /// # Errors
    /// The folder is not empty, or a disk failed.
    pub async fn backup(&self, to: &Path) -> Result<BackupSummary, StoreError> {
        backup::backup(&self.inner, to).await
    }

    /// Makes a commit; returns when it is durable.
    ///
    /// # Errors
    /// The head is not `expected`, nothing would change, a change doesn't fit
    /// the tree or passes a bound, or the journal can't be written.
    pub async fn commit(&self, repo: &RepoName, new: NewCommit) -> Result<Head, StoreError> {
        commit::commit(&self.inner, repo, new).await
    }

    /// Takes a fetched branch over: every commit on its first-parent line
    /// becomes one revision. Durable when it returns; idempotent.
    ///
    /// # Errors
    /// Something is missing from what was fetched, or the disk failed.
    pub async fn import(&self, repo: &RepoName, fetched: &Fetched) -> Result<Import, StoreError> {
        import::import(&self.inner, repo, fetched, Diverging::Report).await
    }

    /// Takes a diverged branch over on a person's word: the commits since the
    /// fork (or, where it is a rewind, the branch's head again) become new
    /// revisions; the old ones stay readable.
    ///
    /// # Errors
    /// As [`Self::import`].
    pub async fn adopt(&self, repo: &RepoName, fetched: &Fetched) -> Result<Import, StoreError> {
        import::import(&self.inner, repo, fetched, Diverging::Adopt).await
    }

    /// Follows a repository's head; the newest value is always there.
    ///
    /// # Errors
    /// There is no such repository.
    pub fn watch(&self, repo: &RepoName) -> Result<watch::Receiver<Head>, StoreError> {
        Ok(self.inner.shared.repository(repo)?.watch.subscribe())
    }

    /// The bare Git folder of a repository, for reading with stock `git`. It
    /// shows a revision as soon as a checkpoint wrote it: a moment after
    /// writes pause, a few seconds after the write at the latest.
    pub fn git_dir(&self, repo: &RepoName) -> PathBuf {
        repository::git_dir(&self.inner.shared.dir, repo)
    }

    /// Whether a file may have this path: Git keeps some names for itself.
    pub fn takes(path: &FilePath) -> bool {
        edit::check_name(path).is_ok()
    }

    /// Brings a repository's Git folder up to its head, for who reads it with
    /// stock `git` now. Costs a small read where it is.
    ///
    /// # Errors
    /// There is no such repository, or the checkpoint can't be written.
    pub async fn flush(&self, repo: &RepoName) -> Result<(), StoreError> {
        let repository = self.inner.shared.repository(repo)?;
        let (files, head) = (&*self.inner.shared.files, repository.head());
        let written = refs::Refs::read(files, &repository.git_dir)
            .map_err(error::failed(format!("reading the refs of `{repo}`")))?;
        if written.main == head.commit { Ok(()) } else { self.close().await }
    }

    /// The sled database for caches: everything in it may vanish at any time.
    pub fn cache(&self) -> sled::Db {
        self.inner.shared.index.db()
    }

    /// Waits until nothing can be written any more, and says why. What is
    /// there is read on; a restart recovers from what is on disk.
    pub async fn halted(&self) -> String {
        let mut halt = self.inner.shared.halt.subscribe();
        let reason = halt.wait_for(Option::is_some).await;
        reason.ok().and_then(|reason| reason.clone()).unwrap_or_default()
    }

    /// Waits until the packs that checkpoints wrote so far were looked at.
    #[cfg(test)]
    async fn packed(&self) -> Result<(), StoreError> {
        let (done, waiting) = oneshot::channel();
        self.inner.send(Message::Packed(done))?;
        commit::answer(waiting).await
    }

    /// Writes a checkpoint and waits for it, before a clean stop.
    ///
    /// # Errors
    /// The checkpoint can't be written; the journal still has everything.
    pub async fn close(&self) -> Result<(), StoreError> {
        let (done, waiting) = oneshot::channel();
        self.inner.send(Message::Checkpoint(done))?;
        commit::answer(waiting).await
    }
}
