//! `convoy watch REPO[@REVISION][:PATTERN]…`: revisions as they come. Where a
//! connection breaks, it goes on behind the last revision that was printed:
//! nothing twice, nothing left out. With `--output json` it prints one JSON
//! value a line (NDJSON), as the server sends them.

use std::io::Write as _;
use std::time::Duration;

use serde_json::Value;

use super::Failure;
use super::client::{Query, Server, refused};
use super::output::{Format, Output};
use super::status::text;
use crate::retry::Backoff;

/// A connection that brought nothing for so long is given up: the server says
/// every 15 s that it lives.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// The longest line that is taken.
const LINE_BYTES_MAX: usize = 64 << 20;
const BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(15) };

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to watch: project/name, with @REVISION behind which it begins and
    /// :PATTERN of files, as in mesh/config@41:/values/**
    #[arg(required = true, value_name = "REPO[@REVISION][:PATTERN]")]
    watches: Vec<String>,
    /// Where to go on: the position of an event that was printed before
    #[arg(long)]
    position: Option<String>,
    /// End after so many revisions
    #[arg(long)]
    count: Option<u64>,
    #[command(flatten)]
    server: Server,
}

/// A watch under way, across connections.
struct Watch<'a> {
    args: &'a Args,
    output: &'a Output,
    /// Behind what was printed last.
    position: Option<String>,
    printed: u64,
    /// Connections that broke without bringing anything.
    failures: u32,
}

/// How a connection ended.
enum Over {
    /// Everything that was asked for was printed, or nobody reads any more.
    Done,
    /// It broke; a new one goes on.
    Broken(Failure),
}

pub(super) async fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let position = args.position.clone();
    let mut watch = Watch { args, output, position, printed: 0, failures: 0 };
    loop {
        match watch.connect().await? {
            Over::Done => return Ok(()),
            Over::Broken(failure) => {
                // What never answered is a mistake in the address, not a break.
                if watch.position == args.position && watch.printed == 0 {
                    return Err(failure);
                }
                watch.failures += 1;
                if watch.failures == 1 {
                    output.message(&format!("the connection broke: {}", failure.message));
                }
                let jitter = f64::from(std::process::id() % 100) / 100.0;
                tokio::time::sleep(BACKOFF.wait(watch.failures, jitter)).await;
            }
        }
    }
}

impl Watch<'_> {
    async fn connect(&mut self) -> Result<Over, Failure> {
        let mut query = Query::default();
        self.args.watches.iter().for_each(|watch| query.push("watch", watch));
        self.position.iter().for_each(|position| query.push("position", position));
        let path = format!("/watch{query}");
        let opened = self.args.server.open(None, &path, "application/x-ndjson").await;
        let mut answer = match opened {
            Ok(answer) => answer,
            Err(failure) if failure.code == Failure::UNAVAILABLE => {
                return Ok(Over::Broken(failure));
            }
            Err(failure) => return Err(failure),
        };
        let mut lines = Lines::default();
        loop {
            let chunk = match tokio::time::timeout(SILENCE_MAX, answer.chunk()).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => return Ok(Over::Broken(unavailable("the server ended it"))),
                Ok(Err(error)) => return Ok(Over::Broken(self.args.server.unreachable(&error))),
                Err(_) => return Ok(Over::Broken(unavailable("it was silent for 45 s"))),
            };
            for line in lines.push(&chunk)? {
                if let Some(over) = self.take(&line)? {
                    return Ok(over);
                }
            }
        }
    }

    /// Takes one event; gives how the connection ends, where it does.
    fn take(&mut self, line: &[u8]) -> Result<Option<Over>, Failure> {
        let event: Value = serde_json::from_slice(line).map_err(|error| {
            Failure::new(Failure::UNAVAILABLE, format!("the server sent no JSON: {error}"))
        })?;
        let known = text(&event, "event");
        if known == "end" {
            return match event["error"].is_null() {
                true => Ok(Some(Over::Broken(unavailable("the server stops")))),
                false => Err(refused(status_of(&text(&event["error"], "code")), &event)),
            };
        }
        if known == "revision" {
            if self.print(&event, line).is_err() {
                return Ok(Some(Over::Done));
            }
            self.printed += 1;
        }
        self.failures = 0;
        self.position = Some(text(&event, "position"));
        Ok((self.args.count == Some(self.printed)).then_some(Over::Done))
    }

    fn print(&self, event: &Value, line: &[u8]) -> std::io::Result<()> {
        let mut stdout = std::io::stdout().lock();
        match self.output.format {
            Format::Json => stdout.write_all(line).and_then(|()| stdout.write_all(b"\n"))?,
            Format::Table => stdout.write_all(shown(event).as_bytes())?,
        }
        stdout.flush()
    }
}

fn unavailable(why: &str) -> Failure {
    Failure::new(Failure::UNAVAILABLE, why)
}

/// The status that a refusal with this code would have had.
fn status_of(code: &str) -> u16 {
    match code {
        "unauthenticated" => 401,
        "forbidden" => 403,
        "not_found" => 404,
        _ => 500,
    }
}

fn shown(event: &Value) -> String {
    let message = text(event, "message");
    let mut shown = format!(
        "{} {} {}: {}\n",
        text(event, "repo"),
        text(event, "revision"),
        text(event, "author_name"),
        message.lines().next().unwrap_or("")
    );
    for entry in event["entries"].as_array().into_iter().flatten() {
        let mark = match entry["change"].as_str() {
            Some("added") => '+',
            Some("removed") => '-',
            _ => '~',
        };
        shown.push_str(&format!("  {mark} {}\n", text(entry, "path")));
    }
    shown
}

/// Bytes as they come, as lines.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// The lines that are whole with these bytes.
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, Failure> {
        let mut whole = Vec::new();
        let mut parts = bytes.split(|byte| *byte == b'\n');
        self.rest.extend_from_slice(parts.next().unwrap_or_default());
        for part in parts {
            whole.push(std::mem::replace(&mut self.rest, part.to_vec()));
        }
        if self.rest.len() > LINE_BYTES_MAX {
            let message = "the server sent a line of more than 64 MiB";
            return Err(Failure::new(Failure::UNAVAILABLE, message));
        }
        whole.retain(|line| !line.is_empty());
        Ok(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_from_pieces() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"a").unwrap(), Vec::<Vec<u8>>::new());
        assert_eq!(lines.push(b"b\n\nc\nd").unwrap(), [b"ab".to_vec(), b"c".to_vec()]);
        assert_eq!(lines.push(b"\n").unwrap(), [b"d".to_vec()]);
    }
}
