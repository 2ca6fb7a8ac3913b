//! `convoy status`: what each stage serves, and what waits.

use serde_json::Value;

use super::Failure;
use super::client::Server;
use super::output::{Output, columns};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this stage
    stage: Option<String>,
    /// The repository, project/name
    #[arg(long)]
    repo: Option<String>,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let repo = args.server.repo(args.repo.as_deref()).await?;
    let mut board = args.server.get(&format!("/repos/{repo}/board")).await?;
    if let Some(only) = &args.stage {
        let stages = board["stages"].as_array_mut();
        let known: Vec<String> =
            stages.iter().flat_map(|s| s.iter()).map(|s| text(s, "stage")).collect();
        if !known.contains(only) {
            return Err(Failure::new(Failure::NOT_FOUND, format!("there is no stage `{only}`"))
                .with_hint(format!("the stages are {}", known.join(", "))));
        }
        if let Some(stages) = board["stages"].as_array_mut() {
            stages.retain(|stage| stage["stage"] == only.as_str());
        }
    }
    output.result(&board, || table(&board));
    Ok(())
}

pub(super) fn text(value: &Value, key: &str) -> String {
    match &value[key] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn table(board: &Value) -> String {
    let heads = ["STAGE", "SERVES", "REVISION", "SINCE", "BY", "SMOKE", "NODES", "WAITS"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    let mut notes = String::new();
    for stage in board["stages"].as_array().into_iter().flatten() {
        let live = &stage["live"];
        let open = stage["open"].as_array().cloned().unwrap_or_default();
        let fleet = &stage["fleet"];
        rows.push(vec![
            text(stage, "stage"),
            if live.is_null() { "nothing".into() } else { text(live, "id") },
            if live.is_null() {
                String::new()
            } else {
                format!("r{} {}", live["revision"], text(live, "short"))
            },
            seconds(&text(stage, "since")),
            text(stage, "by"),
            smoke(&stage["matrix"]),
            format!("{}/{} in step", fleet["acked"], fleet["nodes"]),
            open.iter().map(|one| text(one, "id")).collect::<Vec<_>>().join(" "),
        ]);
        for promotion in &open {
            let gates = promotion["gates"].as_array().cloned().unwrap_or_default();
            let closed = gates.iter().filter(|gate| gate["open"] == false);
            for gate in closed {
                notes.push_str(&format!(
                    "{} to {}: waits for {}: {}\n",
                    text(promotion, "id"),
                    text(stage, "stage"),
                    text(gate, "title"),
                    text(gate, "detail")
                ));
            }
        }
        if !stage["hold"].is_null() {
            let hold = &stage["hold"];
            let line = format!(
                "{0} is held by {1}: {2}; `convoy unpin {0}` ends it\n",
                text(stage, "stage"),
                text(hold, "by"),
                text(hold, "reason")
            );
            notes.push_str(&line);
        }
    }
    format!("{}{}{notes}", columns(&rows), mirror(&board["mirror"]))
}

/// A time without its fraction, for people.
pub(super) fn seconds(time: &str) -> String {
    match time.split_once('.') {
        Some((whole, _)) => format!("{whole}Z"),
        None => time.to_owned(),
    }
}

fn smoke(matrix: &Value) -> String {
    let cells = matrix.as_array().cloned().unwrap_or_default();
    let passed = cells.iter().filter(|cell| cell["state"] == "passed").count();
    if cells.is_empty() { String::new() } else { format!("{passed}/{} passed", cells.len()) }
}

fn mirror(mirror: &Value) -> String {
    match mirror["state"].as_str() {
        Some("failing") => format!("the upstream can't be fetched: {}\n", text(mirror, "error")),
        Some("diverged") => format!(
            "the upstream was rewritten ({} is not in it any more); `convoy adopt` takes it as it is\n",
            text(mirror, "ours").get(..10).unwrap_or("our head")
        ),
        _ => String::new(),
    }
}
