//! The command line: what was typed, and what it prints.
//!
//! Data goes to stdout, messages to stderr; `--output json` gives one JSON
//! value with `apiVersion`. Each command is one file and returns a [`Failure`]
//! that carries its exit code. `serve` is handed to `app`; the local commands
//! (`validate`, `render`, `smoke`, `bootstrap`, `envoy`, and `audit`, `fsck`,
//! `backup`, `restore` for a data folder) work on a folder with
//! the same code as the server; the others talk to a server's JSON API.

mod act;
mod audit;
mod backup;
mod bootstrap;
mod ci;
mod client;
mod completions;
mod conform;
mod decide;
mod diff;
mod envoy;
mod failure;
mod folder;
mod fsck;
mod get;
mod grant;
mod import;
mod list;
mod log;
mod matrix;
mod mirror;
mod nodes;
mod output;
mod person;
mod project;
mod put;
mod render;
mod repo;
mod search;
mod serve;
mod slack;
mod smoke;
mod status;
mod team;
mod token;
mod validate;
mod wait;
mod watch;
mod words;
mod xds;

use clap::{Parser, Subcommand};

pub use failure::Failure;
pub use words::as_options;

use output::{Format, Output};

/// The configuration repository that drives an Envoy mesh.
#[derive(Debug, Parser)]
#[command(name = "convoy", version, about, disable_help_subcommand = true)]
#[command(after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How results are printed
    #[arg(long, short, global = true, value_enum, default_value = "table")]
    output: Format,
    /// The same as --output json
    #[arg(long, global = true, hide = true)]
    json: bool,
    /// Print no messages, only results and errors
    #[arg(long, short, global = true)]
    quiet: bool,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done · 1 failed (diff: something differs) · 2 wrong usage or configuration ·
