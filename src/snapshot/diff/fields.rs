//! What differs inside one resource, field by field, for people:
//! `connect_timeout 1s → 3s` rather than lines.
//!
//! Works over the form that is printed, so what is masked there is masked
//! here. Items of a list are told apart by what names them (a filter's name,
//! an endpoint's address), so that one more at the front is one addition.
//! Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_yaml::{Mapping, Value};
use similar::{Algorithm, DiffOp, capture_diff_slices};

/// A value longer than this is cut, in characters.
const VALUE_CHARS_MAX: usize = 120;
/// More changes than these are counted, not listed.
const CHANGES_MAX: usize = 100;

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Where it is, as in `filter_chains[web].filters[0].name`.
    pub path: String,
    /// What it was; `None`: it was not there.
    pub from: Option<String>,
    /// What it is; `None`: it is not there any more.
    pub to: Option<String>,
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => write!(f, "{}: {from} → {to}", self.path),
            (None, Some(to)) => write!(f, "{}: added {to}", self.path),
            (Some(from), None) => write!(f, "{}: removed {from}", self.path),
            (None, None) => f.write_str(&self.path),
        }
    }
}

/// Every field that differs, in the order of the newer side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) changes: Vec<FieldChange>,
    /// How many are not listed.
    pub(super) more: usize,
}

/// Compares two printed messages.
pub(super) fn fields(old: &Value, new: &Value) -> Fields {
    let mut found = Fields::default();
    found.value("", old, new);
    found
}

impl Fields {
    fn value(&mut self, path: &str, old: &Value, new: &Value) {
        match (old, new) {
            _ if old == new => {}
            (Value::Mapping(old), Value::Mapping(new)) if kind(old) == kind(new) => {
                self.mapping(path, old, new);
            }
            (Value::Sequence(old), Value::Sequence(new)) => self.sequence(path, old, new),
            _ => self.note(path, Some(old), Some(new)),
        }
    }

    fn mapping(&mut self, path: &str, old: &Mapping, new: &Mapping) {
        for (key, now) in new {
            let path = below(path, key);
            match old.get(key) {
                Some(before) => self.value(&path, before, now),
                None => self.note(&path, None, Some(now)),
            }
        }
        for (key, before) in old.iter().filter(|(key, _)| !new.contains_key(*key)) {
            self.note(&below(path, key), Some(before), None);
        }
    }

    fn sequence(&mut self, path: &str, old: &[Value], new: &[Value]) {
        match (named(old), named(new)) {
            (Some(old), Some(new)) => self.by_name(path, &old, &new),
            _ => self.by_place(path, old, new),
        }
    }

    fn by_name(&mut self, path: &str, old: &Named<'_>, new: &Named<'_>) {
        for (name, now) in &new.items {
            let path = format!("{path}[{name}]");
            match old.get(name) {
                Some(before) => self.value(&path, before, now),
                None => self.note(&path, None, Some(now)),
            }
        }
        for (name, before) in old.items.iter().filter(|(name, _)| new.get(name).is_none()) {
            self.note(&format!("{path}[{name}]"), Some(before), None);
        }
        let (before, now) = (old.order(new), new.order(old));
        if before != now {
            self.push(path, Some(before.join(", ")), Some(now.join(", ")));
        }
    }

    /// Without names, what is equal stays where it is, and what stands in the
    /// place of something else is compared with that.
    fn by_place(&mut self, path: &str, old: &[Value], new: &[Value]) {
        let key = |value: &Value| serde_yaml::to_string(value).unwrap_or_default();
        let keys = |values: &[Value]| values.iter().map(key).collect::<Vec<_>>();
        for op in capture_diff_slices(Algorithm::Myers, &keys(old), &keys(new)) {
            if matches!(op, DiffOp::Equal { .. }) {
                continue;
            }
            let (before, now) = (op.old_range(), op.new_range());
            let both = before.len().min(now.len());
            for step in 0..both {
                let at = now.start + step;
                self.value(&format!("{path}[{at}]"), &old[before.start + step], &new[at]);
            }
            for at in now.skip(both) {
                self.note(&format!("{path}[{at}]"), None, Some(&new[at]));
            }
            for at in before.skip(both) {
                self.note(&format!("{path}[{at}]"), Some(&old[at]), None);
            }
        }
    }

    fn note(&mut self, path: &str, from: Option<&Value>, to: Option<&Value>) {
        self.push(path, from.map(shown), to.map(shown));
    }

    fn push(&mut self, path: &str, from: Option<String>, to: Option<String>) {
        if self.changes.len() == CHANGES_MAX {
            self.more += 1;
            return;
        }
        let path = if path.is_empty() { "the whole message" } else { path };
        self.changes.push(FieldChange { path: path.into(), from, to });
    }
}

/// A list whose items all have names of their own.
struct Named<'a> {
    items: Vec<(String, &'a Value)>,
    places: BTreeMap<String, usize>,
}

impl<'a> Named<'a> {
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.places.get(name).map(|at| self.items[*at].1)
    }

    /// The names that the other has too, in order.
    fn order(&self, other: &Self) -> Vec<&str> {
        let both = self.items.iter().filter(|(name, _)| other.places.contains_key(name));
        both.map(|(name, _)| name.as_str()).collect()
    }
}

fn named(list: &[Value]) -> Option<Named<'_>> {
    let items: Option<Vec<_>> = list.iter().map(|item| Some((name_of(item)?, item))).collect();
    let items = items?;
    let places: BTreeMap<_, _> =
        items.iter().enumerate().map(|(at, (name, _))| (name.clone(), at)).collect();
    (places.len() == items.len()).then_some(Named { items, places })
}

