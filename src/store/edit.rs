//! Editing a tree: changes applied in their order, each to what those before
//! it left. Only folders on the paths that change are read and written again,
//! and of those only the entries that change are taken apart, so that a
//! commit costs by its depth and hardly by the number of files.
//!
//! The same code serves a commit and a preview. Whether the changes may be
//! made is not asked here (`require`, `quota`), nor is anything written.

mod folder;
mod listing;
mod name;

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use super::changed;
use super::entries::Leaf;
use super::error::StoreError;
use super::object::{Kind, Mode, Object, Objects, Oid};
use super::open::Shared;
use super::repository::{Reader, Repository};
use crate::content::{self, ContentError};
use crate::model::{Change, FilePath, Revision};
use folder::{Folder, Item};

/// Refuses a path that has a name in it that Git keeps for itself.
pub(crate) fn check_name(path: &FilePath) -> Result<(), StoreError> {
    name::check(path)
}

/// One change, its content hashed already where it carries one.
#[derive(Debug)]
pub(crate) enum Edit {
    /// Writes this content to a file.
    Write(FilePath, Written),
    /// Anything but [`Change::Upsert`].
    Other(Change),
}

/// Content that was hashed.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) id: Oid,
    pub(crate) content: Bytes,
}

impl Written {
    /// Hashes a file's content, if it isn't too large.
    pub(crate) fn new(
        shared: &Shared,
        path: &FilePath,
        content: Bytes,
    ) -> Result<Self, StoreError> {
        fits(shared, path, &content)?;
        let id = Object { kind: Kind::Blob, data: content.clone() }.id()?;
        Ok(Self { id, content })
    }

    /// The same for a content whose bytes are nobody's part.
    fn remembered(shared: &Shared, path: &FilePath, content: Bytes) -> Result<Self, StoreError> {
        fits(shared, path, &content)?;
        let id = shared.hashed.blob(&content)?;
        Ok(Self { id, content })
    }
}

fn fits(shared: &Shared, path: &FilePath, content: &Bytes) -> Result<(), StoreError> {
    let bytes_max = shared.options.file_bytes_max;
    if content.len() as u64 > bytes_max {
        return Err(StoreError::Limit(format!(
            "`{path}` has {} bytes; files may have {bytes_max}",
            content.len()
        )));
    }
    Ok(())
}

/// Hashes what changes carry. It needs nothing of the head, so it is done
/// before the repository is held. What Convoy writes for itself (`own`) it
/// often writes again as it is; its hash is remembered.
pub(crate) fn hash(
    shared: &Shared,
    changes: &[Change],
    own: bool,
) -> Result<Vec<Edit>, StoreError> {
    let hashed = changes.iter().map(|change| match change {
        Change::Upsert(path, content) => {
            name::check(path)?;
            let written = match own {
                true => Written::remembered(shared, path, content.clone())?,
                false => Written::new(shared, path, content.clone())?,
            };
            Ok(Edit::Write(path.clone(), written))
        }
        Change::Rename { to, .. } => {
            name::check(to)?;
            Ok(Edit::Other(change.clone()))
        }
        other => Ok(Edit::Other(other.clone())),
    });
    hashed.collect()
}

/// What the edits did to one path.
#[derive(Debug, Clone)]
pub(crate) struct Touch {
    pub(crate) path: FilePath,
    pub(crate) before: Option<Leaf>,
    pub(crate) after: Option<Leaf>,
}

/// What edits came to.
pub(crate) struct Edited {
    /// The new root.
    pub(crate) tree: Oid,
    /// Every file that differs, sorted by path.
    pub(crate) touched: Vec<Touch>,
    /// The folders and contents that were made.
    pub(crate) objects: Objects,
}

/// A tree that is being edited.
pub(crate) struct Editor<'r> {
    shared: &'r Shared,
    reader: Reader<'r>,
    root: Folder,
    /// Contents that were written by these edits.
    contents: HashMap<Oid, Bytes>,
    /// What each path was before, and is now.
    touched: BTreeMap<FilePath, (Option<Leaf>, Option<Leaf>)>,
}

