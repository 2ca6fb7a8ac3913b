//! YAML text to a tree of nodes that know where they stand.
//!
//! Types nothing: a scalar keeps its text and whether it was quoted, and the
//! reader decides (`Scalar::core` is YAML 1.2's core schema, in which `yes`
//! and `on` are texts). Anchors, aliases and merge keys are already expanded.
//! Written budgets bound every input. Read by `typed`, the manifest and values.

mod build;
mod core;
mod problems;

use std::sync::Arc;

pub(crate) use self::core::{Core, shorten};

/// The longest text that is read.
pub(crate) const MAX_BYTES: usize = 8 << 20;
/// The most nodes a text may have after its aliases are expanded: several
/// times the largest configuration known, and 50 MB of memory.
pub(crate) const MAX_NODES: usize = 250_000;
/// The most text that scalars may hold after aliases are expanded.
pub(crate) const MAX_SCALAR_BYTES: usize = 2 * MAX_BYTES;
/// The deepest nesting after aliases are expanded. Readers recurse, so this
/// bounds their stacks.
pub(crate) const MAX_DEPTH: usize = 128;

/// A position in the text, both from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    /// The line.
    pub(crate) line: u32,
    /// The column.
    pub(crate) column: u32,
}

/// Why a text could not be read, or what is wrong in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct YamlError {
    /// Where.
    pub(crate) span: Span,
    /// Which rule: `yaml-syntax`, `yaml-budget`, `yaml-tag`, `duplicate-key`.
    pub(crate) rule: &'static str,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
}

/// One document that holds something.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Document {
    /// Its content.
    pub(crate) root: Node,
}

/// A value and where it stands. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Where it begins; an aliased node keeps its anchor's place.
    pub(crate) span: Span,
    /// What it is.
    pub(crate) data: Data,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Data {
    /// A text that is not typed yet.
    Scalar(Scalar),
    /// A list.
    List(Arc<Vec<Node>>),
    /// A mapping in the order of the text, no key twice.
    Map(Arc<Vec<Entry>>),
}

/// A scalar as written, after escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scalar {
    /// The text.
    pub(crate) text: Arc<str>,
    /// Written without quotes, so that it may be a number, boolean or null.
    pub(crate) plain: bool,
}

/// One key and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// The key.
    pub(crate) key: Arc<str>,
    /// Where the key stands.
    pub(crate) key_span: Span,
    /// The value.
    pub(crate) value: Node,
}

/// Reads every document of `text`, leaving out empty ones.
///
/// # Errors
/// Everything that is wrong: all duplicate keys and tags up to the first
/// syntax error or broken budget, which ends the reading.
pub(crate) fn parse(text: &str) -> Result<Vec<Document>, Vec<YamlError>> {
    build::documents(text)
}

impl Node {
    /// The value of `key`, where this is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry of `key`, where this is a mapping that has it.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries()?.iter().find(|entry| &*entry.key == key)
    }

    /// The entries, where this is a mapping.
    pub(crate) fn entries(&self) -> Option<&[Entry]> {
        match &self.data {
            Data::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The items, where this is a list.
    pub(crate) fn items(&self) -> Option<&[Node]> {
        match &self.data {
            Data::List(items) => Some(items),
            _ => None,
        }
    }

    /// The scalar, where this is one.
    pub(crate) fn scalar(&self) -> Option<&Scalar> {
        match &self.data {
            Data::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The text, where this is a text by the core schema.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self.scalar()?.core() {
            Core::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether this is null: `null`, `~` or nothing at all.
    pub(crate) fn is_null(&self) -> bool {
        self.scalar().is_some_and(|scalar| matches!(scalar.core(), Core::Null))
    }

    /// What this is, for messages: `a list`, `the number 3` …
    pub(crate) fn describe(&self) -> String {
        match &self.data {
            Data::List(_) => "a list".into(),
            Data::Map(_) => "a mapping".into(),
            Data::Scalar(scalar) => scalar.describe(),
        }
    }
}

#[cfg(test)]
mod tests;
