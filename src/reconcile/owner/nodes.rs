//! What the nodes' answers mean for the promotions that are being applied.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::{PromotionId, RepoName, SnapshotKey, Stage};
use crate::promote::{self, Kind, Promotion, Status, StepState};
use crate::reconcile::culprit::culprits;
use crate::reconcile::fleet::{Facts, Refused, Word, facts, laggard};
use crate::reconcile::record::{DoubtRecord, RecordError};
use crate::snapshot::Cohort;
use crate::telemetry::clock;
use crate::xds::Doubt;

use super::{Owner, RETURN};

/// How many resources of one refusal are named with their places.
const NAMED_MAX: usize = 3;

/// What a look at the nodes is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// What changed.
    News,
    /// Everything, whatever was told before.
    All,
}

/// What a promotion was told of its nodes last.
#[derive(Debug)]
pub(super) struct Told {
    /// The epoch and the step.
    point: (u64, u32),
    facts: Facts,
    /// Who refused what, in one sentence: it takes a look into the history.
    sentence: Option<String>,
}

impl Owner {
    /// Looks at the nodes, and tells every promotion that is under way what
    /// they say. Everything follows from how they stand now: a lost report, or
    /// a restart, costs one more look.
    pub(super) async fn fleet(&mut self, look: Look) -> Result<(), RecordError> {
        let active = |promotion: &&Promotion| promotion.status.is_active();
        let active: Vec<_> = self.state.promotions.values().filter(active).cloned().collect();
        self.told.retain(|id, _| active.iter().any(|promotion| &promotion.id == id));
        for promotion in active {
            if self.unserved.contains(&(promotion.repo.clone(), promotion.stage.clone())) {
                continue;
            }
            let event = match &promotion.step {
                Some(step) => self.step_facts(&promotion, step, look).await,
                None => self.outcome(&promotion).await,
            };
            if let Some(event) = event {
                self.system(event).await?;
            }
        }
        self.note_doubts().await
    }

    /// How the nodes of a step stand; `None` where that was told already.
    async fn step_facts(
        &mut self,
        promotion: &Promotion,
        step: &StepState,
        look: Look,
    ) -> Option<promote::Event> {
        let Promotion { id, repo, stage, .. } = promotion;
        let cohort = step.subset.clone().map(|of| Cohort::new(repo.clone(), stage.clone(), of));
        // A refusal on the way to what was good before is of what is left.
        let back = matches!(promotion.status, Status::RollingBack | Status::Stuck);
        let back = back || promotion.kind == Kind::Rollback;
        let since = promotion.applied_at.filter(|_| !back);
        let facts = facts(&self.parts.hub, &self.routing, (repo, stage), cohort.as_ref(), since);
        if facts.refused.is_none() && self.may_return(step.since) {
            return None;
        }
        if let Some(event) = self.overdue(promotion, step, &facts) {
            return Some(event);
        }
        let point = (step.epoch, step.index);
        let known = self.told.get(id).filter(|told| (told.point, &told.facts) == (point, &facts));
        if known.is_some() && look == Look::News {
            return None;
        }
        let sentence = match (known.map(|told| told.sentence.clone()), &facts.refused) {
            (Some(known), _) => known,
            (None, Some(refused)) => Some(self.sentence((repo, &promotion.stage), refused).await),
            (None, None) => None,
        };
        let event = promote::Event::StepFacts {
            id: id.clone(),
            epoch: step.epoch,
            step: step.index,
            nodes: facts.nodes,
            acked: facts.acked,
            refused: sentence.clone(),
        };
        self.told.insert(id.clone(), Told { point, facts, sentence });
        Some(event)
    }

