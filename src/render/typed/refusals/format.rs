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

/// Commands of more than a name whose result is not cut.
const NO_LENGTH: [&str; 14] = [
    "CLUSTER_METADATA",
    "COMMON_DURATION",
    "DOWNSTREAM_PEER_CERT_V_END",
    "DOWNSTREAM_PEER_CERT_V_START",
    "EMIT_TIME",
    "EMIT_TIME_LOCAL",
    "GRPC_STATUS",
    "REQUESTED_SERVER_NAME",
    "RESPONSE_CODE_DETAILS",
    "START_TIME",
    "START_TIME_LOCAL",
    "UPSTREAM_METADATA",
    "UPSTREAM_PEER_CERT_V_END",
    "UPSTREAM_PEER_CERT_V_START",
];

/// Whose metadata METADATA shows.
const HOLDERS: [&str; 7] = [
    "DYNAMIC",
    "CLUSTER",
    "ROUTE",
    "UPSTREAM_HOST",
    "LISTENER",
    "LISTENER_FILTER_CHAIN",
    "VIRTUAL_HOST",
];

/// Name and use of each command, one in a line.
const COMMANDS: &str = include_str!("commands.txt");

/// A header's value is a format.
pub(super) fn header(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    if refusals.to_service && !refusals.newer_than("1.38.0") {
        return;
    }
    let Some(header) = inner(message, "header") else { return };
    refuse(&text(&header, "value"), "header", true, refusals);
}

/// The format of a log line or a body.
pub(super) fn formatted(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    // Formatters bring commands of their own.
    let closed = list(message, "formatters").is_empty();
    unknown(message, refusals);
    refuse(&text(message, "text_format"), "text_format", closed, refusals);
    if let Some(source) = inner(message, "text_format_source") {
        refuse(&text(&source, "inline_string"), "text_format_source", closed, refusals);
    }
    if let Some(json) = inner(message, "json_format") {
        texts_of(&json, &mut |text| refuse(text, "json_format", closed, refusals));
    }
}

/// A text with formatters that are known knows no more than these and Envoy do.
fn unknown(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    const KNOWN: [&str; 3] = [
        "envoy.extensions.formatter.cel.v3.Cel",
        "envoy.extensions.formatter.metadata.v3.Metadata",
        "envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery",
    ];
    let formatters = list(message, "formatters");
    let is_known = |formatter: &DynamicMessage| {
        let any = inner(formatter, "typed_config");
        let type_url = any.map(|any| text(&any, "type_url")).unwrap_or_default();
        KNOWN.contains(&type_url.rsplit('/').next().unwrap_or_default())
    };
    if formatters.is_empty() || !formatters.iter().all(is_known) {
        return;
    }
    let source = inner(message, "text_format_source");
    let source = source.map(|source| text(&source, "inline_string")).unwrap_or_default();
    for (field, format) in
        [("text_format", text(message, "text_format")), ("text_format_source", source)]
    {
        if let (Ok(()), Err(error)) = (read(&format, false), read(&format, true)) {
            let text = format!("`{}` is no format: {error}", shorten(&format));
            refusals.refuse(field, "bad-format", text, "write %% for a percent sign");
        }
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

/// The body and the attributes of what is logged for OpenTelemetry.
pub(super) fn telemetry(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let closed = list(message, "formatters").is_empty();
    for name in ["body", "attributes"] {
        if let Some(value) = inner(message, name) {
            texts_of(&value, &mut |text| refuse(text, name, closed, refusals));
            if let Some(kind) = unlogged(&value) {
                let text =
                    format!("`{kind}` can't be logged: Envoy takes texts, lists and lists of keys");
                refusals.refuse(name, "validation", text, "write it as `string_value`");
            }
        }
    }
}

/// The sort of a value that is neither a text nor made of texts.
fn unlogged(message: &DynamicMessage) -> Option<&'static str> {
    const KINDS: [&str; 4] = ["bool_value", "int_value", "double_value", "bytes_value"];
    let own = KINDS.into_iter().find(|kind| field(message, kind).is_some());
    let parts = ["kvlist_value", "array_value", "value"];
    own.or_else(|| {
        parts.iter().filter_map(|part| inner(message, part)).find_map(|one| unlogged(&one))
    })
    .or_else(|| list(message, "values").iter().find_map(unlogged))
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
        return refusals.refuse(field, "bad-format", text, "write %% for a percent sign");
    }
    if !closed {
        return;
    }
    newer(format, field, refusals);
}

