//! JSONPath: RFC 9535, and the sequence form of Central Dogma's API.
//!
//! What a path may cost is estimated before it is run: descents, filters that
//! look at the whole document and unions multiply each other.

use serde_json::Value;
use serde_json_path::JsonPath;

use super::ContentError;

/// The longest JSONPath in bytes.
const PATH_BYTES_MAX: usize = 1000;
/// Brackets within brackets: each is parsed by recursion.
const NESTED_MAX: usize = 12;
/// JSONPaths of one sequence.
const PATHS_MAX: usize = 100;
/// Steps that a path may take at worst, by our estimate.
const STEPS_MAX: u64 = 200_000_000;

/// Every value that a JSONPath (RFC 9535) finds.
///
/// # Errors
/// [`ContentError::Query`]: it is none.
pub fn select(document: &Value, path: &str) -> Result<Vec<Value>, ContentError> {
    let parsed = parse(document, path)?;
    Ok(parsed.query(document).all().into_iter().cloned().collect())
}

/// Applies JSONPaths one after the other, each to what the one before gave. A
/// path that names one place gives its value; one that may name several
/// (a star, `..`, a filter, a slice, a union) gives an array.
///
/// # Errors
/// [`ContentError::Query`]: one is no JSONPath. [`ContentError::NotFound`]:
/// one that names one place finds nothing there.
pub fn select_in_sequence(document: &Value, paths: &[String]) -> Result<Value, ContentError> {
    if paths.len() > PATHS_MAX {
        return Err(ContentError::Query(format!("more than {PATHS_MAX} JSONPaths in a row")));
    }
    let mut value = document.clone();
    for path in paths {
        value = select_loosely(&value, path)?;
    }
    Ok(value)
}

/// One path of a sequence. As the clients of that API write them: the `$` may
/// be left out, and a name may hold what RFC 9535 wants in quotes.
fn select_loosely(document: &Value, path: &str) -> Result<Value, ContentError> {
    if path.trim().is_empty() {
        return Err(ContentError::Query("a JSONPath is empty; `$` is the whole document".into()));
    }
    let Written { text, single } = rewrite(path);
    let mut found = select(document, &text)?;
    let missing = || ContentError::NotFound(format!("`{path}` finds nothing"));
    if single == text.len() {
        return if found.is_empty() { Err(missing()) } else { Ok(found.swap_remove(0)) };
    }
    // What leads to the first choice has to be there.
    if found.is_empty() && select(document, &text[..single])?.is_empty() {
        return Err(missing());
    }
    Ok(Value::Array(found))
}

fn parse(document: &Value, path: &str) -> Result<JsonPath, ContentError> {
    let refuse = |why: String| {
        let shown: String = path.chars().take(200).collect();
        ContentError::Query(format!("`{shown}` is not a JSONPath: {why}"))
    };
    if path.len() > PATH_BYTES_MAX {
        return Err(refuse(format!("it is longer than {PATH_BYTES_MAX} bytes")));
    }
    let cost = Cost::of(path);
    if cost.nested > NESTED_MAX {
        return Err(refuse(format!("brackets are nested more than {NESTED_MAX} deep")));
    }
    let parsed = JsonPath::parse(path).map_err(|error| {
        refuse(format!("{} at character {}", error.message(), error.position() + 1))
    })?;
    if cost.steps(document) > STEPS_MAX {
        let why = "it would take too long on this document; narrow it, or take it in several steps";
        return Err(refuse(why.into()));
    }
    Ok(parsed)
}

/// What running a path may come to. Signs within quotes are counted too:
/// that errs on the safe side.
struct Cost {
    nested: usize,
    descents: u32,
    /// Whole documents looked at from within filters.
    roots: u32,
    unions: u64,
    expressions: u64,
}

