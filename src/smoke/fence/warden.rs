//! The program side of a fence: the same binary, started again.
//!
//! It runs in three parts. The *warden* has one thread and makes the
//! namespaces. The *keeper* is process 1 inside of them: it hands out sockets
//! of the network inside, starts programs, reaps them, and takes everything
//! with it when it ends, which it does when the run's end of its socket
//! closes. The *entrant* closes itself in (see `inside`) and becomes the
//! program.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::process::{Pid, Signal, WaitOptions, getegid, geteuid, kill_process, wait};
use rustix::thread::UnshareFlags;

use super::wire::{Ask, Ground, MAX_FDS, Order, Tell, receive, send};
use super::{inside, loopback};

/// The first argument of the parts; no command line of a person has it.
pub(super) const CALL: &str = "__fence";
pub(super) const WARDEN: &str = "warden";
const KEEPER: &str = "keeper";
const ENTRANT: &str = "entrant";

/// This binary, wherever it lies.
const SELF: &str = "/proc/self/exe";
/// What the machine is called inside.
const HOST_NAME: &[u8] = b"convoy-cell";
/// How often ended programs are looked for.
const LOOK: Duration = Duration::from_millis(10);

/// Plays the part that the command line names; nothing when it names none.
pub(super) fn play(mut args: impl Iterator<Item = String>) -> Option<ExitCode> {
    if args.next().as_deref() != Some(CALL) {
        return None;
    }
    let (part, what) = (args.next().unwrap_or_default(), args.next().unwrap_or_default());
    Some(match part.as_str() {
        WARDEN => stand(&what),
        KEEPER => keep(&what),
        ENTRANT => enter(&what),
        _ => ExitCode::from(2),
    })
}

fn stand(ground: &str) -> ExitCode {
    match close_in().and_then(|root| start_keeper(ground, root)) {
        Ok(()) => ExitCode::SUCCESS,
        Err((what, error)) => {
            let why = format!("{what}: {error}");
            let _ = send(io::stdin(), &Tell::Refused { why }, &[]);
            ExitCode::FAILURE
        }
    }
}

/// A child, because a new process namespace begins with the next process.
fn start_keeper(ground: &str, root: bool) -> Result<(), Refusal> {
    let ground = serde_json::from_str::<Ground>(ground)
        .and_then(|ground| serde_json::to_string(&Ground { root, ..ground }))
        .map_err(|error| ("what to enclose can't be read", error.into()))?;
    let keeper = Command::new(SELF).args([CALL, KEEPER, &ground]).status();
    keeper.map(drop).map_err(|error| ("no process could be started inside", error))
}

type Refusal = (&'static str, io::Error);

/// Leaves every namespace of the machine. Root needs no user namespace for
/// that, and says so; anybody else gets one, where the kernel lets him.
fn close_in() -> Result<bool, Refusal> {
    let spaces = UnshareFlags::NEWNS
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWIPC;
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    let is_root = user == 0 && unshare(spaces).is_ok();
    if !is_root {
        unshare(spaces | UnshareFlags::NEWUSER)
            .map_err(|e| ("the kernel gives no user, network and mount namespaces", e))?;
        let map = |file: &str, text: String| {
            fs::write(format!("/proc/self/{file}"), text)
                .map_err(|e| ("the user can't be mapped into its own namespace", e))
        };
        map("setgroups", "deny".into())?;
        map("uid_map", format!("0 {user} 1"))?;
        map("gid_map", format!("0 {group} 1"))?;
    }
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|e| ("mounts can't be made private", e.into()))?;
    rustix::system::sethostname(HOST_NAME)
        .map_err(|e| ("the host's name can't be hidden", e.into()))?;
    loopback::bring_up().map_err(|e| ("the loopback device can't be brought up", e))?;
    Ok(is_root)
}

/// Only namespaces are left here, never the table of open files, which is
/// what makes the call unsound in a process with threads.
#[allow(deprecated, reason = "the sound alternative is `unsafe`, which this program forbids")]
pub(super) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    debug_assert!(!flags.contains(UnshareFlags::FILES));
    Ok(rustix::thread::unshare(flags)?)
}

