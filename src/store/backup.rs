//! Backups: a folder that a store can be opened on, made while others write,
//! by this process or by another one.
//!
//! The order makes it right. The Git folders are copied first, each with its
//! refs before its packs; then the audit log; the journal comes last. The
//! journal holds every record since the last checkpoint, so opening the copy
//! replays all repositories to the one moment at which the journal was read,
//! which is after everything that was acknowledged before the backup began.
//! That holds as long as no checkpoint cut the journal meanwhile: a pass takes
//! the store's [`Hold`], so that none does for some seconds. A cut that came
//! all the same is seen, for the journal's files are named by their first
//! record, and the pass is made again; what was linked before stays.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::commit::blocking;
use super::error::{StoreError, failed};
use super::files::{Files as _, RealFiles};
use super::fsck::fsck;
use super::hold::{self, Hold};
use super::open::Inner;
use super::{Store, StoreOptions, repository};

/// Passes before giving up: each is short, for it only links and copies what
/// is new since the one before.
const PASSES_MAX: usize = 200;
const PASS_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// Deeper folders are none of ours.
const DEPTH_MAX: usize = 16;

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackupSummary {
    /// Repositories.
    pub repositories: usize,
    /// Revisions of all of them.
    pub revisions: u64,
    /// Bytes written.
    pub bytes: u64,
}

/// Writes a backup to `to`.
pub(crate) async fn backup(inner: &Arc<Inner>, to: &Path) -> Result<BackupSummary, StoreError> {
    let (inner, to) = (Arc::clone(inner), to.to_owned());
    blocking(move || make(&inner.shared.dir, &to, false)).await
}

/// Writes a backup of the store in `dir`, which may be open elsewhere, to the
/// empty folder `to`; with `secrets`, what is kept encrypted or hidden beside
/// the store as well.
///
/// # Errors
/// `to` is not empty, `dir` is no data folder, or a disk failed.
pub fn backup_folder(dir: &Path, to: &Path, secrets: bool) -> Result<BackupSummary, StoreError> {
    make(dir, to, secrets)
}

/// Puts a backup into the empty folder `dir`, after everything in it was
/// checked.
///
/// # Errors
/// `dir` is not empty, the backup is damaged, or a disk failed.
pub fn restore(backup: &Path, dir: &Path) -> Result<BackupSummary, StoreError> {
    check_empty(dir)?;
    let found = fsck(backup)?;
    if let Some(first) = found.damage.first() {
        let (count, file) = (found.damage.len(), first.file.display());
        return Err(StoreError::Invalid(format!(
            "the backup `{}` is damaged in {count} places, the first is `{file}`: {}; \
             take another backup",
            backup.display(),
            first.what
        )));
    }
    let what = failed(format!("restoring to `{}`", dir.display()));
    let mut copy = Copy { links: false, bytes: 0 };
    copy.folder(backup, dir, &|name| !matches!(name, "index" | "lock" | hold::NAME), 0)
        .map_err(what)?;
    summarise(dir, copy.bytes)
}

fn make(dir: &Path, to: &Path, secrets: bool) -> Result<BackupSummary, StoreError> {
    if !dir.join("journal").is_dir() {
        let dir = dir.display();
        return Err(StoreError::Invalid(format!("`{dir}` is no data folder: it has no journal")));
    }
    check_empty(to)?;
    let what = || format!("writing the backup `{}`", to.display());
    let mut copy = Copy { links: true, bytes: 0 };
    for pass in 1.. {
        // A store that nobody opened since there is such a lock has none.
        let hold = Hold::open_old(dir);
        let held = hold.as_ref().map(Hold::take).transpose().map_err(failed(what()))?;
        let passed = copy.pass(dir, to);
        drop(held);
        match passed {
            Ok(true) => break,
            Ok(false) => {}
            // What is gone was moved into another place between two looks.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(what())(error)),
        }
        if pass == PASSES_MAX {
            return Err(StoreError::damaged(
                format!("the store changes too fast for the backup `{}`; try again", to.display()),
                "no pass came between two checkpoints",
            ));
        }
        std::thread::sleep(PASS_AGAIN_AFTER);
    }
    if secrets && dir.join("secrets").is_dir() {
        copy.links = false;
        let copied = copy.folder(&dir.join("secrets"), &to.join("secrets"), &|_| true, 0);
        copied.map_err(failed(what()))?;
    }
    summarise(to, copy.bytes)
}

fn check_empty(dir: &Path) -> Result<(), StoreError> {
    let what = || format!("making `{}`", dir.display());
    fs::create_dir_all(dir).map_err(failed(what()))?;
    match fs::read_dir(dir).map_err(failed(what()))?.next() {
        None => Ok(()),
        Some(_) => Err(StoreError::Invalid(format!(
            "`{}` is not empty; name an empty folder, or one that isn't there",
            dir.display()
        ))),
    }
}

