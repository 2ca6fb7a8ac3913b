//! `convoy repo`: the life of repositories, and what bounds them.

use serde_json::{Value, json};

use super::Failure;
use super::client::{Server, segment};
use super::output::{Output, columns};
use crate::model::RepoName;

/// What is done with repositories.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Args {
    /// Make a repository in a project
    #[command(after_help = "Examples:\n  convoy repo create mesh/config")]
    Create(One),
    /// List the repositories that you see
    #[command(after_help = "Examples:\n  convoy repo list\n  convoy repo list -o json")]
    List(Server),
    /// Hide a repository; nothing is lost
    #[command(after_help = "Examples:\n  convoy repo remove mesh/old")]
    Remove(One),
    /// Bring a removed repository back
    #[command(after_help = "Examples:\n  convoy repo restore mesh/old")]
    Restore(One),
    /// Remove a removed repository for ever, with its history
    #[command(after_help = "Examples:\n  convoy repo purge mesh/old")]
    Purge(One),
    /// Bound a repository; what is left out is not bounded
    #[command(
        after_help = "Examples:\n  convoy repo quota mesh/config --bytes 10000000 --files 5000"
    )]
    Quota(Quota),
    /// Show how a repository stands, or let it be written or not
    #[command(
        after_help = "Examples:\n  convoy repo status mesh/config\n  convoy repo status mesh/config --set read-only"
    )]
    Status(Status),
}

#[derive(Debug, clap::Args)]
pub(super) struct One {
    /// The repository, project/name
    repo: RepoName,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
pub(super) struct Quota {
    /// The repository, project/name
    repo: RepoName,
    /// Bytes of all files together
    #[arg(long)]
    bytes: Option<u64>,
    /// Files
    #[arg(long)]
    files: Option<u64>,
    /// Bytes of one file
    #[arg(long, value_name = "BYTES")]
    file_bytes: Option<u64>,
    /// Commits within any minute
    #[arg(long, value_name = "COMMITS")]
    per_minute: Option<u32>,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
pub(super) struct Status {
    /// The repository, project/name
    repo: RepoName,
    /// What it shall be
    #[arg(long, value_parser = ["active", "read-only"])]
    set: Option<String>,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    match args {
        Args::Create(one) => {
            let path = format!("/govern/projects/{}/repos", segment(one.repo.project()));
            let answer = one.server.post(&path, &json!({ "name": one.repo.repository() })).await?;
            output.result(&answer, || format!("`{}` is there\n", one.repo));
            Ok(())
        }
        Args::List(server) => list(server, output).await,
        Args::Remove(one) => {
            output.done(&one.server.delete(&path(&one.repo)).await?);
            Ok(())
        }
        Args::Restore(one) => act(one, "restore", output).await,
        Args::Purge(one) => act(one, "purge", output).await,
        Args::Quota(args) => quota(args, output).await,
        Args::Status(args) => status(args, output).await,
    }
}

fn path(repo: &RepoName) -> String {
    format!("/govern/repos/{repo}")
}

async fn act(one: &One, verb: &str, output: &Output) -> Result<(), Failure> {
    let path = format!("{}/{verb}", path(&one.repo));
    output.done(&one.server.post(&path, &json!({})).await?);
    Ok(())
}

async fn list(server: &Server, output: &Output) -> Result<(), Failure> {
    let answer = server.get("/repos").await?;
    output.result(&answer, || {
        let mut rows = vec![["REPOSITORY", "REVISION"].map(str::to_owned).to_vec()];
        rows.extend(answer["repos"].as_array().into_iter().flatten().map(|one| {
            let name = one["repo"].as_str().unwrap_or("").to_owned();
            vec![name, one["head"]["revision"].to_string()]
        }));
        columns(&rows)
    });
    Ok(())
}

async fn quota(args: &Quota, output: &Output) -> Result<(), Failure> {
    let body = json!({
        "bytes_max": args.bytes,
        "files_max": args.files,
        "file_bytes_max": args.file_bytes,
        "commits_per_minute_max": args.per_minute,
    });
    let answer = args.server.put(&format!("{}/quota", path(&args.repo)), &body).await?;
    output.result(&answer, || told(&answer));
    Ok(())
}

async fn status(args: &Status, output: &Output) -> Result<(), Failure> {
    let answer = match &args.set {
        None => args.server.get(&path(&args.repo)).await?,
        Some(word) => {
            let body = json!({ "status": word.replace('-', "_").to_uppercase() });
            args.server.put(&format!("{}/status", path(&args.repo)), &body).await?
        }
    };
    output.result(&answer, || told(&answer));
    Ok(())
}

fn told(card: &Value) -> String {
    let bound = |key: &str| match &card["quota"][key] {
        Value::Null => "not bounded".to_owned(),
        bound => format!("at most {bound}"),
    };
    let status = if card["status"] == "READ_ONLY" { "read-only" } else { "active" };
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let held = |key: &str, quota: &str| format!("{}, {}", card["usage"][key], bound(quota));
    columns(&[
        row("revision", card["head"].to_string()),
        row("status", status.to_owned()),
        row("files", held("files", "files_max")),
        row("bytes", held("bytes", "bytes_max")),
        row("bytes of a file", bound("file_bytes_max")),
        row("commits a minute", bound("commits_per_minute_max")),
    ])
}
