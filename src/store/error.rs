//! Why the store could not: one error for every call, with the noun that
//! failed in it. Nothing here decides what a user is shown; `web` does.

use std::fmt;
use std::io;

use crate::content::ContentError;
use crate::model::{FilePath, RepoName, Revision};

/// Why the store could not.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No such repository.
    #[error("no repository `{0}`")]
    NoRepository(RepoName),
    /// No such revision.
    #[error("`{repo}` has no revision {revision}")]
    NoRevision {
        /// The repository that was asked.
        repo: RepoName,
        /// The revision that it lacks.
        revision: Revision,
    },
    /// No such file.
    #[error("`{path}` is not in revision {revision} of `{repo}`")]
    NoFile {
        /// The repository that was asked.
        repo: RepoName,
        /// The revision that was asked.
        revision: Revision,
        /// The file that it lacks.
        path: FilePath,
    },
    /// The head is not what the writer thought.
    #[error("`{repo}` is at revision {actual}, not {expected}")]
    Conflict {
        /// The repository that was written to.
        repo: RepoName,
        /// The head that the writer thought of.
        expected: Revision,
        /// The head.
        actual: Revision,
    },
    /// Nothing would change.
    #[error("the commit changes nothing in `{0}`")]
    Empty(RepoName),
    /// What was asked for can't be done to this tree: a folder where a file
    /// is, a removal of what is not there, a name that Git refuses.
    #[error("{0}")]
    Invalid(String),
    /// A change doesn't fit the tree: what it needs is not there, or what it
    /// makes is there already.
    #[error("{0}")]
    Unfit(String),
    /// A file is not as the writer expected it.
    #[error("`{path}` in `{repo}` {why}")]
    Stale {
        /// The repository that was written to.
        repo: RepoName,
        /// The file.
        path: FilePath,
        /// `is at …, not …`: what was expected and what is.
        why: String,
        /// The revision that the file was looked at in.
        head: Revision,
    },
    /// Two edits changed the same lines.
    #[error("`{path}` in `{repo}` was changed in the same lines meanwhile")]
    Clash {
        /// The repository that was written to.
        repo: RepoName,
        /// The file.
        path: FilePath,
        /// The revision that the edit clashes with.
        head: Revision,
        /// The file with both edits between Git's markers.
        marked: String,
    },
    /// A patch, query or pattern can't be read, or does not fit a file.
    #[error("`{path}`: {source}")]
    Content {
        /// The file.
        path: FilePath,
        /// Why.
        #[source]
        source: ContentError,
    },
    /// The repository's quota is used up.
    #[error("{0}")]
    Quota(String),
    /// The repository was committed to too often.
    #[error("`{repo}` takes {per_minute} commits a minute; the next in {wait_s} s")]
    TooOften {
        /// The repository.
        repo: RepoName,
        /// What its quota says.
        per_minute: u32,
        /// When the next one may come.
        wait_s: u64,
    },
    /// The disk is full; reads go on, and writes do as soon as there is room.
    #[error("the disk is full: nothing was written")]
    Full,
    /// A bound was passed.
    #[error("{0}")]
    Limit(String),
    /// The disk or Git's data failed.
    #[error("{what}")]
    Failed {
        /// What was being done, with the file or object it was done to.
        what: String,
        /// What the system said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An fsync failed; nothing is acknowledged any more.
    #[error("the journal can't be written; restart to recover")]
    Halted,
}

impl StoreError {
    /// Data that contradicts itself: nothing that trying again would mend.
    pub(crate) fn damaged(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::Failed { what: what.to_string(), source: why.to_string().into() }
    }
}

/// Turns a cause into [`StoreError::Failed`], or [`StoreError::Full`] where
/// that is what it says, for `map_err`.
pub(crate) fn failed<E>(what: impl fmt::Display) -> impl FnOnce(E) -> StoreError
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    move |source| {
        let source = source.into();
        match source.downcast_ref::<io::Error>() {
            Some(error) if is_full(error) => StoreError::Full,
            _ => StoreError::Failed { what: what.to_string(), source },
        }
    }
}

/// Whether there is no room left, on the disk or for this user.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_carry_the_noun_that_failed() {
        let repo = RepoName::state();
        let conflict = StoreError::Conflict { repo, expected: Revision(3), actual: Revision(5) };
        assert_eq!(conflict.to_string(), "`@convoy/state` is at revision 5, not 3");
        let failed = StoreError::damaged("reading `x`", "it is short");
        assert_eq!(failed.to_string(), "reading `x`");
    }
}
