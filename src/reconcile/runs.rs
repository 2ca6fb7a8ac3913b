//! The cells of the matrix that are at work, and those that should be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::model::{BundleId, Cell, Outcome};
use crate::promote::{BundleRecord, BundleStatus, State};
use crate::retry::Backoff;
use crate::smoke::Suite;

/// The waits before a cell that could not run is tried again.
const BACKOFF: Backoff =
    Backoff { first: Duration::from_secs(15), longest: Duration::from_secs(600) };

/// What is at work, and what waits to be tried again.
#[derive(Debug, Default)]
pub(super) struct Runs {
    working: BTreeMap<(BundleId, Cell), AbortHandle>,
    since: BTreeMap<(BundleId, Cell), Timestamp>,
    again: BTreeMap<(BundleId, Cell), (Instant, u32)>,
    suites: BTreeMap<BundleId, Arc<Suite>>,
    /// What a person wants to be run whatever is known of it.
    afresh: BTreeSet<(BundleId, Cell)>,
}

impl Runs {
    /// What is at work, and since when.
    pub(super) fn running(&self) -> BTreeMap<(BundleId, Cell), Timestamp> {
        self.since.clone()
    }

    /// Runs cells again, whatever is known of their content.
    pub(super) fn afresh(&mut self, id: &BundleId, cells: &[Cell]) {
        for name in cells.iter().map(|cell| (id.clone(), cell.clone())) {
            self.again.remove(&name);
            if let Some(handle) = self.working.remove(&name) {
                handle.abort();
            }
            self.since.remove(&name);
            self.afresh.insert(name);
        }
    }

    /// Whether a known result is not enough.
    pub(super) fn is_afresh(&self, id: &BundleId, cell: &Cell) -> bool {
        self.afresh.contains(&(id.clone(), cell.clone()))
    }

    /// A cell's turn has come; one that was dropped meanwhile has none.
    pub(super) fn at_work(&mut self, id: &BundleId, cell: &Cell, now: Timestamp) {
        let name = (id.clone(), cell.clone());
        if self.working.contains_key(&name) {
            self.since.insert(name, now);
        }
    }

    /// The checks of a bundle, where they were read.
    pub(super) fn suite(&self, id: &BundleId) -> Option<Arc<Suite>> {
        self.suites.get(id).cloned()
    }

    /// Keeps the checks of a bundle while it matters.
    pub(super) fn keep_suite(&mut self, id: &BundleId, suite: Arc<Suite>) {
        self.suites.insert(id.clone(), suite);
    }

    /// A cell began.
    pub(super) fn began(&mut self, id: &BundleId, cell: &Cell, handle: AbortHandle) {
        self.working.insert((id.clone(), cell.clone()), handle);
    }

    /// A cell ended.
    pub(super) fn ended(&mut self, id: &BundleId, cell: &Cell, outcome: Outcome, now: Instant) {
        let name = (id.clone(), cell.clone());
        self.working.remove(&name);
        self.since.remove(&name);
        self.afresh.remove(&name);
        if outcome != Outcome::Errored {
            self.again.remove(&name);
            return;
        }
        let failures = self.again.get(&name).map_or(0, |(_, failures)| *failures) + 1;
        self.again.insert(name, (now + BACKOFF.wait(failures, 0.0), failures));
    }

    /// Ends the cells that nobody waits for any more.
    pub(super) fn drop_unwanted(&mut self, state: &State) {
        let wanted: Vec<BundleId> = self.wanted(state).map(|bundle| bundle.id.clone()).collect();
        self.suites.retain(|id, _| wanted.contains(id));
        self.again.retain(|(id, _), _| wanted.contains(id));
        self.working.retain(|(id, _), handle| {
            let keep = wanted.contains(id);
            if !keep {
                handle.abort();
            }
            keep
        });
        self.since.retain(|name, _| self.working.contains_key(name));
    }

    /// The cells to begin now, in stage order.
    pub(super) fn missing(&self, state: &State, now: Instant) -> Vec<(BundleId, Cell)> {
        let mut missing = Vec::new();
        for bundle in self.wanted(state) {
            for spec in &bundle.manifest.stages {
                for cell in state.cells(bundle, &spec.name) {
                    let name = (bundle.id.clone(), cell);
                    let outcome = bundle.result(&name.1).map(|result| result.outcome);
                    let due = self.again.get(&name).is_none_or(|(at, _)| *at <= now);
                    let open = outcome.is_none_or(|outcome| outcome == Outcome::Errored);
                    if open && due && !self.working.contains_key(&name) {
                        missing.push(name);
                    }
                }
            }
        }
        missing
    }

    /// The bundles whose matrix matters: each repository's newest, those that
    /// somebody wants to promote, and those that somebody wants to be run
    /// again.
    fn wanted<'a>(&self, state: &'a State) -> impl Iterator<Item = &'a BundleRecord> + use<'a> {
        let newest = state.repos().into_iter().filter_map(|repo| state.newest_eligible(&repo));
        let asked = state
            .promotions
            .values()
            .filter(|promotion| promotion.status.is_waiting())
            .filter_map(|promotion| state.bundles.get(&promotion.bundle));
        let afresh = self.afresh.iter().filter_map(|(id, _)| state.bundles.get(id));
        let mut all: BTreeMap<&BundleId, &BundleRecord> = BTreeMap::new();
        all.extend(newest.chain(asked).chain(afresh).map(|bundle| (&bundle.id, bundle)));
        all.into_values().filter(|bundle| bundle.status != BundleStatus::Rejected)
    }
}
