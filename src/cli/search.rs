//! `convoy search TEXT`: lines of files, in one repository or in all.

use serde_json::Value;

use super::Failure;
use super::client::{Query, Server};
use super::output::Output;
use super::status::text;
use crate::model::{At, RepoName};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What is searched for
    #[arg(allow_hyphen_values = true)]
    text: String,
    /// Only this repository, project/name
    #[arg(long)]
    repo: Option<RepoName>,
    /// The text is a regular expression
    #[arg(long)]
    regex: bool,
    /// Upper and lower case are the same
    #[arg(long, short)]
    ignore_case: bool,
    /// Only in files that match, as in '/values/**'
    #[arg(long)]
    pattern: Option<String>,
    /// The revision; -1 is the head, -2 the one before it
    #[arg(long, requires = "repo", allow_hyphen_values = true)]
    revision: Option<At>,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let mut query = Query::default();
    query.push("q", &args.text);
    args.pattern.iter().for_each(|pattern| query.push("pattern", pattern));
    args.revision.iter().for_each(|at| query.push("revision", &at.to_string()));
    for (name, given) in [("regex", args.regex), ("ignore_case", args.ignore_case)] {
        if given {
            query.push(name, "1");
        }
    }
    let path = match &args.repo {
        Some(repo) => format!("/repos/{repo}/search{query}"),
        None => format!("/search{query}"),
    };
    let answer = args.server.get(&path).await?;
    output.result(&answer, || lines(&answer));
    if answer["truncated"] == true {
        output.message("there is more; narrow it with --pattern or --repo");
    }
    // As grep has it: nothing found is a no.
    if answer["hits"] == 0 { Err(Failure::silent(Failure::FAILED)) } else { Ok(()) }
}

fn lines(answer: &Value) -> String {
    let mut shown = String::new();
    for repo in answer["repos"].as_array().into_iter().flatten() {
        push(&mut shown, &format!("{}:", text(repo, "repo")), repo);
    }
    push(&mut shown, "", answer);
    shown
}

fn push(shown: &mut String, before: &str, found: &Value) {
    for file in found["files"].as_array().into_iter().flatten() {
        for hit in file["hits"].as_array().into_iter().flatten() {
            let (path, line) = (text(file, "path"), text(hit, "line"));
            shown.push_str(&format!("{before}{path}:{line}: {}\n", text(hit, "text")));
        }
    }
}
