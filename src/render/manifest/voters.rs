//! Whose approvals a stage needs, and who owns which files.

use super::nodes;
use crate::model::{OwnerRule, Person, Quorum, Voter, Voters};
use crate::render::document::{Node, Value};
use crate::render::mistakes::Mistakes;

/// More approvals than this are a slip of the finger.
const APPROVALS_MAX: u32 = 50;
/// The owners' file is written by hand.
const RULES_MAX: usize = 1000;
const QUORUM_FIELDS: [&str; 2] = ["count", "from"];
const OWNER_FIELDS: [&str; 2] = ["paths", "from"];

/// Reads `approvals`: a number, or a list of quorums. With a list the number
/// is the largest of them.
pub(super) fn approvals(mistakes: &mut Mistakes<'_>, node: &Node) -> (usize, Vec<Quorum>) {
    let Value::List(items) = &node.value else {
        let count = mistakes.whole(node, "`approvals`", (0, APPROVALS_MAX));
        return (count.unwrap_or(0) as usize, Vec::new());
    };
    let mut quorums: Vec<Quorum> = Vec::new();
    for item in items {
        let Some(quorum) = quorum(mistakes, item) else { continue };
        if quorums.iter().any(|known| known.from == quorum.from) {
            let message = "the same people are asked twice";
            let hint = "keep the one with the larger `count`";
            mistakes.hint(item.at, "duplicate-quorum", message, hint);
        }
        quorums.push(quorum);
    }
    let most = quorums.iter().map(|quorum| quorum.count).max().unwrap_or(0);
    (most, quorums)
}

fn quorum(mistakes: &mut Mistakes<'_>, node: &Node) -> Option<Quorum> {
    let fields = mistakes.fields(node, "a quorum", &QUORUM_FIELDS)?;
    let Some(count) = fields.get("count") else {
        let hint = "as in `{count: 2, from: [team:release-approvers]}`";
        mistakes.hint(fields.at, "missing-field", "a quorum must have a `count`", hint);
        return None;
    };
    let count = mistakes.whole(count, "`count`", (1, APPROVALS_MAX))? as usize;
    let from = match fields.get("from") {
        None => Voters::Anyone,
        Some(node) => voters(mistakes, node)?,
    };
    if let (Voters::Of(list), Some(node)) = (&from, fields.get("from")) {
        let people = list.iter().all(|voter| matches!(voter, Voter::Person(_)));
        if people && list.len() < count {
            let message =
                format!("{count} approvals are asked for, but only {} may approve", list.len());
            mistakes.note(node.at, "too-few-approvers", message);
        }
    }
    Some(Quorum { count, from })
}

fn voters(mistakes: &mut Mistakes<'_>, node: &Node) -> Option<Voters> {
    match &node.value {
        Value::Text(word) if word == "owners" => Some(Voters::Owners),
        Value::Text(word) if word == "anyone" => Some(Voters::Anyone),
        _ => {
            let list = list(mistakes, node);
            if list.is_empty() && !Mistakes::one_or_many(node).is_empty() {
                // Why was said.
                return None;
            }
            if list.is_empty() {
                let message = "`from` names nobody";
                let hint = "name people and teams, as in `[ann, team:release-approvers]`, or \
                            write `owners` or `anyone`";
                mistakes.hint(node.at, "missing-field", message, hint);
                return None;
            }
            Some(Voters::Of(list))
        }
    }
}

/// Reads one voter or a list of them.
fn list(mistakes: &mut Mistakes<'_>, node: &Node) -> Vec<Voter> {
    let mut list: Vec<Voter> = Vec::new();
    for item in Mistakes::one_or_many(node) {
        let Some(text) = mistakes.text(item, "an approver") else { continue };
        let (name, is_team) = match text.strip_prefix("team:") {
            Some(team) => (team, true),
            None => (text, false),
        };
        // Teams are named as people are.
        match Person::new(name) {
            Err(error) => mistakes.note(item.at, "bad-name", error.to_string()),
            Ok(person) => {
                let voter = match is_team {
                    true => Voter::Team(person.as_str().to_owned()),
                    false => Voter::Person(person),
                };
                if list.contains(&voter) {
                    let message = format!("the approver `{text}` is there twice");
                    mistakes.note(item.at, "duplicate-approver", message);
                } else {
                    list.push(voter);
                }
            }
        }
    }
    list
}

/// Reads `owners`.
pub(super) fn owners(mistakes: &mut Mistakes<'_>, node: &Node) -> Vec<OwnerRule> {
    let items = mistakes.list(node, "`owners`");
    if items.len() > RULES_MAX {
        let message = format!("there can be {RULES_MAX} rules about owners, not {}", items.len());
        mistakes.note(node.at, "out-of-range", message);
    }
    items.iter().filter_map(|item| owner(mistakes, item)).collect()
}

fn owner(mistakes: &mut Mistakes<'_>, node: &Node) -> Option<OwnerRule> {
    let fields = mistakes.fields(node, "a rule about owners", &OWNER_FIELDS)?;
    let Some(paths) = fields.get("paths") else {
        let message = "a rule about owners must have `paths`";
        let hint = "as in `{paths: [\"resources/clusters/payments*\"], from: [team:payments]}`";
        mistakes.hint(fields.at, "missing-field", message, hint);
        return None;
    };
    let paths = nodes::globs(mistakes, paths, "`paths`");
    let from = match fields.get("from") {
        Some(Node { value: Value::List(items), .. }) if items.is_empty() => Vec::new(),
        Some(node) => list(mistakes, node),
        None => {
            let message = "a rule about owners must have `from`";
            let hint = "name people and teams; `[]` says that nobody owns these files";
            mistakes.hint(fields.at, "missing-field", message, hint);
            return None;
        }
    };
    Some(OwnerRule { paths, from })
}
