//! Which removals wait for a client that drains: of the routes that it still
//! uses, of their virtual hosts, and of all that those and its old listeners
//! name, directly or by what they name.
//!
//! Where it can't be known what a user names, because only its version is
//! known or because it chooses clusters by what is in a request, nothing of the
//! suppliers goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{HOSTS, ROUTES};
use crate::model::ResourceName;
use crate::snapshot::{Served, mentioned};
use crate::xds::session::Session;
use crate::xds::session::channel::Channel;
use crate::xds::session::holding::Hold;
use crate::xds::session::order::{Role, Turn};

impl Session {
    /// Which removals wait, by type.
    pub(super) fn holds(&self) -> BTreeMap<Turn, Hold> {
        let gone: BTreeSet<_> = self.draining.routes().cloned().collect();
        let hosts = self.hosts_of(&gone);
        let channel = self.channels.get(&ROUTES);
        let content = |name| channel.and_then(|channel| channel.holding.content(name).cloned());
        let listeners = self.draining.listeners().cloned().map(Some);
        let hosts_content = hosts.iter().map(|(_, one)| one.clone());
        let users: Vec<_> =
            gone.iter().map(content).chain(hosts_content).chain(listeners).collect();
        let mut holds = self.holds_for(users);
        if !gone.is_empty() {
            let hosts = hosts.into_iter().map(|(name, _)| name).collect();
            holds.insert(HOSTS, Hold::Names(hosts));
            holds.insert(ROUTES, Hold::Names(gone));
        }
        holds
    }

    /// Which suppliers `users` may need, where `None` is one of unknown content.
    fn holds_for(&self, users: Vec<Option<Arc<Served>>>) -> BTreeMap<Turn, Hold> {
        let mut holds = BTreeMap::new();
        if users.is_empty() {
            return holds;
        }
        let suppliers = self.channels.keys().filter(|turn| turn.role() == Role::Supplier);
        let all: Vec<_> = suppliers.clone().flat_map(|turn| self.gone(turn)).collect();
        if all.is_empty() {
            return holds;
        }
        match users.into_iter().collect::<Option<Vec<_>>>() {
            Some(users) if !users.iter().any(|one| one.chooses_clusters()) => {
                for one in named_by(users, &all) {
                    let hold = holds.entry(one.turn.clone()).or_insert(Hold::Nothing);
                    hold.add(&one.name);
                }
            }
            _ => holds.extend(suppliers.map(|turn| (turn.clone(), Hold::Everything))),
        }
        holds
    }

    /// The virtual hosts of `routes` that are gone, and their contents.
    fn hosts_of(
        &self,
        routes: &BTreeSet<ResourceName>,
    ) -> Vec<(ResourceName, Option<Arc<Served>>)> {
        if routes.is_empty() {
            return Vec::new();
        }
        let of_route = |one: &Gone| {
            one.name.0.rsplit_once('/').is_some_and(|(route, _)| routes.contains(route))
        };
        let all = self.gone(&HOSTS).into_iter().filter(of_route);
        all.map(|one| (one.name, one.content)).collect()
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
