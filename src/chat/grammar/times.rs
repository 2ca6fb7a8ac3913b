//! Spans and moments as people type them.
//!
//! Pure: now, and the zone that is meant where none is written, are arguments.
//!
//! ```text
//! span     30m · 2h · 3d · 1w · 1h30m
//! moment   a span from now · 2026-12-24[T09:00] · mon 09:00 · tomorrow 09:00 · 18:00
//!          each with a zone behind it: Asia/Tokyo, UTC, Z, +09:00
//! ```

use std::time::Duration;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan as _};

/// Now, and the zone that is meant where none is written.
#[derive(Debug, Clone)]
pub struct Clock {
    /// Now.
    pub now: Timestamp,
    /// The zone.
    pub zone: TimeZone,
}

/// Until when something lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Until then.
    At(Timestamp),
    /// Until somebody ends it.
    Forever,
}

impl Until {
    /// The moment, if there is one.
    pub fn at(self) -> Option<Timestamp> {
        match self {
            Self::At(at) => Some(at),
            Self::Forever => None,
        }
    }
}

/// Longer spans are slips.
const SPAN_MAX: Duration = Duration::from_secs(366 * 24 * 3600);
/// Words that one moment takes at most: a day, a time, a zone.
pub(super) const WORDS_MAX: usize = 3;

/// Reads a span.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration; write 30m, 2h or 3d");
    let (mut rest, mut seconds) = (text, 0_u64);
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit = rest[digits..].chars().next().ok_or_else(wrong)?;
        let of = match unit.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 24 * 3600,
            'w' => 7 * 24 * 3600,
            _ => return Err(wrong()),
        };
        let more = number.checked_mul(of).and_then(|more| seconds.checked_add(more));
        seconds = more.ok_or_else(wrong)?;
        rest = &rest[digits + unit.len_utf8()..];
    }
    match Duration::from_secs(seconds) {
        Duration::ZERO => Err(format!("`{text}` is no time at all")),
        span if span > SPAN_MAX => Err(format!("`{text}` is longer than a year")),
        span => Ok(span),
    }
}

/// Reads a moment from the front of `words`; gives how many it took.
///
/// # Errors
/// It is no moment, or one that is over.
pub fn moment(words: &[&str], clock: &Clock) -> Result<(Until, usize), String> {
    let first = *words.first().ok_or("there is no time")?;
    if first.eq_ignore_ascii_case("forever") {
        return Ok((Until::Forever, 1));
    }
    if let Ok(span) = span(first) {
        let at = clock.now.checked_add(span).map_err(|_| format!("`{first}` is too far away"))?;
        return Ok((Until::At(at), 1));
    }
    if let Some(at) = exact(first) {
        return future(at, clock, first).map(|at| (Until::At(at), 1));
    }
    let (day, time, mut taken) = day_and_time(words)?;
    let mut zone = clock.zone.clone();
    if let Some(named) = words.get(taken).and_then(|word| named_zone(word)) {
        (zone, taken) = (named, taken + 1);
    }
    let at = resolve(day, time, clock.now, &zone)?;
    future(at, clock, &words[..taken].join(" ")).map(|at| (Until::At(at), taken))
}

fn future(at: Timestamp, clock: &Clock, text: &str) -> Result<Timestamp, String> {
    if at > clock.now {
        return Ok(at);
    }
    Err(format!("`{text}` is over: it was {}", told(at, &clock.zone)))
}

/// A moment that names its zone itself.
fn exact(text: &str) -> Option<Timestamp> {
    let text = text.to_ascii_uppercase();
    text.contains('T').then(|| text.parse().ok()).flatten()
}

/// Which day is meant.
#[derive(Debug, Clone, Copy)]
enum Day {
    On(Date),
    Next(Weekday),
    Today,
    Tomorrow,
    /// The next time that the clock shows it.
    Any,
}

