//! What is said between a run and the warden of its fence: one message a
//! packet, with sockets and pipes handed over beside it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The longest message: a script's arguments and environment.
const MAX_BYTES: usize = 64 << 10;
/// How many sockets one message hands over at most.
pub(super) const MAX_FDS: usize = 64;

/// What a fence encloses.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Ground {
    /// The cell's folder, with `box` (what programs see as `/cell`) and
    /// `root` (an empty folder to build upon).
    pub(super) folder: PathBuf,
    /// The Envoy.
    pub(super) binary: PathBuf,
    /// The most memory that a program may have, in bytes.
    pub(super) memory: u64,
    /// The largest file that a program may write, in bytes.
    pub(super) file: u64,
    /// Whether the warden is root without a user namespace, so that programs
    /// have to become somebody else; the warden finds out.
    pub(super) root: bool,
    /// Whom they become then.
    pub(super) user: u32,
}

/// A program to run inside.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::smoke) struct Order {
    /// What it is.
    pub(in crate::smoke) program: Program,
    /// Its arguments.
    pub(in crate::smoke) args: Vec<String>,
    /// Its whole environment.
    pub(in crate::smoke) env: Vec<(String, String)>,
}

/// Which program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::smoke) enum Program {
    /// The Envoy.
    Envoy,
    /// An executable in the cell's folder, by its path in there.
    Script(String),
}

/// What a run asks of the warden.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    /// Fresh TCP sockets of the network inside.
    Sockets { id: u32, count: usize },
    /// To start a program; its output goes to the pipe that comes along.
    Run { id: u32, order: Order },
    /// To end it.
    Kill { id: u32 },
}

/// What the warden answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Tell {
    /// The fence stands, with this `root`.
    Ready { root: bool },
    /// It can't be built, and why.
    Refused { why: String },
    /// The sockets come along.
    Sockets { id: u32 },
    /// The program runs.
    Started { id: u32 },
    /// It could not be started, or no sockets could be made.
    Failed { id: u32, why: String },
    /// The program ended, with this raw status.
    Ended { id: u32, status: i32 },
}

/// Sends one message.
pub(super) fn send(
    socket: impl AsFd,
    message: &impl Serialize,
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let bytes = serde_json::to_vec(message).map_err(io::Error::other)?;
    if bytes.len() > MAX_BYTES {
        return Err(io::Error::other(format!(
            "a message to the fence has {} bytes; at most {MAX_BYTES} are taken",
            bytes.len()
        )));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::other("too many sockets for one message"));
    }
    let parts = [IoSlice::new(&bytes)];
    // A peer that is gone is an error here, not a signal.
    let flags = SendFlags::NOSIGNAL;
    rustix::io::retry_on_intr(|| sendmsg(&socket, &parts, &mut control, flags))?;
    Ok(())
}

/// Takes one message; nothing when the peer is gone.
pub(super) fn receive<T: DeserializeOwned>(
    socket: impl AsFd,
) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut bytes = vec![0; MAX_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(&socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags)?;
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(taken) = message {
            fds.extend(taken);
        }
    }
    if received.bytes == 0 {
        return Ok(None);
    }
    let message = serde_json::from_slice(&bytes[..received.bytes]).map_err(io::Error::other)?;
    Ok(Some((message, fds)))
}
