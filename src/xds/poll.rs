//! Requests that open no stream: REST, and the `Fetch` methods of gRPC. Each
//! is answered from the latest snapshot with all that it names, and noted, so
//! that a client which comes again is seen as connected.
//!
//! Knows no HTTP and no JSON (`rest` does). There is no order between types
//! here: each is asked for on its own, whenever the client likes. The version
//! is a hash of what the client sees and the nonce is the version, so that
//! nothing needs to be remembered to tell an answer by: a client that comes to
//! another replica, or after a restart, is told "unchanged" as before.

mod visit;
mod visits;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::ControlPlane;
use envoy_types::pb::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};
use envoy_types::pb::google::protobuf::Any;
use tokio::time::Instant;

use self::visits::{Visits, Whose};
use super::codec::IDENTIFIER;
use super::guard::Caller;
use super::identity::identity;
use super::method::Method;
use super::session::MAX_NAMES;
use super::words::words;
use super::{Hub, Refusal};
use crate::model::{ContentHash, NodeIdentity, ResourceName, TypeUrl};
use crate::snapshot::{Served, Snapshot, TypeSnapshot, version_of};

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
    Full(Part),
}

/// What a poll is answered from: its part of a snapshot.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) type_url: TypeUrl,
    pub(super) version: Arc<str>,
    current: Arc<TypeSnapshot>,
    /// The named ones that exist; `None` where all are asked for.
    named: Option<Vec<Arc<Served>>>,
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

    fn whose(&self, caller: &Caller) -> Whose {
        Whose {
            node: self.identity.id.clone(),
            credential: caller.name().cloned(),
            type_url: self.type_url.clone(),
            names: ContentHash::of_parts(self.names.iter().map(|name| name.0.as_bytes())),
        }
    }
}

impl Polls {
    pub(super) fn new(hub: Hub) -> Self {
        Self { hub, visits: Mutex::default() }
    }

    /// Answers `poll` with what `caller`, who was let in for it, may see.
    pub(super) fn answer(&self, poll: &Poll, caller: &Caller) -> Result<Reply, Refusal> {
        let part = self.part(poll, caller)?;
        if poll.knows(&part.version) {
            return Ok(Reply::Unchanged);
        }
        self.hub.polled(part.resources().count());
        Ok(Reply::Full(part))
    }

    /// Answers `poll` with everything, even if the client has it already.
    pub(super) fn answer_always(
        &self,
        poll: &Poll,
        caller: &Caller,
    ) -> Result<DiscoveryResponse, Refusal> {
        let part = self.part(poll, caller)?;
        self.hub.polled(part.resources().count());
        Ok(part.to_response())
    }

    /// What there is for `poll`, whose visit is noted.
    fn part(&self, poll: &Poll, caller: &Caller) -> Result<Part, Refusal> {
        let key = self.hub.assign(&poll.identity);
        caller.check(&poll.identity, key.as_ref()).inspect_err(|_| self.hub.refused())?;
        let visit = self.visits().at(poll, caller, &self.hub);
        let part = match visit {
            Some(visit) => {
                let mut visit = visit.lock().unwrap_or_else(PoisonError::into_inner);
                visit.poll(poll, caller, key, &self.hub)
            }
            None => {
                let node = &poll.identity.id;
                tracing::warn!(node.id = %node, "too many clients poll; one is answered, not shown");
                key.and_then(|key| self.hub.due(&key, &poll.identity))
                    .map(|snapshot| Part::of(&caller.view(&snapshot), poll))
            }
        };
        part.ok_or(Refusal::NothingServed)
    }

    /// Signs off whoever stays away, for as long as it is polled.
    pub(super) async fn sweep(&self) {
        loop {
            tokio::time::sleep(SWEEP).await;
            let gone = self.visits().gone(Instant::now());
            gone.iter().for_each(|standing| self.hub.left(standing));
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
        all.iter().for_each(|standing| self.hub.left(standing));
    }
}

impl Part {
    fn of(snapshot: &Snapshot, poll: &Poll) -> Self {
        let current = snapshot.types.get(&poll.type_url).cloned();
        let current = current.unwrap_or_default();
        let type_url = poll.type_url.clone();
        if poll.names.is_empty() {
            return Self { type_url, version: current.version.clone(), current, named: None };
        }
        let named: Vec<_> =
            poll.names.iter().filter_map(|name| current.resources.get(name)).cloned().collect();
        Self { type_url, version: version_of(&named), current, named: Some(named) }
    }

    /// All of a type.
    #[cfg(test)]
    pub(super) fn whole(snapshot: &Snapshot, type_url: TypeUrl) -> Self {
        let current = snapshot.types[&type_url].clone();
        Self { type_url, version: current.version.clone(), current, named: None }
    }

    /// What it holds, sorted by name.
    pub(super) fn resources(&self) -> impl Iterator<Item = &Arc<Served>> {
        let all = self.named.is_none().then(|| self.current.resources.values());
        self.named.iter().flatten().chain(all.into_iter().flatten())
    }

    fn to_response(&self) -> DiscoveryResponse {
        let any = |one: &Arc<Served>| Any {
            type_url: self.type_url.to_string(),
            value: one.body().into(),
        };
        DiscoveryResponse {
            version_info: self.version.to_string(),
            resources: self.resources().map(any).collect(),
            type_url: self.type_url.to_string(),
            nonce: self.version.to_string(),
            control_plane: Some(ControlPlane {
                identifier: String::from_utf8_lossy(IDENTIFIER).into_owned(),
            }),
            ..DiscoveryResponse::default()
        }
    }
}

#[cfg(test)]
mod tests;
