//! Reading a revision's files: all of them, a listing, or one.
//!
//! What an upstream may hold and Convoy doesn't take is reported here, one
//! problem each; whether that stops a bundle is decided elsewhere.

use bytes::Bytes;

use super::error::{StoreError, failed};
use super::object::{Entry, Mode, Oid};
use super::open::Shared;
use super::repository::{Reader, Repository};
use super::{FileAt, Found, TreeAt};
use crate::content::Patterns;
use crate::model::{BlobId, FilePath, PathError, Place, Problem, RepoName, Revision, SourceTree};

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
    let mut bytes_left = TREE_BYTES_MAX;
    walk(shared, &repo, revision, "", |reader, found| {
        let (path, entry) = match found {
            Met::File(path, entry) => (path, entry),
            Met::Skipped(problem) => {
                at.skipped.push(problem);
                return Ok(());
            }
        };
        let bytes = reader.size(&entry.id)?;
        if bytes > shared.options.file_bytes_max {
            at.skipped.push(too_large(&path, bytes, shared.options.file_bytes_max));
            return Ok(());
        }
        bytes_left = bytes_left.checked_sub(bytes).ok_or_else(|| {
            let repo = &repo.name;
            StoreError::Limit(format!(
                "revision {revision} of `{repo}` has more than {TREE_BYTES_MAX} bytes of files"
            ))
        })?;
        let content = reader.object(&entry.id)?.data;
        if entry.mode == Mode::Executable {
            at.source.executables.insert(path.clone());
        }
        at.source.files.insert(path, content);
        Ok(())
    })?;
    Ok(at)
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
    walk(shared, &repo, revision, folder.trim_matches('/'), |reader, found| {
        if let Met::File(path, entry) = found {
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
    let repo = shared.repository(repo)?;
    let missing = || StoreError::NoFile { repo: repo.name.clone(), revision, path: path.clone() };
    let mut reader = shared.reader(&repo);
    let root = root(&mut reader, revision)?.ok_or_else(missing)?;
    let entry = reader.entry(&root, path.as_str())?;
    let entry = entry.filter(|entry| entry.mode.is_file()).ok_or_else(missing)?;
    let bytes = reader.size(&entry.id)?;
    let bytes_max = shared.options.file_bytes_max;
    // The bound is for what people write; our own documents have theirs.
    if bytes > bytes_max && !repo.name.is_internal() {
        return Err(StoreError::Limit(format!(
            "`{path}` has {bytes} bytes; files may have {bytes_max}"
        )));
    }
    Ok(reader.object(&entry.id)?.data)
}

/// The root tree of a revision; `None` for revision 0, the empty repository.
fn root(reader: &mut Reader<'_>, revision: Revision) -> Result<Option<Oid>, StoreError> {
    if revision == Revision(0) {
        return Ok(None);
    }
    let commit = reader.repo.commit(revision)?;
    Ok(Some(reader.commit(commit)?.tree))
}

enum Met {
    File(FilePath, Entry),
    Skipped(Problem),
}

/// Visits everything below `folder` that is not a folder. Entries and folders
/// are counted, so that a tree that unfolds without end is refused early.
fn walk(
    shared: &Shared,
    repo: &Repository,
    revision: Revision,
    folder: &str,
    mut visit: impl FnMut(&mut Reader<'_>, Met) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut reader = shared.reader(repo);
    let Some(root) = root(&mut reader, revision)? else { return Ok(()) };
    let start = if folder.is_empty() {
        Some(root)
    } else {
        let entry = reader.entry(&root, folder)?;
        entry.filter(|entry| entry.mode == Mode::Folder).map(|entry| entry.id)
    };
    let files_max = shared.options.files_max;
    let (mut files, mut folders) = (0, 0);
    let mut open: Vec<(String, Oid)> =
        start.map(|id| (folder.to_owned(), id)).into_iter().collect();
    while let Some((path, id)) = open.pop() {
        folders += 1;
        for entry in reader.tree(&id)? {
            let found = sort(&path, entry)?;
            if let Sorted::Folder(path, id) = found {
                open.push((path, id));
            } else if let Sorted::Met(found) = found {
                files += 1;
                visit(&mut reader, found)?;
            }
            if files > files_max || folders + open.len() > files_max.saturating_add(1) {
                return Err(StoreError::Limit(format!(
                    "revision {revision} of `{}` has more than {files_max} files",
                    repo.name
                )));
            }
        }
    }
    Ok(())
}

enum Sorted {
    Folder(String, Oid),
    Met(Met),
}

fn sort(folder: &str, entry: Entry) -> Result<Sorted, StoreError> {
    let shown = join(folder, &String::from_utf8_lossy(&entry.name));
    let whole = std::str::from_utf8(&entry.name).ok().filter(|name| !name.contains('/'));
    let path = whole.and_then(|_| FilePath::new(&shown).ok()).filter(|path| path.as_str() == shown);
    let Some(path) = path else {
        return Ok(Sorted::Met(Met::Skipped(skipped_name(folder, &entry.name)?)));
    };
    let place = Place::file(path.clone());
    Ok(match entry.mode {
        Mode::Folder => Sorted::Folder(shown, entry.id),
        Mode::File | Mode::Executable => Sorted::Met(Met::File(path, entry)),
        Mode::Symlink => Sorted::Met(Met::Skipped(
            Problem::new(
                place,
                "skipped-symlink",
                format!("`{path}` is a symbolic link and was skipped: links are not followed"),
            )
            .with_hint("commit a copy of the file that it points to"),
        )),
        Mode::Submodule => Sorted::Met(Met::Skipped(
            Problem::new(
                place,
                "skipped-submodule",
                format!("`{path}` is a submodule and was skipped: submodules are not fetched"),
            )
            .with_hint("commit the files themselves"),
        )),
    })
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn skipped_name(folder: &str, name: &[u8]) -> Result<Problem, StoreError> {
    let escaped = name.escape_ascii().to_string();
    let shown = join(folder, &escaped);
    let message =
        format!("`{shown}` was skipped: its name is not UTF-8, or not one that a file may have");
    let place = nearest(folder, &escaped).map_err(failed(format!("showing `{shown}`")))?;
    Ok(Problem::new(Place::file(place), "skipped-name", message)
        .with_hint("rename it; names are UTF-8, and no part of a path is `.`, `..` or `.git`"))
}

/// The nearest path that can be shown for a name that is none: with a `_`
/// before what Git keeps for itself, or the folder where the name is too long.
fn nearest(folder: &str, escaped: &str) -> Result<FilePath, PathError> {
    let plain = escaped.replace('/', "_");
    let plain = &plain[..plain.len().min(255)];
    FilePath::new(&join(folder, plain))
        .or_else(|_| FilePath::new(&join(folder, &format!("_{plain}"))))
        .or_else(|_| FilePath::new(folder))
}

fn too_large(path: &FilePath, bytes: u64, bytes_max: u64) -> Problem {
    let message = format!("`{path}` has {bytes} bytes and was skipped: files may have {bytes_max}");
    Problem::new(Place::file(path.clone()), "file-too-large", message)
        .with_hint("split the file, or keep it outside the configuration repository")
}

/// Files, and folders if asked for, that match.
pub(crate) fn find(
    shared: &Shared,
    repo: &RepoName,
    revision: Revision,
    patterns: &Patterns,
    folders: bool,
) -> Result<Vec<Found>, StoreError> {
    let _ = (shared, repo, revision, patterns, folders);
    todo!()
}

/// One file with Git's name of its content.
pub(crate) fn file(
    shared: &Shared,
    repo: &RepoName,
    revision: Revision,
    path: &FilePath,
) -> Result<FileAt, StoreError> {
    let _ = (shared, repo, revision, path);
    todo!()
}

/// A file's content by Git's name of it.
pub(crate) fn blob(shared: &Shared, repo: &RepoName, blob: &BlobId) -> Result<Bytes, StoreError> {
    let _ = (shared, repo, blob);
    todo!()
}