impl<'r> Editor<'r> {
    /// Begins with the tree `root`.
    pub(crate) fn new(
        shared: &'r Shared,
        repo: &'r Repository,
        root: Option<Oid>,
    ) -> Result<Self, StoreError> {
        let mut reader = shared.reader(repo);
        let root = Folder::read(&mut reader, root)?;
        let (contents, touched) = (HashMap::new(), BTreeMap::new());
        Ok(Self { shared, reader, root, contents, touched })
    }

    /// Applies one edit.
    pub(crate) fn apply(&mut self, edit: Edit) -> Result<(), StoreError> {
        match edit {
            Edit::Write(path, written) => self.write(path, written),
            Edit::Other(Change::Upsert(path, content)) => {
                let written = Written::new(self.shared, &path, content)?;
                self.write(path, written)
            }
            Edit::Other(Change::Remove(path)) => self.remove(&path),
            Edit::Other(Change::Rename { from, to }) => self.rename(&from, &to),
            Edit::Other(Change::PatchJson(path, patch)) => {
                self.patch(path, |path, text| content::patch_json(path, text, &patch))
            }
            Edit::Other(Change::PatchText(path, patch)) => {
                self.patch(path, |_, text| content::patch_text(text, &patch))
            }
            Edit::Other(Change::Restore(revision)) => self.restore(revision),
        }
    }

    /// The new root, and all that is new below it.
    pub(crate) fn finish(mut self) -> Result<Edited, StoreError> {
        let mut objects = Objects::new();
        let tree = self.root.write_root(&mut objects)?;
        let changed = self.touched.into_iter().filter(|(_, (before, after))| before != after);
        let touch = |(path, (before, after))| Touch { path, before, after };
        let touched: Vec<Touch> = changed.map(touch).collect();
        for leaf in touched.iter().filter_map(|touch| touch.after) {
            if let Some(data) = self.contents.remove(&leaf.id) {
                objects.push((leaf.id, Object { kind: Kind::Blob, data }));
            }
        }
        Ok(Edited { tree, touched, objects })
    }

    fn write(&mut self, path: FilePath, written: Written) -> Result<(), StoreError> {
        let (folder, name) = self.root.way(&mut self.reader, &path)?;
        let before = match folder.get(name)? {
            Some(leaf) if leaf.mode == Mode::Folder => {
                return Err(StoreError::Unfit(format!(
                    "`{path}` can't be written: it is a folder"
                )));
            }
            before => before,
        };
        let executable = before.is_some_and(|leaf| leaf.mode == Mode::Executable);
        let mode = if executable { Mode::Executable } else { Mode::File };
        let after = Leaf { mode, id: written.id };
        folder.put(name, Item::Leaf(after));
        self.contents.insert(written.id, written.content);
        self.record(path, before, Some(after));
        Ok(())
    }

    fn remove(&mut self, path: &FilePath) -> Result<(), StoreError> {
        let Some(item) = self.take(path)? else {
            return Err(StoreError::Unfit(format!("`{path}` can't be removed: it is not there")));
        };
        for (file, leaf) in self.files(path, &item)? {
            self.record(file, Some(leaf), None);
        }
        Ok(())
    }

    fn rename(&mut self, from: &FilePath, to: &FilePath) -> Result<(), StoreError> {
        let refuse = |why: String| Err(StoreError::Unfit(why));
        if is_below(to, from) {
            return refuse(format!("`{from}` can't be moved to `{to}`, which is within it"));
        }
        let is_there = self.leaf(to)?.is_some();
        let Some(item) = self.take(from)? else {
            return refuse(format!("`{from}` can't be renamed: it is not there"));
        };
        if is_there {
            return refuse(format!("`{from}` can't be renamed: `{to}` is there already"));
        }
        let files = self.files(from, &item)?;
        let (folder, name) = self.root.way(&mut self.reader, to)?;
        folder.put(name, item);
        for (file, leaf) in files {
            let rest = &file.as_str()[from.as_str().len()..];
            let moved = FilePath::new(&format!("{to}{rest}"));
            let moved = moved.map_err(|error| {
                StoreError::Unfit(format!("`{from}` can't be renamed to `{to}`: {error}"))
            })?;
            self.record(file, Some(leaf), None);
            self.record(moved, None, Some(leaf));
        }
        Ok(())
    }

