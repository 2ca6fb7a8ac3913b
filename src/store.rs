//! Versioned repositories: bare Git repositories behind one journal.
use std::path::{Path, PathBuf};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::model::{
    Change, CommitId, CommitInfo, Fetched, FilePath, Problem, RepoName, Revision, SourceTree,
};

/// A handle on the store; cheap to clone. Reads block on the disk for at most
/// a few milliseconds; writes wait for the journal.
#[derive(Debug, Clone)]
pub struct Store {}

/// Bounds and tuning of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// Why the store could not.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No such repository.
    #[error("no repository `{0}`")]
    NoRepository(RepoName),
    /// No such revision.
    #[error("`{repo}` has no revision {revision}")]
    NoRevision { repo: RepoName, revision: Revision },
    /// No such file.
    #[error("`{path}` is not in revision {revision} of `{repo}`")]
    NoFile { repo: RepoName, revision: Revision, path: FilePath },
    /// The head is not what the writer thought.
    #[error("`{repo}` is at revision {actual}, not {expected}")]
    Conflict { repo: RepoName, expected: Revision, actual: Revision },
    /// Nothing would change.
    #[error("the commit changes nothing in `{0}`")]
    Empty(RepoName),
    /// A bound was passed.
    #[error("{0}")]
    Limit(String),
    /// The disk or Git's data failed.
    #[error("{what}")]
    Failed {
        what: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An fsync failed; nothing is acknowledged any more.
    #[error("the journal can't be written; restart to recover")]
    Halted,
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
    Diverged { ours: CommitId, theirs: CommitId },
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
    pub fn open(_dir: &Path, _options: StoreOptions) -> Result<Self, StoreError> {
        todo!()
    }
    /// Creates a repository; no harm if it is there.
    pub async fn create(&self, _repo: &RepoName) -> Result<(), StoreError> {
        todo!()
    }
    /// Every repository, sorted.
    pub fn repositories(&self) -> Vec<RepoName> {
        todo!()
    }
    /// Where a repository stands.
    pub fn head(&self, _repo: &RepoName) -> Result<Head, StoreError> {
        todo!()
    }
    /// The commit of a revision.
    pub fn info(&self, _repo: &RepoName, _revision: Revision) -> Result<CommitInfo, StoreError> {
        todo!()
    }
    /// The revision of a commit, where it is one of the repository's.
    pub fn revision_of(&self, _repo: &RepoName, _commit: &CommitId) -> Option<Revision> {
        todo!()
    }
    /// The newest `limit` revisions up to and including `from` (default the
    /// head), newest first; with `path`, only those that changed it.
    pub fn history(
        &self,
        _repo: &RepoName,
        _from: Option<Revision>,
        _path: Option<&FilePath>,
        _limit: usize,
    ) -> Result<Vec<CommitInfo>, StoreError> {
        todo!()
    }
    /// All files of a revision.
    pub fn tree(&self, _repo: &RepoName, _revision: Revision) -> Result<TreeAt, StoreError> {
        todo!()
    }
    /// Paths and sizes in bytes of a revision's files below `folder` (empty: all).
    pub fn list(
        &self,
        _repo: &RepoName,
        _revision: Revision,
        _folder: &str,
    ) -> Result<Vec<(FilePath, u64)>, StoreError> {
        todo!()
    }
    /// One file of a revision.
    pub fn read(
        &self,
        _repo: &RepoName,
        _revision: Revision,
        _path: &FilePath,
    ) -> Result<Bytes, StoreError> {
        todo!()
    }
    /// Makes a commit; returns when it is durable.
    pub async fn commit(&self, _repo: &RepoName, _new: NewCommit) -> Result<Head, StoreError> {
        todo!()
    }
    /// Takes a fetched branch over: every commit on its first-parent line
    /// becomes one revision. Durable when it returns; idempotent.
    pub async fn import(&self, _repo: &RepoName, _fetched: &Fetched) -> Result<Import, StoreError> {
        todo!()
    }
    /// Takes a diverged branch over on a person's word: the commits since the
    /// fork (or, where it is a rewind, the branch's head again) become new
    /// revisions; the old ones stay readable.
    pub async fn adopt(&self, _repo: &RepoName, _fetched: &Fetched) -> Result<Import, StoreError> {
        todo!()
    }
    /// Follows a repository's head; the newest value is always there.
    pub fn watch(&self, _repo: &RepoName) -> Result<watch::Receiver<Head>, StoreError> {
        todo!()
    }
    /// The bare Git folder of a repository, for reading with stock `git`.
    pub fn git_dir(&self, _repo: &RepoName) -> PathBuf {
        todo!()
    }
    /// The sled database for caches: everything in it may vanish at any time.
    pub fn cache(&self) -> sled::Db {
        todo!()
    }
    /// Writes a checkpoint and waits for it, before a clean stop.
    pub async fn close(&self) -> Result<(), StoreError> {
        todo!()
    }
}
