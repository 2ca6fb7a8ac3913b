//! A response that was not answered yet, in one part or in several.
//!
//! An incremental response of many megabytes goes out in parts, because gRPC
//! clients commonly take no message above 4 MiB. The parts follow one another
//! without waiting: they are one response cut up, and nothing newer is sent
//! before the last of them is answered. A state of the world can't be cut:
//! what one part lacks would be removed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::{Outgoing, Protocol};
use crate::model::ResourceName;
use crate::snapshot::{Batch, PART_BYTES};

/// What is under way.
#[derive(Debug)]
pub(super) struct Flight {
    /// The parts that were not answered, in the order they were sent.
    parts: VecDeque<Part>,
    /// The version of the type.
    pub(super) version: Arc<str>,
    pub(super) sent_at: Duration,
    pub(super) overdue: bool,
    /// Whether it holds names that the client did not have.
    pub(super) has_new: bool,
    /// Whether it says nothing but that things stand.
    pub(super) is_heartbeat: bool,
}

/// One message of it.
#[derive(Debug)]
pub(super) struct Part {
    nonce: String,
    pub(super) version: Arc<str>,
    pub(super) resources: Batch,
    pub(super) removed: Vec<ResourceName>,
}

impl Flight {
    /// Sent as `parts`.
    pub(super) fn new(
        parts: &[Outgoing],
        version: Arc<str>,
        has_new: bool,
        sent_at: Duration,
    ) -> Self {
        let part = |one: &Outgoing| Part {
            nonce: one.nonce.clone(),
            version: version.clone(),
            resources: one.resources.clone(),
            removed: one.removed.clone(),
        };
        let parts = parts.iter().map(part).collect();
        Self { parts, version, sent_at, overdue: false, has_new, is_heartbeat: false }
    }

    /// Marks it as one that changes nothing.
    pub(super) fn heartbeat(mut self) -> Self {
        self.parts.iter_mut().for_each(|part| part.resources = Batch::default());
        Self { is_heartbeat: true, ..self }
    }

    /// The nonce of its last part.
    pub(super) fn last_nonce(&self) -> Option<&str> {
        self.parts.back().map(|part| part.nonce.as_str())
    }

    /// Takes out the part that `nonce` answers. Clients answer in order, so
    /// those before it are answered with it.
    pub(super) fn answered(&mut self, nonce: &str) -> Option<Part> {
        let at = self.parts.iter().position(|part| part.nonce == *nonce)?;
        self.parts.drain(..=at).next_back()
    }

    /// Whether `nonce` is of a part that was not answered.
    pub(super) fn awaits(&self, nonce: &str) -> bool {
        self.parts.iter().any(|part| part.nonce == *nonce)
    }

    /// Whether every part was answered.
    pub(super) fn is_answered(&self) -> bool {
        self.parts.is_empty()
    }

    /// The names of the resources in it that were not answered.
    pub(super) fn names(&self) -> impl Iterator<Item = &ResourceName> {
        self.parts.iter().flat_map(|part| part.resources.iter()).map(|one| &one.name)
    }

    /// Whether a resource of that name is under way.
    pub(super) fn carries(&self, name: &ResourceName) -> bool {
        self.parts.iter().flat_map(|part| &part.resources).any(|one| one.name == *name)
    }
}

/// Cuts `whole` into parts, each with a nonce of its own. Removals follow
/// additions, within a type as between types.
pub(super) fn split(whole: Outgoing, mut nonce: impl FnMut() -> String) -> Vec<Outgoing> {
    let resources = match whole.protocol {
        Protocol::Sotw => vec![whole.resources.clone()],
        Protocol::Delta => whole.resources.parts(),
    };
    let removed = lists(&whole.removed);
    if resources.len() <= 1 && removed.len() <= 1 {
        return vec![Outgoing { nonce: nonce(), ..whole }];
    }
    let resources = resources.into_iter().map(|batch| (batch, Vec::new()));
    let removed = removed.into_iter().map(|names| (Batch::default(), names));
    let part = |(at, (resources, removed))| Outgoing {
        protocol: whole.protocol,
        type_url: whole.type_url.clone(),
        version: whole.version.clone(),
        nonce: nonce(),
        resources,
        removed,
        missing: Vec::new(),
        introduces: whole.introduces && at == 0,
    };
    resources.chain(removed).enumerate().map(part).collect()
}

/// `names` in lists that each fit a part.
fn lists(names: &[ResourceName]) -> Vec<Vec<ResourceName>> {
    let mut lists: Vec<Vec<ResourceName>> = Vec::new();
    let mut room = 0;
    for name in names {
        // A tag and a length stand before each.
        let len = name.0.len() + 8;
        match lists.last_mut().filter(|_| len <= room) {
            Some(last) => last.push(name.clone()),
            None => {
                lists.push(vec![name.clone()]);
                room = PART_BYTES;
            }
        }
        room = room.saturating_sub(len);
    }
    lists
}
