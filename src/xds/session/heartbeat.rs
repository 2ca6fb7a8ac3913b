//! When a client is to be told again of resources that have a time to live.
//!
//! A client drops such a resource when it hears nothing of it for that long.
//! Resources of equal time to live are told of together, so a stream keeps a
//! moment for each length, however many resources there are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The rhythm of one type on one stream.
#[derive(Debug, Default)]
pub(super) struct Rhythm {
    /// When resources of a time to live were told of last.
    beats: BTreeMap<Duration, Duration>,
}

impl Rhythm {
    /// Follows the times to live that the client holds resources of.
    pub(super) fn follow(&mut self, lives: &BTreeSet<Duration>, now: Duration) {
        self.beats.retain(|ttl, _| lives.contains(ttl));
        for ttl in lives {
            self.beats.entry(*ttl).or_insert(now);
        }
    }

    /// When the next beat is due.
    pub(super) fn due(&self) -> Option<Duration> {
        self.beats.iter().map(|(ttl, last)| *last + pause(*ttl)).min()
    }

    /// The times to live whose beat is due at `now`; they are told of now.
    pub(super) fn beat(&mut self, now: Duration) -> BTreeSet<Duration> {
        let mut due = BTreeSet::new();
        for (ttl, last) in &mut self.beats {
            if now >= *last + pause(*ttl) {
                *last = now;
                due.insert(*ttl);
            }
        }
        due
    }
}

/// Less than half of the time to live, so that one beat may be lost.
fn pause(ttl: Duration) -> Duration {
    ttl * 2 / 5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_to_live_has_a_beat_within_its_half() {
        let seconds = Duration::from_secs;
        let mut rhythm = Rhythm::default();
        assert_eq!(rhythm.due(), None);
        rhythm.follow(&[seconds(10), seconds(30)].into(), seconds(100));
        assert_eq!(rhythm.due(), Some(seconds(104)));
        assert_eq!(rhythm.beat(seconds(103)), [].into());
        assert_eq!(rhythm.beat(seconds(104)), [seconds(10)].into());
        assert_eq!(rhythm.due(), Some(seconds(108)));
        assert_eq!(rhythm.beat(seconds(112)), [seconds(10), seconds(30)].into());
        rhythm.follow(&[seconds(30)].into(), seconds(112));
        assert_eq!(rhythm.due(), Some(seconds(124)));
    }
}
