//! When a stage may be promoted to: `mon-fri 09:00-17:00`, or from one date to
//! another, each in a time zone.

use std::collections::BTreeSet;

use jiff::civil;

use crate::model::{
    Span, WEEKDAYS, Window, WindowEffect, did_you_mean, time_zone, time_zone_names,
};
use crate::render::document::Node;
use crate::render::mistakes::Mistakes;

const FIELDS: [&str; 4] = ["allow", "deny", "zone", "reason"];
/// More are not read by anybody.
const WINDOWS_MAX: usize = 50;
const FORM: &str = "write `mon-fri 09:00-17:00`, `sat,sun 22:00-06:00`, or two dates: \
                    `2026-12-24T00:00/2027-01-04T09:00`";

/// Reads the windows of a stage.
pub(super) fn read(mistakes: &mut Mistakes<'_>, node: &Node) -> Vec<Window> {
    let items = mistakes.list(node, "`windows`");
    if items.len() > WINDOWS_MAX {
        let message = format!("a stage can have {WINDOWS_MAX} windows, not {}", items.len());
        mistakes.note(node.at, "out-of-range", message);
    }
    items.iter().filter_map(|item| window(mistakes, item)).collect()
}

fn window(mistakes: &mut Mistakes<'_>, node: &Node) -> Option<Window> {
    let fields = mistakes.fields(node, "a window", &FIELDS)?;
    let (effect, when) = match (fields.get("allow"), fields.get("deny")) {
        (Some(when), None) => (WindowEffect::Allow, when),
        (None, Some(when)) => (WindowEffect::Deny, when),
        _ => {
            let message = "a window must have one of `allow` and `deny`";
            mistakes.hint(fields.at, "missing-field", message, FORM);
            return None;
        }
    };
    let zone = match fields.get("zone") {
        Some(node) => zone(mistakes, node),
        None => Some("UTC".to_owned()),
    };
    let reason = fields.get("reason").and_then(|node| mistakes.text(node, "`reason`"));
    let text = mistakes.text(when, "a window's time")?;
    let span = span(text)
        .map_err(|rule| {
            let message = format!("`{text}` is not a time: {rule}");
            mistakes.hint(when.at, "bad-window", message, FORM);
        })
        .ok()?;
    Some(Window { effect, span, zone: zone?, reason: reason.unwrap_or("").to_owned() })
}

fn zone(mistakes: &mut Mistakes<'_>, node: &Node) -> Option<String> {
    let text = mistakes.text(node, "`zone`")?;
    if time_zone(text).is_some() {
        return Some(text.to_owned());
    }
    let message = format!("`{text}` is not a time zone");
    let hint = did_you_mean(text, time_zone_names())
        .unwrap_or_else(|| "write an IANA name, as in `Asia/Tokyo` or `UTC`".into());
    mistakes.hint(node.at, "bad-zone", message, hint);
    None
}

fn span(text: &str) -> Result<Span, String> {
    match text.split_once('/') {
        Some((from, to)) => dates(from.trim(), to.trim()),
        None => weekly(text),
    }
}

fn dates(from: &str, to: &str) -> Result<Span, String> {
    let date = |text: &str| {
        // A date alone means its first moment.
        let whole = text.contains('T') || text.contains(' ');
        let full = if whole { text.to_owned() } else { format!("{text}T00:00") };
        full.parse::<civil::DateTime>().map_err(|_| format!("`{text}` is not a date and time"))
    };
    let (from, to) = (date(from)?, date(to)?);
    if from < to {
        return Ok(Span::Dates { from, to });
    }
    Err("it ends before it begins".into())
}

fn weekly(text: &str) -> Result<Span, String> {
    let (days, clock) = match text.trim().rsplit_once(char::is_whitespace) {
        Some((days, clock)) => (days.trim().to_owned(), clock),
        None => ("mon-sun".into(), text.trim()),
    };
    let days = weekdays(&days)?;
    let (from, to) = clock.split_once('-').ok_or("it names no hours, as in `09:00-17:00`")?;
    let (from, to) = (minute(from)?, minute(to)?);
    if from == 1440 {
        return Err("a day begins at 00:00".into());
    }
    if from == to {
        return Err("it ends when it begins".into());
    }
    Ok(Span::Weekly { days, from, to })
}

fn weekdays(text: &str) -> Result<BTreeSet<u8>, String> {
    let day = |name: &str| {
        let name = name.trim().to_ascii_lowercase();
        let known = WEEKDAYS.iter().position(|day| *day == name);
        known.ok_or(format!("`{name}` is not a day; the days are {}", WEEKDAYS.join(" ")))
    };
    let mut days = BTreeSet::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        // `fri-mon` goes over the end of the week.
        let count = (last + 7 - first) % 7 + 1;
        days.extend((first..first + count).map(|day| (day % 7) as u8 + 1));
    }
    Ok(days)
}

/// The minute of the day of `HH:MM`; 24:00 is its end.
fn minute(text: &str) -> Result<u16, String> {
    let bad = || format!("`{text}` is not a time of day; write it as `09:00`");
    let (hours, minutes) = text.trim().split_once(':').ok_or_else(bad)?;
    let number = |part: &str| {
        let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        if digits { part.parse::<u16>().ok() } else { None }
    };
    match (number(hours), number(minutes)) {
        (Some(hours @ 0..=23), Some(minutes @ 0..=59)) => Ok(hours * 60 + minutes),
        (Some(24), Some(0)) => Ok(1440),
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let table = [
            ("mon-fri 09:00-17:00", "mon,tue,wed,thu,fri 09:00-17:00"),
            ("sat, sun 22:00-06:00", "sat,sun 22:00-06:00"),
            ("FRI-mon 00:00-24:00", "mon,fri,sat,sun 00:00-24:00"),
            ("09:00-17:00", "mon,tue,wed,thu,fri,sat,sun 09:00-17:00"),
            ("2026-12-24/2027-01-04T09:00", "2026-12-24T00:00/2027-01-04T09:00"),
            ("2026-12-24T00:00 / 2026-12-24T00:01", "2026-12-24T00:00/2026-12-24T00:01"),
        ];
        for (text, written) in table {
            assert_eq!(span(text).map(|span| span.to_string()), Ok(written.into()), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_the_rule() {
        let table = [
            ("", "names no hours"),
            ("mon-fri", "not a time of day"),
            ("mon-fri 9:00-17:00", "not a time of day"),
            ("mon-fri 09:00-25:00", "not a time of day"),
            ("mon-fri 09:60-10:00", "not a time of day"),
            ("mon-fri 24:00-25:00", "not a time of day"),
            ("mon 24:00-01:00", "begins at 00:00"),
            ("mon 09:00-09:00", "ends when it begins"),
            ("monday 09:00-10:00", "is not a day"),
            ("mon, 09:00-10:00", "is not a day"),
            ("2026-02-30/2026-03-01", "is not a date"),
            ("2026-03-02/2026-03-01", "ends before it begins"),
            ("2026-03-01/2026-03-01", "ends before it begins"),
        ];
        for (text, rule) in table {
            let error = span(text).unwrap_err();
            assert!(error.contains(rule), "{text}: {error}");
        }
    }
}
