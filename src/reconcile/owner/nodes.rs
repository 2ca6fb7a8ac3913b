//! What the nodes' answers mean for the promotions that are being applied.

use crate::promote::{self, Kind, Promotion, Status};
use crate::reconcile::fleet::{Word, word};
use crate::reconcile::record::RecordError;
use crate::telemetry::clock;

use super::{Owner, RETURN};

impl Owner {
    pub(super) async fn fleet(&mut self) -> Result<(), RecordError> {
        let applying: Vec<Promotion> = self
            .state
            .promotions
            .values()
            .filter(|promotion| promotion.status == Status::Applying)
            .cloned()
            .collect();
        if applying.is_empty() {
            return Ok(());
        }
        for promotion in applying {
            if self.unserved.contains(&(promotion.repo.clone(), promotion.stage.clone())) {
                continue;
            }
            let stage = (&promotion.repo, &promotion.stage);
            // A refusal on the way to what was good before is of what is left.
            let since = promotion.applied_at.filter(|_| promotion.kind == Kind::Promote);
            let word = word(&self.parts.hub, &self.routing, stage, since);
            if let Some(event) = self.outcome(&promotion, word) {
                self.system(event).await?;
            }
        }
        Ok(())
    }

    pub(super) fn outcome(&self, promotion: &Promotion, word: Word) -> Option<promote::Event> {
        let id = promotion.id.clone();
        match word {
            Word::Refused(detail) => Some(promote::Event::Refused { id, detail }),
            Word::Taken { .. } if self.may_return(promotion) => None,
            Word::Taken { nodes } => {
                let detail = format!("{nodes} connected node(s) took it");
                Some(promote::Event::Settled { id, detail })
            }
            Word::Waiting => {
                let since = promotion.applied_at?;
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
