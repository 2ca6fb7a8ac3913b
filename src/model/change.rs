//! What a writer asks for, and what it comes to.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{BlobId, FilePath, Revision};

/// One change of a commit. The changes of a commit are applied in their
/// order, each to what those before it left, and are atomic together.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Writes the file, whether it was there or not.
    Upsert(FilePath, Bytes),
    /// Removes the file, or the folder with everything in it; it must be there.
    Remove(FilePath),
    /// Moves the file or the folder. The source must be there, the target must
    /// not.
    Rename {
        /// What is moved.
        from: FilePath,
        /// Where it goes.
        to: FilePath,
    },
    /// Applies a JSON patch (RFC 6902) to a JSON or YAML file that is there.
    PatchJson(FilePath, serde_json::Value),
    /// Applies a unified diff to a text file that is there.
    PatchText(FilePath, String),
    /// Makes the whole tree that of an older revision.
    Restore(Revision),
}

impl Change {
    /// The paths that it names.
    pub fn paths(&self) -> Vec<&FilePath> {
        match self {
            Self::Upsert(path, _)
            | Self::Remove(path)
            | Self::PatchJson(path, _)
            | Self::PatchText(path, _) => vec![path],
            Self::Rename { from, to } => vec![from, to],
            Self::Restore(_) => Vec::new(),
        }
    }
}

/// What must hold of one file for a commit to be made, so that people who
/// edit different files don't stand in each other's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Precondition {
    /// The file.
    pub path: FilePath,
    /// What must hold of it at the head.
    pub state: FileState,
}

/// What a file must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// As it was at this revision, there or not.
    AsOf(Revision),
    /// There, with this content.
    Content(BlobId),
    /// Not there.
    Absent,
}

/// What a commit does, or would do, to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// The file.
    pub path: FilePath,
    /// Its content before; `None`: it was not there.
    pub before: Option<Bytes>,
    /// Its content after; `None`: it is not there any more.
    pub after: Option<Bytes>,
}

/// One file that differs between two revisions, without its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The file.
    pub path: FilePath,
    /// Git's name of its content before; `None`: it was not there.
    pub before: Option<BlobId>,
    /// Git's name of its content after; `None`: it is not there any more.
    pub after: Option<BlobId>,
}
