//! The command line: what was typed, and what it prints.
//!
//! Data goes to stdout, messages to stderr; `--output json` gives one JSON
//! value with `apiVersion`. Each command is one file and returns a [`Failure`]
//! that carries its exit code. `serve` is handed to `app`; the local commands
//! (`validate`, `render`, `smoke`, `bootstrap`, `envoy`) work on a folder with
//! the same code as the server; the others talk to a server's JSON API.

mod bootstrap;
mod envoy;
mod failure;
mod folder;
mod output;
mod render;
mod serve;
mod smoke;
mod validate;

use clap::{Parser, Subcommand};

pub use failure::Failure;

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
    /// Print no messages, only results and errors
    #[arg(long, short, global = true)]
    quiet: bool,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done · 1 failed (diff: something differs) · 2 wrong usage or configuration ·
3 problems in the configuration repository · 4 not allowed · 5 not found · 6 conflict ·
7 no answer in time · 130 interrupted";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::Args),
    /// Find every mistake in a config repository
    Validate(validate::Args),
    /// Print what a config repository renders to for a stage
    Render(render::Args),
    /// Boot real Envoys on a config repository and run its checks
    Smoke(smoke::Args),
    /// Print a bootstrap for an Envoy that subscribes to Convoy
    Bootstrap(bootstrap::Args),
    /// Install and list Envoys for smoke runs
    #[command(subcommand)]
    Envoy(envoy::Args),
}

/// Runs what was typed, and gives the exit code.
pub async fn run(cli: Cli) -> u8 {
    let output = Output::new(cli.output, cli.quiet);
    let done = match cli.command {
        Command::Serve(args) => serve::run(args).await,
        Command::Validate(args) => validate::run(&args, &output),
        Command::Render(args) => render::run(&args, &output),
        Command::Smoke(args) => smoke::run(&args, &output).await,
        Command::Bootstrap(args) => bootstrap::run(&args, &output),
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
