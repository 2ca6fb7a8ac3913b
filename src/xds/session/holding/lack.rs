//! What a client lacks of what it should hold, and which removals it is not to
//! hear of for now.

use std::collections::BTreeSet;

use crate::model::ResourceName;
use crate::snapshot::Batch;

/// What the client lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::xds::session) struct Lack {
    /// To be sent. Streams that lack the same share it, and so its bytes.
    pub(in crate::xds::session) send: Batch,
    /// Held, and gone from the snapshot.
    pub(in crate::xds::session) gone: Vec<ResourceName>,
    /// Asked for, and not there; the client was not told so far.
    pub(in crate::xds::session) unknown: Vec<ResourceName>,
    /// Gone too, and not to be told for now. A client that lacks nothing else
    /// is in step.
    pub(in crate::xds::session) held: Vec<ResourceName>,
}

impl Lack {
    /// What is unknown and was not there before either: a client that holds on
    /// to something is not told that it is missing.
    pub(in crate::xds::session) fn missing(&self) -> impl Iterator<Item = &ResourceName> {
        self.unknown.iter().filter(|name| !self.held.contains(name))
    }

    /// Whether there are removals and nothing else.
    pub(in crate::xds::session) fn is_only_gone(&self) -> bool {
        !self.gone.is_empty() && self.send.is_empty() && self.unknown.is_empty()
    }

    /// Whether the client is in step.
    pub(in crate::xds::session) fn is_none(&self) -> bool {
        self.send.is_empty() && self.gone.is_empty() && self.unknown.is_empty()
    }
}

/// Removals that are not to be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::xds::session) enum Hold {
    /// None is held back.
    #[default]
    Nothing,
    /// Those of these names.
    Names(BTreeSet<ResourceName>),
    /// All of them.
    Everything,
}

impl Hold {
    /// Holds `name` back too.
    pub(in crate::xds::session) fn add(&mut self, name: &ResourceName) {
        match self {
            Self::Nothing => *self = Self::Names(BTreeSet::from([name.clone()])),
            Self::Names(names) => drop(names.insert(name.clone())),
            Self::Everything => {}
        }
    }

    pub(super) fn holds(&self, name: &ResourceName) -> bool {
        match self {
            Self::Nothing => false,
            Self::Names(names) => names.contains(name),
            Self::Everything => true,
        }
    }
}