fn day_and_time(words: &[&str]) -> Result<(Day, Time, usize), String> {
    let first = words[0].trim_end_matches(',');
    let second = words.get(1).and_then(|word| time(word));
    if let Some(time) = time(first) {
        return Ok((Day::Any, time, 1));
    }
    if let Some((date, rest)) = first.split_once(['T', 't'])
        && let (Ok(date), Some(time)) = (date.parse(), time(rest))
    {
        return Ok((Day::On(date), time, 1));
    }
    if let Ok(date) = first.parse::<Date>() {
        let taken = 1 + usize::from(second.is_some());
        return Ok((Day::On(date), second.unwrap_or_default(), taken));
    }
    let lower = first.to_ascii_lowercase();
    let day = match lower.as_str() {
        "today" => Day::Today,
        "tomorrow" => Day::Tomorrow,
        _ => Day::Next(weekday(&lower).ok_or_else(|| unclear(first))?),
    };
    match second {
        Some(time) => Ok((day, time, 2)),
        None => Err(format!("`{first}` needs a time of day behind it: `{first} 09:00`")),
    }
}

fn unclear(text: &str) -> String {
    format!(
        "`{text}` is not a time; write a duration (2h), `mon 09:00`, `18:00` or \
         2026-12-24T09:00, with a zone behind it if you like"
    )
}

fn weekday(text: &str) -> Option<Weekday> {
    const NAMES: [(&str, Weekday); 7] = [
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
        ("sunday", Weekday::Sunday),
    ];
    let named = |(name, _): &&(&str, Weekday)| text.len() >= 3 && name.starts_with(text);
    NAMES.iter().find(named).map(|(_, day)| *day)
}

