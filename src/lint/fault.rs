//! Fault injection that was meant for a test and hits every request.

use prost_reflect::DynamicMessage;

use super::Notes;
use crate::schema::fields::{inner, number, variant};

pub(super) fn check(name: &str, config: &DynamicMessage, notes: &mut Notes<'_>) {
    for (part, does) in [("delay", "delays"), ("abort", "aborts")] {
        if inner(config, part).is_some_and(|fault| is_always(&fault)) {
            let message = format!("the fault filter `{name}` {does} every request");
            notes.warning("constant-fault", message, "lower `percentage`, or remove the fault");
        }
    }
}

fn is_always(fault: &DynamicMessage) -> bool {
    let Some(share) = inner(fault, "percentage") else { return false };
    let whole = match variant(&share, "denominator").as_deref() {
        Some("MILLION") => 1_000_000,
        Some("TEN_THOUSAND") => 10_000,
        _ => 100,
    };
    number(&share, "numerator").unwrap_or(0) >= whole
}
