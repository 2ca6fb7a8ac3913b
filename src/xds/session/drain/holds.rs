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
use crate::model::{ContentHash, ResourceKind, ResourceName, TypeUrl};
use crate::snapshot::{Served, mentioned};
use crate::xds::session::Session;
use crate::xds::session::channel::Channel;
use crate::xds::session::holding::Hold;
use crate::xds::session::order::{Role, Turn};

impl Session {
    /// Which removals wait, by type.
    pub(super) fn holds(&self) -> BTreeMap<Turn, Hold> {
        let gone = self.routes_gone();
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
                for one in self.named_by(users, &all) {
                    let hold = holds.entry(one.turn.clone()).or_insert(Hold::Nothing);
                    hold.add(&one.name);
                }
            }
            _ => holds.extend(suppliers.map(|turn| (turn.clone(), Hold::Everything))),
        }
        holds
    }

    /// Those of `all` that `users` name, directly or by what they name. Streams
    /// in the same position share the answer: there may be hundreds of users of
    /// many kilobytes.
    fn named_by<'a>(&self, users: Vec<Arc<Served>>, all: &'a [Gone]) -> Vec<&'a Gone> {
        let gone = all.iter().flat_map(|one| {
            let content = one.content.as_ref().map_or(&[][..], |content| &content.hash.0[..]);
            [one.type_url.0.as_bytes(), one.name.0.as_bytes(), content]
        });
        let contents = users.iter().map(|one| &one.hash.0[..]);
        let id = ContentHash::of_parts(contents.chain([&[][..]]).chain(gone));
        let clusters = self.offer.of(&ResourceKind::Clusters.type_url());
        let picked = clusters.picked(id, || named_by(users, all));
        picked.iter().filter_map(|at| all.get(*at)).collect()
    }

    /// The routes on their way out that the snapshot has no more.
    fn routes_gone(&self) -> BTreeSet<ResourceName> {
        let Some(channel) = self.channels.get(&ROUTES) else { return BTreeSet::new() };
        let served = self.offer.of(&channel.type_url);
        let leaving = self.draining.routes.keys();
        let gone = leaving.filter(|name| !served.resources.contains_key(*name));
        gone.filter(|name| channel.holding.may_have(name)).cloned().collect()
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
        let gone = |name| Gone {
            turn: turn.clone(),
            type_url: type_url.clone(),
            content: content(&name),
            name,
        };
        names.into_iter().map(gone).collect()
    }
}

/// A resource that the client has and the snapshot has no more.
struct Gone {
    turn: Turn,
    type_url: TypeUrl,
    name: ResourceName,
    /// Where it is known.
    content: Option<Arc<Served>>,
}

/// Where in `all` those are that `contents` name, or that what they name names
/// in turn.
fn named_by(contents: Vec<Arc<Served>>, all: &[Gone]) -> Vec<usize> {
    let mut unseen: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    all.iter().enumerate().for_each(|(at, one)| unseen.entry(&one.name.0).or_default().push(at));
    let names: BTreeSet<&str> = unseen.keys().copied().collect();
    let (mut work, mut found) = (contents, Vec::new());
    while let Some(one) = work.pop() {
        let mut named = mentioned(&one.body(), &names);
        named.extend(one.endpoints.iter().filter_map(|name| names.get(&*name.0)));
        for at in named.into_iter().filter_map(|name| unseen.remove(name)).flatten() {
            work.extend(all[at].content.clone());
            found.push(at);
        }
    }
    found
}
