//! How everybody else asks the reconciler for something.
use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::View;
use crate::model::{
    Actor, BundleId, NodeGroup, Place, PromotionId, RepoName, ResourceName, Stage, TypeUrl,
};
use crate::promote::{Promotion, Refusal};
use crate::snapshot::Snapshot;

/// What a person can ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Move a stage's pointer forward. `bundle`: an id, its unique beginning,
    /// a stage whose current bundle is meant, a commit's beginning, `r<N>`.
    Promote { repo: RepoName, stage: Stage, bundle: String, reason: String },
    /// Yes, to the plan whose digest begins so (`None`: as it stands).
    Approve { id: PromotionId, plan: Option<String>, note: String },
    /// No.
    Reject { id: PromotionId, reason: String },
    /// Never mind.
    Cancel { id: PromotionId, reason: String },
    /// Back to what was good (`None`: the one before the current).
    Rollback { repo: RepoName, stage: Stage, to: Option<String>, reason: String },
    /// Take a diverged upstream as it is now.
    Adopt { repo: RepoName },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Receipt {
    /// The promotion as it stands now; `None` for commands about none.
    pub promotion: Option<Promotion>,
    /// One sentence for the person.
    pub message: String,
    /// Whether it had been done before, so that nothing changed.
    pub already: bool,
}

/// A bundle's rendered content.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Its name.
    pub id: BundleId,
    /// What each stage × group would be served.
    pub snapshots: BTreeMap<(Stage, NodeGroup), Arc<Snapshot>>,
    /// Where each resource was written.
    pub places: BTreeMap<(TypeUrl, ResourceName), Place>,
}

/// The reconciler as others see it; cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {}

impl Handle {
    /// The newest view.
    pub fn view(&self) -> Arc<View> {
        todo!()
    }
    /// Follows the view.
    pub fn watch(&self) -> watch::Receiver<Arc<View>> {
        todo!()
    }
    /// Asks for something; answers when it is durable or refused.
    pub async fn act(&self, _actor: Actor, _command: Command) -> Result<Receipt, Refusal> {
        todo!()
    }
    /// The upstream may have changed; look soon.
    pub fn nudge(&self, _repo: &RepoName) {
        todo!()
    }
    /// A bundle's rendered content.
    pub async fn bundle(&self, _id: &BundleId) -> Result<Arc<Bundle>, Refusal> {
        todo!()
    }
}
