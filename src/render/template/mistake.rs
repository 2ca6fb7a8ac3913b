//! What the template engine says, as a problem with its place.

use minijinja::value::Value;
use minijinja::{Error, ErrorKind};

use super::scan::advance;
use super::sources::Sources;
use crate::model::{FilePath, Place, Problem, did_you_mean, nearest};

/// What the bounded output says when it is full.
pub(super) const TOO_LONG: &str = "the output is longer than 8 MiB";

/// The problem behind an error of running `file`, whose text as run is
/// `plain`.
pub(super) fn problem(
    file: &FilePath,
    plain: &str,
    sources: &Sources,
    values: &Value,
    error: &Error,
) -> Problem {
    let innermost = innermost(error);
    let place = place(file, plain, sources, innermost);
    let detail = innermost.detail().unwrap_or_default();
    match innermost.kind() {
        ErrorKind::UndefinedError => {
            let written = || expression(file, plain, sources, innermost);
            let named = detail.split('`').nth(1).map(str::to_owned).or_else(written);
            undefined(place, named.as_deref(), values)
        }
        ErrorKind::SyntaxError => Problem::new(place, "template-syntax", sentence(detail)),
        ErrorKind::OutOfFuel => Problem::new(
            place,
            "template-budget",
            "the template runs too long: it was stopped after 5,000,000 steps",
        ),
        ErrorKind::TemplateNotFound => missing(place, detail, sources),
        ErrorKind::WriteFailure => Problem::new(place, "template-budget", TOO_LONG),
        _ if detail.contains("recursion limit") => {
            Problem::new(place, "template-budget", "macros or includes nest too deep")
        }
        kind => {
            let kind = kind.to_string();
            let message = if detail.is_empty() { kind } else { format!("{kind}: {detail}") };
            Problem::new(place, "template-error", sentence(&message))
        }
    }
}

/// An include or a block wraps the error of what it ran.
fn innermost(error: &Error) -> &Error {
    let mut found = error;
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        if let Some(inner) = source.downcast_ref::<Error>()
            && inner.line().is_some()
        {
            found = inner;
        }
        next = source.source();
    }
    found
}

/// The file that an error is in, and its text as run.
fn origin(file: &FilePath, plain: &str, sources: &Sources, error: &Error) -> (FilePath, String) {
    let name = error.name().unwrap_or(file.as_str());
    match sources.plain(name) {
        Some(text) if name != file.as_str() => {
            (FilePath::new(name).unwrap_or_else(|_| file.clone()), text)
        }
        _ => (file.clone(), plain.to_owned()),
    }
}

/// The name that stands where the error is, if it is a plain one.
fn expression(file: &FilePath, plain: &str, sources: &Sources, error: &Error) -> Option<String> {
    let (_, text) = origin(file, plain, sources, error);
    let from = text.get(error.range()?.start..)?;
    let end = from.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'));
    let name = from.get(..end.unwrap_or(from.len()))?;
    (!name.is_empty()).then(|| name.to_owned())
}

fn place(file: &FilePath, plain: &str, sources: &Sources, error: &Error) -> Place {
    let (file, text) = origin(file, plain, sources, error);
    let exact = error.range().and_then(|range| text.get(..range.start));
    let (line, column) = match exact {
        Some(before) => advance((1, 1), before),
        None => (error.line().map_or(0, |line| u32::try_from(line).unwrap_or(0)), 0),
    };
    Place { file, line, column }
}

/// The expression is named by the engine's detail, `` `users.name` is
/// undefined ``, or by what is written there.
fn undefined(place: Place, named: Option<&str>, values: &Value) -> Problem {
    let Some(expression) = named else {
        return Problem::new(place, "undefined-variable", "the value is not defined");
    };
    let problem =
        Problem::new(place, "undefined-variable", format!("`{expression}` is not defined"));
    match near(expression, values) {
        Some(near) => problem.with_hint(format!("did you mean `{near}`?")),
        None => problem.with_hint("define it in `values/common.yaml` or in the stage's values"),
    }
}

/// The nearest name that is defined beside the first part that is not.
fn near(expression: &str, values: &Value) -> Option<String> {
    let mut scope = values.clone();
    let mut path = String::new();
    for part in expression.split('.') {
        let inner = scope.get_attr(part).ok()?;
        if inner.is_undefined() {
            let keys: Vec<String> = scope.try_iter().ok()?.map(|key| key.to_string()).collect();
            let near = nearest(part, keys.iter().map(String::as_str))?;
            return Some(format!("{path}{near}"));
        }
        path = format!("{path}{part}.");
        scope = inner;
    }
    None
}

fn missing(place: Place, detail: &str, sources: &Sources) -> Problem {
    let name = Sources::full_name(detail.split(['"', '\'']).nth(1).unwrap_or(detail));
    let problem = Problem::new(place, "template-missing", format!("there is no template `{name}`"));
    let hint = did_you_mean(&name, sources.names());
    let folder = || "templates to import or include lie under `templates/`".into();
    problem.with_hint(hint.unwrap_or_else(folder))
}

fn sentence(text: &str) -> String {
    text.trim_end_matches('.').to_owned()
}
