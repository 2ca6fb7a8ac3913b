//! What a commit's tree holds, by Git's own names of contents, so that two
//! trees are compared without reading a file.
//!
//! Symbolic links, submodules and names that no file may have are told apart:
//! a mirror neither brings nor removes them.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use gix::objs::FindExt as _;
use gix::{ObjectId, odb};

use super::{MirrorError, quarantine};
use crate::model::{BlobId, CommitId, FilePath};

/// No single object may inflate to more than this.
const OBJECT_BYTES_MAX: usize = 128 << 20;
/// Files, and folders, that one listing may have.
const ENTRIES_MAX: usize = 200_000;
/// What was skipped is named up to here.
const SKIPPED_MAX: usize = 100;

/// The objects of a bare Git folder and of those it borrows from.
pub struct Objects {
    pub(super) odb: odb::Handle,
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Objects").finish_non_exhaustive()
    }
}

/// One file of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeFile {
    /// Git's name of its content.
    pub blob: BlobId,
    /// Whether it may be executed.
    pub executable: bool,
}

/// The files of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// By their path within the folder.
    pub files: BTreeMap<FilePath, TreeFile>,
    /// What is no file: `link (symbolic link)`.
    pub skipped: Vec<String>,
}

impl Objects {
    /// Opens a bare Git folder.
    ///
    /// # Errors
    /// [`MirrorError::Failed`] where it can't be read.
    pub fn open(git_dir: &Path) -> Result<Self, MirrorError> {
        let options = odb::store::init::Options {
            alloc_limit_bytes: Some(OBJECT_BYTES_MAX),
            ..Default::default()
        };
        let objects = quarantine::objects(git_dir);
        odb::at_opts(objects, gix::hash::Kind::Sha1, None, options)
            .map(|odb| Self { odb })
            .map_err(|error| MirrorError::failed("a Git folder can't be opened", error))
    }

    /// Everything below `folder` (empty: everything) in a commit; `None`
    /// where there is no such folder.
    ///
    /// # Errors
    /// The commit is not there or not whole, or a bound is passed.
    pub fn list(&self, commit: CommitId, folder: &str) -> Result<Option<Listing>, MirrorError> {
        let Some(root) = self.folder(commit, folder)? else { return Ok(None) };
        let mut listing = Listing::default();
        let (mut folders, mut buffer) = (0, Vec::new());
        let mut open = vec![(String::new(), root)];
        while let Some((path, id)) = open.pop() {
            folders += 1;
            for entry in self.odb.find_tree_iter(&id, &mut buffer).map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                let mode = entry.mode;
                if let Some((path, id)) =
                    listing.take(&path, entry.filename, mode, entry.oid.to_owned())
                {
                    open.push((path, id));
                }
                if listing.files.len() > ENTRIES_MAX || folders + open.len() > ENTRIES_MAX {
                    let what = format!("commit {commit} has more than {ENTRIES_MAX} files");
                    return Err(MirrorError::failed(what, "mirror a folder of it"));
                }
            }
        }
        Ok(Some(listing))
    }

    /// A file's content.
    ///
    /// # Errors
    /// It is not there, or is too large.
    pub fn blob(&self, blob: &BlobId) -> Result<Bytes, MirrorError> {
        let mut buffer = Vec::new();
        let found = self.odb.find_blob(&ObjectId::from(blob.0), &mut buffer).map_err(unreadable)?;
        Ok(Bytes::copy_from_slice(found.data))
    }

    /// A commit's message.
    ///
    /// # Errors
    /// It is not there or not whole.
    pub fn message(&self, commit: CommitId) -> Result<String, MirrorError> {
        let mut buffer = Vec::new();
        let found = self.odb.find_commit(&ObjectId::from(commit.0), &mut buffer);
        Ok(found.map_err(unreadable)?.message.to_string())
    }

    fn folder(&self, commit: CommitId, folder: &str) -> Result<Option<ObjectId>, MirrorError> {
        let mut buffer = Vec::new();
        let found = self.odb.find_commit(&ObjectId::from(commit.0), &mut buffer);
        let mut tree = found.map_err(unreadable)?.tree();
        for part in folder.split('/').filter(|part| !part.is_empty()) {
            let mut next = None;
            for entry in self.odb.find_tree_iter(&tree, &mut buffer).map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                if entry.filename == part && entry.mode.is_tree() {
                    next = Some(entry.oid.to_owned());
                }
            }
            match next {
                Some(next) => tree = next,
                None => return Ok(None),
            }
        }
        Ok(Some(tree))
    }
}

impl Listing {
    /// Takes an entry; gives it back where it is a folder to look into.
    fn take(
        &mut self,
        folder: &str,
        name: &gix::bstr::BStr,
        mode: gix::objs::tree::EntryMode,
        id: ObjectId,
    ) -> Option<(String, ObjectId)> {
        let shown = String::from_utf8_lossy(name);
        let path = if folder.is_empty() { shown.to_string() } else { format!("{folder}/{shown}") };
        let kind = if mode.is_link() {
            "symbolic link"
        } else if mode.is_commit() {
            "submodule"
        } else if std::str::from_utf8(name).is_err() {
            "a name that is not UTF-8"
        } else {
            match FilePath::new(&path) {
                Ok(_) if mode.is_tree() => return Some((path, id)),
                Ok(file) if file.as_str() == path => {
                    let mut blob = [0; 20];
                    blob.copy_from_slice(id.as_bytes());
                    let executable = mode.is_executable();
                    self.files.insert(file, TreeFile { blob: BlobId(blob), executable });
                    return None;
                }
                _ => "a name that no file may have",
            }
        };
        if self.skipped.len() < SKIPPED_MAX {
            self.skipped.push(format!("{} ({kind})", path.escape_debug()));
        }
        None
    }
}

pub(super) fn unreadable(error: impl std::fmt::Display) -> MirrorError {
    MirrorError::failed("a Git object can't be read", error.to_string())
}
