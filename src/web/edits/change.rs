//! One change of a commit as it is sent over the JSON API:
//!
//! ```text
//! {"path", "content"}                 writes a file; null removes it
//! {"path", "json_patch": [ … ]}       patches a JSON or YAML file (RFC 6902)
//! {"path", "text_patch": "@@ …"}      patches a text (unified diff)
//! {"rename": {"from", "to"}}          moves a file or a folder
//! ```
//!
//! each with an optional `expected`: a revision that the file must still be as
//! of, `"absent"`, or Git's name of its content. Without it, the file must be
//! as the commit's base revision had it.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use crate::model::{Change, FilePath, FileState, Precondition, Revision};

/// One change as it is sent.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Sent")]
pub(crate) struct ChangeIn {
    pub(crate) change: Change,
    /// What must hold of the file; `None`: it is as of the base revision.
    pub(crate) expected: Option<FileState>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    path: Option<FilePath>,
    /// The outer `None`: it was left out; the inner: it is null.
    #[serde(default, deserialize_with = "given")]
    content: Option<Option<String>>,
    json_patch: Option<Value>,
    text_patch: Option<String>,
    rename: Option<Rename>,
    expected: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rename {
    from: FilePath,
    to: FilePath,
}

fn given<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

impl TryFrom<Sent> for ChangeIn {
    type Error = String;

    fn try_from(sent: Sent) -> Result<Self, String> {
        let Sent { path, content, json_patch, text_patch, rename, expected } = sent;
        let change = match (path, content, json_patch, text_patch, rename) {
            (Some(path), Some(Some(text)), None, None, None) => {
                Change::Upsert(path, Bytes::from(text))
            }
            (Some(path), Some(None), None, None, None) => Change::Remove(path),
            (Some(path), None, Some(patch), None, None) => Change::PatchJson(path, patch),
            (Some(path), None, None, Some(patch), None) => Change::PatchText(path, patch),
            (None, None, None, None, Some(Rename { from, to })) => Change::Rename { from, to },
            (path, ..) => {
                let shown = path.map_or_else(String::new, |path| format!(" of `{path}`"));
                return Err(format!(
                    "a change{shown} is a `path` with one of `content` (null removes), \
                     `json_patch` and `text_patch`, or a `rename` with `from` and `to`"
                ));
            }
        };
        let expected = expected.filter(|value| !value.is_null());
        Ok(Self { change, expected: expected.map(|value| state(&value)).transpose()? })
    }
}

fn state(value: &Value) -> Result<FileState, String> {
    match value {
        Value::Number(number) => number.as_u64().map(|n| FileState::AsOf(Revision(n))),
        Value::String(text) if text == "absent" => Some(FileState::Absent),
        Value::String(text) => text.parse().ok().map(FileState::Content),
        _ => None,
    }
    .ok_or_else(|| {
        format!(
            "`expected` is a revision, \"absent\", or the 40 hex digits of a content, not {value}"
        )
    })
}

/// What must hold for changes that were made on top of `base`. A path that is
/// named twice is looked at once, as the first that names it says.
pub(crate) fn require(changes: &[ChangeIn], base: Revision) -> Vec<Precondition> {
    let mut states: BTreeMap<&FilePath, FileState> = BTreeMap::new();
    for ChangeIn { change, expected } in changes {
        let as_of = FileState::AsOf(base);
        let (path, target) = match change {
            Change::Rename { from, to } => (from, Some(to)),
            Change::Upsert(path, _)
            | Change::Remove(path)
            | Change::PatchJson(path, _)
            | Change::PatchText(path, _) => (path, None),
            Change::Restore(_) => continue,
        };
        states.entry(path).or_insert(expected.unwrap_or(as_of));
        if let Some(to) = target {
            states.entry(to).or_insert(as_of);
        }
    }
    let one = |(path, state): (&FilePath, FileState)| Precondition { path: path.clone(), state };
    states.into_iter().map(one).collect()
}

/// The changes as the store takes them.
pub(crate) fn as_changes(changes: &[ChangeIn]) -> Vec<Change> {
    changes.iter().map(|one| one.change.clone()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::BlobId;

    #[test]
    fn every_form_of_a_change_is_read() {
        let path = |text: &str| FilePath::new(text).unwrap();
        let read = |value: Value| serde_json::from_value::<ChangeIn>(value).unwrap();
        let check = |value: Value, expect: Change| assert_eq!(read(value).change, expect);
        check(json!({"path": "/a", "content": "x"}), Change::Upsert(path("a"), "x".into()));
        check(json!({"path": "a", "content": null}), Change::Remove(path("a")));
        check(json!({"path": "a", "json_patch": []}), Change::PatchJson(path("a"), json!([])));
        check(json!({"path": "a", "text_patch": "@@"}), Change::PatchText(path("a"), "@@".into()));
        let rename = Change::Rename { from: path("a"), to: path("b") };
        check(json!({"rename": {"from": "a", "to": "b"}}), rename);
        let expected =
            |value: Value| read(json!({"path": "a", "content": "x", "expected": value})).expected;
        assert_eq!(expected(json!(3)), Some(FileState::AsOf(Revision(3))));
        assert_eq!(expected(json!("absent")), Some(FileState::Absent));
        let blob = BlobId([0xab; 20]);
        assert_eq!(expected(json!("ab".repeat(20))), Some(FileState::Content(blob)));
        assert_eq!(expected(Value::Null), None);
    }

    #[test]
    fn what_is_no_change_is_refused() {
        for bad in [
            json!({}),
            json!({"path": "a"}),
            json!({"content": "x"}),
            json!({"path": "a", "content": "x", "text_patch": "y"}),
            json!({"path": "a", "rename": {"from": "a", "to": "b"}}),
            json!({"path": "a", "content": "x", "force": true}),
            json!({"path": "../a", "content": "x"}),
            json!({"path": "a", "content": "x", "expected": -1}),
            json!({"path": "a", "content": "x", "expected": "abc"}),
            json!({"path": "a", "content": 1}),
        ] {
            assert!(serde_json::from_value::<ChangeIn>(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn files_must_be_as_of_the_base_unless_said_otherwise() {
        let read = |value: Value| serde_json::from_value::<ChangeIn>(value).unwrap();
        let changes = [
            read(json!({"path": "a", "content": "x", "expected": "absent"})),
            read(json!({"rename": {"from": "b", "to": "c"}})),
            read(json!({"path": "c", "content": "x"})),
        ];
        let states = require(&changes, Revision(4));
        let shown: Vec<_> = states.iter().map(|one| (one.path.as_str(), one.state)).collect();
        let as_of = FileState::AsOf(Revision(4));
        assert_eq!(shown, [("a", FileState::Absent), ("b", as_of), ("c", as_of)]);
    }
}
