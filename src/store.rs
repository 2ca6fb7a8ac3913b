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
mod object;
mod open;
mod pack;
mod packer;
mod preview;
mod quota;
mod record;
mod refs;
mod repository;
mod require;
mod search;
#[cfg(test)]
mod sim;
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

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::{oneshot, watch};

use crate::content::{Hit, Patterns, Scan};
use crate::model::{
    BlobId, Change, Changed, CommitId, CommitInfo, Effect, Fetched, FilePath, Markup, Origin,
    Precondition, Problem, RepoName, Revision, SourceTree,
};

pub use audit::{Audit, AuditDetail, AuditEntry, AuditFault, AuditQuery};
pub use backup::{BackupSummary, backup_folder, restore};
pub use error::StoreError;
use files::RealFiles;
pub use fsck::{Damage, Fsck, fsck};
use import::Diverging;
use index::Index;
use open::{Inner, Tuning};
pub use quota::Usage;
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

/// A commit to make.
#[derive(Debug, Clone)]
pub struct NewCommit {
    /// Who makes it, and by which way, for the record.
    pub by: Origin,
    /// The revision that the head must have; `None`: whatever it is.
    pub expected: Option<Revision>,
    /// What must hold of single files.
    pub require: Vec<Precondition>,
    /// Where a file that is written is not as its precondition's revision
    /// had it: merge the two edits by line, and refuse only where both
    /// changed the same lines.
    pub merge: bool,
    /// In their order, atomic together.
    pub changes: Vec<Change>,
    /// Whether it may change nothing.
    pub allow_empty: bool,
    /// `(name, mail address)`.
    pub author: (String, String),
    /// The author's time.
    pub time: Timestamp,
    /// The message.
    pub message: String,
    /// How the message's body is marked up.
    pub markup: Markup,
}

impl NewCommit {
    /// A commit without preconditions.
    pub fn new(
        by: Origin,
        author: (String, String),
        time: Timestamp,
        message: impl Into<String>,
        changes: Vec<Change>,
    ) -> Self {
        Self {
            by,
            expected: None,
            require: Vec::new(),
            merge: false,
            changes,
            allow_empty: false,
            author,
            time,
            message: message.into(),
            markup: Markup::default(),
        }
    }
}

/// What a repository may hold and take; `None`: no bound beside the store's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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

/// A file or folder that a pattern found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub path: FilePath,
    /// What it is.
    pub kind: FoundKind,
}

/// What a path holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundKind {
    /// A file.
    File {
        /// Git's name of its content.
        blob: BlobId,
        /// Its size.
        bytes: u64,
    },
    /// A folder.
    Folder,
}

/// A file's content and Git's name of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileAt {
    /// Git's name of the content.
    pub blob: BlobId,
    /// The content.
    pub content: Bytes,
}

/// Which revisions of a repository are asked for.
#[derive(Debug, Clone)]
pub struct HistoryQuery {
    /// The newest that may be given; `None`: the head.
    pub newest: Option<Revision>,
    /// The oldest that may be given; `None`: the first.
    pub oldest: Option<Revision>,
    /// Only those that changed what this matches.
    pub patterns: Patterns,
    /// How many at most, newest first.
    pub limit: usize,
}

/// Lines found in one file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FileHits {
    /// The file.
    pub path: FilePath,
    /// The lines.
    pub hits: Vec<Hit>,
}

/// What a search came to.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct SearchResult {
    /// Files with hits, in the tree's order.
    pub files: Vec<FileHits>,
    /// Whether a bound (files read, hits, bytes) ended it early.
    pub truncated: bool,
}

/// What a follower wants of one repository.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// The repository.
    pub repo: RepoName,
    /// Which files.
    pub patterns: Patterns,
    /// The newest revision that is known; what came after it is told.
    pub since: Revision,
}

