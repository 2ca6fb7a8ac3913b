//! Repositories: listed, made, removed, brought back, purged, made read-only.

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::answer::{self, Reply};
use super::fault;
use super::names;
use super::projects::is_removed;
use super::request::{self, Json, Params, Unremove};
use super::revision;
use crate::access::{Reach, Right};
use crate::config::Role;
use crate::govern::{RepositoryDocument, RepositoryStatus};
use crate::model::RepoName;
use crate::web::Site;
use crate::web::auth::Caller;
use crate::web::error::Fault;
use crate::web::extract::Path;

/// Names that Central Dogma keeps for itself in each project.
const RESERVED: [&str; 2] = ["dogma", "meta"];

type Whole = Path<(String, String)>;

pub(super) async fn list(
    State(site): State<Site>,
    Path(project): Path<String>,
    RawQuery(query): RawQuery,
    caller: Caller,
) -> Reply {
    let removed = is_removed(&Params::parse(query.as_deref()))?;
    let registry = site.web.govern.registry();
    let found = registry.projects.get(&project).filter(|one| one.removed.is_none());
    let found = found.ok_or_else(|| fault::no_project(&project))?;
    if removed && !registry.policy.owns(&caller.principal(), &project) {
        return Err(fault::forbidden(format!("you must own the project `{project}`")));
    }
    let mut repos: Vec<_> = found.repositories.iter().collect();
    repos.retain(|(_, one)| one.removed.is_some() == removed);
    repos.sort_by_key(|(_, one)| one.created.at);
    let mut listed = Vec::with_capacity(repos.len());
    for (name, one) in repos {
        let Ok(repo) = RepoName::new(&format!("{project}/{name}")) else { continue };
        if removed {
            listed.push(json!({ "name": name }));
        } else if caller.reach(&site, Right::Read, &repo) != Reach::Nothing {
            listed.push(told(&site, &repo, one)?);
        }
    }
    answer::list(&listed)
}

fn told(site: &Site, repo: &RepoName, one: &RepositoryDocument) -> Result<Value, Fault> {
    let (project, name) = (repo.project(), repo.repository());
    Ok(json!({
        "name": name,
        "creator": answer::creator(&one.created.by),
        "headRevision": revision::head(site, repo)?,
        "url": format!("/api/v1/projects/{project}/repos/{name}"),
        "createdAt": answer::instant(one.created.at),
        "status": one.status,
    }))
}

pub(super) async fn create(
    State(site): State<Site>,
    Path(project): Path<String>,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json,
) -> Reply {
    let name = request::required(&body, "name")?;
    names::check_name("repository", name)?;
    if body.get("encrypt").is_some_and(|encrypt| *encrypt == Value::Bool(true)) {
        return Err(fault::unsupported(
            "Convoy encrypts no single repository: put the data folder on an encrypted disk",
        ));
    }
    if RESERVED.contains(&name) {
        return Err(fault::repository_exists(&format!("{project}/{name}")));
    }
    may_create(&site, &caller, &project)?;
    let repo = RepoName::new(&format!("{project}/{name}"));
    let repo = repo.map_err(|error| fault::illegal(error.to_string()))?;
    let by = caller.origin(&headers);
    let made = site.web.govern.create_repository(&by, &repo).await.map_err(fault::govern)?;
    answer::created(told(&site, &repo, &made)?, None)
}

/// Members make repositories, and whoever may write everywhere.
fn may_create(site: &Site, caller: &Caller, project: &str) -> Result<(), Fault> {
    let registry = site.web.govern.registry();
    let who = caller.principal();
    let policy = registry.policy.projects.get(project);
    let policy = policy.ok_or_else(|| fault::no_project(project))?;
    if who.role.covers(Role::Operator) || policy.role_of(&who).is_some() {
        return Ok(());
    }
    Err(fault::forbidden(format!("you must be a member of the project `{project}`")))
}

