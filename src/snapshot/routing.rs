//! Which node gets which snapshot.
use crate::model::{GroupRule, NodeIdentity, NodeRule, RepoName, SnapshotKey, Stage};

/// The rules of one stage, taken from the bundle that is active in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The repository.
    pub repo: RepoName,
    /// The stage.
    pub stage: Stage,
    /// Which nodes are of the stage; one must match.
    pub nodes: Vec<NodeRule>,
    /// The stage's groups, first match wins; none matching is `default`.
    pub groups: Vec<GroupRule>,
}

/// The rules of every stage of every pipeline, in matching order.
#[derive(Debug, Default)]
pub struct Routing {
    routes: Vec<Route>,
}

impl Routing {
    /// Compiles the rules. A glob that can't be compiled matches nothing;
    /// `render` refuses it in a manifest before it comes here.
    pub fn new(routes: Vec<Route>) -> Self {
        Self { routes }
    }
    /// What `node` is served from; `None` where no stage matches it.
    pub fn assign(&self, _node: &NodeIdentity) -> Option<SnapshotKey> {
        let _ = &self.routes;
        todo!()
    }
}
