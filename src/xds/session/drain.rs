//! Routes and listeners that a client still uses although it was told of others.
//!
//! When a listener gets another route configuration, Envoy lets the listener's
//! connections go on with the old one for as long as it drains (10 minutes by
//! default), and unsubscribes from the old name only then. So what the old
//! route refers to must stay, or requests on old connections fail: the removal
//! of the route, of its virtual hosts, of the clusters that they name, and of
//! what those name in turn, waits until the client unsubscribes from the route.
//! For no longer than 15 minutes, though: not every client unsubscribes.
//!
//! That needs both ends in sight: listeners (or scoped routes) that the stream
//! was sent no longer name the route, and the stream asks for the route by
//! name. A route that went while listeners name it is a plain removal.
//!
//! What an earlier stream sent is not known here. A client that comes back
//! with such a route says that it has it; all removals wait for it then.
//!
//! A listener that drains may also name clusters itself, in a TCP proxy or in
//! routes of its own. Nothing tells when that ends, so what a replaced listener
//! names stays for 15 minutes; only for Envoy, because nobody else drains.

mod holds;
mod leaving;

use std::sync::Arc;
use std::time::Duration;

use super::Session;
use super::order::Turn;
use crate::model::{ResourceKind, ResourceName};
use crate::snapshot::{Snapshot, TypeSnapshot};

pub(super) use self::leaving::Draining;

const ROUTES: Turn = Turn::Of(ResourceKind::Routes);
const HOSTS: Turn = Turn::Of(ResourceKind::VirtualHosts);
/// The types that name routes.
const NAMING: [ResourceKind; 2] = [ResourceKind::Listeners, ResourceKind::ScopedRoutes];
const NAMERS: [Turn; 2] = [Turn::Of(NAMING[0]), Turn::Of(NAMING[1])];

impl Session {
    /// Notes which routes are on their way out at `now`, and holds back the
    /// removals that wait for them.
    pub(super) fn drain(&mut self, now: Duration) {
        self.note_routes(now);
        self.note_listeners(now);
        self.let_go(now);
        if !std::mem::take(&mut self.draining.stale) {
            return;
        }
        let mut holds = self.holds();
        self.draining.holds = !holds.is_empty();
        for (turn, channel) in &mut self.channels {
            channel.holding.hold = holds.remove(turn).unwrap_or_default();
        }
    }

    /// Takes up the routes that the client asks for and has, although nothing
    /// that is served knows them: it `returns`, or asks once more because it
    /// is behind.
    pub(super) fn take_up_draining(&mut self, turn: &Turn, now: Duration, returns: bool) {
        let namers = NAMERS.iter().any(|turn| self.channels.contains_key(turn));
        let routes = self.channels.get(&ROUTES).filter(|_| *turn == ROUTES && namers);
        let Some(channel) = routes.filter(|_| self.offer.snapshot.is_some()) else { return };
        let current = self.offer.of(&channel.type_url);
        let gone = |name: &&ResourceName| {
            !current.resources.contains_key(*name)
                && channel.holding.may_have(name)
                && (returns || channel.holding.is_owed(name))
        };
        let names = channel.subscription.names.iter().filter(gone);
        let names: Vec<_> = names.filter(|name| !self.is_named(name)).cloned().collect();
        names.iter().for_each(|name| self.draining.add_route(name, now));
    }

    /// Finds routes that were named by what was served `before`, and are no
    /// more. It may never have been sent, as the client had still to answer;
    /// but it may use such a route for the sake of what it has.
    pub(super) fn note_renamed(&mut self, before: Option<&Snapshot>, now: Duration) {
        self.draining.unsettle();
        let Some(routes) = self.channels.get(&ROUTES) else { return };
        let asked = &routes.subscription.names;
        for users in NAMERS.iter().filter_map(|turn| self.channels.get(turn)) {
            let current = self.offer.of(&users.type_url);
            let before = before.and_then(|before| before.types.get(&users.type_url));
            let Some(before) = before.filter(|before| !before.is(current)) else { continue };
            let left = current.routes_left(before);
            let left = left.iter().filter(|name| asked.contains(*name));
            left.for_each(|name| self.draining.add_route(name, now));
        }
    }

    /// Finds routes that the listeners which are served now name no more,
    /// other than those that the client was sent last.
    fn note_routes(&mut self, now: Duration) {
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
            left.for_each(|name| self.draining.add_route(name, now));
        }
    }

    /// Notes the listeners that the client was sent last and that are served
    /// in another version now, or no more.
    fn note_listeners(&mut self, now: Duration) {
        let channel = self.channels.get(&Turn::Of(ResourceKind::Listeners));
        let Some(channel) = channel.filter(|_| self.features.drains) else { return };
        let current = self.offer.of(&channel.type_url);
        let Some(base) = channel.holding.base().filter(|base| !base.is(current)) else { return };
        let difference = current.since(base);
        let names = difference.changed.iter().map(|one| &one.name).chain(&difference.gone);
        let replaced = names.filter(|name| channel.subscription.covers(name));
        let replaced = replaced.filter_map(|name| channel.holding.content(name)).cloned();
        self.draining.add_listeners(replaced, now);
    }

    /// Forgets routes that the client left, that it was sent anew who names
    /// them, or that were waited for long enough.
    fn let_go(&mut self, now: Duration) {
        self.draining.let_listeners_go(now);
        if self.draining.routes.is_empty() {
            return;
        }
        let mut leaving = std::mem::take(&mut self.draining.routes);
        let before = leaving.len();
        let asked = self.channels.get(&ROUTES).map(|routes| &routes.subscription.names);
        leaving.retain(|name, until| {
            let asked = asked.is_some_and(|asked| asked.contains(name));
            asked && now < *until && !(self.is_named(name) && self.was_named(name))
        });
        self.draining.stale |= leaving.len() != before;
        self.draining.routes = leaving;
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
}
