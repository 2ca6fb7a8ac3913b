//! What a client's names stand for, where they are not the names of resources:
//! other names of a resource, `route/host` for a virtual host loaded on
//! demand, `xdstp://` names and collections.
//!
//! It turns the subscription as the client said it into one of resources, anew
//! for each snapshot; everything else compares resources only. Most streams
//! never need one.
//!
//! Virtual hosts have a rule of their own. Envoy's first message about them has
//! no names, wherever they come from, which looks like the legacy wildcard.
//! Answering with every virtual host there is would undo what loading on demand
//! is for, and would tell of routes that the client never asked for. So here
//! the legacy wildcard means the virtual hosts of those routes that the stream
//! asks for (or of all, where the stream asks for no routes) and whose listener
//! has no `on_demand` filter. A `*` means all of them, as for any type.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::holding::Holding;
use super::subscription::{Change, Subscription};
use super::xdstp;
use crate::model::ResourceName;
use crate::snapshot::TypeSnapshot;

/// A subscription in the client's names, and what they stand for.
#[derive(Debug)]
pub(super) struct Reach {
    /// As the client said it.
    pub(super) asked: Subscription,
    /// Whether the names may be hosts.
    hosts: bool,
    /// What a name stands for or stood for, as long as the client may hold it.
    stands: BTreeMap<ResourceName, BTreeSet<ResourceName>>,
    /// Names whose answer may still be owed.
    waits: BTreeSet<ResourceName>,
    /// What the legacy wildcard of virtual hosts stands for.
    implied: BTreeSet<ResourceName>,
    /// The state that all was found in last, and what was implied then.
    seen: Option<(Arc<str>, BTreeSet<ResourceName>)>,
}

impl Reach {
    /// Begins with a subscription to resources.
    pub(super) fn new(asked: Subscription, hosts: bool) -> Self {
        let (stands, waits, implied) = Default::default();
        Self { asked, hosts, stands, waits, implied, seen: None }
    }

    /// Whether virtual hosts are asked for in the way that names none.
    pub(super) fn is_legacy_hosts(&self) -> bool {
        self.hosts && self.asked.is_legacy()
    }

    /// Takes in what a message changed. `to` becomes the subscription to
    /// resources; `legacy` is what the legacy wildcard of virtual hosts means.
    pub(super) fn subscribed(
        &mut self,
        change: &Change,
        current: &TypeSnapshot,
        legacy: &BTreeSet<ResourceName>,
        to: &mut Subscription,
        holding: &mut Holding,
    ) {
        let dropped: Vec<_> = change
            .dropped
            .iter()
            .flat_map(|name| self.stands.remove(name).unwrap_or_else(|| [name.clone()].into()))
            .collect();
        let held = to.wildcard;
        let becomes_whole = self.asked.wildcard && !self.is_legacy_hosts() && !held;
        let had = to.names.iter().filter(|name| becomes_whole && holding.may_have(name));
        let had: Vec<_> = had.cloned().collect();
        self.resolve(current, legacy, to, holding);
        let whole = Change {
            everything: becomes_whole,
            not_everything: held && !to.wildcard,
            added: Vec::new(),
            dropped: dropped.into_iter().filter(|_| to.wildcard).collect(),
        };
        holding.subscribed(&whole, to);
        // Not every name that it was told of is one that it said.
        had.iter().for_each(|name| holding.owe_again(name));
    }

    /// Notes that whoever asked for `names` just now is to be told of what they
    /// stand for.
    pub(super) fn owe(
        &mut self,
        names: &[ResourceName],
        current: &TypeSnapshot,
        holding: &mut Holding,
    ) {
        for name in names {
            self.targets(name, current).iter().for_each(|target| holding.owe(target));
            self.waits.insert(name.clone());
        }
    }

    /// Whether the names would stand for the same as when they were looked up
    /// last.
    pub(super) fn is_settled(
        &self,
        current: &TypeSnapshot,
        legacy: &BTreeSet<ResourceName>,
    ) -> bool {
        self.seen.as_ref().is_some_and(|(at, implied)| *at == current.version && implied == legacy)
    }

