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
//! Which routes those are is asked of what there is, not of what happened: a
//! route that the client asks for by name and may have in some version, while
//! it is served no more and nothing that is served names it. However far behind
//! the client is, and whatever was published meanwhile, it can't use another
//! without asking for that; and routes that are served still are no matter of
//! this file, because nothing goes before the client took their newest
//! versions. It needs listeners (or scoped routes) on the stream, as somebody
//! has to use the route; and one that goes while listeners name it is a plain
//! removal.
//!
//! What an earlier stream sent is not known here. A client of the incremental
//! protocol that comes back says that it has such a route, and that is enough.
//! A state of the world says the version of what it had, no more. Where that is
//! what is served, what was served before, or the one with what drains of the
//! other, it is known what the client has, and nothing of it goes too early.
//! Where it is anything else (it was further behind, or held on to a part), the
//! first response about clusters replaces all of them, because nobody can tell
//! the client to keep what nobody knows.
//!
//! A listener that drains may also name clusters itself, in a TCP proxy or in
//! routes of its own. Nothing tells when that ends, so what a replaced listener
//! names stays for 15 minutes; only for Envoy, because nobody else drains.

mod holds;
mod leaving;

use std::time::Duration;

use super::Session;
use super::channel::Channel;
use super::order::Turn;
use crate::model::{ResourceKind, ResourceName};

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
        self.note_listeners(now);
        self.draining.let_go(now);
        if !std::mem::take(&mut self.draining.stale) {
            return;
        }
        self.draining.set_routes(self.routes_leaving(), now);
        let mut holds = self.holds();
        self.draining.holds = !holds.is_empty();
        for (turn, channel) in &mut self.channels {
            channel.holding.hold = holds.remove(turn).unwrap_or_default();
        }
    }

    /// Takes in what a message about routes changed: what the client asks for,
    /// or has.
    pub(super) fn heard_of(&mut self, turn: &Turn) {
        let Some(routes) = self.channels.get(&ROUTES).filter(|_| *turn == ROUTES) else { return };
        if !routes.holding.rests(self.offer.of(&routes.type_url)) {
            self.draining.unsettle();
        }
    }

    /// The routes that the client asks for by name and may have, and that
    /// nobody is served any more nor named.
    fn routes_leaving(&self) -> Vec<ResourceName> {
        let namers = NAMERS.iter().any(|turn| self.channels.contains_key(turn));
        let Some(routes) = self.channels.get(&ROUTES).filter(|_| namers) else { return Vec::new() };
        let Channel { subscription, holding, type_url, .. } = routes;
        let mut gone = match subscription.names.is_empty() {
            true => Vec::new(),
            false => holding.gone(subscription, self.offer.of(type_url)),
        };
        gone.retain(|name| subscription.names.contains(name) && !self.is_named(name));
        gone
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

    /// Whether what is served names a route.
    fn is_named(&self, route: &ResourceName) -> bool {
        let named = |kind: ResourceKind| self.offer.of(&kind.type_url()).routes_named();
        NAMING.into_iter().any(|kind| named(kind).contains(route))
    }
}
