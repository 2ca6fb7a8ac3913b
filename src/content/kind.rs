//! What kind of entry a file is, by its extension; reading and writing each.
//!
//! Every parse is bounded in depth and, for YAML, in what aliases may unfold
//! to. Not the reader of Envoy resources: that one keeps places (`render`).

use serde_json::Value;

use super::ContentError;
use crate::model::FilePath;

/// How deep YAML, JSON5 and what a patch makes may be nested: the readers of
/// the two recurse, and whatever is written must be read back. JSON's own
/// reader stops at 127.
pub(super) const DEPTH_MAX: usize = 64;

/// What kind of entry a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EntryKind {
    /// `.json`, `.json5`
    Json,
    /// `.yaml`, `.yml`
    Yaml,
    /// Everything else.
    Text,
}

impl EntryKind {
    /// The kind of the file at `path`.
    pub fn of(path: &FilePath) -> Self {
        match extension(path).to_ascii_lowercase().as_str() {
            "json" | "json5" => Self::Json,
            "yaml" | "yml" => Self::Yaml,
            _ => Self::Text,
        }
    }
}

fn extension(path: &FilePath) -> &str {
    path.file_name().rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// Reads a JSON, JSON5 or YAML text as one value (of several YAML documents,
/// an array). Text files are refused.
///
/// # Errors
/// [`ContentError::Syntax`] with line and column.
pub fn parse(path: &FilePath, text: &str) -> Result<Value, ContentError> {
    match EntryKind::of(path) {
        EntryKind::Json => parse_json(path, text),
        EntryKind::Yaml => {
            let mut documents = parse_documents(text)?;
            Ok(match documents.len() {
                0 => Value::Null,
                1 => documents.remove(0),
                _ => Value::Array(documents),
            })
        }
        EntryKind::Text => Err(ContentError::Syntax(format!(
            "`{path}` is a text file: only files that end in .json, .json5, .yaml or .yml have \
             values in them"
        ))),
    }
}

/// Checks that a text is what its path says it is; plain text always is.
///
/// # Errors
/// As [`parse`].
pub fn check(path: &FilePath, text: &str) -> Result<(), ContentError> {
    match EntryKind::of(path) {
        EntryKind::Text => Ok(()),
        EntryKind::Json | EntryKind::Yaml => parse(path, text).map(drop),
    }
}

/// A value as it is stored in a file of this kind: JSON with two spaces and a
/// final line break, YAML in block style.
pub fn pretty(kind: EntryKind, value: &Value) -> String {
    match (kind, value) {
        (EntryKind::Text, Value::String(text)) => text.clone(),
        // A value has string keys only, so neither writer can refuse it.
        (EntryKind::Json | EntryKind::Text, value) => {
            let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
            text.push('\n');
            text
        }
        (EntryKind::Yaml, value) => serde_yaml::to_string(value).unwrap_or_default(),
    }
}

fn parse_json(path: &FilePath, text: &str) -> Result<Value, ContentError> {
    let strict = serde_json::from_str(text);
    if !extension(path).eq_ignore_ascii_case("json5") {
        return strict.map_err(|error| ContentError::Syntax(format!("not JSON: {error}")));
    }
    if let Ok(value) = strict {
        return Ok(value);
    }
    check_depth(text)?;
    json5::from_str(text).map_err(|error| ContentError::Syntax(format!("not JSON5: {error}")))
}

/// Refuses what is nested so deeply that reading it would end the stack: the
/// reader of JSON5 has no bound of its own. Brackets in comments and strings
/// don't count.
fn check_depth(text: &str) -> Result<(), ContentError> {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0_usize, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            quote @ (b'"' | b'\'') => at = after_string(bytes, at + 1, quote),
            b'/' => at = after_comment(bytes, at),
            _ => {}
        }
        if depth > DEPTH_MAX {
            let line = 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count();
            return Err(ContentError::Syntax(format!(
                "not JSON5: nested more than {DEPTH_MAX} deep at line {line}"
            )));
        }
        at += 1;
    }
    Ok(())
}

/// The place of the quote that ends a string.
fn after_string(bytes: &[u8], mut at: usize, quote: u8) -> usize {
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at
}

/// The place of the last byte of the comment at `at`, or `at` if there is none.
fn after_comment(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let length = if rest.starts_with(b"//") {
        rest.iter().position(|byte| *byte == b'\n')
    } else if rest.starts_with(b"/*") {
        rest[2..].windows(2).position(|pair| pair == b"*/").map(|found| found + 3)
    } else {
        return at;
    };
    at + length.unwrap_or(rest.len())
}

