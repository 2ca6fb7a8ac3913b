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

mod cache;
mod checkpoint;
mod commit;
mod edit;
mod error;
mod files;
mod history;
mod import;
mod index;
mod journal;
mod line;
mod object;
mod open;
mod pack;
mod record;
mod refs;
mod repository;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;
mod tree;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::{oneshot, watch};

use crate::model::{
    Change, CommitId, CommitInfo, Fetched, FilePath, Problem, RepoName, Revision, SourceTree,
};

pub use error::StoreError;
use files::RealFiles;
use import::Diverging;
use index::Index;
use open::{Inner, Tuning};
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

/// A commit to make.
#[derive(Debug, Clone)]
pub struct NewCommit {
    /// The revision that the head must have; `None`: whatever it is.
    pub expected: Option<Revision>,
    /// Atomic together.
    pub changes: Vec<Change>,
    /// `(name, mail address)`.
    pub author: (String, String),
    /// The author's time.
    pub time: Timestamp,
    /// The message.
    pub message: String,
}

/// What importing a fetched branch came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Import {
    /// New revisions, oldest first.
    Imported(Vec<Revision>),
    /// The head was known.
    UpToDate,
    /// The branch no longer contains what we hold as its head: a force-push
    /// or rewind. Nothing was changed.
    Diverged {
        /// Our head.
        ours: CommitId,
        /// The fetched branch's head.
        theirs: CommitId,
    },
}

/// The content of one revision, and what was left out of it by rule.
#[derive(Debug, Clone)]
pub struct TreeAt {
    /// The files.
    pub source: SourceTree,
    /// Symlinks, submodules, names that are not UTF-8, oversized files: one
    /// problem each, with the rule `skipped-symlink`, `skipped-submodule`,
    /// `skipped-name`, `file-too-large`.
    pub skipped: Vec<Problem>,
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

    /// The commit of a revision.
    ///
    /// # Errors
    /// There is no such repository or revision, or Git's data is damaged.
    pub fn info(&self, repo: &RepoName, revision: Revision) -> Result<CommitInfo, StoreError> {
        history::info(&self.inner.shared, repo, revision)
    }

    /// The newest revision of a commit, where it is one of the repository's.
    pub fn revision_of(&self, repo: &RepoName, commit: &CommitId) -> Option<Revision> {
        self.inner.shared.repository(repo).ok()?.with_line(|line| line.revision(commit))
    }

    /// The newest `limit` revisions up to and including `from` (default the
    /// head), newest first; with `path`, only those that changed it.
    ///
    /// # Errors
    /// There is no such repository or revision, or Git's data is damaged.
    pub fn history(
        &self,
        repo: &RepoName,
        from: Option<Revision>,
        path: Option<&FilePath>,
        limit: usize,
    ) -> Result<Vec<CommitInfo>, StoreError> {
        history::history(&self.inner.shared, repo, from, path, limit)
    }

    /// All files of a revision.
    ///
    /// # Errors
    /// There is no such repository or revision, the tree passes a bound, or
    /// Git's data is damaged.
    pub fn tree(&self, repo: &RepoName, revision: Revision) -> Result<TreeAt, StoreError> {
        tree::tree(&self.inner.shared, repo, revision)
    }

    /// Paths and sizes in bytes of a revision's files below `folder` (empty:
    /// all), sorted. A folder that is not there has none.
    ///
    /// # Errors
    /// As [`Self::tree`].
    pub fn list(
        &self,
        repo: &RepoName,
        revision: Revision,
        folder: &str,
    ) -> Result<Vec<(FilePath, u64)>, StoreError> {
        tree::list(&self.inner.shared, repo, revision, folder)
    }

    /// One file of a revision.
    ///
    /// # Errors
    /// There is no such repository, revision or file, or it is too large.
    pub fn read(
        &self,
        repo: &RepoName,
        revision: Revision,
        path: &FilePath,
    ) -> Result<Bytes, StoreError> {
        tree::read(&self.inner.shared, repo, revision, path)
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

    /// The sled database for caches: everything in it may vanish at any time.
    pub fn cache(&self) -> sled::Db {
        self.inner.shared.index.db()
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
