//! Changes as clients write them, turned into ours, and what a commit does to
//! a file turned into theirs.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::fault;
use super::names;
use super::request;
use crate::content::{self, EntryKind};
use crate::model::{Change, Effect, FilePath, Markup};
use crate::web::error::Fault;

/// Changes of one push.
const CHANGES_MAX: usize = 10_000;
/// The longest summary and detail together.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// A commit's message in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) text: String,
    pub(super) markup: Markup,
}

impl Message {
    /// Reads a `commitMessage`; `default` stands in for a missing summary.
    pub(super) fn parse(value: Option<&Value>, default: Option<String>) -> Result<Self, Fault> {
        let value = value.filter(|value| !value.is_null());
        let empty = Value::Object(Map::new());
        let value = match value {
            Some(value) if value.is_object() => value,
            None if default.is_some() => &empty,
            _ => return Err(fault::illegal("`commitMessage` is missing or no object")),
        };
        let summary = request::text(value, "summary")?.filter(|text| !text.is_empty());
        let summary = summary.map(str::to_owned).or(default);
        let summary = summary.ok_or_else(|| fault::illegal("`summary` is missing"))?;
        let detail = request::text(value, "detail")?.unwrap_or("");
        if summary.len() + detail.len() > MESSAGE_BYTES_MAX || summary.contains('\0') {
            return Err(fault::illegal(
                "the commit's message is longer than 64 KiB, or holds a NUL",
            ));
        }
        let markup = match request::text(value, "markup")? {
            Some(markup) if markup.eq_ignore_ascii_case("MARKDOWN") => Markup::Markdown,
            _ => Markup::Plaintext,
        };
        Ok(Self { text: joined(&summary, detail), markup })
    }
}

/// Summary and detail as Git keeps them: with an empty line between.
pub(crate) fn joined(summary: &str, detail: &str) -> String {
    if detail.is_empty() { summary.to_owned() } else { format!("{summary}\n\n{detail}") }
}

/// A push: its message and its changes.
#[derive(Debug)]
pub(super) struct Push {
    pub(super) message: Message,
    pub(super) changes: Vec<Change>,
}

impl Push {
    /// Reads a push's body.
    pub(super) fn parse(body: &Value) -> Result<Self, Fault> {
        let changes = changes(body)?;
        // A body that is the list itself has no place for a message.
        let default = body.is_array().then(|| format!("Change {} files", changes.len()));
        let message = Message::parse(body.get("commitMessage"), default)?;
        Ok(Self { message, changes })
    }
}

