//! Who polls, and what each said: a table of the last visits.
//!
//! Pure: `now` is an argument. A client that polls has no connection to lose,
//! so it counts as gone when it stays away for several times as long as it
//! did before.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::Poll;
use crate::model::{ContentHash, NodeId, SnapshotKey, TypeUrl};
use crate::xds::session::Answer;
use crate::xds::{Nack, TypeStatus};

/// How many visits are remembered: 1,000 nodes that poll for 60 things each.
const MAX_VISITS: usize = 65_536;
/// How often a client is thought to come until it has come twice.
const UNKNOWN: Duration = Duration::from_secs(30);
/// Longer intervals are not waited for in full.
const LONGEST: Duration = Duration::from_secs(600);
/// How many intervals a client may miss.
const MISSED: u32 = 3;
/// Added to them: a client that polls ten times a second may pause for breath.
const BREATH: Duration = Duration::from_secs(10);

/// Everything that is polled for.
#[derive(Debug, Default)]
pub(super) struct Visits {
    by: HashMap<Whose, Visit>,
}

/// Who polls for what. A node that doesn't aggregate asks for each name apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Whose {
    pub(super) node: NodeId,
    pub(super) type_url: TypeUrl,
    /// The hash of the names.
    pub(super) names: ContentHash,
}

#[derive(Debug)]
struct Visit {
    stream: u64,
    key: Option<SnapshotKey>,
    last: Instant,
    every: Duration,
    status: TypeStatus,
}

/// What came of a visit.
#[derive(Debug)]
pub(super) struct Noted {
    pub(super) stream: u64,
    /// Whether it is served from somewhere else than before.
    pub(super) moved: bool,
    pub(super) answer: Option<Answer>,
    pub(super) status: TypeStatus,
}

impl Visits {
    /// Takes in a visit; `join` numbers a new one. `None` where the table is
    /// full and the client is not in it.
    pub(super) fn note(
        &mut self,
        poll: &Poll,
        key: Option<&SnapshotKey>,
        current: Option<&Arc<str>>,
        join: impl FnOnce() -> u64,
        now: Instant,
        at: Timestamp,
    ) -> Option<Noted> {
        let whose = poll.whose();
        if self.by.len() >= MAX_VISITS && !self.by.contains_key(&whose) {
            return None;
        }
        let visit = self.by.entry(whose).or_insert_with(|| Visit::new(poll, join(), key, now));
        visit.came(now);
        let moved = visit.key.as_ref() != key;
        visit.key = key.cloned();
        let answer = visit.said(poll, current, at);
        if let Some(current) = current.filter(|current| !poll.knows(current)) {
            visit.status.sent = Some(current.clone());
        }
        Some(Noted { stream: visit.stream, moved, answer, status: visit.status.clone() })
    }

    /// Takes out whoever stayed away for too long.
    pub(super) fn gone(&mut self, now: Instant) -> Vec<(u64, NodeId)> {
        let gone = self.by.extract_if(|_, visit| visit.is_over(now));
        gone.map(|(whose, visit)| (visit.stream, whose.node)).collect()
    }

    /// Takes out everybody.
    pub(super) fn all(&mut self) -> Vec<(u64, NodeId)> {
        self.by.drain().map(|(whose, visit)| (visit.stream, whose.node)).collect()
    }
}

impl Visit {
    fn new(poll: &Poll, stream: u64, key: Option<&SnapshotKey>, now: Instant) -> Self {
        let status = TypeStatus {
            type_url: poll.type_url.clone(),
            wildcard: poll.names.is_empty(),
            names: poll.names.len(),
            sent: None,
            acked: None,
            answered_at: None,
            nacked: None,
        };
        Self { stream, key: key.cloned(), last: now, every: UNKNOWN, status }
    }

    fn came(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.last);
        if !since.is_zero() {
            self.every = since.min(LONGEST);
        }
        self.last = now;
    }

    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) > self.every * MISSED + BREATH
    }

    /// What the client says of an answer that it had; `None` where it says no
    /// more than the last time. Only an error refuses: a client may ask with an
    /// old version for reasons of its own.
    fn said(&mut self, poll: &Poll, current: Option<&Arc<str>>, at: Timestamp) -> Option<Answer> {
        match &poll.error {
            Some(message) => self.refused(poll, message, current, at),
            None => self.took(poll, current, at),
        }
    }

    fn refused(
        &mut self,
        poll: &Poll,
        message: &str,
        current: Option<&Arc<str>>,
        at: Timestamp,
    ) -> Option<Answer> {
        let version: Arc<str> = match poll.nonce.as_str() {
            "" => self.status.sent.as_ref().or(current)?.clone(),
            nonce => nonce.into(),
        };
        let same = |known: &Nack| known.version == version && known.message == message;
        if self.status.nacked.as_ref().is_some_and(same) {
            return None;
        }
        self.status.answered_at = Some(at);
        let nack = Nack { version: version.clone(), message: message.to_owned(), at };
        self.status.nacked = Some(nack);
        Some(Answer::Nacked { version, message: message.to_owned() })
    }

    fn took(&mut self, poll: &Poll, current: Option<&Arc<str>>, at: Timestamp) -> Option<Answer> {
        let sent = self.status.sent.iter();
        let version = sent.chain(current).find(|one| ***one == *poll.version)?.clone();
        if current == Some(&version) {
            // In step, whatever was refused on the way.
            self.status.nacked = None;
            self.status.sent = Some(version.clone());
        }
        if self.status.acked.as_ref() == Some(&version) {
            return None;
        }
        self.status.answered_at = Some(at);
        self.status.acked = Some(version.clone());
        Some(Answer::Acked { version })
    }
}
