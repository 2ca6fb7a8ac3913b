//! The files within a folder, be it as it is stored or half edited.

use bytes::Bytes;

use super::super::entries::{Entries, Leaf};
use super::super::error::StoreError;
use super::super::object::Mode;
use super::super::repository::Reader;
use super::super::walk::child_path;
use super::folder::{Folder, Item};
use crate::model::FilePath;

/// Everything at and below `path`, where `item` is, that is not a folder.
/// Names that no path can have are left out: they move along unseen.
pub(super) fn files(
    reader: &mut Reader<'_>,
    path: &FilePath,
    item: &Item,
    entries_max: usize,
) -> Result<Vec<(FilePath, Leaf)>, StoreError> {
    let mut listing = Listing { files: Vec::new(), folders: Vec::new(), left: entries_max };
    match item {
        Item::Leaf(leaf) => listing.meet(path.clone(), *leaf)?,
        Item::Folder(folder) => listing.edited(path, folder)?,
    }
    while let Some((path, leaf)) = listing.folders.pop() {
        let data = reader.object(&leaf.id)?.data;
        listing.stored(&path, &data, |_| true)?;
    }
    Ok(listing.files)
}

struct Listing {
    files: Vec<(FilePath, Leaf)>,
    /// Stored folders that were not read yet.
    folders: Vec<(FilePath, Leaf)>,
    left: usize,
}

impl Listing {
    fn meet(&mut self, path: FilePath, leaf: Leaf) -> Result<(), StoreError> {
        self.left = self.left.checked_sub(1).ok_or_else(|| {
            StoreError::Limit(format!("the folder around `{path}` has too many entries to change"))
        })?;
        let list = if leaf.mode == Mode::Folder { &mut self.folders } else { &mut self.files };
        list.push((path, leaf));
        Ok(())
    }

    fn stored(
        &mut self,
        folder: &FilePath,
        data: &Bytes,
        stays: impl Fn(&[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let mut slots = Entries::of(data);
        while let Some(slot) = slots.step()? {
            if let Some(path) = child_path(folder.as_str(), slot.name).filter(|_| stays(slot.name))
            {
                self.meet(path, slot.leaf())?;
            }
        }
        Ok(())
    }

    /// Folders that are being edited are as deep as the paths of one commit.
    fn edited(&mut self, path: &FilePath, folder: &Folder) -> Result<(), StoreError> {
        let mut open = vec![(path.clone(), folder)];
        while let Some((path, folder)) = open.pop() {
            self.stored(&path, folder.data(), |name| !folder.changed.contains_key(name))?;
            for (name, item) in &folder.changed {
                let Some(child) = child_path(path.as_str(), name) else { continue };
                match item {
                    Some(Item::Leaf(leaf)) => self.meet(child, *leaf)?,
                    Some(Item::Folder(folder)) => open.push((child, folder)),
                    None => {}
                }
            }
        }
        Ok(())
    }
}