    fn patch(
        &mut self,
        path: FilePath,
        apply: impl FnOnce(&FilePath, &str) -> Result<String, ContentError>,
    ) -> Result<(), StoreError> {
        let Some(leaf) = self.leaf(&path)?.filter(|leaf| leaf.mode.is_file()) else {
            return Err(StoreError::Unfit(format!(
                "`{path}` can't be patched: there is no such file"
            )));
        };
        let refuse = |source| StoreError::Content { path: path.clone(), source };
        let content = self.content(&leaf)?;
        let text = std::str::from_utf8(&content)
            .map_err(|_| refuse(ContentError::Mismatch("the file is not UTF-8 text".into())))?;
        let patched = apply(&path, text).map_err(refuse)?;
        let written = Written::new(self.shared, &path, patched.into())?;
        self.write(path, written)
    }

    fn restore(&mut self, revision: Revision) -> Result<(), StoreError> {
        let repo = self.reader.repo;
        let target = match revision {
            Revision(0) => None,
            revision => Some(self.reader.root(repo.commit(revision)?)?),
        };
        // The files that differ between what the edits so far came to and the
        // target are those that differ between either and what was first.
        let first = self.root.origin();
        let mut paths = changed::trees(self.shared, &mut self.reader, (first, target))?;
        paths.extend(self.touched.keys().cloned());
        for path in paths {
            let before = match first {
                Some(first) => self.reader.entry(&first, path.as_str())?,
                None => None,
            };
            let after = match target {
                Some(target) => self.reader.entry(&target, path.as_str())?,
                None => None,
            };
            let no_folder = |leaf: &Leaf| leaf.mode != Mode::Folder;
            let (before, after) = (before.filter(no_folder), after.filter(no_folder));
            self.touched.insert(path, (before, after));
        }
        self.root = Folder::read(&mut self.reader, target)?.since(first);
        Ok(())
    }

    /// Notes what became of a path; what it was first stays.
    fn record(&mut self, path: FilePath, before: Option<Leaf>, after: Option<Leaf>) {
        self.touched.entry(path).or_insert((before, None)).1 = after;
    }

    /// What a path stands for now.
    pub(crate) fn leaf(&mut self, path: &FilePath) -> Result<Option<Leaf>, StoreError> {
        self.root.find(&mut self.reader, path)
    }

    /// A file's content, be it old or made by these edits.
    pub(crate) fn content(&mut self, leaf: &Leaf) -> Result<Bytes, StoreError> {
        match self.contents.get(&leaf.id) {
            Some(content) => Ok(content.clone()),
            None => Ok(self.reader.object(&leaf.id)?.data),
        }
    }

    /// A file's size.
    pub(crate) fn size(&mut self, leaf: &Leaf) -> Result<u64, StoreError> {
        match self.contents.get(&leaf.id) {
            Some(content) => Ok(content.len() as u64),
            None => self.reader.size(&leaf.id),
        }
    }

    /// Every path that was touched, with what it was and is.
    pub(crate) fn touched(&self) -> Vec<Touch> {
        let changed = self.touched.iter().filter(|(_, (before, after))| before != after);
        let touch = |(path, (before, after)): (&FilePath, &(_, _))| Touch {
            path: path.clone(),
            before: *before,
            after: *after,
        };
        changed.map(touch).collect()
    }

    /// Takes a file or folder out; `None` if it is not there.
    fn take(&mut self, path: &FilePath) -> Result<Option<Item>, StoreError> {
        if self.leaf(path)?.is_none() {
            return Ok(None);
        }
        let (folder, name) = self.root.way(&mut self.reader, path)?;
        folder.take(name)
    }

    /// All that is not a folder in what was taken from `path`.
    fn files(&mut self, path: &FilePath, item: &Item) -> Result<Vec<(FilePath, Leaf)>, StoreError> {
        let entries_max = self.shared.options.files_max.saturating_mul(4);
        listing::files(&mut self.reader, path, item, entries_max)
    }
}

fn is_below(path: &FilePath, folder: &FilePath) -> bool {
    let rest = path.as_str().strip_prefix(folder.as_str());
    rest.is_some_and(|rest| rest.starts_with('/'))
}
