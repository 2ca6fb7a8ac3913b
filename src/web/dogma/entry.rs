//! Entries: what a file comes to under a query, and its JSON, written without
//! parsing where the stored text can stand in it as it is.

use std::collections::HashSet;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::fault;
use super::request::Params;
use crate::content::{self, EntryKind};
use crate::model::{BlobId, FilePath, RepoName, Revision};
use crate::store::FileAt;
use crate::web::error::Fault;

/// Contents whose text is known to be strict JSON are remembered up to twice
/// this many.
const KNOWN_MAX: usize = 8192;

/// What is asked of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    form: Form,
    /// The text as it is stored, under a name of its own.
    raw: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Identity,
    Text,
    Json,
    Yaml,
    Paths(Vec<String>),
}

impl Query {
    /// The file as it is.
    pub(super) const IDENTITY: Self = Self { form: Form::Identity, raw: false };

    /// Reads `jsonpath`, `queryType` and `viewRaw`.
    pub(super) fn parse(params: &Params<'_>) -> Result<Self, Fault> {
        if params.flag("renderTemplate")? || params.get("variableFile").is_some() {
            return Err(fault::unsupported(
                "Convoy renders no template for a reader: render with `convoy render` and commit \
                 the result, or let Envoys subscribe to the rendered stages",
            ));
        }
        let raw = params.flag("viewRaw")?;
        let paths: Vec<String> = params.all("jsonpath");
        if !paths.is_empty() {
            return Ok(Self { form: Form::Paths(paths), raw: false });
        }
        let form = match params.get("queryType") {
            None | Some("" | "IDENTITY") => Form::Identity,
            Some("IDENTITY_TEXT") => Form::Text,
            Some("IDENTITY_JSON") => Form::Json,
            Some("IDENTITY_YAML") => Form::Yaml,
            Some("JSON_PATH") => return Err(fault::illegal("queryType: JSON_PATH needs jsonpath")),
            Some(other) => {
                let text = format!("queryType: `{}` is none", other.escape_debug());
                return Err(fault::illegal(text));
            }
        };
        Ok(Self { form, raw })
    }

    /// Whether one file must be named for it.
    pub(super) fn is_of_one_file(&self) -> bool {
        self.form != Form::Identity
    }
}

/// What a file comes to.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    kind: &'static str,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    /// A JSON text.
    Json(Bytes),
    /// A text, to be written as a string.
    Text(Bytes),
    /// The same, under the name `rawContent`.
    Raw(Bytes),
    /// The same, under both names.
    Both(Bytes),
}

impl PartialEq for Entry {
    /// JSON is compared as a value: other white space is no change.
    fn eq(&self, other: &Self) -> bool {
        let parse = |bytes: &Bytes| serde_json::from_slice::<Value>(bytes).ok();
        self.kind == other.kind
            && match (&self.content, &other.content) {
                (Content::Json(a), Content::Json(b)) => a == b || parse(a) == parse(b),
                (Content::Text(a), Content::Text(b))
                | (Content::Raw(a), Content::Raw(b))
                | (Content::Both(a), Content::Both(b)) => a == b,
                _ => false,
            }
    }
}

/// Which contents are strict JSON, by their names.
#[derive(Debug, Default)]
pub(super) struct StrictJson {
    /// The younger and the older generation.
    known: Mutex<(HashSet<BlobId>, HashSet<BlobId>)>,
}

impl StrictJson {
    /// Whether a content's text can stand in an answer as it is.
    fn holds(&self, file: &FileAt) -> bool {
        let known = |known: &(HashSet<BlobId>, HashSet<BlobId>)| {
            known.0.contains(&file.blob) || known.1.contains(&file.blob)
        };
        if known(&self.known.lock().unwrap_or_else(PoisonError::into_inner)) {
            return true;
        }
        let strict = serde_json::from_slice::<IgnoredAny>(&file.content).is_ok();
        if strict {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.0.len() >= KNOWN_MAX {
                known.1 = std::mem::take(&mut known.0);
            }
            known.0.insert(file.blob);
        }
        strict
    }
}

