//! Cron expressions of mirrors, as the time between two runs: `SECOND MINUTE
//! HOUR DAY MONTH WEEKDAY [YEAR]`. Mirrors here run every so often, and not at
//! a time of the day; the expression itself is kept for show.

use super::fault;
use crate::web::error::Fault;

const MINUTE_S: u64 = 60;
const HOUR_S: u64 = 3600;
const DAY_S: u64 = 24 * HOUR_S;

/// Seconds between two runs.
pub(super) fn every(text: &str) -> Result<u64, Fault> {
    let refuse = || {
        fault::illegal(format!(
            "schedule: `{}`: write a cron expression of six fields, as `0 */5 * * * ?`",
            text.escape_debug()
        ))
    };
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [second, minute, hour, day, _month, weekday, ..] = fields.as_slice() else {
        return Err(refuse());
    };
    if fields.len() > 7 {
        return Err(refuse());
    }
    let times = |field: &str, whole| times(field, whole).ok_or_else(refuse);
    let (seconds, minutes) = (times(second, 60)?, times(minute, 60)?);
    let (hours, days, weekdays) = (times(hour, 24)?, times(day, 30)?, times(weekday, 7)?);
    // The coarsest field that does not run through says how often.
    let span = if weekdays < 7 {
        7 * DAY_S / weekdays.max(1)
    } else if days < 30 {
        30 * DAY_S / days.max(1)
    } else if hours < 24 {
        DAY_S / hours.max(1)
    } else if minutes < 60 {
        HOUR_S / minutes.max(1)
    } else {
        MINUTE_S
    };
    // Several times within the finest of them.
    let within = match span {
        MINUTE_S => seconds.clamp(1, 60),
        HOUR_S.. if minutes > 1 && hours < 24 => minutes,
        _ => 1,
    };
    Ok((span / within).max(1))
}

/// How often a field holds within a whole of so many.
fn times(field: &str, whole: u64) -> Option<u64> {
    if matches!(field, "*" | "?") {
        return Some(whole);
    }
    let mut sum = 0;
    for part in field.split(',') {
        sum += match part.split_once('/') {
            Some((_, step)) => {
                let step = step.parse::<u64>().ok().filter(|step| *step > 0)?;
                whole.div_ceil(step)
            }
            None => match part.split_once('-') {
                Some((from, to)) => match (from.parse::<u64>(), to.parse::<u64>()) {
                    (Ok(from), Ok(to)) if from <= to => to - from + 1,
                    (Ok(_), Ok(_)) => return None,
                    // Names of days, as MON-FRI.
                    _ if is_name(from) && is_name(to) => 5,
                    _ => return None,
                },
                None if part.parse::<u64>().is_ok() || is_name(part) => 1,
                None => return None,
            },
        };
    }
    Some(sum.min(whole))
}

fn is_name(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_become_spans() {
        for (text, seconds) in [
            ("0 * * * * ?", 60),
            ("*/10 * * * * ?", 10),
            ("0 */5 * * * ?", 300),
            ("0 0/15 * * * ?", 900),
            ("0 0,30 * * * ?", 1800),
            ("0 0 * * * ?", 3600),
            ("0 0 */6 * * ?", 21_600),
            ("0 0 3 * * ?", 86_400),
            ("0 0,30 3 * * ?", 43_200),
            ("0 0 3 ? * MON", 604_800),
            ("0 0 3 1 * ? 2030", 2_592_000),
        ] {
            assert_eq!(every(text), Ok(seconds), "{text}");
        }
        for bad in ["", "often", "* * * *", "0 */0 * * * ?", "0 x * * * ?", "1 2 3 4 5 6 7 8"] {
            assert_eq!(every(bad).map_err(|fault| fault.status.as_u16()), Err(400), "{bad}");
        }
    }
}
