//! What a response of one type holds: resources, removals, and the version of
//! what the client is to have after it.
//!
//! Reads the channel and changes nothing; when a response is needed is
//! decided by `channel`, what is said around a resource by `dress`.

use std::sync::Arc;

use super::{Batch, Channel, Lack, Outgoing, Protocol};
use crate::model::{ResourceKind, ResourceName};
use crate::snapshot::{TypeSnapshot, version_of};
use crate::xds::session::dress::{self, Wearer};

impl Channel {
    pub(super) fn compose(
        &self,
        lack: &Lack,
        removals: bool,
        version: &Arc<str>,
        current: &Arc<TypeSnapshot>,
    ) -> Outgoing {
        let resources = match self.is_full() {
            true => self.visible(current),
            false => lack.send.clone(),
        };
        let version_info = match (self.protocol, self.subscription.wildcard) {
            (Protocol::Sotw, false) => self.version_of_named(current),
            _ => version.clone(),
        };
        let mut removed = Vec::new();
        let mut unknown: &[ResourceName] = &[];
        if self.protocol == Protocol::Delta {
            removed.extend(lack.gone.iter().filter(|_| removals).cloned());
            match self.kind {
                // Requests wait at Envoy for a host's virtual host, and only a
                // resource of that name, without content, lets them go on.
                Some(ResourceKind::VirtualHosts) => unknown = &lack.unknown,
                _ => removed.extend(lack.missing().cloned()),
            }
        }
        let wearer = Wearer {
            protocol: self.protocol,
            features: self.features,
            reach: self.reach.as_deref(),
        };
        let missing = match self.protocol == Protocol::Sotw && self.features.errors {
            true => self.missing(lack, removals),
            false => Vec::new(),
        };
        Outgoing {
            protocol: self.protocol,
            type_url: self.type_url.clone(),
            version: version_info,
            nonce: String::new(),
            resources: dress::dressed(resources, unknown, current, &wearer),
            removed,
            missing,
            introduces: !self.introduced,
        }
    }

    /// What is asked for by name and is not there, as far as it is news.
    fn missing(&self, lack: &Lack, removals: bool) -> Vec<ResourceName> {
        let gone = lack.gone.iter().filter(|_| removals);
        let named = gone.filter(|name| self.subscription.names.contains(*name));
        lack.missing().chain(named).cloned().collect()
    }

    /// Whether every response must hold everything that is asked for, so that
    /// absence means removal: always so for listeners and clusters, and for
    /// whatever is asked for as a whole.
    pub(super) fn is_full(&self) -> bool {
        let full_kind = matches!(self.kind, Some(ResourceKind::Clusters | ResourceKind::Listeners));
        self.protocol == Protocol::Sotw && (full_kind || self.subscription.wildcard)
    }

    /// What the client is to see: its part of the snapshot, and what it holds
    /// on to until nothing names it any more. Shared wherever it is everything.
    fn visible(&self, current: &Arc<TypeSnapshot>) -> Batch {
        let state = self.state(current);
        if self.subscription.wildcard {
            return state.all();
        }
        let named = self.subscription.names.iter();
        let found: Vec<_> = named.filter_map(|name| state.resources.get(name)).collect();
        match found.len() == state.resources.len() {
            true => state.all(),
            false => found.into_iter().cloned().collect(),
        }
    }

    /// The version of what is asked for by name, which other names don't move.
    fn version_of_named(&self, current: &Arc<TypeSnapshot>) -> Arc<str> {
        let (visible, state) = (self.visible(current), self.state(current));
        match visible.len() == state.resources.len() {
            true => state.version.clone(),
            false => version_of(&visible),
        }
    }

    /// The type as the client is to have it: the snapshot's own state, unless
    /// removals are held back, which makes another state.
    fn state(&self, current: &Arc<TypeSnapshot>) -> Arc<TypeSnapshot> {
        match self.holding.kept().is_empty() {
            true => current.clone(),
            false => current.with(self.holding.kept()),
        }
    }

    /// The version of the type as sent.
    pub(super) fn version(&self, current: &Arc<TypeSnapshot>) -> Arc<str> {
        self.state(current).version.clone()
    }
}
