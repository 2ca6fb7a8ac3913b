//! Routes that a client still uses although nothing names them any more.
//!
//! When a listener gets another route configuration, Envoy lets the listener's
//! connections go on with the old one for as long as it drains (10 minutes by
//! default), and unsubscribes from the old name only then. So what the old
//! route refers to must stay, or requests on old connections fail: the removal
//! of the route, of its virtual hosts, of the clusters that they name, and of
//! what those name in turn, waits until the client unsubscribes from the route.
//! For no longer than [`DRAIN`], though: not every client unsubscribes.
//!
//! That needs both ends in sight: listeners (or scoped routes) that the stream
//! was sent no longer name the route, and the stream asks for the route by
//! name. A route that went while listeners name it is a plain removal.
//!
//! What an earlier stream sent is not known here. A client that comes back
//! with such a route says that it has it; all removals wait for it then. That
//! may as well be a client that never unsubscribes and a route that went long
//! ago, so it is for [`RETURNED`] only.
//!
//! Not covered, because nothing tells when the draining ends: clusters that a
//! draining listener names itself, in a TCP proxy or in routes of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::Session;
use super::channel::Channel;
use super::holding::Hold;
use super::order::{Role, Turn};
use crate::model::{ResourceKind, ResourceName};
use crate::snapshot::{Served, TypeSnapshot, mentioned};

/// How long removals wait for a client to unsubscribe: until the parent of a
/// hot restart, which Envoy lets live for 15 minutes, is gone in any case.
pub(super) const DRAIN: Duration = Duration::from_secs(900);
/// The same for a route that a client comes back with, which may be one that
/// nobody drains: everything that is to go waits for it.
const RETURNED: Duration = Duration::from_secs(60);
/// How many routes of a stream are waited for; beyond, the oldest is let go.
const LEAVING_MAX: usize = 256;

const ROUTES: Turn = Turn::Of(ResourceKind::Routes);
const HOSTS: Turn = Turn::Of(ResourceKind::VirtualHosts);
/// The types that name routes.
const NAMING: [ResourceKind; 2] = [ResourceKind::Listeners, ResourceKind::ScopedRoutes];
const NAMERS: [Turn; 2] = [Turn::Of(NAMING[0]), Turn::Of(NAMING[1])];

/// The routes that are on their way out.
#[derive(Debug, Default)]
pub(super) struct Draining {
    /// Until when each is waited for.
    leaving: BTreeMap<ResourceName, Duration>,
    /// Whether something else than before may have to be held back.
    stale: bool,
}

impl Draining {
    /// When the first of them has been waited for long enough.
    pub(super) fn due(&self) -> Option<Duration> {
        self.leaving.values().min().copied()
    }

    /// Whether nothing is on its way out or has to be looked at.
    pub(super) fn rests(&self) -> bool {
        self.leaving.is_empty() && !self.stale
    }

    /// Has everything looked at anew.
    pub(super) fn unsettle(&mut self) {
        self.stale = true;
    }

    fn add(&mut self, name: &ResourceName, until: Duration) {
        self.leaving.entry(name.clone()).or_insert(until);
        if self.leaving.len() > LEAVING_MAX {
            let oldest = self.leaving.iter().min_by_key(|(_, until)| **until);
            let oldest = oldest.map(|(name, _)| name.clone());
            oldest.and_then(|name| self.leaving.remove(&name));
        }
        self.stale = true;
    }
}

impl Session {
    /// Notes which routes are on their way out at `now`, and holds back the
    /// removals that wait for them.
    pub(super) fn drain(&mut self, now: Duration) {
        self.note_leaving(now);
        self.let_go(now);
        if !std::mem::take(&mut self.draining.stale) {
            return;
        }
        let mut holds = self.holds();
        for (turn, channel) in &mut self.channels {
            channel.holding.hold = holds.remove(turn).unwrap_or_default();
        }
    }

    /// Takes up the routes that a client which came back says it has.
    pub(super) fn resume_draining(&mut self, turn: &Turn, now: Duration) {
        self.draining.unsettle();
        let namers = NAMERS.iter().any(|turn| self.channels.contains_key(turn));
        let routes = self.channels.get(&ROUTES).filter(|_| *turn == ROUTES && namers);
        let Some(channel) = routes.filter(|_| self.offer.snapshot.is_some()) else { return };
        let current = self.offer.of(&channel.type_url);
        let gone = |name: &&ResourceName| {
            !current.resources.contains_key(*name) && channel.holding.holds(name)
        };
        let names = channel.subscription.names.iter().filter(gone);
        let names: Vec<_> = names.filter(|name| !self.is_named(name)).cloned().collect();
        names.iter().for_each(|name| self.draining.add(name, now + RETURNED));
    }

    /// Finds routes that the listeners which are served now name no more,
    /// other than those that the client was sent last.
    fn note_leaving(&mut self, now: Duration) {
        let Some(routes) = self.channels.get(&ROUTES) else { return };
        let asked = &routes.subscription.names;
        if asked.is_empty() {
            return;
        }
        for users in NAMERS.iter().filter_map(|turn| self.channels.get(turn)) {
            let current = self.offer.of(&users.type_url);
            let base = users.holding.base();
            let Some(base) = base.filter(|base| !base.is(current)) else { continue };
            let left = current.routes_left(base);
            let left = left.iter().filter(|name| asked.contains(*name));
            left.for_each(|name| self.draining.add(name, now + DRAIN));
        }
    }

