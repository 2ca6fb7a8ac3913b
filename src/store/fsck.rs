//! Checking a data folder that is not in use: journal, packs and their
//! indexes, refs, every object's hash, the audit chain.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::error::StoreError;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fsck {
    /// Repositories that were checked.
    pub repositories: usize,
    /// Objects whose hashes were checked.
    pub objects: u64,
    /// What is damaged; empty: nothing.
    pub damage: Vec<Damage>,
}

/// One damaged place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// Checks the data folder `dir`.
///
/// # Errors
/// The folder is in use or can't be read at all.
pub fn fsck(dir: &Path) -> Result<Fsck, StoreError> {
    let _ = dir;
    todo!()
}
