//! Whose turn it is to commit to a repository.
//!
//! Commits to one repository build on each other, so they are prepared one by
//! one. A thread each that waits for the one before costs more in waking and
//! sleeping than the commits themselves; so the first who comes prepares also
//! for those who come meanwhile.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What waits, in the order in which it came.
#[derive(Debug)]
pub(crate) struct Turns<T>(Mutex<Queue<T>>);

#[derive(Debug)]
struct Queue<T> {
    waiting: VecDeque<T>,
    /// Whether somebody takes what waits.
    at_work: bool,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self(Mutex::new(Queue { waiting: VecDeque::new(), at_work: false }))
    }
}

impl<T> Turns<T> {
    /// Queues up. True where nobody is at work: the caller then has to see to
    /// it that [`Turns::work`] is called.
    pub(crate) fn push(&self, one: T) -> bool {
        let mut queue = self.queue();
        queue.waiting.push_back(one);
        !std::mem::replace(&mut queue.at_work, true)
    }

    /// Does everything that waits, and what comes meanwhile.
    pub(crate) fn work(&self, mut each: impl FnMut(T)) {
        let mut shift = Shift { turns: self, ended: false };
        while let Some(one) = shift.next() {
            each(one);
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue<T>> {
        // A queue is whole after every statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody at work. Should they not come to the end, what waits is let go
/// rather than left waiting for ever.
struct Shift<'t, T> {
    turns: &'t Turns<T>,
    ended: bool,
}

impl<T> Shift<'_, T> {
    fn next(&mut self) -> Option<T> {
        let mut queue = self.turns.queue();
        let next = queue.waiting.pop_front();
        if next.is_none() {
            queue.at_work = false;
            self.ended = true;
        }
        next
    }
}

impl<T> Drop for Shift<'_, T> {
    fn drop(&mut self) {
        if !self.ended {
            let mut queue = self.turns.queue();
            queue.at_work = false;
            let left = std::mem::take(&mut queue.waiting);
            drop(queue);
            drop(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_does_what_comes_meanwhile_in_order() {
        let turns = Turns::default();
        assert!(turns.push(1));
        assert!(!turns.push(2), "somebody is at work");
        let mut done = Vec::new();
        turns.work(|one| {
            done.push(one);
            if one == 2 {
                assert!(!turns.push(3));
            }
        });
        assert_eq!(done, [1, 2, 3]);
        assert!(turns.push(4), "nobody is any more");
    }

    #[test]
    fn who_does_not_come_to_the_end_holds_nobody_up() {
        let turns = Turns::default();
        let waits = std::sync::Arc::new(());
        turns.push(waits.clone());
        turns.push(waits.clone());
        let work = std::panic::AssertUnwindSafe(|| turns.work(|_| panic!("it broke")));
        assert!(std::panic::catch_unwind(work).is_err());
        assert_eq!(std::sync::Arc::strong_count(&waits), 1, "what waited is let go");
        assert!(turns.push(waits));
    }
}
