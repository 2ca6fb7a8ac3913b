//! One xDS stream as a pure state machine: messages and snapshots in, messages
//! out. No task, no clock (`now` is the age of the stream), no IO.
//!
//! Obeys the [xDS protocol](https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol)
//! in both variants, for any type. `stream` feeds it. What one type needs is
//! `session/channel.rs`; this file gives the types their turns:
//!
//! 1. *make*: suppliers (clusters, endpoints, secrets …) are sent first; users
//!    (listeners, routes …) follow once the client took the suppliers. Envoy
//!    answers a cluster update when its clusters are warm.
//! 2. *break*: what suppliers lose is removed last, once the client took the
//!    users that no longer name it. A client that refused those keeps the old
//!    ones at work, so what they name stays too.
//!
//! Waiting for one another ends after [`HOLD`], whatever the client does.
//!
//! Beside that, what a type is made of: `subscription` (names and wildcards),
//! `reach` (what names stand for), `holding` (what the client has), `flight`
//! (what was not answered), `heartbeat` and `dress` (times to live).

mod awaited;
mod channel;
mod drain;
mod dress;
mod flight;
mod heartbeat;
mod holding;
mod order;
mod reach;
mod report;
mod subscription;
mod xdstp;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use self::awaited::Awaited;
use self::channel::{Channel, Sending};
use self::drain::Draining;
use self::order::{Role, place, role};
use super::Refusal;
use super::features::Features;
use crate::model::{ResourceKind, ResourceName, TypeUrl};
use crate::snapshot::{Batch, Snapshot, TypeSnapshot};

/// How long types wait for one another's answers.
const HOLD: Duration = Duration::from_secs(5);
/// How long a client that comes back with what it has may take to say which
/// types it asks for. Envoy says so in one go when the stream opens.
const GREETING: Duration = Duration::from_secs(1);
/// How many types one stream may ask for; Envoy knows nine.
const MAX_TYPES: usize = 64;
/// How many names one stream may ask for within a type.
pub(super) const MAX_NAMES: usize = 500_000;

/// Which of the two variants a stream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// State of the world.
    Sotw,
    /// Incremental.
    Delta,
}

/// A client's message, without the envelope.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) type_url: TypeUrl,
    /// Of the response it answers; empty where it answers none.
    pub(super) nonce: String,
    /// Why it refuses that response. Nothing else makes a refusal.
    pub(super) error: Option<String>,
    pub(super) ask: Ask,
    /// When it came.
    pub(super) at: Timestamp,
}

/// What a message asks for.
#[derive(Debug, Clone)]
pub(super) enum Ask {
    /// All names, and the version the client has.
    Sotw { names: Vec<String>, version: String },
    /// Names to add and to drop, and the versions of a reconnecting client.
    Delta { subscribe: Vec<String>, unsubscribe: Vec<String>, initial: Vec<(String, String)> },
}

/// A message to the client. Its resources are shared with every stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outgoing {
    pub(super) protocol: Protocol,
    pub(super) type_url: TypeUrl,
    pub(super) version: Arc<str>,
    pub(super) nonce: String,
    pub(super) resources: Batch,
    /// Delta only.
    pub(super) removed: Vec<ResourceName>,
    /// Asked for by name, and not there: said as errors, to a client of the
    /// state of the world that reads them; see `features`.
    pub(super) missing: Vec<ResourceName>,
    /// Whether it is the first of its type on the stream, which says who we are.
    pub(super) introduces: bool,
}

/// What a client's message said of the response it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Acked {
        version: Arc<str>,
    },
    Nacked {
        version: Arc<str>,
        message: String,
        resources: Vec<ResourceName>,
        /// Whether all that it refuses was sent in newer versions since.
        superseded: bool,
    },
}

