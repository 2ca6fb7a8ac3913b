//! `convoy mirror credential`: who Convoy is at a remote. Secrets are read
//! from files, so that they stand in no argument.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::super::Failure;
use super::super::client::{Server, segment};
use super::super::output::{Output, columns};
use super::super::status::text;
use super::path;
use crate::config::secrets;

#[derive(Debug, clap::Subcommand)]
pub(in super::super) enum Args {
    /// Show a project's credentials, without their secrets
    #[command(after_help = "Examples:\n  convoy mirror credential list mesh")]
    List(List),
    /// Make or replace a credential
    #[command(
        after_help = "Examples:\n  convoy mirror credential set mesh/ghe --token-from ghe.token\n  convoy mirror credential set mesh/key --ssh-key id_ed25519 --known-hosts known_hosts --user git\n  convoy mirror credential set mesh/app --app-key app.pem --app 17 --installation 42"
    )]
    Set(Box<Set>),
    /// Remove a credential and its secret
    #[command(after_help = "Examples:\n  convoy mirror credential remove mesh/ghe")]
    Remove(One),
}

#[derive(Debug, clap::Args)]
pub(in super::super) struct List {
    /// The project
    project: String,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
pub(in super::super) struct One {
    /// The credential, project/id
    credential: String,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("kind").required(true))]
pub(in super::super) struct Set {
    /// The credential, project/id
    credential: String,
    /// An access token's file
    #[arg(long, value_name = "FILE", group = "kind")]
    token_from: Option<PathBuf>,
    /// A password's file
    #[arg(long, value_name = "FILE", group = "kind", requires = "user")]
    password_from: Option<PathBuf>,
    /// A private SSH key's file
    #[arg(long, value_name = "FILE", group = "kind", requires = "known_hosts")]
    ssh_key: Option<PathBuf>,
    /// A GitHub App's private key's file (PEM)
    #[arg(long, value_name = "FILE", group = "kind", requires = "app", requires = "installation")]
    app_key: Option<PathBuf>,
    /// The user name of a password or SSH key
    #[arg(long)]
    user: Option<String>,
    /// The host keys to accept, as in known_hosts
    #[arg(long, value_name = "FILE")]
    known_hosts: Option<PathBuf>,
    /// The GitHub App's id
    #[arg(long, value_name = "ID")]
    app: Option<String>,
    /// The number of its installation
    #[arg(long, value_name = "NUMBER")]
    installation: Option<String>,
    /// The API of a GitHub Enterprise server, https://HOST/api/v3
    #[arg(long, value_name = "URL")]
    api_url: Option<String>,
    /// Only make it: fail where it is there
    #[arg(long)]
    new: bool,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    match args {
        Args::List(args) => {
            let answer =
                args.server.get(&format!("/credentials/{}", segment(&args.project))).await?;
            output.result(&answer, || table(&answer));
            Ok(())
        }
        Args::Set(args) => set(args, output).await,
        Args::Remove(args) => {
            args.server.delete(&path("credentials", &args.credential)?).await?;
            output.message(&format!("{} is removed", args.credential));
            Ok(())
        }
    }
}

fn table(answer: &Value) -> String {
    let mut rows = vec![["CREDENTIAL", "TYPE", "MADE BY", "AT"].map(str::to_owned).to_vec()];
    for one in answer["credentials"].as_array().into_iter().flatten() {
        rows.push(vec![
            format!("{}/{}", text(one, "project"), text(one, "id")),
            text(one, "type"),
            text(&one["created"], "by"),
            text(&one["created"], "at"),
        ]);
    }
    columns(&rows)
}

async fn set(args: &Set, output: &Output) -> Result<(), Failure> {
    let query = if args.new { "?new=true" } else { "" };
    let path = format!("{}{query}", path("credentials", &args.credential)?);
    let answer = args.server.put(&path, &body(args)?).await?;
    output.result(&answer, || format!("{} is set\n", args.credential));
    Ok(())
}

fn body(args: &Set) -> Result<Value, Failure> {
    let files = [
        ("ACCESS_TOKEN", &args.token_from),
        ("PASSWORD", &args.password_from),
        ("SSH_KEY", &args.ssh_key),
        ("GITHUB_APP", &args.app_key),
    ];
    let given = files.into_iter().find_map(|(kind, file)| Some((kind, file.as_ref()?)));
    let (kind, file) = given.ok_or_else(|| usage("give the file of a secret"))?;
    let secret = secrets::read(file).map_err(|error| usage(&error.to_string()))?;
    let mut body = Map::new();
    body.insert("type".into(), json!(kind));
    body.insert("secret".into(), json!(secret.expose()));
    if let Some(file) = &args.known_hosts {
        let hosts = std::fs::read_to_string(file);
        let hosts =
            hosts.map_err(|error| usage(&format!("{} can't be read: {error}", file.display())))?;
        body.insert("known_hosts".into(), json!(hosts));
    }
    let fields = [
        ("user", &args.user),
        ("app_id", &args.app),
        ("installation_id", &args.installation),
        ("api_url", &args.api_url),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            body.insert(name.into(), json!(value));
        }
    }
    Ok(Value::Object(body))
}

fn usage(message: &str) -> Failure {
    Failure::new(Failure::USAGE, message)
}
