//! One project: its members, its repositories, what is granted on each.

use axum::extract::State;
use axum::response::{Html, Redirect};
use serde::{Deserialize, Serialize};

use super::{ActForm, no_act};
use crate::access::{Grant, ProjectRole, Reach, Right, Subject};
use crate::govern::{ProjectDocument, Registry, RepositoryDocument, RepositoryStatus, Stamp};
use crate::model::RepoName;
use crate::web::Site;
use crate::web::auth::Caller;
use crate::web::error::Fault;
use crate::web::extract::{InRepo, Path, Posted, repo_name};

#[derive(Serialize)]
struct ProjectPage {
    name: String,
    created: Stamp,
    members: Vec<MemberLine>,
    repositories: Vec<RepositoryCard>,
    /// Removed repositories, for owners.
    removed: Vec<String>,
    owns: bool,
    may_create: bool,
}

#[derive(Serialize)]
struct MemberLine {
    who: Subject,
    role: &'static str,
}

#[derive(Serialize)]
struct RepositoryCard {
    name: String,
    read_only: bool,
    /// Whether the caller may change what is granted.
    administers: bool,
    member: Option<Right>,
    guest: Option<Right>,
    grants: Vec<Grant>,
}

/// Who owns a project.
pub(super) fn owners(project: &ProjectDocument) -> Vec<String> {
    let owners = project.members.iter().filter(|(_, role)| **role == ProjectRole::Owner);
    owners.map(|(who, _)| who.to_string()).collect()
}

pub(super) async fn show(
    State(site): State<Site>,
    Path(name): Path<String>,
    caller: Caller,
) -> Result<Html<String>, Fault> {
    let registry = site.web.govern.registry();
    let project = registry.project(&name).ok_or_else(|| Fault::no_project(&name))?;
    let page = ProjectPage::of(&registry, &caller, project);
    site.pages.render("project.html", Some(&caller), page)
}

