//! Get, list and history.

use serde_json::Value;
use tonic::{Request, Status};

use super::{Service, messages, proto, status, who};
use crate::access::{Missing, Reach, Right};
use crate::content;
use crate::model::{CommitInfo, FilePath, RepoName, Revision};
use crate::store::{FileAt, FoundKind, HistoryQuery, Store};

/// How many revisions one answer holds.
const COMMITS_DEFAULT: usize = 50;
const COMMITS_MAX: usize = 1000;

pub(super) async fn get(
    service: &Service,
    request: Request<proto::GetRequest>,
) -> Result<proto::GetResponse, Status> {
    let who = who::caller(&service.rpc, request.metadata())?;
    let asked = request.into_inner();
    let (repo, reach) = who::reach(&service.rpc, &who, Right::Read, &asked.repository)?;
    let path = messages::path("path", &asked.path)?;
    if !reach.covers(&path) {
        let place = format!("{repo}:/{path}");
        return Err(status::denied(&Missing { who: who.name, right: Right::Read, place }));
    }
    let revision = who::revision(&service.rpc, &repo, asked.revision)?;
    let file = service.rpc.store.file(&repo, revision, &path).map_err(status::of_store)?;
    let (blob, size) = (file.blob.to_string(), file.content.len() as u64);
    let found = if asked.query.is_empty() && asked.jsonpath.is_empty() {
        proto::get_response::Found::Content(file.content)
    } else {
        let (path, query) = (path.clone(), (asked.query, asked.jsonpath));
        let json = service.heavy(move |_| queried(&path, &file, &query.0, &query.1)).await?;
        proto::get_response::Found::Json(json)
    };
    let (revision, path) = (messages::number(revision), path.into());
    Ok(proto::GetResponse { revision, path, blob, size, found: Some(found) })
}

fn queried(
    path: &FilePath,
    file: &FileAt,
    sequence: &[String],
    nodes: &str,
) -> Result<String, Status> {
    if !sequence.is_empty() && !nodes.is_empty() {
        return Err(status::invalid("jsonpath", &"give either `query` or `jsonpath`"));
    }
    let text = std::str::from_utf8(&file.content)
        .map_err(|_| status::invalid("path", &format!("`{path}` is not text")))?;
    let document =
        content::parse(path, text).map_err(|error| status::of_content("path", &error))?;
    let found = match nodes {
        "" => content::select_in_sequence(&document, sequence)
            .map_err(|error| status::of_content("query", &error))?,
        nodes => content::select(&document, nodes)
            .map(Value::Array)
            .map_err(|error| status::of_content("jsonpath", &error))?,
    };
    Ok(found.to_string())
}

pub(super) async fn list(
    service: &Service,
    request: Request<proto::ListRequest>,
) -> Result<proto::ListResponse, Status> {
    let who = who::caller(&service.rpc, request.metadata())?;
    let asked = request.into_inner();
    let (repo, reach) = who::reach(&service.rpc, &who, Right::Read, &asked.repository)?;
    let patterns = messages::patterns(&asked.pattern)?;
    let revision = who::revision(&service.rpc, &repo, asked.revision)?;
    let found = service
        .heavy(move |store| store.find(&repo, revision, &patterns, false).map_err(status::of_store))
        .await?;
    let file = |found: crate::store::Found| match found.kind {
        FoundKind::File { blob, bytes } if reach.covers(&found.path) => {
            Some(proto::File { path: found.path.into(), blob: blob.to_string(), size: bytes })
        }
        _ => None,
    };
    let files = found.into_iter().filter_map(file).collect();
    Ok(proto::ListResponse { revision: messages::number(revision), files })
}

pub(super) async fn history(
    service: &Service,
    request: Request<proto::HistoryRequest>,
) -> Result<proto::HistoryResponse, Status> {
    let who = who::caller(&service.rpc, request.metadata())?;
    let asked = request.into_inner();
    let (repo, reach) = who::reach(&service.rpc, &who, Right::Read, &asked.repository)?;
    let newest = who::revision(&service.rpc, &repo, asked.newest)?;
    let oldest = match asked.oldest {
        0 => Revision(1),
        given => who::revision(&service.rpc, &repo, given)?,
    };
    let limit = match usize::try_from(asked.limit) {
        Ok(limit) if limit > 0 => limit.min(COMMITS_MAX),
        _ => COMMITS_DEFAULT,
    };
    let query = HistoryQuery {
        newest: Some(newest),
        oldest: Some(oldest),
        patterns: messages::patterns(&asked.pattern)?,
        limit,
    };
    let found = service.heavy(move |store| commits(store, &repo, query, &reach)).await?;
    let commits = found.into_iter().map(messages::commit).collect();
    Ok(proto::HistoryResponse { commits })
}

fn commits(
    store: &Store,
    repo: &RepoName,
    query: HistoryQuery,
    reach: &Reach,
) -> Result<Vec<CommitInfo>, Status> {
    crate::feed::history(store, repo, query, reach).map_err(status::of_store)
}
