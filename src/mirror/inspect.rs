//! The head's tree, held against the limits, before anybody relies on it.
//!
//! Walks trees only and reads no file. A tree may name itself a million times
//! over in a few bytes, so what is counted is what a reader would meet. What
//! a symbolic link or a submodule means is the store's to say.

use gix::objs::{Exists as _, FindExt as _};
use gix::{ObjectId, odb};

use super::Limits;
use super::bounds::Bounds;

/// Folders hold files; a tree with many more folders than that is a trap.
const FOLDERS_PER_FILE_MAX: usize = 4;

/// What is wrong with a tree.
#[derive(Debug)]
pub(super) enum Fault {
    /// A bound was passed.
    Limit(String),
    /// What was sent is not whole.
    Broken(String),
    /// The time was over before all of it was seen.
    Late,
}

/// Checks the tree of `head`.
pub(super) fn head(
    objects: &odb::Handle,
    head: ObjectId,
    limits: &Limits,
    bounds: &Bounds,
) -> Result<(), Fault> {
    let mut buffer = Vec::new();
    let root = objects
        .find_commit(&head, &mut buffer)
        .map_err(|error| Fault::Broken(format!("{head} is not a readable commit: {error}")))?
        .tree();
    let mut walk = Walk { objects, limits, files: 0, folders: 0, open: vec![(root, 0)] };
    while let Some((tree, depth)) = walk.open.pop() {
        bounds.check().map_err(|_| Fault::Late)?;
        walk.step(tree, depth, &mut buffer)?;
    }
    Ok(())
}

struct Walk<'a> {
    objects: &'a odb::Handle,
    limits: &'a Limits,
    files: usize,
    folders: usize,
    open: Vec<(ObjectId, usize)>,
}

impl Walk<'_> {
    fn step(&mut self, tree: ObjectId, depth: usize, buffer: &mut Vec<u8>) -> Result<(), Fault> {
        if depth > self.limits.depth_max {
            let max = self.limits.depth_max;
            return Err(Fault::Limit(format!("more than {max} folders within folders")));
        }
        let broken = |error: &dyn std::fmt::Display| {
            Fault::Broken(format!("tree {tree} is not readable: {error}"))
        };
        for entry in self.objects.find_tree_iter(&tree, buffer).map_err(|error| broken(&error))? {
            let entry = entry.map_err(|error| broken(&error))?;
            if entry.mode.is_tree() {
                self.folders += 1;
                self.open.push((entry.oid.to_owned(), depth + 1));
            } else {
                self.files += 1;
                // A submodule's commit lives elsewhere; all else was to come.
                if !entry.mode.is_commit() && !self.objects.exists(entry.oid) {
                    return Err(Fault::Broken(format!("object {} was not sent", entry.oid)));
                }
            }
            self.check()?;
        }
        Ok(())
    }

    /// Folders count too: folders of empty folders hold no file at all.
    fn check(&self) -> Result<(), Fault> {
        let files_max = self.limits.files_max;
        let folders_max = files_max.saturating_mul(FOLDERS_PER_FILE_MAX);
        let counts = [(self.files, files_max, "files"), (self.folders, folders_max, "folders")];
        for (count, max, noun) in counts {
            if count > max {
                return Err(Fault::Limit(format!("more than {max} {noun} in the branch's head")));
            }
        }
        Ok(())
    }
}
