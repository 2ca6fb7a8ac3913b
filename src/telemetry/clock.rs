//! Wall time, read here and nowhere else, then passed on as an argument.

use jiff::Timestamp;

/// The wall clock now, cut to milliseconds.
#[allow(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}