/// One revision that changed what a subscription matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// The index of the subscription.
    pub subscription: usize,
    /// The repository.
    pub repo: RepoName,
    /// The commit.
    pub info: CommitInfo,
    /// What it changed, of what the subscription matches.
    pub changed: Vec<Changed>,
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

    /// As [`Self::tree`], made from what was read of another revision: costs
    /// by what differs.
    ///
    /// # Errors
    /// As [`Self::tree`].
    pub fn tree_on(
        &self,
        repo: &RepoName,
        revision: Revision,
        before: (Revision, &TreeAt),
    ) -> Result<TreeAt, StoreError> {
        tree::tree_on(&self.inner.shared, repo, revision, before)
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

    /// Files (and with `folders` folders) of a revision that match, in the
    /// tree's order. Folders that can't hold a match are not read.
    ///
    /// # Errors
    /// As [`Self::tree`].
    pub fn find(
        &self,
        repo: &RepoName,
        revision: Revision,
        patterns: &Patterns,
        folders: bool,
    ) -> Result<Vec<Found>, StoreError> {
        tree::find(&self.inner.shared, repo, revision, patterns, folders)
    }

    /// One file of a revision, with Git's name of its content.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn file(
        &self,
        repo: &RepoName,
        revision: Revision,
        path: &FilePath,
    ) -> Result<FileAt, StoreError> {
        tree::file(&self.inner.shared, repo, revision, path)
    }

    /// A file's content by Git's name of it.
    ///
    /// # Errors
    /// There is no such repository or content, or Git's data is damaged.
    pub fn blob(&self, repo: &RepoName, blob: &BlobId) -> Result<Bytes, StoreError> {
        tree::blob(&self.inner.shared, repo, blob)
    }

    /// Files that match and differ between two revisions (0: nothing), sorted
    /// by path; also those whose mode alone differs. Folders that are equal
    /// are not read.
    ///
    /// # Errors
    /// As [`Self::tree`].
    pub fn changed(
        &self,
        repo: &RepoName,
        from: Revision,
        to: Revision,
        patterns: &Patterns,
    ) -> Result<Vec<Changed>, StoreError> {
        changed::changed(&self.inner.shared, repo, from, to, patterns)
    }

    /// Revisions that changed what a pattern matches against the revision
    /// before them, newest first. None is missed, however old; every path
    /// there is (`/**`) takes revisions that changed no file, too. The first
    /// call after the index was lost reads the whole history.
    ///
    /// # Errors
    /// As [`Self::history`].
    pub fn history_of(
        &self,
        repo: &RepoName,
        query: &HistoryQuery,
    ) -> Result<Vec<CommitInfo>, StoreError> {
        history::history_of(&self.inner.shared, repo, query)
    }

    /// Lines of a revision's files that match, in files that match
    /// `patterns` and that `admit` lets be read. It may read a hundred
    /// megabytes: call it where blocking is fine.
    ///
    /// # Errors
    /// As [`Self::tree`].
    pub fn search(
        &self,
        repo: &RepoName,
        revision: Revision,
        patterns: &Patterns,
        scan: &Scan,
        admit: &dyn Fn(&FilePath) -> bool,
    ) -> Result<SearchResult, StoreError> {
        search::search(&self.inner.shared, repo, revision, patterns, scan, admit)
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

    /// What changes would come to on top of `base`, file by file, sorted by
    /// path. Nothing is written.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn preview(
        &self,
        repo: &RepoName,
        base: Revision,
        changes: &[Change],
    ) -> Result<Vec<Effect>, StoreError> {
        preview::preview(&self.inner.shared, repo, base, changes)
    }

    /// Bounds a repository from now on.
    ///
    /// # Errors
    /// There is no such repository.
    pub fn set_quota(&self, repo: &RepoName, quota: Quota) -> Result<(), StoreError> {
        quota::set(&self.inner.shared, repo, quota)
    }

    /// What a repository holds.
    ///
    /// # Errors
    /// As [`Self::tree`].
    pub fn usage(&self, repo: &RepoName) -> Result<Usage, StoreError> {
        quota::usage(&self.inner.shared, repo)
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
