//! How differences of files are said, wherever they come from.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use crate::content::{self, EntryKind};
use crate::feed::Entry;
use crate::model::{BlobId, FilePath};

/// Above this many bytes a content is not compared.
const COMPARED_BYTES_MAX: usize = 1 << 20;

/// A file that differs.
#[derive(Debug, Serialize)]
pub(super) struct Difference {
    path: FilePath,
    change: Kind,
    /// Git's names of the contents; null: it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<BlobId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<BlobId>,
    /// The unified diff; null: too large, or not text.
    text_diff: Option<String>,
    /// The JSON patch (RFC 6902) of a JSON or YAML file; null: it is none, or
    /// was not there before or after.
    json_patch: Option<Value>,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Added,
    Modified,
    Removed,
}

impl Kind {
    /// By whether it was there and is there.
    pub(super) fn of(before: bool, after: bool) -> Self {
        match (before, after) {
            (false, _) => Self::Added,
            (true, true) => Self::Modified,
            (true, false) => Self::Removed,
        }
    }
}

/// One side of a difference.
pub(super) struct Side {
    pub(super) blob: Option<BlobId>,
    /// `None`: not there, or not read.
    pub(super) content: Option<Bytes>,
    pub(super) there: bool,
}

impl Difference {
    /// What differs between two sides.
    pub(super) fn of(path: FilePath, before: Side, after: Side) -> Self {
        let change = Kind::of(before.there, after.there);
        let (old, new) = (before.text(), after.text());
        let texts = old.zip(new);
        let text_diff = texts.map(|(old, new)| content::text_diff(old, new));
        let both = texts.filter(|_| before.there && after.there);
        let json_patch = both.and_then(|(old, new)| json_patch(&path, old, new));
        Self { path, change, before: before.blob, after: after.blob, text_diff, json_patch }
    }
}

impl Side {
    fn text(&self) -> Option<&str> {
        if !self.there {
            return Some("");
        }
        let content = self.content.as_deref().filter(|all| all.len() <= COMPARED_BYTES_MAX)?;
        std::str::from_utf8(content).ok()
    }
}

fn json_patch(path: &FilePath, old: &str, new: &str) -> Option<Value> {
    if EntryKind::of(path) == EntryKind::Text {
        return None;
    }
    let (old, new) = (content::parse(path, old).ok()?, content::parse(path, new).ok()?);
    Some(content::json_diff(&old, &new))
}

/// A changed file with its content, for watchers.
#[derive(Debug, Serialize)]
pub(super) struct EntryLine {
    path: FilePath,
    change: Kind,
    /// Git's name of the content; null: it is not there any more.
    blob: Option<BlobId>,
    /// Its size; null: it was not looked at.
    size: Option<u64>,
    /// The text; null: it is large, not text, or removed. `raw/` has it.
    content: Option<String>,
}

impl From<Entry> for EntryLine {
    fn from(entry: Entry) -> Self {
        let text = |content: Bytes| String::from_utf8(content.into()).ok();
        Self {
            path: entry.path,
            change: Kind::of(entry.before.is_some(), entry.after.is_some()),
            blob: entry.after,
            size: entry.size,
            content: entry.content.and_then(text),
        }
    }
}
