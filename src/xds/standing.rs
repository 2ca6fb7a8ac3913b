//! One open stream as others may look at it.
//!
//! The session lies behind a lock of its own, which on the way of a message
//! only the stream itself takes. Whoever wants to know how the stream stands
//! asks the session then, so nothing is written down for nobody.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::line::{Line, Release};
use super::session::Session;
use crate::model::{ContentHash, NodeIdentity, SnapshotKey};

/// A session that its stream works with and others look at.
pub(super) type SharedSession = Arc<Mutex<Session>>;

/// Takes a session's lock. Never held while anything is awaited or written.
pub(super) fn lock(session: &Mutex<Session>) -> MutexGuard<'_, Session> {
    // A session is whole after every call, and a panic in one ends its stream.
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One open stream, from its first message to its end.
#[derive(Debug)]
pub(super) struct Standing {
    identity: NodeIdentity,
    credential: Option<Arc<str>>,
    since: Timestamp,
    seat: Mutex<Seat>,
    session: SharedSession,
}

/// What a stream is served from, and what of it it took.
#[derive(Debug, Default, Clone)]
pub(super) struct Seat {
    pub(super) key: Option<SnapshotKey>,
    pub(super) line: Option<Arc<Line>>,
    /// The newest snapshot that it took all of, and when.
    pub(super) settled: Option<(ContentHash, Timestamp)>,
    /// Whether it refuses something.
    pub(super) refusing: bool,
    /// Whether it is kept from a publication that others refuse.
    pub(super) spared: bool,
}

impl Seat {
    /// Whether it took all of what `node`, whose it is, is to be served now. A
    /// stream that nothing is served to lacks nothing.
    pub(super) fn is_in_step(&self, node: &NodeIdentity) -> bool {
        let due = self.due(node);
        !self.refusing && (due.is_none() || due == self.settled.map(|(version, _)| version))
    }

    /// Takes back that it took what is served now: it refuses a part of it.
    pub(super) fn unsettle(&mut self, node: &NodeIdentity) {
        let due = self.due(node);
        self.settled = self.settled.filter(|(version, _)| Some(*version) != due);
    }

    fn due(&self, node: &NodeIdentity) -> Option<ContentHash> {
        Some(self.line.as_ref()?.due(node)?.snapshot.version)
    }

    /// The newest release that it took all of.
    pub(super) fn release(&self) -> Option<Release> {
        let (version, _) = self.settled?;
        self.line.as_ref()?.release(version)
    }
}

impl Standing {
    /// A stream that has just said who it is.
    pub(super) fn new(
        identity: NodeIdentity,
        credential: Option<Arc<str>>,
        session: SharedSession,
        since: Timestamp,
    ) -> Self {
        Self { identity, credential, since, seat: Mutex::default(), session }
    }

    /// Who is at the other end.
    pub(super) fn identity(&self) -> &NodeIdentity {
        &self.identity
    }

    /// By which credential it came, by name.
    pub(super) fn credential(&self) -> Option<&str> {
        self.credential.as_deref()
    }

    /// Since when it is open.
    pub(super) fn since(&self) -> Timestamp {
        self.since
    }

    /// What it is served from, and what of it it took.
    pub(super) fn seat(&self) -> MutexGuard<'_, Seat> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what it is served from now.
    pub(super) fn assign(&self, key: Option<SnapshotKey>, line: Option<Arc<Line>>) {
        let mut seat = self.seat();
        let refusing = seat.refusing;
        *seat = Seat { key, line, settled: None, refusing, spared: false };
    }

    /// How it stands.
    pub(super) fn session(&self) -> MutexGuard<'_, Session> {
        lock(&self.session)
    }
}
