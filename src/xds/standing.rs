//! One open stream as others may look at it.
//!
//! The session lies behind a lock of its own, which on the way of a message
//! only the stream itself takes. Whoever wants to know how the stream stands
//! asks the session then, so nothing is written down for nobody.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::session::Session;
use crate::model::{NodeIdentity, SnapshotKey};

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
    /// What it is served from.
    key: Mutex<Option<SnapshotKey>>,
    session: SharedSession,
}

impl Standing {
    /// A stream that has just said who it is.
    pub(super) fn new(
        identity: NodeIdentity,
        credential: Option<Arc<str>>,
        key: Option<SnapshotKey>,
        session: SharedSession,
        since: Timestamp,
    ) -> Self {
        Self { identity, credential, since, key: Mutex::new(key), session }
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

    /// What it is served from.
    pub(super) fn key(&self) -> Option<SnapshotKey> {
        self.key.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what it is served from now.
    pub(super) fn assign(&self, key: Option<SnapshotKey>) {
        *self.key.lock().unwrap_or_else(PoisonError::into_inner) = key;
    }

    /// How it stands.
    pub(super) fn session(&self) -> MutexGuard<'_, Session> {
        lock(&self.session)
    }
}
