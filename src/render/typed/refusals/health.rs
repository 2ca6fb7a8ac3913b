//! Health checks.

use prost_reflect::{DynamicMessage, Value};

use super::Refusals;
use crate::schema::fields::{field, list, text, variant};

/// The status codes that a check may expect.
const STATUSES: std::ops::RangeInclusive<i64> = 100..=600;

pub(super) fn http(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let bodiless = ["METHOD_UNSPECIFIED", "GET", "HEAD", "DELETE", "TRACE"];
    let method = variant(message, "method").unwrap_or_default();
    if field(message, "send").is_some() && bodiless.contains(&method.as_str()) {
        let text = "`send` needs a `method` that carries a body";
        refusals.refuse("send", "validation", text, "set method: POST, PUT, PATCH or OPTIONS");
    }
    for name in ["expected_statuses", "retriable_statuses"] {
        for range in list(message, name) {
            let number = |name: &str| {
                let value = field(&range, name);
                value.as_deref().and_then(Value::as_i64).unwrap_or(0)
            };
            let (start, end) = (number("start"), number("end"));
            if start >= end || !STATUSES.contains(&start) || end > *STATUSES.end() {
                let text =
                    format!("`{name}` has the range {start} to {end}, which holds no status");
                let hint =
                    "give a `start` from 100, and behind it an `end` up to 600, which is left out";
                refusals.refuse(name, "validation", text, hint);
            }
        }
    }
}

/// What a check sends and expects as text is hexadecimal.
pub(super) fn payload(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let hex = text(message, "text");
    let fits = hex.len().is_multiple_of(2) && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    if field(message, "text").is_some() && !fits {
        let text = format!("`text` must be hexadecimal, is \"{hex}\"");
        refusals.refuse("text", "validation", text, "write 50494e47 for PING, or use `binary`");
    }
}