pub(super) async fn one(State(site): State<Site>, Path((project, name)): Whole) -> Reply {
    let repo = names::repo(&site, &project, &name)?;
    let registry = site.web.govern.registry();
    let found = registry.repository(&repo).ok_or_else(|| fault::no_repository(repo.as_str()))?;
    answer::value(&told(&site, &repo, found)?)
}

pub(super) async fn remove(
    State(site): State<Site>,
    Path((project, name)): Whole,
    caller: Caller,
    headers: HeaderMap,
) -> Reply {
    let repo = names::repo(&site, &project, &name)?;
    let by = caller.origin(&headers);
    site.web.govern.remove_repository(&by, &repo).await.map_err(fault::govern)?;
    Ok(answer::nothing())
}

pub(super) async fn purge(
    State(site): State<Site>,
    Path((project, name)): Whole,
    caller: Caller,
    headers: HeaderMap,
) -> Reply {
    let repo = removed(&site, &project, &name)?;
    let by = caller.origin(&headers);
    site.web.govern.purge_repository(&by, &repo).await.map_err(fault::govern)?;
    Ok(answer::nothing())
}

pub(super) async fn restore(
    State(site): State<Site>,
    Path((project, name)): Whole,
    caller: Caller,
    headers: HeaderMap,
    _: Unremove,
) -> Reply {
    let repo = removed(&site, &project, &name)?;
    if !site.web.govern.registry().policy.owns(&caller.principal(), &project) {
        return Err(fault::forbidden(format!("you must own the project `{project}`")));
    }
    let by = caller.origin(&headers);
    let back = site.web.govern.restore_repository(&by, &repo).await.map_err(fault::govern)?;
    answer::value(&told(&site, &repo, &back)?)
}

/// A repository that is removed, of a project that is not.
fn removed(site: &Site, project: &str, name: &str) -> Result<RepoName, Fault> {
    let registry = site.web.govern.registry();
    let found = registry.projects.get(project).filter(|one| one.removed.is_none());
    let found = found.ok_or_else(|| fault::no_project(project))?;
    let missing = || {
        let fault = fault::no_repository(name);
        Fault { message: format!("no removed repository `{project}/{name}`"), ..fault }
    };
    if found.repositories.get(name).is_none_or(|one| one.removed.is_none()) {
        return Err(missing());
    }
    RepoName::new(&format!("{project}/{name}")).map_err(|_| missing())
}

pub(super) async fn set_status(
    State(site): State<Site>,
    Path((project, name)): Whole,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json,
) -> Reply {
    let repo = names::repo(&site, &project, &name)?;
    let status = match request::required(&body, "status")? {
        "ACTIVE" => RepositoryStatus::Active,
        "READ_ONLY" => RepositoryStatus::ReadOnly,
        other => {
            let text = format!("status: `{}`: write ACTIVE or READ_ONLY", other.escape_debug());
            return Err(fault::illegal(text));
        }
    };
    let by = caller.origin(&headers);
    let set = site.web.govern.set_status(&by, &repo, status).await.map_err(fault::govern)?;
    answer::value(&told(&site, &repo, &set)?)
}

pub(super) async fn normalise(
    State(site): State<Site>,
    Path((project, name, text)): Path<(String, String, String)>,
) -> Reply {
    let repo = names::repo(&site, &project, &name)?;
    let revision = revision::find(&site, &repo, Some(&text))?;
    answer::value(&json!({ "revision": revision }))
}

/// What Central Dogma keeps in its own repositories, we keep as documents.
pub(super) async fn internal_push() -> Reply {
    Err(fault::invalid_push(
        "Convoy has no `dogma` and `meta` repositories: members, roles, mirrors and credentials \
         have addresses of their own",
    ))
}

pub(super) async fn internal_read(Path(project): Path<String>) -> Reply {
    Err(fault::no_repository(&format!("{project}/dogma")))
}
