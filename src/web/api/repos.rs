//! Repositories: revisions, files, and edits.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};

use crate::access::{Reach, Right};
use crate::model::{CommitId, CommitInfo, FilePath, RepoName, Revision, Stage};
use crate::reconcile::{MirrorView, View};
use crate::store::HistoryQuery;
use crate::web::Site;
use crate::web::auth::Caller;
use crate::web::edits::{self, ChangeIn, Edit, Saved, Verdict};
use crate::web::error::Fault;
use crate::web::extract::{Answer, JsonBody, Path, Query, repo_name};

/// How many revisions one answer holds at most.
pub(crate) const REVISIONS_MAX: usize = 200;
const REVISIONS_DEFAULT: usize = 50;

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
    Path((project, repo)): Path<(String, String)>,
) -> Result<Answer<RepoCard>, Fault> {
    let view = site.web.handle.view();
    Ok(Answer(card(&site, &view, repo_name(&project, &repo)?)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RevisionsQuery {
    path: Option<FilePath>,
    limit: Option<usize>,
    from: Option<Revision>,
}

#[derive(Serialize)]
pub(super) struct Revisions {
    revisions: Vec<CommitInfo>,
}

pub(super) async fn revisions(
    State(site): State<Site>,
    Path((project, repo)): Path<(String, String)>,
    Query(query): Query<RevisionsQuery>,
    caller: Caller,
) -> Result<Answer<Revisions>, Fault> {
    let limit = query.limit.unwrap_or(REVISIONS_DEFAULT).clamp(1, REVISIONS_MAX);
    let repo = repo_name(&project, &repo)?;
    let revisions = history(&site, &caller, &repo, query.from, query.path.as_ref(), limit)?;
    Ok(Answer(Revisions { revisions }))
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FilesQuery {
    revision: Option<Revision>,
    #[serde(default)]
    folder: String,
}

#[derive(Serialize)]
pub(super) struct Files {
    revision: Revision,
    files: Vec<FileLine>,
}

#[derive(Serialize)]
struct FileLine {
    path: FilePath,
    size: u64,
}

pub(super) async fn files(
    State(site): State<Site>,
    Path((project, repo)): Path<(String, String)>,
    Query(query): Query<FilesQuery>,
    caller: Caller,
) -> Result<Answer<Files>, Fault> {
    let repo = repo_name(&project, &repo)?;
    let revision = revision_or_head(&site, &repo, query.revision)?;
    let folder = match query.folder.trim_matches('/') {
        "" => String::new(),
        folder => FilePath::new(folder)?.to_string(),
    };
    let listed = site.web.store.list(&repo, revision, &folder)?;
    let reach = caller.reach(&site, Right::Read, &repo);
    let seen = listed.into_iter().filter(|(path, _)| reach.covers(path));
    let files = seen.map(|(path, size)| FileLine { path, size }).collect();
    Ok(Answer(Files { revision, files }))
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
pub(super) struct FileQuery {
    revision: Option<Revision>,
}

#[derive(Serialize)]
pub(super) struct FileContent {
    revision: Revision,
    path: FilePath,
    size: usize,
    /// `None`: it is not UTF-8.
    content: Option<String>,
}

pub(super) async fn file(
    State(site): State<Site>,
    Path((project, repo, path)): Path<(String, String, String)>,
    Query(query): Query<FileQuery>,
    caller: Caller,
) -> Result<Answer<FileContent>, Fault> {
    let (repo, path) = (repo_name(&project, &repo)?, FilePath::new(&path)?);
    caller.may(&site, Right::Read, &repo, Some(&path))?;
    let revision = revision_or_head(&site, &repo, query.revision)?;
    let bytes = site.web.store.read(&repo, revision, &path)?;
    let content = std::str::from_utf8(&bytes).ok().map(Into::into);
    Ok(Answer(FileContent { revision, path, size: bytes.len(), content }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ValidateIn {
    revision: Option<Revision>,
    changes: Vec<ChangeIn>,
}

pub(super) async fn validate(
    State(site): State<Site>,
    Path((project, repo)): Path<(String, String)>,
    JsonBody(body): JsonBody<ValidateIn>,
) -> Result<Answer<Verdict>, Fault> {
    let repo = repo_name(&project, &repo)?;
    Ok(Answer(edits::verdict(&site, &repo, body.revision, body.changes).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CommitIn {
    base_revision: Revision,
    changes: Vec<ChangeIn>,
    message: String,
    /// Whether files that others changed meanwhile are merged by line.
    #[serde(default)]
    merge: bool,
}

pub(super) async fn commit(
    State(site): State<Site>,
    Path((project, repo)): Path<(String, String)>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(body): JsonBody<CommitIn>,
) -> Result<Answer<Saved>, Fault> {
    let repo = repo_name(&project, &repo)?;
    let CommitIn { base_revision: base, changes, message, merge } = body;
    let by = caller.origin(&headers);
    Ok(Answer(edits::save(&site, &caller, by, Edit { repo, base, changes, merge, message }).await?))
}

#[derive(Serialize)]
struct Nudged {
    message: &'static str,
}

pub(super) async fn sync(
    State(site): State<Site>,
    Path((project, repo)): Path<(String, String)>,
) -> Result<Response, Fault> {
    let repo = repo_name(&project, &repo)?;
    site.web.store.head(&repo)?;
    site.web.handle.nudge(&repo);
    let answer = Answer(Nudged { message: "the upstream is looked at soon" });
    Ok((StatusCode::ACCEPTED, answer).into_response())
}
