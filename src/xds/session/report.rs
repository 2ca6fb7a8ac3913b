//! How a session stands, for people and for the hub. Reads, changes nothing;
//! what it costs is paid by whoever asks.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Session;
use super::channel::Channel;
use crate::model::ResourceName;
use crate::snapshot::{Snapshot, TypeSnapshot};
use crate::xds::{ResourceState, ResourceStatus, TypeStatus};

impl Session {
    /// Every type as people see it, in sending order.
    pub(in crate::xds) fn statuses(&self) -> Vec<TypeStatus> {
        let status = |channel: &Channel| channel.status(self.offer.of(&channel.type_url));
        self.channels.values().map(status).collect()
    }

    /// What it is served from.
    pub(in crate::xds) fn serves(&self) -> Option<Arc<Snapshot>> {
        self.offer.snapshot.clone()
    }

    /// Whether the client took all it asks for of the snapshot as it is.
    pub(in crate::xds) fn is_in_step(&self) -> bool {
        let took = |channel: &Channel| channel.is_in_step(self.offer.of(&channel.type_url));
        let all = self.channels.values();
        self.offer.snapshot.is_some() && !self.channels.is_empty() && all.into_iter().all(took)
    }

    /// Whether the client refuses something.
    pub(in crate::xds) fn is_refusing(&self) -> bool {
        self.channels.values().any(Channel::is_refusing)
    }

    /// Every resource that the client asks for or holds, by type and name.
    pub(in crate::xds) fn resources(&self) -> Vec<ResourceStatus> {
        let of_type = |channel| resources(channel, self.offer.of(&channel.type_url));
        self.channels.values().flat_map(of_type).collect()
    }
}

fn resources(channel: &Channel, current: &TypeSnapshot) -> Vec<ResourceStatus> {
    let subscription = &channel.subscription;
    let asked = subscription.names.iter().chain(match subscription.wildcard {
        true => current.resources.keys().collect::<Vec<_>>(),
        false => Vec::new(),
    });
    let names: BTreeSet<&ResourceName> = asked.chain(channel.holding.names()).collect();
    names.into_iter().map(|name| resource(name, channel, current)).collect()
}

fn resource(name: &ResourceName, channel: &Channel, current: &TypeSnapshot) -> ResourceStatus {
    let served = current.resources.get(name).map(|one| one.version.clone());
    let (sent, nacked) = channel.holding.versions(name);
    let under_way = channel.is_under_way(name);
    let state = match (&served, &sent, &nacked) {
        (_, _, Some(_)) => ResourceState::Nacked,
        (None, None, None) => ResourceState::Missing,
        (Some(_), None, None) => ResourceState::NotSent,
        (Some(served), Some(sent), None) if served == sent => match under_way {
            true => ResourceState::Sent,
            false => ResourceState::Synced,
        },
        (_, Some(_), None) => ResourceState::Stale,
    };
    let acked = sent.clone().filter(|_| !under_way);
    let (type_url, name) = (channel.type_url.clone(), name.clone());
    ResourceStatus { type_url, name, state, served, sent, acked, nacked }
}
