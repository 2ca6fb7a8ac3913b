//! Failed logins by address: after too many within a minute, no more are
//! looked at until the minute is over. Bounded; gone with the process.
//!
//! Behind a proxy every caller has the proxy's address, so all share one
//! count. Tokens with requests are not counted: they are too long to guess,
//! and a robot with an old one must not lock out others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failures that are allowed within [`WINDOW`].
pub(crate) const FAILURES_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// With more addresses the one that began first is forgotten.
const ADDRESSES_MAX: usize = 4096;

#[derive(Debug, Clone, Copy)]
struct Failures {
    began: Instant,
    count: u32,
}

/// Who failed lately; `None` stands for callers whose address is not known.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    by_address: Mutex<HashMap<Option<IpAddr>, Failures>>,
}

impl Attempts {
    /// How long `address` has to wait; `None` where it may try.
    pub(crate) fn wait(&self, address: Option<IpAddr>) -> Option<Duration> {
        let failures = *self.lock().get(&address)?;
        let left = WINDOW.checked_sub(failures.began.elapsed())?;
        (failures.count >= FAILURES_MAX).then_some(left)
    }

    /// `address` failed.
    pub(crate) fn failed(&self, address: Option<IpAddr>) {
        let now = Instant::now();
        let mut by_address = self.lock();
        if by_address.len() >= ADDRESSES_MAX && !by_address.contains_key(&address) {
            make_room(&mut by_address, now);
        }
        let fresh = Failures { began: now, count: 0 };
        let failures = by_address.entry(address).or_insert(fresh);
        if now - failures.began >= WINDOW {
            *failures = fresh;
        }
        failures.count = failures.count.saturating_add(1);
    }

    /// `address` logged in.
    pub(crate) fn succeeded(&self, address: Option<IpAddr>) {
        self.lock().remove(&address);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<IpAddr>, Failures>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_room(by_address: &mut HashMap<Option<IpAddr>, Failures>, now: Instant) {
    by_address.retain(|_, failures| now - failures.began < WINDOW);
    if by_address.len() >= ADDRESSES_MAX {
        let oldest = by_address.iter().min_by_key(|(_, failures)| failures.began);
        if let Some(address) = oldest.map(|(address, _)| *address) {
            by_address.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(number: u32) -> Option<IpAddr> {
        Some(Ipv4Addr::from(number).into())
    }

    #[tokio::test(start_paused = true)]
    async fn the_eleventh_failure_of_a_minute_is_not_looked_at() {
        let attempts = Attempts::default();
        for _ in 0..FAILURES_MAX {
            assert_eq!(attempts.wait(address(1)), None);
            attempts.failed(address(1));
        }
        assert_eq!(attempts.wait(address(1)), Some(WINDOW));
        assert_eq!(attempts.wait(address(2)), None);
        tokio::time::advance(WINDOW + Duration::from_secs(1)).await;
        assert_eq!(attempts.wait(address(1)), None);
        attempts.failed(address(1));
        assert_eq!(attempts.wait(address(1)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_forgets_the_failures_before() {
        let attempts = Attempts::default();
        (0..FAILURES_MAX).for_each(|_| attempts.failed(None));
        attempts.succeeded(None);
        assert_eq!(attempts.wait(None), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_addresses_is_bounded() {
        let attempts = Attempts::default();
        (0..=ADDRESSES_MAX as u32).for_each(|number| attempts.failed(address(number)));
        assert_eq!(attempts.lock().len(), ADDRESSES_MAX);
    }
}
