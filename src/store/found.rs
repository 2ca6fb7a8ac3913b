//! What is asked of a revision, and what reading it gives. Plain data.

use bytes::Bytes;

use crate::content::{Hit, Patterns};
use crate::model::{BlobId, FilePath, Problem, Revision, SourceTree};

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