/// One stream.
#[derive(Debug)]
pub(super) struct Session {
    protocol: Protocol,
    features: Features,
    snapshot: Option<Arc<Snapshot>>,
    /// In sending order.
    channels: BTreeMap<(Option<ResourceKind>, TypeUrl), Channel>,
    nonces: u64,
    /// Since when something waits for another type's answer.
    held_since: Option<Duration>,
    /// Endpoints of clusters that were sent before endpoints were asked for:
    /// a cluster that warms needs them even if the client has the version.
    awaited: Awaited,
    /// Routes that are on their way out.
    draining: Draining,
    /// Until when a client that came back may still say what it asks for.
    greets_until: Option<Duration>,
    /// What a type without resources is compared with.
    nothing: Arc<TypeSnapshot>,
}

impl Session {
    /// A stream on which nothing was said.
    pub(super) fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            features: Features::default(),
            snapshot: None,
            channels: BTreeMap::new(),
            nonces: 0,
            held_since: None,
            awaited: Awaited::default(),
            draining: Draining::default(),
            greets_until: None,
            nothing: Arc::default(),
        }
    }

    /// Notes what the client can read, before its first message.
    pub(super) fn introduce(&mut self, features: Features) {
        self.features = features;
    }

    /// Takes a client's message.
    pub(super) fn on_request(
        &mut self,
        request: Request,
        now: Duration,
    ) -> Result<(Option<Answer>, Vec<Outgoing>), Refusal> {
        let place = place(&request.type_url);
        if self.channels.len() >= MAX_TYPES && !self.channels.contains_key(&place) {
            return Err(Refusal::TooManyTypes);
        }
        let current = self.snapshot.as_ref().map(|_| self.current(&request.type_url));
        let first = !self.channels.contains_key(&place);
        let legacy = self.legacy_hosts(&place);
        let new = || Channel::new(request.type_url.clone(), self.protocol, self.features);
        let channel = self.channels.entry(place.clone()).or_insert_with(new);
        let answer = channel.on_request(request, current.as_ref(), &legacy);
        if channel.asked().names.len() > MAX_NAMES {
            return Err(Refusal::TooManyNames);
        }
        if place.0 == Some(ResourceKind::Endpoints) {
            let awaited = std::mem::take(&mut self.awaited);
            let asked = channel.subscription.names.iter();
            let owed = match (channel.subscription.wildcard, &current) {
                (true, Some(current)) => awaited.among(current.resources.keys()),
                _ => awaited.among(asked),
            };
            owed.iter().for_each(|name| channel.holding.owe(name));
        }
        if first {
            self.greet(&place, now);
        }
        Ok((answer, self.pump(now)))
    }

    /// Serves `snapshot` from now on, whatever was served before; with `None`
    /// the client keeps what it has.
    pub(super) fn on_snapshot(
        &mut self,
        snapshot: Option<Arc<Snapshot>>,
        now: Duration,
    ) -> Vec<Outgoing> {
        self.snapshot = snapshot;
        self.draining.unsettle();
        self.pump(now)
    }

    /// When [`Session::on_timeout`] wants to be called.
    pub(super) fn next_timeout(&self) -> Option<Duration> {
        let held = self.held_since.map(|since| since + HOLD);
        let others = [held, self.greets_until, self.draining.due()].into_iter().flatten();
        self.channels.values().filter_map(Channel::timeout).chain(others).min()
    }

    /// Stops waiting for what is overdue.
    pub(super) fn on_timeout(&mut self, now: Duration) -> Vec<Outgoing> {
        self.channels.values_mut().for_each(|channel| channel.on_timeout(now));
        self.pump(now)
    }

    /// Takes up where an earlier stream ended: a client may come back in the
    /// middle of a change, with suppliers that its users name, and says first
    /// of the suppliers that it has them.
    fn greet(&mut self, place: &(Option<ResourceKind>, TypeUrl), now: Duration) {
        let current = self.current(&place.1);
        let Some(channel) = self.channels.get(place) else { return };
        if self.greets_until.is_none()
            && role(place.0) == Role::Supplier
            && !channel.lack(&current).gone.is_empty()
        {
            self.greets_until = Some(now + GREETING);
        }
        self.resume_draining(place, now);
    }

    /// Sends what may be sent now.
    fn pump(&mut self, now: Duration) -> Vec<Outgoing> {
        if self.snapshot.is_none() {
            // Nothing waits for what is not served.
            self.held_since = None;
            self.greets_until = None;
            self.draining = Draining::default();
            self.channels.values_mut().for_each(Channel::rest);
            return Vec::new();
        }
        let patient = self.held_since.is_none_or(|since| now < since + HOLD);
        self.greets_until = self.greets_until.filter(|until| now < *until);
        self.look_up();
        self.drain(now);
        let mut out = Vec::new();
        let made = self.make(patient, now, &mut out);
        let broke = self.break_off(patient, now, &mut out);
        self.held_since = match made || broke {
            true => self.held_since.or(Some(now)),
            false => None,
        };
        self.heartbeat(now, &mut out);
        out
    }

    /// Finds what the client's names stand for in the snapshot.
    fn look_up(&mut self) {
        for place in self.places() {
            let (current, legacy) = (self.current(&place.1), self.legacy_hosts(&place));
            if let Some(channel) = self.channels.get_mut(&place) {
                channel.look_up(&current, &legacy);
            }
        }
    }

    /// What the legacy wildcard of virtual hosts means; see `reach`. A name
    /// that ends in `/` is no host's: it stands for a route whose hosts are
    /// loaded on demand.
    fn legacy_hosts(&self, place: &(Option<ResourceKind>, TypeUrl)) -> BTreeSet<ResourceName> {
        let may_be = self.channels.get(place).is_none_or(Channel::is_legacy_hosts);
        if place.0 != Some(ResourceKind::VirtualHosts) || !may_be {
            return BTreeSet::new();
        }
        let listeners = self.current(&ResourceKind::Listeners.type_url());
        let routes = (Some(ResourceKind::Routes), ResourceKind::Routes.type_url());
        let asked = self.channels.get(&routes).map(|channel| &channel.subscription);
        let on_demand = listeners.routes_on_demand();
        let is_asked = |route: &ResourceName| asked.is_none_or(|asked| asked.covers(route));
        let of_interest = |route: &ResourceName| is_asked(route) && !on_demand.contains(route);
        let all = self.current(&place.1);
        let is_meant = |name: &&ResourceName| {
            let route = name.0.rsplit_once('/').map(|(route, _)| ResourceName(route.into()));
            route.is_some_and(|route| of_interest(&route))
        };
        let begun = on_demand.iter().filter(|route| is_asked(route));
        let begun = begun.map(|route| ResourceName(format!("{route}/").into()));
        all.resources.keys().filter(is_meant).cloned().chain(begun).collect()
    }

    /// Tells again of what has a time to live, where that is due.
    fn heartbeat(&mut self, now: Duration, out: &mut Vec<Outgoing>) {
        for place in self.places() {
            let current = self.current(&place.1);
            let Some(channel) = self.channels.get_mut(&place) else { continue };
            let (nonces, waited) = (&mut self.nonces, channel.is_urgent());
            out.append(&mut channel.heartbeat(&current, || next(nonces), now));
            // What can't be told without its content is told with it, unless
            // it has to wait for others anyway.
            if channel.is_urgent() && !waited && !channel.is_busy() {
                self.send(&place, &current, true, now, out);
            }
        }
    }

    /// Sends additions and changes, in order. True where something waits.
    fn make(&mut self, patient: bool, now: Duration, out: &mut Vec<Outgoing>) -> bool {
        let hold_removals = self.users_lag() || self.greets_until.is_some();
        let (mut suppliers_busy, mut suppliers_lack, mut waits) = (false, false, false);
        for place in self.places() {
            let current = self.current(&place.1);
            let Some(channel) = self.channels.get_mut(&place) else { continue };
            let role = role(place.0);
            // What was asked for may overtake answers, because messages are
            // read in order, but not what it may name and was not sent yet.
            let closed = suppliers_lack || (suppliers_busy && !channel.is_urgent());
            let gated = role == Role::User && closed && patient;
            if gated && !channel.is_busy() && !channel.lack(&current).is_none() {
                waits = true;
            } else if !channel.is_busy() {
                // A message of nothing but removals has its turn in reverse order.
                let only_removals = !channel.is_urgent() && channel.lack(&current).is_only_gone();
                let hold = role == Role::Supplier && (hold_removals || only_removals);
                self.send(&place, &current, hold, now, out);
            }
            let supplier = self.channels.get(&place).filter(|_| role == Role::Supplier);
            suppliers_busy |= supplier.is_some_and(Channel::holds_users);
            suppliers_lack |= supplier.is_some_and(|channel| channel.lacks_names(&current));
        }
        waits
    }

    /// Sends the removals that were held back, in reverse order. True where
    /// something waits.
    fn break_off(&mut self, patient: bool, now: Duration, out: &mut Vec<Outgoing>) -> bool {
        let refused = self.users().any(|(_, channel)| channel.holding.has_refusals());
        let lag = self.users_lag();
        let mut waits = false;
        for place in self.places().into_iter().rev() {
            let current = self.current(&place.1);
            let Some(channel) = self.channels.get(&place) else { continue };
            let ready = role(place.0) == Role::Supplier && !channel.is_busy();
            if !ready || self.greets_until.is_some() || channel.lack(&current).gone.is_empty() {
                continue;
            }
            if lag && patient {
                // A refusal is no lag: it may stand for days, without a timer.
                waits |= self.users_move();
            } else if !refused {
                self.send(&place, &current, false, now, out);
            }
        }
        waits
    }

    fn send(
        &mut self,
        place: &(Option<ResourceKind>, TypeUrl),
        current: &Arc<TypeSnapshot>,
        hold_removals: bool,
        now: Duration,
        out: &mut Vec<Outgoing>,
    ) {
        let Some(channel) = self.channels.get_mut(place) else { return };
        let nonces = &mut self.nonces;
        let sending = channel.next(current, hold_removals, || next(nonces), now);
        let Some(Sending { mut parts, news }) = sending else { return };
        out.append(&mut parts);
        if place.0 == Some(ResourceKind::Clusters) {
            self.owe_endpoints(&news);
        }
    }

    /// A cluster that was sent anew warms until its endpoints come, even if
    /// they did not change, and not every client asks for them again.
    fn owe_endpoints(&mut self, clusters: &Batch) {
        let names = clusters.iter().filter_map(|cluster| cluster.endpoints.as_ref());
        let endpoints = (Some(ResourceKind::Endpoints), ResourceKind::Endpoints.type_url());
        match self.channels.get_mut(&endpoints) {
            Some(channel) => names.for_each(|name| {
                if channel.subscription.covers(name) {
                    channel.holding.owe(name);
                }
            }),
            None if self.protocol == Protocol::Delta => self.awaited.add(clusters),
            None => {}
        }
    }

    /// Whether some listener or route still has to reach the client.
    fn users_lag(&self) -> bool {
        self.users_move() || self.users().any(|(_, channel)| channel.holding.has_refusals())
    }

    fn users_move(&self) -> bool {
        self.users().any(|((_, type_url), channel)| {
            channel.is_busy() || !channel.lack(&self.current(type_url)).is_none()
        })
    }

    fn users(&self) -> impl Iterator<Item = (&(Option<ResourceKind>, TypeUrl), &Channel)> {
        self.channels.iter().filter(|((kind, _), _)| role(*kind) == Role::User)
    }

    fn places(&self) -> Vec<(Option<ResourceKind>, TypeUrl)> {
        let (alone, known): (Vec<_>, Vec<_>) =
            self.channels.keys().cloned().partition(|(kind, _)| kind.is_none());
        known.into_iter().chain(alone).collect()
    }

    /// What the snapshot holds of a type.
    fn current(&self, type_url: &TypeUrl) -> Arc<TypeSnapshot> {
        let types = self.snapshot.as_ref().map(|snapshot| &snapshot.types);
        types.and_then(|types| types.get(type_url)).unwrap_or(&self.nothing).clone()
    }
}

/// A nonce that the stream has not seen.
fn next(nonces: &mut u64) -> String {
    *nonces += 1;
    format!("{nonces:x}")
}

#[cfg(test)]
mod tests;
