//! What the hooks ask of the reconciler, as a trait so that tests can stand in
//! for it.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::model::{Actor, BundleId, RepoName};
use crate::promote::Refusal;
use crate::reconcile::{Bundle, Command, Handle, Receipt, Rehearsal, View};

/// Where requests are taken.
pub trait Desk: Send + Sync {
    /// The newest view.
    fn view(&self) -> Arc<View>;
    /// Asks for something; answers when it is durable or refused.
    fn act(&self, actor: Actor, command: Command) -> BoxFuture<'_, Result<Receipt, Refusal>>;
    /// What would come of it: nothing is done, nothing recorded.
    fn rehearse(&self, actor: Actor, command: Command)
    -> BoxFuture<'_, Result<Rehearsal, Refusal>>;
    /// A bundle's rendered content.
    fn bundle<'a>(&'a self, id: &'a BundleId) -> BoxFuture<'a, Result<Arc<Bundle>, Refusal>>;
    /// The upstream may have changed; look soon.
    fn nudge(&self, repo: &RepoName);
}

impl Desk for Handle {
    fn view(&self) -> Arc<View> {
        Self::view(self)
    }

    fn act(&self, actor: Actor, command: Command) -> BoxFuture<'_, Result<Receipt, Refusal>> {
        Box::pin(Self::act(self, actor, command))
    }

    fn rehearse(
        &self,
        actor: Actor,
        command: Command,
    ) -> BoxFuture<'_, Result<Rehearsal, Refusal>> {
        Box::pin(Self::rehearse(self, actor, command))
    }

    fn bundle<'a>(&'a self, id: &'a BundleId) -> BoxFuture<'a, Result<Arc<Bundle>, Refusal>> {
        Box::pin(Self::bundle(self, id))
    }

    fn nudge(&self, repo: &RepoName) {
        Self::nudge(self, repo);
    }
}
