//! What one key serves at a moment: one publication to everybody, and perhaps
//! a candidate to a part of the nodes. One value, swapped as a whole, so that
//! no node is ever between the two.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use super::{Publication, Release};
use crate::model::{ContentHash, NodeIdentity};
use crate::snapshot::{Cohort, Snapshot};

/// A snapshot to be served, and what it came with.
#[derive(Debug, Clone)]
pub struct Issue {
    /// The snapshot.
    pub snapshot: Arc<Snapshot>,
    /// Where it comes from, for people.
    pub release: Option<Release>,
}

/// What to serve for a key from now on.
#[derive(Debug, Clone, Default)]
pub struct Offer {
    /// For everybody whom the candidate does not go to. `None`: they are sent
    /// nothing.
    pub base: Option<Issue>,
    /// A candidate, and whom it goes to.
    pub trial: Option<(Arc<Cohort>, Issue)>,
}

/// What is served.
#[derive(Debug, Clone, Default)]
pub(in crate::xds) struct Live {
    pub(super) base: Option<Arc<Publication>>,
    pub(super) trial: Option<(Arc<Cohort>, Arc<Publication>)>,
    /// Since when, for people and for measuring.
    pub(super) since: Option<(Timestamp, Instant)>,
}

impl Live {
    /// What `node` is to be served.
    pub(in crate::xds) fn of(&self, node: &NodeIdentity) -> Option<&Arc<Publication>> {
        match &self.trial {
            Some((cohort, candidate)) if cohort.takes(node) => Some(candidate),
            _ => self.base.as_ref(),
        }
    }

    /// What is served to most: the candidate only where there is nothing else.
    pub(in crate::xds) fn main(&self) -> Option<&Arc<Publication>> {
        self.base.as_ref().or(self.candidate())
    }

    /// What is tried.
    pub(super) fn candidate(&self) -> Option<&Arc<Publication>> {
        self.trial.as_ref().map(|(_, candidate)| candidate)
    }

    /// Both, the candidate first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Publication>> {
        self.candidate().into_iter().chain(&self.base)
    }

    /// The publication of a snapshot.
    pub(super) fn version(&self, version: ContentHash) -> Option<&Arc<Publication>> {
        self.all().find(|one| one.snapshot.version == version)
    }

    /// Whether nothing is served.
    pub(super) fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    /// Whether nobody is served anything else than by `other`.
    pub(super) fn equals(&self, other: &Self) -> bool {
        let number = |one: Option<&Arc<Publication>>| one.map(|one| one.number);
        let cohort = |live: &Self| live.trial.as_ref().map(|(cohort, _)| cohort.clone());
        number(self.base.as_ref()) == number(other.base.as_ref())
            && number(self.candidate()) == number(other.candidate())
            && cohort(self) == cohort(other)
    }
}
