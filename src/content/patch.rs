//! Patches: RFC 6902 on JSON and YAML files, unified diffs on text.
//!
//! The operations are applied here rather than by the `json-patch` crate: it
//! moves the last key into the place of one that is removed, and has no bound
//! on what a row of `copy` can grow to.

use serde_json::Value;

use super::ContentError;
use super::kind::{self, DEPTH_MAX, EntryKind};
use crate::model::FilePath;

/// Operations of one patch.
const OPERATIONS_MAX: usize = 10_000;
/// What copies may add, in bytes of text and 16 for each value.
const COPIED_BYTES_MAX: usize = 16 << 20;
/// Hunks times lines: every hunk may be looked for in the whole text.
const HUNK_LINES_MAX: usize = 500_000_000;

/// Applies a JSON patch to the text of a JSON or YAML file and gives the new
/// text. Besides RFC 6902 it knows Central Dogma's `safeReplace`,
/// `testAbsence` and `removeIfExists`. Comments of YAML and JSON5 are lost.
///
/// # Errors
/// [`ContentError::BadPatch`], or [`ContentError::Mismatch`] naming the
/// operation and the pointer.
pub fn patch_json(path: &FilePath, text: &str, patch: &Value) -> Result<String, ContentError> {
    let operations = operations(patch)?;
    let kind = EntryKind::of(path);
    let several = kind == EntryKind::Yaml && kind::parse_documents(text)?.len() > 1;
    let mut document = kind::parse(path, text)?;
    let mut copied = 0;
    for (number, operation) in operations.iter().enumerate() {
        operation.apply(&mut document, &mut copied).map_err(|why| {
            let Operation { name, path, .. } = operation;
            let pointer = if path.is_empty() { "the whole document" } else { path };
            ContentError::Mismatch(format!("operation {number} (`{name}` of `{pointer}`): {why}"))
        })?;
    }
    match document {
        // What was several documents stays so.
        Value::Array(documents) if several => {
            let texts = documents.iter().map(|document| kind::pretty(kind, document));
            Ok(texts.collect::<Vec<_>>().join("---\n"))
        }
        document => Ok(kind::pretty(kind, &document)),
    }
}

/// Applies a unified diff to a text.
///
/// # Errors
/// [`ContentError::BadPatch`], or [`ContentError::Mismatch`] naming the hunk.
pub fn patch_text(text: &str, patch: &str) -> Result<String, ContentError> {
    let bad = |why: String| ContentError::BadPatch(format!("not a unified diff: {why}"));
    // Some writers leave the last line break out.
    let mut patch = patch.to_owned();
    if !patch.ends_with('\n') {
        patch.push('\n');
    }
    let parsed = diffy::Patch::from_str(&patch).map_err(|error| bad(error.to_string()))?;
    let hunks = parsed.hunks().len();
    if hunks == 0 {
        return Err(bad("it has no hunk; one begins with `@@ -1,3 +1,4 @@`".into()));
    }
    let lines = text.split_inclusive('\n').count();
    if hunks.saturating_mul(lines) > HUNK_LINES_MAX {
        return Err(ContentError::BadPatch(format!(
            "{hunks} hunks on a text of {lines} lines are too many; send the whole text"
        )));
    }
    diffy::apply(text, &parsed).map_err(|error| {
        ContentError::Mismatch(format!(
            "{error}: the lines that it changes are not in the text as it is now"
        ))
    })
}

/// One operation, read but not yet looked at against a document.
struct Operation<'p> {
    name: &'p str,
    path: &'p str,
    act: Act<'p>,
}