3 problems in the configuration repository · 4 not allowed · 5 not found · 6 conflict ·
7 no answer, or not in time · 130 interrupted";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    #[command(
        after_help = "Examples:\n  convoy serve --insecure-dev\n  convoy serve --config convoy.yaml --check\n  convoy serve --config convoy.yaml"
    )]
    Serve(serve::Args),
    /// Find every mistake in a config repository
    #[command(
        after_help = "Examples:\n  convoy validate .\n  convoy validate . -o json | jq '.problems[].place'"
    )]
    Validate(validate::Args),
    /// Print what a config repository renders to for a stage
    #[command(
        after_help = "Examples:\n  convoy render . --stage beta\n  convoy render . --stage release --group edge"
    )]
    Render(render::Args),
    /// Boot real Envoys on a config repository and run its checks
    #[command(
        after_help = "Examples:\n  convoy smoke .\n  convoy smoke . --stage beta --envoy 1.40.0"
    )]
    Smoke(smoke::Args),
    /// Say what the server would say of a checkout, in any CI: exit code,
    /// annotations, JUnit
    #[command(
        after_help = "Examples:\n  convoy ci . --junit convoy.xml\n  convoy ci --emit github > .github/workflows/convoy.yaml\n  convoy ci --emit drone --image registry.example.com/convoy:1 > .drone.yml"
    )]
    Ci(ci::Args),
    /// Show what differs between two stages, bundles or folders
    #[command(
        after_help = "Examples:\n  convoy diff staging release\n  convoy diff staging latest\n  convoy diff ../main . --stage release"
    )]
    Diff(diff::Args),
    /// Show what each stage serves, and what waits
    #[command(after_help = "Examples:\n  convoy status\n  convoy status release -o json")]
    Status(status::Args),
    /// Show the connected nodes, what each has, and what it refuses
    #[command(
        after_help = "Examples:\n  convoy nodes --stage release\n  convoy nodes --state nacked -o json\n  convoy nodes edge-1\n  convoy nodes --load"
    )]
    Nodes(nodes::Args),
    /// Wait until enough nodes of a stage have a revision
    #[command(
        after_help = "Examples:\n  convoy wait --stage beta\n  convoy wait --stage release --revision 41 --ready 95% --timeout 5m"
    )]
    Wait(wait::Args),
    /// Ask for a bundle to be brought to a stage
    #[command(
        after_help = "Examples:\n  convoy promote latest --to staging\n  convoy promote beta --to staging --reason 'release 42'"
    )]
    Promote(decide::Promote),
    /// Say yes to a promotion
    #[command(
        after_help = "Examples:\n  convoy approve P-7\n  convoy approve P-7 --note 'looked at the diff'"
    )]
    Approve(decide::Approve),
    /// Say no to a promotion
    #[command(after_help = "Examples:\n  convoy reject P-7 --reason 'after the freeze'")]
    Reject(decide::End),
    /// Take a request back
    #[command(after_help = "Examples:\n  convoy cancel P-7")]
    Cancel(decide::End),
    /// Bring a stage back to what was good
    #[command(
        after_help = "Examples:\n  convoy rollback release --reason 'errors in checkout'\n  convoy rollback release --to r41 --reason 'errors in checkout'"
    )]
    Rollback(decide::Rollback),
    #[command(flatten)]
    Act(act::Act),
    /// Set Slack up
    #[command(subcommand_required = true)]
    Slack(slack::Args),
    /// Print a script that completes what is typed in a shell
    Completions(completions::Args),
    /// Explain a command; `help chat` is everything that can be typed in Slack
    Help(completions::Help),
    /// Take an upstream that was rewritten as it is now
    #[command(after_help = "Examples:\n  convoy adopt --repo mesh/config")]
    Adopt(decide::Adopt),
    /// Make a token for the configuration, or have a server issue one
    #[command(
        after_help = "Examples:\n  convoy token > kim.token   # then put its sha256 into auth.tokens\n  convoy token create ci --role reader --expires 90d > ci.token"
    )]
    Token(token::Args),
    /// Print a file of a repository, or what a JSONPath finds in it
    #[command(
        after_help = "Examples:\n  convoy get mesh/config values/common.yaml\n  convoy get mesh/config values/common.yaml --revision -2\n  convoy get mesh/config values/common.yaml --query '$.timeouts.connect'"
    )]
    Get(get::Args),
    /// List the files of a repository
    #[command(
        after_help = "Examples:\n  convoy ls mesh/config\n  convoy ls mesh/config '/values/**' --revision 41"
    )]
    Ls(list::Args),
    /// Show the revisions of a repository, or of what a pattern matches
    #[command(
        after_help = "Examples:\n  convoy log mesh/config\n  convoy log mesh/config '/values/**' --limit 5"
    )]
    Log(log::Args),
    /// Write a file of a repository
    #[command(
        after_help = "Examples:\n  convoy put mesh/config values/a.yaml a.yaml -m 'Raise the timeout'\n  convoy put mesh/config values/a.yaml - -m 'Raise it' --expect 41 --merge < a.yaml"
    )]
    Put(put::Put),
    /// Remove a file or folder of a repository
    #[command(after_help = "Examples:\n  convoy rm mesh/config values/old.yaml -m 'Drop it'")]
    Rm(put::Remove),
    /// Move a file or folder of a repository
    #[command(
        after_help = "Examples:\n  convoy mv mesh/config values/a.yaml values/b.yaml -m 'Name it b'"
    )]
    Mv(put::Rename),
    /// Make the files of an older revision the files again
    #[command(
        after_help = "Examples:\n  convoy revert mesh/config --to 41 -m 'The new timeouts were too short'"
    )]
    Revert(put::Revert),
    /// Search the content of files
    #[command(
        after_help = "Examples:\n  convoy search 'connect_timeout: 5s'\n  convoy search --repo mesh/config --regex 'timeout: [0-9]+ms' --pattern '/values/**'"
    )]
    Search(search::Args),
    /// Print revisions as they come, and go on where a connection broke
    #[command(
        after_help = "Examples:\n  convoy watch mesh/config\n  convoy watch mesh/config@41:/values/** mesh/edge -o json"
    )]
    Watch(watch::Args),
    /// Make, remove and restore projects, and say who is in them
    #[command(subcommand)]
    Project(project::Args),
    /// Make, remove, restore and bound repositories
    #[command(subcommand)]
    Repo(repo::Args),
    /// Grant rights on repositories and paths
    #[command(subcommand)]
    Grant(grant::Args),
    /// Write people and what they may do everywhere
    #[command(subcommand)]
    Person(person::Args),
    /// Write teams
    #[command(subcommand)]
    Team(team::Args),
    /// Keep repositories in step with other Git servers
    #[command(subcommand)]
    Mirror(mirror::Args),
    /// Prove or print the audit log of a data folder
    #[command(subcommand)]
    Audit(audit::Args),
    /// Check everything in a data folder that is not in use
    #[command(after_help = "Examples:\n  convoy fsck --data /var/lib/convoy")]
    Fsck(fsck::Args),
    /// Write a backup of a data folder, also while a server uses it
    #[command(after_help = "Examples:\n  convoy backup --data /var/lib/convoy --to /backup/today")]
    Backup(backup::BackupArgs),
    /// Put a backup into an empty data folder
    #[command(after_help = "Examples:\n  convoy restore /backup/today --data /var/lib/convoy")]
    Restore(backup::RestoreArgs),
    /// Print a bootstrap for an Envoy that subscribes to Convoy
    #[command(
        after_help = "Examples:\n  convoy bootstrap --node edge-1 --stage beta --metadata role=edge > envoy.yaml\n  convoy bootstrap --node a --stage beta --xds convoy.example.com:7401 --token-file token"
    )]
    Bootstrap(bootstrap::Args),
    /// Bring another server's projects, with their whole history, into a data folder
    #[command(subcommand)]
    Import(import::Args),
    /// Try whether xDS servers keep the protocol
    #[command(subcommand)]
    Xds(xds::Args),
    /// Install and list Envoys for smoke runs
    #[command(subcommand)]
    Envoy(envoy::Args),
}

