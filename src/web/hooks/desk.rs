//! What the hooks ask of the reconciler, as a trait so that tests can stand in
//! for it.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use globset::GlobMatcher;

use crate::model::{Actor, BundleId, RepoName};
use crate::promote::{Promotion, Refusal};
use crate::reconcile::{Bundle, Command, Handle, Receipt, Rehearsal, View};
use crate::snapshot::{Sides, Summary};

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
    /// What differs between two sides, of resources whose names `only` matches.
    fn changes(
        &self,
        sides: (Sides, Sides),
        only: Option<GlobMatcher>,
    ) -> BoxFuture<'_, Result<Summary, Refusal>>;
    /// What a promotion, recorded or rehearsed, would change now; `None` where
    /// its content can't be read.
    fn changes_of<'a>(&'a self, promotion: &'a Promotion) -> BoxFuture<'a, Option<Summary>>;
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

    fn changes(
        &self,
        sides: (Sides, Sides),
        only: Option<GlobMatcher>,
    ) -> BoxFuture<'_, Result<Summary, Refusal>> {
        Box::pin(Self::changes(self, sides, only))
    }

    fn changes_of<'a>(&'a self, promotion: &'a Promotion) -> BoxFuture<'a, Option<Summary>> {
        Box::pin(Self::changes_of(self, promotion))
    }

    fn nudge(&self, repo: &RepoName) {
        Self::nudge(self, repo);
    }
}
