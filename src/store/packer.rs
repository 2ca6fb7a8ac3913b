//! The thread beside the writer that merges packs, and removes what was
//! purged: work that takes long, holds nobody up, and may be broken off.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use super::open::Shared;
use super::repository::Repository;

/// Hands work to the thread.
#[derive(Debug)]
pub(crate) struct Packer {
    queue: Sender<Work>,
}

#[derive(Debug)]
enum Work {
    LookAt(Arc<Repository>),
    Remove(PathBuf),
}

impl Packer {
    /// Has a repository's packs looked at: it was given a new one.
    pub(crate) fn look_at(&self, repo: Arc<Repository>) {
        let _ = self.queue.send(Work::LookAt(repo));
    }

    /// Has a folder removed.
    pub(crate) fn remove(&self, folder: PathBuf) {
        let _ = self.queue.send(Work::Remove(folder));
    }
}

/// Starts the thread; it ends when its [`Packer`] is dropped.
pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<(Packer, JoinHandle<()>)> {
    let (queue, waiting) = mpsc::channel();
    let shared = Arc::clone(shared);
    let work = move || {
        while let Ok(work) = waiting.recv() {
            match work {
                Work::LookAt(_repo) => {}
                Work::Remove(folder) => {
                    if let Err(error) = shared.files.remove_dir(&folder) {
                        tracing::warn!(folder = %folder.display(), %error, "can't be removed yet");
                    }
                }
            }
        }
    };
    let thread = std::thread::Builder::new().name("convoy-packer".into()).spawn(work)?;
    Ok((Packer { queue }, thread))
}