enum Act<'p> {
    Add(&'p Value),
    Remove,
    RemoveIfExists,
    Replace(&'p Value),
    SafeReplace { old: &'p Value, new: &'p Value },
    Move { from: &'p str },
    Copy { from: &'p str },
    Test(&'p Value),
    TestAbsence,
}

fn operations(patch: &Value) -> Result<Vec<Operation<'_>>, ContentError> {
    let bad = |why: String| ContentError::BadPatch(format!("not a JSON patch: {why}"));
    let list = match patch {
        Value::Array(list) => list.as_slice(),
        Value::Object(_) => std::slice::from_ref(patch),
        _ => return Err(bad("it is neither an operation nor an array of such".into())),
    };
    if list.len() > OPERATIONS_MAX {
        return Err(bad(format!("it has more than {OPERATIONS_MAX} operations")));
    }
    let read = |(number, value)| {
        Operation::read(value).map_err(|why| bad(format!("operation {number}: {why}")))
    };
    list.iter().enumerate().map(read).collect()
}

impl<'p> Operation<'p> {
    fn read(value: &'p Value) -> Result<Self, String> {
        let text = |key: &str| {
            let text = value.get(key).ok_or_else(|| format!("it has no `{key}`"))?;
            text.as_str().ok_or_else(|| format!("its `{key}` is not a text"))
        };
        let any = |key: &str| value.get(key).ok_or_else(|| format!("it has no `{key}`"));
        let name = text("op")?;
        let act = match name {
            "add" => Act::Add(any("value")?),
            "remove" => Act::Remove,
            "removeIfExists" => Act::RemoveIfExists,
            "replace" => Act::Replace(any("value")?),
            "safeReplace" => Act::SafeReplace { old: any("oldValue")?, new: any("value")? },
            "move" => Act::Move { from: pointer(text("from")?)? },
            "copy" => Act::Copy { from: pointer(text("from")?)? },
            "test" => Act::Test(any("value")?),
            "testAbsence" => Act::TestAbsence,
            _ => {
                return Err(format!(
                    "`{}` is no operation; there are add, remove, replace, move, copy, test, \
                     safeReplace, removeIfExists and testAbsence",
                    name.escape_debug()
                ));
            }
        };
        Ok(Self { name, path: pointer(text("path")?)?, act })
    }

    fn apply(&self, document: &mut Value, copied: &mut usize) -> Result<(), String> {
        match &self.act {
            Act::Add(value) => add(document, self.path, (*value).clone()),
            Act::Remove => remove(document, self.path).map(drop),
            Act::RemoveIfExists => {
                if document.pointer(self.path).is_some() {
                    remove(document, self.path)?;
                }
                Ok(())
            }
            Act::Replace(value) => replace(document, self.path, (*value).clone()),
            Act::SafeReplace { old, new } => {
                test(document, self.path, old)?;
                replace(document, self.path, (*new).clone())
            }
            Act::Move { from } => {
                let inside = self.path.strip_prefix(from);
                if inside.is_some_and(|rest| rest.starts_with('/')) {
                    return Err(format!("`{from}` can't be moved into itself"));
                }
                if *from == self.path {
                    return found(document, from).map(drop);
                }
                let value = remove(document, from)?;
                add(document, self.path, value)
            }
            Act::Copy { from } => {
                let value = found(document, from)?.clone();
                *copied += weight(&value);
                if *copied > COPIED_BYTES_MAX {
                    return Err("the copies of this patch are too large".into());
                }
                add(document, self.path, value)
            }
            Act::Test(value) => test(document, self.path, value),
            Act::TestAbsence => match document.pointer(self.path) {
                None => Ok(()),
                Some(_) => Err("there is a value".into()),
            },
        }
    }
}

fn pointer(text: &str) -> Result<&str, String> {
    let refuse = |why: &str| Err(format!("`{}` is no JSON pointer: {why}", text.escape_debug()));
    if !text.is_empty() && !text.starts_with('/') {
        return refuse("it doesn't begin with `/`");
    }
    let escapes = text.match_indices('~').map(|(at, _)| text.as_bytes().get(at + 1));
    for next in escapes {
        if !matches!(next, Some(b'0' | b'1')) {
            return refuse("`~` is written `~0`, and `/` within a key `~1`");
        }
    }
    Ok(text)
}

fn found<'d>(document: &'d Value, path: &str) -> Result<&'d Value, String> {
    document.pointer(path).ok_or_else(|| format!("there is nothing at `{path}`"))
}

fn test(document: &Value, path: &str, expected: &Value) -> Result<(), String> {
    let actual = found(document, path)?;
    if same(actual, expected) {
        return Ok(());
    }
    Err(format!("the value is {}, not {}", brief(actual), brief(expected)))
}

fn replace(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    fits(path, &value)?;
    let target = document.pointer_mut(path);
    *target.ok_or_else(|| format!("there is nothing at `{path}`"))? = value;
    Ok(())
}

fn add(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    fits(path, &value)?;
    let Some((parent, key)) = path.rsplit_once('/') else {
        *document = value;
        return Ok(());
    };
    match document.pointer_mut(parent) {
        Some(Value::Object(map)) => {
            map.insert(unescape(key), value);
            Ok(())
        }
        Some(Value::Array(list)) => {
            let length = list.len();
            let at = if key == "-" { Some(length) } else { index(key) };
            match at.filter(|at| *at <= length) {
                Some(at) => list.insert(at, value),
                None => return Err(format!("the array has {length} elements")),
            }
            Ok(())
        }
        Some(_) => Err(format!("`{parent}` is neither an object nor an array")),
        None => Err(format!("there is nothing at `{parent}`")),
    }
}

fn remove(document: &mut Value, path: &str) -> Result<Value, String> {
    let Some((parent, key)) = path.rsplit_once('/') else {
        return Err("the whole document can't be removed; remove the file".into());
    };
    let missing = || format!("there is nothing at `{path}`");
    match document.pointer_mut(parent) {
        // Keys keep their order.
        Some(Value::Object(map)) => map.shift_remove(&unescape(key)).ok_or_else(missing),
        Some(Value::Array(list)) => match index(key).filter(|at| *at < list.len()) {
            Some(at) => Ok(list.remove(at)),
            None => Err(format!("the array has {} elements", list.len())),
        },
        _ => Err(missing()),
    }
}

fn unescape(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}

fn index(key: &str) -> Option<usize> {
    let plain = key == "0" || !key.starts_with(['0', '+']);
    key.parse().ok().filter(|_| plain)
}

/// Equal as RFC 6902 has it: numbers by their value.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => {
            x == y || x.as_f64() == y.as_f64() && !both_whole(x, y)
        }
        (Value::Array(x), Value::Array(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y))
        }
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(key, x)| y.get(key).is_some_and(|y| same(x, y)))
        }
        _ => a == b,
    }
}

