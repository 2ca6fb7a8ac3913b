//! `convoy xds …`: what concerns the protocol, of any server.

use super::Failure;
use super::conform;
use super::output::Output;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Args {
    /// Try whether an xDS server keeps the protocol, rule by rule
    #[command(after_help = conform::HELP)]
    Conform(Box<conform::Args>),
}

pub(super) async fn run(args: Args, output: &Output) -> Result<(), Failure> {
    match args {
        Args::Conform(args) => conform::run(*args, output).await,
    }
}
