//! What passes between an upstream, the store and the people who commit.

use std::path::PathBuf;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CommitId, FilePath, Revision};

/// A branch of an upstream, fetched into quarantine and within limits, not
/// yet part of any repository.
#[derive(Debug)]
pub struct Fetched {
    /// A bare Git folder that holds the fetched objects (and reaches the
    /// rest through alternates). Whoever made it removes it.
    pub git_dir: PathBuf,
    /// The branch's head.
    pub head: CommitId,
}

/// One commit of a repository, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitInfo {
    /// Our number for it.
    pub revision: Revision,
    /// Git's name for it.
    pub commit: CommitId,
    /// The author's name.
    pub author_name: String,
    /// The author's mail address.
    pub author_email: String,
    /// The mail addresses of everybody else who made it: the committer and
    /// the `Co-authored-by` trailers.
    pub co_authors: Vec<String>,
    /// The author's time.
    pub time: Timestamp,
    /// The whole message.
    pub message: String,
}

impl CommitInfo {
    /// The message's first line.
    pub fn subject(&self) -> &str {
        self.message.lines().next().unwrap_or("")
    }
}

/// One change to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Writes the file, whether it was there or not.
    Upsert(FilePath, Bytes),
    /// Removes the file; it must be there.
    Remove(FilePath),
}
