//! Windows on the wall clock, over the days on which it is moved.

use std::collections::BTreeSet;

use super::*;

fn weekly(effect: WindowEffect, days: &[u8], from: u16, to: u16, zone: &str) -> Window {
    let days: BTreeSet<u8> = days.iter().copied().collect();
    let span = Span::Weekly { days, from, to };
    Window { effect, span, zone: zone.into(), reason: String::new() }
}

fn dates(effect: WindowEffect, from: &str, to: &str, zone: &str) -> Window {
    let span = Span::Dates { from: from.parse().unwrap(), to: to.parse().unwrap() };
    Window { effect, span, zone: zone.into(), reason: String::new() }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const WORKDAYS: [u8; 5] = [1, 2, 3, 4, 5];
const DAYS: [u8; 7] = [1, 2, 3, 4, 5, 6, 7];
use WindowEffect::{Allow, Deny};

#[test]
fn a_window_is_open_from_its_first_minute_to_before_its_last() {
    let windows = [weekly(Allow, &WORKDAYS, 9 * 60, 17 * 60, "Asia/Tokyo")];
    let windows = Windows::new(&windows);
    // A Friday in Tokyo.
    for (moment, open) in [
        ("2026-11-19T23:59:59Z", false),
        ("2026-11-20T00:00:00Z", true),
        ("2026-11-20T07:59:59Z", true),
        ("2026-11-20T08:00:00Z", false),
        ("2026-11-21T03:00:00Z", false),
    ] {
        assert_eq!(windows.closed(at(moment)).is_none(), open, "{moment}");
    }
    let friday_night = at("2026-11-20T08:00:00Z");
    assert_eq!(windows.opens(friday_night), Some(at("2026-11-23T00:00:00Z")), "on Monday");
}

#[test]
fn a_window_over_midnight_belongs_to_the_day_it_begins_on() {
    let windows = [weekly(Allow, &[5], 22 * 60, 6 * 60, "UTC")];
    let windows = Windows::new(&windows);
    for (moment, open) in [
        ("2026-11-20T21:59:00Z", false),
        ("2026-11-20T22:00:00Z", true),
        ("2026-11-21T05:59:59Z", true),
        ("2026-11-21T06:00:00Z", false),
        ("2026-11-21T22:30:00Z", false),
        ("2026-11-20T05:00:00Z", false),
    ] {
        assert_eq!(windows.closed(at(moment)).is_none(), open, "{moment}");
    }
}

#[test]
fn an_hour_that_comes_twice_is_in_the_window_twice() {
    // Berlin, 25 October 2026: 03:00 summer time becomes 02:00.
    let windows = [weekly(Allow, &DAYS, 2 * 60, 3 * 60, "Europe/Berlin")];
    let windows = Windows::new(&windows);
    let (from, to) = (at("2026-10-24T22:00:00Z"), at("2026-10-25T22:00:00Z"));
    assert_eq!(windows.open_seconds(from, to), 7200);
    for moment in ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"] {
        assert!(windows.closed(at(moment)).is_none(), "{moment}");
    }
    assert!(windows.closed(at("2026-10-25T02:00:00Z")).is_some());
}

#[test]
fn an_hour_that_is_left_out_opens_no_window() {
    // Berlin, 29 March 2026: 02:00 becomes 03:00 summer time.
    let windows = [weekly(Allow, &DAYS, 2 * 60, 3 * 60, "Europe/Berlin")];
    let windows = Windows::new(&windows);
    let (from, to) = (at("2026-03-28T22:00:00Z"), at("2026-03-29T22:00:00Z"));
    assert_eq!(windows.open_seconds(from, to), 0);
    assert_eq!(windows.opens(from), Some(at("2026-03-30T00:00:00Z")), "the night after");
}

#[test]
fn a_window_that_begins_in_the_hour_left_out_opens_when_the_clock_is_moved() {
    // New York, 8 March 2026: 02:00 becomes 03:00.
    let windows = [weekly(Allow, &DAYS, 150, 4 * 60, "America/New_York")];
    let windows = Windows::new(&windows);
    let before = at("2026-03-08T06:59:59Z");
    assert!(windows.closed(before).is_some());
    assert_eq!(windows.opens(before), Some(at("2026-03-08T07:00:00Z")));
    assert_eq!(windows.closed(at("2026-03-08T07:59:59Z")), None);
    assert!(windows.closed(at("2026-03-08T08:00:00Z")).is_some());
}

#[test]
fn what_denies_wins_and_the_next_opening_is_after_it() {
    let windows = [
        weekly(Allow, &WORKDAYS, 9 * 60, 17 * 60, "Asia/Tokyo"),
        dates(Deny, "2026-12-24T00:00", "2027-01-04T09:00", "Asia/Tokyo"),
    ];
    let set = Windows::new(&windows);
    let new_year = at("2026-12-31T03:00:00Z");
    assert_eq!(set.closed(new_year), Some(Closed::Denied(&windows[1])));
    assert_eq!(set.opens(new_year), Some(at("2027-01-04T00:00:00Z")));
    let deny = [dates(Deny, "2026-12-24T00:00", "2027-01-04T09:00", "UTC")];
    let deny = Windows::new(&deny);
    assert_eq!(deny.closed(at("2027-01-04T09:00:00Z")), None, "where none allows, all is allowed");
}

#[test]
fn windows_that_never_open_again_say_so() {
    let past = [dates(Allow, "2020-01-01T00:00", "2020-02-01T00:00", "UTC")];
    assert_eq!(Windows::new(&past).opens(at("2026-01-01T00:00:00Z")), None);
    let all = [weekly(Allow, &DAYS, 0, 1440, "UTC"), weekly(Deny, &DAYS, 0, 1440, "Europe/Berlin")];
    assert_eq!(Windows::new(&all).opens(at("2026-01-01T00:00:00Z")), None);
    assert_eq!(Windows::new(&[]).closed(at("2026-01-01T00:00:00Z")), None);
}
