//! "There is something new", told as often as somebody looks, not as often as
//! something happens: between two looks, however much happens costs one wake.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// Wakes whoever follows it.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// Whether followers were woken and nobody has looked since.
    told: AtomicBool,
    beats: watch::Sender<u64>,
}

impl Pulse {
    /// Something happened, and can be seen from now on.
    pub(super) fn beat(&self) {
        if !self.told.swap(true, Ordering::AcqRel) {
            self.beats.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// Somebody begins to look: what happens from here on is news to them.
    pub(super) fn look(&self) {
        // Reads what `beat` wrote: whatever happened before a beat that this
        // takes back is seen by the look that follows.
        self.told.swap(false, Ordering::AcqRel);
    }

    /// Follows it. Whoever is woken must look before waiting again.
    pub(super) fn follow(&self) -> watch::Receiver<u64> {
        self.beats.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_between_two_looks_is_told_once() {
        let pulse = Pulse::default();
        let mut follower = pulse.follow();
        (0..100).for_each(|_| pulse.beat());
        assert_eq!(*follower.borrow_and_update(), 1);
        pulse.look();
        assert!(!follower.has_changed().unwrap());
        pulse.beat();
        assert_eq!(*follower.borrow_and_update(), 2);
    }
}