/// Refuses commands that one of the stage's Envoys lacks.
fn newer(format: &str, field: &'static str, refusals: &mut Refusals<'_>) {
    let releases = refusals.schema.releases();
    let newer = refusals.targets.iter().find_map(|(release, version)| {
        let commands = commands(format);
        let mut names = commands.iter().map(|command| command.name);
        let name = names.find(|name| !releases.knows_name(release, name))?;
        Some((version.to_owned(), name.to_owned()))
    });
    if let Some((version, name)) = newer {
        let hint = releases.since(&name).map(|since| format!("Envoy {since} knows it"));
        let text = format!("Envoy {version} does not know the command {name} of formats");
        refusals.refuse(field, "newer-than-envoy", text, &hint.unwrap_or_default());
    }
    let lately = commands(format).into_iter().find(|command| match command.name {
        "DYNAMIC_METADATA" => command.length,
        "METADATA" => command.argument.is_some_and(|of| of.starts_with("LISTENER_FILTER_CHAIN")),
        _ => false,
    });
    if let Some((command, older)) = lately.zip(refusals.older_than("1.37.0")) {
        let text = format!("Envoy {older} does not take {} so", command.name);
        refusals.refuse(field, "newer-than-envoy", text, "Envoy 1.37.0 does");
    }
}

/// The commands in a format.
fn commands(format: &str) -> Vec<Command<'_>> {
    let mut found = Vec::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        rest = &rest[at + 1..];
        if let Some(command) = command(rest) {
            rest = command.behind;
            found.push(command);
        } else {
            rest = rest.strip_prefix('%').unwrap_or(rest);
        }
    }
    found
}

/// The fields below which texts stand, of a `Struct` and of OpenTelemetry's values.
const TEXTS: [&str; 8] = [
    "fields",
    "struct_value",
    "list_value",
    "values",
    "string_value",
    "kvlist_value",
    "array_value",
    "value",
];

/// Every text of a `google.protobuf.Struct`, or of a value for OpenTelemetry.
fn texts_of(message: &DynamicMessage, visit: &mut dyn FnMut(&str)) {
    for name in TEXTS {
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
        let Some(command) = command(rest) else {
            return Err("a % begins no command".into());
        };
        if closed {
            known(&command)?;
        }
        rest = command.behind;
    }
    Ok(())
}

/// A command, and what is behind its last `%`.
struct Command<'f> {
    name: &'f str,
    argument: Option<&'f str>,
    length: bool,
    behind: &'f str,
}

fn command(text: &str) -> Option<Command<'_>> {
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let end = text.find(|c| !is_name(c))?;
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        return None;
    }
    if let Some(behind) = closed_by(rest) {
        return Some(Command { name, argument: None, length: rest.starts_with(':'), behind });
    }
    let argument = rest.strip_prefix('(')?;
    let ends = argument.match_indices(')').map(|(at, _)| at);
    let end = ends.into_iter().find(|at| closed_by(&argument[at + 1..]).is_some())?;
    let (argument, rest) = (&argument[..end], &argument[end + 1..]);
    let length = rest.starts_with(':');
    Some(Command { name, argument: Some(argument), length, behind: closed_by(rest)? })
}

/// What is behind `%` or `:LENGTH%`.
fn closed_by(text: &str) -> Option<&str> {
    let Some(length) = text.strip_prefix(':') else { return text.strip_prefix('%') };
    let (digits, behind) = length.split_once('%')?;
    digits.parse::<u64>().ok().map(|_| behind)
}

fn known(command: &Command<'_>) -> Result<(), String> {
    static KNOWN: OnceLock<HashMap<&str, &str>> = OnceLock::new();
    let known = KNOWN.get_or_init(|| {
        let lines = COMMANDS.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| line.split_once(' ')).collect()
    });
    let name = command.name;
    match (known.get(name).copied(), command.argument) {
        (None, _) => Err(format!("Envoy has no command {name}")),
        (Some("bare"), Some(_)) => Err(format!("{name} takes no argument")),
        (Some("bare"), None) if command.length => Err(format!("{name} takes no length")),
        (Some(_), _) if command.length && NO_LENGTH.contains(&name) => {
            Err(format!("{name} takes no length"))
        }
        (Some("with"), None | Some("")) => Err(format!("{name} needs an argument")),
        (_, Some(argument)) => fits(name, argument),
        _ => Ok(()),
    }
}

