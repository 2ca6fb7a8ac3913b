//! How often GitHub may be called: what it says in its answers, and how many
//! changes are sent one after the other.
//!
//! Pure: the time is an argument. See GitHub's "Best practices for using the
//! REST API": a `retry-after` counts first, then an exhausted quota until its
//! reset, then a minute; changes are about a second apart, after a few.

use std::time::Duration;

use jiff::Timestamp;

/// Where GitHub says "too many" and not for how long.
const UNSAID: Duration = Duration::from_secs(60);
/// However long it says, a look is taken again after this.
const LONGEST: Duration = Duration::from_secs(3600);
/// Changes that may follow one another at once; then one a second.
const BURST: u32 = 30;
const APART: Duration = Duration::from_secs(1);

/// The headers of an answer that speak of limits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Said<'a> {
    pub(super) retry_after: Option<&'a str>,
    pub(super) remaining: Option<&'a str>,
    pub(super) reset: Option<&'a str>,
    /// The body's message; secondary limits name themselves only there.
    pub(super) message: &'a str,
}

impl Said<'_> {
    /// How long to wait if an answer with `status` means "too many".
    pub(super) fn wait(self, status: u16, now: Timestamp) -> Option<Duration> {
        let exhausted = self.remaining == Some("0");
        let secondary = self.message.to_lowercase().contains("rate limit");
        let retry = self.retry_after.map(|text| retry_after(text, now));
        let limited = match status {
            429 => true,
            403 => retry.is_some() || exhausted || secondary,
            503 => retry.is_some(),
            _ => false,
        };
        let until_reset = || {
            let reset = self.reset.filter(|_| exhausted)?.parse().ok()?;
            Some(until(Timestamp::from_second(reset).ok()?, now))
        };
        let wait = retry.or_else(until_reset).unwrap_or(UNSAID);
        limited.then(|| wait.clamp(Duration::from_secs(1), LONGEST))
    }
}

/// Seconds, or a date as in other headers.
fn retry_after(text: &str, now: Timestamp) -> Duration {
    let seconds = text.trim().parse().ok().map(Duration::from_secs);
    let date = || {
        let date = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
        Some(until(date.timestamp(), now))
    };
    seconds.or_else(date).unwrap_or(UNSAID)
}

fn until(at: Timestamp, now: Timestamp) -> Duration {
    if at > now { at.duration_since(now).unsigned_abs() } else { Duration::ZERO }
}

/// Spreads changes: a few at once, then one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// What may still be sent at once, as of `at`.
    left: u32,
    at: Option<Timestamp>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { left: BURST, at: None }
    }
}

impl Pace {
    /// Takes the next place; gives how long to wait for it.
    pub(super) fn take(&mut self, now: Timestamp) -> Duration {
        let since = self.at.map_or(Duration::ZERO, |at| until(now, at));
        let regained = u32::try_from(since.as_secs() / APART.as_secs()).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(regained).min(BURST);
        if regained > 0 || self.at.is_none() {
            self.at = Some(now);
        }
        if self.left > 0 {
            self.left -= 1;
            return Duration::ZERO;
        }
        APART
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_github_says_decides_how_long_to_wait() {
        let said = Said::default();
        let seconds = |status, said: Said<'_>| said.wait(status, at(1000)).map(|w| w.as_secs());
        let exhausted = Said { remaining: Some("0"), reset: Some("1090"), ..said };
        for (status, said, expected) in [
            (200, Said { remaining: Some("0"), ..said }, None),
            (403, said, None),
            (403, Said { retry_after: Some("7"), ..said }, Some(7)),
            (403, exhausted, Some(90)),
            (403, Said { reset: Some("x"), ..exhausted }, Some(60)),
            (403, Said { reset: Some("900"), ..exhausted }, Some(1)),
            (403, Said { message: "You have exceeded a secondary rate limit", ..said }, Some(60)),
            (429, said, Some(60)),
            (429, Said { retry_after: Some("999999"), ..said }, Some(3600)),
            (429, Said { retry_after: Some("soon"), ..said }, Some(60)),
            (503, Said { retry_after: Some("5"), ..said }, Some(5)),
            (503, said, None),
            (429, Said { retry_after: Some("Thu, 01 Jan 1970 00:17:00 GMT"), ..said }, Some(20)),
        ] {
            assert_eq!(seconds(status, said), expected, "{status} {said:?}");
        }
    }

    #[test]
    fn changes_are_a_second_apart_after_the_first() {
        let mut pace = Pace::default();
        let at_once = (0..100).take_while(|_| pace.take(at(0)).is_zero()).count();
        assert_eq!(at_once, BURST as usize);
        assert_eq!(pace.take(at(0)), APART);
        assert!(pace.take(at(1)).is_zero());
        assert_eq!(pace.take(at(1)), APART);
        assert!(pace.take(at(10_000)).is_zero());
    }
}
