//! Runs the executables under `checks/`, in the cell's folder.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::process::{self, Ledger, Limits};
use super::suite::Suite;
use crate::model::{Cell, FilePath};

/// As much of the end of a failed script's output as is told.
const OUTPUT_BYTES: usize = 4096;
/// Where programs are found when we have no `PATH` ourselves.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What a script is told of.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    /// The cell.
    pub(super) cell: &'a Cell,
    /// The node group.
    pub(super) group: &'a str,
    /// Envoy's admin.
    pub(super) admin: SocketAddr,
    /// Envoy's TCP listeners.
    pub(super) listeners: &'a BTreeMap<String, SocketAddr>,
    /// The cell's folder.
    pub(super) folder: &'a Path,
    /// Where what is started is written down.
    pub(super) ledger: &'a Ledger,
    /// How long one script may take.
    pub(super) within: Duration,
}

/// What a script came to, where it didn't pass.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It failed, and why.
    Failed(String),
    /// It could not be run.
    Errored(String),
}

/// Writes the files of `checks/` into the cell's folder.
pub(super) fn unpack(suite: &Suite, folder: &Path) -> io::Result<()> {
    for (path, content) in &suite.files {
        let target = folder.join(path.as_str());
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&target, content)?;
        if suite.scripts.contains(path) {
            fs::set_permissions(&target, fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}

/// Runs `script`, which was unpacked before.
pub(super) async fn run(script: &FilePath, around: &Surroundings<'_>) -> Result<(), Trouble> {
    let path = around.folder.join(script.as_str());
    let limits = Limits { time: around.within, output: OUTPUT_BYTES };
    let finished = process::run(command(path, around), limits, |group| around.ledger.add(group));
    let finished = finished.await.map_err(|error| {
        Trouble::Errored(format!("could not be run: {error}; is its interpreter installed here?"))
    })?;
    let outcome = match finished.status {
        Some(status) if status.success() => return Ok(()),
        Some(status) => format!("ended with {status}"),
        None => format!("was killed: it did not end within {} s", around.within.as_secs_f32()),
    };
    match finished.output.trim() {
        "" => Err(Trouble::Failed(format!("{outcome}, without output"))),
        output => Err(Trouble::Failed(format!("{outcome}: {output}"))),
    }
}

fn command(path: PathBuf, around: &Surroundings<'_>) -> Command {
    let mut command = Command::new(path);
    let list: Vec<_> = around.listeners.iter().map(|(name, at)| format!("{name}={at}")).collect();
    command
        .current_dir(around.folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into()))
        .env("HOME", around.folder)
        .env("CONVOY_ADMIN_URL", format!("http://{}", around.admin))
        .env("CONVOY_LISTENERS", list.join(","))
        .env("CONVOY_STAGE", around.cell.stage.as_str())
        .env("CONVOY_ENVOY_VERSION", &around.cell.version)
        .env("CONVOY_GROUP", around.group);
    for (name, address) in around.listeners {
        command.env(variable(name), address.to_string());
    }
    command
}

/// `front-1` is `CONVOY_LISTENER_FRONT_1`.
fn variable(listener: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("CONVOY_LISTENER_{}", listener.chars().map(letter).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listener_names_become_variables() {
        assert_eq!(variable("front-1.é"), "CONVOY_LISTENER_FRONT_1__");
    }
}