/// Every document of a YAML text that is not empty.
pub(super) fn parse_documents(text: &str) -> Result<Vec<Value>, ContentError> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 200_000 },
        budget: serde_saphyr::budget! {
            max_events: 4_000_000,
            max_nodes: 2_000_000,
            max_depth: DEPTH_MAX,
            max_aliases: 10_000,
            max_anchors: 10_000,
            max_merge_keys: 10_000,
            max_documents: 10_000,
        },
    };
    serde_saphyr::from_slice_multiple_with_options(text.as_bytes(), options).map_err(|error| {
        let text = error.to_string();
        ContentError::Syntax(format!("not YAML: {}", text.trim_end()))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(text: &str) -> FilePath {
        FilePath::new(text).unwrap()
    }

    #[test]
    fn the_extension_says_what_a_file_is() {
        let table = [
            ("a.json", EntryKind::Json),
            ("a.b/c.JSON5", EntryKind::Json),
            ("a.yml", EntryKind::Yaml),
            ("a.yaml", EntryKind::Yaml),
            (".yaml", EntryKind::Yaml),
            ("json", EntryKind::Text),
            ("a.json/b", EntryKind::Text),
            ("a.jsonl", EntryKind::Text),
        ];
        for (file, kind) in table {
            assert_eq!(EntryKind::of(&path(file)), kind, "{file}");
        }
    }

    #[test]
    fn values_are_read_as_their_format_says() {
        let check = |file: &str, text: &str, expect: Value| {
            assert_eq!(parse(&path(file), text).unwrap(), expect, "{text}");
        };
        check(
            "a.json",
            r#"{"b":1,"a":[null,18446744073709551615,-0.5]}"#,
            json!({"b":1,"a":[null,u64::MAX,-0.5]}),
        );
        check("a.json5", "// c [\n{a: 'x[', b: 0x10, c: [1,],}", json!({"a":"x[","b":16,"c":[1]}));
        check("a.yaml", "a: 1\nb: [x, yes, ~, 'q']\n", json!({"a":1,"b":["x","yes",null,"q"]}));
        check("a.yaml", "a: &x {b: 1}\nc: *x\n", json!({"a":{"b":1},"c":{"b":1}}));
        check("a.yaml", "1: x\ntrue: y\n", json!({"1":"x","true":"y"}));
        check("a.yaml", "a: 1\n---\n- 2\n", json!([{"a":1},[2]]));
        check("a.yaml", "", Value::Null);
        check("a.yaml", "# nothing\n", Value::Null);
        check(
            "a.yaml",
            "big: 18446744073709551615\nf: 1.5\ns: '007'\n",
            json!({"big":u64::MAX,"f":1.5,"s":"007"}),
        );
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let check = |file: &str, text: &str, part: &str| {
            let error = parse(&path(file), text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        };
        check("a.json", "{\n\"a\":}", "line 2 column 5");
        check("a.json", "", "not JSON: EOF");
        check("a.json5", "{a:\n]}", "not JSON5");
        check("a.yaml", "a: [1\nb: 2", "line");
        check("a.yaml", "a: 1\na: 2\n", "a");
        check("a.txt", "x", "is a text file");
        assert!(super::check(&path("a.txt"), "{").is_ok());
        assert!(super::check(&path("a.json"), "{").is_err());
    }

    #[test]
    fn bombs_are_refused() {
        let deep = "[".repeat(200_000);
        for file in ["a.json", "a.json5", "a.yaml"] {
            assert!(parse(&path(file), &deep).is_err(), "{file}");
            let deep = format!("{}1{}", "{\"a\":".repeat(1000), "}".repeat(1000));
            assert!(parse(&path(file), &deep).is_err(), "{file}");
        }
        let mut bomb = "l0: &l0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let aliases = vec![format!("*l{}", level - 1); 9].join(", ");
            bomb.push_str(&format!("l{level}: &l{level} [{aliases}]\n"));
        }
        assert!(parse(&path("a.yaml"), &bomb).is_err());
        assert!(parse(&path("a.json5"), "/* [").is_err());
        assert!(parse(&path("a.json5"), "'\\").is_err());
    }

    #[test]
    fn what_is_written_is_read_back() {
        let value =
            json!({"b": {"x": [1, "two", null, true, 1.5, "yes", "1", "a: b\nc", ""]}, "a": {}});
        for kind in [EntryKind::Json, EntryKind::Yaml] {
            let file = if kind == EntryKind::Json { "a.json" } else { "a.yaml" };
            let text = pretty(kind, &value);
            assert!(text.ends_with('\n'));
            assert_eq!(parse(&path(file), &text).unwrap(), value, "{text}");
        }
        assert_eq!(pretty(EntryKind::Json, &json!({"a": 1})), "{\n  \"a\": 1\n}\n");
        assert_eq!(pretty(EntryKind::Text, &json!("x")), "x");
    }
}
