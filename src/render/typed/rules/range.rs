//! Limits on numbers, durations and enum values.

use prost_reflect::Kind;

use crate::model::one_of;
use crate::schema::{Number, Range};

/// How `number` breaks `limits`.
pub(super) fn breach(limits: &Range, number: Number, kind: &Kind) -> Option<String> {
    if limits.ignore_empty && number.is_zero() {
        return None;
    }
    let show = |number: &Number| show(*number, kind);
    let list = |numbers: &[Number]| one_of(&numbers.iter().map(show).collect::<Vec<_>>());
    let wish = if let Some(only) = limits.constant.filter(|only| *only != number) {
        format!("must be {}", show(&only))
    } else if outside(limits, number) {
        format!("must be {}", bounds(limits, kind))
    } else if !limits.allowed.is_empty() && !limits.allowed.contains(&number) {
        format!("must be {}", list(&limits.allowed))
    } else if limits.denied.contains(&number) {
        format!("must not be {}", list(&limits.denied))
    } else {
        return None;
    };
    Some(format!("{wish}, is {}", show(&number)))
}

/// Written so that a NaN is outside of every limit.
fn outside(limits: &Range, number: Number) -> bool {
    !(limits.lt.is_none_or(|limit| number < limit)
        && limits.lte.is_none_or(|limit| number <= limit)
        && limits.gt.is_none_or(|limit| number > limit)
        && limits.gte.is_none_or(|limit| number >= limit))
}

fn bounds(limits: &Range, kind: &Kind) -> String {
    let parts = [
        ("more than", limits.gt),
        ("at least", limits.gte),
        ("less than", limits.lt),
        ("at most", limits.lte),
    ];
    let parts: Vec<_> = parts
        .into_iter()
        .filter_map(|(words, limit)| Some(format!("{words} {}", show(limit?, kind))))
        .collect();
    parts.join(" and ")
}

/// The number as its author would write it.
fn show(number: Number, kind: &Kind) -> String {
    match (number, kind) {
        (Number::Int(nanos), Kind::Message(_)) => seconds(nanos),
        (Number::Int(value), Kind::Enum(names)) => i32::try_from(value)
            .ok()
            .and_then(|value| names.get_value(value))
            .map_or_else(|| value.to_string(), |name| name.name().to_owned()),
        (Number::Int(value), _) => value.to_string(),
        (Number::Float(value), _) => value.to_string(),
    }
}

fn seconds(nanos: i128) -> String {
    const SECOND: u128 = 1_000_000_000;
    let sign = if nanos < 0 { "-" } else { "" };
    let (whole, rest) = (nanos.unsigned_abs() / SECOND, nanos.unsigned_abs() % SECOND);
    if rest == 0 {
        return format!("{sign}{whole}s");
    }
    format!("{sign}{whole}.{}s", format!("{rest:09}").trim_end_matches('0'))
}
