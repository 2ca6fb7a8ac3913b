//! Merges on demand: documents over each other, and three texts by line.
//! Nothing is written.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::files::document;
use super::params::Params;
use super::scope::Scope;
use super::{heavy, of_content};
use crate::content;
use crate::model::{At, BlobId, FilePath, RepoName, Revision};
use crate::store::{FileAt, StoreError};
use crate::web::Site;
use crate::web::error::Fault;
use crate::web::extract::{Answer, JsonBody};

/// How many files one merge lays over each other.
const FILES_MAX: usize = 64;

#[derive(Serialize)]
pub(super) struct Overlaid {
    revision: Revision,
    /// The files that were there, in the order in which they were laid.
    paths: Vec<FilePath>,
    value: Value,
}

/// A file to lay over the others.
struct Layer {
    path: FilePath,
    optional: bool,
}

pub(super) async fn overlaid(
    State(site): State<Site>,
    scope: Scope,
    params: Params,
) -> Result<Answer<Overlaid>, Fault> {
    let params = params.only(&["revision", "path", "optional", "query"])?;
    let revision = scope.revision(&site, params.value::<At>("revision")?)?;
    let layers = layers(&scope, &params)?;
    let sequence = params.all("query");
    heavy(&site, move |site| {
        let (mut paths, mut documents) = (Vec::new(), Vec::new());
        for Layer { path, optional } in layers {
            match site.web.store.file(&scope.repo, revision, &path) {
                Ok(file) => {
                    documents.push(document(&path, &file)?);
                    paths.push(path);
                }
                Err(StoreError::NoFile { .. }) if optional => {}
                Err(error) => return Err(error.into()),
            }
        }
        if documents.is_empty() {
            let message = format!("none of the files is in revision {revision}");
            return Err(Fault::not_found(message, "name at least one that is there"));
        }
        let merged = content::overlay(&documents).map_err(|error| of_content("path", &error))?;
        let value = match sequence.is_empty() {
            true => merged,
            false => content::select_in_sequence(&merged, &sequence)
                .map_err(|error| of_content("query", &error))?,
        };
        Ok(Answer(Overlaid { revision, paths, value }))
    })
    .await
}

fn layers(scope: &Scope, params: &Params) -> Result<Vec<Layer>, Fault> {
    let mut layers = Vec::new();
    for (name, value) in params.pairs().filter(|(name, _)| matches!(*name, "path" | "optional")) {
        let path = FilePath::new(value)?;
        scope.check(&path)?;
        layers.push(Layer { path, optional: name == "optional" });
    }
    if layers.is_empty() || layers.len() > FILES_MAX {
        let message = format!("{} files are named", layers.len());
        return Err(Fault::invalid(message, "name 1 to 64 with `path=` or `optional=`"));
    }
    Ok(layers)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ThreeIn {
    path: FilePath,
    /// What the edit was made on.
    base_revision: At,
    /// What it is to be merged with; the head where it is left out.
    #[serde(default)]
    revision: At,
    /// The edited text.
    content: String,
}

#[derive(Serialize)]
pub(super) struct Three {
    /// What it was merged with.
    revision: Revision,
    path: FilePath,
    /// The file's content at that revision; null: it is not there.
    blob: Option<BlobId>,
    /// Whether both edits fit together.
    clean: bool,
    /// The merged text; where both changed the same lines, with Git's markers.
    content: String,
}

pub(super) async fn three(
    State(site): State<Site>,
    scope: Scope,
    JsonBody(body): JsonBody<ThreeIn>,
) -> Result<Answer<Three>, Fault> {
    let ThreeIn { path, base_revision, revision, content: edited } = body;
    scope.check(&path)?;
    let base = scope.revision(&site, Some(base_revision))?;
    let revision = scope.revision(&site, Some(revision))?;
    heavy(&site, move |site| {
        let (before, _) = text(site, &scope.repo, base, &path)?;
        let (theirs, blob) = text(site, &scope.repo, revision, &path)?;
        let (clean, content) = match content::merge_three(&before, &theirs, &edited) {
            Ok(merged) => (true, merged),
            Err(conflict) => (false, conflict.marked),
        };
        Ok(Answer(Three { revision, path, blob, clean, content }))
    })
    .await
}

/// A file's text; empty where it is not there.
fn text(
    site: &Site,
    repo: &RepoName,
    revision: Revision,
    path: &FilePath,
) -> Result<(String, Option<BlobId>), Fault> {
    let FileAt { blob, content } = match site.web.store.file(repo, revision, path) {
        Err(StoreError::NoFile { .. }) => return Ok((String::new(), None)),
        found => found?,
    };
    let text = std::str::from_utf8(&content).map_err(|_| {
        let message = format!("`{path}` is not text in revision {revision}");
        Fault::invalid(message, "only texts can be merged by line")
    })?;
    Ok((text.to_owned(), Some(blob)))
}