/// Evaluates a query on a file.
pub(super) fn evaluate(
    strict: &StrictJson,
    path: &FilePath,
    file: &FileAt,
    query: &Query,
) -> Result<Entry, Fault> {
    let text = std::str::from_utf8(&file.content).map_err(|_| {
        let text = format!("`/{path}` is not UTF-8; Convoy's own API reads its bytes");
        fault::unsupported(text)
    })?;
    let kind = EntryKind::of(path);
    let whole = || file.content.clone();
    let unfit = |what: &str| {
        fault::query_failed(format!("`/{path}`: a query of type {what} does not read it"))
    };
    match &query.form {
        Form::Paths(paths) => select(path, text, paths),
        Form::Text => Ok(Entry { kind: "TEXT", content: Content::Text(whole()) }),
        Form::Json if kind != EntryKind::Json => Err(unfit("IDENTITY_JSON")),
        Form::Yaml if kind != EntryKind::Yaml => Err(unfit("IDENTITY_YAML")),
        Form::Identity | Form::Json | Form::Yaml if query.raw => Ok(match kind {
            EntryKind::Json => Entry { kind: "JSON", content: Content::Raw(whole()) },
            EntryKind::Yaml => Entry { kind: "YAML", content: Content::Raw(whole()) },
            EntryKind::Text => Entry { kind: "TEXT", content: Content::Both(whole()) },
        }),
        form => match kind {
            EntryKind::Json if strict.holds(file) => {
                Ok(Entry { kind: "JSON", content: Content::Json(whole()) })
            }
            EntryKind::Json => match content::parse(path, text) {
                Ok(value) => Ok(Entry { kind: "JSON", content: Content::Json(dump(&value)) }),
                Err(error) if *form == Form::Json => {
                    Err(fault::query_failed(format!("`/{path}`: {error}")))
                }
                // A mirrored file may be broken; its text is still its text.
                Err(_) => Ok(Entry { kind: "TEXT", content: Content::Text(whole()) }),
            },
            // Older clients know no type of YAML.
            EntryKind::Yaml | EntryKind::Text => {
                Ok(Entry { kind: "TEXT", content: Content::Text(whole()) })
            }
        },
    }
}

fn select(path: &FilePath, text: &str, paths: &[String]) -> Result<Entry, Fault> {
    let failed = |error: content::ContentError| {
        let fault = fault::content(&error);
        Fault { message: format!("`/{path}`: {error}"), ..fault }
    };
    if EntryKind::of(path) == EntryKind::Text {
        return Err(fault::query_failed(format!("`/{path}` is no JSON or YAML file")));
    }
    let document = content::parse(path, text)
        .map_err(|error| fault::query_failed(format!("`/{path}`: {error}")))?;
    let found = content::select_in_sequence(&document, paths).map_err(failed)?;
    Ok(Entry { kind: "JSON", content: Content::Json(dump(&found)) })
}

fn dump(value: &Value) -> Bytes {
    Bytes::from(value.to_string())
}

/// Where an entry is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) repo: &'a RepoName,
    pub(super) revision: Revision,
    pub(super) path: &'a str,
}

/// Writes an entry; `None` is a folder's, or one without its content.
pub(super) fn write(out: &mut Vec<u8>, place: Place<'_>, kind: &str, entry: Option<&Entry>) {
    // Writing to memory does not fail; what is written raw needs no escape.
    let Place { repo, revision, path } = place;
    let kind = entry.map_or(kind, |entry| entry.kind);
    let _ = write!(out, r#"{{"revision":{revision},"path":"/{path}","type":"{kind}""#);
    match entry.map(|entry| &entry.content) {
        None => {}
        Some(Content::Json(json)) => {
            out.extend_from_slice(b",\"content\":");
            out.extend_from_slice(json.trim_ascii());
        }
        Some(Content::Text(text)) => string(out, "content", text),
        Some(Content::Raw(text)) => string(out, "rawContent", text),
        Some(Content::Both(text)) => {
            string(out, "content", text);
            string(out, "rawContent", text);
        }
    }
    let (project, name) = (repo.project(), repo.repository());
    let _ = write!(out, r#","url":"/api/v1/projects/{project}/repos/{name}/contents/{path}"}}"#);
}

fn string(out: &mut Vec<u8>, name: &str, text: &[u8]) {
    let _ = write!(out, ",\"{name}\":");
    let _ = serde_json::to_writer(&mut *out, &String::from_utf8_lossy(text));
}

/// What a file is called in a list, without looking into it.
pub(super) fn listed_kind(path: &FilePath) -> &'static str {
    match EntryKind::of(path) {
        EntryKind::Json => "JSON",
        EntryKind::Yaml | EntryKind::Text => "TEXT",
    }
}
