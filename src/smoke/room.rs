//! Where one Envoy runs: its folder, its network, and the programs in it.
//!
//! Behind a fence where the kernel lets us; in the open otherwise, in process
//! groups of their own and on the machine's loopback device, and the result
//! says so. Called by everything that starts or reaches a program of a cell.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::net::unix::pipe;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::FOLDER_PREFIX;
use super::fence::{CELL, Fence, INNER, Inmate, Order, Program, ROOT};
use super::process::{Finished, Group, Ledger, Limits, Tail, follow};

/// Connections that may wait to be taken.
const BACKLOG: u32 = 1024;

/// A cell's folder and what runs in it. Dropping it ends the programs and
/// removes the folder.
#[derive(Debug)]
pub(super) struct Room {
    fence: Option<Fence>,
    binary: PathBuf,
    ledger: Ledger,
    // Last: what is inside ends before its folder goes.
    dir: tempfile::TempDir,
}

/// How rooms are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Builder<'a> {
    /// Where folders go.
    pub(super) work: &'a Path,
    /// The program that plays a fence's warden; without it there are none.
    pub(super) warden: Option<&'a Path>,
}

impl Builder<'_> {
    /// Makes a room for `binary`, and says why it is open where it is.
    pub(super) async fn build(&self, binary: &Path) -> io::Result<(Room, Option<String>)> {
        let dir = tempfile::Builder::new().prefix(FOLDER_PREFIX).tempdir_in(self.work)?;
        let ledger = Ledger::open(dir.path())?;
        std::fs::create_dir(dir.path().join(INNER))?;
        std::fs::create_dir(dir.path().join(ROOT))?;
        let (fence, open) = match self.warden {
            None => (None, Some("fences are turned off".to_owned())),
            Some(program) => match Fence::build(program, dir.path(), binary, &ledger).await {
                Ok(fence) => (Some(fence), None),
                Err(error) => (None, Some(error.to_string())),
            },
        };
        Ok((Room { fence, binary: binary.into(), ledger, dir }, open))
    }
}

impl Room {
    /// Its folder, as we see it.
    pub(super) fn folder(&self) -> PathBuf {
        self.dir.path().join(INNER)
    }

    /// Writes a file that the programs may read, whatever our umask is: the
    /// folder around it lets nobody else in.
    pub(super) fn write(&self, path: &str, content: &[u8], mode: u32) -> io::Result<()> {
        let target = self.folder().join(path);
        if let Some(parent) = target.parent().filter(|parent| *parent != self.folder()) {
            std::fs::create_dir_all(parent)?;
            let inner = parent.strip_prefix(self.folder()).unwrap_or(parent);
            for part in inner.ancestors().filter(|part| !part.as_os_str().is_empty()) {
                set_mode(&self.folder().join(part), 0o755)?;
            }
        }
        std::fs::write(&target, content)?;
        set_mode(&target, mode)
    }

    /// Its folder, as the programs see it.
    pub(super) fn inner_folder(&self) -> PathBuf {
        self.fence.as_ref().map_or_else(|| self.folder(), |_| CELL.into())
    }

    /// Connects to a port of its network.
    pub(super) async fn connect(&self, to: std::net::SocketAddr) -> io::Result<TcpStream> {
        let stream = self.socket().await?.connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Listens on a loopback port of its network; 0 is any.
    pub(super) async fn listen(&self, port: u16) -> io::Result<TcpListener> {
        let socket = self.socket().await?;
        socket.set_reuseaddr(true)?;
        socket.bind(([127, 0, 0, 1], port).into())?;
        socket.listen(BACKLOG)
    }

    async fn socket(&self) -> io::Result<TcpSocket> {
        match &self.fence {
            Some(fence) => fence.socket().await,
            None => TcpSocket::new_v4(),
        }
    }

    /// Starts a program with its output to `output`.
    pub(super) async fn start(&self, order: Order, output: OwnedFd) -> io::Result<Running> {
        if let Some(fence) = &self.fence {
            return Ok(Running::Inside(fence.start(order, output).await?));
        }
        let path = match &order.program {
            Program::Envoy => self.binary.clone(),
            Program::Script(path) => self.folder().join(path),
        };
        let mut command = Command::new(path);
        command
            .args(&order.args)
            .current_dir(self.folder())
            .env_clear()
            .envs(order.env)
            .stdin(Stdio::null())
            .stdout(Stdio::from(output.try_clone()?))
            .stderr(Stdio::from(output));
        let group = Group::spawn(command).await?;
        self.ledger.add(&group)?;
        Ok(Running::Open(group))
    }

    /// Runs a program to its end, or until its time is up.
    pub(super) async fn run(&self, order: Order, limits: Limits) -> io::Result<Finished> {
        let (reader, writer) = io::pipe()?;
        let mut output = pipe::Receiver::from_owned_fd(reader.into())?;
        let mut program = self.start(order, writer.into()).await?;
        let mut tail = Tail::new(limits.output);
        let status = timeout(limits.time, follow(program.wait(), &mut output, &mut tail)).await;
        program.end().await;
        let status = status.ok().transpose()?;
        Ok(Finished { status, output: tail.rest(&mut output).await })
    }
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

/// A program at work. Dropping it kills it.
#[derive(Debug)]
pub(super) enum Running {
    /// In a process group of its own.
    Open(Group),
    /// Behind a fence.
    Inside(Inmate),
}

impl Running {
    /// How it ended, where it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        match self {
            Self::Open(group) => group.ended(),
            Self::Inside(inmate) => inmate.ended(),
        }
    }

    /// Waits until it has ended.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        match self {
            Self::Open(group) => group.wait().await,
            Self::Inside(inmate) => Ok(inmate.wait().await),
        }
    }

    /// Kills it and waits until it is gone.
    pub(super) async fn end(self) {
        match self {
            Self::Open(group) => group.end().await,
            Self::Inside(inmate) => {
                inmate.kill();
                let _ = timeout(GONE, inmate.wait()).await;
            }
        }
    }
}

/// How long a killed program may take to be gone: the fence's end takes it
/// anyway.
const GONE: Duration = Duration::from_secs(5);
