//! Wakes those who wait for what a commit changed, on a thread of its own, so
//! that committing costs the same however many wait.
//!
//! The journal's thread leaves word which repository has news; the hub looks
//! up what changed there and rings. Word is left once for a repository until
//! the hub comes to it, so that what waits is bounded by the number of
//! repositories, and all of them get their turn. What somebody is rung for
//! may turn out to be nothing: whoever is woken looks for himself.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::Notify;

use super::interest::Interest;
use super::repository::Repository;
use crate::content::Patterns;
use crate::model::FilePath;

/// No news are left to tell.
const HEARD: u64 = u64::MAX;

/// Wakes one who waits; several places may share it.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    notify: Notify,
    /// The oldest revision that each slot was rung for.
    rung: Mutex<BTreeMap<usize, u64>>,
}

impl Bell {
    fn ring(&self, slot: usize, revision: u64) {
        let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let first = rung.entry(slot).or_insert(revision);
        *first = revision.min(*first);
        drop(rung);
        self.notify.notify_one();
    }

    /// What was rung for since the last call: slots, each with the oldest
    /// revision.
    pub(crate) fn take(&self) -> BTreeMap<usize, u64> {
        std::mem::take(&mut *self.rung.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for the next ring, or returns at once if one was missed.
    pub(crate) async fn wait(&self) {
        self.notify.notified().await;
    }
}

#[derive(Debug, Clone)]
struct Waiter {
    bell: Arc<Bell>,
    slot: usize,
}

/// Who waits for one repository.
#[derive(Debug)]
pub(crate) struct Watchers {
    interest: Mutex<Interest<Waiter>>,
    /// Where nobody waits, no word is left.
    count: AtomicUsize,
    numbers: AtomicU64,
    /// The oldest revision that the hub was left word of and didn't look at.
    unheard: AtomicU64,
    gone: AtomicBool,
}

impl Default for Watchers {
    fn default() -> Self {
        Self {
            interest: Mutex::default(),
            count: AtomicUsize::new(0),
            numbers: AtomicU64::new(0),
            unheard: AtomicU64::new(HEARD),
            gone: AtomicBool::new(false),
        }
    }
}

impl Watchers {
    /// Whether the repository was removed.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Tells everybody that the repository was removed.
    pub(crate) fn retire(&self) {
        self.gone.store(true, Ordering::Release);
        self.ring(0, None);
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Whether nobody waits, and nothing is left of those who did.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.count() == 0 && self.interest().is_empty()
    }

    fn interest(&self) -> MutexGuard<'_, Interest<Waiter>> {
        self.interest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rings for revisions from `first` on, whose files are `lists`; `None`:
    /// nobody knows them, and everybody is rung.
    fn ring(&self, first: u64, lists: Option<Vec<Arc<[FilePath]>>>) {
        let Some(lists) = lists else {
            self.ring_those(first, |interest, tell| interest.all(tell));
            return;
        };
        for (revision, list) in (first..).zip(lists) {
            for path in list.iter() {
                self.ring_those(revision, |interest, tell| interest.find(path, tell));
            }
        }
    }

    /// Looks up and rings. Those who come and go wait for one lookup at most,
    /// and not for the ringing.
    fn ring_those(
        &self,
        revision: u64,
        look: impl FnOnce(&Interest<Waiter>, &mut dyn FnMut(&Waiter)),
    ) {
        let mut woken: Vec<Waiter> = Vec::new();
        look(&self.interest(), &mut |waiter| woken.push(waiter.clone()));
        woken.iter().for_each(|waiter| waiter.bell.ring(waiter.slot, revision));
    }
}

/// A place among those who wait, left when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    repo: Arc<Repository>,
    number: u64,
    patterns: Patterns,
}

impl Drop for Place {
    fn drop(&mut self) {
        let watchers = &self.repo.watchers;
        watchers.interest().remove(self.number, &self.patterns);
        watchers.count.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The thread that rings, and what it was left word of.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    desk: Arc<Desk>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Desk {
    queue: Mutex<Queue>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    repos: VecDeque<Arc<Repository>>,
    closed: bool,
}

impl Hub {
    /// Takes a place. What is committed from now on rings `slot` of `bell`,
    /// if it changes what `patterns` match.
    pub(crate) fn register(
        &self,
        repo: &Arc<Repository>,
        patterns: &Patterns,
        bell: &Arc<Bell>,
        slot: usize,
    ) -> std::io::Result<Place> {
        self.start()?;
        let watchers = &repo.watchers;
        let number = watchers.numbers.fetch_add(1, Ordering::Relaxed);
        watchers.count.fetch_add(1, Ordering::SeqCst);
        let waiter = Waiter { bell: Arc::clone(bell), slot };
        watchers.interest().add(number, patterns, &waiter);
        // Whoever comes after the end rings himself.
        if watchers.is_gone() {
            bell.ring(slot, 0);
        }
        Ok(Place { repo: Arc::clone(repo), number, patterns: patterns.clone() })
    }

    /// Leaves word that a repository has revisions from `first` on. They must
    /// be applied: whoever is rung looks at once.
    pub(crate) fn tell(&self, repo: &Arc<Repository>, first: u64) {
        let watchers = &repo.watchers;
        if watchers.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        if watchers.unheard.fetch_min(first, Ordering::AcqRel) == HEARD {
            let mut queue = self.desk.queue();
            queue.repos.push_back(Arc::clone(repo));
            drop(queue);
            self.desk.arrived.notify_one();
        }
    }

    fn start(&self) -> std::io::Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            let desk = Arc::clone(&self.desk);
            let work = move || desk.work();
            *thread = Some(std::thread::Builder::new().name("convoy-watch".into()).spawn(work)?);
        }
        Ok(())
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.desk.queue().closed = true;
        self.desk.arrived.notify_all();
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic was reported when it happened.
            let _ = thread.join();
        }
    }
}

impl Desk {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        while let Some(repo) = self.next() {
            let first = repo.watchers.unheard.swap(HEARD, Ordering::AcqRel);
            let head = repo.head().revision.0;
            // What is no longer at hand is not read again here: who waits
            // looks for what concerns him.
            repo.watchers.ring(first, repo.touched.recent_range(first, head));
        }
    }

    fn next(&self) -> Option<Arc<Repository>> {
        let mut queue = self.queue();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(repo) = queue.repos.pop_front() {
                return Some(repo);
            }
            queue = self.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
