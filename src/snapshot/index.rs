//! What a state of one type knows about its resources beside their names:
//! which of them expire, which have other names, which hosts they serve.
//!
//! Worked out when it is first asked for, once for all streams. Pure: it says
//! nothing that the resources don't.

mod chosen;
mod hosts;
mod on_demand;
mod peek;
mod routes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use self::hosts::Hosts;
use super::{Served, TypeSnapshot};
use crate::model::ResourceName;

/// The answers known so far. They follow from the resources, so all indexes
/// are equal, and a copy begins with an empty one.
#[derive(Debug, Default)]
pub(super) struct Index {
    expiring: OnceLock<Vec<Arc<Served>>>,
    aliases: OnceLock<BTreeMap<ResourceName, ResourceName>>,
    hosts: OnceLock<Hosts>,
    on_demand: OnceLock<BTreeSet<ResourceName>>,
    routes: OnceLock<BTreeSet<ResourceName>>,
}

impl Clone for Index {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Index {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Index {}

impl TypeSnapshot {
    /// The resources that have a time to live, by name.
    pub fn expiring(&self) -> &[Arc<Served>] {
        self.index.expiring.get_or_init(|| {
            let all = self.resources.values();
            all.filter(|one| one.wrapping.ttl.is_some()).cloned().collect()
        })
    }

    /// The names of resources by each other name they are found under. Where
    /// two have one alias, the first by name is found.
    pub fn aliases(&self) -> &BTreeMap<ResourceName, ResourceName> {
        self.index.aliases.get_or_init(|| {
            let all = self.resources.values().rev();
            let pairs = all.flat_map(|one| {
                one.wrapping.aliases.iter().map(|alias| (alias.clone(), one.name.clone()))
            });
            pairs.collect()
        })
    }

    /// Of virtual hosts named `route/…`: the one that serves what `asked`
    /// names, a `route/host`.
    pub fn virtual_host(&self, asked: &str) -> Option<&ResourceName> {
        let hosts = self.index.hosts.get_or_init(|| Hosts::of(self.resources.values()));
        hosts.find(asked)
    }

    /// Of listeners: the route configurations whose virtual hosts are loaded
    /// when a request needs them.
    pub fn routes_on_demand(&self) -> &BTreeSet<ResourceName> {
        self.index.on_demand.get_or_init(|| on_demand::routes(self.resources.values()))
    }

    /// Of listeners and scoped routes: the route configurations that they name.
    pub fn routes_named(&self) -> &BTreeSet<ResourceName> {
        self.index.routes.get_or_init(|| routes::named(self.resources.values()))
    }
}
