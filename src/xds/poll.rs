//! Requests that open no stream: REST, and the `Fetch` methods of gRPC. Each
//! is answered from the latest snapshot with all that it names, and noted, so
//! that a client which comes again is seen as connected.
//!
//! Knows no HTTP and no JSON (`rest` does). There is no order between types
//! here: each is asked for on its own, whenever the client likes. The version
//! is a hash of what the client sees and the nonce is the version, so that
//! nothing needs to be remembered to tell an answer by: a client that comes to
//! another replica, or after a restart, is told "unchanged" as before.

mod visits;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3::DiscoveryRequest;
use tokio::time::Instant;

use self::visits::{Visits, Whose};
use super::identity::identity;
use super::method::Method;
use super::session::{MAX_NAMES, Outgoing, Protocol};
use super::words::words;
use super::{Hub, Refusal};
use crate::model::{ContentHash, NodeIdentity, ResourceName, SnapshotKey, TypeUrl};
use crate::snapshot::{Served, TypeSnapshot, version_of};
use crate::telemetry::clock;

/// How often those who stay away are looked for.
const SWEEP: Duration = Duration::from_secs(5);

/// Answers polls.
#[derive(Debug)]
pub(super) struct Polls {
    hub: Hub,
    visits: Mutex<Visits>,
}

/// One poll, read.
#[derive(Debug, Clone)]
pub(super) struct Poll {
    pub(super) identity: NodeIdentity,
    pub(super) type_url: TypeUrl,
    /// Empty where all are asked for.
    pub(super) names: BTreeSet<ResourceName>,
    /// What the client has; empty where it has nothing.
    pub(super) version: String,
    /// Which answer it speaks of; ours are versions.
    pub(super) nonce: String,
    /// Why it refuses that answer.
    pub(super) error: Option<String>,
}

/// The answer to a poll.
#[derive(Debug)]
pub(super) enum Reply {
    /// The client has it, or refused it and would again.
    Unchanged,
    /// All that it asked for.
    Full(Outgoing),
}

impl Poll {
    /// Reads a request to `method`.
    pub(super) fn read(method: &Method, request: DiscoveryRequest) -> Result<Self, Refusal> {
        let identity = request.node.and_then(identity).ok_or(Refusal::NoNode)?;
        let type_url = method.resolve(request.type_url)?;
        // A locator without parameters is a name.
        let located = request.resource_locators.into_iter().map(|one| one.name);
        let names = request.resource_names.into_iter().chain(located);
        let names: BTreeSet<_> = names.map(|name| ResourceName(name.into())).collect();
        if names.len() > MAX_NAMES {
            return Err(Refusal::TooManyNames);
        }
        let all = names.iter().any(|name| &*name.0 == "*");
        Ok(Self {
            identity,
            type_url,
            names: if all { BTreeSet::new() } else { names },
            version: request.version_info,
            nonce: request.response_nonce,
            error: request.error_detail.map(|status| words(&status.message)),
        })
    }

    /// Whether `version` would tell the client nothing new.
    fn knows(&self, version: &str) -> bool {
        self.version == version || (self.error.is_some() && self.nonce == version)
    }

    fn whose(&self) -> Whose {
        let names = ContentHash::of_parts(self.names.iter().map(|name| name.0.as_bytes()));
        Whose { node: self.identity.id.clone(), type_url: self.type_url.clone(), names }
    }
}

impl Polls {
    pub(super) fn new(hub: Hub) -> Self {
        Self { hub, visits: Mutex::default() }
    }

    /// Answers `poll`.
    pub(super) fn answer(&self, poll: &Poll) -> Result<Reply, Refusal> {
        let part = self.part(poll)?;
        if poll.knows(&part.version) {
            return Ok(Reply::Unchanged);
        }
        Ok(Reply::Full(self.push(part, poll)))
    }

    /// Answers `poll` with everything, even if the client has it already.
    pub(super) fn answer_always(&self, poll: &Poll) -> Result<Outgoing, Refusal> {
        Ok(self.push(self.part(poll)?, poll))
    }

    fn push(&self, part: Part, poll: &Poll) -> Outgoing {
        let outgoing = part.into_outgoing(&poll.type_url);
        self.hub.pushed(&outgoing);
        outgoing
    }

    /// What there is for `poll`, whose visit is noted.
    fn part(&self, poll: &Poll) -> Result<Part, Refusal> {
        let key = self.hub.assign(&poll.identity);
        let snapshot = key.as_ref().and_then(|key| self.hub.snapshot(key));
        let nothing = || Arc::new(TypeSnapshot::new([].into()));
        let part = snapshot.map(|snapshot| {
            let current = snapshot.types.get(&poll.type_url).cloned();
            Part::of(current.unwrap_or_else(nothing), &poll.names)
        });
        self.note(poll, key.as_ref(), part.as_ref().map(|part| &part.version));
        part.ok_or(Refusal::NothingServed)
    }

    /// Notes that a client came, and what it says of an earlier answer.
    fn note(&self, poll: &Poll, key: Option<&SnapshotKey>, current: Option<&Arc<str>>) {
        let node = &poll.identity.id;
        let noted = {
            let mut visits = self.visits();
            let join = || self.hub.joined(&poll.identity, key);
            visits.note(poll, key, current, join, Instant::now(), clock::now())
        };
        let Some(noted) = noted else {
            tracing::warn!(node.id = %node, "too many clients poll; this one is answered, not shown");
            return self.hub.answered(node, key, &poll.type_url, None);
        };
        if noted.moved {
            self.hub.assigned(node, key);
        }
        self.hub.answered(node, key, &poll.type_url, noted.answer);
        self.hub.stands(noted.stream, node, vec![noted.status]);
    }

    /// Signs off whoever stays away, for as long as it is polled.
    pub(super) async fn sweep(&self) {
        loop {
            tokio::time::sleep(SWEEP).await;
            let gone = self.visits().gone(Instant::now());
            gone.iter().for_each(|(stream, node)| self.hub.left(*stream, node));
        }
    }

    fn visits(&self) -> MutexGuard<'_, Visits> {
        // The table holds plain data that is whole after every statement.
        self.visits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Polls {
    fn drop(&mut self) {
        let all = self.visits().all();
        all.iter().for_each(|(stream, node)| self.hub.left(*stream, node));
    }
}

/// What a poll is answered from.
struct Part {
    current: Arc<TypeSnapshot>,
    /// The named ones that exist; `None` where all are asked for.
    named: Option<Vec<Arc<Served>>>,
    version: Arc<str>,
}

impl Part {
    fn of(current: Arc<TypeSnapshot>, names: &BTreeSet<ResourceName>) -> Self {
        if names.is_empty() {
            return Self { version: current.version.clone(), current, named: None };
        }
        let named: Vec<_> =
            names.iter().filter_map(|name| current.resources.get(name)).cloned().collect();
        Self { version: version_of(&named), current, named: Some(named) }
    }

    fn into_outgoing(self, type_url: &TypeUrl) -> Outgoing {
        let all = || self.current.resources.values().cloned().collect();
        Outgoing {
            protocol: Protocol::Sotw,
            type_url: type_url.clone(),
            nonce: self.version.to_string(),
            version: self.version,
            resources: self.named.unwrap_or_else(all),
            removed: Vec::new(),
            introduces: true,
        }
    }
}

#[cfg(test)]
mod tests;
