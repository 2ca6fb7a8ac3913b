//! `convoy slack manifest`: what Slack is told when the app is made.

use super::Failure;
use super::output::Output;
use crate::chat::{ManifestDelivery, manifest};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the app's manifest, to be pasted at api.slack.com/apps
    #[command(
        after_help = "Examples:\n  convoy slack manifest --url https://convoy.example.com\n  convoy slack manifest --url https://convoy.example.com --socket"
    )]
    Manifest(ManifestArgs),
}

#[derive(Debug, clap::Args)]
struct ManifestArgs {
    /// Where Slack reaches this server, as in https://convoy.example.com
    #[arg(long)]
    url: String,
    /// Slack can't reach it: the server opens connections to Slack
    #[arg(long)]
    socket: bool,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let Command::Manifest(ManifestArgs { url, socket }) = &args.command;
    let parsed = url::Url::parse(url).ok().filter(|url| url.has_host());
    let parsed =
        parsed.ok_or_else(|| Failure::new(Failure::USAGE, format!("`{url}` is no address")))?;
    // Slack takes no other; with Socket Mode the address is not used.
    if parsed.scheme() != "https" && !socket {
        let message = format!("Slack calls https addresses only, not `{url}`; or use --socket");
        return Err(Failure::new(Failure::USAGE, message));
    }
    let delivery = if *socket { ManifestDelivery::Socket } else { ManifestDelivery::Http };
    let text = manifest(url, delivery);
    output.result(&serde_json::json!({ "manifest": text }), || text.clone());
    Ok(())
}
