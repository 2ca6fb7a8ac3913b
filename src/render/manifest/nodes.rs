//! Rules about nodes, and globs: the parts of the manifest that match.

use globset::Glob;

use crate::model::NodeRule;
use crate::render::document::{Node, Value};
use crate::render::mistakes::Mistakes;

const RULE_FIELDS: [&str; 3] = ["cluster", "id", "metadata"];

/// Reads one rule or a list of them.
pub(super) fn rules(mistakes: &mut Mistakes<'_>, node: &Node) -> Vec<NodeRule> {
    let items = Mistakes::one_or_many(node);
    if items.is_empty() {
        mistakes.note(node.at, "missing-field", "`nodes` must hold at least one rule");
    }
    items.iter().filter_map(|item| rule(mistakes, item)).collect()
}

fn rule(mistakes: &mut Mistakes<'_>, node: &Node) -> Option<NodeRule> {
    let fields = mistakes.fields(node, "a rule about nodes", &RULE_FIELDS)?;
    let mut globs_of = |name: &str| {
        fields.get(name).map(|node| globs(mistakes, node, &format!("`{name}`"))).unwrap_or_default()
    };
    let (clusters, ids) = (globs_of("cluster"), globs_of("id"));
    let metadata = fields.get("metadata").map(|node| metadata(mistakes, node)).unwrap_or_default();
    Some(NodeRule { clusters, ids, metadata })
}

fn metadata(mistakes: &mut Mistakes<'_>, node: &Node) -> Vec<(String, String)> {
    let Value::Map(entries) = &node.value else {
        let found = node.value.what();
        mistakes.note(node.at, "wrong-type", format!("`metadata` must be a map, not {found}"));
        return Vec::new();
    };
    let mut pairs = Vec::new();
    for entry in entries {
        // A node's metadata is compared as text, so `canary: true` may be
        // written as it is in the bootstrap.
        let text = match &entry.node.value {
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            _ => match mistakes.text(&entry.node, &format!("`metadata.{}`", entry.key)) {
                Some(text) => text.into(),
                None => continue,
            },
        };
        pairs.push((entry.key.clone(), text));
    }
    pairs
}

/// Reads one glob or a list of them.
pub(super) fn globs(mistakes: &mut Mistakes<'_>, node: &Node, what: &str) -> Vec<String> {
    let mut globs = Vec::new();
    for item in Mistakes::one_or_many(node) {
        let Some(text) = mistakes.text(item, what) else { continue };
        match Glob::new(text) {
            Ok(_) => globs.push(text.into()),
            Err(error) => {
                let message = format!("`{text}` is not a glob: {}", error.kind());
                mistakes.note(item.at, "bad-glob", message);
            }
        }
    }
    globs
}
