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
//! Additions wait for one another no longer than [`HOLD`], whatever the client
//! does; removals until an answer is overdue, as `channel` has it.
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
use self::channel::{Channel, Removals, Sending};
use self::drain::Draining;
use self::order::{Role, Turn};
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
    offer: Offer,
    /// What was served before that: what a client may come back with.
    earlier: Option<Arc<Snapshot>>,
    /// In sending order.
    channels: BTreeMap<Turn, Channel>,
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
}

/// What the stream is served. Cheap to clone: types have their turns over one.
#[derive(Debug, Clone, Default)]
struct Offer {
    snapshot: Option<Arc<Snapshot>>,
    /// What a type without resources is compared with.
    nothing: Arc<TypeSnapshot>,
}

impl Offer {
    /// What there is of a type.
    fn of(&self, type_url: &TypeUrl) -> &Arc<TypeSnapshot> {
        let types = self.snapshot.as_ref().map(|snapshot| &snapshot.types);
        types.and_then(|types| types.get(type_url)).unwrap_or(&self.nothing)
    }
}

impl Session {
    /// A stream on which nothing was said.
    pub(super) fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            features: Features::default(),
            offer: Offer::default(),
            earlier: None,
            channels: BTreeMap::new(),
            nonces: 0,
            held_since: None,
            awaited: Awaited::default(),
            draining: Draining::default(),
            greets_until: None,
        }
    }

    /// Notes what the client can read, before its first message.
    pub(super) fn introduce(&mut self, features: Features) {
        self.features = features;
    }

    /// Notes what was served before what is served now. A client that comes
    /// back with a state of the world says its version, not what it is.
    pub(super) fn recall(&mut self, earlier: Option<Arc<Snapshot>>) {
        self.earlier = earlier;
    }

    /// Takes a client's message.
    pub(super) fn on_request(
        &mut self,
        request: Request,
        now: Duration,
    ) -> Result<(Option<Answer>, Vec<Outgoing>), Refusal> {
        let turn = Turn::at(&request.type_url);
        if self.channels.len() >= MAX_TYPES && !self.channels.contains_key(&turn) {
            return Err(Refusal::TooManyTypes);
        }
        let offer = self.offer.clone();
        let current = offer.snapshot.as_ref().map(|_| offer.of(&request.type_url));
        let first = !self.channels.contains_key(&turn);
        let legacy = self.legacy_hosts(&turn);
        let new = || Channel::new(request.type_url.clone(), self.protocol, self.features);
        let channel = self.channels.entry(turn.clone()).or_insert_with(new);
        let earlier = self.earlier.as_ref().and_then(|one| one.types.get(&request.type_url));
        let answer = channel.on_request(request, (current, earlier), &legacy);
        if channel.asked().names.len() > MAX_NAMES {
            return Err(Refusal::TooManyNames);
        }
        if turn == Turn::Of(ResourceKind::Endpoints) {
            let awaited = std::mem::take(&mut self.awaited);
            let asked = channel.subscription.names.iter();
            let owed = match (channel.subscription.wildcard, current) {
                (true, Some(current)) => awaited.among(current.resources.keys()),
                _ => awaited.among(asked),
            };
            owed.iter().for_each(|name| channel.holding.owe(name));
        }
        match first {
            true => self.greet(&turn, now),
            false => self.heard_of(&turn),
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
        self.offer.snapshot = snapshot;
        if !self.channels.is_empty() {
            self.earlier = None;
        }
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
    fn greet(&mut self, turn: &Turn, now: Duration) {
        let Some(channel) = self.channels.get(turn) else { return };
        if self.greets_until.is_none()
            && turn.role() == Role::Supplier
            && !channel.lack(self.offer.of(&channel.type_url)).gone.is_empty()
        {
            self.greets_until = Some(now + GREETING);
        }
        self.draining.unsettle();
    }

    /// Sends what may be sent now.
    fn pump(&mut self, now: Duration) -> Vec<Outgoing> {
        if self.offer.snapshot.is_none() {
            // Nothing waits for what is not served.
            self.held_since = None;
            self.greets_until = None;
            self.draining = Draining::default();
            self.channels.values_mut().for_each(Channel::rest);
            return Vec::new();
        }
        let patient = self.held_since.is_none_or(|since| now < since + HOLD);
        self.greets_until = self.greets_until.filter(|until| now < *until);
        if self.rests() {
            return Vec::new();
        }
        let offer = self.offer.clone();
        self.look_up(&offer);
        self.drain(now);
        let mut out = Vec::new();
        let made = self.make(&offer, patient, now, &mut out);
        self.break_off(&offer, now, &mut out);
        self.held_since = match made {
            true => self.held_since.or(Some(now)),
            false => None,
        };
        self.heartbeat(&offer, now, &mut out);
        out
    }

    /// Whether every type is in step and waits for nothing, as nearly always
    /// after an answer.
    fn rests(&self) -> bool {
        let rests = |channel: &Channel| channel.rests(self.offer.of(&channel.type_url));
        self.held_since.is_none()
            && self.greets_until.is_none()
            && self.draining.rests()
            && self.channels.values().all(rests)
    }

    /// Finds what the client's names stand for in the snapshot.
    fn look_up(&mut self, offer: &Offer) {
        let (hosts, none) = (Turn::Of(ResourceKind::VirtualHosts), BTreeSet::new());
        let others = self.channels.iter_mut().filter(|(turn, _)| **turn != hosts);
        others.for_each(|(_, channel)| channel.look_up(offer.of(&channel.type_url), &none));
        // Which hosts are meant depends on what the names of routes stand for.
        let legacy = self.legacy_hosts(&hosts);
        if let Some(channel) = self.channels.get_mut(&hosts) {
            channel.look_up(offer.of(&channel.type_url), &legacy);
        }
    }

    /// What the legacy wildcard of virtual hosts means; see `reach`. A name
    /// that ends in `/` is no host's: it stands for a route whose hosts are
    /// loaded on demand.
    fn legacy_hosts(&self, turn: &Turn) -> BTreeSet<ResourceName> {
        let hosts = ResourceKind::VirtualHosts;
        let may_be = || self.channels.get(turn).is_none_or(Channel::is_legacy_hosts);
        if *turn != Turn::Of(hosts) || !may_be() {
            return BTreeSet::new();
        }
        let listeners = self.offer.of(&ResourceKind::Listeners.type_url());
        let routes = self.channels.get(&Turn::Of(ResourceKind::Routes));
        let asked = routes.map(|channel| &channel.subscription);
        let on_demand = listeners.routes_on_demand();
        let is_asked = |route: &ResourceName| asked.is_none_or(|asked| asked.covers(route));
        let of_interest = |route: &ResourceName| is_asked(route) && !on_demand.contains(route);
        let all = self.offer.of(&hosts.type_url());
        let is_meant = |name: &&ResourceName| {
            let route = name.0.rsplit_once('/').map(|(route, _)| ResourceName(route.into()));
            route.is_some_and(|route| of_interest(&route))
        };
        let begun = on_demand.iter().filter(|route| is_asked(route));
        let begun = begun.map(|route| ResourceName(format!("{route}/").into()));
        all.resources.keys().filter(is_meant).cloned().chain(begun).collect()
    }

    /// Tells again of what has a time to live, where that is due.
    fn heartbeat(&mut self, offer: &Offer, now: Duration, out: &mut Vec<Outgoing>) {
        let mut urgent = Vec::new();
        for (turn, channel) in &mut self.channels {
            let (nonces, waited) = (&mut self.nonces, channel.is_urgent());
            let current = offer.of(&channel.type_url);
            out.append(&mut channel.heartbeat(current, || next(nonces), now));
            // What can't be told without its content is told with it, unless
            // it has to wait for others anyway.
            if channel.is_urgent() && !waited && !channel.is_busy() {
                urgent.push(turn.clone());
            }
        }
        urgent.iter().for_each(|turn| self.send(turn, offer, Removals::Held, now, out));
    }

    /// Sends additions and changes, in order. True where something waits.
    fn make(
        &mut self,
        offer: &Offer,
        patient: bool,
        now: Duration,
        out: &mut Vec<Outgoing>,
    ) -> bool {
        let hold_removals = self.users_lag() || self.greets_until.is_some();
        let (mut suppliers_busy, mut suppliers_lack, mut waits) = (false, false, false);
        for turn in self.turns() {
            let Some(channel) = self.channels.get(&turn) else { continue };
            let (role, current) = (turn.role(), offer.of(&channel.type_url));
            // What was asked for may overtake answers, because messages are
            // read in order, but not what it may name and was not sent yet, nor
            // together with changes of what is at work.
            let closed = suppliers_lack || (suppliers_busy && !channel.may_overtake(current));
            let gated = role == Role::User && closed && patient;
            let is_busy = channel.is_busy();
            if gated && !is_busy && !channel.lack(current).is_none() {
                waits = true;
            } else if !is_busy {
                let removals = match role {
                    Role::Supplier if hold_removals => Removals::Held,
                    // A message of nothing but removals has its turn in
                    // reverse order.
                    Role::Supplier if !channel.is_urgent() => Removals::Along,
                    _ => Removals::Told,
                };
                self.send(&turn, offer, removals, now, out);
            }
            let supplier = self.channels.get(&turn).filter(|_| role == Role::Supplier);
            suppliers_busy |= supplier.is_some_and(Channel::holds_users);
            // Just sent, it lacks nothing.
            suppliers_lack |= is_busy && supplier.is_some_and(|one| one.lacks_names(current));
        }
        waits
    }

    /// Sends the removals that were held back, in reverse order, once no user
    /// lags.
    fn break_off(&mut self, offer: &Offer, now: Duration, out: &mut Vec<Outgoing>) {
        // That they lag has an end of its own: their answers come, or are
        // overdue. A refusal may stand for days.
        if self.users_lag() || self.greets_until.is_some() {
            return;
        }
        for turn in self.turns().into_iter().rev() {
            let Some(channel) = self.channels.get(&turn) else { continue };
            let ready = turn.role() == Role::Supplier && !channel.is_busy();
            let current = offer.of(&channel.type_url);
            if ready && !channel.lack(current).gone.is_empty() {
                self.send(&turn, offer, Removals::Told, now, out);
            }
        }
    }

    fn send(
        &mut self,
        turn: &Turn,
        offer: &Offer,
        removals: Removals,
        now: Duration,
        out: &mut Vec<Outgoing>,
    ) {
        let Some(channel) = self.channels.get_mut(turn) else { return };
        let nonces = &mut self.nonces;
        let current = offer.of(&channel.type_url);
        let sending = channel.next(current, removals, || next(nonces), now);
        let Some(Sending { mut parts, news }) = sending else { return };
        out.append(&mut parts);
        if *turn == Turn::Of(ResourceKind::Clusters) {
            self.owe_endpoints(&news, offer);
        }
    }

    /// A cluster that was sent anew warms until its endpoints come, even if
    /// they did not change, and not every client asks for them again.
    fn owe_endpoints(&mut self, clusters: &Batch, offer: &Offer) {
        let there = offer.of(&ResourceKind::Endpoints.type_url());
        // In the state of the world nothing tells of endpoints that are not
        // there, but an empty state that says so again and again.
        let told = |name: &&ResourceName| {
            self.protocol == Protocol::Delta || there.resources.contains_key(*name)
        };
        let names = clusters.iter().filter_map(|cluster| cluster.endpoints.as_ref());
        let names = names.filter(told);
        match self.channels.get_mut(&Turn::Of(ResourceKind::Endpoints)) {
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
        self.users_move() || self.users().any(|channel| channel.holding.has_refusals())
    }

    fn users_move(&self) -> bool {
        self.users().any(|channel| {
            channel.is_busy() || !channel.lack(self.offer.of(&channel.type_url)).is_none()
        })
    }

    fn users(&self) -> impl Iterator<Item = &Channel> {
        let all = self.channels.iter().filter(|(turn, _)| turn.role() == Role::User);
        all.map(|(_, channel)| channel)
    }

    fn turns(&self) -> Vec<Turn> {
        self.channels.keys().cloned().collect()
    }
}

/// A nonce that the stream has not seen.
fn next(nonces: &mut u64) -> String {
    *nonces += 1;
    format!("{nonces:x}")
}

#[cfg(test)]
mod tests;
