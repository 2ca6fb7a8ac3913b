//! What was received before: a set that forgets by age and by count.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

/// Keys that were received, for a while. Pure: the time is an argument.
#[derive(Debug)]
pub struct Seen<K> {
    keys: BTreeSet<K>,
    order: VecDeque<(Timestamp, K)>,
    keep: Duration,
    most: usize,
}

impl<K: Ord + Clone> Seen<K> {
    /// Remembers at most `most` keys (at least one), each for `keep`.
    pub fn new(keep: Duration, most: usize) -> Self {
        Self { keys: BTreeSet::new(), order: VecDeque::new(), keep, most: most.max(1) }
    }

    /// Whether `key` was received.
    pub fn knows(&self, key: &K) -> bool {
        self.keys.contains(key)
    }

    /// Remembers `key`; true if it was not known.
    pub fn first(&mut self, key: K, now: Timestamp) -> bool {
        self.forget(now);
        if !self.keys.insert(key.clone()) {
            return false;
        }
        self.order.push_back((now, key));
        if self.order.len() > self.most {
            self.drop_oldest();
        }
        true
    }

    fn forget(&mut self, now: Timestamp) {
        let old = |at: Timestamp| now.duration_since(at).unsigned_abs() > self.keep && now > at;
        while self.order.front().is_some_and(|(at, _)| old(*at)) {
            if let Some((_, key)) = self.order.pop_front() {
                self.keys.remove(&key);
            }
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, key)) = self.order.pop_front() {
            self.keys.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_key_is_new_once_until_it_is_too_old() {
        let mut seen = Seen::new(Duration::from_secs(600), 10);
        assert!(seen.first("a", at(0)));
        assert!(!seen.first("a", at(600)));
        assert!(seen.first("a", at(601)));
    }

    #[test]
    fn the_oldest_key_goes_when_there_are_too_many() {
        let mut seen = Seen::new(Duration::from_secs(600), 2);
        for key in ["a", "b", "c"] {
            assert!(seen.first(key, at(0)));
        }
        assert!(!seen.first("c", at(1)));
        assert!(seen.first("a", at(1)));
        assert_eq!(seen.keys.len(), 2);
    }
}