/// Reads changes: a list, a single one, either of them as `changes`.
pub(super) fn changes(body: &Value) -> Result<Vec<Change>, Fault> {
    let given = match body.get("changes") {
        Some(inner) => inner,
        None if body.get("commitMessage").is_some() => {
            return Err(fault::illegal("`changes` is missing"));
        }
        None => body,
    };
    let list = match given {
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    if list.is_empty() {
        return Err(fault::illegal("`changes` is empty; send at least one change"));
    }
    if list.len() > CHANGES_MAX {
        let text = format!("{} changes; send at most {CHANGES_MAX} at once", list.len());
        return Err(fault::illegal(text));
    }
    list.iter().map(change).collect()
}

fn change(value: &Value) -> Result<Change, Fault> {
    if !value.is_object() {
        return Err(fault::illegal("a change is an object with `path` and `type`"));
    }
    let kind = request::required(value, "type")?;
    let path = names::file(request::required(value, "path")?)?;
    let content = value.get("content").filter(|content| !content.is_null());
    let raw = request::text(value, "rawContent")?;
    if kind == "REMOVE" {
        return Ok(Change::Remove(path));
    }
    let sent = match (content, raw) {
        (Some(_), Some(_)) => {
            let text = format!("`/{path}`: send `content` or `rawContent`, not both");
            return Err(fault::illegal(text));
        }
        (None, None) => return Err(fault::illegal(format!("`/{path}`: `content` is missing"))),
        (Some(content), None) => Sent::Value(content),
        (None, Some(raw)) => Sent::Raw(raw),
    };
    match kind {
        "UPSERT_JSON" => upsert_tree(path, EntryKind::Json, &sent),
        "UPSERT_YAML" => upsert_tree(path, EntryKind::Yaml, &sent),
        "UPSERT_TEXT" => upsert_text(path, sent.text()?),
        "RENAME" => Ok(Change::Rename { from: path, to: names::file(sent.text()?)? }),
        "APPLY_JSON_PATCH" => Ok(Change::PatchJson(path, sent.value()?)),
        "APPLY_TEXT_PATCH" => Ok(Change::PatchText(path, sent.text()?.to_owned())),
        other => {
            let text = format!("`/{path}`: there is no change of type `{}`", other.escape_debug());
            Err(fault::illegal(text))
        }
    }
}

/// A change's content, as it came.
enum Sent<'a> {
    Value(&'a Value),
    Raw(&'a str),
}

impl Sent<'_> {
    fn text(&self) -> Result<&str, Fault> {
        match self {
            Self::Raw(text) => Ok(text),
            Self::Value(Value::String(text)) => Ok(text),
            Self::Value(_) => Err(fault::illegal("this change's `content` is no text")),
        }
    }

    fn value(&self) -> Result<Value, Fault> {
        match self {
            Self::Value(value) => Ok((*value).clone()),
            Self::Raw(text) => serde_json::from_str(text)
                .map_err(|error| fault::bad_change(format!("the content is no JSON: {error}"))),
        }
    }
}

/// A JSON or YAML file: from a tree as it is printed, from a text as it is.
fn upsert_tree(path: FilePath, kind: EntryKind, sent: &Sent<'_>) -> Result<Change, Fault> {
    if EntryKind::of(&path) != kind {
        let text = format!("`/{path}`: the name is not that of a {} file", name_of(kind));
        return Err(fault::bad_change(text));
    }
    let text = match sent {
        Sent::Raw(raw) => (*raw).to_owned(),
        // A text is a YAML file's text; in JSON it is a value like any other.
        Sent::Value(Value::String(text)) if kind == EntryKind::Yaml => sanitised(text),
        Sent::Value(value) => content::pretty(kind, value),
    };
    checked(path, text)
}

fn upsert_text(path: FilePath, text: &str) -> Result<Change, Fault> {
    checked(path, sanitised(text))
}

fn checked(path: FilePath, text: String) -> Result<Change, Fault> {
    content::check(&path, &text)
        .map_err(|error| fault::bad_change(format!("`/{path}`: {error}")))?;
    Ok(Change::Upsert(path, Bytes::from(text)))
}

/// A text as it is stored: without carriage returns, with a line's end last.
fn sanitised(text: &str) -> String {
    let mut text = text.replace('\r', "");
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn name_of(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Json => "JSON",
        EntryKind::Yaml => "YAML",
        EntryKind::Text => "text",
    }
}

/// Whether the files that a commit leaves must be looked at once more: their
/// content came by a patch, or under another name.
pub(super) fn needs_look(changes: &[Change]) -> bool {
    changes.iter().any(|change| {
        matches!(change, Change::Rename { .. } | Change::PatchText(..) | Change::PatchJson(..))
    })
}

/// Refuses files that are not what their names say.
pub(super) fn check_effects(effects: &[Effect]) -> Result<(), Fault> {
    for effect in effects {
        let Some(after) = &effect.after else { continue };
        let Ok(text) = std::str::from_utf8(after) else { continue };
        content::check(&effect.path, text)
            .map_err(|error| fault::bad_change(format!("`/{}`: {error}", effect.path)))?;
    }
    Ok(())
}

/// What happened to one file, as a change; `None` where it is no text.
pub(super) fn told(effect: &Effect) -> Option<Value> {
    let path = format!("/{}", effect.path);
    let text = |bytes: &Bytes| std::str::from_utf8(bytes).ok().map(str::to_owned);
    let Some(after) = &effect.after else {
        return Some(json!({ "path": path, "type": "REMOVE" }));
    };
    let after = text(after)?;
    let kind = EntryKind::of(&effect.path);
    let parse = |text: &str| content::parse(&effect.path, text).ok();
    let Some(before) = &effect.before else {
        return Some(match (kind, parse(&after)) {
            (EntryKind::Json, Some(tree)) => {
                json!({ "path": path, "type": "UPSERT_JSON", "content": tree })
            }
            (EntryKind::Yaml, _) => {
                json!({ "path": path, "type": "UPSERT_YAML", "content": after })
            }
            _ => json!({ "path": path, "type": "UPSERT_TEXT", "content": after }),
        });
    };
    let before = text(before)?;
    if kind != EntryKind::Text
        && let (Some(before), Some(after)) = (parse(&before), parse(&after))
    {
        let patch = content::json_diff(&before, &after);
        return Some(json!({ "path": path, "type": "APPLY_JSON_PATCH", "content": patch }));
    }
    let patch = content::text_diff(&before, &after);
    Some(json!({ "path": path, "type": "APPLY_TEXT_PATCH", "content": patch }))
}

/// What happened to the values that a query finds in one file.
pub(super) fn told_values(path: &FilePath, before: Option<Value>, after: Option<Value>) -> Value {
    let path = format!("/{path}");
    match (before, after) {
        (Some(before), Some(after)) => {
            let patch = content::json_diff(&before, &after);
            json!({ "path": path, "type": "APPLY_JSON_PATCH", "content": patch })
        }
        (_, Some(after)) => json!({ "path": path, "type": "UPSERT_JSON", "content": after }),
        (_, None) => json!({ "path": path, "type": "REMOVE" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_in_every_form() {
        let one = json!({ "path": "/a.txt", "type": "UPSERT_TEXT", "content": "a\r\nb" });
        let path = FilePath::new("a.txt").expect("a path");
        let expect = vec![Change::Upsert(path, Bytes::from_static(b"a\nb\n"))];
        for body in
            [one.clone(), json!([one]), json!({ "changes": one }), json!({ "changes": [one] })]
        {
            assert_eq!(changes(&body).expect("changes"), expect, "{body}");
        }
    }

    #[test]
    fn nulls_are_as_good_as_nothing() {
        let body = json!({
            "commitMessage": { "summary": "s", "detail": null, "markup": null },
            "changes": [{ "path": "/a", "type": "REMOVE", "content": null }],
        });
        let push = Push::parse(&body).expect("a push");
        assert_eq!(push.message, Message { text: "s".into(), markup: Markup::Plaintext });
        assert_eq!(push.changes, [Change::Remove(FilePath::new("a").expect("a path"))]);
    }

    #[test]
    fn what_is_no_change_is_refused() {
        let of = |kind: &str, path: &str, rest: Value| {
            let mut body = json!({ "path": path, "type": kind });
            body.as_object_mut()
                .expect("fields")
                .extend(rest.as_object().cloned().expect("fields"));
            body
        };
        for bad in [
            json!([]),
            json!("x"),
            json!([1]),
            json!({}),
            json!({ "commitMessage": { "summary": "s" } }),
            of("UPSERT_TEXT", "/a", json!({})),
            of("UPSERT_TEXT", "/a", json!({ "content": null })),
            of("UPSERT_TEXT", "/a", json!({ "content": "a", "rawContent": "a" })),
            of("UPSERT_TEXT", "/a", json!({ "content": { "a": 1 } })),
            of("UPSERT_TEXT", "/ü", json!({ "content": "a" })),
            of("UPSERT_TEXT", "/a/", json!({ "content": "a" })),
            of("UPSERT_TEXT", "/../a", json!({ "content": "a" })),
            of("UPSERT_TEXT", "/a.json", json!({ "content": "{" })),
            of("UPSERT_JSON", "/a.txt", json!({ "content": {} })),
            of("UPSERT_JSON", "/a.json", json!({ "rawContent": "{" })),
            of("UPSERT_YAML", "/a.json", json!({ "content": "a: 1" })),
            of("RENAME", "/a", json!({ "content": "b c" })),
            of("RENAME", "/a", json!({ "content": 1 })),
            of("EXPLODE", "/a", json!({ "content": "a" })),
            json!({ "path": "/a", "content": "a" }),
            json!({ "type": "REMOVE" }),
        ] {
            let fault = changes(&bad).expect_err(&bad.to_string());
            assert_eq!(fault.status.as_u16(), 400, "{bad}");
        }
    }

    #[test]
    fn a_message_needs_a_summary() {
        for bad in [json!({}), json!({ "summary": "" }), json!({ "summary": 1 }), json!("s")] {
            assert!(Message::parse(Some(&bad), None).is_err(), "{bad}");
        }
        let full = json!({ "summary": "s", "detail": "d\n", "markup": "MARKDOWN" });
        let message = Message::parse(Some(&full), None).expect("a message");
        assert_eq!(message, Message { text: "s\n\nd\n".into(), markup: Markup::Markdown });
    }
}
