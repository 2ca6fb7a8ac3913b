//! A folder that is being edited: the bytes of its tree object as they were,
//! and what is to change in them. What doesn't change is copied as it stands.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, btree_map};

use bytes::Bytes;

use super::super::entries::{self, Entries, Leaf};
use super::super::error::StoreError;
use super::super::object::{Kind, Mode, Object, Objects, Oid};
use super::super::repository::Reader;
use crate::model::FilePath;

/// After so many names were looked for, the folder is indexed.
const LOOKS_MAX: u32 = 8;

/// A folder, of which `changed` overrides what `data` says.
#[derive(Debug, Default)]
pub(super) struct Folder {
    /// What it was read from; `None`: it is new.
    origin: Option<Oid>,
    data: Bytes,
    /// By name; `None` is not there any more.
    pub(super) changed: BTreeMap<Vec<u8>, Option<Item>>,
    /// How often `data` was searched from its start, and then its index.
    looks: u32,
    /// Whether `data` is not what `origin` holds.
    rewritten: bool,
    index: Option<HashMap<Vec<u8>, Leaf>>,
}

/// What a name stands for.
#[derive(Debug)]
pub(super) enum Item {
    Leaf(Leaf),
    /// A folder that was read because something below it changes.
    Folder(Folder),
}

impl Folder {
    /// Reads a folder; `None` is an empty one.
    pub(super) fn read(reader: &mut Reader<'_>, id: Option<Oid>) -> Result<Self, StoreError> {
        let data = match id {
            Some(id) => reader.object(&id)?.data,
            None => Bytes::new(),
        };
        let mut folder = Self::default();
        (folder.origin, folder.data) = (id, data);
        Ok(folder)
    }

    /// What it was read from.
    pub(super) fn origin(&self) -> Option<Oid> {
        self.origin
    }

    /// What it was read as.
    pub(super) fn data(&self) -> &Bytes {
        &self.data
    }

    /// Makes `origin` what it counts as read from, so that later restorations
    /// compare with that; what it holds stays.
    pub(super) fn since(mut self, origin: Option<Oid>) -> Self {
        if self.origin != origin {
            self.origin = origin;
            self.rewritten = true;
        }
        self
    }

    /// The folder that a path lies in, made where it is not there, and the
    /// path's last part.
    pub(super) fn way<'f, 'p>(
        &'f mut self,
        reader: &mut Reader<'_>,
        path: &'p FilePath,
    ) -> Result<(&'f mut Self, &'p str), StoreError> {
        let mut folder = self;
        let mut rest = path.as_str();
        while let Some((name, after)) = rest.split_once('/') {
            folder = folder.open(reader, path, name)?;
            rest = after;
        }
        Ok((folder, rest))
    }

    fn open(
        &mut self,
        reader: &mut Reader<'_>,
        path: &FilePath,
        name: &str,
    ) -> Result<&mut Self, StoreError> {
        let leaf = match self.changed.get(name.as_bytes()) {
            Some(Some(Item::Folder(_))) => None,
            Some(Some(Item::Leaf(leaf))) => Some(Some(*leaf)),
            Some(None) => Some(None),
            None => Some(self.stored(name)?),
        };
        match leaf {
            Some(Some(leaf)) if leaf.mode != Mode::Folder => {
                return Err(StoreError::Unfit(format!(
                    "`{path}` can't be there: `{name}` on its way is a file"
                )));
            }
            Some(leaf) => {
                let opened = Self::read(reader, leaf.map(|leaf| leaf.id))?;
                self.changed.insert(name.into(), Some(Item::Folder(opened)));
            }
            None => {}
        }
        match self.changed.get_mut(name.as_bytes()) {
            Some(Some(Item::Folder(folder))) => Ok(folder),
            _ => Err(StoreError::damaged("editing a tree", "a folder got lost")),
        }
    }

