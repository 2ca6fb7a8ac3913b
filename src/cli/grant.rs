//! `convoy grant`: who may do what on a repository, or some of its paths.

use serde_json::{Value, json};

use super::Failure;
use super::client::Server;
use super::output::{Output, columns};
use crate::model::RepoName;

/// What is done with grants.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Args {
    /// Grant a right to somebody
    #[command(
        after_help = "Examples:\n  convoy grant add person:ann write mesh/config --paths '/values/**'\n  convoy grant add team:sre admin mesh/config"
    )]
    Add(Add),
    /// List what is granted on a repository
    #[command(after_help = "Examples:\n  convoy grant list mesh/config")]
    List(List),
    /// Take a right from somebody
    #[command(
        after_help = "Examples:\n  convoy grant remove person:ann mesh/config --paths '/values/**'"
    )]
    Remove(Remove),
    /// Say what members and guests have on a repository
    #[command(
        after_help = "Examples:\n  convoy grant default mesh/config --member write --guest read"
    )]
    Default(Defaults),
}

#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// Who, as in person:ann, team:sre, token:ci
    who: String,
    /// What
    #[arg(value_parser = ["read", "write", "admin"])]
    right: String,
    /// The repository, project/name
    repo: RepoName,
    /// Only on paths that this pattern matches
    #[arg(long, value_name = "PATTERN")]
    paths: Option<String>,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// The repository, project/name
    repo: RepoName,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
pub(super) struct Remove {
    /// Who, as in person:ann, team:sre, token:ci
    who: String,
    /// The repository, project/name
    repo: RepoName,
    /// The pattern that it was granted with
    #[arg(long, value_name = "PATTERN")]
    paths: Option<String>,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
pub(super) struct Defaults {
    /// The repository, project/name
    repo: RepoName,
    /// What the project's members have
    #[arg(long, default_value = "write", value_parser = ["none", "read", "write"])]
    member: String,
    /// What everybody has who logged in
    #[arg(long, default_value = "none", value_parser = ["none", "read", "write"])]
    guest: String,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let answer = match args {
        Args::Add(args) => {
            let mut body = json!({ "to": args.who, "right": args.right.to_uppercase() });
            if let Some(paths) = &args.paths {
                body["paths"] = json!(paths);
            }
            args.server.post(&path(&args.repo, "grants"), &body).await?
        }
        Args::List(args) => args.server.get(&path(&args.repo, "grants")).await?,
        Args::Remove(args) => {
            let body = json!({ "to": args.who, "paths": args.paths });
            args.server.post(&path(&args.repo, "grants/remove"), &body).await?
        }
        Args::Default(args) => {
            let body = json!({ "member": right(&args.member), "guest": right(&args.guest) });
            args.server.put(&path(&args.repo, "rights"), &body).await?
        }
    };
    output.result(&answer, || table(&answer));
    Ok(())
}

fn path(repo: &RepoName, tail: &str) -> String {
    format!("/govern/repos/{repo}/{tail}")
}

fn right(word: &str) -> Value {
    if word == "none" { Value::Null } else { json!(word.to_uppercase()) }
}

fn table(answer: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("none").to_lowercase();
    let mut rows = vec![["WHO", "RIGHT", "PATHS"].map(str::to_owned).to_vec()];
    rows.push(vec!["members".into(), text(&answer["member"]), "all".into()]);
    rows.push(vec!["guests".into(), text(&answer["guest"]), "all".into()]);
    rows.extend(answer["grants"].as_array().into_iter().flatten().map(|grant| {
        let paths = grant["paths"].as_str().unwrap_or("all").to_owned();
        vec![grant["to"].as_str().unwrap_or("").to_owned(), text(&grant["right"]), paths]
    }));
    columns(&rows)
}
