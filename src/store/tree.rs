//! Reading a revision's files: all of them, a listing, those that match, or
//! one.
//!
//! What an upstream may hold and Convoy doesn't take is reported here, one
//! problem each; whether that stops a bundle is decided elsewhere.

use bytes::Bytes;

use super::changed;
use super::entries::Leaf;
use super::error::StoreError;
use super::object::{Kind, Mode, Object};
use super::open::Shared;
use super::repository::{Reader, Repository};
use super::walk::{self, Met, Walk};
use super::{FileAt, Found, FoundKind, TreeAt};
use crate::content::Patterns;
use crate::model::{BlobId, FilePath, Place, Problem, RepoName, Revision, SourceTree};

/// What the files of one revision may have in bytes together.
const TREE_BYTES_MAX: u64 = 512 << 20;

/// All files of a revision.
pub(crate) fn tree(
    shared: &Shared,
    repo: &RepoName,
    revision: Revision,
) -> Result<TreeAt, StoreError> {
    let repo = shared.repository(repo)?;
    let mut at = TreeAt { source: SourceTree::default(), skipped: Vec::new() };
    let mut room = Room { repo: &repo, revision, bytes_left: TREE_BYTES_MAX };
    Walk::of(shared, &repo, revision).run(|reader, met| {
        match met {
            Met::File(path, leaf) => room.put(shared, reader, &mut at, path, leaf)?,
            Met::Skipped(problem) => at.skipped.push(problem),
            Met::Folder(_) => {}
        }
        Ok(())
    })?;
    Ok(at)
}

/// As [`tree`], made from the tree of another revision by reading only what
/// differs, where that is possible.
pub(crate) fn tree_on(
    shared: &Shared,
    name: &RepoName,
    revision: Revision,
    (from, before): (Revision, &TreeAt),
) -> Result<TreeAt, StoreError> {
    // What was left out is told of by place, which a comparison doesn't know.
    if !before.skipped.is_empty() {
        return tree(shared, name, revision);
    }
    let repo = shared.repository(name)?;
    let mut reader = shared.reader(&repo);
    let Some(differs) = changed::files(shared, &mut reader, from, revision)? else {
        return tree(shared, name, revision);
    };
    let mut at = before.clone();
    for (path, _) in &differs {
        at.source.files.remove(path);
        at.source.executables.remove(path);
    }
    let bytes: u64 = at.source.files.values().map(|content| content.len() as u64).sum();
    let bytes_left = TREE_BYTES_MAX.saturating_sub(bytes);
    let mut room = Room { repo: &repo, revision, bytes_left };
    for (path, leaf) in differs.into_iter().filter_map(|(path, leaf)| Some((path, leaf?))) {
        room.put(shared, &mut reader, &mut at, path, leaf)?;
    }
    if at.source.files.len() > shared.options.files_max {
        // It says so in its own words.
        return tree(shared, name, revision);
    }
    Ok(at)
}

/// What the files that are still to come may have.
struct Room<'r> {
    repo: &'r Repository,
    revision: Revision,
    bytes_left: u64,
}

impl Room<'_> {
    /// Reads a file into the tree, or says why not.
    fn put(
        &mut self,
        shared: &Shared,
        reader: &mut Reader<'_>,
        at: &mut TreeAt,
        path: FilePath,
        leaf: Leaf,
    ) -> Result<(), StoreError> {
        let bytes = reader.size(&leaf.id)?;
        if bytes > shared.options.file_bytes_max {
            at.skipped.push(too_large(&path, bytes, shared.options.file_bytes_max));
            return Ok(());
        }
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or_else(|| {
            let (repo, revision) = (&self.repo.name, self.revision);
            StoreError::Limit(format!(
                "revision {revision} of `{repo}` has more than {TREE_BYTES_MAX} bytes of files"
            ))
        })?;
        let content = reader.object(&leaf.id)?.data;
        if leaf.mode == Mode::Executable {
            at.source.executables.insert(path.clone());
        }
        at.source.files.insert(path, content);
        Ok(())
    }
}

/// Paths and sizes of the files below `folder`.
pub(crate) fn list(
    shared: &Shared,
    repo: &RepoName,
    revision: Revision,
    folder: &str,
) -> Result<Vec<(FilePath, u64)>, StoreError> {
    let repo = shared.repository(repo)?;
    let mut files = Vec::new();
    let folder = folder.trim_matches('/');
    Walk { folder, ..Walk::of(shared, &repo, revision) }.run(|reader, met| {
        if let Met::File(path, entry) = met {
            files.push((path, reader.size(&entry.id)?));
        }
        Ok(())
    })?;
    files.sort_unstable();
    Ok(files)
}

/// One file of a revision.
pub(crate) fn read(
    shared: &Shared,
    repo: &RepoName,
    revision: Revision,
    path: &FilePath,
) -> Result<Bytes, StoreError> {
    Ok(file(shared, repo, revision, path)?.content)
}

