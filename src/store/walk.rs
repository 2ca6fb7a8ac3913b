//! Walking a revision's tree in the tree's own order, within bounds, telling
//! what is in it and what is left out of it by rule.
//!
//! It reads folders only. Whoever calls decides what to read of the files.

use bytes::Bytes;

use super::entries::{Entries, Leaf, Slot};
use super::error::{StoreError, failed};
use super::object::{Mode, Oid};
use super::open::Shared;
use super::repository::{Reader, Repository};
use crate::content::Patterns;
use crate::model::{FilePath, PathError, Place, Problem, Revision};

/// What is met on the way.
pub(crate) enum Met {
    File(FilePath, Leaf),
    /// Told before what is in it.
    Folder(FilePath),
    Skipped(Problem),
}

/// What to walk.
pub(crate) struct Walk<'w> {
    pub(crate) shared: &'w Shared,
    pub(crate) repo: &'w Repository,
    pub(crate) revision: Revision,
    /// Where to begin; empty: the root.
    pub(crate) folder: &'w str,
    /// Folders for which it says no are not read.
    pub(crate) may_hold: &'w dyn Fn(&str) -> bool,
}

/// A folder that is being read.
struct Open {
    path: String,
    data: Bytes,
    at: usize,
}

/// Whether below `folder` there may be what `patterns` match.
pub(crate) fn may_hold(patterns: &Patterns, folder: &str) -> bool {
    let is_within = |path: &str, folder: &str| {
        let rest = path.strip_prefix(folder);
        folder.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    patterns.alternatives().iter().any(|pattern| {
        let base = pattern.folder();
        is_within(folder, base) || is_within(base, folder)
    })
}

/// `name` within `folder`, if that is a path that a file may have.
pub(crate) fn child_path(folder: &str, name: &[u8]) -> Option<FilePath> {
    let name = std::str::from_utf8(name).ok().filter(|name| !name.contains('/'))?;
    let path = FilePath::new(&join(folder, name)).ok()?;
    // A path drops a leading slash; a name has none.
    path.as_str().ends_with(name).then_some(path)
}

impl<'w> Walk<'w> {
    /// Everything in a revision.
    pub(crate) fn of(shared: &'w Shared, repo: &'w Repository, revision: Revision) -> Self {
        Self { shared, repo, revision, folder: "", may_hold: &|_| true }
    }

    /// Visits everything. Entries and folders are counted, so that a tree
    /// that unfolds without end is refused early.
    pub(crate) fn run(
        &self,
        mut visit: impl FnMut(&mut Reader<'_>, Met) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut reader = self.shared.reader(self.repo);
        let mut open = Vec::new();
        open.extend(self.begin(&mut reader)?);
        let files_max = self.shared.options.files_max;
        let (mut files, mut folders) = (0, open.len());
        while let Some(folder) = open.last_mut() {
            match folder.step()? {
                None => {
                    open.pop();
                }
                Some(Sorted::Folder(path, id)) => {
                    folders += 1;
                    if (self.may_hold)(path.as_str()) {
                        open.push(Open::read(&mut reader, path.as_str(), &id)?);
                    }
                    visit(&mut reader, Met::Folder(path))?;
                }
                Some(Sorted::Other(met)) => {
                    files += 1;
                    visit(&mut reader, met)?;
                }
            }
            if files > files_max || folders > files_max.saturating_add(1) {
                return Err(self.too_many());
            }
        }
        Ok(())
    }

    fn begin(&self, reader: &mut Reader<'_>) -> Result<Option<Open>, StoreError> {
        if self.revision == Revision(0) {
            return Ok(None);
        }
        let root = reader.root(self.repo.commit(self.revision)?)?;
        let start = if self.folder.is_empty() {
            Some(root)
        } else {
            let entry = reader.entry(&root, self.folder)?;
            entry.filter(|entry| entry.mode == Mode::Folder).map(|entry| entry.id)
        };
        start.map(|id| Open::read(reader, self.folder, &id)).transpose()
    }

    fn too_many(&self) -> StoreError {
        let files_max = self.shared.options.files_max;
        StoreError::Limit(format!(
            "revision {} of `{}` has more than {files_max} files",
            self.revision, self.repo.name
        ))
    }
}

impl Open {
    fn read(reader: &mut Reader<'_>, path: &str, id: &Oid) -> Result<Self, StoreError> {
        Ok(Self { path: path.to_owned(), data: reader.object(id)?.data, at: 0 })
    }

    fn step(&mut self) -> Result<Option<Sorted>, StoreError> {
        let mut entries = Entries::of(&self.data[self.at..]);
        let Some(slot) = entries.step()? else { return Ok(None) };
        let sorted = sort(&self.path, &slot)?;
        self.at = self.data.len() - entries.rest.len();
        Ok(Some(sorted))
    }
}

enum Sorted {
    Folder(FilePath, Oid),
    Other(Met),
}

fn sort(folder: &str, slot: &Slot<'_>) -> Result<Sorted, StoreError> {
    let Some(path) = child_path(folder, slot.name) else {
        return Ok(Sorted::Other(Met::Skipped(skipped_name(folder, slot.name)?)));
    };
    if slot.mode.is_file() {
        return Ok(Sorted::Other(Met::File(path, slot.leaf())));
    }
    let place = Place::file(path.clone());
    Ok(match slot.mode {
        Mode::Folder => Sorted::Folder(path, slot.id),
        Mode::Symlink => Sorted::Other(Met::Skipped(
            Problem::new(
                place,
                "skipped-symlink",
                format!("`{path}` is a symbolic link and was skipped: links are not followed"),
            )
            .with_hint("commit a copy of the file that it points to"),
        )),
        _ => Sorted::Other(Met::Skipped(
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