/// Whole numbers are compared exactly, not as floats.
fn both_whole(x: &serde_json::Number, y: &serde_json::Number) -> bool {
    !x.is_f64() && !y.is_f64()
}

/// Refuses what would nest deeper than can be read back.
fn fits(path: &str, value: &Value) -> Result<(), String> {
    if path.matches('/').count() + depth(value) > DEPTH_MAX {
        return Err(format!("the document would be nested more than {DEPTH_MAX} deep"));
    }
    Ok(())
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn weight(value: &Value) -> usize {
    16 + match value {
        Value::String(text) => text.len(),
        Value::Array(list) => list.iter().map(weight).sum(),
        Value::Object(map) => map.iter().map(|(key, value)| key.len() + weight(value)).sum(),
        _ => 0,
    }
}

fn brief(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((at, _)) => format!("`{}…`", &text[..at]),
        None => format!("`{text}`"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn apply(before: &Value, patch: &Value) -> Result<Value, ContentError> {
        let path = FilePath::new("a.json").unwrap();
        let text = patch_json(&path, &before.to_string(), patch)?;
        Ok(serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn operations_do_what_the_rfc_says() {
        let check = |before: Value, patch: Value, after: Value| {
            let done = apply(&before, &patch).unwrap();
            assert_eq!(done.to_string(), after.to_string(), "{patch}");
        };
        check(json!({"a":1}), json!([{"op":"add","path":"/b","value":2}]), json!({"a":1,"b":2}));
        check(json!([1, 2]), json!([{"op":"add","path":"/1","value":9}]), json!([1, 9, 2]));
        check(json!([1]), json!([{"op":"add","path":"/-","value":2}]), json!([1, 2]));
        check(json!({"a":1}), json!({"op":"add","path":"","value":[1]}), json!([1]));
        check(
            json!({"a":1,"b":2,"c":3}),
            json!([{"op":"remove","path":"/a"}]),
            json!({"b":2,"c":3}),
        );
        check(
            json!({"a/b":{"~":1}}),
            json!([{"op":"replace","path":"/a~1b/~0","value":2}]),
            json!({"a/b":{"~":2}}),
        );
        check(
            json!({"a":{"x":1}}),
            json!([{"op":"move","from":"/a/x","path":"/b"}]),
            json!({"a":{},"b":1}),
        );
        check(
            json!({"a":[1]}),
            json!([{"op":"copy","from":"/a","path":"/a/0"}]),
            json!({"a":[[1],1]}),
        );
        check(json!({"a":1}), json!([{"op":"test","path":"/a","value":1.0}]), json!({"a":1}));
        check(json!({"a":1}), json!([{"op":"move","from":"/a","path":"/a"}]), json!({"a":1}));
        check(
            json!({"a":1}),
            json!([{"op":"safeReplace","path":"/a","oldValue":1,"value":2}]),
            json!({"a":2}),
        );
        check(
            json!({"a":1}),
            json!([{"op":"testAbsence","path":"/b"},{"op":"removeIfExists","path":"/b"},{"op":"removeIfExists","path":"/a"}]),
            json!({}),
        );
        check(json!({"":{"a":1}}), json!([{"op":"remove","path":"//a"}]), json!({"":{}}));
        check(json!({"a":1}), json!([]), json!({"a":1}));
    }

    #[test]
    fn what_does_not_fit_names_the_operation() {
        let check = |before: Value, patch: Value, part: &str| {
            let error = apply(&before, &patch).unwrap_err();
            assert!(matches!(error, ContentError::Mismatch(_)), "{error:?}");
            assert!(error.to_string().contains(part), "{error}");
        };
        check(json!({}), json!([{"op":"remove","path":"/a"}]), "operation 0 (`remove` of `/a`)");
        check(json!({}), json!([{"op":"replace","path":"/a","value":1}]), "nothing at `/a`");
        check(json!([1]), json!([{"op":"add","path":"/2","value":1}]), "the array has 1 elements");
        check(json!([1]), json!([{"op":"remove","path":"/-"}]), "array");
        check(json!([1, 2]), json!([{"op":"remove","path":"/01"}]), "array");
        check(json!({"a":{}}), json!([{"op":"move","from":"/a","path":"/a/b"}]), "into itself");
        check(
            json!({"a":1}),
            json!([{"op":"test","path":"/a","value":"1"}]),
            "is `1`, not `\"1\"`",
        );
        check(
            json!({"a":1}),
            json!([{"op":"safeReplace","path":"/a","oldValue":2,"value":3}]),
            "not `2`",
        );
        check(json!({"a":1}), json!([{"op":"testAbsence","path":"/a"}]), "there is a value");
        check(json!({"a":1}), json!([{"op":"add","path":"/a/b","value":1}]), "neither");
        check(json!(u64::MAX), json!([{"op":"test","path":"","value":u64::MAX - 1}]), "not");
        let bomb = vec![json!({"op":"copy","from":"","path":"/a"}); 100];
        check(json!({"x":1}), Value::Array(bomb), "nested more than");
        let bomb = vec![json!({"op":"copy","from":"","path":"/-"}); 60];
        check(json!(["x".repeat(100)]), Value::Array(bomb), "too large");
    }

    #[test]
    fn what_is_no_patch_is_told_apart() {
        for bad in [
            json!(1),
            json!([1]),
            json!([{"op":"add","path":"/a"}]),
            json!([{"op":"add","path":"a","value":1}]),
            json!([{"op":"fly","path":"/a"}]),
            json!([{"op":"remove","path":"/a~2"}]),
            json!([{"op":"move","path":"/a"}]),
        ] {
            let error = apply(&json!({}), &bad).unwrap_err();
            assert!(matches!(error, ContentError::BadPatch(_)), "{bad} {error:?}");
        }
    }

    #[test]
    fn yaml_stays_yaml_and_documents_stay_apart() {
        let path = FilePath::new("a.yaml").unwrap();
        let patch = json!([{"op":"replace","path":"/1/a","value":3}]);
        let text = patch_json(&path, "a: 1\n---\na: 2\n", &patch).unwrap();
        assert_eq!(text, "a: 1\n---\na: 3\n");
        let patch = json!([{"op":"add","path":"/b","value":{"c":[1]}}]);
        assert_eq!(patch_json(&path, "a: 1 # x\n", &patch).unwrap(), "a: 1\nb:\n  c:\n  - 1\n");
    }

    #[test]
    fn text_patches_apply_where_their_lines_are() {
        let text = "1\n2\n3\n4\n5\n6\n7\n8\n";
        let patch = "--- a\n+++ b\n@@ -2,3 +2,3 @@\n 2\n-3\n+three\n 4\n";
        assert_eq!(patch_text(text, patch).unwrap(), "1\n2\nthree\n4\n5\n6\n7\n8\n");
        assert_eq!(patch_text(text, patch.trim_end()).unwrap(), "1\n2\nthree\n4\n5\n6\n7\n8\n");
        let moved = format!("0\n{text}");
        assert!(patch_text(&moved, patch).unwrap().contains("2\nthree\n4"));
        let added = patch_text("", "@@ -0,0 +1 @@\n+x\n").unwrap();
        assert_eq!(added, "x\n");
        let end = "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file";
        assert_eq!(patch_text("a", end).unwrap(), "b");
        let error = patch_text("x\n", patch).unwrap_err();
        assert!(
            matches!(&error, ContentError::Mismatch(text) if text.contains("hunk #1")),
            "{error}"
        );
        for bad in ["", "hello", "@@ what @@\n", "@@ -1,9 +1 @@\n-a\n"] {
            let error = patch_text("a\n", bad).unwrap_err();
            assert!(matches!(error, ContentError::BadPatch(_)), "{bad} {error:?}");
        }
    }
}