impl ProjectPage {
    fn of(registry: &Registry, caller: &Caller, project: &ProjectDocument) -> Self {
        let who = caller.principal();
        let owns = registry.policy.owns(&who, &project.name);
        let member = |(who, role): (&Subject, &ProjectRole)| MemberLine {
            who: who.clone(),
            role: match role {
                ProjectRole::Owner => "owner",
                ProjectRole::Member => "member",
            },
        };
        let is_removed = |one: &RepositoryDocument| one.removed.is_some();
        let card = |(name, one): (&String, &RepositoryDocument)| {
            let repo = RepoName::new(&format!("{}/{name}", project.name)).ok()?;
            let reach = |right| registry.policy.reach(&who, right, &repo);
            let administers = reach(Right::Admin) == Reach::All;
            (reach(Right::Read) != Reach::Nothing).then(|| RepositoryCard {
                name: name.clone(),
                read_only: one.status == RepositoryStatus::ReadOnly,
                administers,
                member: one.policy.member,
                guest: one.policy.guest,
                // Who else has what is for those who give it.
                grants: if administers { one.policy.grants.clone() } else { Vec::new() },
            })
        };
        let live = project.repositories.iter().filter(|(_, one)| !is_removed(one));
        let removed = project.repositories.iter().filter(|(_, one)| owns && is_removed(one));
        let role = registry.policy.projects.get(&project.name).and_then(|one| one.role_of(&who));
        Self {
            name: project.name.clone(),
            created: project.created.clone(),
            members: project.members.iter().map(member).collect(),
            repositories: live.filter_map(card).collect(),
            removed: removed.map(|(name, _)| name.clone()).collect(),
            owns,
            may_create: role.is_some() || caller.role.covers(crate::config::Role::Operator),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct NameForm {
    name: String,
}

fn back(project: &str) -> Redirect {
    Redirect::to(&format!("/access/projects/{project}"))
}

pub(super) async fn create(
    State(site): State<Site>,
    posted: Posted<NameForm>,
) -> Result<Redirect, Fault> {
    let name = posted.form.name.trim();
    site.web.govern.create_project(&posted.origin()?, name, &[], &[]).await?;
    Ok(back(name))
}

#[derive(Deserialize)]
pub(super) struct NoFields {}

pub(super) async fn remove(
    State(site): State<Site>,
    Path(name): Path<String>,
    posted: Posted<NoFields>,
) -> Result<Redirect, Fault> {
    site.web.govern.remove_project(&posted.origin()?, &name).await?;
    Ok(Redirect::to("/access"))
}

pub(super) async fn change_removed(
    State(site): State<Site>,
    Path(name): Path<String>,
    posted: Posted<ActForm>,
) -> Result<Redirect, Fault> {
    let (govern, by) = (&site.web.govern, posted.origin()?);
    match posted.form.act.as_str() {
        "restore" => govern.restore_project(&by, &name).await.map(drop)?,
        "purge" => govern.purge_project(&by, &name).await?,
        other => return Err(no_act(other)),
    }
    Ok(Redirect::to("/access"))
}

#[derive(Deserialize)]
pub(super) struct MemberForm {
    who: String,
    role: String,
}

pub(super) async fn set_member(
    State(site): State<Site>,
    Path(name): Path<String>,
    posted: Posted<MemberForm>,
) -> Result<Redirect, Fault> {
    let who = subject(&posted.form.who)?;
    let role = match posted.form.role.as_str() {
        "owner" => Some(ProjectRole::Owner),
        "member" => Some(ProjectRole::Member),
        "none" => None,
        other => return Err(no_act(other)),
    };
    site.web.govern.set_member(&posted.origin()?, &name, &who, role).await?;
    Ok(back(&name))
}

fn subject(text: &str) -> Result<Subject, Fault> {
    Subject::try_from(text.trim().to_owned()).map_err(|error| {
        Fault::invalid(error.to_string(), "teams and tokens must be there already")
    })
}

pub(super) async fn create_repo(
    State(site): State<Site>,
    Path(name): Path<String>,
    posted: Posted<NameForm>,
) -> Result<Redirect, Fault> {
    let repo = repo_name(&name, posted.form.name.trim())?;
    site.web.govern.create_repository(&posted.origin()?, &repo).await?;
    Ok(back(&name))
}

pub(super) async fn change_repo(
    State(site): State<Site>,
    InRepo(repo): InRepo,
    posted: Posted<ActForm>,
) -> Result<Redirect, Fault> {
    let (govern, by) = (&site.web.govern, posted.origin()?);
    match posted.form.act.as_str() {
        "remove" => govern.remove_repository(&by, &repo).await?,
        "freeze" => govern.set_status(&by, &repo, RepositoryStatus::ReadOnly).await.map(drop)?,
        "thaw" => govern.set_status(&by, &repo, RepositoryStatus::Active).await.map(drop)?,
        other => return Err(no_act(other)),
    }
    Ok(back(repo.project()))
}

pub(super) async fn change_removed_repo(
    State(site): State<Site>,
    InRepo(repo): InRepo,
    posted: Posted<ActForm>,
) -> Result<Redirect, Fault> {
    let (govern, by) = (&site.web.govern, posted.origin()?);
    match posted.form.act.as_str() {
        "restore" => govern.restore_repository(&by, &repo).await.map(drop)?,
        "purge" => govern.purge_repository(&by, &repo).await?,
        other => return Err(no_act(other)),
    }
    Ok(back(repo.project()))
}

#[derive(Deserialize)]
pub(super) struct GrantForm {
    to: String,
    right: String,
    #[serde(default)]
    paths: String,
}

pub(super) async fn set_grant(
    State(site): State<Site>,
    InRepo(repo): InRepo,
    posted: Posted<GrantForm>,
) -> Result<Redirect, Fault> {
    let by = posted.origin()?;
    let GrantForm { to, right, paths } = &posted.form;
    let paths = Some(paths.trim()).filter(|paths| !paths.is_empty());
    let right = match right.as_str() {
        "read" => Some(Right::Read),
        "write" => Some(Right::Write),
        "admin" => Some(Right::Admin),
        "none" => None,
        other => return Err(no_act(other)),
    };
    site.web.govern.set_grant(&by, &repo, &subject(to)?, right, paths).await?;
    Ok(back(repo.project()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::console::pages::tests::page;

    #[test]
    fn a_project_shows_members_and_grants_with_their_forms() {
        let grant = Grant {
            to: Subject::Team("sre".into()),
            right: Right::Write,
            paths: Some("/values/<a>/**".into()),
        };
        let card = RepositoryCard {
            name: "config".into(),
            read_only: true,
            administers: true,
            member: Some(Right::Write),
            guest: None,
            grants: vec![grant],
        };
        let html = page(
            "project.html",
            ProjectPage {
                name: "mesh".into(),
                created: Stamp { by: "ann".into(), at: jiff::Timestamp::UNIX_EPOCH },
                members: vec![MemberLine { who: Subject::Token("ci".into()), role: "owner" }],
                repositories: vec![card],
                removed: vec!["old".into()],
                owns: true,
                may_create: true,
            },
        );
        for part in [
            "token:ci",
            "team:sre",
            "values/&lt;a&gt;/**",
            "/access/repos/mesh/config/grants",
            "/access/repos/mesh/old/removed",
            "read-only",
        ] {
            assert!(html.contains(part), "{part} is not in\n{html}");
        }
    }
}
