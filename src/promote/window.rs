//! Whether a stage's windows are open, and when they open next.
//!
//! A window is meant on the wall clock of its zone: at two in the morning it is
//! inside `01:00-03:00`, whether that hour comes twice or half of it is left
//! out. So whether it is open is asked of the wall clock's reading alone, and
//! the moments at which it may change are those at which a reading is reached,
//! and those at which the clock itself is moved.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span as Length, Timestamp};

use crate::model::{Span, Window, WindowEffect, time_zone};

/// How far ahead an opening is looked for.
const AHEAD: SignedDuration = SignedDuration::from_hours(400 * 24);
/// Changes that are looked at: more than any year of sensible windows has.
const CHANGES_MAX: usize = 20_000;

/// A stage's windows with their zones.
#[derive(Debug)]
pub(super) struct Windows<'a> {
    windows: Vec<(&'a Window, TimeZone)>,
}

/// Why it is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed<'a> {
    /// This window denies.
    Denied(&'a Window),
    /// No window that allows is open.
    NotAllowed,
}

impl<'a> Windows<'a> {
    /// The windows of one policy. A zone that is not known any more counts as
    /// UTC: the reader let none pass.
    pub(super) fn new(windows: &'a [Window]) -> Self {
        let zone = |window: &Window| time_zone(&window.zone).unwrap_or(TimeZone::UTC);
        Self { windows: windows.iter().map(|window| (window, zone(window))).collect() }
    }

    /// Why they are closed at `now`; `None`: they are open.
    pub(super) fn closed(&self, now: Timestamp) -> Option<Closed<'a>> {
        let within = |(window, zone): &&(&'a Window, TimeZone)| {
            contains(&window.span, zone.to_datetime(now))
        };
        let of = |effect| self.windows.iter().filter(move |(window, _)| window.effect == effect);
        if let Some((window, _)) = of(WindowEffect::Deny).find(within) {
            return Some(Closed::Denied(window));
        }
        let mut allows = of(WindowEffect::Allow).peekable();
        let none = allows.peek().is_none();
        (!none && !allows.any(|one| within(&one))).then_some(Closed::NotAllowed)
    }

    /// When they open next, if that is within a year or so.
    pub(super) fn opens(&self, now: Timestamp) -> Option<Timestamp> {
        let mut at = now;
        for _ in 0..CHANGES_MAX {
            if self.closed(at).is_none() {
                return Some(at);
            }
            at = self.next_change(at)?;
            if at.duration_since(now) > AHEAD {
                return None;
            }
        }
        None
    }

    /// How many seconds between `from` and `to` they are open.
    pub(super) fn open_seconds(&self, from: Timestamp, to: Timestamp) -> u64 {
        let (mut at, mut open) = (from, 0);
        for _ in 0..CHANGES_MAX {
            if at >= to {
                break;
            }
            let next = self.next_change(at).map_or(to, |next| next.min(to));
            if self.closed(at).is_none() {
                open += u64::try_from(next.duration_since(at).as_secs()).unwrap_or(0);
            }
            at = next;
        }
        open
    }

    /// The first moment after `now` at which anything may be different.
    fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        self.windows.iter().filter_map(|(window, zone)| next_edge(&window.span, zone, now)).min()
    }
}

/// Whether the wall clock's reading lies in a span.
fn contains(span: &Span, reading: DateTime) -> bool {
    match span {
        Span::Dates { from, to } => (*from..*to).contains(&reading),
        Span::Weekly { days, from, to } => {
            let time = reading.time();
            let minute = u16::try_from(i32::from(time.hour()) * 60 + i32::from(time.minute()));
            let minute = minute.unwrap_or(0);
            let day = |date: Date| u8::try_from(date.weekday().to_monday_one_offset()).unwrap_or(0);
            let today = days.contains(&day(reading.date()));
            if from < to {
                return today && (*from..*to).contains(&minute);
            }
            let yesterday = reading.date().yesterday().is_ok_and(|date| days.contains(&day(date)));
            (today && minute >= *from) || (yesterday && minute < *to)
        }
    }
}

/// The first moment after `now` at which the zone's clock reads an edge of the
/// span, or is moved.
fn next_edge(span: &Span, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let mut edges = Vec::new();
    match span {
        Span::Dates { from, to } => edges.extend([*from, *to]),
        Span::Weekly { from, to, .. } => {
            let today = zone.to_datetime(now).date();
            for day in -1..=2 {
                let Ok(date) = today.checked_add(Length::new().days(day)) else { continue };
                let midnight = date.to_datetime(jiff::civil::Time::midnight());
                let read = |minute: &u16| {
                    midnight.checked_add(Length::new().minutes(i64::from(*minute))).ok()
                };
                edges.extend([read(from), read(to)].into_iter().flatten());
            }
        }
    }
    // A reading that comes twice is an edge both times.
    let moments = edges.into_iter().flat_map(|edge| {
        let moment = || zone.to_ambiguous_zoned(edge);
        [moment().earlier(), moment().later()].into_iter().flatten().map(|at| at.timestamp())
    });
    let moved = zone.following(now).next().map(|moved| moved.timestamp());
    let soon = |at: &Timestamp| *at > now;
    // A clock that is never moved again, or not soon, is no reason to look.
    let edge = moments.filter(soon).min();
    match span {
        Span::Dates { .. } if edge.is_none() => None,
        _ => edge.into_iter().chain(moved.filter(soon)).min(),
    }
}

#[cfg(test)]
mod tests;
