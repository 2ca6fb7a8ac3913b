//! A throw-away bare Git folder that borrows the objects of another.
//!
//! Written by hand rather than by `git init`: no template, no hooks, and a
//! configuration of which every line is ours. Called by fetch and propose.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::MirrorError;
use crate::model::Fetched;

const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n";

/// A fetched branch in its quarantine folder, which goes when this does.
#[derive(Debug)]
pub struct Quarantine {
    /// What was fetched; give it to `store::import`.
    pub fetched: Fetched,
    /// Removed on drop.
    pub(super) _dir: TempDir,
}

/// Makes the folder under `parent`, borrowing from `known_git_dir` where that
/// has objects.
pub(super) fn make(
    parent: &Path,
    prefix: &str,
    known_git_dir: &Path,
) -> Result<TempDir, MirrorError> {
    let failed = |error| {
        let what = format!("no quarantine folder could be made in {}", parent.display());
        MirrorError::failed(what, error)
    };
    fs::create_dir_all(parent).map_err(failed)?;
    let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(parent).map_err(failed)?;
    fill(folder.path(), known_git_dir).map_err(failed)?;
    Ok(folder)
}

/// The folder of a Git folder's objects.
pub(super) fn objects(git_dir: &Path) -> PathBuf {
    git_dir.join("objects")
}

fn fill(git_dir: &Path, known_git_dir: &Path) -> std::io::Result<()> {
    for folder in ["objects/info", "objects/pack", "refs/heads", "refs/convoy"] {
        fs::create_dir_all(git_dir.join(folder))?;
    }
    fs::write(git_dir.join("HEAD"), "ref: refs/heads/main\n")?;
    fs::write(git_dir.join("config"), CONFIG)?;
    let known = objects(known_git_dir);
    if known.is_dir() {
        // Absolute, because Git reads it relative to this folder's objects.
        let mut line = known.canonicalize()?.into_os_string();
        line.push("\n");
        fs::write(git_dir.join("objects/info/alternates"), line.as_encoded_bytes())?;
    }
    Ok(())
}
