//! Whose turn it is to commit to a repository.
//!
//! Commits to one repository build on each other, so they are prepared one by
//! one. A thread each that waits for the one before costs more in waking and
//! sleeping than the commits themselves; so the first who comes prepares also
//! for those who come meanwhile.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What waits, in the order in which it came.
#[derive(Debug)]
pub(crate) struct Turns<T>(Arc<Mutex<Queue<T>>>);

#[derive(Debug)]
struct Queue<T> {
    waiting: VecDeque<T>,
    /// Whether somebody takes what waits.
    at_work: bool,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Queue { waiting: VecDeque::new(), at_work: false })))
    }
}

impl<T> Turns<T> {
    /// Queues up. Gives the shift to whoever finds nobody at work: they have
    /// to work it, or to let it go.
    pub(crate) fn push(&self, one: T) -> Option<Shift<T>> {
        let mut queue = lock(&self.0);
        queue.waiting.push_back(one);
        let begins = !std::mem::replace(&mut queue.at_work, true);
        begins.then(|| Shift { queue: Arc::clone(&self.0), ended: false })
    }
}

/// Somebody's time at work. Should it not be worked to its end, or never
/// begun, what waits is let go rather than left waiting for ever.
#[derive(Debug)]
pub(crate) struct Shift<T> {
    queue: Arc<Mutex<Queue<T>>>,
    ended: bool,
}

impl<T> Shift<T> {
    /// Does everything that waits, and what comes meanwhile.
    pub(crate) fn work(mut self, mut each: impl FnMut(T)) {
        while let Some(one) = self.next() {
            each(one);
        }
    }

    fn next(&mut self) -> Option<T> {
        let mut queue = lock(&self.queue);
        let next = queue.waiting.pop_front();
        if next.is_none() {
            queue.at_work = false;
            self.ended = true;
        }
        next
    }
}

impl<T> Drop for Shift<T> {
    fn drop(&mut self) {
        if !self.ended {
            let mut queue = lock(&self.queue);
            queue.at_work = false;
            let left = std::mem::take(&mut queue.waiting);
            drop(queue);
            drop(left);
        }
    }
}

fn lock<T>(queue: &Mutex<Queue<T>>) -> MutexGuard<'_, Queue<T>> {
    // A queue is whole after every statement.
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_does_what_comes_meanwhile_in_order() {
        let turns = Turns::default();
        let shift = turns.push(1).expect("nobody is at work");
        assert!(turns.push(2).is_none(), "somebody is");
        let mut done = Vec::new();
        shift.work(|one| {
            done.push(one);
            if one == 2 {
                assert!(turns.push(3).is_none());
            }
        });
        assert_eq!(done, [1, 2, 3]);
        assert!(turns.push(4).is_some(), "nobody is any more");
    }

    #[test]
    fn a_shift_that_breaks_or_never_begins_holds_nobody_up() {
        let turns = Turns::default();
        let waits = Arc::new(());
        let shift = turns.push(waits.clone()).unwrap();
        assert!(turns.push(waits.clone()).is_none());
        let work = std::panic::AssertUnwindSafe(|| shift.work(|_| panic!("it broke")));
        assert!(std::panic::catch_unwind(work).is_err());
        assert_eq!(Arc::strong_count(&waits), 1, "what waited is let go");
        drop(turns.push(waits.clone()).expect("nobody is at work"));
        assert_eq!(Arc::strong_count(&waits), 1);
        assert!(turns.push(waits).is_some());
    }
}
