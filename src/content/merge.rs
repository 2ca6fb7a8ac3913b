//! Merges: three texts by line, and several documents over each other.

use diffy::{ConflictStyle, IncompleteHunkStyle, MergeOptions};
use serde_json::Value;

use super::ContentError;
use super::diff::is_affordable;

/// Two edits of the same lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The text with Git's markers (`<<<<<<<`, `|||||||`, `=======`,
    /// `>>>>>>>`) where both changed.
    pub marked: String,
}

impl Conflict {
    /// One conflict over the whole text.
    pub fn whole(base: &str, ours: &str, theirs: &str) -> Self {
        let line = |text: &str| match text {
            "" => String::new(),
            text if text.ends_with('\n') => text.into(),
            text => format!("{text}\n"),
        };
        let (base, ours, theirs) = (line(base), line(ours), line(theirs));
        let marked = format!(
            "<<<<<<< ours\n{ours}||||||| original\n{base}=======\n{theirs}>>>>>>> theirs\n"
        );
        Self { marked }
    }
}

/// Merges what `ours` and `theirs` made of `base`, by line.
///
/// # Errors
/// Both changed the same lines.
pub fn merge_three(base: &str, ours: &str, theirs: &str) -> Result<String, Conflict> {
    // Settled without comparing by line, which could find otherwise only
    // where lines repeat.
    if ours == theirs || base == theirs {
        return Ok(ours.into());
    }
    if base == ours {
        return Ok(theirs.into());
    }
    if !is_affordable(base, ours) || !is_affordable(base, theirs) {
        return Err(Conflict::whole(base, ours, theirs));
    }
    let mut options = MergeOptions::new();
    options.set_conflict_style(ConflictStyle::Diff3);
    options.set_incomplete_hunk_style(IncompleteHunkStyle::Git);
    options.merge(base, ours, theirs).map_err(|marked| Conflict { marked })
}

/// Lays documents over each other, later ones over earlier ones: objects are
/// merged key by key, everything else is replaced.
///
/// # Errors
/// [`ContentError::Types`] where a key's values are of different types; null
/// is of every type.
pub fn overlay(documents: &[Value]) -> Result<Value, ContentError> {
    let mut merged = Value::Null;
    for document in documents {
        lay(&mut merged, document, &mut Vec::new())?;
    }
    Ok(merged)
}

fn lay<'v>(below: &mut Value, above: &'v Value, at: &mut Vec<&'v str>) -> Result<(), ContentError> {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                at.push(key);
                match below.get_mut(key) {
                    Some(below) => lay(below, value, at)?,
                    None => {
                        below.insert(key.clone(), value.clone());
                    }
                }
                at.pop();
            }
            Ok(())
        }
        (below, above) => {
            let (have, give) = (type_of(below), type_of(above));
            if have != give && !below.is_null() && !above.is_null() {
                let place =
                    if at.is_empty() { "the root".into() } else { format!("`/{}`", at.join("/")) };
                return Err(ContentError::Types(format!(
                    "{place} is {have} in one document and {give} in a later one"
                )));
            }
            *below = above.clone();
            Ok(())
        }
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn edits_of_different_lines_are_merged() {
        let base = "1\n2\n3\n4\n5\n6\n7\n";
        let merged = merge_three(base, "one\n2\n3\n4\n5\n6\n7\n", "1\n2\n3\n4\n5\n6\nseven\n");
        assert_eq!(merged.unwrap(), "one\n2\n3\n4\n5\n6\nseven\n");
        assert_eq!(merge_three(base, base, "x").unwrap(), "x");
        assert_eq!(merge_three(base, "x", base).unwrap(), "x");
        assert_eq!(merge_three(base, "x", "x").unwrap(), "x");
    }

    #[test]
    fn edits_of_the_same_lines_are_marked_and_nothing_is_lost() {
        let conflict = merge_three("a\nb\nc\n", "a\nX\nc\n", "a\nY\nc\n").unwrap_err();
        let expect = "a\n<<<<<<< ours\nX\n||||||| original\nb\n=======\nY\n>>>>>>> theirs\nc\n";
        assert_eq!(conflict.marked, expect);
        let conflict = merge_three("", "x", "y").unwrap_err();
        let expect = "<<<<<<< ours\nx\n||||||| original\n=======\ny\n>>>>>>> theirs\n";
        assert_eq!(conflict.marked, expect);
        assert_eq!(Conflict::whole("", "x", "y").marked, expect);
    }

    #[test]
    fn later_documents_lie_over_earlier_ones() {
        let merged = overlay(&[
            json!({"a": {"x": 1, "y": [1, 2]}, "b": null, "c": "t"}),
            json!({"a": {"y": [3], "z": true}, "b": 5}),
            json!({"a": {"x": 1.5}, "c": null}),
        ]);
        let expect = json!({"a": {"x": 1.5, "y": [3], "z": true}, "b": 5, "c": null});
        assert_eq!(merged.unwrap(), expect);
        assert_eq!(overlay(&[]).unwrap(), Value::Null);
        let error = overlay(&[json!({"a": {"b": 1}}), json!({"a": {"b": "1"}})]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`/a/b` is a number in one document and a text in a later one"
        );
        assert!(overlay(&[json!([]), json!({})]).is_err());
    }
}
