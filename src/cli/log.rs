//! `convoy log REPO [PATTERN]`: revisions, newest first.

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
    /// Only those that changed something that matches, as in '/values/**'
    pattern: Option<String>,
    /// The newest to show; -1 is the head, -2 the one before it
    #[arg(long, default_value = "-1", allow_hyphen_values = true)]
    from: At,
    /// The oldest to show
    #[arg(long, default_value = "1", allow_hyphen_values = true)]
    to: At,
    /// How many at most
    #[arg(long, default_value_t = 20)]
    limit: usize,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let mut query = Query::default();
    query.push("from", &args.from.to_string());
    query.push("to", &args.to.to_string());
    query.push("limit", &args.limit.to_string());
    args.pattern.iter().for_each(|pattern| query.push("pattern", pattern));
    let answer = args.server.get(&format!("/repos/{}/revisions{query}", args.repo)).await?;
    output.result(&answer, || table(&answer));
    if let Some(next) = answer["next"].as_u64() {
        output.message(&format!("older ones: --from {next}"));
    }
    Ok(())
}

fn table(answer: &Value) -> String {
    let revisions = answer["revisions"].as_array().into_iter().flatten();
    let row = |one: &Value| {
        let (commit, message) = (text(one, "commit"), text(one, "message"));
        let time = text(one, "time");
        vec![
            text(one, "revision"),
            commit.get(..10).unwrap_or(&commit).to_owned(),
            time.get(..19).map_or(time.clone(), |whole| format!("{whole}Z")),
            text(one, "author_name"),
            message.lines().next().unwrap_or("").to_owned(),
        ]
    };
    columns(&revisions.map(row).collect::<Vec<_>>())
}
