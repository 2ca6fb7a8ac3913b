//! From a source tree to typed Envoy resources, and every mistake on the way.
//!
//! Pure: no file, no clock, nothing random. The same code serves a push, the
//! preview, the editor, the command line and the tests.
//!
//! ```text
//! SourceTree ─ layout ─ values ─ template ─ (inventory) ─ typed ─ merge ─ Output
//!                                 └────────── memo ──────────┘
//! ```

mod document;
mod inventory;
mod layout;
mod manifest;
mod memo;
mod merge;
mod mistakes;
mod rendered;
mod stage;
mod template;
mod typed;
mod values;
mod yaml;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{
    ContentHash, FilePath, Manifest, Problem, ResourceKind, Resources, SourceTree, Stage,
};
use crate::schema::Schema;

pub use layout::overlooked;
pub use merge::unite;
pub use rendered::{Origin, RenderedFile, SourceMap};
pub use typed::decode;

/// Renders source trees. Holds the schema and a memo of pure results (file ×
/// inputs → resources), nothing else: the same input gives the same output,
/// with or without the memo.
#[derive(Debug)]
pub struct Renderer {
    schema: Schema,
    memo: memo::Memo,
    /// Whom to judge for, instead of the Envoys that manifests name.
    envoys: Option<Vec<String>>,
}

/// What one stage of a source tree rendered to.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Every resource that could be made, complete for each node group.
    pub resources: Resources,
    /// Every mistake, sorted by place; empty means that the output is whole.
    pub problems: Vec<Problem>,
    /// What the stage's Envoys take, and ignore, as they don't know it.
    pub warnings: Vec<Problem>,
    /// Hash over every group's resources: equal output, equal hash.
    pub hash: ContentHash,
    /// The text of each file after its templates ran, for preview.
    pub files: Vec<Arc<RenderedFile>>,
    /// The kinds of which a mistake may have kept resources back: that one of
    /// them is missing is a consequence, not a mistake of its own.
    pub incomplete: BTreeSet<ResourceKind>,
}

impl Renderer {
    /// A renderer with an empty memo.
    pub fn new(schema: Schema) -> Self {
        Self { schema, memo: memo::Memo::default(), envoys: None }
    }

    /// The same, judging for the Envoys `versions` instead of those that
    /// manifests name.
    pub fn for_envoys(self, versions: Vec<String>) -> Self {
        Self { envoys: Some(versions), ..self }
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
    pub fn manifest(&self, tree: &SourceTree) -> Result<Option<Manifest>, Vec<Problem>> {
        let manifest = manifest::read(tree)?;
        let Some(versions) = &self.envoys else { return Ok(manifest) };
        Ok(manifest.map(|mut manifest| {
            for spec in &mut manifest.stages {
                spec.envoy_versions.clone_from(versions);
            }
            manifest
        }))
    }

    /// Renders one stage. Its problems name the stage, except for those that
    /// every stage has; [`unite`] puts those of several stages together.
    pub fn render(&self, tree: &SourceTree, manifest: &Manifest, stage: &Stage) -> Output {
        let versions = manifest.stage(stage).map(|spec| spec.envoy_versions.as_slice());
        let targets = self.schema.targets(versions.unwrap_or_default());
        let decode = |file: &RenderedFile| typed::decode_for(&self.schema, file, &targets);
        let renderings = stage::render(&self.memo, &decode, tree, manifest, stage);
        merge::merge(manifest, stage, renderings)
    }
}

/// Fills in one of Convoy's own templates, such as Envoy's bootstrap, by the
/// rules of users' templates. `values` must be a map.
///
/// # Errors
/// The mistake that stopped it.
pub fn fill(name: &FilePath, source: &str, values: serde_json::Value) -> Result<String, Problem> {
    let values = minijinja::Value::from(minijinja::value::Serde(values));
    let engine = template::Engine::new(&template::Sources::default(), values);
    engine.run(name, source).map(|(text, _)| text)
}

#[cfg(test)]
mod tests;
