//! Where two places were last in step, as long as the process lives. What is
//! forgotten costs one more look at the remote, never a wrong copy.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::govern::MirrorDocument;
use crate::model::{CommitId, RepoName, Revision};

/// The two places that a mirror keeps in step, whichever way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Pair {
    local: RepoName,
    local_folder: String,
    url: String,
    branch: String,
    remote_folder: String,
}

impl Pair {
    pub(super) fn of(mirror: &MirrorDocument) -> Self {
        Self {
            local: mirror.local.clone(),
            local_folder: mirror.local_folder.clone(),
            url: mirror.url.clone(),
            branch: mirror.branch.clone(),
            remote_folder: mirror.remote_folder.clone(),
        }
    }
}

/// A moment at which both were equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    /// The branch's head.
    pub(super) remote: CommitId,
    /// A revision of ours that had the folder as it was then.
    pub(super) local: Revision,
}

/// All that is known.
#[derive(Debug, Default)]
pub(super) struct Synced {
    points: Mutex<HashMap<Pair, Point>>,
}

impl Synced {
    pub(super) fn get(&self, pair: &Pair) -> Option<Point> {
        self.points.lock().unwrap_or_else(PoisonError::into_inner).get(pair).copied()
    }

    pub(super) fn set(&self, pair: &Pair, point: Point) {
        self.points.lock().unwrap_or_else(PoisonError::into_inner).insert(pair.clone(), point);
    }

    /// Forgets: the mirror's rules may have changed.
    pub(super) fn forget(&self, pair: &Pair) {
        self.points.lock().unwrap_or_else(PoisonError::into_inner).remove(pair);
    }
}
