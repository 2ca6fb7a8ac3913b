//! Runs the executables under `checks/`, in the cell's folder.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::fence::{Order, Program};
use super::process::Limits;
use super::room::Room;
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
    /// Where it runs.
    pub(super) room: &'a Room,
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
pub(super) fn unpack(suite: &Suite, room: &Room) -> io::Result<()> {
    for (path, content) in &suite.files {
        let mode = if suite.scripts.contains(path) { 0o755 } else { 0o644 };
        room.write(path.as_str(), content, mode)?;
    }
    Ok(())
}

/// Runs `script`, which was unpacked before.
pub(super) async fn run(script: &FilePath, around: &Surroundings<'_>) -> Result<(), Trouble> {
    let limits = Limits { time: around.within, output: OUTPUT_BYTES };
    let finished = around.room.run(order(script, around), limits).await.map_err(|error| {
        Trouble::Errored(format!("could not be run: {error}; is its interpreter installed here?"))
    })?;
    let outcome = match finished.status {
        Some(status) if status.success() => return Ok(()),
        // As a shell says it, and the fence.
        Some(status) if matches!(status.code(), Some(126 | 127)) => {
            let why = finished.output.trim();
            return Err(Trouble::Errored(format!(
                "could not be run: {why}; is its interpreter installed here?"
            )));
        }
        Some(status) => format!("ended with {status}"),
        None => format!("was killed: it did not end within {} s", around.within.as_secs_f32()),
    };
    match finished.output.trim() {
        "" => Err(Trouble::Failed(format!("{outcome}, without output"))),
        output => Err(Trouble::Failed(format!("{outcome}: {output}"))),
    }
}

fn order(script: &FilePath, around: &Surroundings<'_>) -> Order {
    let list: Vec<_> = around.listeners.iter().map(|(name, at)| format!("{name}={at}")).collect();
    let path = std::env::var("PATH").unwrap_or_else(|_| DEFAULT_PATH.into());
    let home = around.room.inner_folder().to_string_lossy().into_owned();
    let fixed = [
        ("PATH", path),
        ("HOME", home.clone()),
        ("TMPDIR", home),
        ("CONVOY_ADMIN_URL", format!("http://{}", around.admin)),
        ("CONVOY_LISTENERS", list.join(",")),
        ("CONVOY_STAGE", around.cell.stage.to_string()),
        ("CONVOY_ENVOY_VERSION", around.cell.version.clone()),
        ("CONVOY_GROUP", around.group.to_owned()),
    ];
    let fixed = fixed.into_iter().map(|(name, value)| (name.to_owned(), value));
    let each = around.listeners.iter().map(|(name, at)| (variable(name), at.to_string()));
    let program = Program::Script(script.to_string());
    Order { program, args: Vec::new(), env: fixed.chain(each).collect() }
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
