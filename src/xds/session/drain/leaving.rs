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
    /// Until when each route is waited for; nothing for one that was waited
    /// for long enough.
    routes: BTreeMap<ResourceName, Option<Duration>>,
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
        self.routes.values().flatten().chain(listeners).min().copied()
    }

    /// Whether no route is waited for and nothing has to be looked at.
    pub(in crate::xds::session) fn rests(&self) -> bool {
        self.routes().next().is_none() && !self.stale
    }

    /// Has everything looked at anew.
    pub(in crate::xds::session) fn unsettle(&mut self) {
        self.stale = true;
    }

    /// The routes that are on their way out are `names`, from `now` on those
    /// that were not before.
    pub(super) fn set_routes(&mut self, names: Vec<ResourceName>, now: Duration) {
        let before = std::mem::take(&mut self.routes);
        let until = |name: &_| before.get(name).copied().unwrap_or(Some(now + DRAIN));
        self.routes = names.into_iter().map(|name| (name.clone(), until(&name))).collect();
        let mut waited: Vec<_> = self.routes.values_mut().filter(|until| until.is_some()).collect();
        waited.sort_unstable();
        let beyond = waited.len().saturating_sub(LEAVING_MAX);
        waited.into_iter().take(beyond).for_each(|until| *until = None);
    }

    /// The routes that are waited for.
    pub(super) fn routes(&self) -> impl Iterator<Item = &ResourceName> {
        self.routes.iter().filter(|(_, until)| until.is_some()).map(|(name, _)| name)
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
            // The same may have been replaced before, and drains once more.
            self.listeners.insert(edition, (one, now + DRAIN));
        }
        while self.listeners.len() > LEAVING_MAX {
            let oldest = self.listeners.iter().min_by_key(|(_, (_, until))| *until);
            let Some(oldest) = oldest.map(|(edition, _)| edition.clone()) else { break };
            self.listeners.remove(&oldest);
        }
    }

    /// Lets go of what was waited for long enough by `now`.
    pub(super) fn let_go(&mut self, now: Duration) {
        let before = self.listeners.len();
        self.listeners.retain(|_, (_, until)| now < *until);
        self.stale |= self.listeners.len() != before;
        for until in self.routes.values_mut().filter(|until| until.is_some_and(|at| at <= now)) {
            *until = None;
            self.stale = true;
        }
    }

    /// Listeners that still serve their connections.
    pub(super) fn listeners(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.listeners.values().map(|(one, _)| one)
    }
}
