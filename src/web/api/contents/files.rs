//! Files of a revision: listed, read, and queried.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::Value;

use super::params::Params;
use super::scope::{FileScope, Scope};
use super::{heavy, of_content, patterns};
use crate::content;
use crate::model::{At, BlobId, FilePath, Revision};
use crate::store::{FileAt, Found, FoundKind};
use crate::web::Site;
use crate::web::error::Fault;
use crate::web::extract::Answer;

/// What else is in a query beside `revision`, at most.
const QUERIES_MAX: usize = 16;

#[derive(Serialize)]
pub(super) struct Files {
    revision: Revision,
    files: Vec<FileLine>,
}

#[derive(Serialize)]
struct FileLine {
    path: FilePath,
    size: u64,
    blob: BlobId,
}

pub(super) async fn list(
    State(site): State<Site>,
    scope: Scope,
    params: Params,
) -> Result<Answer<Files>, Fault> {
    let params = params.only(&["revision", "folder", "pattern"])?;
    let revision = scope.revision(&site, params.value::<At>("revision")?)?;
    let folder = match params.text("folder")?.unwrap_or("").trim_matches('/') {
        "" => None,
        folder => Some(format!("{}/", FilePath::new(folder)?)),
    };
    let patterns = patterns(params.text("pattern")?)?;
    let found = heavy(&site, move |site| {
        let found = site.web.store.find(&scope.repo, revision, &patterns, false)?;
        let below = |path: &FilePath| match &folder {
            Some(folder) => path.as_str().starts_with(folder),
            None => true,
        };
        let seen =
            found.into_iter().filter(|one| below(&one.path) && scope.reach.covers(&one.path));
        Ok(seen.filter_map(line).collect())
    });
    Ok(Answer(Files { revision, files: found.await? }))
}

fn line(found: Found) -> Option<FileLine> {
    match found.kind {
        FoundKind::File { blob, bytes } => Some(FileLine { path: found.path, size: bytes, blob }),
        FoundKind::Folder => None,
    }
}

#[derive(Serialize)]
struct FileContent {
    revision: Revision,
    path: FilePath,
    size: usize,
    blob: BlobId,
    /// `None`: it is not UTF-8.
    content: Option<String>,
}

#[derive(Serialize)]
struct FileValue {
    revision: Revision,
    path: FilePath,
    blob: BlobId,
    #[serde(flatten)]
    found: Queried,
}

/// What a query found.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Queried {
    /// One value.
    Value(Value),
    /// Every value that a JSONPath found.
    Nodes(Vec<Value>),
}

pub(super) async fn one(
    State(site): State<Site>,
    FileScope { scope, path }: FileScope,
    params: Params,
) -> Result<Response, Fault> {
    let params = params.only(&["revision", "query", "jsonpath"])?;
    let revision = scope.revision(&site, params.value::<At>("revision")?)?;
    let (sequence, nodes) = (params.all("query"), params.text("jsonpath")?.map(str::to_owned));
    if sequence.len() > QUERIES_MAX || (!sequence.is_empty() && nodes.is_some()) {
        return Err(Fault::invalid(
            "`query` and `jsonpath` don't go together, and `query` comes at most 16 times",
            "`query` gives what the last of a sequence finds, `jsonpath` the list of all nodes",
        ));
    }
    let file = site.web.store.file(&scope.repo, revision, &path)?;
    if sequence.is_empty() && nodes.is_none() {
        let content = std::str::from_utf8(&file.content).ok().map(Into::into);
        let (size, blob) = (file.content.len(), file.blob);
        return Ok(Answer(FileContent { revision, path, size, blob, content }).into_response());
    }
    let blob = file.blob;
    let (path, found) = heavy(&site, move |_| {
        let found = queried(&path, &file, &sequence, nodes.as_deref())?;
        Ok((path, found))
    })
    .await?;
    Ok(Answer(FileValue { revision, path, blob, found }).into_response())
}

fn queried(
    path: &FilePath,
    file: &FileAt,
    sequence: &[String],
    nodes: Option<&str>,
) -> Result<Queried, Fault> {
    let document = document(path, file)?;
    let found = match nodes {
        Some(nodes) => content::select(&document, nodes)
            .map(Queried::Nodes)
            .map_err(|error| of_content("jsonpath", &error))?,
        None => content::select_in_sequence(&document, sequence)
            .map(Queried::Value)
            .map_err(|error| of_content("query", &error))?,
    };
    Ok(found)
}

/// A JSON or YAML file as one value.
pub(super) fn document(path: &FilePath, file: &FileAt) -> Result<Value, Fault> {
    let field = path.as_str();
    let text = std::str::from_utf8(&file.content)
        .map_err(|_| Fault::invalid(format!("`{field}` is not text"), "raw/ gives any file"))?;
    content::parse(path, text).map_err(|error| of_content(field, &error))
}
