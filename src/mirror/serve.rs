//! Our own repositories for stock `git`, to read: `git upload-pack` on a bare
//! folder, its output passed on as it comes.
//!
//! It knows no HTTP, no rights and no repository names: `web::git` does. What
//! it gives is the branches; the refs by which the store counts revisions stay
//! hidden. The command sees none of the user's or the system's Git
//! configuration, and is killed with its children when the time is over, when
//! the client takes nothing for too long, or when it is gone.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::push::Group;
use crate::tasks::Tasks;

/// Answers in progress; each is a process or two, and packing uses a core.
const ANSWERS_MAX: usize = 16;
/// How long a client waits for its turn before it is told to come back.
const TURN_MAX: Duration = Duration::from_secs(20);
/// One answer, from the first byte to the last.
const TIME_MAX: Duration = Duration::from_secs(600);
/// A client that takes nothing for so long is gone.
const STALL_MAX: Duration = Duration::from_secs(60);
/// Bytes of one piece of an answer, and pieces that wait for the client.
const PIECE_BYTES: usize = 64 << 10;
const PIECES_MAX: usize = 4;
/// What is kept of the command's complaints.
const COMPLAINT_BYTES_MAX: u64 = 4 << 10;

/// Runs the commands, a bounded number at a time; cheap to clone.
#[derive(Debug, Clone)]
pub struct GitServer {
    turns: Arc<Semaphore>,
    tasks: Tasks,
}

/// What a client wants.
#[derive(Debug)]
pub struct Ask {
    /// The bare folder.
    pub git_dir: PathBuf,
    /// The client's `Git-Protocol`, as it was sent.
    pub protocol: Option<String>,
    /// The refs (or, in protocol 2, what we can do) and nothing else.
    pub advertise: bool,
    /// What the client sent.
    pub body: Bytes,
}

/// An answer, as it comes.
#[derive(Debug)]
pub struct Answer {
    first: Option<Bytes>,
    rest: mpsc::Receiver<io::Result<Bytes>>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Too many are answered at once.
    #[error("too many clones and fetches at once")]
    Busy,
    /// The command failed.
    #[error("git upload-pack failed")]
    Failed(#[source] io::Error),
}

impl GitServer {
    /// A server whose work ends with `tasks`.
    pub fn new(tasks: Tasks) -> Self {
        Self { turns: Arc::new(Semaphore::new(ANSWERS_MAX)), tasks }
    }

    /// Answers; returns with the answer's first bytes.
    ///
    /// # Errors
    /// [`ServeError`]; what fails later ends the answer before its end.
    pub async fn answer(&self, ask: Ask) -> Result<Answer, ServeError> {
        let turn = tokio::time::timeout(TURN_MAX, self.turns.clone().acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok).ok_or(ServeError::Busy)?;
        let child = command(&ask).spawn().map_err(ServeError::Failed)?;
        let (pieces, mut rest) = mpsc::channel(PIECES_MAX);
        self.tasks.spawn("git-serve", serve(child, ask.body, pieces, turn));
        match rest.recv().await {
            Some(Err(error)) => Err(ServeError::Failed(error)),
            first => Ok(Answer { first: first.and_then(Result::ok), rest }),
        }
    }
}

impl Answer {
    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Option<io::Result<Bytes>> {
        match self.first.take() {
            Some(first) => Some(Ok(first)),
            None => self.rest.recv().await,
        }
    }
}

fn command(ask: &Ask) -> Command {
    let mut command = Command::new("git");
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", &ask.git_dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("LC_ALL", "C");
    if let Some(protocol) = ask.protocol.as_deref().filter(|text| is_protocol(text)) {
        command.env("GIT_PROTOCOL", protocol);
    }
    command
        .args(["-c", "safe.directory=*", "-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0"])
        .args(["-c", "transfer.hideRefs=refs/", "-c", "transfer.hideRefs=!refs/heads/"])
        .args(["-c", "uploadpack.allowFilter=true", "-c", "pack.threads=1"])
        .args(["upload-pack", "--strict", "--stateless-rpc"])
        .args(ask.advertise.then_some("--http-backend-info-refs"))
        .arg(absolute(&ask.git_dir))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// `version=2`, and whatever else a client may add to it one day.
fn is_protocol(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "=:._-".contains(c);
    text.len() <= 128 && text.chars().all(plain)
}

/// Passes the command's output on until it ends, and ends it otherwise.
async fn serve(
    mut child: Child,
    body: Bytes,
    pieces: mpsc::Sender<io::Result<Bytes>>,
    _turn: OwnedSemaphorePermit,
) {
    let mut group = Group::of(&child);
    let served = tokio::time::timeout(TIME_MAX, follow(&mut child, body, &pieces)).await;
    let fault = match served {
        Ok(Ok(())) => {
            // It was waited for, so its number may be another's by now.
            group.0 = None;
            None
        }
        Ok(Err(error)) => Some(error),
        Err(_) => Some(io::Error::from(io::ErrorKind::TimedOut)),
    };
    drop(group);
    if let Some(error) = fault {
        tracing::debug!(%error, "a clone or fetch was not answered to its end");
        // Nobody may be there any more; that is fine.
        let _ = pieces.try_send(Err(error));
    }
}

async fn follow(
    child: &mut Child,
    body: Bytes,
    pieces: &mpsc::Sender<io::Result<Bytes>>,
) -> io::Result<()> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let complain = async {
        let mut said = Vec::new();
        if let Some(stderr) = stderr {
            let _ = stderr.take(COMPLAINT_BYTES_MAX).read_to_end(&mut said).await;
        }
        String::from_utf8_lossy(&said).trim().to_owned()
    };
    let (_, passed, said) = tokio::join!(feed(stdin, body), pass_on(stdout, pieces), complain);
    let passed = passed?;
    let status = child.wait().await?;
    if status.success() {
        return Ok(());
    }
    if passed > 0 {
        // What is wrong stands in the answer, in Git's own form.
        tracing::debug!(said, "git upload-pack refused a request");
        return Ok(());
    }
    Err(io::Error::other(format!("git upload-pack ended with {status}: {said}")))
}

/// Gives the command what the client sent. It may know enough before the end.
async fn feed(stdin: Option<ChildStdin>, body: Bytes) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(&body).await;
    }
}

async fn pass_on(
    stdout: Option<ChildStdout>,
    pieces: &mpsc::Sender<io::Result<Bytes>>,
) -> io::Result<u64> {
    let Some(mut stdout) = stdout else { return Ok(0) };
    let (mut passed, mut buffer) = (0, vec![0; PIECE_BYTES]);
    loop {
        let length = stdout.read(&mut buffer).await?;
        if length == 0 {
            return Ok(passed);
        }
        passed += length as u64;
        let piece = Bytes::copy_from_slice(&buffer[..length]);
        let sent = tokio::time::timeout(STALL_MAX, pieces.send(Ok(piece))).await;
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(io::Error::from(io::ErrorKind::BrokenPipe)),
            Err(_) => return Err(io::Error::other("the client takes nothing")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_protocols_reach_the_command() {
        for good in ["version=2", "version=1:x-y"] {
            assert!(is_protocol(good), "{good}");
        }
        for bad in ["a b", "x;y", "$(id)", "\n", &"a".repeat(129)] {
            assert!(!is_protocol(bad), "{bad:?}");
        }
    }
}
