//! `convoy person`: people, what they may do everywhere, and their addresses.

use serde_json::{Value, json};

use super::Failure;
use super::client::{Server, segment};
use super::output::{Output, columns};

/// What is done with people.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Args {
    /// Write a person; what is left out stays as it is
    #[command(
        after_help = "Examples:\n  convoy person set ann --role operator --email ann@example.com"
    )]
    Set(Set),
    /// List the people
    #[command(after_help = "Examples:\n  convoy person list")]
    List(Server),
    /// Remove a person; their tokens and sessions end at once
    #[command(after_help = "Examples:\n  convoy person remove ann")]
    Remove(Remove),
}

#[derive(Debug, clap::Args)]
pub(super) struct Set {
    /// The person
    name: String,
    /// What they may do everywhere: guest, reader, operator, admin
    #[arg(long)]
    role: Option<String>,
    /// A mail address in commits and at the identity provider; can be repeated
    #[arg(long = "email", value_name = "ADDRESS")]
    emails: Vec<String>,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
pub(super) struct Remove {
    /// The person
    name: String,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    match args {
        Args::Set(args) => {
            let mut body = json!({});
            if let Some(role) = &args.role {
                body["role"] = json!(role);
            }
            if !args.emails.is_empty() {
                body["emails"] = json!(args.emails);
            }
            output.done(&args.server.put(&path(&args.name), &body).await?);
        }
        Args::List(server) => {
            let answer = server.get("/govern/people").await?;
            output.result(&answer, || table(&answer));
        }
        Args::Remove(args) => output.done(&args.server.delete(&path(&args.name)).await?),
    }
    Ok(())
}

fn path(name: &str) -> String {
    format!("/govern/people/{}", segment(name))
}

fn table(answer: &Value) -> String {
    let list = |value: &Value| {
        let items = value.as_array().into_iter().flatten().filter_map(Value::as_str);
        items.collect::<Vec<_>>().join(" ")
    };
    let mut rows = vec![["PERSON", "ROLE", "TEAMS", "ADDRESSES"].map(str::to_owned).to_vec()];
    rows.extend(answer["people"].as_array().into_iter().flatten().map(|person| {
        let text = |key: &str| person[key].as_str().unwrap_or("").to_owned();
        vec![text("name"), text("role"), list(&person["teams"]), list(&person["emails"])]
    }));
    columns(&rows)
}
