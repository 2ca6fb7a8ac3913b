//! A proposal as a commit, written into a throw-away Git folder.
//!
//! The same proposal gives the same commit, which is what makes proposing
//! twice harmless. Nothing leaves the machine here; `push` sends it.

use std::collections::HashSet;
use std::path::Path;

use gix::objs::tree::EntryKind;
use gix::objs::{FindExt as _, Write as _};
use gix::{ObjectId, objs, odb};
use tempfile::TempDir;

use super::{MirrorError, Proposal, quarantine};
use crate::model::{CommitId, Effect, FilePath};

/// Writes the commit into a new folder under `work_dir` that borrows from
/// `known_git_dir`, where the base must be.
pub(super) fn write(
    proposal: &Proposal,
    known_git_dir: &Path,
    work_dir: &Path,
) -> Result<(TempDir, CommitId), MirrorError> {
    let folder = quarantine::make(work_dir, quarantine::PROPOSE, known_git_dir)?;
    let objects = odb::at(quarantine::objects(folder.path()), gix::hash::Kind::Sha1)
        .map_err(|error| MirrorError::failed("the proposal's folder can't be opened", error))?;
    let base = ObjectId::from(proposal.base.0);
    let old = base_tree(&objects, base)?;
    let tree = changed_tree(&objects, &old, &proposal.effects)?;
    let commit = commit(proposal, base, tree)?;
    let id = objects.write(&commit).map_err(not_written)?;
    let mut bytes = [0; 20];
    bytes.copy_from_slice(id.as_bytes());
    Ok((folder, CommitId(bytes)))
}

fn base_tree(objects: &odb::Handle, base: ObjectId) -> Result<objs::Tree, MirrorError> {
    let missing = |error: gix::Error| {
        MirrorError::failed(format!("commit {base} is not in the repository"), error.to_string())
    };
    let (mut commit, mut tree) = (Vec::new(), Vec::new());
    let id = objects.find_commit(&base, &mut commit).map_err(missing)?.tree();
    Ok(objects.find_tree(&id, &mut tree).map_err(missing)?.into())
}

fn changed_tree(
    objects: &odb::Handle,
    base: &objs::Tree,
    effects: &[Effect],
) -> Result<ObjectId, MirrorError> {
    let mut editor = objs::tree::Editor::new(base.clone(), objects, gix::hash::Kind::Sha1);
    let mut executables = HashSet::new();
    // Removals first: a file may make room for a folder of its name.
    for Effect { path, before, .. } in effects.iter().filter(|effect| effect.after.is_none()) {
        match kind_of(objects, base, path)? {
            None => {
                let detail = "there is no such file in the proposal's base";
                return Err(MirrorError::failed(format!("`{path}` can't be removed"), detail));
            }
            Some(EntryKind::BlobExecutable) => executables.extend(before),
            Some(_) => {}
        }
        editor.remove(parts(path)).map_err(not_written)?;
    }
    for Effect { path, before, after } in effects {
        let Some(content) = after else { continue };
        let blob = objects.write_buf(objs::Kind::Blob, content).map_err(not_written)?;
        // A file that was moved may be executed as before.
        let moved = before.is_none() && executables.contains(content);
        let is_executable = kind_of(objects, base, path)? == Some(EntryKind::BlobExecutable);
        let kind = if moved || is_executable { EntryKind::BlobExecutable } else { EntryKind::Blob };
        editor.upsert(parts(path), kind, blob).map_err(not_written)?;
    }
    editor.write(|tree| objects.write(tree)).map_err(not_written)
}

/// What `path` is in the base; `None` where it is not there or a folder.
fn kind_of(
    objects: &odb::Handle,
    base: &objs::Tree,
    path: &FilePath,
) -> Result<Option<EntryKind>, MirrorError> {
    let (mut tree, mut buffer) = (base.clone(), Vec::new());
    let mut rest = path.as_str().split('/').peekable();
    while let Some(part) = rest.next() {
        let Some(entry) = tree.entries.iter().find(|entry| entry.filename == part) else {
            return Ok(None);
        };
        match (rest.peek().is_some(), entry.mode.is_tree()) {
            (false, false) => return Ok(Some(entry.mode.kind())),
            (true, true) => {
                let id = entry.oid;
                tree = objects.find_tree(&id, &mut buffer).map_err(not_written)?.into();
            }
            _ => return Ok(None),
        }
    }
    Ok(None)
}

fn parts(path: &FilePath) -> impl Iterator<Item = &gix::bstr::BStr> {
    path.as_str().split('/').map(gix::bstr::BStr::new)
}

fn commit(
    proposal: &Proposal,
    base: ObjectId,
    tree: ObjectId,
) -> Result<objs::Commit, MirrorError> {
    let (name, email) = &proposal.author;
    let person = gix::actor::Signature {
        name: plain(name).into(),
        email: plain(email).into(),
        time: gix::date::Time::new(proposal.time.as_second(), 0),
    };
    let mut message = proposal.message.replace('\0', "");
    if !message.ends_with('\n') {
        message.push('\n');
    }
    Ok(objs::Commit {
        tree,
        parents: std::iter::once(base).collect(),
        author: person.clone(),
        committer: person,
        encoding: None,
        message: message.into(),
        extra_headers: Vec::new(),
    })
}

/// A name or address without what Git's commit format gives a meaning to.
fn plain(text: &str) -> String {
    let text: String =
        text.chars().filter(|c| !c.is_control() && !matches!(c, '<' | '>')).collect();
    text.trim().to_owned()
}

fn not_written(error: gix::Error) -> MirrorError {
    MirrorError::failed("the proposal's commit could not be written", error.to_string())
}
