//! Projects: listed, made, removed, brought back, purged.

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use serde_json::{Map, Value, json};

use super::answer::{self, Reply};
use super::fault;
use super::names;
use super::request::{Json, Params, Unremove};
use super::{rights, subject};
use crate::access::{Principal, ProjectRole, Subject};
use crate::config::Role;
use crate::govern::{ProjectDocument, Registry};
use crate::web::Site;
use crate::web::auth::Caller;
use crate::web::error::Fault;
use crate::web::extract::Path;

pub(super) async fn list(
    State(site): State<Site>,
    RawQuery(query): RawQuery,
    caller: Caller,
) -> Reply {
    let removed = is_removed(&Params::parse(query.as_deref()))?;
    let registry = site.web.govern.registry();
    let who = caller.principal();
    let mut projects: Vec<_> = registry.projects.values().collect();
    projects.retain(|one| one.removed.is_some() == removed);
    projects.retain(|one| match removed {
        true => owns(&registry, &who, one),
        false => registry.policy.sees(&who, &one.name),
    });
    projects.sort_by_key(|one| one.created.at);
    let told: Vec<Value> = match removed {
        true => projects.iter().map(|one| json!({ "name": one.name })).collect(),
        false => projects.iter().map(|one| told(&registry, &who, one)).collect(),
    };
    answer::list(&told)
}

/// Whether removed ones are asked for.
pub(super) fn is_removed(params: &Params<'_>) -> Result<bool, Fault> {
    match params.get("status") {
        None | Some("") => Ok(false),
        Some(status) if status.eq_ignore_ascii_case("removed") => Ok(true),
        Some(other) => {
            let text = format!("status: `{}`: only `removed` is known", other.escape_debug());
            Err(fault::illegal(text))
        }
    }
}

/// Whether somebody owns a project, removed or not.
pub(super) fn owns(registry: &Registry, who: &Principal, project: &ProjectDocument) -> bool {
    let owner =
        |(subject, role): (&Subject, &ProjectRole)| *role == ProjectRole::Owner && who.is(subject);
    registry.policy.owns(who, &project.name) || project.members.iter().any(owner)
}

fn told(registry: &Registry, who: &Principal, project: &ProjectDocument) -> Value {
    let member = registry.policy.projects.get(&project.name).and_then(|one| one.role_of(who));
    let role = match member {
        _ if registry.policy.owns(who, &project.name) => "OWNER",
        Some(ProjectRole::Owner) => "OWNER",
        Some(ProjectRole::Member) => "MEMBER",
        None => "GUEST",
    };
    json!({
        "name": project.name,
        "creator": answer::creator(&project.created.by),
        "url": format!("/api/v1/projects/{}", project.name),
        "userRole": role,
        "createdAt": answer::instant(project.created.at),
    })
}

pub(super) async fn create(
    State(site): State<Site>,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json,
) -> Reply {
    let name = super::request::required(&body, "name")?;
    names::check_name("project", name)?;
    let owners = subjects(&site, &body, "owners")?;
    let members = subjects(&site, &body, "members")?;
    let by = caller.origin(&headers);
    let made = site.web.govern.create_project(&by, name, &owners, &members).await;
    let made = made.map_err(fault::govern)?;
    let registry = site.web.govern.registry();
    answer::created(told(&registry, &caller.principal(), &made), None)
}

fn subjects(site: &Site, body: &Value, field: &str) -> Result<Vec<Subject>, Fault> {
    let list = match body.get(field) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(fault::illegal(format!("`{field}` is no list"))),
    };
    let one = |value: &Value| {
        let name = value.as_str().ok_or_else(|| fault::illegal(format!("`{field}` holds no text")));
        subject::person(site, name?)
    };
    list.iter().map(one).collect()
}

pub(super) async fn metadata(State(site): State<Site>, Path(name): Path<String>) -> Reply {
    let registry = site.web.govern.registry();
    let project = registry.projects.get(&name).filter(|one| one.removed.is_none());
    let project = project.ok_or_else(|| fault::no_project(&name))?;
    answer::value(&metadata_of(project))
}

/// Everything about a project, as its metadata file tells it.
fn metadata_of(project: &ProjectDocument) -> Value {
    let repos = project.repositories.iter();
    let repos: Map<String, Value> =
        repos.map(|(name, one)| (name.clone(), rights::told(name, one))).collect();
    let (mut members, mut apps) = (Map::new(), Map::new());
    for (who, role) in &project.members {
        let creation = project.added.get(who).unwrap_or(&project.created);
        let creation = answer::stamp(creation);
        let id = subject::name(who);
        match who {
            Subject::Token(_) => {
                let app = json!({ "appId": id, "role": role, "creation": creation });
                apps.insert(id, app);
            }
            Subject::Person(_) | Subject::Team(_) => {
                let member = json!({ "login": id, "role": role, "creation": creation });
                members.insert(id, member);
            }
        }
    }
    json!({
        "name": project.name,
        "repos": repos,
        "members": members,
        "appIds": apps,
        "tokens": apps,
        "creation": answer::stamp(&project.created),
    })
}

pub(super) async fn remove(
    State(site): State<Site>,
    Path(name): Path<String>,
    caller: Caller,
    headers: HeaderMap,
) -> Reply {
    let by = caller.origin(&headers);
    site.web.govern.remove_project(&by, &name).await.map_err(fault::govern)?;
    Ok(answer::nothing())
}

pub(super) async fn purge(
    State(site): State<Site>,
    Path(name): Path<String>,
    caller: Caller,
    headers: HeaderMap,
) -> Reply {
    removed(&site, &name, &caller)?;
    let by = caller.origin(&headers);
    site.web.govern.purge_project(&by, &name).await.map_err(fault::govern)?;
    Ok(answer::nothing())
}

pub(super) async fn restore(
    State(site): State<Site>,
    Path(name): Path<String>,
    caller: Caller,
    headers: HeaderMap,
    _: Unremove,
) -> Reply {
    removed(&site, &name, &caller)?;
    let by = caller.origin(&headers);
    let back = site.web.govern.restore_project(&by, &name).await.map_err(fault::govern)?;
    let registry = site.web.govern.registry();
    answer::value(&told(&registry, &caller.principal(), &back))
}

/// Checks that a project is removed, and that the caller owns it.
fn removed(site: &Site, name: &str, caller: &Caller) -> Result<(), Fault> {
    let registry = site.web.govern.registry();
    let project = registry.projects.get(name).filter(|one| one.removed.is_some());
    let missing = || {
        let fault = fault::no_project(name);
        Fault { message: format!("no removed project `{name}`"), ..fault }
    };
    let who = caller.principal();
    match project {
        Some(project) if owns(&registry, &who, project) => Ok(()),
        Some(_) if who.role.covers(Role::Reader) => {
            Err(fault::forbidden(format!("you must own the project `{name}`")))
        }
        _ => Err(missing()),
    }
}
