//! What makes one folder equal to another, by Git's names of contents. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::rules::Rules;
use crate::mirror::{Listing, TreeFile};
use crate::model::FilePath;
use crate::store::Store;

/// Files to write and to remove.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) put: BTreeMap<FilePath, TreeFile>,
    pub(super) remove: BTreeSet<FilePath>,
    /// Files that are left alone because we can't have them by that name.
    pub(super) kept: Vec<FilePath>,
}

impl Changes {
    /// What makes `to` equal to `from`. What is ignored stays as it is on
    /// either side, and so do links and submodules. Whether a file may be
    /// executed is the target's own affair once it is there.
    pub(super) fn between(from: &Listing, to: &Listing, rules: &Rules) -> Self {
        let mut changes = Self::default();
        for (path, file) in from.files.iter().filter(|(path, _)| !rules.ignore(path)) {
            if !Store::takes(path) {
                changes.kept.push(path.clone());
                continue;
            }
            match to.files.get(path) {
                Some(there) if there.blob == file.blob => {}
                Some(there) => {
                    let file = TreeFile { executable: there.executable, ..*file };
                    changes.put.insert(path.clone(), file);
                }
                None => {
                    changes.put.insert(path.clone(), *file);
                }
            }
        }
        let gone = to.files.keys().filter(|path| !from.files.contains_key(*path));
        changes.remove =
            gone.filter(|path| !rules.ignore(path) && Store::takes(path)).cloned().collect();
        changes
    }

    /// How many files change.
    pub(super) fn len(&self) -> usize {
        self.put.len() + self.remove.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BlobId;

    fn listing(files: &[(&str, u8, bool)]) -> Listing {
        let file = |(path, content, executable): &(&str, u8, bool)| {
            let file = TreeFile { blob: BlobId([*content; 20]), executable: *executable };
            (FilePath::new(path).unwrap(), file)
        };
        Listing { files: files.iter().map(file).collect(), skipped: Vec::new() }
    }

    #[test]
    fn what_git_keeps_for_itself_is_left_alone_on_either_side() {
        let with =
            listing(&[(".gitmodules", 1, false), ("a/.gitmodules", 2, false), ("b", 3, false)]);
        let without = listing(&[("b", 3, false)]);
        let rules = Rules::new("").unwrap();
        let changes = Changes::between(&with, &without, &rules);
        assert_eq!((changes.is_empty(), changes.kept.len()), (true, 2));
        assert!(Changes::between(&without, &with, &rules).is_empty());
    }

    #[test]
    fn only_what_differs_and_is_not_ignored_changes() {
        let from = listing(&[("a", 1, false), ("b", 2, false), ("c", 3, true), ("x.tmp", 4, true)]);
        let to = listing(&[("a", 1, true), ("b", 9, true), ("d", 5, false), ("y.tmp", 6, false)]);
        let changes = Changes::between(&from, &to, &Rules::new("*.tmp").unwrap());
        let put: Vec<_> = changes.put.iter().map(|(p, f)| (p.as_str(), f.executable)).collect();
        assert_eq!(put, [("b", true), ("c", true)]);
        assert_eq!(changes.remove.iter().map(FilePath::as_str).collect::<Vec<_>>(), ["d"]);
        assert!(Changes::between(&from, &from, &Rules::new("").unwrap()).is_empty());
    }
}
