//! Stand-in for the signature that the reconciler's author writes.
use std::collections::BTreeMap;

use crate::model::{Finding, Manifest, Problem, SourceTree, Stage};
use crate::render::{Output, Renderer};

/// Everything that can be said of a source tree.
#[derive(Debug, Clone)]
pub struct Assessment {
    /// The pipeline, where the tree has a readable one.
    pub manifest: Option<Manifest>,
    /// Every mistake.
    pub problems: Vec<Problem>,
    /// What the linter says.
    pub findings: Vec<Finding>,
    /// Per stage, what it rendered to.
    pub outputs: BTreeMap<Stage, Output>,
}

/// Assesses a tree.
pub fn assess(_renderer: &Renderer, _tree: &SourceTree) -> Assessment {
    todo!()
}
