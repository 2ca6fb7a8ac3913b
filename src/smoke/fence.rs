//! A fence around a cell: network, mounts, processes and name of its own.
//!
//! Sockets belong to the network that they were made in, whoever holds them:
//! the warden inside makes them and hands them out, so the echo upstreams,
//! the checks and the xDS listener stay tasks of ours and yet are reached on
//! the loopback device inside. There is no way in or out besides.
//!
//! Linux only. Where the kernel refuses, the caller is told why.

mod inside;
mod loopback;
mod warden;
mod wire;

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use tokio::io::Interest;
use tokio::net::{TcpSocket, UnixStream};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

pub(in crate::smoke) use wire::{Order, Program};

use super::process::{Group, Ledger};
use crate::tasks::Tasks;
use wire::{Ask, Ground, Tell};

/// Where a cell's folder is, seen from inside.
pub(super) const CELL: &str = "/cell";
/// What that is in the cell's folder.
pub(super) const INNER: &str = "box";
/// An empty folder beside it, to build upon.
pub(super) const ROOT: &str = "root";
/// The user that programs run as where we are root of few users: Debian's
/// `nobody`.
const NOBODY: u32 = 65534;
/// Users from here on, a thousand million, are nobody's.
const STRANGERS: u32 = 1 << 30;
/// How long building a fence may take.
const BUILDING: Duration = Duration::from_secs(10);
/// Sockets that are asked for at once.
const SOCKETS: usize = 32;
/// The most memory of one program. Envoy takes a tenth of it.
const MEMORY_BYTES: u64 = 2 << 30;
/// The largest file of one program.
const FILE_BYTES: u64 = 64 << 20;

/// Plays this program's part inside a fence, where that is what it was
/// started for. Must be called before the first thread is started.
pub(super) fn play() -> Option<ExitCode> {
    warden::play(std::env::args().skip(1))
}

/// A user of its own for what runs in a folder. The kernel counts processes by
/// user: what one cell starts must not be missing in the next.
fn user_of(folder: &Path) -> io::Result<u32> {
    let users = std::fs::read_to_string("/proc/self/uid_map")?;
    if !users.split_whitespace().eq(["0", "0", "4294967295"]) {
        return Ok(NOBODY);
    }
    let inode = std::fs::metadata(folder)?.ino();
    Ok(STRANGERS + (inode % u64::from(STRANGERS)) as u32)
}

/// A fence that stands. Dropping it ends everything inside.
#[derive(Debug)]
pub(super) struct Fence {
    shared: Arc<Shared>,
    // Before the tasks: what is inside ends first.
    _warden: Group,
    tasks: Tasks,
}

#[derive(Debug)]
struct Shared {
    socket: UnixStream,
    next: AtomicU32,
    state: Mutex<State>,
    /// Raised when a program ended, or the warden.
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    spare: Vec<OwnedFd>,
    waiting: HashMap<u32, oneshot::Sender<Result<Vec<OwnedFd>, String>>>,
    ended: HashMap<u32, i32>,
    gone: bool,
}

impl Fence {
    /// Builds a fence around `folder`, which has the folders `box` and `root`.
    ///
    /// # Errors
    /// The kernel or the machine doesn't allow it; the text says what.
    pub(super) async fn build(
        program: &Path,
        folder: &Path,
        binary: &Path,
        ledger: &Ledger,
    ) -> io::Result<Self> {
        let ground = Ground {
            folder: folder.into(),
            binary: binary.into(),
            memory: MEMORY_BYTES,
            file: FILE_BYTES,
            root: false,
            user: user_of(folder)?,
        };
        let user = ground.user;
        let ground = serde_json::to_string(&ground).map_err(io::Error::other)?;
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let mut command = Command::new(program);
        command
            .args([warden::CALL, warden::WARDEN, &ground])
            .env_clear()
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let group = Group::spawn(command).await?;
        ledger.add(&group)?;
        let ours = std::os::unix::net::UnixStream::from(ours);
        ours.set_nonblocking(true)?;
        let socket = UnixStream::from_std(ours)?;
        match timeout(BUILDING, take(&socket)).await {
            Ok(Ok(Some((Tell::Ready { root }, _)))) => {
                if root {
                    std::os::unix::fs::chown(folder.join(INNER), Some(user), Some(user))?;
                }
                Ok(Self::standing(socket, group))
            }
            Ok(Ok(Some((Tell::Refused { why }, _)))) => Err(io::Error::other(why)),
            Ok(Err(error)) => Err(error),
            Ok(_) => Err(io::Error::other("the warden ended without a word")),
            Err(_) => Err(io::Error::other("the warden did not answer in time")),
        }
    }