    /// What a path stands for; nothing is opened for it.
    pub(super) fn find(
        &mut self,
        reader: &mut Reader<'_>,
        path: &FilePath,
    ) -> Result<Option<Leaf>, StoreError> {
        let mut folder = self;
        let mut rest = path.as_str();
        while let Some((name, after)) = rest.split_once('/') {
            if let Some(Some(Item::Folder(_))) = folder.changed.get(name.as_bytes()) {
                let Some(Some(Item::Folder(next))) = folder.changed.get_mut(name.as_bytes()) else {
                    return Ok(None);
                };
                (folder, rest) = (next, after);
                continue;
            }
            return match folder.get(name)? {
                Some(leaf) if leaf.mode == Mode::Folder => reader.entry(&leaf.id, after),
                _ => Ok(None),
            };
        }
        folder.get(rest)
    }

    /// What a name stands for. A folder that was opened has no id yet, and
    /// one that is empty is not there: Git keeps none.
    pub(super) fn get(&mut self, name: &str) -> Result<Option<Leaf>, StoreError> {
        match self.changed.get(name.as_bytes()) {
            Some(Some(Item::Leaf(leaf))) => Ok(Some(*leaf)),
            Some(Some(Item::Folder(folder))) => {
                let leaf = Leaf { mode: Mode::Folder, id: Oid::default() };
                Ok(if folder.is_empty()? { None } else { Some(leaf) })
            }
            Some(None) => Ok(None),
            None => self.stored(name),
        }
    }

    /// Makes a name stand for something.
    pub(super) fn put(&mut self, name: &str, item: Item) {
        self.changed.insert(name.into(), Some(item));
    }

    /// Takes out what a name stands for.
    pub(super) fn take(&mut self, name: &str) -> Result<Option<Item>, StoreError> {
        let there = match self.changed.get_mut(name.as_bytes()) {
            Some(item) => item.take(),
            None => self.stored(name)?.map(Item::Leaf),
        };
        self.changed.insert(name.into(), None);
        Ok(there)
    }

    fn stored(&mut self, name: &str) -> Result<Option<Leaf>, StoreError> {
        if let Some(index) = &self.index {
            return Ok(index.get(name.as_bytes()).copied());
        }
        self.looks += 1;
        if self.looks <= LOOKS_MAX {
            return entries::find(&self.data, name.as_bytes());
        }
        let mut index = HashMap::new();
        let mut slots = Entries::of(&self.data);
        while let Some(slot) = slots.step()? {
            index.entry(slot.name.to_vec()).or_insert_with(|| slot.leaf());
        }
        let found = index.get(name.as_bytes()).copied();
        self.index = Some(index);
        Ok(found)
    }

