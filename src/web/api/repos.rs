//! Repositories: revisions, files, and edits.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};

use crate::access::{Reach, Right};
use crate::model::{At, CommitId, CommitInfo, FilePath, RepoName, Revision, Stage};
use crate::reconcile::{MirrorView, View};
use crate::store::HistoryQuery;
use crate::web::Site;
use crate::web::auth::Caller;
use crate::web::edits::{self, ChangeIn, Edit, Saved, Verdict};
use crate::web::error::Fault;
use crate::web::extract::{Answer, InRepo, JsonBody};

#[derive(Serialize)]
pub(super) struct Repos {
    repos: Vec<RepoCard>,
}

/// One repository.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct RepoCard {
    pub(crate) repo: RepoName,
    pub(crate) head: HeadCard,
    pub(crate) mirror: Option<MirrorView>,
    pub(crate) stages: Vec<Stage>,
}

/// Where it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct HeadCard {
    pub(crate) revision: Revision,
    pub(crate) commit: Option<CommitId>,
}

/// Every repository that the caller may read something of.
pub(crate) fn cards(site: &Site, caller: &Caller) -> Result<Vec<RepoCard>, Fault> {
    let view = site.web.handle.view();
    let registry = site.web.govern.registry();
    let repos = registry.repositories();
    let seen = repos.filter(|repo| caller.reach(site, Right::Read, repo) != Reach::Nothing);
    seen.map(|repo| card(site, &view, repo)).collect()
}

fn card(site: &Site, view: &View, repo: RepoName) -> Result<RepoCard, Fault> {
    let head = site.web.store.head(&repo)?;
    let stages = view.manifests.get(&repo).into_iter().flat_map(|manifest| &manifest.stages);
    Ok(RepoCard {
        head: HeadCard { revision: head.revision, commit: head.commit },
        mirror: view.mirrors.get(&repo).cloned(),
        stages: stages.map(|spec| spec.name.clone()).collect(),
        repo,
    })
}

pub(super) async fn list(State(site): State<Site>, caller: Caller) -> Result<Answer<Repos>, Fault> {
    Ok(Answer(Repos { repos: cards(&site, &caller)? }))
}

pub(super) async fn one(
    State(site): State<Site>,
    InRepo(repo): InRepo,
) -> Result<Answer<RepoCard>, Fault> {
    let view = site.web.handle.view();
    Ok(Answer(card(&site, &view, repo)?))
}

/// Revisions that changed a file, or what the caller may read.
pub(crate) fn history(
    site: &Site,
    caller: &Caller,
    repo: &RepoName,
    newest: Option<Revision>,
    path: Option<&FilePath>,
    limit: usize,
) -> Result<Vec<CommitInfo>, Fault> {
    let reach = caller.reach(site, Right::Read, repo);
    if path.is_some() || reach == Reach::All {
        path.map_or(Ok(()), |path| caller.may(site, Right::Read, repo, Some(path)))?;
        return Ok(site.web.store.history(repo, newest, path, limit)?);
    }
    let Some(patterns) = reach.patterns() else { return Ok(Vec::new()) };
    let query = HistoryQuery { newest, oldest: None, patterns, limit };
    Ok(site.web.store.history_of(repo, &query)?)
}

/// The revision that is named.
pub(super) fn counted(site: &Site, repo: &RepoName, at: At) -> Result<Revision, Fault> {
    let head = site.web.store.head(repo)?.revision;
    at.of(head).ok_or_else(|| {
        let message = format!("`{repo}` has no revision {at}: its head is {head}");
        Fault::not_found(message, "the history lists them; -1 is the head, -2 the one before it")
    })
}

/// The revision asked for, or the newest.
pub(crate) fn revision_or_head(
    site: &Site,
    repo: &RepoName,
    revision: Option<Revision>,
) -> Result<Revision, Fault> {
    match revision {
        Some(revision) => Ok(revision),
        None => Ok(site.web.store.head(repo)?.revision),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ValidateIn {
    revision: Option<At>,
    changes: Vec<ChangeIn>,
}

pub(super) async fn validate(
    State(site): State<Site>,
    InRepo(repo): InRepo,
    JsonBody(body): JsonBody<ValidateIn>,
) -> Result<Answer<Verdict>, Fault> {
    let revision = counted(&site, &repo, body.revision.unwrap_or(At::HEAD))?;
    Ok(Answer(edits::verdict(&site, &repo, Some(revision), body.changes).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CommitIn {
    base_revision: At,
    changes: Vec<ChangeIn>,
    message: String,
    /// Whether files that others changed meanwhile are merged by line.
    #[serde(default)]
    merge: bool,
}

pub(super) async fn commit(
    State(site): State<Site>,
    InRepo(repo): InRepo,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(body): JsonBody<CommitIn>,
) -> Result<Answer<Saved>, Fault> {
    let CommitIn { base_revision, changes, message, merge } = body;
    let base = counted(&site, &repo, base_revision)?;
    let by = caller.origin(&headers);
    Ok(Answer(edits::save(&site, &caller, by, Edit { repo, base, changes, merge, message }).await?))
}

#[derive(Serialize)]
struct Nudged {
    message: &'static str,
}

pub(super) async fn sync(
    State(site): State<Site>,
    InRepo(repo): InRepo,
) -> Result<Response, Fault> {
    site.web.store.head(&repo)?;
    site.web.handle.nudge(&repo);
    let answer = Answer(Nudged { message: "the upstream is looked at soon" });
    Ok((StatusCode::ACCEPTED, answer).into_response())
}
