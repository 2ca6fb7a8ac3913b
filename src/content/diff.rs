//! Differences of two contents: structural for JSON and YAML, by line for
//! text. Applying them is `patch`'s.

use std::collections::HashMap;

use serde_json::{Value, json};

/// What comparing by line may cost: lines of both texts times lines that
/// differ. Above it a text counts as replaced as a whole.
const COST_MAX: usize = 100_000_000;

/// The JSON patch that makes `after` of `before`. Of two arrays, what both
/// begin and end with is left alone.
pub fn json_diff(before: &Value, after: &Value) -> Value {
    let mut operations = Vec::new();
    compare(before, after, &mut String::new(), &mut operations);
    Value::Array(operations)
}

fn compare(before: &Value, after: &Value, at: &mut String, operations: &mut Vec<Value>) {
    match (before, after) {
        _ if before == after => {}
        (Value::Object(before), Value::Object(after)) => {
            for (key, old) in before {
                within(at, &key.replace('~', "~0").replace('/', "~1"), |at| match after.get(key) {
                    Some(new) => compare(old, new, at, operations),
                    None => operations.push(json!({"op": "remove", "path": *at})),
                });
            }
            for (key, new) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
                within(at, &key.replace('~', "~0").replace('/', "~1"), |at| {
                    operations.push(json!({"op": "add", "path": *at, "value": new}));
                });
            }
        }
        (Value::Array(before), Value::Array(after)) => elements(before, after, at, operations),
        _ => operations.push(json!({"op": "replace", "path": *at, "value": after})),
    }
}

fn elements(before: &[Value], after: &[Value], at: &mut String, operations: &mut Vec<Value>) {
    let same = |(old, new): &(&Value, &Value)| old == new;
    let first = before.iter().zip(after).take_while(same).count();
    let (before, after) = (&before[first..], &after[first..]);
    let last = before.iter().rev().zip(after.iter().rev()).take_while(same).count();
    let (before, after) = (&before[..before.len() - last], &after[..after.len() - last]);
    for (index, (old, new)) in before.iter().zip(after).enumerate() {
        within(at, &(first + index).to_string(), |at| compare(old, new, at, operations));
    }
    let both = before.len().min(after.len());
    for index in (both..before.len()).rev() {
        within(at, &(first + index).to_string(), |at| {
            operations.push(json!({"op": "remove", "path": *at}));
        });
    }
    for (index, new) in after.iter().enumerate().skip(both) {
        within(at, &(first + index).to_string(), |at| {
            operations.push(json!({"op": "add", "path": *at, "value": new}));
        });
    }
}

/// One step further down the pointer.
fn within(at: &mut String, step: &str, act: impl FnOnce(&mut String)) {
    let length = at.len();
    at.push('/');
    at.push_str(step);
    act(at);
    at.truncate(length);
}

/// As [`json_diff`], with `safeReplace` and the value before for every
/// `replace`, so that it fits only what it was made of: Central Dogma's form.
pub fn json_diff_safe(before: &Value, after: &Value) -> Value {
    let mut patch = json_diff(before, after);
    for operation in patch.as_array_mut().into_iter().flatten() {
        if operation["op"] == "replace" {
            // Within an array, elements go away behind those that are
            // replaced, so the pointer means the same in `before`.
            let at = operation["path"].as_str().unwrap_or_default();
            let old = before.pointer(at).cloned().unwrap_or_default();
            let (path, value) = (operation["path"].take(), operation["value"].take());
            *operation =
                json!({"op": "safeReplace", "path": path, "oldValue": old, "value": value});
        }
    }
    patch
}

/// The unified diff, three lines of context, that makes `after` of `before`;
/// empty where they are equal.
pub fn text_diff(before: &str, after: &str) -> String {
    if before == after {
        return String::new();
    }
    if !is_affordable(before, after) {
        return replaced(before, after);
    }
    let diff = diffy::create_patch(before, after).to_string();
    // Two lines name files; the caller knows them better.
    diff.find("@@ ").map_or_else(String::new, |at| diff[at..].to_owned())
}

/// Everything out, everything in.
fn replaced(before: &str, after: &str) -> String {
    let (old, new) = (before.split_inclusive('\n').count(), after.split_inclusive('\n').count());
    let range = |count: usize| format!("{},{count}", usize::from(count > 0));
    let mut diff = format!("@@ -{} +{} @@\n", range(old), range(new));
    for (sign, text) in [('-', before), ('+', after)] {
        for line in text.split_inclusive('\n') {
            diff.push(sign);
            diff.push_str(line);
        }
        if !text.is_empty() && !text.ends_with('\n') {
            diff.push_str("\n\\ No newline at end of file\n");
        }
    }
    diff
}

