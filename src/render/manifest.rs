//! Reads `convoy.yaml` into a [`Manifest`], with every mistake and its place.
//!
//! It looks at nothing but the manifest: whether the rest of the tree fits it
//! is `layout`'s. The renderer calls it; the sample under `templates/envoy/`
//! documents the form for users.

mod duration;
mod metrics;
mod nodes;
mod rollout;
mod voters;
mod windows;

use std::time::Duration;

use super::document::{self, Node, Value};
use super::mistakes::{Fields, Mistakes};
use crate::model::{
    EVERYONE, GroupRule, IdError, MANIFEST_PATH, Manifest, NodeGroup, NodeRule, Person, Place,
    Problem, Quorum, SmokePolicy, SourceTree, Stage, StageSpec,
};
/// A manifest is written by hand.
const BYTES_MAX: usize = 256 << 10;
/// A soak is waited for by people; a month is longer than any of them will.
const SOAK_MAX: Duration = Duration::from_secs(31 * 24 * 3600);
/// A smoke run that may take longer than this blocks the pipeline.
const SMOKE_TIMEOUT_MAX: Duration = Duration::from_secs(600);
/// A request that waits longer is forgotten by whoever made it.
const EXPIRES_MAX: Duration = Duration::from_secs(31 * 24 * 3600);

const TOP_FIELDS: [&str; 4] = ["stages", "groups", "envoy", "owners"];
const STAGE_FIELDS: [&str; 13] = [
    "name",
    "envoy",
    "auto",
    "approvals",
    "soak",
    "approvers",
    "nodes",
    "smoke",
    "windows",
    "fleet",
    "metrics",
    "rollout",
    "expires",
];
const GROUP_FIELDS: [&str; 2] = ["name", "nodes"];
const SMOKE_FIELDS: [&str; 3] = ["checks", "ready_timeout", "check_timeout"];

/// Reads the manifest of `tree`; `None` where it has none.
///
/// # Errors
/// Every mistake in it.
pub(crate) fn read(tree: &SourceTree) -> Result<Option<Manifest>, Vec<Problem>> {
    let Some((file, content)) = tree.files.iter().find(|(path, _)| path.as_str() == MANIFEST_PATH)
    else {
        return Ok(None);
    };
    let documents = document::fits(file, content, BYTES_MAX)
        .and_then(|()| document::parse(file, content))
        .map_err(|problem| vec![problem])?;
    let mut mistakes = Mistakes::new(file);
    let manifest = match documents.as_slice() {
        [node] => manifest(&mut mistakes, node),
        [] => return Err(vec![no_stages(Place::file(file.clone()))]),
        [_, second, ..] => {
            mistakes.note(second.at, "wrong-type", "the manifest must be one document");
            None
        }
    };
    match manifest {
        Some(manifest) if mistakes.problems.is_empty() => Ok(Some(manifest)),
        _ => {
            mistakes.problems.sort();
            Err(mistakes.problems)
        }
    }
}

fn no_stages(place: Place) -> Problem {
    Problem::new(place, "no-stages", "the manifest names no stage")
        .with_hint("list the stages in promotion order, at least one: `stages: [{name: beta}]`")
}

fn manifest(mistakes: &mut Mistakes<'_>, node: &Node) -> Option<Manifest> {
    let fields = mistakes.fields(node, "the manifest", &TOP_FIELDS)?;
    let default_versions =
        fields.get("envoy").map(|node| versions(mistakes, node)).unwrap_or_default();
    let stages = stages(mistakes, &fields, &default_versions);
    let groups = groups(mistakes, &fields);
    let owners = fields.get("owners").map(|node| voters::owners(mistakes, node));
    Some(Manifest { stages, groups, owners: owners.unwrap_or_default() })
}

fn stages(mistakes: &mut Mistakes<'_>, fields: &Fields<'_>, versions: &[String]) -> Vec<StageSpec> {
    let items = match fields.get("stages") {
        None => &[],
        Some(node) => match mistakes.list(node, "`stages`") {
            [] if !matches!(node.value, Value::List(_)) => return Vec::new(),
            items => items,
        },
    };
    if items.is_empty() {
        let place = mistakes.place(fields.at);
        mistakes.problems.push(no_stages(place));
    }
    let mut stages: Vec<StageSpec> = Vec::new();
    for item in items {
        let Some(spec) = stage(mistakes, item, versions) else { continue };
        if stages.iter().any(|known| known.name == spec.name) {
            let message = format!("the stage `{}` is there twice", spec.name);
            mistakes.note(item.at, "duplicate-stage", message);
        }
        stages.push(spec);
    }
    stages
}

