//! `convoy xds …`: what concerns the protocol, of any server.

use super::Failure;
use super::conform;
use super::output::Output;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Args {
    /// Try whether an xDS server keeps the protocol, rule by rule
    #[command(
        after_help = "Examples:\n  convoy xds conform 127.0.0.1:18000 --metadata stage=beta\n  convoy xds conform --list\n  convoy xds conform 127.0.0.1:18000 --driver ./drive --only nack --only delta-ads\n  convoy xds conform 127.0.0.1:7401 --repo conform/suite --stage beta"
    )]
    Conform(conform::Args),
}

pub(super) async fn run(args: Args, output: &Output) -> Result<(), Failure> {
    match args {
        Args::Conform(args) => conform::run(args, output).await,
    }
}
