//! `convoy project`: projects, and who is in them.

use serde_json::{Value, json};

use super::Failure;
use super::client::{Server, segment};
use super::output::{Output, columns};

/// What is done with projects.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Args {
    /// Make a project; you own it
    #[command(
        after_help = "Examples:\n  convoy project create mesh\n  convoy project create mesh --owner team:sre --member person:ann"
    )]
    Create(Create),
    /// List the projects that you see
    #[command(after_help = "Examples:\n  convoy project list\n  convoy project list --removed")]
    List(List),
    /// Hide a project and its repositories; nothing is lost
    #[command(after_help = "Examples:\n  convoy project remove mesh")]
    Remove(One),
    /// Bring a removed project back
    #[command(after_help = "Examples:\n  convoy project restore mesh")]
    Restore(One),
    /// Remove a removed project for ever, with all histories
    #[command(after_help = "Examples:\n  convoy project purge mesh")]
    Purge(One),
    /// Make somebody an owner or member of a project
    #[command(
        after_help = "Examples:\n  convoy project admit mesh person:ann\n  convoy project admit mesh team:sre --role owner"
    )]
    Admit(Admit),
    /// Take somebody out of a project
    #[command(after_help = "Examples:\n  convoy project expel mesh person:ann")]
    Expel(Expel),
}

#[derive(Debug, clap::Args)]
pub(super) struct Create {
    /// What it is called
    name: String,
    /// Who owns it beside you, as in person:ann, team:sre, token:ci
    #[arg(long = "owner", value_name = "WHO")]
    owners: Vec<String>,
    /// Who is a member
    #[arg(long = "member", value_name = "WHO")]
    members: Vec<String>,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Removed ones instead
    #[arg(long)]
    removed: bool,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
pub(super) struct One {
    /// The project
    name: String,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
pub(super) struct Admit {
    /// The project
    name: String,
    /// Who, as in person:ann, team:sre, token:ci
    who: String,
    /// As what
    #[arg(long, default_value = "member", value_parser = ["member", "owner"])]
    role: String,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
pub(super) struct Expel {
    /// The project
    name: String,
    /// Who, as in person:ann, team:sre, token:ci
    who: String,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    match args {
        Args::Create(args) => create(args, output).await,
        Args::List(args) => list(args, output).await,
        Args::Remove(one) => {
            output.done(&one.server.delete(&path(&one.name)).await?);
            Ok(())
        }
        Args::Restore(one) => act(one, "restore", output).await,
        Args::Purge(one) => act(one, "purge", output).await,
        Args::Admit(args) => {
            let path = format!("{}/members/{}", path(&args.name), segment(&args.who));
            let body = json!({ "role": args.role.to_uppercase() });
            let answer = args.server.put(&path, &body).await?;
            let said = format!("{} is now {} of `{}`\n", args.who, article(&args.role), args.name);
            output.result(&answer, || said);
            Ok(())
        }
        Args::Expel(args) => {
            let path = format!("{}/members/{}", path(&args.name), segment(&args.who));
            let answer = args.server.delete(&path).await?;
            output.result(&answer, || format!("{} is out of `{}`\n", args.who, args.name));
            Ok(())
        }
    }
}

fn article(role: &str) -> &'static str {
    if role == "owner" { "an owner" } else { "a member" }
}

fn path(name: &str) -> String {
    format!("/govern/projects/{}", segment(name))
}

async fn create(args: &Create, output: &Output) -> Result<(), Failure> {
    let body = json!({ "name": args.name, "owners": args.owners, "members": args.members });
    let answer = args.server.post("/govern/projects", &body).await?;
    output.result(&answer, || format!("the project `{}` is there\n", args.name));
    Ok(())
}

async fn act(one: &One, verb: &str, output: &Output) -> Result<(), Failure> {
    let path = format!("{}/{verb}", path(&one.name));
    output.done(&one.server.post(&path, &json!({})).await?);
    Ok(())
}

async fn list(args: &List, output: &Output) -> Result<(), Failure> {
    let path = if args.removed { "/govern/projects?removed=1" } else { "/govern/projects" };
    let answer = args.server.get(path).await?;
    output.result(&answer, || {
        let mut rows = vec![["PROJECT", "REPOSITORIES", "OWNERS"].map(str::to_owned).to_vec()];
        rows.extend(answer["projects"].as_array().into_iter().flatten().map(row));
        columns(&rows)
    });
    Ok(())
}

fn row(project: &Value) -> Vec<String> {
    let list = |key: &str| project[key].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let live = |one: &&Value| one["removed"].is_null();
    let repos: Vec<_> =
        list("repositories").iter().filter(live).map(|one| text(&one["name"])).collect();
    let owner = |one: &&Value| one["role"] == "OWNER";
    let owners: Vec<_> =
        list("members").iter().filter(owner).map(|one| text(&one["who"])).collect();
    vec![text(&project["name"]), repos.join(" "), owners.join(" ")]
}