    fn standing(socket: UnixStream, warden: Group) -> Self {
        let shared = Arc::new(Shared {
            socket,
            next: AtomicU32::new(0),
            state: Mutex::default(),
            changed: watch::Sender::new(0),
        });
        let tasks = Tasks::default();
        tasks.spawn("smoke-fence", listen(Arc::clone(&shared)));
        Self { shared, _warden: warden, tasks }
    }

    /// A fresh TCP socket of the network inside.
    pub(super) async fn socket(&self) -> io::Result<TcpSocket> {
        let spare = self.shared.lock().spare.pop();
        let fd = match spare {
            Some(fd) => fd,
            None => {
                let count = SOCKETS;
                let mut made = self.shared.ask(|id| Ask::Sockets { id, count }, None).await?;
                let one = made.pop().ok_or_else(|| io::Error::other("no socket came"))?;
                self.shared.lock().spare.append(&mut made);
                one
            }
        };
        let stream = std::net::TcpStream::from(fd);
        stream.set_nonblocking(true)?;
        Ok(TcpSocket::from_std_stream(stream))
    }

    /// Starts a program inside, with its output to `output`.
    pub(super) async fn start(&self, order: Order, output: OwnedFd) -> io::Result<Inmate> {
        let mut given = 0;
        let run = |id| {
            given = id;
            Ask::Run { id, order }
        };
        self.shared.ask(run, Some(output)).await?;
        Ok(Inmate { id: given, shared: Arc::clone(&self.shared) })
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

/// A program inside. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Inmate {
    id: u32,
    shared: Arc<Shared>,
}

impl Inmate {
    /// How it ended, where it has.
    pub(super) fn ended(&self) -> Option<ExitStatus> {
        let state = self.shared.lock();
        let killed = state.gone.then_some(9);
        state.ended.get(&self.id).copied().or(killed).map(ExitStatus::from_raw)
    }

    /// Waits until it has ended.
    pub(super) async fn wait(&self) -> ExitStatus {
        let mut changed = self.shared.changed.subscribe();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            // The sender lives in what we hold.
            let _ = changed.changed().await;
        }
    }

    /// Ends it.
    pub(super) fn kill(&self) {
        // Where the socket is full, the whole fence ends soon enough.
        let _ = wire::send(&self.shared.socket, &Ask::Kill { id: self.id }, &[]);
    }
}

impl Drop for Inmate {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.kill();
        }
    }
}

impl Shared {
    /// Asks and waits for the answer.
    async fn ask(
        &self,
        ask: impl FnOnce(u32) -> Ask,
        output: Option<OwnedFd>,
    ) -> io::Result<Vec<OwnedFd>> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.lock().waiting.insert(id, sender);
        let message = ask(id);
        let send = || {
            let fds: Vec<_> = output.iter().map(AsFd::as_fd).collect();
            wire::send(&self.socket, &message, &fds)
        };
        self.socket.async_io(Interest::WRITABLE, send).await?;
        drop(output);
        let answer = answer.await.map_err(|_| io::Error::other("the fence fell"))?;
        answer.map_err(io::Error::other)
    }

    fn hear(&self, tell: Tell, fds: Vec<OwnedFd>) {
        let mut state = self.lock();
        let (id, answer) = match tell {
            Tell::Sockets { id } | Tell::Started { id } => (id, Ok(fds)),
            Tell::Failed { id, why } => (id, Err(why)),
            Tell::Ended { id, status } => {
                state.ended.insert(id, status);
                drop(state);
                self.changed.send_modify(|count| *count += 1);
                return;
            }
            Tell::Ready { .. } | Tell::Refused { .. } => return,
        };
        if let Some(waiting) = state.waiting.remove(&id) {
            let _ = waiting.send(answer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn listen(shared: Arc<Shared>) {
    while let Ok(Some((tell, fds))) = take(&shared.socket).await {
        shared.hear(tell, fds);
    }
    let mut state = shared.lock();
    state.gone = true;
    state.waiting.clear();
    drop(state);
    shared.changed.send_modify(|count| *count += 1);
}

async fn take(socket: &UnixStream) -> io::Result<Option<(Tell, Vec<OwnedFd>)>> {
    socket.async_io(Interest::READABLE, || wire::receive(socket)).await
}