/// Whether `argument` is one that `name` takes.
fn fits(name: &str, argument: &str) -> Result<(), String> {
    const HEADERS: [&str; 7] = [
        "REQ",
        "RESP",
        "TRAILER",
        "REQ_WITHOUT_QUERY",
        "REQUEST_HEADER",
        "RESPONSE_HEADER",
        "RESPONSE_TRAILER",
    ];
    let parts: Vec<&str> = argument.split(':').collect();
    let fine = match name {
        name if HEADERS.contains(&name) => {
            let names: Vec<&str> = argument.split('?').collect();
            names.len() <= 2 && names.iter().all(|name| is_header(name))
        }
        "PATH" => {
            let query = ["WQ", "NQ"].contains(&parts[0]);
            query && parts.get(1).is_none_or(|one| ["ORIG", "PATH", "ORIG_OR_PATH"].contains(one))
        }
        "FILTER_STATE" | "UPSTREAM_FILTER_STATE" => {
            let form = match parts.get(1) {
                Some(&"FIELD") => parts.get(2).is_some_and(|field| !field.is_empty()),
                form => form.is_none_or(|one| ["PLAIN", "TYPED"].contains(one)),
            };
            !parts[0].is_empty() && form
        }
        "GRPC_STATUS" => ["", "CAMEL_STRING", "SNAKE_STRING", "NUMBER"].contains(&argument),
        "METADATA" => HOLDERS.contains(&parts[0]),
        "COALESCE" => return operators(argument),
        "COMMON_DURATION" => parts.len() == 3 && ["ms", "us", "ns"].contains(&parts[2]),
        "START_TIME" | "START_TIME_LOCAL" | "EMIT_TIME" | "EMIT_TIME_LOCAL" => {
            !argument.contains('\n')
        }
        _ => true,
    };
    match fine {
        true => Ok(()),
        false => Err(format!("{name} does not take `{argument}`")),
    }
}

/// What a COALESCE tries in turn: commands by their name, or with a parameter.
fn operators(argument: &str) -> Result<(), String> {
    use serde_json::Value;
    let json = serde_json::from_str::<Value>(argument).ok();
    let operators = json.as_ref().and_then(|json| json.get("operators")?.as_array());
    let operators = operators.ok_or("COALESCE needs JSON with a list `operators`")?;
    operators.iter().try_for_each(|operator| {
        let part = |name: &str| operator.get(name).and_then(Value::as_str);
        let name = operator.as_str().or_else(|| part("command")).unwrap_or_default();
        known(&Command { name, argument: part("param"), length: false, behind: "" })
    })
}

/// A header's name, which may begin with a colon.
fn is_header(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "!#$&'*+-.^_`|~".contains(c);
    let name = name.strip_prefix(':').unwrap_or(name);
    name.chars().all(fits)
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
            ("%REQ(A):99999999999999999999%", Err("a % begins no command")),
            ("%REQ()%", Err("REQ needs an argument")),
            ("%REQ(a?b?c)%", Err("REQ does not take `a?b?c`")),
            ("%REQ(a b)%", Err("REQ does not take `a b`")),
            ("%PROTOCOL:5%", Err("PROTOCOL takes no length")),
            ("%PATH(WQ:NP)%", Err("PATH does not take `WQ:NP`")),
            ("%PATH(NQ:ORIG)%", Ok(())),
            ("%METADATA(VIRTUAL_HOST:a:b):5%", Ok(())),
            ("%METADATA(NOPE:a:b)%", Err("METADATA does not take `NOPE:a:b`")),
            ("%START_TIME(%s):5%", Err("START_TIME takes no length")),
            (
                "%COALESCE({\"operators\":[\"PROTOCOL\",{\"command\":\"REQ\",\"param\":\"a\"}]})%",
                Ok(()),
            ),
            ("%COALESCE({\"operators\":[\"REQ(a)\"]})%", Err("Envoy has no command REQ(a)")),
            ("%COALESCE({})%", Err("COALESCE needs JSON with a list `operators`")),
            ("%FILTER_STATE(a:NOPE)%", Err("FILTER_STATE does not take `a:NOPE`")),
        ] {
            assert_eq!(read(format, true), expected.map_err(str::to_owned), "{format}");
        }
        assert_eq!(read("%NO_SUCH(a)%", false), Ok(()));
    }
}
