//! Acts on promotions. Each becomes one command to the reconciler, which alone
//! decides; a repeated act answers as the first did, with `already`. With
//! `dry_run` nothing is done: the answer says what it would come to.

mod acts;

use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::model::{PromotionId, Stage};
use crate::promote::{Allowed, Promotion, Refusal, RefusalKind};
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
    /// A time, or how long from now.
    after: Option<String>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RollbackIn {
    to: Option<String>,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApproveIn {
    plan: Option<String>,
    #[serde(default)]
    note: String,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReasonIn {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    dry_run: bool,
}

pub(super) use acts::{
    freeze_all, on_bundle, on_promotion, on_stage, thaw_all, why_promotion, why_stage,
};

/// What an act came to.
#[derive(Serialize)]
pub(super) struct Done {
    promotion: Option<Promotion>,
    message: String,
    already: bool,
    /// What it would be like, where it was only tried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    dry_run: Option<Allowed>,
}

type Acted = Result<Answer<Done>, Fault>;

pub(super) async fn promote(
    State(site): State<Site>,
    InRepo(repo): InRepo,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(body): JsonBody<PromoteIn>,
) -> Acted {
    let PromoteIn { stage, bundle, reason, after, dry_run } = body;
    let command = match after {
        Some(after) => acts::scheduled((repo, stage), (bundle, reason), &after)?,
        None => Command::Promote { repo, stage, bundle, reason },
    };
    act(&site, &caller, &headers, command, dry_run).await
}

pub(super) async fn rollback(
    State(site): State<Site>,
    Path((project, repo, stage)): Path<(String, String, String)>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(RollbackIn { to, reason, dry_run }): JsonBody<RollbackIn>,
) -> Acted {
    let (repo, stage) = (repo_name(&project, &repo)?, Stage::new(&stage)?);
    act(&site, &caller, &headers, Command::Rollback { repo, stage, to, reason }, dry_run).await
}

pub(super) async fn adopt(
    State(site): State<Site>,
    InRepo(repo): InRepo,
    caller: Caller,
    headers: HeaderMap,
) -> Acted {
    act(&site, &caller, &headers, Command::Adopt { repo }, false).await
}

pub(super) async fn approve(
    State(site): State<Site>,
    Path(id): Path<String>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(ApproveIn { plan, note, dry_run }): JsonBody<ApproveIn>,
) -> Acted {
    let id = PromotionId::new(&id)?;
    act(&site, &caller, &headers, Command::Approve { id, plan, note }, dry_run).await
}

pub(super) async fn reject(
    State(site): State<Site>,
    Path(id): Path<String>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(ReasonIn { reason, dry_run }): JsonBody<ReasonIn>,
) -> Acted {
    let id = PromotionId::new(&id)?;
    act(&site, &caller, &headers, Command::Reject { id, reason }, dry_run).await
}

pub(super) async fn cancel(
    State(site): State<Site>,
    Path(id): Path<String>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(ReasonIn { reason, dry_run }): JsonBody<ReasonIn>,
) -> Acted {
    let id = PromotionId::new(&id)?;
    act(&site, &caller, &headers, Command::Cancel { id, reason }, dry_run).await
}

async fn act(
    site: &Site,
    caller: &Caller,
    headers: &HeaderMap,
    command: Command,
    dry_run: bool,
) -> Acted {
    let actor = caller.actor(headers)?;
    let handle = &site.web.handle;
    let (allowed, receipt) = match dry_run {
        false => (None, handle.act(actor, command).await?),
        true => {
            let (allowed, receipt) = handle.try_out(actor, command).map_err(all)?;
            (Some(allowed), receipt)
        }
    };
    let Receipt { promotion, message, already } = receipt;
    Ok(Answer(Done { promotion, message, already, dry_run: allowed }))
}

/// Every reason of a refusal in one answer.
fn all(refusals: Vec<Refusal>) -> Fault {
    let mut refusals = refusals.into_iter();
    let none = || Refusal::new(RefusalKind::Conflict, "it is refused", "`why` says more");
    let mut first = refusals.next().unwrap_or_else(none);
    for other in refusals {
        first.hint = format!("{}; also: {} ({})", first.hint, other.message, other.hint);
    }
    first.into()
}
