//! `convoy ls REPO [PATTERN]`: the files of a revision.

use serde_json::Value;

use super::Failure;
use super::client::{Query, Server};
use super::output::{Output, columns};
use super::status::text;
use crate::model::{At, RepoName};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The repository, project/name
    repo: RepoName,
    /// Which files, as in '/values/**'
    pattern: Option<String>,
    /// The revision; -1 is the head, -2 the one before it
    #[arg(long, default_value = "-1", allow_hyphen_values = true)]
    revision: At,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let mut query = Query::default();
    query.push("revision", &args.revision.to_string());
    args.pattern.iter().for_each(|pattern| query.push("pattern", pattern));
    let answer = args.server.get(&format!("/repos/{}/files{query}", args.repo)).await?;
    output.result(&answer, || table(&answer));
    Ok(())
}

fn table(answer: &Value) -> String {
    let files = answer["files"].as_array().into_iter().flatten();
    let row = |file: &Value| {
        let blob = text(file, "blob");
        vec![blob.get(..10).unwrap_or(&blob).to_owned(), text(file, "size"), text(file, "path")]
    };
    columns(&files.map(row).collect::<Vec<_>>())
}
