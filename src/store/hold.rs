//! Who copies the data folder while it is in use holds off, for a bounded
//! time, what would cut or remove files under the copy: checkpoints and merges
//! of packs. A lock of the operating system, for backups are made by other
//! processes too; it ends with its holder.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// The lock's file in the data folder.
pub(crate) const NAME: &str = "hold";

/// The lock. Each opened one is another party.
#[derive(Debug)]
pub(crate) struct Hold(File);

/// The lock, taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Held<'h>(&'h File);

impl Hold {
    /// For the store in `dir`.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        let options = File::options().create(true).truncate(false).write(true).to_owned();
        options.open(dir.join(NAME)).map(Self)
    }

    /// For somebody who may only read in `dir`; `None` if there is no lock.
    pub(crate) fn open_old(dir: &Path) -> Option<Self> {
        File::open(dir.join(NAME)).ok().map(Self)
    }

    /// Waits until nobody else has it.
    pub(crate) fn take(&self) -> io::Result<Held<'_>> {
        self.0.lock().map(|()| Held(&self.0))
    }

    /// `None` if somebody else has it.
    pub(crate) fn try_take(&self) -> io::Result<Option<Held<'_>>> {
        match self.0.try_lock() {
            Ok(()) => Ok(Some(Held(&self.0))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // Fails only for what is no file.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_party_has_it_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Hold::open_old(dir.path()).is_none());
        let (ours, theirs) = (Hold::open(dir.path()).unwrap(), Hold::open(dir.path()).unwrap());
        let held = Hold::open_old(dir.path()).unwrap();
        let held = held.take().unwrap();
        assert!(ours.try_take().unwrap().is_none());
        drop(held);
        let held = ours.try_take().unwrap();
        assert!(held.is_some() && theirs.try_take().unwrap().is_none());
        drop(held);
        assert!(theirs.try_take().unwrap().is_some());
    }
}