impl Cost {
    fn of(path: &str) -> Self {
        let mut open: Vec<u64> = Vec::new();
        let (mut nested, mut unions) = (0, 1_u64);
        for byte in path.bytes() {
            match byte {
                b'[' | b'(' => open.push(1),
                b',' => open.last_mut().into_iter().for_each(|count| *count += 1),
                b']' | b')' => unions = unions.saturating_mul(open.pop().unwrap_or(1)),
                _ => {}
            }
            nested = nested.max(open.len());
        }
        let count = |sign: &str| u32::try_from(path.matches(sign).count()).unwrap_or(u32::MAX);
        // A regular expression is compiled anew for each value.
        let expressions = match count("match") + count("search") {
            0 => 1,
            _ if path.contains('{') => 100_000,
            _ => 2_000,
        };
        let roots = count("$").saturating_sub(1);
        Self { nested, descents: count(".."), roots, unions, expressions }
    }

    fn steps(&self, document: &Value) -> u64 {
        let (nodes, depth) = measure(document);
        let descents = depth.saturating_pow(self.descents.saturating_sub(1));
        nodes
            .saturating_mul(descents)
            .saturating_mul(nodes.saturating_pow(self.roots))
            .saturating_mul(self.unions)
            .saturating_mul(self.expressions)
    }
}

/// The number of values, and how deep they are nested.
fn measure(value: &Value) -> (u64, u64) {
    let add = |(nodes, depth): (u64, u64), inner| {
        let (more, deep) = measure(inner);
        (nodes + more, depth.max(deep + 1))
    };
    match value {
        Value::Array(list) => list.iter().fold((1, 1), add),
        Value::Object(map) => map.values().fold((1, 1), add),
        _ => (1, 1),
    }
}

/// A path as RFC 9535 wants it.
struct Written {
    text: String,
    /// So many bytes of it name one place.
    single: usize,
}

fn rewrite(path: &str) -> Written {
    let path = path.trim();
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    let mut text = String::from("$");
    let mut single = None;
    if !path.starts_with(['$', '[']) && !path.is_empty() {
        (text, rest) = name(text, rest);
    }
    while let Some(first) = rest.chars().next() {
        let before = text.len();
        let is_single;
        if let Some(after) = rest.strip_prefix("..") {
            is_single = false;
            text.push_str("..");
            rest = after;
            if !rest.starts_with(['[', '*']) {
                let length = name_length(rest);
                let (quoted, after) = rest.split_at(length);
                push_name(&mut text, quoted, false);
                rest = after;
            }
        } else if let Some(after) = rest.strip_prefix('.').filter(|after| !after.starts_with('*')) {
            is_single = true;
            (text, rest) = name(text, after);
        } else if first == '[' {
            let length = bracket_length(rest);
            is_single = names_one(&rest[..length]);
            text.push_str(&rest[..length]);
            rest = &rest[length..];
        } else {
            // `.*`, or what the parser will refuse.
            is_single = false;
            text.push(first);
            rest = &rest[first.len_utf8()..];
        }
        if !is_single {
            single.get_or_insert(before);
        }
    }
    Written { single: single.unwrap_or(text.len()), text }
}

fn name(mut text: String, rest: &str) -> (String, &str) {
    let (name, after) = rest.split_at(name_length(rest));
    push_name(&mut text, name, true);
    (text, after)
}

fn name_length(rest: &str) -> usize {
    rest.find(['.', '[']).unwrap_or(rest.len())
}

/// Appends a name with its dot if it is plain, else in brackets and quotes.
fn push_name(text: &mut String, name: &str, dot: bool) {
    let plain = |c: char| c == '_' || c.is_ascii_alphanumeric() || !c.is_ascii();
    let is_plain = name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit());
    if is_plain || name.contains(['(', ')', '*', ' ']) {
        text.push_str(if dot { "." } else { "" });
        text.push_str(name);
    } else {
        let quoted = name.replace('\\', "\\\\").replace('\'', "\\'");
        text.push_str(&format!("['{quoted}']"));
    }
}

/// The length of the bracket that `rest` begins with, quotes respected.
fn bracket_length(rest: &str) -> usize {
    let (mut depth, mut quote, mut escaped) = (0_usize, None, false);
    for (at, c) in rest.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    rest.len()
}

