//! A driver that is another program.
//!
//! `PROGRAM describe` prints what it can do, as JSON ([`Abilities`]; `{}` for
//! nothing optional). `PROGRAM set` reads `{"node": …, "resources": [ … ]}` from
//! its input, has the server hold exactly those for that node, and exits with
//! 0; otherwise its messages say why not.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use crate::conform::{Abilities, Change, Driver, Item, document};
use crate::schema::Schema;

/// How long one call may take.
const CALL: Duration = Duration::from_secs(60);
/// How much of its messages is passed on.
const MAX_WORDS: usize = 400;

/// The program.
#[derive(Debug)]
pub(super) struct Program {
    path: PathBuf,
    abilities: Abilities,
    schema: Schema,
}

impl Program {
    /// Asks the program at `path` what it can do.
    ///
    /// # Errors
    /// It can't be run, fails, or prints something else; the text says so.
    pub(super) async fn start(path: PathBuf) -> Result<Self, String> {
        let printed = call(&path, "describe", Vec::new()).await?;
        let abilities = serde_json::from_slice(&printed).map_err(|error| {
            format!("`{} describe` printed no JSON object of abilities: {error}", path.display())
        })?;
        Ok(Self { path, abilities, schema: Schema::load() })
    }
}

impl Driver for Program {
    fn abilities(&self) -> Abilities {
        self.abilities
    }

    fn set<'a>(&'a self, node: &'a str, items: &'a [Item]) -> Change<'a> {
        Box::pin(async move {
            let documents = items.iter().map(|item| document(&self.schema, item));
            let resources = documents.collect::<Result<Vec<_>, _>>()?;
            let input = json!({ "node": node, "resources": resources }).to_string();
            call(&self.path, "set", input.into_bytes()).await.map(drop)
        })
    }
}

async fn call(path: &std::path::Path, verb: &str, input: Vec<u8>) -> Result<Vec<u8>, String> {
    let name = format!("`{} {verb}`", path.display());
    let mut child = Command::new(path)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("{name} can't be run: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input has its reasons.
        let _ = stdin.write_all(&input).await;
    }
    let ended = timeout(CALL, child.wait_with_output()).await;
    let ended = ended.map_err(|_| format!("{name} did not end within {CALL:?}"))?;
    let ended = ended.map_err(|error| format!("{name} broke off: {error}"))?;
    if ended.status.success() {
        return Ok(ended.stdout);
    }
    let words: String = String::from_utf8_lossy(&ended.stderr).chars().take(MAX_WORDS).collect();
    Err(format!("{name} failed ({}): {}", ended.status, words.trim()))
}