    /// Makes `to` what the names stand for in `current`.
    pub(super) fn resolve(
        &mut self,
        current: &TypeSnapshot,
        legacy: &BTreeSet<ResourceName>,
        to: &mut Subscription,
        holding: &mut Holding,
    ) {
        // What a client holds by a name that means something else now is still
        // kept up to date, and it is told when it goes.
        let lives = |name: &ResourceName| current.resources.contains_key(name);
        let (mut stands, mut names) = (BTreeMap::new(), BTreeSet::new());
        let is_owed = |all: &BTreeSet<_>| all.iter().any(|name| holding.is_owed(name));
        self.waits.retain(|asked| self.stands.get(asked).is_some_and(is_owed));
        for asked in &self.asked.names {
            let now = self.targets(asked, current);
            names.extend(now.iter().cloned());
            let mut all: BTreeSet<_> = self.stands.remove(asked).unwrap_or_default();
            // Who waits for what went is told of what there is instead, or that
            // there is nothing.
            let lost = |name: &_| !lives(name) && !now.contains(name) && holding.is_owed(name);
            if self.waits.contains(asked) && all.iter().any(lost) {
                now.iter().for_each(|name| holding.owe(name));
            }
            all.retain(|name| lives(name) || holding.may_have(name));
            all.extend(now);
            names.extend(all.iter().cloned());
            stands.insert(asked.clone(), all);
        }
        self.stands = stands;
        self.implied.retain(|name| !lives(name) && holding.may_have(name));
        if self.is_legacy_hosts() {
            self.implied.extend(legacy.iter().cloned());
            names.extend(self.implied.iter().cloned());
        }
        for name in to.names.difference(&names) {
            if !self.asked.wildcard || self.is_legacy_hosts() {
                holding.forget(name);
            } else if holding.is_owed(name) && !holding.may_have(name) {
                // It never came, so nobody is to be told that it went.
                holding.forget(name);
                holding.lacks(name);
            }
        }
        let wildcard = self.asked.wildcard && !self.is_legacy_hosts();
        for name in names.difference(&to.names).filter(|name| !to.wildcard && lives(name)) {
            holding.lacks(name);
        }
        to.names = names;
        to.wildcard = wildcard;
        self.seen = Some((current.version.clone(), legacy.clone()));
    }

    /// The client's own names for `name`, itself aside.
    pub(super) fn names_of<'a>(
        &'a self,
        name: &'a ResourceName,
    ) -> impl Iterator<Item = &'a ResourceName> {
        let stands = self.stands.iter().filter(move |(asked, all)| {
            *asked != name && all.contains(name) && !xdstp::is_collection(&asked.0)
        });
        stands.map(|(asked, _)| asked)
    }

    /// Whether nobody waits to be told that there is no `name`: it is asked for
    /// by other names alone, and each stands for something else in `current`.
    pub(super) fn has_moved(&self, name: &ResourceName, current: &TypeSnapshot) -> bool {
        let lives = |name: &ResourceName| current.resources.contains_key(name);
        let found = |asked: &ResourceName| self.targets(asked, current).iter().any(lives);
        !self.asked.names.contains(name) && self.names_of(name).all(found)
    }

    /// The resources that `asked` stands for; itself where there is none.
    pub(super) fn targets(
        &self,
        asked: &ResourceName,
        current: &TypeSnapshot,
    ) -> BTreeSet<ResourceName> {
        if current.resources.contains_key(asked) {
            return [asked.clone()].into();
        }
        let host = || current.virtual_host(&asked.0).filter(|_| self.hosts);
        if let Some(found) = current.aliases().get(asked).or_else(host) {
            return [found.clone()].into();
        }
        let found = match xdstp::is_xdstp(&asked.0) {
            true => xdstp::find(asked, current),
            false => BTreeSet::new(),
        };
        if found.is_empty() { [asked.clone()].into() } else { found }
    }
}
