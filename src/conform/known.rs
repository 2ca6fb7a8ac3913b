//! What a server holds before anything was changed: what the suite put there,
//! or, without a driver, what a first look shows.

use std::collections::{BTreeMap, BTreeSet};

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::listener::v3::{Listener, filter};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, http_connection_manager::RouteSpecifier,
};
use prost::Message;

use super::answer::Answer;
use super::item::{Item, eds_cluster, endpoints, item, rds_listener, routes_to};
use crate::model::ResourceKind;

/// Names by kind.
#[derive(Debug, Clone, Default)]
pub(super) struct Known(BTreeMap<ResourceKind, BTreeSet<String>>);

impl Known {
    /// The names of `items`.
    pub(super) fn of(items: &[Item]) -> Self {
        let mut known = Self::default();
        items.iter().for_each(|item| known.add(item.kind, &item.name));
        known
    }

    /// Takes in what an answer about everything of `kind` has and names.
    pub(super) fn learn(&mut self, kind: ResourceKind, answer: &Answer) {
        for one in &answer.resources {
            self.add(kind, &one.name);
            let body = one.body.as_deref().unwrap_or_default();
            match kind {
                ResourceKind::Clusters => {
                    endpoints_of(body).iter().for_each(|n| self.add(ResourceKind::Endpoints, n));
                }
                _ => routes_of(body).iter().for_each(|n| self.add(ResourceKind::Routes, n)),
            }
        }
    }

    /// Takes in what another look showed.
    pub(super) fn add_all(&mut self, other: Self) {
        for (kind, names) in other.0 {
            self.0.entry(kind).or_default().extend(names);
        }
    }

    /// Forgets all names of `kind` but `names`.
    pub(super) fn keep(&mut self, kind: ResourceKind, names: &[String]) {
        self.0.insert(kind, names.iter().cloned().collect());
    }

    fn add(&mut self, kind: ResourceKind, name: &str) {
        self.0.entry(kind).or_default().insert(name.to_owned());
    }

    /// The names of a kind, sorted.
    pub(super) fn names(&self, kind: ResourceKind) -> Vec<String> {
        self.0.get(&kind).into_iter().flatten().cloned().collect()
    }
}

/// What a driver has the server hold before the first case: some of each kind
/// that every server can serve, naming each other as a mesh does.
pub(super) fn base() -> Vec<Item> {
    let mut items = Vec::new();
    for name in ["conform-a", "conform-b", "conform-c"] {
        items.push(eds_cluster(name, 1));
        items.push(endpoints(name, 1));
        items.push(routes_to(name, name));
        items.push(rds_listener(name, name));
    }
    items.push(item(ResourceKind::Secrets, "conform-a", 1));
    items.push(item(ResourceKind::Runtime, "conform-a", 1));
    items.push(item(ResourceKind::ExtensionConfigs, "conform-a", 1));
    items
}

fn endpoints_of(body: &[u8]) -> Option<String> {
    let cluster = Cluster::decode(body).ok()?;
    let service = cluster.eds_cluster_config?.service_name;
    Some(if service.is_empty() { cluster.name } else { service })
}

fn routes_of(body: &[u8]) -> Vec<String> {
    let chains = Listener::decode(body).map(|one| one.filter_chains).unwrap_or_default();
    let filters = chains.into_iter().flat_map(|chain| chain.filters);
    let name = |one: filter::ConfigType| match one {
        filter::ConfigType::TypedConfig(any) => {
            match HttpConnectionManager::decode(any.value.as_slice()).ok()?.route_specifier? {
                RouteSpecifier::Rds(rds) => Some(rds.route_config_name),
                _ => None,
            }
        }
        filter::ConfigType::ConfigDiscovery(_) => None,
    };
    let names = filters.filter_map(|one| name(one.config_type?));
    names.filter(|name| !name.is_empty()).collect()
}