/// Whether a bracket holds one name or one index.
fn names_one(bracket: &str) -> bool {
    let inner = bracket.trim_start_matches('[').trim_end_matches(']').trim();
    if inner.parse::<i64>().is_ok() {
        return true;
    }
    let Some(quote) = inner.chars().next().filter(|c| matches!(c, '\'' | '"')) else {
        return false;
    };
    let mut escaped = false;
    for (at, c) in inner.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1 == inner.len(),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn store() -> Value {
        json!({
            "a": {"b": [1, 2, {"c": "x"}], "d-e": {"f g": 5}, "n": null},
            "list": [{"id": 1, "on": true}, {"id": 2, "on": false}],
            "x.y": 7, "0": "zero"
        })
    }

    #[test]
    fn the_rfc_is_followed() {
        let found = select(&store(), "$.list[?@.on == true].id").unwrap();
        assert_eq!(found, [json!(1)]);
        assert_eq!(select(&store(), "$..c").unwrap(), [json!("x")]);
        assert_eq!(select(&store(), "$.none").unwrap(), Vec::<Value>::new());
        for bad in ["", "a", "$.", "$[", "$.a-b", "$[?"] {
            assert!(matches!(select(&store(), bad), Err(ContentError::Query(_))), "{bad}");
        }
    }

    #[test]
    fn a_path_that_names_one_place_gives_its_value_and_others_an_array() {
        let check = |path: &str, expect: Value| {
            let found = select_in_sequence(&store(), &[path.to_owned()]).unwrap();
            assert_eq!(found, expect, "{path}");
        };
        check("$", store());
        check("$.a.b[0]", json!(1));
        check("$.a.n", Value::Null);
        check("a.b[2].c", json!("x"));
        check("$['a']['b'][-1]", json!({"c": "x"}));
        check("$.a.d-e", json!({"f g": 5}));
        check("$.a.d-e['f g']", json!(5));
        check("$['x.y']", json!(7));
        check("$.0", json!("zero"));
        check("$.a.b[*]", json!([1, 2, {"c": "x"}]));
        check("$.a.b[0,1]", json!([1, 2]));
        check("$.a.b[:1]", json!([1]));
        check("$..c", json!(["x"]));
        check("$..d-e", json!([{"f g": 5}]));
        check("$.list[?(@.id == 2)].on", json!([false]));
        check("$.list[?(@.id == 9)]", json!([]));
        check("$.list.*.id", json!([1, 2]));
        check("$..none", json!([]));
        let two = ["$.list[?(@.on == true)]".to_owned(), "$[0].id".into()];
        assert_eq!(select_in_sequence(&store(), &two).unwrap(), json!(1));
        assert_eq!(select_in_sequence(&store(), &[]).unwrap(), store());
    }

    #[test]
    fn a_missing_place_is_not_found() {
        for path in ["$.none", "$.a.none", "$.a.b[9]", "$.none[*]", "$['a']['q']", "$.a.b.c"] {
            let error = select_in_sequence(&store(), &[path.to_owned()]).unwrap_err();
            assert!(matches!(error, ContentError::NotFound(_)), "{path} {error:?}");
        }
        for path in ["$.a[", "$$", "$.a b", "$.a.length(", "", "[?"] {
            let found = select_in_sequence(&store(), &[path.to_owned()]);
            assert!(matches!(found, Err(ContentError::Query(_))), "{path} {found:?}");
        }
    }

    #[test]
    fn paths_that_would_run_for_ever_are_refused() {
        let mut deep = json!([1]);
        for _ in 0..100 {
            deep = json!([deep, 1]);
        }
        for path in [
            "$..*..*..*..*..*..*..*".to_owned(),
            format!("${}", "[0,0]".repeat(150)),
            format!("$[?{}@.a{}]", "(".repeat(200), ")".repeat(200)),
            format!("$[?{}@.a]", "!".repeat(900)),
            "x".repeat(2000),
        ] {
            let found = select(&deep, &path);
            assert!(matches!(found, Err(ContentError::Query(_))), "{path}");
        }
        let nested = format!("$[?{}@.a{}]", "(".repeat(10), ")".repeat(10));
        assert!(select(&deep, &nested).is_ok());
    }
}