fn stage(mistakes: &mut Mistakes<'_>, node: &Node, versions_: &[String]) -> Option<StageSpec> {
    let fields = mistakes.fields(node, "a stage", &STAGE_FIELDS)?;
    let name = name(mistakes, &fields, "a stage", Stage::new);
    let envoy_versions = match fields.get("envoy") {
        Some(node) => versions(mistakes, node),
        None => versions_.to_vec(),
    };
    let auto = fields.get("auto").and_then(|node| mistakes.boolean(node, "`auto`"));
    let approvals = fields.get("approvals").map(|node| voters::approvals(mistakes, node));
    let (approvals, quorums) = approvals.unwrap_or_default();
    let soak = fields
        .get("soak")
        .and_then(|node| duration::read(mistakes, node, "`soak`", SOAK_MAX))
        .unwrap_or_default();
    let approvers = approvers(mistakes, &fields, approvals, &quorums);
    let nodes = fields.get("nodes").map(|node| nodes::rules(mistakes, node));
    let smoke = smoke(mistakes, &fields);
    let windows = fields.get("windows").map(|node| windows::read(mistakes, node));
    let fleet = fields.get("fleet").and_then(|node| rollout::fleet(mistakes, node));
    let metrics = fields.get("metrics").map(|node| metrics::read(mistakes, node));
    let rollout = fields.get("rollout").and_then(|node| rollout::read(mistakes, node));
    let expires = fields
        .get("expires")
        .and_then(|node| duration::read(mistakes, node, "`expires`", EXPIRES_MAX));
    let name = not_reserved(mistakes, &fields, name?)?;
    Some(StageSpec {
        nodes: nodes.unwrap_or_else(|| vec![of_stage(&name)]),
        name,
        envoy_versions,
        approvals,
        auto: auto.unwrap_or(false),
        soak_seconds: soak.as_secs(),
        approvers,
        smoke,
        quorums,
        windows: windows.unwrap_or_default(),
        fleet,
        metrics: metrics.unwrap_or_default(),
        rollout,
        expires_seconds: expires.map(|expires| expires.as_secs()),
    })
}

/// Where a stage gives no rule, a node says itself which stage it is of.
fn of_stage(stage: &Stage) -> NodeRule {
    NodeRule { metadata: vec![("stage".into(), stage.as_str().into())], ..NodeRule::default() }
}

/// `values/common.yaml` is for all stages, so no stage can be called that.
fn not_reserved(mistakes: &mut Mistakes<'_>, fields: &Fields<'_>, name: Stage) -> Option<Stage> {
    if name.as_str() != "common" {
        return Some(name);
    }
    let at = fields.get("name").map_or(fields.at, |node| node.at);
    mistakes.note(at, "reserved-name", "no stage can be named `common`: it means all of them");
    None
}

fn name<T>(
    mistakes: &mut Mistakes<'_>,
    fields: &Fields<'_>,
    what: &str,
    parse: impl Fn(&str) -> Result<T, IdError>,
) -> Option<T> {
    let Some(node) = fields.get("name") else {
        mistakes.note(fields.at, "missing-field", format!("{what} must have a `name`"));
        return None;
    };
    let text = mistakes.text(node, "`name`")?;
    parse(text).map_err(|error| mistakes.note(node.at, "bad-name", error.to_string())).ok()
}