/// One file of a revision with Git's name of its content.
pub(crate) fn file(
    shared: &Shared,
    repo: &RepoName,
    revision: Revision,
    path: &FilePath,
) -> Result<FileAt, StoreError> {
    let repo = shared.repository(repo)?;
    let mut reader = shared.reader(&repo);
    let leaf = file_leaf(&mut reader, revision, path)?;
    let leaf = leaf.ok_or_else(|| StoreError::NoFile {
        repo: repo.name.clone(),
        revision,
        path: path.clone(),
    })?;
    let content = bounded(shared, &mut reader, &leaf, || format!("`{path}`"))?.data;
    Ok(FileAt { blob: BlobId(leaf.id), content })
}

/// The file at `path`, if there is one.
fn file_leaf(
    reader: &mut Reader<'_>,
    revision: Revision,
    path: &FilePath,
) -> Result<Option<Leaf>, StoreError> {
    if revision == Revision(0) {
        return Ok(None);
    }
    let commit = reader.repo.commit(revision)?;
    Ok(reader.at(commit, path.as_str())?.filter(|leaf| leaf.mode.is_file()))
}

/// An object's content, unless it is too large. The bound is for what people
/// write; our own documents have theirs.
fn bounded(
    shared: &Shared,
    reader: &mut Reader<'_>,
    leaf: &Leaf,
    noun: impl Fn() -> String,
) -> Result<Object, StoreError> {
    let bytes_max = shared.options.file_bytes_max;
    let refuse = |bytes: u64| {
        StoreError::Limit(format!("{} has {bytes} bytes; files may have {bytes_max}", noun()))
    };
    let is_bound = !reader.repo.name.is_internal();
    if let Some(object) = reader.remembered(&leaf.id) {
        let bytes = object.data.len() as u64;
        return if is_bound && bytes > bytes_max { Err(refuse(bytes)) } else { Ok(object) };
    }
    if is_bound {
        let bytes = reader.size(&leaf.id)?;
        if bytes > bytes_max {
            return Err(refuse(bytes));
        }
    }
    reader.object(&leaf.id)
}

/// A file's content by Git's name of it. What another repository holds is not
/// there, also where it was read lately.
pub(crate) fn blob(shared: &Shared, repo: &RepoName, blob: &BlobId) -> Result<Bytes, StoreError> {
    let repo = shared.repository(repo)?;
    let noun = || format!("content {blob}");
    let missing =
        || StoreError::damaged(format!("reading {} of `{}`", noun(), repo.name), "it is not there");
    let mut reader = shared.reader(&repo);
    if !reader.owns(&blob.0) {
        return Err(missing());
    }
    let leaf = Leaf { mode: Mode::File, id: blob.0 };
    let object = bounded(shared, &mut reader, &leaf, noun)?;
    if object.kind == Kind::Blob { Ok(object.data) } else { Err(missing()) }
}

/// Files, and folders if asked for, that match, in the tree's order.
pub(crate) fn find(
    shared: &Shared,
    repo: &RepoName,
    revision: Revision,
    patterns: &Patterns,
    folders: bool,
) -> Result<Vec<Found>, StoreError> {
    let repo = shared.repository(repo)?;
    if let Some(path) = patterns.literal() {
        return find_one(shared, &repo, revision, path, folders);
    }
    let mut all = Vec::new();
    let may_hold = |folder: &str| walk::may_hold(patterns, folder);
    Walk { may_hold: &may_hold, ..Walk::of(shared, &repo, revision) }.run(|reader, met| {
        match met {
            Met::File(path, leaf) if patterns.matches(&path) => {
                let kind = FoundKind::File { blob: BlobId(leaf.id), bytes: reader.size(&leaf.id)? };
                all.push(Found { path, kind });
            }
            Met::Folder(path) if folders && patterns.matches(&path) => {
                all.push(Found { path, kind: FoundKind::Folder });
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(all)
}

fn find_one(
    shared: &Shared,
    repo: &Repository,
    revision: Revision,
    path: FilePath,
    folders: bool,
) -> Result<Vec<Found>, StoreError> {
    if revision == Revision(0) {
        return Ok(Vec::new());
    }
    let mut reader = shared.reader(repo);
    let commit = repo.commit(revision)?;
    let kind = match reader.at(commit, path.as_str())? {
        Some(leaf) if leaf.mode.is_file() => {
            FoundKind::File { blob: BlobId(leaf.id), bytes: reader.size(&leaf.id)? }
        }
        Some(Leaf { mode: Mode::Folder, .. }) if folders => FoundKind::Folder,
        _ => return Ok(Vec::new()),
    };
    Ok(vec![Found { path, kind }])
}

fn too_large(path: &FilePath, bytes: u64, bytes_max: u64) -> Problem {
    let message = format!("`{path}` has {bytes} bytes and was skipped: files may have {bytes_max}");
    Problem::new(Place::file(path.clone()), "file-too-large", message)
        .with_hint("split the file, or keep it outside the configuration repository")
}
