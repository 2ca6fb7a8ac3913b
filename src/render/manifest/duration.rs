//! Durations as people write them: `500ms`, `20s`, `10m`, `1h30m`, `2d`.

use std::time::Duration;

use crate::render::document::Node;
use crate::render::mistakes::Mistakes;

/// Reads a duration from zero to `most`.
pub(super) fn read(
    mistakes: &mut Mistakes<'_>,
    node: &Node,
    what: &str,
    most: Duration,
) -> Option<Duration> {
    let text = mistakes.text(node, what)?;
    match parse(text) {
        Some(duration) if duration <= most => Some(duration),
        Some(_) => {
            let message = format!("{what} must be at most {} seconds, not {text}", most.as_secs());
            mistakes.note(node.at, "out-of-range", message);
            None
        }
        None => {
            let message = format!("`{text}` is not a duration");
            let hint = "write a whole number and a unit: `500ms`, `20s`, `10m`, `1h30m`, `2d`";
            mistakes.hint(node.at, "bad-duration", message, hint);
            None
        }
    }
}

fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut milliseconds: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let factor = match &rest[..unit] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        milliseconds = milliseconds.checked_add(number.checked_mul(factor)?)?;
        rest = &rest[unit..];
    }
    (!text.is_empty()).then(|| Duration::from_millis(milliseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_whole_numbers_with_units() {
        for (text, milliseconds) in
            [("0s", 0), ("500ms", 500), ("20s", 20_000), ("1h30m", 5_400_000), ("2d", 172_800_000)]
        {
            assert_eq!(parse(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "10", "s", "-1s", "1.5s", "10 m", "1w", "99999999999999999999s", "1é"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