fn keep(ground: &str) -> ExitCode {
    let socket = io::stdin();
    let Ok(known) = serde_json::from_str::<Ground>(ground) else { return ExitCode::FAILURE };
    let mut keeper = Keeper { ground: ground.to_owned(), programs: HashMap::new() };
    let timeout = set_socket_timeout(&socket, Timeout::Recv, Some(LOOK));
    if timeout.is_err() || send(&socket, &Tell::Ready { root: known.root }, &[]).is_err() {
        return ExitCode::FAILURE;
    }
    loop {
        match receive::<Ask>(&socket) {
            Ok(Some((ask, fds))) => keeper.answer(&socket, ask, fds),
            // Nobody is there any more: as process 1 we take all with us.
            Ok(None) => return ExitCode::SUCCESS,
            Err(error) if is_idle(&error) => {}
            Err(_) => return ExitCode::FAILURE,
        }
        keeper.reap(&socket);
    }
}

fn is_idle(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

struct Keeper {
    ground: String,
    programs: HashMap<Pid, u32>,
}

impl Keeper {
    fn answer(&mut self, socket: impl AsFd, ask: Ask, fds: Vec<OwnedFd>) {
        let answer = match ask {
            Ask::Sockets { id, count } => match sockets(count) {
                Ok(made) => {
                    let made: Vec<_> = made.iter().map(AsFd::as_fd).collect();
                    let _ = send(&socket, &Tell::Sockets { id }, &made);
                    return;
                }
                Err(error) => Tell::Failed { id, why: error.to_string() },
            },
            Ask::Run { id, order } => match self.start(id, &order, fds) {
                Ok(()) => Tell::Started { id },
                Err(error) => Tell::Failed { id, why: error.to_string() },
            },
            Ask::Kill { id } => {
                let running = self.programs.iter().find(|(_, known)| **known == id);
                if let Some((pid, _)) = running {
                    let _ = kill_process(*pid, Signal::KILL);
                }
                return;
            }
        };
        let _ = send(&socket, &answer, &[]);
    }

    fn start(&mut self, id: u32, order: &Order, fds: Vec<OwnedFd>) -> io::Result<()> {
        let output = fds.into_iter().next().ok_or_else(|| io::Error::other("no output came"))?;
        let order = serde_json::to_string(order).map_err(io::Error::other)?;
        let mut command = Command::new(SELF);
        command
            .args([CALL, ENTRANT, &order])
            .env_clear()
            .env("CONVOY_GROUND", &self.ground)
            .stdin(Stdio::null())
            .stdout(Stdio::from(output.try_clone()?))
            .stderr(Stdio::from(output));
        let child = command.spawn()?;
        let pid = Pid::from_raw(child.id().cast_signed());
        self.programs.extend(pid.map(|pid| (pid, id)));
        Ok(())
    }

    /// Takes what ended, orphans too.
    fn reap(&mut self, socket: impl AsFd) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if let Some(id) = self.programs.remove(&pid) {
                let _ = send(&socket, &Tell::Ended { id, status: status.as_raw() }, &[]);
            }
        }
    }
}

fn sockets(count: usize) -> Result<Vec<OwnedFd>, Errno> {
    let one = || socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None);
    (0..count.min(MAX_FDS)).map(|_| one()).collect()
}

/// Becomes the program; what goes wrong is told on the error output, with the
/// status that a shell has for it.
fn enter(order: &str) -> ExitCode {
    match prepare(order) {
        Ok(mut program) => {
            let error = program.exec();
            eprintln!("the program can't be run inside the fence: {error}");
            ExitCode::from(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 })
        }
        Err(error) => {
            eprintln!("the fence could not be closed: {error}");
            ExitCode::from(126)
        }
    }
}

fn prepare(order: &str) -> io::Result<Command> {
    let order: Order = serde_json::from_str(order).map_err(io::Error::other)?;
    let ground = std::env::var("CONVOY_GROUND").map_err(io::Error::other)?;
    let ground: Ground = serde_json::from_str(&ground).map_err(io::Error::other)?;
    inside::close(&ground, &order.program)?;
    Ok(inside::command(&ground, &order))
}
