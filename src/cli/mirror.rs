//! `convoy mirror`: mirrors of a server, and the credentials they use.

mod credential;

use std::path::PathBuf;

use serde_json::{Value, json};

use super::Failure;
use super::client::{Server, segment};
use super::output::{Output, columns};
use super::status::text;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Args {
    /// Show mirrors, and how they are doing
    #[command(after_help = "Examples:\n  convoy mirror list\n  convoy mirror list mesh -o json")]
    List(List),
    /// Make or replace a mirror
    #[command(
        after_help = "Examples:\n  convoy mirror set mesh/up --repo config --from https://ghe.example.com/mesh/config.git --credential ghe --every 60\n  convoy mirror set mesh/out --repo config --folder public --to ssh://git@host/pub.git"
    )]
    Set(Box<Set>),
    /// Run a mirror now and wait for it
    #[command(after_help = "Examples:\n  convoy mirror run mesh/up")]
    Run(One),
    /// Remove a mirror; what it brought stays
    #[command(after_help = "Examples:\n  convoy mirror remove mesh/up")]
    Remove(One),
    /// Credentials of mirrors
    #[command(subcommand)]
    Credential(credential::Args),
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Only those of this project
    project: Option<String>,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
pub(super) struct One {
    /// The mirror, project/id
    mirror: String,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("way").required(true))]
pub(super) struct Set {
    /// The mirror, project/id
    mirror: String,
    /// The repository of the project
    #[arg(long)]
    repo: String,
    /// The folder of it; without it, all
    #[arg(long, default_value = "")]
    folder: String,
    /// The remote to bring here
    #[arg(long, value_name = "URL", group = "way")]
    from: Option<String>,
    /// The remote to push to
    #[arg(long, value_name = "URL", group = "way")]
    to: Option<String>,
    /// The remote's branch
    #[arg(long, default_value = "main")]
    branch: String,
    /// The folder of the remote; without it, all
    #[arg(long, default_value = "")]
    remote_folder: String,
    /// A file with what is left alone, in the form of a .gitignore
    #[arg(long, value_name = "FILE")]
    ignore: Option<PathBuf>,
    /// The credential of the project to use
    #[arg(long, value_name = "ID")]
    credential: Option<String>,
    /// Seconds between two looks; without it, it runs only when told to
    #[arg(long, value_name = "SECONDS")]
    every: Option<u64>,
    /// Only make it: fail where it is there
    #[arg(long)]
    new: bool,
    /// Let it not run by itself for now
    #[arg(long)]
    disabled: bool,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    match args {
        Args::List(args) => list(args, output).await,
        Args::Set(args) => set(args, output).await,
        Args::Run(args) => run_now(args, output).await,
        Args::Remove(args) => {
            args.server.delete(&path("mirrors", &args.mirror)?).await?;
            output.message(&format!("{} is removed; what it brought stays", args.mirror));
            Ok(())
        }
        Args::Credential(args) => credential::run(args, output).await,
    }
}

/// The API's path of `project/id`.
fn path(kind: &str, name: &str) -> Result<String, Failure> {
    let parts = name.split_once('/').filter(|(project, id)| !project.is_empty() && !id.is_empty());
    let (project, id) = parts.ok_or_else(|| {
        Failure::new(Failure::USAGE, format!("`{name}` names nothing"))
            .with_hint("write project/id")
    })?;
    Ok(format!("/{kind}/{}/{}", segment(project), segment(id)))
}

async fn list(args: &List, output: &Output) -> Result<(), Failure> {
    let path = match &args.project {
        Some(project) => format!("/mirrors/{}", segment(project)),
        None => "/mirrors".into(),
    };
    let answer = args.server.get(&path).await?;
    output.result(&answer, || table(&answer));
    Ok(())
}

