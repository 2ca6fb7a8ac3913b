//! Runs other programs so that nothing of them outlives us.
//!
//! Each gets a process group of its own, and the whole group is killed when
//! its handle is dropped. The groups are also written down in the cell's
//! folder, so that a later process can end what a killed one left behind.

use std::fs;
use std::future::Future;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::time::{sleep, timeout};

/// The file in a cell's folder that lists who owns it and what it started.
const LEDGER: &str = "processes";
/// How often a start is tried again while another thread's fork still holds
/// the freshly written program open for writing.
const BUSY_TRIES: u32 = 50;
/// How long output may still trickle in after the group was killed.
const DRAIN: Duration = Duration::from_millis(200);

/// A program at work, with everything that it starts.
#[derive(Debug)]
pub(super) struct Group {
    child: tokio::process::Child,
    pid: Option<Pid>,
}

impl Group {
    /// Starts `command` in a process group of its own.
    pub(super) async fn spawn(mut command: Command) -> io::Result<Self> {
        command.process_group(0);
        let mut command = tokio::process::Command::from(command);
        let mut tries = 0;
        loop {
            match command.spawn() {
                Err(error)
                    if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < BUSY_TRIES =>
                {
                    tries += 1;
                    sleep(Duration::from_millis(10)).await;
                }
                Err(error) => return Err(error),
                Ok(child) => {
                    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
                    return Ok(Self { child, pid });
                }
            }
        }
    }

    /// How it ended, where it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits until the program itself has ended.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Kills the whole group and reaps its leader.
    pub(super) async fn end(mut self) {
        self.kill();
        let _ = self.child.wait().await;
        self.pid = None;
    }

    fn kill(&self) {
        if let Some(pid) = self.pid {
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Drop for Group {
    /// The runtime reaps the leader; its children are the system's to reap.
    fn drop(&mut self) {
        self.kill();
    }
}

/// Bounds of one run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// How long it may take.
    pub(super) time: Duration,
    /// How many bytes of the end of its output are kept.
    pub(super) output: usize,
}

/// What a run came to.
#[derive(Debug)]
pub(super) struct Finished {
    /// How it ended; `None` when its time was up.
    pub(super) status: Option<ExitStatus>,
    /// The end of what it wrote to its output and error output.
    pub(super) output: String,
}

/// Runs `command` to its end, or until its time is up, and ends everything
/// that it started. `started` hears of the process before it is waited for.
pub(super) async fn run(
    mut command: Command,
    limits: Limits,
    started: impl FnOnce(&Group) -> io::Result<()>,
) -> io::Result<Finished> {
    let (reader, writer) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut output = pipe::Receiver::from_owned_fd(reader.into())?;
    let mut group = Group::spawn(command).await?;
    started(&group)?;
    let mut tail = Tail::new(limits.output);
    let status = timeout(limits.time, follow(group.wait(), &mut output, &mut tail)).await;
    group.end().await;
    Ok(Finished { status: status.ok().transpose()?, output: tail.rest(&mut output).await })
}

/// Waits for the program itself, not for its output to close: a child of its
/// may hold that open for ever.
pub(super) async fn follow(
    ending: impl Future<Output = io::Result<ExitStatus>>,
    output: &mut pipe::Receiver,
    tail: &mut Tail,
) -> io::Result<ExitStatus> {
    tokio::pin!(ending);
    let mut open = true;
    loop {
        tokio::select! {
            status = &mut ending => return status,
            more = tail.take(output), if open => open = more,
        }
    }
}

/// The last bytes of an output of any length.
pub(super) struct Tail {
    bytes: Vec<u8>,
    keep: usize,
}

impl Tail {
    /// Keeps as many of the last bytes.
    pub(super) fn new(keep: usize) -> Self {
        Self { bytes: Vec::new(), keep }
    }

    /// What was written, once the program has ended.
    pub(super) async fn rest(mut self, output: &mut pipe::Receiver) -> String {
        let _ = timeout(DRAIN, async { while self.take(output).await {} }).await;
        self.text()
    }

    /// Takes what has come; false at the end.
    async fn take(&mut self, output: &mut pipe::Receiver) -> bool {
        let mut buffer = [0; 8192];
        match output.read(&mut buffer).await {
            Ok(0) | Err(_) => false,
            Ok(read) => {
                self.bytes.extend_from_slice(&buffer[..read]);
                let excess = self.bytes.len().saturating_sub(self.keep);
                self.bytes.drain(..excess);
                true
            }
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// The list of processes in a cell's folder.
#[derive(Debug, Clone)]
pub(super) struct Ledger(PathBuf);

impl Ledger {
    /// Opens the list of `folder` with this process as its owner.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let ledger = Self(folder.join(LEDGER));
        ledger.write(std::process::id())?;
        Ok(ledger)
    }

    /// Writes down a group that was started.
    pub(super) fn add(&self, group: &Group) -> io::Result<()> {
        group.child.id().map_or(Ok(()), |pid| self.write(pid))
    }

    fn write(&self, pid: u32) -> io::Result<()> {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&self.0)?;
        writeln!(file, "{pid} {}", start_time(pid).unwrap_or_default())
    }
}

/// Ends what the owners of the folders `<work>/<prefix>*` left behind, and
/// removes the folders. An owner that still lives is left alone: a process id
/// alone says nothing, so the start time must fit too.
pub(super) fn sweep(work: &Path, prefix: &str) {
    for entry in fs::read_dir(work).into_iter().flatten().filter_map(Result::ok) {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix));
        let list = fs::read_to_string(entry.path().join(LEDGER)).unwrap_or_default();
        let mut lines = list.lines().filter_map(parse_line);
        // A folder without a list is one that is being made just now.
        let Some(owner) = lines.next().filter(|_| ours) else { continue };
        if is_alive(owner) {
            continue;
        }
        for process in lines.filter(|process| is_alive(*process)) {
            if let Some(pid) = Pid::from_raw(process.0.cast_signed()) {
                tracing::warn!(pid = process.0, "ending a process that an earlier run left behind");
                let _ = rustix::process::kill_process_group(pid, Signal::KILL);
            }
        }
        let _ = fs::remove_dir_all(entry.path());
    }
}

fn parse_line(line: &str) -> Option<(u32, u64)> {
    let (pid, start) = line.split_once(' ')?;
    Some((pid.parse().ok()?, start.parse().ok()?))
}

fn is_alive((pid, start): (u32, u64)) -> bool {
    start_time(pid) == Some(start)
}

/// When a process started, in clock ticks since boot: field 22 of its `stat`,
/// counted behind the name, which may hold anything. A zombie is dead.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields = stat.rsplit_once(')')?.1;
    let mut fields = fields.split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    const LIMITS: Limits = Limits { time: Duration::from_secs(10), output: 16 };

