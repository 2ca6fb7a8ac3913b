//! What would come of a command, with what it would change counted: for
//! previews. Nothing is done and nothing recorded.

use super::bundle::diff_stat;
use super::{Command, Handle, Receipt};
use crate::model::Actor;
use crate::promote::{Allowed, Promotion, Refusal, RefusalKind};

/// What would come of a command.
#[derive(Debug, Clone, PartialEq)]
pub struct Rehearsal {
    /// Under which conditions it is let pass.
    pub allowed: Allowed,
    /// What would be answered.
    pub receipt: Receipt,
}

impl Handle {
    /// Tries a command out, and counts what its promotion would change.
    ///
    /// # Errors
    /// Every reason why it would be refused, as one.
    pub async fn rehearse(&self, actor: Actor, command: Command) -> Result<Rehearsal, Refusal> {
        if let Command::Adopt { repo } = &command {
            let message = format!("{repo} takes its upstream as it is now");
            let receipt = Receipt { promotion: None, message, already: false };
            return Ok(Rehearsal { allowed: Allowed::default(), receipt });
        }
        let (allowed, mut receipt) =
            self.try_out(actor, command).map_err(|refusals| as_one(&refusals))?;
        if let Some(promotion) = &mut receipt.promotion {
            self.count(promotion).await;
        }
        Ok(Rehearsal { allowed, receipt })
    }

    /// What can't be read is not counted; the decision itself would say so.
    async fn count(&self, promotion: &mut Promotion) {
        let from = match &promotion.plan.from {
            Some(id) => self.bundle(id).await.ok(),
            None => None,
        };
        if let Ok(to) = self.bundle(&promotion.plan.to).await {
            promotion.plan.diff = diff_stat(&promotion.stage, from.as_deref(), &to);
        }
    }
}

fn as_one(refusals: &[Refusal]) -> Refusal {
    let Some(first) = refusals.first() else {
        return Refusal::new(RefusalKind::Conflict, "it is not allowed now", "");
    };
    let all: Vec<_> = refusals.iter().map(|refusal| refusal.message.as_str()).collect();
    Refusal { message: all.join("; and "), ..first.clone() }
}
