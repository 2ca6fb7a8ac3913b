//! Editing a tree: only the folders on the paths that change are read and
//! written again, so a commit costs by its depth and not by the number of
//! files. Pure but for reading those folders.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;

use super::error::StoreError;
use super::object::{self, Entry, Kind, Mode, Object, Objects, Oid};
use super::repository::Reader;
use crate::model::FilePath;

/// One change, its content hashed already.
#[derive(Debug)]
pub(crate) enum Edit {
    Upsert(FilePath, Oid),
    Remove(FilePath),
}

impl Edit {
    fn path(&self) -> &FilePath {
        match self {
            Self::Upsert(path, _) | Self::Remove(path) => path,
        }
    }
}

/// A folder that was read because something below it changes.
#[derive(Debug, Default)]
struct Folder {
    items: BTreeMap<Vec<u8>, Item>,
}

#[derive(Debug)]
enum Item {
    /// As it was, or a file that was written.
    Leaf(Mode, Oid),
    Folder(Folder),
}

/// Applies `edits` to the tree `root`, pushes the new tree objects to
/// `objects`, and returns the new root.
pub(crate) fn edit(
    reader: &mut Reader<'_>,
    root: Option<Oid>,
    edits: &[Edit],
    objects: &mut Objects,
) -> Result<Oid, StoreError> {
    let mut folder = match root {
        Some(root) => Folder::read(reader, &root)?,
        None => Folder::default(),
    };
    let mut upserted = HashSet::new();
    // Removals first: a file may make room for a folder of its name.
    for edit in edits {
        match edit {
            Edit::Remove(path) => folder.remove(reader, path, path.as_str())?,
            Edit::Upsert(path, _) if !upserted.insert(path) => {
                return Err(StoreError::Invalid(format!("`{path}` is written twice")));
            }
            Edit::Upsert(..) => check_name(edit.path())?,
        }
    }
    for edit in edits {
        if let Edit::Upsert(path, id) = edit {
            folder.upsert(reader, path, path.as_str(), *id)?;
        }
    }
    match folder.write(objects)? {
        Some(root) => Ok(root),
        None => push(object::encode_tree(Vec::new()), objects),
    }
}

/// Refuses names that Git takes for its own on some file system, or reads
/// meaning into: a tree that holds one doesn't pass `git fsck --strict`.
fn check_name(path: &FilePath) -> Result<(), StoreError> {
    let options = gix::validate::path::component::Options {
        protect_windows: false,
        protect_hfs: true,
        protect_ntfs: true,
    };
    for part in path.as_str().split('/') {
        let checked = gix::validate::path::component(part.into(), None, options);
        // A backslash or a colon is fine for Git itself.
        let plain = part.replace(['\\', ':'], "_");
        let plain = gix::validate::path::component(plain.as_str().into(), None, options);
        if checked.is_err() && plain.is_err() || part.eq_ignore_ascii_case(".gitmodules") {
            return Err(StoreError::Invalid(format!(
                "`{path}` can't be written: Git keeps the name `{}` for itself",
                part.escape_debug()
            )));
        }
    }
    Ok(())
}

impl Folder {
    fn read(reader: &mut Reader<'_>, id: &Oid) -> Result<Self, StoreError> {
        let entries = reader.tree(id)?.into_iter();
        let items = entries.map(|entry| (entry.name, Item::Leaf(entry.mode, entry.id))).collect();
        Ok(Self { items })
    }

    /// The folder `name` within this one, read; `None` if nothing is there,
    /// an error if it is no folder.
    fn child(
        &mut self,
        reader: &mut Reader<'_>,
        path: &FilePath,
        name: &str,
    ) -> Result<Option<&mut Self>, StoreError> {
        let Some(item) = self.items.get_mut(name.as_bytes()) else { return Ok(None) };
        if let Item::Leaf(Mode::Folder, id) = item {
            *item = Item::Folder(Self::read(reader, &*id)?);
        }
        match item {
            Item::Folder(folder) => Ok(Some(folder)),
            Item::Leaf(..) => Err(StoreError::Invalid(format!(
                "`{path}` can't be there: `{name}` on its way is a file"
            ))),
        }
    }

    fn remove(
        &mut self,
        reader: &mut Reader<'_>,
        path: &FilePath,
        rest: &str,
    ) -> Result<(), StoreError> {
        let missing = || StoreError::Invalid(format!("`{path}` can't be removed: it is not there"));
        if let Some((name, rest)) = rest.split_once('/') {
            let child = self.child(reader, path, name)?.ok_or_else(missing)?;
            return child.remove(reader, path, rest);
        }
        match self.items.get(rest.as_bytes()) {
            None => Err(missing()),
            Some(Item::Folder(_) | Item::Leaf(Mode::Folder, _)) => Err(StoreError::Invalid(
                format!("`{path}` can't be removed: it is a folder; remove its files"),
            )),
            Some(Item::Leaf(..)) => {
                self.items.remove(rest.as_bytes());
                Ok(())
            }
        }
    }

    fn upsert(
        &mut self,
        reader: &mut Reader<'_>,
        path: &FilePath,
        rest: &str,
        id: Oid,
    ) -> Result<(), StoreError> {
        if let Some((name, rest)) = rest.split_once('/') {
            if self.child(reader, path, name)?.is_none() {
                self.items.insert(name.into(), Item::Folder(Self::default()));
            }
            return match self.child(reader, path, name)? {
                Some(child) => child.upsert(reader, path, rest, id),
                None => Ok(()),
            };
        }
        let mode = match self.items.get(rest.as_bytes()) {
            Some(Item::Folder(folder)) if folder.is_empty() => Mode::File,
            Some(Item::Folder(_) | Item::Leaf(Mode::Folder, _)) => {
                return Err(StoreError::Invalid(format!(
                    "`{path}` can't be written: it is a folder"
                )));
            }
            Some(Item::Leaf(Mode::Executable, _)) => Mode::Executable,
            _ => Mode::File,
        };
        self.items.insert(rest.into(), Item::Leaf(mode, id));
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.items.values().all(|item| matches!(item, Item::Folder(folder) if folder.is_empty()))
    }

    /// Writes what was read; `None` if nothing is left in it, for Git keeps no
    /// empty folders.
    fn write(self, objects: &mut Objects) -> Result<Option<Oid>, StoreError> {
        let mut entries = Vec::with_capacity(self.items.len());
        for (name, item) in self.items {
            match item {
                Item::Leaf(mode, id) => entries.push(Entry { mode, name, id }),
                Item::Folder(folder) => {
                    if let Some(id) = folder.write(objects)? {
                        entries.push(Entry { mode: Mode::Folder, name, id });
                    }
                }
            }
        }
        if entries.is_empty() {
            return Ok(None);
        }
        push(object::encode_tree(entries), objects).map(Some)
    }
}

fn push(data: Bytes, objects: &mut Objects) -> Result<Oid, StoreError> {
    let object = Object { kind: Kind::Tree, data };
    let id = object.id()?;
    objects.push((id, object));
    Ok(id)
}
