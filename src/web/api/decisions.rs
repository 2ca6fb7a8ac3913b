//! Acts on promotions. Each becomes one command to the reconciler, which alone
//! decides; a repeated act answers as the first did, with `already`.

use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::model::{PromotionId, Stage};
use crate::promote::Promotion;
use crate::reconcile::{Command, Receipt};
use crate::web::Site;
use crate::web::auth::Caller;
use crate::web::error::Fault;
use crate::web::extract::{Answer, InRepo, JsonBody, Path, repo_name};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PromoteIn {
    stage: Stage,
    bundle: String,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RollbackIn {
    to: Option<String>,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApproveIn {
    plan: Option<String>,
    #[serde(default)]
    note: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReasonIn {
    #[serde(default)]
    reason: String,
}

/// What an act came to.
#[derive(Serialize)]
pub(super) struct Done {
    promotion: Option<Promotion>,
    message: String,
    already: bool,
}

type Acted = Result<Answer<Done>, Fault>;

pub(super) async fn promote(
    State(site): State<Site>,
    InRepo(repo): InRepo,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(PromoteIn { stage, bundle, reason }): JsonBody<PromoteIn>,
) -> Acted {
    act(&site, &caller, &headers, Command::Promote { repo, stage, bundle, reason }).await
}

pub(super) async fn rollback(
    State(site): State<Site>,
    Path((project, repo, stage)): Path<(String, String, String)>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(RollbackIn { to, reason }): JsonBody<RollbackIn>,
) -> Acted {
    let (repo, stage) = (repo_name(&project, &repo)?, Stage::new(&stage)?);
    act(&site, &caller, &headers, Command::Rollback { repo, stage, to, reason }).await
}

pub(super) async fn adopt(
    State(site): State<Site>,
    InRepo(repo): InRepo,
    caller: Caller,
    headers: HeaderMap,
) -> Acted {
    act(&site, &caller, &headers, Command::Adopt { repo }).await
}

pub(super) async fn approve(
    State(site): State<Site>,
    Path(id): Path<String>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(ApproveIn { plan, note }): JsonBody<ApproveIn>,
) -> Acted {
    let id = PromotionId::new(&id)?;
    act(&site, &caller, &headers, Command::Approve { id, plan, note }).await
}

pub(super) async fn reject(
    State(site): State<Site>,
    Path(id): Path<String>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(ReasonIn { reason }): JsonBody<ReasonIn>,
) -> Acted {
    let id = PromotionId::new(&id)?;
    act(&site, &caller, &headers, Command::Reject { id, reason }).await
}

pub(super) async fn cancel(
    State(site): State<Site>,
    Path(id): Path<String>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(ReasonIn { reason }): JsonBody<ReasonIn>,
) -> Acted {
    let id = PromotionId::new(&id)?;
    act(&site, &caller, &headers, Command::Cancel { id, reason }).await
}

async fn act(site: &Site, caller: &Caller, headers: &HeaderMap, command: Command) -> Acted {
    let actor = caller.actor(headers)?;
    let Receipt { promotion, message, already } = site.web.handle.act(actor, command).await?;
    Ok(Answer(Done { promotion, message, already }))
}