    /// Records what nodes refuse where that is news.
    async fn note_doubts(&mut self) -> Result<(), RecordError> {
        let now = clock::now();
        let known: Vec<_> = self.parts.hub.doubts();
        let record = |doubt: &Doubt| DoubtRecord {
            key: doubt.key.clone(),
            version: doubt.version,
            taken: doubt.taken,
            refused: doubt.refused,
            at: now,
        };
        // What can't be served for now is not over.
        let unserved =
            |key: &SnapshotKey| self.unserved.contains(&(key.repo.clone(), key.stage.clone()));
        let over =
            |key: &&SnapshotKey| !unserved(key) && !known.iter().any(|doubt| doubt.key == **key);
        for key in self.doubts.keys().filter(over).cloned().collect::<Vec<_>>() {
            self.records.write_doubt(&key, None, now).await?;
            tracing::info!(key = %key, "its nodes no longer refuse what is served");
            self.doubts.remove(&key);
        }
        let news = |doubt: &&Doubt| {
            self.doubts.get(&doubt.key).is_none_or(|noted| noted.version != doubt.version)
        };
        for doubt in known.iter().filter(news).map(record).collect::<Vec<_>>() {
            let (key, version) = (doubt.key.clone(), doubt.version.short());
            self.records.write_doubt(&key, Some(&doubt), now).await?;
            tracing::warn!(key = %key, version = %version, taken = doubt.taken,
                refused = doubt.refused,
                "its nodes refuse what is served; nodes that join get what was taken before");
            self.doubts.insert(key, doubt);
        }
        Ok(())
    }

    /// Who refused what, and who wrote it, in one sentence.
    async fn sentence(&self, stage: (&RepoName, &Stage), refused: &Refused) -> String {
        let Refused { node, type_url, nack } = refused;
        let kind = type_url.message().rsplit('.').next().unwrap_or("");
        let found = culprits(&self.records, &self.state, stage, type_url, nack).await;
        let named = found.iter().take(NAMED_MAX).map(ToString::to_string).collect::<Vec<_>>();
        let space = if named.is_empty() { "" } else { " " };
        format!("{node} refused {kind}{space}{}: {}", named.join(", "), nack.message)
    }

    /// What follows from time alone, where nodes are silent or have something
    /// else than they are served.
    fn overdue(
        &self,
        promotion: &Promotion,
        step: &StepState,
        facts: &Facts,
    ) -> Option<promote::Event> {
        if facts.refused.is_some() || facts.acked == facts.nodes {
            return None;
        }
        let rollout = promotion.course.as_ref().and_then(|course| course.rollout.as_ref());
        match (promotion.status, rollout) {
            // Without steps nobody waits for the silent ones for ever.
            (Status::Applying | Status::RollingBack, None) if self.is_late(step.since) => {
                Some(silent(promotion.id.clone()))
            }
            (Status::Verifying, Some(rollout)) => {
                let enough = facts.nodes.saturating_mul(rollout.acked_percent)
                    <= facts.acked.saturating_mul(100);
                let late = Duration::from_secs(rollout.deadline_seconds);
                let stage = (&promotion.repo, &promotion.stage);
                let behind = || laggard(&self.parts.hub, &self.routing, stage, late, clock::now());
                let detail = (!enough).then(behind).flatten()?;
                Some(promote::Event::Drift { id: promotion.id.clone(), detail })
            }
            _ => None,
        }
    }

    fn is_late(&self, since: Timestamp) -> bool {
        let waited = clock::now().duration_since(since);
        waited.is_positive() && waited.unsigned_abs() > self.parts.settings.ack_deadline
    }

    /// As [`Owner::step_facts`], for one that was begun before there were steps.
    async fn outcome(&self, promotion: &Promotion) -> Option<promote::Event> {
        let (id, applied_at) = (promotion.id.clone(), promotion.applied_at?);
        let stage = (&promotion.repo, &promotion.stage);
        let since = Some(applied_at).filter(|_| promotion.kind == Kind::Promote);
        match facts(&self.parts.hub, &self.routing, stage, None, since).word() {
            Word::Refused(refused) => {
                let detail = self.sentence(stage, &refused).await;
                Some(promote::Event::Refused { id, detail })
            }
            Word::Taken { .. } if self.may_return(applied_at) => None,
            Word::Taken { nodes } => {
                let detail = format!("{nodes} connected node(s) took it");
                Some(promote::Event::Settled { id, detail })
            }
            Word::Waiting => self.is_late(applied_at).then(|| silent(id)),
        }
    }

    /// Whether nodes that a restart cut off may yet come back and refuse what
    /// is served since `since`.
    pub(super) fn may_return(&self, since: Timestamp) -> bool {
        let (started, started_at) = self.started;
        let wait = RETURN.min(self.parts.settings.ack_deadline);
        since < started_at && started.elapsed() < wait
    }
}

fn silent(id: PromotionId) -> promote::Event {
    let detail = "some nodes have not answered, none refused".to_owned();
    promote::Event::Settled { id, detail }
}
