//! The life of repositories: made, removed, restored, purged, bounded.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};

use super::Done;
use crate::govern::{RepositoryDocument, RepositoryStatus, Stamp};
use crate::model::{RepoName, Revision};
use crate::store::{Quota, Usage};
use crate::web::Site;
use crate::web::error::Fault;
use crate::web::extract::{Answer, By, InRepo, JsonBody, Path, repo_name};

/// A repository as a document, and what it holds.
#[derive(Debug, Serialize)]
pub(super) struct Card {
    repo: RepoName,
    head: Revision,
    created: Stamp,
    status: RepositoryStatus,
    quota: Quota,
    usage: Usage,
}

async fn card(site: &Site, repo: RepoName, one: RepositoryDocument) -> Result<Card, Fault> {
    let head = site.web.store.head(&repo)?.revision;
    let (store, name) = (site.web.store.clone(), repo.clone());
    let counting = tokio::task::spawn_blocking(move || store.usage(&name));
    let usage = counting.await.map_err(|error| Fault::internal(&error))??;
    let RepositoryDocument { created, status, quota, .. } = one;
    Ok(Card { repo, head, created, status, quota, usage })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateIn {
    name: String,
}

pub(super) async fn create(
    State(site): State<Site>,
    Path(project): Path<String>,
    By(by): By,
    JsonBody(body): JsonBody<CreateIn>,
) -> Result<Response, Fault> {
    let repo = repo_name(&project, &body.name)?;
    let made = site.web.govern.create_repository(&by, &repo).await?;
    let card = card(&site, repo, made).await?;
    Ok((StatusCode::CREATED, Answer(card)).into_response())
}

pub(super) async fn one(
    State(site): State<Site>,
    InRepo(repo): InRepo,
) -> Result<Answer<Card>, Fault> {
    let document = site.web.govern.registry().repository(&repo).cloned();
    let document = document.ok_or_else(|| Fault::no_repository(&repo))?;
    Ok(Answer(card(&site, repo, document).await?))
}

pub(super) async fn remove(
    State(site): State<Site>,
    InRepo(repo): InRepo,
    By(by): By,
) -> Result<Answer<Done>, Fault> {
    site.web.govern.remove_repository(&by, &repo).await?;
    Ok(Done::says(format!("`{repo}` is removed; an owner of the project can restore it")))
}

pub(super) async fn restore(
    State(site): State<Site>,
    InRepo(repo): InRepo,
    By(by): By,
) -> Result<Answer<Done>, Fault> {
    site.web.govern.restore_repository(&by, &repo).await?;
    Ok(Done::says(format!("`{repo}` is back")))
}

pub(super) async fn purge(
    State(site): State<Site>,
    InRepo(repo): InRepo,
    By(by): By,
) -> Result<Answer<Done>, Fault> {
    site.web.govern.purge_repository(&by, &repo).await?;
    Ok(Done::says(format!("`{repo}` is gone for ever")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatusIn {
    status: RepositoryStatus,
}

pub(super) async fn set_status(
    State(site): State<Site>,
    InRepo(repo): InRepo,
    By(by): By,
    JsonBody(body): JsonBody<StatusIn>,
) -> Result<Answer<Card>, Fault> {
    let changed = site.web.govern.set_status(&by, &repo, body.status).await?;
    Ok(Answer(card(&site, repo, changed).await?))
}

pub(super) async fn set_quota(
    State(site): State<Site>,
    InRepo(repo): InRepo,
    By(by): By,
    JsonBody(quota): JsonBody<Quota>,
) -> Result<Answer<Card>, Fault> {
    let changed = site.web.govern.set_quota(&by, &repo, quota).await?;
    Ok(Answer(card(&site, repo, changed).await?))
}
