//! What is granted on one repository.

use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::access::{Grant, RepositoryPolicy, Right, Subject};
use crate::govern::RepositoryDocument;
use crate::model::RepoName;
use crate::web::Site;
use crate::web::error::Fault;
use crate::web::extract::{Answer, By, InRepo, JsonBody};

#[derive(Debug, Serialize)]
pub(super) struct Grants {
    repo: RepoName,
    /// What the project's members have.
    member: Option<Right>,
    /// What everybody has who logged in.
    guest: Option<Right>,
    grants: Vec<Grant>,
}

impl Grants {
    fn of(repo: RepoName, one: RepositoryDocument) -> Answer<Self> {
        let RepositoryPolicy { member, guest, grants } = one.policy;
        Answer(Self { repo, member, guest, grants })
    }
}

pub(super) async fn list(
    State(site): State<Site>,
    InRepo(repo): InRepo,
) -> Result<Answer<Grants>, Fault> {
    let document = site.web.govern.registry().repository(&repo).cloned();
    let document = document.ok_or_else(|| Fault::no_repository(&repo))?;
    Ok(Grants::of(repo, document))
}

pub(super) async fn add(
    State(site): State<Site>,
    InRepo(repo): InRepo,
    By(by): By,
    JsonBody(Grant { to, right, paths }): JsonBody<Grant>,
) -> Result<Answer<Grants>, Fault> {
    let govern = &site.web.govern;
    let changed = govern.set_grant(&by, &repo, &to, Some(right), paths.as_deref()).await?;
    Ok(Grants::of(repo, changed))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RemoveIn {
    to: Subject,
    paths: Option<String>,
}

pub(super) async fn remove(
    State(site): State<Site>,
    InRepo(repo): InRepo,
    By(by): By,
    JsonBody(RemoveIn { to, paths }): JsonBody<RemoveIn>,
) -> Result<Answer<Grants>, Fault> {
    let changed = site.web.govern.set_grant(&by, &repo, &to, None, paths.as_deref()).await?;
    Ok(Grants::of(repo, changed))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RightsIn {
    /// Null takes what they had; leaving it out is a mistake.
    #[serde(deserialize_with = "Option::deserialize")]
    member: Option<Right>,
    #[serde(deserialize_with = "Option::deserialize")]
    guest: Option<Right>,
}

pub(super) async fn set_rights(
    State(site): State<Site>,
    InRepo(repo): InRepo,
    By(by): By,
    JsonBody(RightsIn { member, guest }): JsonBody<RightsIn>,
) -> Result<Answer<Grants>, Fault> {
    let changed = site.web.govern.set_project_rights(&by, &repo, member, guest).await?;
    Ok(Grants::of(repo, changed))
}
