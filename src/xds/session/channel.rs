//! One type on one stream: what is asked for, what is held, what is under way.
//!
//! At most one response is unanswered at a time; everything that changes
//! meanwhile is seen as one difference when the answer comes. It decides what
//! a message of its type holds, never when other types have their turn: that
//! is `session`'s.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::holding::{Holding, Lack};
use super::subscription::{Change, Subscription};
use super::{Answer, Ask, Outgoing, Protocol, Request};
use crate::model::{ResourceKind, ResourceName, TypeUrl};
use crate::snapshot::{Batch, TypeSnapshot, version_of};
use crate::xds::blame::blamed;
use crate::xds::{Nack, TypeStatus};

/// How long a response may go unanswered before the client is sent newer
/// content all the same. Long enough for a loaded main thread and a cluster
/// that warms (15 s by default), short enough for nobody to call it stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// One type on one stream.
#[derive(Debug)]
pub(super) struct Channel {
    type_url: TypeUrl,
    kind: Option<ResourceKind>,
    protocol: Protocol,
    pub(super) subscription: Subscription,
    pub(super) holding: Holding,
    /// An answer is due even if there is nothing to say.
    due: bool,
    begun: bool,
    introduced: bool,
    last_nonce: String,
    flight: Option<Flight>,
    status: Status,
}

/// A response that was not answered yet.
#[derive(Debug)]
struct Flight {
    resources: Batch,
    version: Arc<str>,
    sent_at: Duration,
    overdue: bool,
}

#[derive(Debug, Default)]
struct Status {
    sent: Option<Arc<str>>,
    acked: Option<Arc<str>>,
    answered_at: Option<Timestamp>,
    nacked: Option<Nack>,
}

/// A message, and which of its resources are news to the client.
pub(super) struct Sending {
    pub(super) outgoing: Outgoing,
    pub(super) news: Batch,
}

impl Channel {
    pub(super) fn new(type_url: TypeUrl, protocol: Protocol) -> Self {
        Self {
            kind: type_url.kind(),
            type_url,
            protocol,
            subscription: Subscription::default(),
            holding: Holding::default(),
            due: false,
            begun: false,
            introduced: false,
            last_nonce: String::new(),
            flight: None,
            status: Status::default(),
        }
    }

    /// Takes a client's message. `current` is what it could be in step with.
    pub(super) fn on_request(
        &mut self,
        request: Request,
        current: Option<&Arc<TypeSnapshot>>,
    ) -> Option<Answer> {
        // The first message may carry a nonce of an earlier stream, which
        // means nothing here.
        let first = !std::mem::replace(&mut self.begun, true);
        let known = first || request.nonce == self.last_nonce;
        let answers = !first && known && !request.nonce.is_empty();
        let answer = if answers { self.answered(&request) } else { None };
        match request.ask {
            // A stale list of names is superseded by the one that will come
            // with the answer to our newest response.
            Ask::Sotw { .. } if !known => {}
            Ask::Sotw { names, version } => self.ask_sotw(names, &version, current, first),
            Ask::Delta { subscribe, unsubscribe, initial } => {
                let change = self.subscription.amend(subscribe, unsubscribe);
                self.changed(&change);
                if first {
                    self.holding.resume(initial, &self.subscription, current);
                }
            }
        }
        answer
    }

    fn ask_sotw(
        &mut self,
        names: Vec<String>,
        version: &str,
        current: Option<&Arc<TypeSnapshot>>,
        first: bool,
    ) {
        let change = self.subscription.replace(names);
        self.changed(&change);
        self.due |= first && self.is_full();
        let current = current.filter(|current| *current.version == *version);
        if let (true, true, Some(current)) = (first, self.subscription.wildcard, current) {
            self.holding.resume_all(current.clone());
            self.due = false;
        }
    }

    fn changed(&mut self, change: &Change) {
        self.due |= change.everything;
        self.holding.subscribed(change, &self.subscription);
    }

    fn answered(&mut self, request: &Request) -> Option<Answer> {
        let flight = self.flight.take()?;
        let version = flight.version;
        self.status.answered_at = Some(request.at);
        let Some(message) = request.error.clone() else {
            self.status.acked = Some(version.clone());
            if !self.holding.has_refusals() {
                self.status.nacked = None;
            }
            return Some(Answer::Acked { version });
        };
        self.holding.refused(&flight.resources, &self.subscription);
        let resources = blamed(&message, &flight.resources);
        self.status.nacked = Some(Nack {
            version: version.clone(),
            message: message.clone(),
            at: request.at,
            resources: resources.clone(),
            release: None,
        });
        Some(Answer::Nacked { version, message, resources })
    }

    /// Whether a response waits for its answer.
    pub(super) fn is_busy(&self) -> bool {
        self.flight.as_ref().is_some_and(|flight| !flight.overdue)
    }

    /// Whether the client waits for something it asked for.
    pub(super) fn is_urgent(&self) -> bool {
        self.due || self.holding.owes()
    }

    /// When the answer is overdue.
    pub(super) fn timeout(&self) -> Option<Duration> {
        let flight = self.flight.as_ref().filter(|flight| !flight.overdue)?;
        Some(flight.sent_at + PATIENCE)
    }

    /// Gives up on an answer that is overdue at `now`.
    pub(super) fn on_timeout(&mut self, now: Duration) {
        if let Some(flight) = &mut self.flight {
            flight.overdue |= now >= flight.sent_at + PATIENCE;
        }
    }

    /// What the client lacks of `current`, as far as its protocol can tell it.
    pub(super) fn lack(&self, current: &Arc<TypeSnapshot>) -> Lack {
        let mut lack = self.holding.lack(&self.subscription, current);
        if self.protocol == Protocol::Sotw && !self.is_full() {
            lack.gone.clear();
            lack.unknown.clear();
        }
        lack
    }

