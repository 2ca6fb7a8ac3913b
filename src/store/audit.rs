//! The audit log: one entry for each journal record, each bound to the one
//! before by its hash. Entries are made of what the journal made durable, so
//! they cost no fsync of their own and can't be lost: a checkpoint appends
//! them to `DIR/audit/` before it cuts the journal.
//!
//! `before` and `after` are commits, so what a change did to a document is in
//! Git, where the hashes of trees and files carry the chain on.

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::open::Inner;
use crate::model::{CommitId, ContentHash, Origin, RepoName, Revision};

/// Reads the audit log.
#[derive(Debug, Clone)]
pub struct Audit {}

/// One change of state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its number, from 1, without gaps.
    pub number: u64,
    /// When it was made durable, by our clock.
    pub time: Timestamp,
    /// Who, and from where.
    pub origin: Origin,
    /// What was done: `create`, `commit`, `import`, `adopt`, `purge`.
    pub act: String,
    /// To which repository.
    pub repo: RepoName,
    /// The repository's newest revision after it.
    pub revision: Revision,
    /// The head before; `None`: it was empty or not there.
    pub before: Option<CommitId>,
    /// The head after; `None`: it is gone, or empty.
    pub after: Option<CommitId>,
    /// The message's first line.
    pub summary: String,
    /// The hash of the entry before; 64 zeros for the first.
    pub previous: ContentHash,
    /// The hash of all of the above.
    pub hash: ContentHash,
}

/// Which entries are asked for.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// Only entries after this number.
    pub after: u64,
    /// How many at most.
    pub limit: usize,
    /// Only of this repository.
    pub repo: Option<RepoName>,
}

/// Where the chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
#[error("{file}:{line}: {rule}")]
pub struct AuditFault {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// What should hold and doesn't, and what to do.
    pub rule: String,
}

impl Audit {
    /// Entries, oldest first, those that no checkpoint wrote yet included.
    ///
    /// # Errors
    /// The log can't be read.
    pub fn entries(&self, query: &AuditQuery) -> Result<Vec<AuditEntry>, StoreError> {
        let _ = query;
        todo!()
    }

    /// The number of entries and the newest one's hash: what to write down
    /// elsewhere, so that a cut end is noticed.
    ///
    /// # Errors
    /// The log can't be read.
    pub fn head(&self) -> Result<(u64, ContentHash), StoreError> {
        todo!()
    }

    /// Proves the chain of the store in `dir`, which may be open elsewhere:
    /// every entry's hash, its link, and that each repository's history is the
    /// one that the entries tell. Gives the number of entries.
    ///
    /// # Errors
    /// Every break that was found.
    pub fn verify(dir: &Path) -> Result<u64, Vec<AuditFault>> {
        let _ = dir;
        todo!()
    }
}

/// The log of an open store.
pub(crate) fn open(inner: &Inner) -> Audit {
    let _ = inner;
    todo!()
}
