//! What a promotion, or anything else, would change, told in sentences: for
//! whoever is asked for a yes.
//!
//! Comparing large sides takes a core for a while, so it is done beside the
//! owner, few at a time, and what a card shows is kept until its plan changes.
//! Called by `web` (through [`Handle`]) and by the cards.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use globset::GlobMatcher;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::handle::Handle;
use super::record::Records;
use super::{Bundle, View};
use crate::model::{BundleId, RepoName, SnapshotKey, Stage};
use crate::promote::{Plan, Promotion, Refusal, RefusalKind};
use crate::schema::Schema;
use crate::snapshot::{Sides, Summary, summarize};
use crate::xds::Hub;

/// Comparisons at once: each uses a whole core.
const AT_ONCE: usize = 1;
/// Plans whose summaries are kept; with more that wait they are made again.
const KEPT_MAX: usize = 256;

/// What is compared: from what a stage serves to what it would serve.
type Compared = (RepoName, Stage, Option<BundleId>, BundleId);

/// Compares; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Differ {
    schema: Schema,
    hub: Hub,
    records: Records,
    turns: Arc<Semaphore>,
    /// Those for cards, which wait for nobody else.
    cards: Arc<Semaphore>,
    kept: Arc<Mutex<BTreeMap<Compared, Arc<Summary>>>>,
}

impl Differ {
    pub(super) fn new(schema: Schema, hub: Hub, records: Records) -> Self {
        let turns = || Arc::new(Semaphore::new(AT_ONCE));
        Self { schema, hub, records, turns: turns(), cards: turns(), kept: Arc::default() }
    }

    /// What the plan of a promotion changes, as it was when it was first
    /// asked for; `None` where that can't be told.
    pub(super) async fn kept(&self, view: &View, promotion: &Promotion) -> Option<Arc<Summary>> {
        let Promotion { repo, stage, plan: Plan { from, to, .. }, .. } = promotion;
        let compared = (repo.clone(), stage.clone(), from.clone(), to.clone());
        let known = self.lock().get(&compared).cloned();
        if known.is_some() {
            return known;
        }
        let sides = self.sides(view, promotion).await?;
        // One that nobody waits for any more is at work: its outcome is found
        // here later.
        let turn = self.cards.clone().try_acquire_owned().ok()?;
        let made = self.compare(turn, sides, None, move |differ, summary| {
            let (summary, mut kept) = (Arc::new(summary), differ.lock());
            if kept.len() >= KEPT_MAX {
                kept.clear();
            }
            kept.insert(compared, summary.clone());
            summary
        });
        made.await.ok()
    }

    /// Both sides of a promotion, by node group.
    async fn sides(&self, view: &View, promotion: &Promotion) -> Option<(Sides, Sides)> {
        let bundles = &view.state.bundles;
        let from = match &promotion.plan.from {
            Some(id) => Some(self.records.bundle(bundles.get(id)?).await.ok()?),
            None => None,
        };
        let to = self.records.bundle(bundles.get(&promotion.plan.to)?).await.ok()?;
        let of = |bundle: &Bundle| sides_of(bundle, &promotion.stage);
        Some((from.as_deref().map(of).unwrap_or_default(), of(&to)))
    }

    async fn compare<T: Send + 'static>(
        &self,
        turn: OwnedSemaphorePermit,
        (from, to): (Sides, Sides),
        only: Option<GlobMatcher>,
        then: impl FnOnce(&Self, Summary) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let differ = self.clone();
        let work = move || {
            let _turn = turn;
            let tally = differ.hub.tally().into_iter();
            let nodes: BTreeMap<SnapshotKey, usize> =
                tally.map(|(key, tally)| (key, tally.nodes)).collect();
            let keep = |name: &crate::model::ResourceName| {
                only.as_ref().is_none_or(|only| only.is_match(&*name.0))
            };
            then(&differ, summarize(&differ.schema, (&from, &to), &nodes, &keep))
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| interrupted())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Compared, Arc<Summary>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handle {
    /// What differs from one side to the other; of resources whose names
    /// `only` matches.
    ///
    /// # Errors
    /// The program ends.
    pub async fn changes(
        &self,
        sides: (Sides, Sides),
        only: Option<GlobMatcher>,
    ) -> Result<Summary, Refusal> {
        let turn = self.differ.turns.clone().acquire_owned().await;
        let turn = turn.map_err(|_| interrupted())?;
        self.differ.compare(turn, sides, only, |_, summary| summary).await
    }

    /// What a promotion, which need not be recorded, changes now; `None` where
    /// its bundles can't be read.
    pub async fn changes_of(&self, promotion: &Promotion) -> Option<Summary> {
        let sides = self.differ.sides(&self.view(), promotion).await?;
        self.changes(sides, None).await.ok()
    }
}

/// What a bundle gives in one stage, by node group.
fn sides_of(bundle: &Bundle, stage: &Stage) -> Sides {
    let of_stage = bundle.stage(stage);
    of_stage.map(|snapshot| (snapshot.key.group.to_string(), snapshot.clone())).collect()
}

fn interrupted() -> Refusal {
    let hint = "try again in a moment";
    Refusal::new(RefusalKind::Unavailable, "the comparison was interrupted", hint)
}
