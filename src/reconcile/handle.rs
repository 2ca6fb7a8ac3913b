//! How everybody else asks the reconciler for something.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::changes::Differ;
use super::event::Event;
use super::record::Records;
use super::resolve::event_of;
use super::{Act, Bundle, View};
use crate::model::{Actor, BundleId, ContentHash, PromotionId, RepoName, Stage};
use crate::promote::{self, Allowed, Promotion, Refusal, RefusalKind, State, Status};
use crate::smoke::{Evidence, Smoke};
use crate::tasks::Tasks;
use crate::telemetry::clock;

/// What a person can ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Move a stage's pointer forward.
    Promote {
        /// The repository.
        repo: RepoName,
        /// The stage.
        stage: Stage,
        /// A bundle's id, its unique beginning, a stage whose current bundle
        /// is meant, a commit's beginning, `r<N>` or `latest`.
        bundle: String,
        /// Why.
        reason: String,
    },
    /// Yes, to the plan whose digest begins so (`None`: as it stands).
    Approve {
        /// The promotion.
        id: PromotionId,
        /// The digest's beginning, at least four digits.
        plan: Option<String>,
        /// What they add.
        note: String,
    },
    /// No.
    Reject {
        /// The promotion.
        id: PromotionId,
        /// Why.
        reason: String,
    },
    /// Never mind.
    Cancel {
        /// The promotion.
        id: PromotionId,
        /// Why.
        reason: String,
    },
    /// Back to what was good (`None`: the one before the current).
    Rollback {
        /// The repository.
        repo: RepoName,
        /// The stage.
        stage: Stage,
        /// A bundle, as in `Promote`.
        to: Option<String>,
        /// Why.
        reason: String,
    },
    /// Everything else that is decided about promotions and stages.
    Act(Act),
    /// Take a diverged upstream as it is now.
    Adopt {
        /// The repository.
        repo: RepoName,
    },
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

impl Receipt {
    /// What a decision came to in the state that it led to.
    pub(super) fn of(state: &State, decision: &promote::Decision) -> Self {
        let about = decision.about.as_ref().and_then(|id| state.promotions.get(id));
        let message = match about {
            Some(promotion) => sentence(promotion),
            None => decision.message.lines().next().unwrap_or("done").to_owned(),
        };
        Self { promotion: about.cloned(), message, already: decision.already }
    }
}

fn sentence(promotion: &Promotion) -> String {
    let Promotion { id, bundle, stage, status, .. } = promotion;
    let cause = promotion.cause.as_deref().unwrap_or_default();
    let step = promotion
        .step
        .as_ref()
        .filter(|step| step.of > 1)
        .map_or(String::new(), |step| format!(", step {} of {}", step.index + 1, step.of));
    match status {
        Status::Gated | Status::Ready => {
            let closed = promotion.gates.iter().find(|gate| !gate.open);
            let wait = closed.map_or(String::new(), |gate| {
                format!(", waiting for {}: {}", gate.kind.word(), gate.detail)
            });
            format!("{id}: {bundle} to {stage}{wait}")
        }
        Status::Applying => format!("{id}: {bundle} is being applied in {stage}{step}"),
        Status::Observing | Status::Verifying => {
            format!("{id}: {bundle} is {} in {stage}{step}", status.word())
        }
        Status::Paused | Status::RollingBack | Status::Stuck => {
            format!("{id}: {} in {stage}{step}: {cause}", status.word())
        }
        _ => {
            let reason = promotion.ending.as_ref().map_or("", |ending| ending.reason.as_str());
            format!("{id}: {} ({reason})", status.word())
        }
    }
}

/// The reconciler as others see it; cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(super) events: mpsc::Sender<Event>,
    pub(super) view: watch::Receiver<Arc<View>>,
    pub(super) records: Records,
    pub(super) tasks: Tasks,
    pub(super) smoke: Smoke,
    pub(super) differ: Differ,
}

impl Handle {
    /// What is kept of a smoke run, where it still is.
    pub fn evidence(&self, hash: ContentHash) -> Option<Evidence> {
        self.smoke.evidence(hash)
    }

    /// The newest view.
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// Follows the view.
    pub fn watch(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// Resolves when streams that follow the view should end, because the
    /// program does.
    pub fn draining(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.tasks.draining()
    }

    /// Asks for something; answers when it is durable.
    ///
    /// # Errors
    /// The refusal says what was refused, why, and what to do.
    pub async fn act(&self, actor: Actor, command: Command) -> Result<Receipt, Refusal> {
        let (reply, answer) = oneshot::channel();
        let sent = self.events.send(Event::Command { actor, command, reply }).await;
        sent.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }

    /// What a command would come to now; nothing is changed, nothing promised.
    ///
    /// # Errors
    /// Every reason why it would be refused.
    pub fn try_out(
        &self,
        actor: Actor,
        command: Command,
    ) -> Result<(Allowed, Receipt), Vec<Refusal>> {
        let (view, now) = (self.view(), clock::now());
        let event = event_of(&view.state, actor, command).map_err(|refusal| vec![refusal])?;
        let allowed = promote::allowed(&view.state, &event, now)?;
        let decision = promote::step(&view.state, event, now).map_err(|refusal| vec![refusal])?;
        let mut next = State::clone(&view.state);
        for document in &decision.documents {
            next.put(document.clone());
        }
        Ok((allowed, Receipt::of(&next, &decision)))
    }

    /// The upstream (or the repository itself) may have changed; look soon.
    /// Lost when the queue is full, which the next poll makes up for.
    pub fn nudge(&self, repo: &RepoName) {
        let _ = self.events.try_send(Event::Nudge(repo.clone()));
    }

    /// A bundle's rendered content.
    ///
    /// # Errors
    /// The bundle is not known, or what was recorded of it is damaged.
    pub async fn bundle(&self, id: &BundleId) -> Result<Arc<Bundle>, Refusal> {
        let view = self.view();
        let Some(record) = view.state.bundles.get(id) else {
            let message = format!("there is no bundle {id}");
            let hint = "`status` lists the bundles that are known";
            return Err(Refusal::new(RefusalKind::NotFound, message, hint));
        };
        self.records.bundle(record).await.map_err(|error| {
            tracing::error!(bundle = %id, error = %error, "a bundle can't be read");
            let message = format!("{id} can't be read");
            Refusal::new(RefusalKind::Unavailable, message, "the log has the reason")
        })
    }
}

fn stopping() -> Refusal {
    let message = "convoy is stopping";
    Refusal::new(RefusalKind::Unavailable, message, "try again in a moment")
}