/// Opens what was written: the proof that it can be.
fn summarise(dir: &Path, bytes: u64) -> Result<BackupSummary, StoreError> {
    let store = Store::open(dir, StoreOptions::default())?;
    let mut summary = BackupSummary { repositories: 0, revisions: 0, bytes };
    for name in store.repositories() {
        summary.repositories += 1;
        summary.revisions += store.head(&name)?.revision.0;
    }
    drop(store);
    let what = failed(format!("finishing `{}`", dir.display()));
    let tidied = fs::remove_dir_all(dir.join("index")).and_then(|()| {
        fs::remove_file(dir.join("lock"))?;
        fs::remove_file(dir.join(hold::NAME))?;
        File::open(dir)?.sync_all()
    });
    tidied.map_err(what)?;
    Ok(summary)
}

/// A copy on its way.
struct Copy {
    /// Whether packs, which nobody changes, may be linked.
    links: bool,
    bytes: u64,
}

impl Copy {
    /// Brings `to` to where `dir` is; `false` if a checkpoint came between.
    fn pass(&mut self, dir: &Path, to: &Path) -> io::Result<bool> {
        let files = RealFiles::default();
        let before = files.list(&dir.join("journal"))?;
        let names = repository::names(&files, dir).map_err(into_io)?;
        let have = match to.join("repositories").is_dir() {
            true => repository::names(&files, to).map_err(into_io)?,
            false => Vec::new(),
        };
        for gone in have.iter().filter(|name| !names.contains(name)) {
            fs::remove_dir_all(repository::git_dir(to, gone))?;
        }
        for name in &names {
            let (from, to) = (repository::git_dir(dir, name), repository::git_dir(to, name));
            self.repository(&from, &to)?;
        }
        fs::create_dir_all(to.join("repositories"))?;
        self.folder(&dir.join("audit"), &to.join("audit"), &|_| true, 0)?;
        let journal = to.join("journal");
        if journal.is_dir() {
            fs::remove_dir_all(&journal)?;
        }
        self.folder(&dir.join("journal"), &journal, &|name| name.ends_with(".journal"), 0)?;
        for folder in [&to.join("repositories"), to] {
            File::open(folder)?.sync_all()?;
        }
        Ok(files.list(&dir.join("journal"))? == before)
    }

    fn repository(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        // Of another one that had the name before: refs and packs are not its.
        let same = fs::read(to.join("config")).ok() == fs::read(from.join("config")).ok();
        if to.is_dir() && !same {
            fs::remove_dir_all(to)?;
        }
        fs::create_dir_all(to)?;
        let refs = from.join("packed-refs");
        if refs.exists() {
            self.file(&refs, &to.join("packed-refs"))?;
        }
        let is_left_over = |name: &str| {
            name.starts_with("tmp_") || name.ends_with(".new") || name.ends_with(".lock")
        };
        let wanted = |name: &str| name != "packed-refs" && !is_left_over(name);
        let packs = from.join("objects/pack");
        let listed = RealFiles::default().list(&packs)?;
        self.folder(from, to, &wanted, 0)?;
        // A merge may have come between the names and the files.
        let again = RealFiles::default().list(&packs)?;
        if listed != again {
            return Err(io::ErrorKind::NotFound.into());
        }
        for name in RealFiles::default().list(&to.join("objects/pack"))? {
            if !again.contains(&name) {
                fs::remove_file(to.join("objects/pack").join(name))?;
            }
        }
        File::open(to.parent().unwrap_or(to))?.sync_all()
    }

    fn folder(
        &mut self,
        from: &Path,
        to: &Path,
        wanted: &dyn Fn(&str) -> bool,
        depth: usize,
    ) -> io::Result<()> {
        if depth > DEPTH_MAX {
            return Err(io::Error::other(format!("`{}` is too deep", from.display())));
        }
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| !wanted(name)) {
                continue;
            }
            let (from, to) = (entry.path(), to.join(&name));
            match entry.file_type()? {
                kind if kind.is_dir() => self.folder(&from, &to, wanted, depth + 1)?,
                kind if kind.is_file() => self.file(&from, &to)?,
                // Nothing of ours is anything else.
                _ => {}
            }
        }
        File::open(to)?.sync_all()
    }

    fn file(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let is_pack = from.parent().is_some_and(|folder| folder.ends_with("objects/pack"));
        if is_pack && to.exists() {
            return Ok(());
        }
        if is_pack && self.links && fs::hard_link(from, to).is_ok() {
            return Ok(());
        }
        // Under another name first: a copy that breaks off is made again.
        let mut fresh = to.as_os_str().to_owned();
        fresh.push(".copy");
        let fresh = PathBuf::from(fresh);
        self.bytes += fs::copy(from, &fresh)?;
        File::open(&fresh)?.sync_all()?;
        fs::rename(&fresh, to)
    }
}

fn into_io(error: StoreError) -> io::Error {
    match error {
        StoreError::Failed { source, .. } => match source.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    }
}
