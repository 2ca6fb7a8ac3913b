//! How every mirror is doing, for whoever looks.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::{MirrorState, Outcome, Run};

/// A mirror's project and id.
pub(super) type Key = (String, String);

/// The states; a lock that is never held while anything is waited for.
#[derive(Debug, Default)]
pub(super) struct Board {
    states: Mutex<BTreeMap<Key, MirrorState>>,
}

impl Board {
    /// Takes a mirror up, if it is new.
    pub(super) fn know(&self, key: &Key, now: Timestamp) {
        self.lock().entry(key.clone()).or_insert_with(|| MirrorState {
            project: key.0.clone(),
            id: key.1.clone(),
            running: false,
            last: None,
            failures: 0,
            failing_since: None,
            in_step_at: None,
            known_since: now,
            next_at: None,
        });
    }

    /// Forgets all others.
    pub(super) fn keep(&self, known: impl Fn(&Key) -> bool) {
        self.lock().retain(|key, _| known(key));
    }

    pub(super) fn all(&self) -> Vec<MirrorState> {
        self.lock().values().cloned().collect()
    }

    /// Runs that failed in a row.
    pub(super) fn failures(&self, key: &Key) -> u32 {
        self.lock().get(key).map_or(0, |state| state.failures)
    }

    /// Says that a mirror runs, until what is given is dropped.
    pub(super) fn running<'a>(&'a self, key: &'a Key) -> Running<'a> {
        self.change(key, |state| {
            state.running = true;
            state.next_at = None;
        });
        Running { board: self, key }
    }

    /// Says when it runs next by itself.
    pub(super) fn next(&self, key: &Key, at: Option<Timestamp>) {
        self.change(key, |state| state.next_at = at);
    }

    /// Takes a run's result in.
    pub(super) fn ended(&self, key: &Key, run: &Run) {
        self.change(key, |state| {
            state.last = Some(run.clone());
            if let Outcome::Failed { .. } = run.outcome {
                state.failures = state.failures.saturating_add(1);
                state.failing_since.get_or_insert(run.began);
            } else {
                state.failures = 0;
                state.failing_since = None;
                state.in_step_at = Some(run.ended);
            }
        });
    }

    fn change(&self, key: &Key, change: impl FnOnce(&mut MirrorState)) {
        if let Some(state) = self.lock().get_mut(key) {
            change(state);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, MirrorState>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run in progress, also where it is given up.
#[derive(Debug)]
pub(super) struct Running<'a> {
    board: &'a Board,
    key: &'a Key,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.board.change(self.key, |state| state.running = false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(at: i64, failed: bool) -> Run {
        let time = Timestamp::from_second(at).unwrap();
        let outcome = match failed {
            true => Outcome::Failed { error: "down".into() },
            false => Outcome::UpToDate,
        };
        Run { began: time, ended: time, outcome, skipped: Vec::new() }
    }

    #[test]
    fn failures_are_counted_from_the_first_and_end_with_a_success() {
        let (board, key) = (Board::default(), ("mesh".to_owned(), "up".to_owned()));
        board.know(&key, Timestamp::UNIX_EPOCH);
        let running = board.running(&key);
        assert!(board.all()[0].running);
        drop(running);
        for at in [10, 20] {
            board.ended(&key, &run(at, true));
        }
        let state = &board.all()[0];
        assert_eq!((state.failures, state.running), (2, false));
        assert_eq!(state.failing_since, Timestamp::from_second(10).ok());
        assert_eq!(state.in_step_at, None);
        board.ended(&key, &run(30, false));
        let state = &board.all()[0];
        assert_eq!((state.failures, state.failing_since), (0, None));
        assert_eq!(state.in_step_at, Timestamp::from_second(30).ok());
        board.keep(|_| false);
        assert!(board.all().is_empty());
    }
}
