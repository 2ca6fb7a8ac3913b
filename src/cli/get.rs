//! `convoy get REPO PATH`: a file's bytes, or what JSONPaths find in it.

use std::io::Write as _;

use serde_json::Value;

use super::Failure;
use super::client::{Query, Server, segments};
use super::output::{Format, Output};
use crate::model::{At, FilePath, RepoName};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The repository, project/name
    repo: RepoName,
    /// The file
    path: FilePath,
    /// The revision; -1 is the head, -2 the one before it
    #[arg(long, default_value = "-1", allow_hyphen_values = true)]
    revision: At,
    /// Print what a JSONPath finds; again: in what the one before found
    #[arg(long, value_name = "JSONPATH", conflicts_with = "jsonpath")]
    query: Vec<String>,
    /// Print the list of everything that a JSONPath (RFC 9535) finds
    #[arg(long, value_name = "JSONPATH")]
    jsonpath: Option<String>,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let mut query = Query::default();
    query.push("revision", &args.revision.to_string());
    let path = segments(args.path.as_str());
    if output.format == Format::Table && args.query.is_empty() && args.jsonpath.is_none() {
        let bytes = args.server.bytes(&format!("/repos/{}/raw/{path}{query}", args.repo)).await?;
        let mut stdout = std::io::stdout().lock();
        // A closed pipe is no failure: whoever reads has seen enough.
        let _ = stdout.write_all(&bytes).and_then(|()| stdout.flush());
        return Ok(());
    }
    args.query.iter().for_each(|one| query.push("query", one));
    args.jsonpath.iter().for_each(|one| query.push("jsonpath", one));
    let answer = args.server.get(&format!("/repos/{}/files/{path}{query}", args.repo)).await?;
    output.result(&answer, || shown(&answer));
    Ok(())
}

/// A text as it is, anything else as JSON.
fn shown(answer: &Value) -> String {
    let found = if answer["nodes"].is_null() { &answer["value"] } else { &answer["nodes"] };
    match found {
        Value::String(text) => format!("{text}\n"),
        other => format!("{}\n", serde_json::to_string_pretty(other).unwrap_or_default()),
    }
}
