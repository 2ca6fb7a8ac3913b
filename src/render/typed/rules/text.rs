//! Rules on texts.

use super::{form, size_breach};
use crate::model::one_of;
use crate::render::yaml::shorten;
use crate::schema::StringRules;

/// How `value` breaks `rules`.
pub(super) fn breach(rules: &StringRules, value: &str) -> Option<String> {
    if rules.ignore_empty && value.is_empty() {
        return None;
    }
    size_breach(rules.chars, value.chars().count(), "character")
        .or_else(|| size_breach(rules.bytes, value.len(), "byte"))
        .or_else(|| content(rules, value).map(|wish| format!("{wish}, is \"{}\"", shorten(value))))
        .or_else(|| rules.form.and_then(|form| form::breach(form, value)))
}

fn content(rules: &StringRules, value: &str) -> Option<String> {
    let unlike = |wanted: &Option<String>, fits: fn(&str, &str) -> bool| {
        wanted.as_ref().filter(|wanted| !fits(value, wanted)).map(|wanted| shorten(wanted))
    };
    if let Some(only) = unlike(&rules.constant, |value, only| value == only) {
        return Some(format!("must be \"{only}\""));
    }
    if let Some(prefix) = unlike(&rules.prefix, |value, prefix| value.starts_with(prefix)) {
        return Some(format!("must begin with \"{prefix}\""));
    }
    if let Some(suffix) = unlike(&rules.suffix, |value, suffix| value.ends_with(suffix)) {
        return Some(format!("must end with \"{suffix}\""));
    }
    if let Some(part) = unlike(&rules.contains, |value, part| value.contains(part)) {
        return Some(format!("must contain \"{part}\""));
    }
    if let Some(part) = unlike(&rules.not_contains, |value, part| !value.contains(part)) {
        return Some(format!("must not contain \"{part}\""));
    }
    if let Some(pattern) = rules.pattern.as_ref().filter(|pattern| !pattern.matches(value)) {
        return Some(format!("must match `{}`", pattern.text));
    }
    if !rules.allowed.is_empty() && !rules.allowed.iter().any(|allowed| allowed == value) {
        return Some(format!("must be {}", one_of(&rules.allowed)));
    }
    rules
        .denied
        .iter()
        .any(|denied| denied == value)
        .then(|| format!("must not be {}", one_of(&rules.denied)))
}
