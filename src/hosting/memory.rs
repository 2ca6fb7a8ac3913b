//! What was written on GitHub, so that a restart writes nothing again.
//!
//! It lies in the store's index and may be lost: whatever is not remembered is
//! looked for on GitHub first. A kill may also lose the last entries, so what
//! an earlier process remembered is only good for "this is there already".

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::{ContentHash, RepoName};
use crate::store::Store;

/// The memory of all repositories.
pub(super) struct Memory {
    tree: sled::Tree,
}

/// One thing that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Written {
    /// A hash of what it said.
    pub(super) hash: ContentHash,
    /// GitHub's number for it, where it has one.
    pub(super) id: Option<u64>,
}

impl Memory {
    pub(super) fn open(store: &Store) -> Result<Self, sled::Error> {
        Ok(Self { tree: store.cache().open_tree("hosting")? })
    }

    /// What is remembered of one repository.
    pub(super) fn of(&self, repo: &RepoName) -> Remembered {
        let prefix = format!("{repo}\0");
        let mut kept = BTreeMap::new();
        for (key, value) in self.tree.scan_prefix(&prefix).flatten() {
            let name = key.get(prefix.len()..).and_then(|name| std::str::from_utf8(name).ok());
            if let Some((name, written)) = name.zip(serde_json::from_slice(&value).ok()) {
                kept.insert(name.to_owned(), written);
            }
        }
        Remembered { tree: self.tree.clone(), prefix, kept, ours: BTreeSet::new() }
    }
}

/// What is remembered of one repository.
pub(super) struct Remembered {
    tree: sled::Tree,
    prefix: String,
    kept: BTreeMap<String, Written>,
    /// What this process wrote or saw itself.
    ours: BTreeSet<String>,
}

impl std::fmt::Debug for Remembered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remembered").field("kept", &self.kept.len()).finish_non_exhaustive()
    }
}

impl Remembered {
    pub(super) fn get(&self, key: &str) -> Option<Written> {
        self.kept.get(key).copied()
    }

    /// Whether what stands on GitHub is known for certain, so that a change
    /// may be written without a look.
    pub(super) fn is_certain(&self, key: &str) -> bool {
        self.ours.contains(key)
    }

    pub(super) fn put(&mut self, key: &str, written: Written) {
        self.ours.insert(key.to_owned());
        if self.kept.insert(key.to_owned(), written) == Some(written) {
            return;
        }
        let name = format!("{}{key}", self.prefix);
        let text = serde_json::to_vec(&written).unwrap_or_default();
        if let Err(error) = self.tree.insert(name, text) {
            tracing::debug!(%error, "what was written on GitHub is not remembered");
        }
    }

    /// What stands on GitHub is not known any more: an answer was lost.
    pub(super) fn doubt(&mut self, key: &str) {
        self.ours.remove(key);
    }

    /// Forgets whatever is about what `picks` says.
    pub(super) fn forget(&mut self, picks: impl Fn(&str) -> bool) {
        let gone: Vec<String> = self.kept.keys().filter(|key| picks(key)).cloned().collect();
        for key in gone {
            self.kept.remove(&key);
            self.ours.remove(&key);
            let _ = self.tree.remove(format!("{}{key}", self.prefix));
        }
    }
}
