//! Projects and their members.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};

use super::Done;
use crate::access::{ProjectRole, Reach, Right, Subject};
use crate::config::Role;
use crate::govern::{ProjectDocument, Registry, RepositoryStatus, Stamp};
use crate::model::RepoName;
use crate::web::Site;
use crate::web::auth::Caller;
use crate::web::error::Fault;
use crate::web::extract::{Answer, By, JsonBody, Path, Query};

/// A project as the caller may see it.
#[derive(Debug, Serialize)]
pub(crate) struct ProjectCard {
    name: String,
    created: Stamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<Stamp>,
    members: Vec<MemberLine>,
    repositories: Vec<RepositoryLine>,
}

#[derive(Debug, Serialize)]
struct MemberLine {
    who: Subject,
    role: ProjectRole,
    #[serde(skip_serializing_if = "Option::is_none")]
    added: Option<Stamp>,
}

#[derive(Debug, Serialize)]
struct RepositoryLine {
    name: String,
    status: RepositoryStatus,
    created: Stamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<Stamp>,
}

impl ProjectCard {
    /// Removed repositories are shown to owners, the rest to those who may
    /// read something of it.
    fn of(registry: &Registry, caller: &Caller, project: &ProjectDocument) -> Self {
        let who = caller.principal();
        let owns = registry.policy.owns(&who, &project.name);
        let member = |(who, role): (&Subject, &ProjectRole)| MemberLine {
            who: who.clone(),
            role: *role,
            added: project.added.get(who).cloned(),
        };
        let seen = |name: &str| {
            let repo = RepoName::new(&format!("{}/{name}", project.name));
            repo.is_ok_and(|repo| registry.policy.reach(&who, Right::Read, &repo) != Reach::Nothing)
        };
        let repositories = project
            .repositories
            .iter()
            .filter(|(name, one)| if one.removed.is_some() { owns } else { owns || seen(name) });
        Self {
            name: project.name.clone(),
            created: project.created.clone(),
            removed: project.removed.clone(),
            members: project.members.iter().map(member).collect(),
            repositories: repositories
                .map(|(name, one)| RepositoryLine {
                    name: name.clone(),
                    status: one.status,
                    created: one.created.clone(),
                    removed: one.removed.clone(),
                })
                .collect(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    removed: Option<u8>,
}

#[derive(Serialize)]
pub(super) struct Projects {
    projects: Vec<ProjectCard>,
}

pub(super) async fn list(
    State(site): State<Site>,
    Query(query): Query<ListQuery>,
    caller: Caller,
) -> Answer<Projects> {
    let registry = site.web.govern.registry();
    let removed = query.removed.is_some_and(|removed| removed != 0);
    let who = caller.principal();
    let wanted = |project: &&ProjectDocument| match removed {
        true => project.removed.is_some() && caller.role.covers(Role::Admin),
        false => project.removed.is_none() && registry.policy.sees(&who, &project.name),
    };
    let found = registry.projects.values().filter(wanted);
    let projects = found.map(|project| ProjectCard::of(&registry, &caller, project)).collect();
    Answer(Projects { projects })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateIn {
    name: String,
    #[serde(default)]
    owners: Vec<Subject>,
    #[serde(default)]
    members: Vec<Subject>,
}

pub(super) async fn create(
    State(site): State<Site>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(body): JsonBody<CreateIn>,
) -> Result<Response, Fault> {
    let (govern, by) = (&site.web.govern, caller.origin(&headers));
    let made = govern.create_project(&by, &body.name, &body.owners, &body.members).await?;
    let card = ProjectCard::of(&govern.registry(), &caller, &made);
    Ok((StatusCode::CREATED, Answer(card)).into_response())
}

pub(super) async fn one(
    State(site): State<Site>,
    Path(name): Path<String>,
    caller: Caller,
) -> Result<Answer<ProjectCard>, Fault> {
    let registry = site.web.govern.registry();
    let project = registry.project(&name).ok_or_else(|| Fault::no_project(&name))?;
    Ok(Answer(ProjectCard::of(&registry, &caller, project)))
}

pub(super) async fn remove(
    State(site): State<Site>,
    Path(name): Path<String>,
    By(by): By,
) -> Result<Answer<Done>, Fault> {
    site.web.govern.remove_project(&by, &name).await?;
    Ok(Done::says(format!("the project `{name}` is removed; an administrator can restore it")))
}

pub(super) async fn restore(
    State(site): State<Site>,
    Path(name): Path<String>,
    By(by): By,
) -> Result<Answer<Done>, Fault> {
    site.web.govern.restore_project(&by, &name).await?;
    Ok(Done::says(format!("the project `{name}` is back")))
}

pub(super) async fn purge(
    State(site): State<Site>,
    Path(name): Path<String>,
    By(by): By,
) -> Result<Answer<Done>, Fault> {
    site.web.govern.purge_project(&by, &name).await?;
    Ok(Done::says(format!("the project `{name}` is gone for ever")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MemberIn {
    role: ProjectRole,
}

pub(super) async fn set_member(
    State(site): State<Site>,
    Path((name, who)): Path<(String, Subject)>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(body): JsonBody<MemberIn>,
) -> Result<Answer<ProjectCard>, Fault> {
    let (govern, by) = (&site.web.govern, caller.origin(&headers));
    let changed = govern.set_member(&by, &name, &who, Some(body.role)).await?;
    Ok(Answer(ProjectCard::of(&govern.registry(), &caller, &changed)))
}

pub(super) async fn remove_member(
    State(site): State<Site>,
    Path((name, who)): Path<(String, Subject)>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Answer<ProjectCard>, Fault> {
    let (govern, by) = (&site.web.govern, caller.origin(&headers));
    let changed = govern.set_member(&by, &name, &who, None).await?;
    Ok(Answer(ProjectCard::of(&govern.registry(), &caller, &changed)))
}