/// What tells an item from its neighbours.
fn name_of(item: &Value) -> Option<String> {
    let text = |key: &str| item.get(key).and_then(Value::as_str).map(str::to_owned);
    let header = || item.get("header")?.get("key")?.as_str().map(str::to_owned);
    text("name")
        .filter(|name| !name.is_empty())
        .or_else(|| text("key"))
        .or_else(header)
        .or_else(|| address(item.get("endpoint")?.get("address")?))
        .or_else(|| locality(item.get("locality")?))
        .or_else(|| address(item))
}

fn address(address: &Value) -> Option<String> {
    let socket = address.get("socket_address")?;
    let host = socket.get("address")?.as_str()?;
    let port = socket.get("port_value").and_then(Value::as_u64).unwrap_or(0);
    Some(format!("{host}:{port}"))
}

fn locality(locality: &Value) -> Option<String> {
    let parts = ["region", "zone", "sub_zone"].iter();
    let parts: BTreeSet<_> = parts.filter_map(|key| locality.get(key)?.as_str()).collect();
    (!parts.is_empty()).then(|| parts.into_iter().collect::<Vec<_>>().join("/"))
}

/// An `Any`'s type: messages of two types have no field in common.
fn kind(mapping: &Mapping) -> Option<&str> {
    mapping.get("@type").and_then(Value::as_str)
}

fn below(path: &str, key: &Value) -> String {
    let key = key.as_str().map_or_else(|| shown(key), str::to_owned);
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// A value on one line.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => serde_json::to_string(other).unwrap_or_default(),
    };
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(old: &str, new: &str, expected: &[&str]) {
        let read = |text: &str| serde_yaml::from_str::<Value>(text).unwrap();
        let found = fields(&read(old), &read(new));
        let found: Vec<_> = found.changes.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "{old} → {new}");
    }

    #[test]
    fn a_field_that_differs_is_named_with_both_values() {
        check(
            "{name: a, connect_timeout: 1s}",
            "{name: a, connect_timeout: 3s}",
            &["connect_timeout: 1s → 3s"],
        );
        check("{a: {b: {c: 1}}}", "{a: {b: {c: 2, d: x}}}", &["a.b.c: 1 → 2", "a.b.d: added x"]);
        check("{a: 1, b: [x]}", "{a: 1}", &["b: removed [\"x\"]"]);
        check("{a: 1}", "{a: 1}", &[]);
    }

    #[test]
    fn items_are_told_apart_by_their_names() {
        let old = "filters: [{name: one, x: 1}, {name: two}]";
        check(
            old,
            "filters: [{name: zero}, {name: one, x: 2}, {name: two}]",
            &["filters[zero]: added {\"name\":\"zero\"}", "filters[one].x: 1 → 2"],
        );
        check(old, "filters: [{name: two}]", &["filters[one]: removed {\"name\":\"one\",\"x\":1}"]);
        check(old, "filters: [{name: two}, {name: one, x: 1}]", &["filters: one, two → two, one"]);
    }

    #[test]
    fn endpoints_are_told_apart_by_their_addresses() {
        let host = |host: &str, health: &str| {
            format!(
                "{{endpoint: {{address: {{socket_address: {{address: {host}, port_value: 80}}}}}}, \
                 health_status: {health}}}"
            )
        };
        let list = |hosts: &[String]| format!("lb_endpoints: [{}]", hosts.join(", "));
        check(
            &list(&[host("a", "UP"), host("b", "UP")]),
            &list(&[host("b", "DRAINING"), host("c", "UP")]),
            &[
                "lb_endpoints[b:80].health_status: UP → DRAINING",
                "lb_endpoints[c:80]: added {\"endpoint\":{\"address\":{\"socket_address\":\
                 {\"address\":\"c\",\"port_value\":80}}},\"health_status\":\"UP\"}",
                "lb_endpoints[a:80]: removed {\"endpoint\":{\"address\":{\"socket_address\":\
                 {\"address\":\"a\",\"port_value\":80}}},\"health_status\":\"UP\"}",
            ],
        );
    }

    #[test]
    fn items_without_names_keep_the_places_of_what_is_equal() {
        let old = "routes: [{match: /a, to: x}, {match: /b, to: y}]";
        check(
            old,
            "routes: [{match: /new, to: n}, {match: /a, to: x}, {match: /b, to: z}]",
            &["routes[0]: added {\"match\":\"/new\",\"to\":\"n\"}", "routes[2].to: y → z"],
        );
    }

    #[test]
    fn another_type_replaces_the_whole() {
        check(
            "c: {'@type': t/A, x: 1}",
            "c: {'@type': t/B, x: 1}",
            &["c: {\"@type\":\"t/A\",\"x\":1} → {\"@type\":\"t/B\",\"x\":1}"],
        );
    }

    #[test]
    fn what_is_long_is_cut_and_what_is_much_is_counted() {
        let found = fields(&Value::from("é".repeat(500)), &Value::Null);
        assert_eq!(found.changes[0].from.as_ref().unwrap().chars().count(), VALUE_CHARS_MAX + 1);
        let many: Mapping = (0..150).map(|n| (Value::from(format!("f{n}")), n.into())).collect();
        let found = fields(&Value::Mapping(Mapping::new()), &Value::Mapping(many));
        assert_eq!((found.changes.len(), found.more), (CHANGES_MAX, 50));
    }
}
