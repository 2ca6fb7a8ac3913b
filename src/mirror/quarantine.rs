//! A throw-away bare Git folder that borrows the objects of another.
//!
//! Written by hand rather than by `git init`: no template, no hooks, and a
//! configuration of which every line is ours. Called by fetch and propose.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::MirrorError;
use crate::model::Fetched;

/// How the folders' names begin.
pub(super) const FETCH: &str = "fetch-";
pub(super) const PROPOSE: &str = "propose-";
pub(super) const KEY: &str = "key-";
const PREFIXES: [&str; 3] = [FETCH, PROPOSE, KEY];

const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n";

/// A fetched branch in its quarantine folder, which goes when this does.
#[derive(Debug)]
pub struct Quarantine {
    /// What was fetched; give it to `store::import`.
    pub fetched: Fetched,
    /// Removed on drop.
    pub(super) _dir: TempDir,
}

/// Removes what a process that was killed left in a quarantine or work
/// folder; gives how many folders that were. For start-up, before any fetch.
///
/// # Errors
/// [`MirrorError::Failed`] where a folder can't be read or removed.
pub fn sweep(folder: &Path) -> Result<usize, MirrorError> {
    let failed =
        |error| MirrorError::failed(format!("{} could not be swept", folder.display()), error);
    if !folder.exists() {
        return Ok(0);
    }
    let mut swept = 0;
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if PREFIXES.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            fs::remove_dir_all(entry.path()).map_err(failed)?;
            swept += 1;
        }
    }
    Ok(swept)
}

/// Makes the folder under `parent`, borrowing from `known_git_dir` where that
/// has objects.
pub(super) fn make(
    parent: &Path,
    prefix: &str,
    known_git_dir: &Path,
) -> Result<TempDir, MirrorError> {
    make_with(parent, prefix, &[known_git_dir])
}

/// As [`make`], borrowing from several folders.
pub(super) fn make_with(
    parent: &Path,
    prefix: &str,
    known_git_dirs: &[&Path],
) -> Result<TempDir, MirrorError> {
    let failed = |error| {
        let what = format!("no quarantine folder could be made in {}", parent.display());
        MirrorError::failed(what, error)
    };
    fs::create_dir_all(parent).map_err(failed)?;
    let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(parent).map_err(failed)?;
    fill(folder.path(), known_git_dirs).map_err(failed)?;
    Ok(folder)
}

/// The folder of a Git folder's objects.
pub(super) fn objects(git_dir: &Path) -> PathBuf {
    git_dir.join("objects")
}

fn fill(git_dir: &Path, known_git_dirs: &[&Path]) -> std::io::Result<()> {
    for folder in ["objects/info", "objects/pack", "refs/heads", "refs/convoy"] {
        fs::create_dir_all(git_dir.join(folder))?;
    }
    fs::write(git_dir.join("HEAD"), "ref: refs/heads/main\n")?;
    fs::write(git_dir.join("config"), CONFIG)?;
    let mut lines = Vec::new();
    for known in known_git_dirs.iter().map(|known| objects(known)).filter(|known| known.is_dir()) {
        // Absolute, because Git reads it relative to this folder's objects.
        lines.extend_from_slice(known.canonicalize()?.into_os_string().as_encoded_bytes());
        lines.push(b'\n');
    }
    if !lines.is_empty() {
        fs::write(git_dir.join("objects/info/alternates"), lines)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeping_removes_quarantines_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(sweep(&folder.path().join("none")).unwrap(), 0);
        for prefix in PREFIXES {
            let left = make(folder.path(), prefix, Path::new("/nonexistent")).unwrap();
            let _ = left.keep();
        }
        fs::write(folder.path().join("note"), "kept").unwrap();
        assert_eq!(sweep(folder.path()).unwrap(), PREFIXES.len());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
