//! What is said around a resource, as one client can read it: its time to
//! live, its other names, the name that the client asked by.
//!
//! Nearly all resources have none of it: they stay as they are, shared with
//! every stream.

use std::sync::Arc;

use bytes::Bytes;

use super::Protocol;
use super::reach::Reach;
use crate::model::{ResourceName, Wrapping};
use crate::snapshot::{Batch, Served, TypeSnapshot, wire};
use crate::xds::features::Features;

/// Whom resources are dressed for.
pub(super) struct Wearer<'a> {
    pub(super) protocol: Protocol,
    pub(super) features: Features,
    pub(super) reach: Option<&'a Reach>,
}

/// Whether the client reads times to live.
pub(super) fn knows_ttl(protocol: Protocol, features: Features) -> bool {
    match protocol {
        Protocol::Sotw => features.wrapped,
        Protocol::Delta => features.ttl,
    }
}

/// `resources` of `current` for `wearer`, and one without content for each
/// name in `unknown`.
pub(super) fn dressed(
    resources: Batch,
    unknown: &[ResourceName],
    current: &TypeSnapshot,
    wearer: &Wearer<'_>,
) -> Batch {
    if current.expiring().is_empty() && wearer.reach.is_none() && unknown.is_empty() {
        return resources;
    }
    let unknown = unknown.iter().map(nobody);
    resources.iter().map(|one| wearer.dress(one)).chain(unknown).collect()
}

/// `served` without its content: the client is to keep what it has.
pub(super) fn bodiless(served: &Served) -> Arc<Served> {
    Arc::new(Served { any: Bytes::new(), ..served.clone() })
}

/// The word that there is nothing of this name.
fn nobody(name: &ResourceName) -> Arc<Served> {
    let wrapping = Wrapping { ttl: None, aliases: vec![name.clone()] };
    let hash = wrapping.hash(&[]);
    let (version, any) = (Arc::default(), Bytes::new());
    Arc::new(Served { name: name.clone(), version, any, hash, wrapping, endpoints: None })
}

impl Wearer<'_> {
    fn dress(&self, one: &Arc<Served>) -> Arc<Served> {
        let knows = knows_ttl(self.protocol, self.features);
        let ttl = one.wrapping.ttl.filter(|_| knows);
        let own = self.reach.into_iter().flat_map(|reach| reach.names_of(&one.name));
        let mut aliases: Vec<_> = one.wrapping.aliases.iter().chain(own).cloned().collect();
        aliases.sort_unstable();
        aliases.dedup();
        let wrapping = Wrapping { ttl, aliases };
        let wraps = self.protocol == Protocol::Sotw && ttl.is_some();
        if wrapping == one.wrapping && !wraps {
            return one.clone();
        }
        let mut dressed = Served { wrapping, ..Served::clone(one) };
        if wraps {
            dressed.any = wire::wrap(&dressed);
        }
        Arc::new(dressed)
    }
}
