//! Reads typed fields out of a [`Node`] tree and notes every mistake.
//!
//! Not a deserialiser: nothing here stops at the first mistake. The readers
//! of the manifest, the values and the inventory share it.

use super::document::{Entry, Node, Value};
use crate::model::{FilePath, Place, Problem, suggestion};

/// The mistakes found so far in one file.
#[derive(Debug)]
pub(crate) struct Mistakes<'a> {
    file: &'a FilePath,
    /// What was found.
    pub(crate) problems: Vec<Problem>,
}

/// The entries of a map, by key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'n> {
    /// Where the map stands.
    pub(crate) at: (u32, u32),
    entries: &'n [Entry],
}

impl<'n> Fields<'n> {
    /// The value of `key`; a null counts as absent.
    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        (entry.node.value != Value::Null).then_some(&entry.node)
    }
}

impl<'a> Mistakes<'a> {
    /// No mistakes in `file` yet.
    pub(crate) fn new(file: &'a FilePath) -> Self {
        Self { file, problems: Vec::new() }
    }

    /// The place of a position in the file.
    pub(crate) fn place(&self, at: (u32, u32)) -> Place {
        Place { file: self.file.clone(), line: at.0, column: at.1 }
    }

    /// Notes a mistake.
    pub(crate) fn note(&mut self, at: (u32, u32), rule: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(self.place(at), rule, message));
    }

    /// Notes a mistake with a hint.
    pub(crate) fn hint(
        &mut self,
        at: (u32, u32),
        rule: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.problems.push(Problem::new(self.place(at), rule, message).with_hint(hint));
    }

    fn wrong_type(&mut self, node: &Node, what: &str, wanted: &str) {
        let found = node.value.what();
        self.note(node.at, "wrong-type", format!("{what} must be {wanted}, not {found}"));
    }

    /// The fields of a map; notes each key that is not `known`.
    pub(crate) fn fields<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        known: &[&str],
    ) -> Option<Fields<'n>> {
        let Value::Map(entries) = &node.value else {
            self.wrong_type(node, what, "a map");
            return None;
        };
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let key = &entry.key;
            let hint = suggestion(key, known);
            self.hint(entry.at, "unknown-field", format!("{what} has no field `{key}`"), hint);
        }
        Some(Fields { at: node.at, entries })
    }

    /// The text of a scalar that must be text.
    pub(crate) fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        match &node.value {
            Value::Text(text) => return Some(text),
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => {
                let message = format!("{what} must be text, not {}", node.value.what());
                self.hint(node.at, "wrong-type", message, "put it in quotes");
            }
            _ => self.wrong_type(node, what, "text"),
        }
        None
    }

    /// A boolean.
    pub(crate) fn boolean(&mut self, node: &Node, what: &str) -> Option<bool> {
        if let Value::Bool(value) = node.value {
            return Some(value);
        }
        self.wrong_type(node, what, "`true` or `false`");
        None
    }

    /// A whole number within bounds, both included.
    pub(crate) fn whole(
        &mut self,
        node: &Node,
        what: &str,
        (least, most): (u32, u32),
    ) -> Option<u32> {
        let Value::Int(number) = node.value else {
            self.wrong_type(node, what, "a whole number");
            return None;
        };
        let fits = u32::try_from(number).ok().filter(|n| (least..=most).contains(n));
        if fits.is_none() {
            let message = format!("{what} must be {least} to {most}, not {number}");
            self.note(node.at, "out-of-range", message);
        }
        fits
    }

    /// The items of a list.
    pub(crate) fn list<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        if let Value::List(items) = &node.value {
            return items;
        }
        self.wrong_type(node, what, "a list");
        &[]
    }

    /// One value or a list of them.
    pub(crate) fn one_or_many(node: &Node) -> &[Node] {
        match &node.value {
            Value::List(items) => items,
            _ => std::slice::from_ref(node),
        }
    }
}
