//! Taking values out of a map that a person wrote: each of them known, of the
//! right kind and in range, or a problem with its place.

use serde_saphyr::{Location, Spanned};

use super::node::{Item, Node};
use crate::model::{FilePath, IdError, Place, Problem, suggestion};
use crate::schema::position;

/// Reads one file and gathers its problems.
pub(super) struct Reader<'a> {
    pub(super) file: &'a FilePath,
    pub(super) problems: &'a mut Vec<Problem>,
}

/// The values of a map by key, all of them known.
pub(super) struct Fields<'a> {
    pub(super) entries: Vec<(&'a str, &'a Item)>,
}

impl<'a> Fields<'a> {
    pub(super) fn get(&self, key: &str) -> Option<&'a Item> {
        self.entries.iter().find(|(name, _)| *name == key).map(|(_, item)| *item)
    }
}

impl Reader<'_> {
    pub(super) fn names<T>(
        &mut self,
        item: Option<&Item>,
        parse: impl Fn(&str) -> Result<T, IdError>,
    ) -> Vec<T> {
        let Some(item) = item else { return Vec::new() };
        let mut names = Vec::new();
        for item in self.list(item) {
            match self.text(item).map(|text| parse(&text)) {
                Some(Ok(name)) => names.push(name),
                Some(Err(error)) => self.problem(item.defined, "check-syntax", error.to_string()),
                None => {}
            }
        }
        names
    }

    pub(super) fn fields<'a>(&mut self, item: &'a Item, known: &[&str]) -> Option<Fields<'a>> {
        let Node::Map(entries) = &item.value else {
            return self.wrong_kind(item, "a map");
        };
        let mut fields = Fields { entries: Vec::new() };
        for (key, value) in entries {
            if known.contains(&key.value.as_str()) {
                fields.entries.push((&key.value, value));
            } else {
                self.unknown(key, known);
            }
        }
        Some(fields)
    }

    pub(super) fn required<'a>(
        &mut self,
        of: &Item,
        fields: &Fields<'a>,
        key: &str,
    ) -> Option<&'a Item> {
        let item = fields.get(key);
        if item.is_none() {
            self.problem(of.defined, "check-syntax", format!("`{key}` is missing"));
        }
        item
    }

    pub(super) fn list<'a>(&mut self, item: &'a Item) -> &'a [Item] {
        match &item.value {
            Node::List(items) => items,
            _ => self.wrong_kind(item, "a list").unwrap_or_default(),
        }
    }

    pub(super) fn text(&mut self, item: &Item) -> Option<String> {
        match &item.value {
            Node::Text(text) => Some(text.clone()),
            _ => self.wrong_kind(item, "a text"),
        }
    }

    /// A text, or a value that has only one way to be written as one.
    pub(super) fn scalar(&mut self, item: &Item) -> Option<String> {
        match &item.value {
            Node::Text(text) => Some(text.clone()),
            Node::Number(number) => Some(number.to_string()),
            Node::Bool(truth) => Some(truth.to_string()),
            _ => self.wrong_kind(item, "a text"),
        }
    }

    pub(super) fn truth(&mut self, item: &Item) -> Option<bool> {
        match &item.value {
            Node::Bool(truth) => Some(*truth),
            _ => self.wrong_kind(item, "true or false"),
        }
    }

    pub(super) fn number(&mut self, item: &Item, from: f64, to: f64) -> Option<f64> {
        match &item.value {
            Node::Number(number) if (from..=to).contains(number) => Some(*number),
            Node::Number(number) => {
                let message = format!("{number} is not between {from} and {to}");
                self.problem(item.defined, "check-syntax", message);
                None
            }
            _ => self.wrong_kind(item, "a number"),
        }
    }

    pub(super) fn or_problem<T>(
        &mut self,
        item: &Item,
        value: Option<T>,
        complaint: &str,
    ) -> Option<T> {
        if value.is_none() {
            let text = match &item.value {
                Node::Text(text) => format!("`{text}` {complaint}"),
                other => format!("{} {complaint}", other.kind()),
            };
            self.problem(item.defined, "check-syntax", text);
        }
        value
    }

    pub(super) fn wrong_kind<T>(&mut self, item: &Item, wanted: &str) -> Option<T> {
        let message = format!("expected {wanted}, found {}", item.value.kind());
        self.problem(item.defined, "check-syntax", message);
        None
    }

    pub(super) fn unknown(&mut self, key: &Spanned<String>, known: &[&str]) {
        let place = self.place(key.defined);
        let message = format!("there is no key `{}` here", key.value);
        let hint = suggestion(&key.value, known);
        self.problems.push(Problem::new(place, "unknown-field", message).with_hint(hint));
    }

    pub(super) fn problem(&mut self, at: Location, rule: &str, message: impl Into<String>) {
        let place = self.place(at);
        self.problems.push(Problem::new(place, rule, message));
    }

    pub(super) fn whole_file(&mut self, message: String) {
        let place = Place::file(self.file.clone());
        self.problems.push(Problem::new(place, "check-syntax", message));
    }

    pub(super) fn place(&self, at: Location) -> Place {
        let (line, column) = position(&at);
        Place { file: self.file.clone(), line, column }
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range was checked, and a fraction of a repetition is none"
)]
pub(super) fn whole(number: f64) -> u32 {
    number as u32
}

pub(super) fn status(number: f64) -> u16 {
    u16::try_from(whole(number)).unwrap_or_default()
}
