//! `convoy serve`: reads the configuration, then hands over to `app`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Failure;
use super::output::Output;
use crate::app;
use crate::config::{Config, ConfigError, Flags};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration file
    #[arg(long, value_name = "FILE", env = "CONVOY_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
    /// Check the configuration and end
    #[arg(long)]
    check: bool,
}

pub(super) async fn run(args: Args, output: &Output) -> Result<(), Failure> {
    let config = read(&args).map_err(usage)?;
    let secrets = app::Secrets::read(&config).map_err(usage)?;
    if args.check {
        output.message("the configuration is valid");
        return Ok(());
    }
    app::serve(config, secrets)
        .await
        .map_err(|error| Failure::new(Failure::FAILED, format!("{error:#}")))
}

fn usage(error: ConfigError) -> Failure {
    Failure::new(Failure::USAGE, error.to_string())
}

fn read(args: &Args) -> Result<Config, ConfigError> {
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let file = args.config.as_ref().map(|path| {
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Ok((name, text)),
            Err(error) => Err(ConfigError::at(name, format!("can't be read: {error}"))),
        }
    });
    let file = file.transpose()?;
    let file = file.as_ref().map(|(name, text)| (name.as_str(), text.as_str()));
    Config::resolve(args.flags.clone(), &environment, file)
}
