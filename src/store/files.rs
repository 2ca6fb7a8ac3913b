//! The file operations that durability rests on, behind a trait, so that a
//! test can stop the world after any one of them.
//!
//! The journal and the checkpoints write through this and nothing else.
//! Reading Git's objects does not pass here.

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What a journal and a checkpoint ask of a file system.
pub(crate) trait Files: Send + Sync + fmt::Debug {
    /// Makes one folder; no harm if it is there.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Appends to a file, making it if it is not there.
    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was appended to a file durable.
    fn sync(&self, path: &Path) -> io::Result<()>;
    /// Gives a file another name, replacing what had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a folder another name, which nothing has.
    fn rename_dir(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder with everything in it.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Cuts a file to `length` bytes; a sync makes it durable.
    fn truncate(&self, path: &Path, length: u64) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// The whole of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// The length of a file in bytes.
    fn len(&self, path: &Path) -> io::Result<u64>;
    /// The names in a folder, sorted; those that are not UTF-8 left out.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
}

/// The operating system's files.
///
/// A file stays open between its first append and its rename or removal: the
/// kernel reports a failed write-back to descriptors that were open when it
/// happened, so a sync on a freshly opened one could miss the failure.
#[derive(Debug, Default)]
pub(crate) struct RealFiles {
    open: Mutex<HashMap<PathBuf, Arc<File>>>,
}

impl RealFiles {
    fn file(&self, path: &Path) -> io::Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get(path) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(OpenOptions::new().create(true).append(true).open(path)?);
        open.insert(path.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    fn forget(&self, path: &Path) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
    }

    fn forget_below(&self, folder: &Path) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|path, _| !path.starts_with(folder));
    }
}

impl Files for RealFiles {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            other => other,
        }
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        (&*self.file(path)?).write_all(bytes)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.file(path)?.sync_data()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.forget(from);
        self.forget(to);
        fs::rename(from, to)
    }

    fn rename_dir(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.forget_below(from);
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.forget(path);
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.forget_below(path);
        fs::remove_dir_all(path)
    }

    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        self.file(path)?.set_len(length)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            names.extend(entry?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }
}

/// Writes a small file so that after a crash it is there whole or not at all.
pub(crate) fn replace(files: &dyn Files, path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_new(files, path, bytes)?;
    take_new(files, path)
}

/// The first half of [`replace`]: writes beside the file, which stays.
pub(crate) fn write_new(files: &dyn Files, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = beside(path);
    if files.len(&fresh).is_ok() {
        files.remove(&fresh)?;
    }
    let written = files.append(&fresh, bytes).and_then(|()| files.sync(&fresh));
    if written.is_err() {
        // Half a file is of no use, and takes room that may be short.
        let _ = files.remove(&fresh);
    }
    written
}

/// The second half: puts what was written beside the file in its place.
pub(crate) fn take_new(files: &dyn Files, path: &Path) -> io::Result<()> {
    files.rename(&beside(path), path)?;
    match path.parent() {
        Some(folder) => files.sync_dir(folder),
        None => Ok(()),
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    fresh.into()
}
