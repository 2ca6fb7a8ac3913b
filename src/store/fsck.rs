//! Checking a data folder that is not in use: journal, packs and their
//! indexes, refs, every object's hash, the audit chain. It changes nothing.

mod git;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::error::{StoreError, failed};
use super::files::RealFiles;
use super::index::Index;
use super::journal::Journal;
use super::refs::Refs;
use super::{audit, open, repository};

const RESTORE: &str = "restore the folder from a backup";

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
    if !dir.join("journal").is_dir() || !dir.join("repositories").is_dir() {
        let dir = dir.display();
        return Err(StoreError::Invalid(format!("`{dir}` is no data folder")));
    }
    // A backup may lie where nothing can be written, and nobody has it open.
    let _lock = if dir.join("lock").exists() { Some(open::lock(dir)?) } else { None };
    let mut found = Fsck { repositories: 0, objects: 0, damage: Vec::new() };
    found.journal(dir);
    for name in repository::names(&RealFiles::default(), dir)? {
        found.repositories += 1;
        git::check(&mut found, &repository::git_dir(dir, &name));
    }
    found.index(dir);
    if let Err(faults) = audit::verify_once(dir) {
        for fault in faults {
            let what = format!("line {}: {}", fault.line, fault.rule);
            found.damaged(Path::new(&fault.file), what, RESTORE);
        }
    }
    Ok(found)
}

impl Fsck {
    fn damaged(&mut self, file: &Path, what: impl Into<String>, remedy: &str) {
        self.damage.push(Damage { file: file.into(), what: what.into(), remedy: remedy.into() });
    }

    fn journal(&mut self, dir: &Path) {
        let folder = dir.join("journal");
        // A torn tail is none: nobody was promised what is in it.
        if let Err(error) = Journal::replay(&RealFiles::default(), &folder) {
            self.damaged(&folder, error.to_string(), RESTORE);
        }
    }

    /// Looks through a copy: opening an index changes it.
    fn index(&mut self, dir: &Path) {
        const REMEDY: &str = "delete the folder `index`; the next start makes it anew";
        let folder = dir.join("index");
        if !folder.is_dir() {
            return;
        }
        let read = || -> Result<Option<String>, StoreError> {
            let copy = tempfile::tempdir().map_err(failed("copying the index"))?;
            copy_folder(&folder, copy.path()).map_err(failed("copying the index"))?;
            let index = Index::open_as_is(copy.path())?;
            let files = RealFiles::default();
            for name in repository::names(&files, dir)? {
                let git_dir = repository::git_dir(dir, &name);
                let Ok(refs) = Refs::read(&files, &git_dir) else { continue };
                let commits = git::line(&git_dir, &refs);
                if commits.is_some_and(|commits| index.contradicts(&name, &commits)) {
                    return Ok(Some(format!("what it says of `{name}` is not what Git says")));
                }
            }
            Ok(None)
        };
        // The database panics on some kinds of damage.
        match catch_unwind(AssertUnwindSafe(read)) {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(what))) => self.damaged(&folder, what, REMEDY),
            Ok(Err(error)) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                let what = format!("{error}: {}", cause.unwrap_or_default());
                self.damaged(&folder, what, REMEDY);
            }
            Err(_) => self.damaged(&folder, "it can't be read", REMEDY),
        }
    }
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
