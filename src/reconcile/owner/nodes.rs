//! What the nodes' answers mean for the promotions that are being applied.

use crate::model::{RepoName, SnapshotKey};
use crate::promote::{self, Kind, Promotion, Status};
use crate::reconcile::culprit::culprits;
use crate::reconcile::fleet::{Refused, Word, word};
use crate::reconcile::record::{DoubtRecord, RecordError};
use crate::telemetry::clock;
use crate::xds::Doubt;

use super::{Owner, RETURN};

/// How many resources of one refusal are named with their places.
const NAMED_MAX: usize = 3;

impl Owner {
    pub(super) async fn fleet(&mut self) -> Result<(), RecordError> {
        let applying: Vec<Promotion> = self
            .state
            .promotions
            .values()
            .filter(|promotion| promotion.status.is_active())
            .cloned()
            .collect();
        for promotion in applying {
            if self.unserved.contains(&(promotion.repo.clone(), promotion.stage.clone())) {
                continue;
            }
            let stage = (&promotion.repo, &promotion.stage);
            // A refusal on the way to what was good before is of what is left.
            let forward = promotion.status == Status::Applying && promotion.kind == Kind::Promote;
            let since = promotion.applied_at.filter(|_| forward);
            let word = word(&self.parts.hub, &self.routing, stage, since);
            if let Some(event) = self.outcome(&promotion, word).await {
                self.system(event).await?;
            }
        }
        self.note_doubts().await
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
    async fn sentence(&self, repo: &RepoName, refused: &Refused) -> String {
        let Refused { node, type_url, nack } = refused;
        let kind = type_url.message().rsplit('.').next().unwrap_or("");
        let found = culprits(&self.records, &self.state, repo, type_url, nack).await;
        let named = found.iter().take(NAMED_MAX).map(ToString::to_string).collect::<Vec<_>>();
        let space = if named.is_empty() { "" } else { " " };
        format!("{node} refused {kind}{space}{}: {}", named.join(", "), nack.message)
    }

    async fn outcome(&self, promotion: &Promotion, word: Word) -> Option<promote::Event> {
        let id = promotion.id.clone();
        match word {
            Word::Refused(refused) => {
                let detail = self.sentence(&promotion.repo, &refused).await;
                Some(promote::Event::Refused { id, detail })
            }
            Word::Taken { .. } if self.may_return(promotion) => None,
            Word::Taken { nodes } => {
                let detail = format!("{nodes} connected node(s) took it");
                Some(promote::Event::Settled { id, detail })
            }
            // Steps have a deadline of their own.
            Word::Waiting if by_steps(promotion) => None,
            Word::Waiting => {
                let since =
                    promotion.step.as_ref().map(|step| step.since).or(promotion.applied_at)?;
                let waited = clock::now().duration_since(since);
                let deadline = self.parts.settings.ack_deadline;
                let over = waited.unsigned_abs() > deadline && waited.is_positive();
                let detail = "some nodes have not answered, none refused".to_owned();
                over.then_some(promote::Event::Settled { id, detail })
            }
        }
    }

    /// Whether nodes that a restart cut off may yet come back and refuse it.
    pub(super) fn may_return(&self, promotion: &Promotion) -> bool {
        let (started, started_at) = self.started;
        let wait = RETURN.min(self.parts.settings.ack_deadline);
        promotion.applied_at.is_some_and(|at| at < started_at) && started.elapsed() < wait
    }
}

fn by_steps(promotion: &Promotion) -> bool {
    promotion.course.as_ref().is_some_and(|course| course.rollout.is_some())
}
