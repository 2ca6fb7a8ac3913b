//! How values print into YAML, and the `yaml` filter.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind, Output, State};

/// Prints what `${{ … }}` came to: numbers, booleans and null as YAML has
/// them, text as it is, maps and lists in flow form.
pub(super) fn print(
    out: &mut Output<'_>,
    _: &mut State<'_, '_>,
    value: &Value,
) -> Result<(), Error> {
    match value.kind() {
        // `${{ x if y }}` without `else`.
        ValueKind::Undefined => Ok(()),
        ValueKind::String => Ok(out.write_str(value.as_str().unwrap_or_default())?),
        _ => Ok(out.write_str(&quoted(value)?)?),
    }
}

/// The `yaml` filter: any value as one safe YAML flow value, text in quotes.
pub(super) fn quoted(value: &Value) -> Result<String, Error> {
    match value.kind() {
        // The engine's own error knows which expression it was.
        ValueKind::Undefined => {
            value.get_attr("value").and(Err(Error::from(ErrorKind::UndefinedError)))
        }
        ValueKind::Number => Ok(number(value)),
        ValueKind::Bool
        | ValueKind::None
        | ValueKind::String
        | ValueKind::Seq
        | ValueKind::Map
        | ValueKind::Iterable => {
            let json = serde_json::to_string(value).map_err(|error| {
                Error::new(ErrorKind::BadSerialization, "not a value that YAML can hold")
                    .with_source(error)
            })?;
            Ok(escape(&json))
        }
        _ => Err(Error::new(
            ErrorKind::BadSerialization,
            format!("a {} can't be printed; call it, or print what it holds", value.kind()),
        )),
    }
}

fn number(value: &Value) -> String {
    let text = value.to_string();
    match text.as_str() {
        "inf" => ".inf".into(),
        "-inf" => "-.inf".into(),
        "NaN" | "nan" => ".nan".into(),
        _ => text,
    }
}

/// JSON lets some characters stand that YAML does not.
fn escape(json: &str) -> String {
    let unprintable =
        |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}');
    if !json.contains(unprintable) {
        return json.to_owned();
    }
    json.chars().fold(String::with_capacity(json.len() + 8), |mut text, c| {
        if unprintable(c) {
            text.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            text.push(c);
        }
        text
    })
}