/// `9:00`, `09:00`, `09:00:30`; `24:00` is no time.
fn time(text: &str) -> Option<Time> {
    let mut parts = text.split(':');
    let mut number = |most: i8| -> Option<i8> {
        let part = parts.next()?;
        let plain = (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        part.parse().ok().filter(|n| plain && *n <= most)
    };
    let (hour, minute) = (number(23)?, number(59)?);
    let second = if text.matches(':').count() == 2 { number(59)? } else { 0 };
    if parts.next().is_some() {
        return None;
    }
    Time::new(hour, minute, second, 0).ok()
}

/// A zone by its IANA name or its offset.
fn named_zone(text: &str) -> Option<TimeZone> {
    if text.eq_ignore_ascii_case("utc") || text.eq_ignore_ascii_case("z") {
        return Some(TimeZone::UTC);
    }
    if text.contains('/') {
        return TimeZone::get(text).ok();
    }
    let (sign, rest) = match (text.strip_prefix('+'), text.strip_prefix(['-', '−'])) {
        (Some(rest), _) => (1, rest),
        (_, Some(rest)) => (-1, rest),
        _ => return None,
    };
    let time = time(rest)?;
    let seconds = i32::from(time.hour()) * 3600 + i32::from(time.minute()) * 60;
    Offset::from_seconds(sign * seconds).ok().map(TimeZone::fixed)
}

fn resolve(day: Day, time: Time, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, String> {
    let here = now.to_zoned(zone.clone());
    let today = here.date();
    let far = |_| "that day is too far away".to_owned();
    let at = |date: Date| {
        // What a change of the clock leaves out or shows twice is the later
        // and the earlier moment, as calendars do it.
        zone.to_timestamp(DateTime::from_parts(date, time)).map_err(far)
    };
    match day {
        Day::On(date) => at(date),
        Day::Today => at(today),
        Day::Tomorrow => at(today.tomorrow().map_err(far)?),
        Day::Any => match at(today)? {
            later if later > now => Ok(later),
            _ => at(today.tomorrow().map_err(far)?),
        },
        Day::Next(weekday) => {
            let ahead = i64::from(today.weekday().until(weekday));
            let date = today.checked_add(ahead.days()).map_err(far)?;
            match at(date)? {
                later if later > now => Ok(later),
                _ => at(date.checked_add(7.days()).map_err(far)?),
            }
        }
    }
}

/// A moment in words, with its zone: what was understood, said back.
pub fn told(at: Timestamp, zone: &TimeZone) -> String {
    let zoned = at.to_zoned(zone.clone());
    let name = zone.iana_name().map_or(String::new(), |name| format!(" ({name})"));
    format!(
        "{}{}",
        zoned.strftime("%a %Y-%m-%d %H:%M %Z"),
        if name == " (UTC)" { "" } else { &name }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Saturday, 2026-11-21 13:45 in Tokyo.
    fn tokyo() -> Clock {
        let zone = TimeZone::get("Asia/Tokyo").unwrap();
        Clock { now: "2026-11-21T04:45:00Z".parse().unwrap(), zone }
    }

    fn read(text: &str, clock: &Clock) -> Result<(String, usize), String> {
        let words: Vec<_> = text.split(' ').collect();
        moment(&words, clock).map(|(until, taken)| match until {
            Until::At(at) => (at.to_string(), taken),
            Until::Forever => ("forever".into(), taken),
        })
    }

    #[test]
    fn moments_are_read_in_the_zone_that_is_meant() {
        let table = [
            ("2h reason", "2026-11-21T06:45:00Z", 1),
            ("mon 09:00 the launch", "2026-11-23T00:00:00Z", 2),
            ("Monday 9:00", "2026-11-23T00:00:00Z", 2),
            ("mon 09:00 UTC", "2026-11-23T09:00:00Z", 3),
            ("mon 09:00 Europe/Berlin x", "2026-11-23T08:00:00Z", 3),
            ("mon 09:00 +09:30", "2026-11-22T23:30:00Z", 3),
            ("sat 14:00", "2026-11-21T05:00:00Z", 2),
            ("sat 13:45", "2026-11-28T04:45:00Z", 2),
            ("18:00", "2026-11-21T09:00:00Z", 1),
            ("09:00", "2026-11-22T00:00:00Z", 1),
            ("tomorrow 00:00", "2026-11-21T15:00:00Z", 2),
            ("2026-12-24", "2026-12-23T15:00:00Z", 1),
            ("2026-12-24 09:00 why", "2026-12-24T00:00:00Z", 2),
            ("2026-12-24T09:00", "2026-12-24T00:00:00Z", 1),
            ("2026-12-24T09:00 UTC", "2026-12-24T09:00:00Z", 2),
            ("2026-12-24T09:00:00Z", "2026-12-24T09:00:00Z", 1),
            ("2026-12-24t09:00:00+01:00 x", "2026-12-24T08:00:00Z", 1),
            ("forever and ever", "forever", 1),
        ];
        for (text, at, taken) in table {
            assert_eq!(read(text, &tokyo()), Ok((at.into(), taken)), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_or_is_over_is_refused() {
        let table = [
            ("mon", "needs a time of day"),
            ("mon deploy", "needs a time of day"),
            ("someday 09:00", "is not a time"),
            ("24:00", "is not a time"),
            ("9:5x", "is not a time"),
            ("2026-11-20", "is over"),
            ("today 09:00", "is over"),
            ("2026-02-30", "is not a time"),
            ("0h", "is not a time"),
            ("99999d", "is not a time"),
        ];
        for (text, part) in table {
            let refused = read(text, &tokyo()).unwrap_err();
            assert!(refused.contains(part), "{text}: {refused}");
        }
    }

    #[test]
    fn a_change_of_the_clock_is_walked_over() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        // The clock goes from 02:00 to 03:00 on 2027-03-28.
        let clock = Clock { now: "2027-03-27T20:00:00Z".parse().unwrap(), zone };
        assert_eq!(read("tomorrow 02:30", &clock), Ok(("2027-03-28T01:30:00Z".into(), 2)));
        assert_eq!(read("tomorrow 09:00", &clock), Ok(("2027-03-28T07:00:00Z".into(), 2)));
    }

    #[test]
    fn spans_are_read() {
        let table =
            [("30m", 1800), ("2h", 7200), ("3d", 259_200), ("1h30m", 5400), ("1w", 604_800)];
        for (text, seconds) in table {
            assert_eq!(span(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "h", "2", "2x", "0m", "-2h", "2 h", "400d", "99999999999999999999h", "ü"]
        {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_was_understood_is_told_with_its_zone() {
        let at = "2026-11-23T00:00:00Z".parse().unwrap();
        assert_eq!(told(at, &tokyo().zone), "Mon 2026-11-23 09:00 JST (Asia/Tokyo)");
        assert_eq!(told(at, &TimeZone::UTC), "Mon 2026-11-23 00:00 UTC");
    }
}
