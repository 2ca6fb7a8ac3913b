//! One client that polls for one thing, again and again, as a stream would
//! look to others: a session of its own keeps what it was sent and what it
//! said, so that the fleet shows it like any other.
//!
//! What is answered comes from the snapshot, not from that session: an answer
//! may get lost without anybody knowing, and the next poll must be given it
//! again in full.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::{Part, Poll};
use crate::model::SnapshotKey;
use crate::snapshot::Snapshot;
use crate::telemetry::clock;
use crate::xds::Hub;
use crate::xds::guard::Caller;
use crate::xds::line::Latest;
use crate::xds::session::{Answer, Ask, Outgoing, Protocol, Request, Session};
use crate::xds::standing::{SharedSession, Standing, lock};

/// How often a client is thought to come until it has come twice.
const UNKNOWN: Duration = Duration::from_secs(30);
/// Longer intervals are not waited for in full.
const LONGEST: Duration = Duration::from_secs(600);
/// How many intervals a client may miss.
const MISSED: u32 = 3;
/// Added to them: a client that polls ten times a second may pause for breath.
const BREATH: Duration = Duration::from_secs(10);

/// A client that polls.
#[derive(Debug)]
pub(super) struct Visit {
    standing: Arc<Standing>,
    session: SharedSession,
    key: Option<SnapshotKey>,
    latest: Option<Latest>,
    since: Instant,
    last: Instant,
    every: Duration,
    told: Option<Told>,
}

/// What it was answered last.
#[derive(Debug)]
struct Told {
    version: Arc<str>,
    snapshot: Arc<Snapshot>,
    /// The session's name for it, until the client has said what it thinks.
    open: Option<String>,
}

impl Visit {
    /// A client that comes for the first time.
    pub(super) fn new(poll: &Poll, caller: &Caller, hub: &Hub) -> Self {
        let session = Arc::new(Mutex::new(Session::new(Protocol::Sotw)));
        let standing = hub.joined(
            poll.identity.clone(),
            caller.name().cloned(),
            (None, None),
            session.clone(),
        );
        let now = Instant::now();
        let (key, latest, told) = (None, None, None);
        Self { standing, session, key, latest, since: now, last: now, every: UNKNOWN, told }
    }

    /// How it is seen.
    pub(super) fn standing(&self) -> &Arc<Standing> {
        &self.standing
    }

    /// Whether it stayed away for so long that it counts as gone: several times
    /// as long as before, for it has no connection to lose.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) > self.every * MISSED + BREATH
    }

    /// Takes in a poll that is served from `key`; gives what there is for it.
    pub(super) fn poll(
        &mut self,
        poll: &Poll,
        caller: &Caller,
        key: Option<SnapshotKey>,
        hub: &Hub,
    ) -> Option<Part> {
        self.came(Instant::now());
        self.follow(key, hub);
        let said = self.said(poll);
        let mut news = said.is_some();
        hub.answered(&self.standing, self.latest.as_mut(), &poll.type_url, said);
        let snapshot = caller.view(&self.latest.as_mut()?.take(&poll.identity)?);
        let part = Part::of(&snapshot, poll);
        if self.told.as_ref().is_none_or(|told| !Arc::ptr_eq(&told.snapshot, &snapshot)) {
            news = true;
            self.tell(poll, snapshot, &part.version);
            // It may have that already, from before we started.
            if let Some(said) = self.said(poll) {
                hub.answered(&self.standing, self.latest.as_mut(), &poll.type_url, Some(said));
            }
        }
        if news {
            hub.look(&self.standing, self.latest.as_mut());
        }
        Some(part)
    }

    fn came(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.last);
        if !since.is_zero() {
            self.every = since.min(LONGEST);
        }
        self.last = now;
    }

    fn follow(&mut self, key: Option<SnapshotKey>, hub: &Hub) {
        if key == self.key {
            return;
        }
        self.latest = key.as_ref().map(|key| hub.follow(key));
        hub.assigned(&self.standing, (key.as_ref(), self.latest.as_ref()));
        self.key = key;
    }

    /// What the client says of its last answer; `None` where it says nothing,
    /// or no more than before. Only an error refuses: a client may ask with an
    /// old version because it never had the answer.
    fn said(&mut self, poll: &Poll) -> Option<Answer> {
        let told = self.told.as_mut()?;
        let refuses = poll.nonce.is_empty() || *poll.nonce == *told.version;
        let error = poll.error.clone().filter(|_| refuses);
        if error.is_none() && *poll.version != *told.version {
            return None;
        }
        let nonce = told.open.take()?;
        let request = request(poll, nonce, error);
        let (answer, _) = lock(&self.session).on_request(request, self.since.elapsed()).ok()?;
        answer
    }

    /// Takes in that the client is answered from `snapshot`.
    fn tell(&mut self, poll: &Poll, snapshot: Arc<Snapshot>, version: &Arc<str>) {
        let now = self.since.elapsed();
        let mut session = lock(&self.session);
        // Whatever was not answered so far won't be: there is something newer.
        let mut out = session.on_timeout(Duration::MAX);
        out.extend(session.on_snapshot(Some(snapshot.clone()), now));
        if self.told.is_none() {
            let first = request(poll, String::new(), None);
            out.extend(session.on_request(first, now).map(|(_, out)| out).unwrap_or_default());
        }
        drop(session);
        let same = self.told.take().filter(|told| told.version == *version);
        let open = out.pop().map(|outgoing: Outgoing| outgoing.nonce);
        let open = open.or(same.and_then(|told| told.open));
        self.told = Some(Told { version: version.clone(), snapshot, open });
    }
}

fn request(poll: &Poll, nonce: String, error: Option<String>) -> Request {
    let names = poll.names.iter().map(ToString::to_string).collect();
    Request {
        type_url: poll.type_url.clone(),
        nonce,
        error,
        ask: Ask::Sotw { names, version: poll.version.clone() },
        at: clock::now(),
    }
}
