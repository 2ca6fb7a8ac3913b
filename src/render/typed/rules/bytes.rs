//! Rules on bytes. Values are never quoted: bytes are often keys.

use super::size_breach;
use crate::schema::{BytesRules, WellKnown};

/// How `value` breaks `rules`.
pub(super) fn breach(rules: &BytesRules, value: &[u8]) -> Option<String> {
    if rules.ignore_empty && value.is_empty() {
        return None;
    }
    size_breach(rules.size, value.len(), "byte").or_else(|| content(rules, value).map(Into::into))
}

fn content(rules: &BytesRules, value: &[u8]) -> Option<&'static str> {
    let contains =
        |part: &[u8]| part.is_empty() || value.windows(part.len()).any(|window| window == part);
    let matches = |text: Result<&str, _>| match (&rules.pattern, text) {
        (Some(pattern), Ok(text)) => pattern.matches(text),
        (pattern, _) => pattern.is_none(),
    };
    let checks = [
        (rules.constant.as_ref().is_none_or(|only| value == only), "must be one fixed value"),
        (rules.prefix.as_ref().is_none_or(|p| value.starts_with(p)), "must begin differently"),
        (rules.suffix.as_ref().is_none_or(|s| value.ends_with(s)), "must end differently"),
        (rules.contains.as_ref().is_none_or(|part| contains(part)), "must contain certain bytes"),
        (matches(std::str::from_utf8(value)), "must match a pattern"),
        (
            rules.allowed.is_empty() || rules.allowed.iter().any(|allowed| value == allowed),
            "must be one of a few values",
        ),
        (!rules.denied.iter().any(|denied| value == denied), "must not be this value"),
        (rules.address.is_none_or(|form| is_address(form, value)), "must be a packed IP address"),
    ];
    checks.into_iter().find(|(fine, _)| !fine).map(|(_, breach)| breach)
}

fn is_address(form: WellKnown, value: &[u8]) -> bool {
    match form {
        WellKnown::Ipv4 => value.len() == 4,
        WellKnown::Ipv6 => value.len() == 16,
        _ => value.len() == 4 || value.len() == 16,
    }
}
