//! YAML of Convoy's own files (manifest, values, inventory) as a tree in
//! which every key and value knows its line and column.
//!
//! Not for Envoy resources: those are typed by `typed`, through a reader of
//! their own. Here a document is small, is read whole, and is then walked by
//! code that reports every mistake, not the first.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::model::{FilePath, Place, Problem};
use crate::schema::{DEPTH_MAX, position, unreadable};

/// The largest file of this sort, in bytes. Values of a large mesh are far
/// below; above it a file is data that belongs elsewhere.
pub(crate) const BYTES_MAX: usize = 4 << 20;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Line and column, both from 1.
    pub(crate) at: (u32, u32),
    /// The value.
    pub(crate) value: Value,
}

/// A YAML value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a map with its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// Where the key stands.
    pub(crate) at: (u32, u32),
    /// The key.
    pub(crate) key: String,
    /// The value.
    pub(crate) node: Node,
}

impl Value {
    /// What the value is, for messages.
    pub(crate) fn what(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// Reads every document of `text`; empty documents are left out.
///
/// # Errors
/// The text is not YAML, has a key twice, or passes a bound.
pub(crate) fn parse(file: &FilePath, text: &[u8]) -> Result<Vec<Node>, Problem> {
    fits(file, text, BYTES_MAX)?;
    serde_saphyr::from_slice_multiple_with_options(text, options())
        .map_err(|error| unreadable(file, &error, "yaml-syntax"))
}

/// Whether `content` has at most `most` bytes.
///
/// # Errors
/// It has more.
pub(crate) fn fits(file: &FilePath, content: &[u8], most: usize) -> Result<(), Problem> {
    if content.len() <= most {
        return Ok(());
    }
    let message =
        format!("the file has {} bytes, more than the {most} that are read", content.len());
    Err(Problem::new(Place::file(file.clone()), "file-too-large", message))
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
        // Bounds far above any real file of this sort: they stop alias bombs
        // and endless nesting long before memory does.
        budget: serde_saphyr::budget! {
            max_reader_input_bytes: Some(BYTES_MAX),
            max_events: 400_000,
            max_nodes: 200_000,
            max_depth: DEPTH_MAX,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_merge_keys: 1_000,
            max_documents: 100,
        },
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { at: position(&spanned.referenced), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = items.next_element()? {
            list.push(node);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let node = entries.next_value()?;
            map.push(Entry { at: position(&key.referenced), key: key.value, node });
        }
        Ok(Value::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Node>, (u32, u32, String)> {
        let file = FilePath::new("values/common.yaml").unwrap();
        parse(&file, text.as_bytes())
            .map_err(|problem| (problem.place.line, problem.place.column, problem.rule))
    }

    #[test]
    fn keys_and_values_know_their_places() {
        let nodes = read("a: 1\nb:\n  - x\n  - {c: yes}\n").unwrap();
        let [Node { value: Value::Map(map), .. }] = nodes.as_slice() else {
            panic!("{nodes:?}");
        };
        assert_eq!((map[0].at, map[0].node.at), ((1, 1), (1, 4)));
        assert_eq!(map[1].at, (2, 1));
        let Value::List(list) = &map[1].node.value else { panic!("{map:?}") };
        assert_eq!((list[0].at, list[1].at), ((3, 5), (4, 5)));
        let Value::Map(inner) = &list[1].value else { panic!("{list:?}") };
        assert_eq!((inner[0].at, &inner[0].node.value), ((4, 6), &Value::Text("yes".into())));
    }

    #[test]
    fn several_documents_are_read_and_empty_ones_left_out() {
        assert_eq!(read("").unwrap(), []);
        assert_eq!(read("# nothing\n").unwrap(), []);
        assert_eq!(read("--- 1\n--- 2\n---\n").unwrap().len(), 2);
    }

    #[test]
    fn mistakes_of_syntax_have_a_place_and_a_rule() {
        assert_eq!(read("a: 1\nb: 2\na: 3\n"), Err((3, 1, "duplicate-key".into())));
        let (line, _, rule) = read("a: [1\nb: 2\n").unwrap_err();
        assert_eq!((line > 0, rule.as_str()), (true, "yaml-syntax"));
    }

    #[test]
    fn alias_bombs_and_deep_nesting_end_at_a_bound() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for i in 1..9 {
            let aliases = vec![format!("*a{}", i - 1); 9].join(", ");
            bomb.push_str(&format!("a{i}: &a{i} [{aliases}]\n"));
        }
        let file = FilePath::new("values/common.yaml").unwrap();
        let problem = parse(&file, bomb.as_bytes()).unwrap_err();
        assert_eq!(problem.rule, "yaml-budget", "{problem}");
        assert_eq!(read(&"[".repeat(100_000)).unwrap_err().2, "yaml-budget");
        assert_eq!(read(&"- ".repeat(100_000)).unwrap_err().2, "yaml-budget");
        assert!(read(&"- ".repeat(DEPTH_MAX)).is_ok());
        assert_eq!(read(&" ".repeat(BYTES_MAX + 1)).unwrap_err().2, "file-too-large");
    }
}
