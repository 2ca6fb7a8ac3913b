//! What a handle reads: revisions, files, histories. It blocks on the disk for
//! at most a few milliseconds, where nothing else is said.

use bytes::Bytes;

use super::{
    FileAt, Found, HistoryQuery, SearchResult, Store, StoreError, TreeAt, Usage, changed, history,
    preview, quota, search, tree,
};
use crate::content::{Patterns, Scan};
use crate::model::{
    BlobId, Change, Changed, CommitId, CommitInfo, Effect, FilePath, RepoName, Revision,
};

impl Store {
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

    /// What a repository holds.
    ///
    /// # Errors
    /// As [`Self::tree`].
    pub fn usage(&self, repo: &RepoName) -> Result<Usage, StoreError> {
        quota::usage(&self.inner.shared, repo)
    }
}
