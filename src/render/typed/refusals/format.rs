//! Formats: the `%COMMAND(ARGUMENT):LENGTH%` of headers, logs and bodies.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/advanced/substitution_formatter>.
//! Arguments are each command's own and are not read here.

use std::collections::HashMap;
use std::sync::OnceLock;

use prost_reflect::{DynamicMessage, Value};

use super::Refusals;
use crate::render::yaml::shorten;
use crate::schema::fields::{field, inner, list, text};

/// Name and use of each command, one in a line.
const COMMANDS: &str = include_str!("commands.txt");

/// A header's value is a format.
pub(super) fn header(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let Some(header) = inner(message, "header") else { return };
    refuse(&text(&header, "value"), "header", true, refusals);
}

/// The format of a log line or a body.
pub(super) fn formatted(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    // Formatters bring commands of their own.
    let closed = list(message, "formatters").is_empty();
    refuse(&text(message, "text_format"), "text_format", closed, refusals);
    if let Some(source) = inner(message, "text_format_source") {
        refuse(&text(&source, "inline_string"), "text_format_source", closed, refusals);
    }
    if let Some(json) = inner(message, "json_format") {
        texts_of(&json, &mut |text| refuse(text, "json_format", closed, refusals));
    }
}

/// The formats that a file log has besides.
pub(super) fn file(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    refuse(&text(message, "format"), "format", true, refusals);
    for name in ["json_format", "typed_json_format"] {
        if let Some(json) = inner(message, name) {
            texts_of(&json, &mut |text| refuse(text, name, true, refusals));
        }
    }
}

/// The names of spans.
pub(super) fn tracing(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let Some(tracing) = inner(message, "tracing") else { return };
    for name in ["operation", "upstream_operation"] {
        refuse(&text(&tracing, name), "tracing", true, refusals);
    }
}

/// Refuses `format`, of the field `field`, where it is none.
pub(super) fn refuse(format: &str, field: &'static str, closed: bool, refusals: &mut Refusals<'_>) {
    if let Err(error) = read(format, closed) {
        let text = format!("`{}` is no format: {error}", shorten(format));
        refusals.refuse(field, "bad-format", text, "write %% for a percent sign");
    }
}

/// Every text of a `google.protobuf.Struct`.
fn texts_of(message: &DynamicMessage, visit: &mut dyn FnMut(&str)) {
    for name in ["fields", "struct_value", "list_value", "values", "string_value"] {
        match field(message, name).as_deref() {
            Some(Value::String(text)) => visit(text),
            Some(Value::Message(inner)) => texts_of(inner, visit),
            Some(Value::List(items)) => {
                items.iter().filter_map(Value::as_message).for_each(|item| texts_of(item, visit));
            }
            Some(Value::Map(entries)) => {
                let values = entries.values().filter_map(Value::as_message);
                values.for_each(|value| texts_of(value, visit));
            }
            _ => {}
        }
    }
}

fn read(format: &str, closed: bool) -> Result<(), String> {
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix('%') {
            rest = behind;
            continue;
        }
        let Some((name, argument, behind)) = command(rest) else {
            return Err("a % begins no command".into());
        };
        if closed {
            known(name, argument)?;
        }
        rest = behind;
    }
    Ok(())
}

/// Name, whether it has an argument, and what is behind the last `%`.
fn command(text: &str) -> Option<(&str, bool, &str)> {
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let end = text.find(|c| !is_name(c))?;
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        return None;
    }
    if let Some(behind) = closed_by(rest) {
        return Some((name, false, behind));
    }
    let argument = rest.strip_prefix('(')?;
    let ends = argument.match_indices(')').map(|(at, _)| at);
    let behind = ends.filter_map(|at| closed_by(&argument[at + 1..])).next()?;
    Some((name, true, behind))
}

/// What is behind `%` or `:LENGTH%`.
fn closed_by(text: &str) -> Option<&str> {
    let length =
        text.strip_prefix(':').map(|text| text.trim_start_matches(|c: char| c.is_ascii_digit()));
    length.unwrap_or(text).strip_prefix('%')
}

fn known(name: &str, argument: bool) -> Result<(), String> {
    static KNOWN: OnceLock<HashMap<&str, &str>> = OnceLock::new();
    let known = KNOWN.get_or_init(|| {
        let lines = COMMANDS.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| line.split_once(' ')).collect()
    });
    match (known.get(name).copied(), argument) {
        (None, _) => Err(format!("Envoy has no command {name}")),
        (Some("bare"), true) => Err(format!("{name} takes no argument")),
        (Some("with"), false) => Err(format!("{name} needs an argument")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_read_as_envoy_reads_them() {
        for (format, expected) in [
            ("plain, 100%% and %PROTOCOL%", Ok(())),
            ("%REQ(X-A?:B):10% %START_TIME(%Y/%m/%dT%H:%M:%S%z %s)%", Ok(())),
            ("%DYNAMIC_METADATA(a:b)%%RESPONSE_CODE%", Ok(())),
            ("100%", Err("a % begins no command")),
            ("%REQ(", Err("a % begins no command")),
            ("%REQ(a)", Err("a % begins no command")),
            ("%req(a)%", Err("a % begins no command")),
            ("%REQ%", Err("REQ needs an argument")),
            ("%PROTOCOL(a)%", Err("PROTOCOL takes no argument")),
            ("%NO_SUCH%", Err("Envoy has no command NO_SUCH")),
        ] {
            assert_eq!(read(format, true), expected.map_err(str::to_owned), "{format}");
        }
        assert_eq!(read("%NO_SUCH(a)%", false), Ok(()));
    }
}
