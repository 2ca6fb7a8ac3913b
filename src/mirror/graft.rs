//! A commit that makes one folder of a branch what it should be and leaves
//! everything beside it as it is. Written into a quarantine folder; `push`
//! sends it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use gix::objs::tree::EntryKind;
use gix::objs::{FindExt as _, Write as _};
use gix::{ObjectId, objs, odb};
use jiff::Timestamp;
use tempfile::TempDir;

use super::tree::TreeFile;
use super::{MirrorError, quarantine};
use crate::model::{CommitId, FilePath};

/// What to change, and under which words.
#[derive(Debug, Clone)]
pub struct Graft {
    /// The branch's head, which becomes the commit's parent; `None`: the
    /// branch is not there yet.
    pub base: Option<CommitId>,
    /// The folder that the paths are within; empty: the root.
    pub folder: String,
    /// Files to write; their contents are in the folder or borrowed.
    pub put: BTreeMap<FilePath, TreeFile>,
    /// Files to remove.
    pub remove: BTreeSet<FilePath>,
    /// `(name, mail address)`.
    pub author: (String, String),
    /// When.
    pub time: Timestamp,
    /// The message.
    pub message: String,
}

/// Makes a bare Git folder for a graft without a base, under `work_dir`, that
/// borrows from `known_git_dir`. It goes when it is dropped.
///
/// # Errors
/// [`MirrorError::Failed`] where the disk fails.
pub fn fresh(work_dir: &Path, known_git_dir: &Path) -> Result<TempDir, MirrorError> {
    quarantine::make(work_dir, quarantine::PROPOSE, known_git_dir)
}

/// Writes the commit into the bare folder `git_dir`.
///
/// # Errors
/// [`MirrorError::Failed`] where an object is missing or the disk fails.
pub fn graft(git_dir: &Path, graft: &Graft) -> Result<CommitId, MirrorError> {
    let objects = odb::at(quarantine::objects(git_dir), gix::hash::Kind::Sha1)
        .map_err(|error| MirrorError::failed("the mirror's folder can't be opened", error))?;
    let base = graft.base.map(|CommitId(bytes)| ObjectId::from(bytes));
    let old = match &base {
        Some(base) => root(&objects, base)?,
        None => objs::Tree { entries: Vec::new() },
    };
    let mut editor = objs::tree::Editor::new(old, &objects, gix::hash::Kind::Sha1);
    for path in &graft.remove {
        editor.remove(parts(&graft.folder, path)).map_err(not_written)?;
    }
    for (path, file) in &graft.put {
        let kind = if file.executable { EntryKind::BlobExecutable } else { EntryKind::Blob };
        let blob = ObjectId::from(file.blob.0);
        editor.upsert(parts(&graft.folder, path), kind, blob).map_err(not_written)?;
    }
    let tree = editor.write(|tree| objects.write(tree)).map_err(not_written)?;
    let id = objects.write(&commit(graft, base, tree)).map_err(not_written)?;
    let mut bytes = [0; 20];
    bytes.copy_from_slice(id.as_bytes());
    Ok(CommitId(bytes))
}

fn root(objects: &odb::Handle, base: &ObjectId) -> Result<objs::Tree, MirrorError> {
    let (mut commit, mut tree) = (Vec::new(), Vec::new());
    let id = objects.find_commit(base, &mut commit).map_err(not_written)?.tree();
    Ok(objects.find_tree(&id, &mut tree).map_err(not_written)?.into())
}

fn parts<'a>(
    folder: &'a str,
    path: &'a FilePath,
) -> impl Iterator<Item = &'a gix::bstr::BStr> + 'a {
    let folder = folder.split('/').filter(|part| !part.is_empty());
    folder.chain(path.as_str().split('/')).map(gix::bstr::BStr::new)
}

fn commit(graft: &Graft, base: Option<ObjectId>, tree: ObjectId) -> objs::Commit {
    let (name, email) = &graft.author;
    let person = gix::actor::Signature {
        name: name.as_str().into(),
        email: email.as_str().into(),
        time: gix::date::Time::new(graft.time.as_second(), 0),
    };
    objs::Commit {
        tree,
        parents: base.into_iter().collect(),
        author: person.clone(),
        committer: person,
        encoding: None,
        message: graft.message.replace('\0', "").into(),
        extra_headers: Vec::new(),
    }
}

fn not_written(error: gix::Error) -> MirrorError {
    MirrorError::failed("the mirror's commit could not be written", error.to_string())
}