/// Whether comparing two texts by line stays within [`COST_MAX`]. The number
/// of lines that differ is found as the comparison itself would, and given up
/// on when it passes what may be spent.
pub(super) fn is_affordable(before: &str, after: &str) -> bool {
    let mut ids = HashMap::new();
    let before: Vec<usize> = number(&mut ids, before);
    let after: Vec<usize> = number(&mut ids, after);
    let lines = before.len() + after.len();
    let differing_max = COST_MAX / lines.max(1);
    differing_max >= lines || differ_by(&before, &after, differing_max)
}

fn number<'t>(ids: &mut HashMap<&'t str, usize>, text: &'t str) -> Vec<usize> {
    let lines = text.split_inclusive('\n');
    lines
        .map(|line| {
            let next = ids.len();
            *ids.entry(line).or_insert(next)
        })
        .collect()
}

/// Whether at most `most` lines have to go or come (Myers' greedy search,
/// without the way there).
fn differ_by(before: &[usize], after: &[usize], most: usize) -> bool {
    // `reach[k]`: how far into `before` diagonal `k - most` was followed.
    let mut reach = vec![0_usize; 2 * most + 3];
    for differing in 0..=most {
        let mut at = most + 1 - differing;
        while at <= most + 1 + differing {
            let down = at == most + 1 - differing
                || at != most + 1 + differing && reach[at - 1] < reach[at + 1];
            let mut x = if down { reach[at + 1] } else { reach[at - 1] + 1 };
            // y = x - k; one that is negative lies outside.
            if let Some(mut y) = (x + most + 1).checked_sub(at) {
                while x < before.len() && y < after.len() && before[x] == after[y] {
                    (x, y) = (x + 1, y + 1);
                }
                if x >= before.len() && y >= after.len() {
                    return true;
                }
            }
            reach[at] = x;
            at += 2;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::content::{patch_json, patch_text};
    use crate::model::FilePath;

    #[test]
    fn a_text_diff_reads_as_git_writes_it() {
        let diff = text_diff("a\nb\nc\nd\ne\nf\n", "a\nb\nc\nd\nE\nf");
        let expect = "@@ -2,5 +2,5 @@\n b\n c\n d\n-e\n-f\n+E\n+f\n\\ No newline at end of file\n";
        assert_eq!(diff, expect);
        assert_eq!(text_diff("a", "a"), "");
    }

    #[test]
    fn a_safe_diff_carries_what_was_there() {
        let (before, after) = (json!({"a": [1, 2, 3], "b": "x"}), json!({"a": [1, 4], "b": "y"}));
        let patch = json_diff_safe(&before, &after);
        let replace = json!({"op": "safeReplace", "path": "/a/1", "oldValue": 2, "value": 4});
        assert_eq!(patch[0], replace);
        let path = FilePath::new("a.json").unwrap();
        let text = patch_json(&path, &before.to_string(), &patch).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), after);
    }

    #[test]
    fn huge_different_texts_are_replaced_as_a_whole() {
        let old: String = (0..60_000).map(|n| format!("old {n}\n")).collect();
        let new: String = (0..60_000).rev().map(|n| format!("old {n}\n")).collect();
        let diff = text_diff(&old, &new);
        assert!(diff.starts_with("@@ -1,60000 +1,60000 @@\n"));
        assert_eq!(patch_text(&old, &diff).unwrap(), new);
        let near = old.replace("old 30000\n", "new\n");
        assert!(text_diff(&old, &near).lines().count() < 12);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..5_i64).prop_map(Value::from),
            "[a-c/~]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c/~]{0,2}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn diff_then_patch_gives_the_value_back(before in value(), after in value()) {
            for (file, text) in [
                ("a.json", before.to_string()),
                ("a.yaml", serde_yaml::to_string(&before).unwrap()),
            ] {
                let path = FilePath::new(file).unwrap();
                for patch in [json_diff(&before, &after), json_diff_safe(&before, &after)] {
                    let text = patch_json(&path, &text, &patch).unwrap();
                    prop_assert_eq!(&crate::content::parse(&path, &text).unwrap(), &after);
                }
            }
        }

        #[test]
        fn diff_then_patch_gives_the_text_back(
            before in "([ab]?\n){0,12}[ab]{0,2}",
            after in "([ab]?\n){0,12}[ab]{0,2}",
        ) {
            let diff = text_diff(&before, &after);
            let patched = if diff.is_empty() { before.clone() } else { patch_text(&before, &diff).unwrap_or_else(|e| panic!("{e} {diff}")) };
            prop_assert_eq!(&patched, &after);
            prop_assert_eq!(patch_text(&before, &replaced(&before, &after)).unwrap_or(before), after);
        }
    }
}
