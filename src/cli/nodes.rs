//! `convoy nodes`: which Envoys are connected, what each has, and what it
//! refuses, by whom it was written. `convoy nodes NODE`: one of them, with the
//! resources in which it differs. `convoy nodes --load`: what clusters carry.

use serde_json::Value;

use super::Failure;
use super::client::{Query, Server, segment};
use super::output::{Output, columns};
use super::status::{seconds, text};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this node, with every resource in which it differs
    #[arg(conflicts_with_all = ["stage", "state", "load"])]
    node: Option<String>,
    /// Only nodes of this stage
    #[arg(long)]
    stage: Option<String>,
    /// Only nodes in this state: synced, not_sent, stale, never_acked, nacked
    #[arg(long)]
    state: Option<String>,
    /// What clusters carry, as nodes report it, in place of the nodes
    #[arg(long, conflicts_with = "state")]
    load: bool,
    /// With NODE: resources that do not differ too
    #[arg(long, requires = "node")]
    all: bool,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let mut query = Query::default();
    args.stage.iter().for_each(|stage| query.push("stage", stage));
    args.state.iter().for_each(|state| query.push("state", state));
    if let Some(node) = &args.node {
        if args.all {
            query.push("all", "1");
        }
        let found = args.server.get(&format!("/nodes/{}{query}", segment(node))).await?;
        output.result(&found, || one(&found));
    } else if args.load {
        let loads = args.server.get(&format!("/loads{query}")).await?;
        output.result(&loads, || load_table(&loads));
    } else {
        let nodes = args.server.get(&format!("/nodes{query}")).await?;
        output.result(&nodes, || table(&nodes));
    }
    Ok(())
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

fn table(nodes: &Value) -> String {
    let heads =
        ["NODE", "STAGE", "GROUP", "STATE", "REVISION", "BEHIND SINCE", "ENVOY", "LOCALITY"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    let mut notes = String::new();
    for node in list(nodes, "nodes") {
        let identity = &node["identity"];
        rows.push(vec![
            text(identity, "id"),
            text(&node["key"], "stage"),
            text(&node["key"], "group"),
            state(node),
            revision(node),
            behind(node),
            text(identity, "envoy_version"),
            text(identity, "locality"),
        ]);
        notes.push_str(&refusals(node));
    }
    let (total, shown) = (nodes["total"].as_u64().unwrap_or(0), rows.len() as u64 - 1);
    if total == 0 {
        return "no node is connected\n".into();
    }
    if shown < total {
        notes.push_str(&format!("{shown} of {total} are shown, the worst first\n"));
    }
    format!("{}{notes}", columns(&rows))
}

fn state(node: &Value) -> String {
    let word = text(node, "state").replace('_', " ").to_uppercase();
    if node["spared"] == true { format!("{word} (held back)") } else { word }
}

fn revision(of: &Value) -> String {
    match of["release"]["revision"].as_u64() {
        Some(revision) => format!("r{revision}"),
        None => String::new(),
    }
}

/// Since when the type that waits longest does.
fn behind(node: &Value) -> String {
    let since = list(node, "types").filter_map(|one| one["behind_since"].as_str()).min();
    since.map(seconds).unwrap_or_default()
}

fn refusals(node: &Value) -> String {
    let mut lines = String::new();
    for one in list(node, "types").filter(|one| !one["nacked"].is_null()) {
        let nack = &one["nacked"];
        let (node, kind) = (text(&node["identity"], "id"), text(one, "kind"));
        let since = seconds(&text(nack, "at"));
        lines.push_str(&format!("{node} refuses {kind}{} since {since}\n", revision_of(nack)));
        for culprit in list(nack, "culprits") {
            lines.push_str(&format!("  {}\n", culprit_line(culprit)));
        }
        let words = text(nack, "message");
        words.lines().for_each(|line| lines.push_str(&format!("  | {line}\n")));
    }
    lines
}

fn revision_of(nack: &Value) -> String {
    let revision = revision(nack);
    if revision.is_empty() { revision } else { format!(" of {revision}") }
}

fn culprit_line(culprit: &Value) -> String {
    let (place, change) = (&culprit["place"], &culprit["change"]);
    let mut line = text(culprit, "name");
    if !place.is_null() {
        line.push_str(&format!(", {}:{}", text(place, "file"), place["line"]));
    }
    if !change.is_null() {
        line.push_str(&format!(", r{} by {}", change["revision"], text(change, "author")));
    }
    for input in list(culprit, "inputs") {
        line.push_str(&format!("; changed: {}", culprit_line(input).trim_start_matches(", ")));
    }
    line
}

fn one(found: &Value) -> String {
    let node = &found["node"];
    let (identity, key) = (&node["identity"], &node["key"]);
    let mut shown = format!("{} is {}\n", text(identity, "id"), state(node));
    let place = match key.is_null() {
        true => "no stage matches it".to_owned(),
        false => {
            format!(
                "{} · stage {} · group {}",
                text(key, "repo"),
                text(key, "stage"),
                text(key, "group")
            )
        }
    };
    let facts = [
        ("served from", place),
        ("has", revision(node)),
        ("credential", text(node, "credential")),
        ("cluster", text(identity, "cluster")),
        ("Envoy", text(identity, "envoy_version")),
        ("locality", text(identity, "locality")),
        ("connected", seconds(&text(node, "connected_at"))),
    ];
    for (name, fact) in facts.iter().filter(|(_, fact)| !fact.is_empty()) {
        shown.push_str(&format!("  {name}: {fact}\n"));
    }
    let heads = ["TYPE", "STATE", "ASKS FOR", "SENT", "ACKED", "REVISION", "ANSWERED"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for of_type in list(node, "types") {
        rows.push(vec![
            text(of_type, "kind"),
            state(of_type),
            asks(of_type),
            text(of_type, "sent"),
            text(of_type, "acked"),
            revision(of_type),
            seconds(&text(of_type, "answered_at")),
        ]);
    }
    shown.push_str(&format!("\n{}", columns(&rows)));
    shown.push_str(&resources(found));
    shown.push_str(&refusals(node));
    shown
}

fn asks(of_type: &Value) -> String {
    let names = of_type["names"].as_u64().unwrap_or(0);
    match (of_type["wildcard"] == true, names) {
        (true, 0) => "all".into(),
        (true, names) => format!("all and {names}"),
        (false, names) => names.to_string(),
    }
}

fn resources(found: &Value) -> String {
    let heads = ["RESOURCE", "TYPE", "STATE", "SERVED", "SENT", "ACKED", "NACKED"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for one in list(found, "resources") {
        let kind = text(one, "type_url");
        rows.push(vec![
            text(one, "name"),
            kind.rsplit('.').next().unwrap_or_default().to_owned(),
            state(one),
            text(one, "served"),
            text(one, "sent"),
            text(one, "acked"),
            text(one, "nacked"),
        ]);
    }
    let total = found["resources_total"].as_u64().unwrap_or(0);
    match rows.len() {
        1 => format!("\nall {total} resources are as served\n"),
        _ => format!("\n{}", columns(&rows)),
    }
}

fn load_table(loads: &Value) -> String {
    let heads = ["CLUSTER", "STAGE", "LOCALITY", "REQUESTS", "ERRORS", "IN PROGRESS", "DROPPED"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for one in list(loads, "loads") {
        let keys = ["cluster", "stage", "locality", "issued", "errors", "in_progress", "dropped"];
        rows.push(keys.map(|key| text(one, key)).to_vec());
    }
    match rows.len() {
        1 => "no node has reported any load\n".into(),
        _ => columns(&rows),
    }
}
