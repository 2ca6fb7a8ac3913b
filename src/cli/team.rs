//! `convoy team`: teams, which rights can be granted to.

use serde_json::{Value, json};

use super::Failure;
use super::client::{Server, segment};
use super::output::{Output, columns};

/// What is done with teams.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Args {
    /// Write a team: exactly these people are in it
    #[command(after_help = "Examples:\n  convoy team set sre ann bob")]
    Set(Set),
    /// List the teams
    #[command(after_help = "Examples:\n  convoy team list")]
    List(Server),
    /// Remove a team, and what was granted to it
    #[command(after_help = "Examples:\n  convoy team remove sre")]
    Remove(Remove),
}

#[derive(Debug, clap::Args)]
pub(super) struct Set {
    /// The team
    name: String,
    /// Who is in it
    people: Vec<String>,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
pub(super) struct Remove {
    /// The team
    name: String,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    match args {
        Args::Set(args) => {
            let body = json!({ "members": args.people });
            output.done(&args.server.put(&path(&args.name), &body).await?);
        }
        Args::List(server) => {
            let answer = server.get("/govern/teams").await?;
            output.result(&answer, || table(&answer));
        }
        Args::Remove(args) => output.done(&args.server.delete(&path(&args.name)).await?),
    }
    Ok(())
}

fn path(name: &str) -> String {
    format!("/govern/teams/{}", segment(name))
}

fn table(answer: &Value) -> String {
    let mut rows = vec![["TEAM", "PEOPLE"].map(str::to_owned).to_vec()];
    rows.extend(answer["teams"].as_array().into_iter().flatten().map(|team| {
        let people = team["members"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let name = team["name"].as_str().unwrap_or("").to_owned();
        vec![name, people.collect::<Vec<_>>().join(" ")]
    }));
    columns(&rows)
}