    /// The next message, if one is needed; removals are left out of it, and
    /// kept in mind, while `hold_removals`.
    pub(super) fn next(
        &mut self,
        current: &Arc<TypeSnapshot>,
        hold_removals: bool,
        nonce: impl FnOnce() -> String,
        now: Duration,
    ) -> Option<Sending> {
        let full_lack = self.holding.lack(&self.subscription, current);
        let lack = self.lack(current);
        let removals = !lack.gone.is_empty() && !hold_removals;
        let needed = self.due || removals || !lack.send.is_empty() || !lack.unknown.is_empty();
        let told_gone = !hold_removals || lack.gone.is_empty();
        self.holding.sent(&full_lack, current.clone(), told_gone);
        if !needed {
            self.settle(current);
            return None;
        }
        let version = self.version(current);
        let outgoing = self.compose(&lack, removals, &version, current, nonce());
        self.due = false;
        self.introduced = true;
        self.last_nonce.clone_from(&outgoing.nonce);
        self.status.sent = Some(version.clone());
        let resources = outgoing.resources.clone();
        self.flight = Some(Flight { resources, version, sent_at: now, overdue: false });
        Some(Sending { outgoing, news: lack.send })
    }

    fn compose(
        &self,
        lack: &Lack,
        removals: bool,
        version: &Arc<str>,
        current: &Arc<TypeSnapshot>,
        nonce: String,
    ) -> Outgoing {
        let resources = match self.is_full() {
            true => self.visible(current),
            false => lack.send.clone(),
        };
        let version_info = match (self.protocol, self.subscription.wildcard) {
            (Protocol::Sotw, false) => self.version_of_named(current),
            _ => version.clone(),
        };
        let removed = match self.protocol {
            Protocol::Sotw => Vec::new(),
            Protocol::Delta => {
                let gone = lack.gone.iter().filter(|_| removals);
                gone.chain(&lack.unknown).cloned().collect()
            }
        };
        Outgoing {
            protocol: self.protocol,
            type_url: self.type_url.clone(),
            version: version_info,
            nonce,
            resources,
            removed,
            introduces: !self.introduced,
        }
    }

    /// Whether every response must hold everything that is asked for, so that
    /// absence means removal: always so for listeners and clusters, and for
    /// whatever is asked for as a whole.
    fn is_full(&self) -> bool {
        let full_kind = matches!(self.kind, Some(ResourceKind::Clusters | ResourceKind::Listeners));
        self.protocol == Protocol::Sotw && (full_kind || self.subscription.wildcard)
    }

    /// What the client is to see: its part of the snapshot, and what it holds
    /// on to until nothing names it any more. Shared wherever it is everything.
    fn visible(&self, current: &Arc<TypeSnapshot>) -> Batch {
        let state = self.state(current);
        if self.subscription.wildcard {
            return state.all();
        }
        let named = self.subscription.names.iter();
        let found: Vec<_> = named.filter_map(|name| state.resources.get(name)).collect();
        match found.len() == state.resources.len() {
            true => state.all(),
            false => found.into_iter().cloned().collect(),
        }
    }

    /// The version of what is asked for by name, which other names don't move.
    fn version_of_named(&self, current: &Arc<TypeSnapshot>) -> Arc<str> {
        let (visible, state) = (self.visible(current), self.state(current));
        match visible.len() == state.resources.len() {
            true => state.version.clone(),
            false => version_of(&visible),
        }
    }

    /// The type as the client is to have it: the snapshot's own state, unless
    /// removals are held back, which makes another state.
    fn state(&self, current: &Arc<TypeSnapshot>) -> Arc<TypeSnapshot> {
        match self.holding.kept().is_empty() {
            true => current.clone(),
            false => current.with(self.holding.kept()),
        }
    }

    /// The version of the type as sent.
    fn version(&self, current: &Arc<TypeSnapshot>) -> Arc<str> {
        self.state(current).version.clone()
    }

    /// Notes that the client is in step with a version of the type that gave
    /// it no reason for a message.
    fn settle(&mut self, current: &TypeSnapshot) {
        let idle = self.flight.is_none() && self.holding.kept().is_empty();
        let asks = self.subscription.wildcard || !self.subscription.names.is_empty();
        if idle && asks && !self.holding.has_refusals() {
            self.status.sent = Some(current.version.clone());
            self.status.acked = Some(current.version.clone());
        }
    }

    /// Whether the client took everything it asks for, up to `version`.
    pub(super) fn is_in_step(&self, version: &Arc<str>) -> bool {
        let asks = self.subscription.wildcard || !self.subscription.names.is_empty();
        let took = self.flight.is_none() && self.status.acked.as_ref() == Some(version);
        !asks || (took && self.status.nacked.is_none())
    }

    /// Whether the client refuses something.
    pub(super) fn is_refusing(&self) -> bool {
        self.status.nacked.is_some()
    }

    /// Whether `name` is in a response that was not answered yet.
    pub(super) fn is_under_way(&self, name: &ResourceName) -> bool {
        self.flight.as_ref().is_some_and(|f| f.resources.iter().any(|one| one.name == *name))
    }

    /// The channel as people see it.
    pub(super) fn status(&self) -> TypeStatus {
        TypeStatus {
            type_url: self.type_url.clone(),
            wildcard: self.subscription.wildcard,
            names: self.subscription.names.len(),
            sent: self.status.sent.clone(),
            acked: self.status.acked.clone(),
            release: None,
            behind_since: None,
            answered_at: self.status.answered_at,
            nacked: self.status.nacked.clone(),
        }
    }
}