/// Runs what was typed, and gives the exit code.
pub async fn run(cli: Cli) -> u8 {
    let format = if cli.json { Format::Json } else { cli.output };
    let output = Output::new(format, cli.quiet);
    let done = match cli.command {
        Command::Serve(args) => serve::run(args, &output).await,
        Command::Validate(args) => validate::run(&args, &output),
        Command::Render(args) => render::run(&args, &output),
        Command::Smoke(args) => smoke::run(&args, &output).await,
        Command::Ci(args) => ci::run(&args, &output).await,
        Command::Diff(args) => diff::run(&args, &output).await,
        Command::Status(args) => status::run(&args, &output).await,
        Command::Nodes(args) => nodes::run(&args, &output).await,
        Command::Wait(args) => wait::run(&args, &output).await,
        Command::Promote(args) => decide::promote(&args, &output).await,
        Command::Approve(args) => decide::approve(&args, &output).await,
        Command::Reject(args) => decide::end("reject", &args, &output).await,
        Command::Cancel(args) => decide::end("cancel", &args, &output).await,
        Command::Rollback(args) => decide::rollback(&args, &output).await,
        Command::Act(act) => act::run(&act, &output).await,
        Command::Slack(args) => slack::run(&args, &output),
        Command::Completions(args) => completions::run(&args, &output),
        Command::Help(args) => completions::help(&args, &output),
        Command::Adopt(args) => decide::adopt(&args, &output).await,
        Command::Token(args) => token::run(&args, &output).await,
        Command::Get(args) => get::run(&args, &output).await,
        Command::Ls(args) => list::run(&args, &output).await,
        Command::Log(args) => log::run(&args, &output).await,
        Command::Put(args) => put::put(&args, &output).await,
        Command::Rm(args) => put::remove(&args, &output).await,
        Command::Mv(args) => put::rename(&args, &output).await,
        Command::Revert(args) => put::revert(&args, &output).await,
        Command::Search(args) => search::run(&args, &output).await,
        Command::Watch(args) => watch::run(&args, &output).await,
        Command::Project(args) => project::run(&args, &output).await,
        Command::Repo(args) => repo::run(&args, &output).await,
        Command::Grant(args) => grant::run(&args, &output).await,
        Command::Person(args) => person::run(&args, &output).await,
        Command::Team(args) => team::run(&args, &output).await,
        Command::Mirror(args) => mirror::run(&args, &output).await,
        Command::Audit(args) => audit::run(&args, &output),
        Command::Fsck(args) => fsck::run(&args, &output),
        Command::Backup(args) => backup::backup(&args, &output),
        Command::Restore(args) => backup::restore(&args, &output),
        Command::Bootstrap(args) => bootstrap::run(&args, &output),
        Command::Import(args) => import::run(&args, &output).await,
        Command::Xds(args) => xds::run(args, &output).await,
        Command::Envoy(args) => envoy::run(&args, &output).await,
    };
    match done {
        Ok(()) => 0,
        Err(failure) => {
            output.failure(&failure);
            failure.code
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_table_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