fn approvers(
    mistakes: &mut Mistakes<'_>,
    fields: &Fields<'_>,
    approvals: usize,
    quorums: &[Quorum],
) -> Vec<String> {
    let Some(node) = fields.get("approvers") else { return Vec::new() };
    if !quorums.is_empty() {
        let message = "`approvers` goes with a number of `approvals`";
        let hint = "where `approvals` is a list, name the people in its `from`";
        mistakes.hint(node.at, "bad-value", message, hint);
    }
    let mut names: Vec<String> = Vec::new();
    for item in mistakes.list(node, "`approvers`") {
        let Some(text) = mistakes.text(item, "an approver") else { continue };
        match Person::new(text) {
            Ok(person) if !names.iter().any(|name| name == person.as_str()) => {
                names.push(text.into());
            }
            Ok(_) => {
                let message = format!("the approver `{text}` is there twice");
                mistakes.note(item.at, "duplicate-approver", message);
            }
            Err(error) => mistakes.note(item.at, "bad-name", error.to_string()),
        }
    }
    if !names.is_empty() && names.len() < approvals {
        let message =
            format!("{approvals} approvals are asked for, but only {} may approve", names.len());
        mistakes.note(node.at, "too-few-approvers", message);
    }
    names
}

fn versions(mistakes: &mut Mistakes<'_>, node: &Node) -> Vec<String> {
    let mut versions: Vec<String> = Vec::new();
    for item in mistakes.list(node, "`envoy`") {
        let Some(text) = mistakes.text(item, "an Envoy version") else { continue };
        if !is_version(text) {
            let message = format!("`{text}` is not an Envoy version");
            mistakes.hint(item.at, "bad-version", message, "write all three parts, as in `1.36.4`");
        } else if versions.iter().any(|known| known == text) {
            let message = format!("the Envoy version {text} is there twice");
            mistakes.note(item.at, "duplicate-version", message);
        } else {
            versions.push(text.into());
        }
    }
    versions
}

fn is_version(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let number = |part: &&str| {
        (1..=4).contains(&part.len()) && part.chars().all(|digit| digit.is_ascii_digit())
    };
    parts.len() == 3 && parts.iter().all(number)
}

fn smoke(mistakes: &mut Mistakes<'_>, fields: &Fields<'_>) -> SmokePolicy {
    let policy = SmokePolicy::default();
    let Some(fields) =
        fields.get("smoke").and_then(|node| mistakes.fields(node, "`smoke`", &SMOKE_FIELDS))
    else {
        return policy;
    };
    let mut timeout = |name: &str, default: Duration| {
        fields
            .get(name)
            .and_then(|node| {
                duration::read(mistakes, node, &format!("`{name}`"), SMOKE_TIMEOUT_MAX)
            })
            .unwrap_or(default)
    };
    let ready_timeout = timeout("ready_timeout", policy.ready_timeout);
    let check_timeout = timeout("check_timeout", policy.check_timeout);
    let checks = match fields.get("checks") {
        Some(node) => nodes::globs(mistakes, node, "`checks`"),
        None => policy.checks,
    };
    SmokePolicy { checks, ready_timeout, check_timeout }
}

fn groups(mistakes: &mut Mistakes<'_>, fields: &Fields<'_>) -> Vec<GroupRule> {
    let items = match fields.get("groups") {
        Some(node) => mistakes.list(node, "`groups`"),
        None => &[],
    };
    let mut groups: Vec<GroupRule> = Vec::new();
    for item in items {
        let Some(rule) = group(mistakes, item) else { continue };
        if groups.iter().any(|known| known.name == rule.name) {
            let message = format!("the group `{}` is there twice", rule.name);
            mistakes.note(item.at, "duplicate-group", message);
        }
        groups.push(rule);
    }
    groups.push(GroupRule { name: NodeGroup::default(), nodes: Vec::new() });
    groups
}

fn group(mistakes: &mut Mistakes<'_>, node: &Node) -> Option<GroupRule> {
    let fields = mistakes.fields(node, "a group", &GROUP_FIELDS)?;
    let name = name(mistakes, &fields, "a group", NodeGroup::new);
    let nodes = match fields.get("nodes") {
        Some(node) => nodes::rules(mistakes, node),
        None => {
            let message = "a group must say which `nodes` it holds";
            let hint = "as in `nodes: {metadata: {role: edge}}`";
            mistakes.hint(fields.at, "missing-field", message, hint);
            return None;
        }
    };
    let name = name?;
    if name.as_str() == EVERYONE {
        let message =
            format!("the group `{EVERYONE}` is always there: all nodes of no other group");
        mistakes.note(fields.at, "reserved-name", message);
        return None;
    }
    Some(GroupRule { name, nodes })
}

#[cfg(test)]
mod tests;
