//! The console's forms that act: each asks the reconciler, then shows the
//! promotion. A refusal becomes the error page, with its hint.

use axum::extract::State;
use axum::response::Redirect;
use serde::Deserialize;

use crate::model::{PromotionId, Stage};
use crate::reconcile::{Act, Command, Receipt};
use crate::web::Site;
use crate::web::error::Fault;
use crate::web::extract::{InRepo, Path, Posted, repo_name};

#[derive(Deserialize)]
pub(super) struct PromoteForm {
    bundle: String,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
pub(super) struct RollbackForm {
    #[serde(default)]
    to: String,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
pub(super) struct ApproveForm {
    /// What the person saw: an approval is for this plan only.
    plan: String,
    #[serde(default)]
    note: String,
}

#[derive(Deserialize)]
pub(super) struct ReasonForm {
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
pub(super) struct NoFields {}

type Acted = Result<Redirect, Fault>;

pub(super) async fn promote(
    State(site): State<Site>,
    Path((project, repo, stage)): Path<(String, String, String)>,
    posted: Posted<PromoteForm>,
) -> Acted {
    let (repo, stage) = (repo_name(&project, &repo)?, Stage::new(&stage)?);
    let PromoteForm { bundle, reason } = &posted.form;
    let (bundle, reason) = (bundle.clone(), reason.clone());
    act(&site, &posted, Command::Promote { repo, stage, bundle, reason }, "requested").await
}

pub(super) async fn rollback(
    State(site): State<Site>,
    Path((project, repo, stage)): Path<(String, String, String)>,
    posted: Posted<RollbackForm>,
) -> Acted {
    let (repo, stage) = (repo_name(&project, &repo)?, Stage::new(&stage)?);
    let to = Some(posted.form.to.clone()).filter(|to| !to.is_empty());
    let reason = posted.form.reason.clone();
    act(&site, &posted, Command::Rollback { repo, stage, to, reason }, "rollback").await
}

/// Ends a stage's hold, and its pin.
pub(super) async fn unpin(
    State(site): State<Site>,
    Path((project, repo, stage)): Path<(String, String, String)>,
    posted: Posted<NoFields>,
) -> Acted {
    let (repo, stage) = (repo_name(&project, &repo)?, Stage::new(&stage)?);
    act(&site, &posted, Command::Act(Act::Unpin { repo, stage }), "unpinned").await
}

pub(super) async fn approve(
    State(site): State<Site>,
    Path(id): Path<String>,
    posted: Posted<ApproveForm>,
) -> Acted {
    let id = PromotionId::new(&id)?;
    let (plan, note) = (Some(posted.form.plan.clone()), posted.form.note.clone());
    act(&site, &posted, Command::Approve { id, plan, note }, "approved").await
}

pub(super) async fn reject(
    State(site): State<Site>,
    Path(id): Path<String>,
    posted: Posted<ReasonForm>,
) -> Acted {
    let (id, reason) = (PromotionId::new(&id)?, posted.form.reason.clone());
    act(&site, &posted, Command::Reject { id, reason }, "rejected").await
}

pub(super) async fn cancel(
    State(site): State<Site>,
    Path(id): Path<String>,
    posted: Posted<ReasonForm>,
) -> Acted {
    let (id, reason) = (PromotionId::new(&id)?, posted.form.reason.clone());
    act(&site, &posted, Command::Cancel { id, reason }, "cancelled").await
}

pub(super) async fn adopt(
    State(site): State<Site>,
    InRepo(repo): InRepo,
    posted: Posted<NoFields>,
) -> Acted {
    act(&site, &posted, Command::Adopt { repo }, "adopted").await
}

pub(super) async fn sync(
    State(site): State<Site>,
    InRepo(repo): InRepo,
    _posted: Posted<NoFields>,
) -> Acted {
    site.web.store.head(&repo)?;
    site.web.handle.nudge(&repo);
    Ok(Redirect::to("/"))
}

async fn act<T>(site: &Site, posted: &Posted<T>, command: Command, said: &str) -> Acted {
    let Receipt { promotion, already, .. } = site.web.handle.act(posted.actor()?, command).await?;
    let said = if already { "already" } else { said };
    Ok(match promotion {
        Some(promotion) => Redirect::to(&format!("/promotions/{}?said={said}", promotion.id)),
        None => Redirect::to("/"),
    })
}