    /// Whether nothing is in it but folders of which that is true.
    fn is_empty(&self) -> Result<bool, StoreError> {
        let mut open = vec![self];
        while let Some(folder) = open.pop() {
            for item in folder.changed.values().flatten() {
                match item {
                    Item::Folder(inner) => open.push(inner),
                    Item::Leaf(_) => return Ok(false),
                }
            }
            let mut slots = Entries::of(&folder.data);
            while let Some(slot) = slots.step()? {
                if !folder.changed.contains_key(slot.name) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Writes what changed, as a root, which may be empty. Innermost folders
    /// come first; not by recursion, for a path may have two thousand parts.
    pub(super) fn write_root(&self, objects: &mut Objects) -> Result<Oid, StoreError> {
        let mut open = vec![Writing::of(self, &[])];
        while let Some(writing) = open.last_mut() {
            match writing.items.next() {
                Some((name, Some(Item::Folder(folder)))) => open.push(Writing::of(folder, name)),
                Some((name, Some(Item::Leaf(leaf)))) => writing.inserts.push((name, *leaf)),
                Some((_, None)) => {}
                None => {
                    let Some(Writing { folder, name, inserts, .. }) = open.pop() else { break };
                    let id = folder.write(inserts, objects)?;
                    match (open.last_mut(), id) {
                        (Some(parent), Some(id)) => {
                            parent.inserts.push((name, Leaf { mode: Mode::Folder, id }));
                        }
                        // Git keeps no empty folders.
                        (Some(_), None) => {}
                        (None, Some(id)) => return Ok(id),
                        (None, None) => break,
                    }
                }
            }
        }
        push(Bytes::new(), objects)
    }

    /// Writes this folder with what its changed names stand for now; `None`
    /// if nothing is left in it.
    fn write(
        &self,
        mut inserts: Vec<(&[u8], Leaf)>,
        objects: &mut Objects,
    ) -> Result<Option<Oid>, StoreError> {
        let data = if self.changed.is_empty() {
            self.data.clone()
        } else {
            inserts.sort_unstable_by(|a, b| order((a.0, a.1.mode), (b.0, b.1.mode)));
            splice(&self.data, &self.changed, &inserts)?
        };
        if data.is_empty() {
            return Ok(None);
        }
        // What was only looked into is as it was.
        match self.origin.filter(|_| !self.rewritten && data == self.data) {
            Some(origin) => Ok(Some(origin)),
            None => push(data, objects).map(Some),
        }
    }
}

/// A folder that is being written.
struct Writing<'f> {
    folder: &'f Folder,
    /// What it is called in the folder around it.
    name: &'f [u8],
    items: btree_map::Iter<'f, Vec<u8>, Option<Item>>,
    inserts: Vec<(&'f [u8], Leaf)>,
}

impl<'f> Writing<'f> {
    fn of(folder: &'f Folder, name: &'f [u8]) -> Self {
        Self { folder, name, items: folder.changed.iter(), inserts: Vec::new() }
    }
}

impl Drop for Folder {
    /// One folder after the other, for the same reason.
    fn drop(&mut self) {
        let mut open = vec![std::mem::take(&mut self.changed)];
        while let Some(changed) = open.pop() {
            for item in changed.into_values().flatten() {
                if let Item::Folder(mut folder) = item {
                    open.push(std::mem::take(&mut folder.changed));
                }
            }
        }
    }
}

/// Puts `inserts`, which are in order, between the stored entries, and leaves
/// out those that are overridden.
fn splice(
    data: &[u8],
    changed: &BTreeMap<Vec<u8>, Option<Item>>,
    inserts: &[(&[u8], Leaf)],
) -> Result<Bytes, StoreError> {
    let mut out = Vec::with_capacity(data.len() + inserts.len() * 64);
    let mut inserts = inserts.iter().peekable();
    let mut slots = Entries::of(data);
    // Entries that stay are copied in runs.
    let (mut run, mut at) = (0, 0);
    while let Some(slot) = slots.step()? {
        let end = data.len() - slots.rest.len();
        let before = |(name, leaf): &&(&[u8], Leaf)| {
            order((name, leaf.mode), (slot.name, slot.mode)).is_lt()
        };
        if inserts.peek().is_some_and(before) {
            out.extend_from_slice(&data[run..at]);
            run = at;
            while let Some((name, leaf)) = inserts.next_if(|insert| before(insert)) {
                entry(&mut out, name, *leaf);
            }
        }
        if changed.contains_key(slot.name) {
            out.extend_from_slice(&data[run..at]);
            run = end;
        }
        at = end;
    }
    out.extend_from_slice(&data[run..]);
    inserts.for_each(|(name, leaf)| entry(&mut out, name, *leaf));
    Ok(out.into())
}

fn entry(out: &mut Vec<u8>, name: &[u8], leaf: Leaf) {
    out.extend_from_slice(leaf.mode.octal().as_bytes());
    out.push(b' ');
    out.extend_from_slice(name);
    out.push(0);
    out.extend_from_slice(&leaf.id);
}

/// Git's order of names: a folder's as if it ended in a slash.
fn order((a, a_mode): (&[u8], Mode), (b, b_mode): (&[u8], Mode)) -> Ordering {
    let shared = a.len().min(b.len());
    let ending = |name: &[u8], mode: Mode| match name.get(shared) {
        Some(byte) => *byte,
        None if mode == Mode::Folder => b'/',
        None => 0,
    };
    a[..shared]
        .cmp(&b[..shared])
        .then_with(|| ending(a, a_mode).cmp(&ending(b, b_mode)))
        .then_with(|| a.len().cmp(&b.len()))
}

fn push(data: Bytes, objects: &mut Objects) -> Result<Oid, StoreError> {
    let object = Object { kind: Kind::Tree, data };
    let id = object.id()?;
    objects.push((id, object));
    Ok(id)
}