fn table(answer: &Value) -> String {
    let heads = ["MIRROR", "WAY", "REPOSITORY", "REMOTE", "BRANCH", "LAST", "IN STEP"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    let mut notes = String::new();
    for card in answer["mirrors"].as_array().into_iter().flatten() {
        let (mirror, state) = (&card["mirror"], &card["state"]);
        let name = format!("{}/{}", text(card, "project"), text(mirror, "id"));
        let inward = mirror["direction"] == "REMOTE_TO_LOCAL";
        rows.push(vec![
            name.clone(),
            if inward { "in" } else { "out" }.into(),
            text(mirror, "local"),
            text(mirror, "url"),
            text(mirror, "branch"),
            if state["running"] == true {
                "running".into()
            } else {
                text(&state["last"], "result")
            },
            text(state, "in_step_at"),
        ]);
        if state["last"]["result"] == "failed" {
            let times = text(state, "failures");
            notes.push_str(&format!(
                "{name} failed {times} times: {}\n",
                text(&state["last"], "error")
            ));
        }
    }
    format!("{}{notes}", columns(&rows))
}

async fn set(args: &Set, output: &Output) -> Result<(), Failure> {
    let ignore = match &args.ignore {
        None => String::new(),
        Some(file) => std::fs::read_to_string(file).map_err(|error| {
            Failure::new(Failure::USAGE, format!("{} can't be read: {error}", file.display()))
        })?,
    };
    let (direction, url) = match (&args.from, &args.to) {
        (Some(url), _) => ("REMOTE_TO_LOCAL", url),
        (None, Some(url)) => ("LOCAL_TO_REMOTE", url),
        (None, None) => return Err(Failure::new(Failure::USAGE, "give --from or --to")),
    };
    let body = json!({
        "repo": args.repo,
        "folder": args.folder,
        "direction": direction,
        "url": url,
        "branch": args.branch,
        "remote_folder": args.remote_folder,
        "ignore": ignore,
        "credential": args.credential,
        "every_s": args.every,
        "enabled": !args.disabled,
    });
    let query = if args.new { "?new=true" } else { "" };
    let path = format!("{}{query}", path("mirrors", &args.mirror)?);
    let answer = args.server.put(&path, &body).await?;
    output.result(&answer, || format!("{} is set\n", args.mirror));
    Ok(())
}

async fn run_now(args: &One, output: &Output) -> Result<(), Failure> {
    output.progress(&format!("running {} …", args.mirror));
    let path = format!("{}/run", path("mirrors", &args.mirror)?);
    let answer = args.server.post_patiently(&path, &json!({})).await?;
    let run = &answer["run"];
    if run["result"] == "failed" {
        return Err(Failure::new(Failure::FAILED, text(run, "error")));
    }
    output.result(&answer, || match run["result"].as_str() {
        Some("brought") => format!(
            "{}: {} files changed; revision {}, commit {}\n",
            args.mirror,
            run["files"],
            run["revision"],
            text(run, "commit")
        ),
        _ => format!("{}: nothing had changed\n", args.mirror),
    });
    for skipped in run["skipped"].as_array().into_iter().flatten() {
        output.message(&format!("skipped: {}", skipped.as_str().unwrap_or("")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_two_halves() {
        assert_eq!(path("mirrors", "mesh/up").ok().as_deref(), Some("/mirrors/mesh/up"));
        assert_eq!(path("mirrors", "a/b/c").ok().as_deref(), Some("/mirrors/a/b%2Fc"));
        for bad in ["", "mesh", "/up", "mesh/"] {
            assert!(path("mirrors", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_failure_is_told_below_the_table() {
        let answer = json!({ "mirrors": [{
            "project": "mesh",
            "mirror": { "id": "up", "direction": "REMOTE_TO_LOCAL", "local": "mesh/config",
                        "url": "https://host/a", "branch": "main" },
            "state": { "running": false, "failures": 3, "in_step_at": null,
                       "last": { "result": "failed", "error": "it is down" } },
        }]});
        let table = table(&answer);
        assert!(table.contains("mesh/up failed 3 times: it is down"), "{table}");
    }
}