    /// Forgets routes that the client left, that it was sent anew who names
    /// them, or that were waited for long enough.
    fn let_go(&mut self, now: Duration) {
        if self.draining.leaving.is_empty() {
            return;
        }
        let mut leaving = std::mem::take(&mut self.draining.leaving);
        let before = leaving.len();
        let asked = self.channels.get(&ROUTES).map(|routes| &routes.subscription.names);
        leaving.retain(|name, until| {
            let asked = asked.is_some_and(|asked| asked.contains(name));
            asked && now < *until && !(self.is_named(name) && self.was_named(name))
        });
        self.draining.stale |= leaving.len() != before;
        self.draining.leaving = leaving;
    }

    /// Whether what is served names a route.
    fn is_named(&self, route: &ResourceName) -> bool {
        let named = |kind: ResourceKind| self.offer.of(&kind.type_url()).routes_named();
        NAMING.into_iter().any(|kind| named(kind).contains(route))
    }

    /// Whether what the client was sent last names a route: the next snapshot
    /// may come before what is served is sent.
    fn was_named(&self, route: &ResourceName) -> bool {
        let sent = |turn| self.channels.get(turn).and_then(|users| users.holding.base());
        let named = |one: &Arc<TypeSnapshot>| one.routes_named().contains(route);
        NAMERS.iter().any(|turn| sent(turn).is_some_and(named))
    }

    /// Which removals wait, by type.
    fn holds(&self) -> BTreeMap<Turn, Hold> {
        let mut holds = BTreeMap::new();
        let Some(channel) = self.channels.get(&ROUTES) else { return holds };
        let served = self.offer.of(&channel.type_url);
        let leaving = self.draining.leaving.keys();
        let gone = leaving.filter(|name| !served.resources.contains_key(*name));
        let gone: BTreeSet<_> = gone.filter(|name| channel.holding.holds(name)).cloned().collect();
        if gone.is_empty() {
            return holds;
        }
        let hosts = self.hosts_of(&gone);
        let contents = gone.iter().map(|name| channel.holding.content(name).cloned());
        let contents: Option<Vec<_>> =
            contents.chain(hosts.iter().map(|(_, one)| one.clone())).collect();
        let suppliers = self.suppliers();
        match contents {
            Some(contents) => {
                let all: Vec<_> = suppliers.iter().flat_map(|turn| self.gone(turn)).collect();
                for one in named_by(contents, &all) {
                    let hold = holds.entry(one.turn.clone()).or_insert(Hold::Nothing);
                    hold.add(&one.name);
                }
            }
            None => holds.extend(suppliers.into_iter().map(|turn| (turn, Hold::Everything))),
        }
        let hosts = hosts.into_iter().map(|(name, _)| name).collect();
        holds.insert(HOSTS, Hold::Names(hosts));
        holds.insert(ROUTES, Hold::Names(gone));
        holds
    }

    /// The virtual hosts of `routes` that are gone, and their contents.
    fn hosts_of(
        &self,
        routes: &BTreeSet<ResourceName>,
    ) -> Vec<(ResourceName, Option<Arc<Served>>)> {
        let of_route = |one: &Gone| {
            one.name.0.rsplit_once('/').is_some_and(|(route, _)| routes.contains(route))
        };
        let all = self.gone(&HOSTS).into_iter().filter(of_route);
        all.map(|one| (one.name, one.content)).collect()
    }

    fn suppliers(&self) -> Vec<Turn> {
        let all = self.channels.keys();
        all.filter(|turn| turn.role() == Role::Supplier).cloned().collect()
    }

    /// What the client has of a type and the snapshot has no more.
    fn gone(&self, turn: &Turn) -> Vec<Gone> {
        let Some(Channel { subscription, holding, type_url, .. }) = self.channels.get(turn) else {
            return Vec::new();
        };
        let names = holding.gone(subscription, self.offer.of(type_url));
        let content = |name: &ResourceName| holding.content(name).cloned();
        let gone = |name| Gone { turn: turn.clone(), content: content(&name), name };
        names.into_iter().map(gone).collect()
    }
}

/// A resource that the client has and the snapshot has no more.
struct Gone {
    turn: Turn,
    name: ResourceName,
    /// Where it is known.
    content: Option<Arc<Served>>,
}

/// Those of `all` that `contents` name, or that what they name names in turn.
fn named_by(contents: Vec<Arc<Served>>, all: &[Gone]) -> Vec<&Gone> {
    let mut unseen: BTreeMap<&str, Vec<&Gone>> = BTreeMap::new();
    all.iter().for_each(|one| unseen.entry(&one.name.0).or_default().push(one));
    let names: BTreeSet<&str> = unseen.keys().copied().collect();
    let (mut work, mut found) = (contents, Vec::new());
    while let Some(one) = work.pop() {
        let mut named = mentioned(&one.body(), &names);
        named.extend(one.endpoints.iter().filter_map(|name| names.get(&*name.0)));
        for gone in named.into_iter().filter_map(|name| unseen.remove(name)).flatten() {
            work.extend(gone.content.clone());
            found.push(gone);
        }
    }
    found
}
