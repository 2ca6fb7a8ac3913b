//! From a source tree to typed Envoy resources, and every mistake on the way.

mod manifest;
mod rendered;
mod typed;
mod yaml;

use std::sync::Arc;

use crate::model::{ContentHash, Manifest, Problem, Resources, SourceTree, Stage};
use crate::schema::Schema;

pub use rendered::{Origin, RenderedFile};
pub use typed::decode;

/// Renders source trees. Holds the schema and a memo of pure results (file ×
/// inputs → resources), nothing else: the same input gives the same output,
/// with or without the memo.
#[derive(Debug)]
pub struct Renderer {
    schema: Schema,
}

/// What one stage of a source tree rendered to.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Every resource that could be made, complete for each node group.
    pub resources: Resources,
    /// Every mistake, sorted by place; empty means that the output is whole.
    pub problems: Vec<Problem>,
    /// Hash over every group's resources: equal output, equal hash.
    pub hash: ContentHash,
    /// The text of each file after its templates ran, for preview.
    pub files: Vec<Arc<RenderedFile>>,
}

impl Renderer {
    /// A renderer with an empty memo.
    pub fn new(schema: Schema) -> Self {
        Self { schema }
    }
    /// The schema it types resources with.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }
    /// Reads `convoy.yaml`. `Ok(None)`: the tree has none, so it is plain
    /// versioned configuration without a pipeline.
    ///
    /// # Errors
    /// Every mistake in the manifest.
    pub fn manifest(&self, _tree: &SourceTree) -> Result<Option<Manifest>, Vec<Problem>> {
        todo!()
    }
    /// Renders one stage.
    pub fn render(&self, _tree: &SourceTree, _manifest: &Manifest, _stage: &Stage) -> Output {
        todo!()
    }
}
