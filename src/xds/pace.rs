//! When a stream takes what is published: at once, or in a burst at the next
//! of the steps that all streams share.
//!
//! Endpoints may change hundreds of times a second. A stream that took every
//! state would cost the server and Envoy a push each; one that waits a moment
//! takes the newest state and skips the others. Because the steps are the same
//! for every stream, all of them skip the same states and share their bytes.
//! A publication after a quiet moment never waits.

use std::time::Duration;

use tokio::time::Instant;

/// How far the steps are apart: twenty pushes a second at most.
const STEP: Duration = Duration::from_millis(50);

/// The pace of one stream.
#[derive(Debug)]
pub(super) struct Pace {
    /// Where the steps are counted from.
    origin: Instant,
    taken: Option<Instant>,
    due: Option<Instant>,
}

impl Pace {
    /// A stream that took nothing so far. Streams with one `origin` keep step.
    pub(super) fn new(origin: Instant) -> Self {
        Self { origin, taken: None, due: None }
    }

    /// When the publication that waits is to be taken.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Something was published. True where it is to be taken now; else it is
    /// [`Pace::due`] later.
    pub(super) fn admits(&mut self, now: Instant) -> bool {
        let busy = self.taken.is_some_and(|taken| now < taken + STEP);
        self.due = busy.then(|| self.step_after(now));
        !busy
    }

    /// What is newest was taken.
    pub(super) fn take(&mut self, now: Instant) {
        (self.taken, self.due) = (Some(now), None);
    }

    fn step_after(&self, now: Instant) -> Instant {
        let step = STEP.as_nanos();
        let passed = now.duration_since(self.origin).as_nanos();
        let rest = Duration::from_nanos(u64::try_from(step - passed % step).unwrap_or_default());
        now + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_publication_after_a_quiet_moment_is_taken_at_once() {
        let origin = Instant::now();
        let mut pace = Pace::new(origin);
        assert!(pace.admits(origin + 7 * MS));
        pace.take(origin + 7 * MS);
        assert!(pace.admits(origin + 57 * MS));
        assert_eq!(pace.due(), None);
    }

    #[test]
    fn streams_that_took_at_different_moments_meet_at_the_same_step() {
        let origin = Instant::now();
        for taken in [51, 64, 99] {
            let mut pace = Pace::new(origin);
            pace.take(origin + taken * MS);
            assert!(!pace.admits(origin + 99 * MS));
            assert_eq!(pace.due(), Some(origin + 100 * MS), "taken at {taken} ms");
            pace.take(origin + 100 * MS);
            assert_eq!(pace.due(), None);
        }
    }

    #[test]
    fn a_burst_waits_no_longer_than_a_step() {
        let origin = Instant::now();
        let mut pace = Pace::new(origin);
        pace.take(origin);
        for at in 0..50 {
            assert!(!pace.admits(origin + at * MS));
            assert_eq!(pace.due(), Some(origin + STEP), "at {at} ms");
        }
    }
}