    #[tokio::test]
    async fn only_the_end_of_the_output_is_kept() {
        let finished = run(shell("seq 1 10000; echo last >&2"), LIMITS, |_| Ok(())).await.unwrap();
        assert!(finished.status.unwrap().success());
        assert!(finished.output.ends_with("10000\nlast\n"), "{:?}", finished.output);
        assert!(finished.output.len() <= LIMITS.output);
    }

    #[tokio::test]
    async fn a_program_beyond_its_time_is_killed_with_its_children() {
        let limits = Limits { time: Duration::from_millis(300), output: 64 };
        let finished = run(shell("sleep 1000 & echo $!; wait"), limits, |_| Ok(())).await.unwrap();
        assert_eq!(finished.status, None);
        let child = finished.output.trim().parse().unwrap();
        let gone = async {
            while start_time(child).is_some() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(10), gone).await.expect("the child is killed");
    }

    #[tokio::test]
    async fn a_child_that_holds_the_output_open_holds_nothing_up() {
        let finished = run(shell("sleep 1000 & echo done"), LIMITS, |_| Ok(())).await.unwrap();
        assert!(finished.status.is_some());
        assert_eq!(finished.output, "done\n");
    }

    #[tokio::test]
    async fn what_a_dead_owner_left_is_ended_and_removed() {
        let work = tempfile::tempdir().unwrap();
        let (dead, live) = (work.path().join("cell-a"), work.path().join("cell-b"));
        let mut group = Group::spawn(shell("sleep 1000")).await.unwrap();
        for folder in [&dead, &live] {
            fs::create_dir(folder).unwrap();
            Ledger::open(folder).unwrap().add(&group).unwrap();
        }
        let list = fs::read_to_string(dead.join(LEDGER)).unwrap();
        let started = list.lines().nth(1).unwrap();
        fs::write(dead.join(LEDGER), format!("{} 1\n{started}\n", std::process::id())).unwrap();
        sweep(work.path(), "cell-");
        assert_eq!((dead.exists(), live.exists()), (false, true));
        assert!(!group.wait().await.unwrap().success());
    }
}
