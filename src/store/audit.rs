//! The audit log: one entry for each journal record, each bound to the one
//! before by its hash. Entries are made of what the journal made durable, so
//! they cost no fsync of their own and can't be lost: a checkpoint appends
//! them to `DIR/audit/` before it cuts the journal.
//!
//! `before` and `after` are commits, so what a change did to a document is in
//! Git, where the hashes of trees and files carry the chain on.
//!
//! An entry is one line of JSON. Its `hash` is the SHA-256 of the line as it
//! would be without `hash`, its last member, so that anybody can prove it.

mod details;
mod log;
mod segment;
mod verify;

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::{StoreError, failed};
use super::open::Inner;
use super::record::{Act, Record};
use crate::model::{CommitId, ContentHash, Origin, RepoName, Revision};

pub use details::AuditDetail;
pub(crate) use log::AuditLog;
pub(crate) use verify::attempt as verify_once;

/// The name of the first entries of a data folder that is older than its
/// audit log: they say where each repository stood.
const BEGIN: &str = "begin";

/// Reads the audit log.
#[derive(Debug, Clone)]
pub struct Audit {
    log: Arc<AuditLog>,
}

/// One change of state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its number, from 1, without gaps.
    pub number: u64,
    /// When it was made durable, by our clock.
    pub time: Timestamp,
    /// Who, and from where.
    pub origin: Origin,
    /// What was done: `create`, `commit`, `import`, `adopt`, `purge`; `begin`
    /// where the log was begun on a repository that was there.
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
    /// Reads the log of the store in `dir`, which may be open elsewhere: what
    /// a checkpoint wrote, and what the journal holds after it.
    ///
    /// # Errors
    /// The log or the journal can't be read.
    pub fn read(dir: &Path) -> Result<Self, StoreError> {
        log::read(dir).map(|log| Self { log: Arc::new(log) })
    }

    /// What an entry of the store in `dir` did to each file, by path: in
    /// Convoy's own repositories with the text before and after.
    ///
    /// # Errors
    /// The journal or Git's data can't be read, or the repository was purged.
    pub fn details(dir: &Path, entry: &AuditEntry) -> Result<Vec<AuditDetail>, StoreError> {
        details::details(dir, entry)
    }

    /// Entries, oldest first, those that no checkpoint wrote yet included.
    ///
    /// # Errors
    /// The log can't be read.
    pub fn entries(&self, query: &AuditQuery) -> Result<Vec<AuditEntry>, StoreError> {
        self.log.entries(query)
    }

    /// The number of entries and the newest one's hash: what to write down
    /// elsewhere, so that a cut end is noticed.
    ///
    /// # Errors
    /// The log can't be read.
    pub fn head(&self) -> Result<(u64, ContentHash), StoreError> {
        Ok(self.log.head())
    }

    /// Proves the chain of the store in `dir`, which may be open elsewhere:
    /// every entry's hash, its link, and that each repository's history is the
    /// one that the entries tell. Gives the number of entries.
    ///
    /// # Errors
    /// Every break that was found.
    pub fn verify(dir: &Path) -> Result<u64, Vec<AuditFault>> {
        verify::verify(dir)
    }
}

/// The log of an open store.
pub(crate) fn open(inner: &Inner) -> Audit {
    Audit { log: Arc::clone(&inner.shared.audit) }
}

impl AuditEntry {
    /// The entry of a journal record.
    fn of(record: &Record, number: u64, time: Timestamp, previous: ContentHash) -> Self {
        let newest = (record.first + record.commits.len() as u64).saturating_sub(1);
        let act = match record.act {
            Act::Create => "create",
            Act::Commit => "commit",
            Act::Head if record.begins && record.old.is_some() => "adopt",
            Act::Head => "import",
            Act::Purge => "purge",
        };
        Self {
            number,
            time,
            origin: record.note.origin.clone(),
            act: act.into(),
            repo: record.repo.clone(),
            revision: Revision(newest),
            before: record.old,
            after: record.commits.last().copied(),
            summary: record.note.summary.clone(),
            previous,
            hash: ContentHash([0; 32]),
        }
    }

    /// Seals the entry, and gives it with its line.
    fn sealed(mut self) -> Result<(Self, String), StoreError> {
        let line = serde_json::to_string(&self).map_err(failed("writing an audit entry"))?;
        let text = line.strip_suffix(&hash_member(&self.hash)).unwrap_or(&line);
        self.hash = ContentHash::of(format!("{text}}}").as_bytes());
        let line = format!("{text}{}", hash_member(&self.hash));
        Ok((self, line))
    }
}

/// How a line ends.
fn hash_member(hash: &ContentHash) -> String {
    format!(",\"hash\":\"{hash}\"}}")
}

/// Reads a line; `None` if it is no entry, or not the one that was sealed.
fn parse(line: &str) -> Option<AuditEntry> {
    let entry: AuditEntry = serde_json::from_str(line).ok()?;
    let text = line.strip_suffix(&hash_member(&entry.hash))?;
    (ContentHash::of(format!("{text}}}").as_bytes()) == entry.hash).then_some(entry)
}
