//! What a client may still use although it was told to do without: routes
//! that no listener names any more, and listeners in versions that were
//! replaced. Until when that is waited for; what it means is `holds`'.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::ResourceName;
use crate::snapshot::Served;

/// How long removals wait for a client to let go: until the parent of a hot
/// restart, which Envoy lets live for 15 minutes, is gone in any case.
pub(super) const DRAIN: Duration = Duration::from_secs(900);
/// How many routes and how many listeners of a stream are waited for; beyond,
/// the oldest is let go.
const LEAVING_MAX: usize = 256;

/// A version of a listener.
type Edition = (ResourceName, Arc<str>);

/// What is on its way out.
#[derive(Debug, Default)]
pub(in crate::xds::session) struct Draining {
    /// Until when each route is waited for.
    pub(super) routes: BTreeMap<ResourceName, Duration>,
    /// The same of listeners, and what they are made of.
    listeners: BTreeMap<Edition, (Arc<Served>, Duration)>,
    /// Whether something is held back.
    pub(super) holds: bool,
    /// Whether something else than before may have to be held back.
    pub(super) stale: bool,
}

impl Draining {
    /// When the first of them has been waited for long enough.
    pub(in crate::xds::session) fn due(&self) -> Option<Duration> {
        // Nothing tells that a listener has drained, so nobody wakes up for
        // one unless something is to go with it.
        let listeners = self.listeners.values().map(|(_, until)| until);
        let listeners = listeners.filter(|_| self.holds);
        self.routes.values().chain(listeners).min().copied()
    }

    /// Whether no route is on its way out and nothing has to be looked at.
    pub(in crate::xds::session) fn rests(&self) -> bool {
        self.routes.is_empty() && !self.stale
    }

    /// Has everything looked at anew.
    pub(in crate::xds::session) fn unsettle(&mut self) {
        self.stale = true;
    }

    /// A route is on its way out at `now`.
    pub(super) fn add_route(&mut self, name: &ResourceName, now: Duration) {
        self.routes.entry(name.clone()).or_insert(now + DRAIN);
        if self.routes.len() > LEAVING_MAX {
            let oldest = self.routes.iter().min_by_key(|(_, until)| **until);
            let oldest = oldest.map(|(name, _)| name.clone());
            oldest.and_then(|name| self.routes.remove(&name));
        }
        self.stale = true;
    }

    /// Listeners are replaced at `now`, or gone.
    pub(super) fn add_listeners(
        &mut self,
        replaced: impl Iterator<Item = Arc<Served>>,
        now: Duration,
    ) {
        for one in replaced.take(LEAVING_MAX) {
            let edition = (one.name.clone(), one.version.clone());
            self.stale |= !self.listeners.contains_key(&edition);
            self.listeners.entry(edition).or_insert((one, now + DRAIN));
        }
        while self.listeners.len() > LEAVING_MAX {
            let oldest = self.listeners.iter().min_by_key(|(_, (_, until))| *until);
            let Some(oldest) = oldest.map(|(edition, _)| edition.clone()) else { break };
            self.listeners.remove(&oldest);
        }
    }

    /// Lets listeners go that have drained by `now`.
    pub(super) fn let_listeners_go(&mut self, now: Duration) {
        let before = self.listeners.len();
        self.listeners.retain(|_, (_, until)| now < *until);
        self.stale |= self.listeners.len() != before;
    }

    /// Listeners that still serve their connections.
    pub(super) fn listeners(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.listeners.values().map(|(one, _)| one)
    }
}
