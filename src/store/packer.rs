//! The thread beside the writer that merges packs, and removes what was
//! purged: work that takes long, holds nobody up, and may be broken off.
//!
//! Packs are merged with those of their size and smaller, so that a repository
//! of n objects has about log n packs, and each object was copied about log n
//! times. Readers never miss an object: the merged pack is there before the
//! old ones go.

mod merge;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use super::open::Shared;
use super::repository::Repository;
#[cfg(test)]
use super::writer::Answer;
use crate::model::RepoName;

/// Hands work to the thread. The queue holds one small message for each
/// checkpointed repository; the thread takes all of them at once.
#[derive(Debug)]
pub(crate) struct Packer {
    queue: Sender<Work>,
}

#[derive(Debug)]
enum Work {
    LookAt(Arc<Repository>),
    Remove(PathBuf),
    #[cfg(test)]
    Answer(Answer<()>),
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

    /// Answers when everything before is done.
    #[cfg(test)]
    pub(crate) fn answer(&self, done: Answer<()>) {
        let _ = self.queue.send(Work::Answer(done));
    }
}

/// Starts the thread; it ends when its [`Packer`] is dropped.
pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<(Packer, JoinHandle<()>)> {
    let (queue, waiting) = mpsc::channel();
    let shared = Arc::clone(shared);
    let thread = std::thread::Builder::new()
        .name("convoy-packer".into())
        .spawn(move || run(&shared, &waiting))?;
    Ok((Packer { queue }, thread))
}

fn run(shared: &Shared, queue: &Receiver<Work>) {
    while let Ok(first) = queue.recv() {
        // A repository that waits several times is looked at once.
        let mut repos: BTreeMap<RepoName, Arc<Repository>> = BTreeMap::new();
        #[cfg(test)]
        let mut answers = Vec::new();
        for work in std::iter::once(first).chain(queue.try_iter()) {
            match work {
                Work::LookAt(repo) => drop(repos.insert(repo.name.clone(), repo)),
                Work::Remove(folder) => remove(shared, &folder),
                #[cfg(test)]
                Work::Answer(done) => answers.push(done),
            }
        }
        for repo in repos.values() {
            look_at(shared, repo);
        }
        #[cfg(test)]
        answers.into_iter().for_each(|done| drop(done.send(Ok(()))));
    }
}

fn remove(shared: &Shared, folder: &std::path::Path) {
    if let Err(error) = shared.files.remove_dir(folder) {
        tracing::warn!(folder = %folder.display(), %error, "what was purged is removed at the next start");
    }
}

fn look_at(shared: &Shared, repo: &Repository) {
    let is_over = || {
        let halted = shared.halted.load(Ordering::Acquire);
        halted || shared.closing.load(Ordering::Acquire) || repo.is_gone()
    };
    if is_over() {
        return;
    }
    // What fails here costs time and room, and is tried again after the next
    // checkpoint; nothing rests on it.
    if let Err(error) = merge::merge(shared, repo, &is_over)
        && !is_over()
    {
        tracing::warn!(repo = %repo.name, %error, "packs were not merged");
    }
}
