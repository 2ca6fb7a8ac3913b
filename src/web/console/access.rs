//! Access: the projects that somebody sees, their tokens and sessions. A
//! project's own page is in `project`.

mod project;

use axum::extract::State;
use axum::http::Method;
use axum::response::{Html, Redirect};
use serde::{Deserialize, Serialize};

use super::{ADMIN, LOGIN, OPERATOR};
use crate::access::{NodeScope, Right};
use crate::config::Role;
use crate::model::{Person, Secret};
use crate::web::Site;
use crate::web::access::{Access, Entry};
use crate::web::api::{
    NewTokenIn, TokenCard, issue, own_or_admin, rotate_token, set_token_active, token_cards,
};
use crate::web::auth::Caller;
use crate::web::error::Fault;
use crate::web::extract::{Path, Posted};
use crate::web::session::SessionCard;

const REPO_ADMIN: Access = Access::Whole(Right::Admin);

/// The routes.
pub(super) fn routes() -> Vec<Entry> {
    let one = "/access/projects/{project}";
    vec![
        Entry::get("/access", LOGIN, show),
        Entry::post("/access/tokens", LOGIN, create_token),
        Entry::post("/access/tokens/{token}", LOGIN, change_token),
        Entry::post("/access/sessions/end", LOGIN, end_session),
        Entry::post("/access/projects", OPERATOR, project::create),
        Entry::post("/access/removed/{project}", ADMIN, project::change_removed),
        Entry::on(Method::GET, one, Access::Project, project::show),
        Entry::post("/access/projects/{project}/remove", Access::Owner, project::remove),
        Entry::post("/access/projects/{project}/members", Access::Owner, project::set_member),
        Entry::post("/access/projects/{project}/repos", Access::Member, project::create_repo),
        Entry::post("/access/repos/{project}/{repo}", REPO_ADMIN, project::change_repo),
        Entry::post("/access/repos/{project}/{repo}/grants", REPO_ADMIN, project::set_grant),
        Entry::post(
            "/access/repos/{project}/{repo}/removed",
            Access::Owner,
            project::change_removed_repo,
        ),
    ]
}

#[derive(Serialize)]
struct AccessPage {
    projects: Vec<ProjectLine>,
    removed: Vec<String>,
    tokens: Vec<TokenCard>,
    sessions: Vec<SessionCard>,
    /// A secret that was just made; shown this once.
    made: Option<Made>,
}

#[derive(Serialize)]
struct ProjectLine {
    name: String,
    repositories: usize,
    owners: Vec<String>,
}

#[derive(Serialize)]
struct Made {
    name: String,
    secret: String,
}

pub(super) async fn show(State(site): State<Site>, caller: Caller) -> Result<Html<String>, Fault> {
    page(&site, &caller, None)
}

fn page(
    site: &Site,
    caller: &Caller,
    made: Option<(String, Secret)>,
) -> Result<Html<String>, Fault> {
    let registry = site.web.govern.registry();
    let who = caller.principal();
    let seen = registry
        .projects
        .values()
        .filter(|project| project.removed.is_none() && registry.policy.sees(&who, &project.name));
    let line = |project: &crate::govern::ProjectDocument| ProjectLine {
        name: project.name.clone(),
        repositories: project.repositories.values().filter(|one| one.removed.is_none()).count(),
        owners: project::owners(project),
    };
    let removed = registry.projects.values().filter(|project| project.removed.is_some());
    let removed = removed.filter(|_| caller.role.covers(Role::Admin));
    let page = AccessPage {
        projects: seen.map(line).collect(),
        removed: removed.map(|project| project.name.clone()).collect(),
        tokens: token_cards(site, caller),
        sessions: site.web.auth.sessions(caller),
        made: made.map(|(name, secret)| Made { name, secret: secret.expose().to_owned() }),
    };
    site.pages.render("access.html", Some(caller), page)
}

#[derive(Deserialize)]
pub(super) struct TokenForm {
    name: String,
    #[serde(default)]
    holder: String,
    #[serde(default)]
    role: Option<Role>,
    #[serde(default)]
    expires: String,
    /// For a token of nodes, lists with commas.
    #[serde(default)]
    nodes: String,
    #[serde(default)]
    stages: String,
    #[serde(default)]
    secrets: String,
    #[serde(default)]
    certificates: String,
}

impl TokenForm {
    fn scope(&self) -> Option<NodeScope> {
        (self.role == Some(Role::Node)).then(|| NodeScope {
            nodes: list(&self.nodes),
            stages: list(&self.stages),
            secrets: list(&self.secrets),
            ..NodeScope::default()
        })
    }
}

fn list(text: &str) -> Vec<String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

/// The secret is in the answer to the form and nowhere else: not in an
/// address, and gone with the next page.
pub(super) async fn create_token(
    State(site): State<Site>,
    posted: Posted<TokenForm>,
) -> Result<Html<String>, Fault> {
    let TokenForm { name, holder, role, expires, certificates, .. } = &posted.form;
    let filled = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let asked = NewTokenIn {
        name: name.trim().to_owned(),
        person: filled(holder).map(|name| Person::new(&name)).transpose()?,
        role: *role,
        expires: filled(expires),
        scope: posted.form.scope(),
        certificates: list(certificates),
    };
    let (token, secret) = issue(&site, &posted.caller, &posted.origin()?, asked).await?;
    page(&site, &posted.caller, Some((token.name, secret)))
}

#[derive(Deserialize)]
pub(super) struct ActForm {
    act: String,
}

pub(super) async fn change_token(
    State(site): State<Site>,
    Path(name): Path<String>,
    posted: Posted<ActForm>,
) -> Result<Html<String>, Fault> {
    let (caller, by) = (&posted.caller, posted.origin()?);
    let made = match posted.form.act.as_str() {
        "revoke" => set_token_active(&site, caller, &by, &name, false).await.map(|_| None),
        "activate" => set_token_active(&site, caller, &by, &name, true).await.map(|_| None),
        "rotate" => rotate_token(&site, caller, &by, &name).await.map(|(_, secret)| Some(secret)),
        "remove" => {
            own_or_admin(&site, caller, &name)?;
            site.web.govern.remove_token(&by, &name).await?;
            Ok(None)
        }
        other => Err(no_act(other)),
    }?;
    page(&site, caller, made.map(|secret| (name, secret)))
}

/// A form that none of our pages has.
fn no_act(act: &str) -> Fault {
    Fault::invalid(format!("`{act}` can't be done"), "load the page again")
}

#[derive(Deserialize)]
pub(super) struct SessionForm {
    id: String,
}

pub(super) async fn end_session(
    State(site): State<Site>,
    posted: Posted<SessionForm>,
) -> Result<Redirect, Fault> {
    // One that is over already is what was asked for.
    site.web.auth.end_session(&posted.caller, &posted.form.id);
    Ok(Redirect::to("/access"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::console::pages::tests::page as render;

    #[test]
    fn a_secret_is_shown_with_the_page_that_made_it() {
        let made = Made { name: "ci".into(), secret: "convoy_abc".into() };
        let line = ProjectLine { name: "mesh".into(), repositories: 2, owners: vec!["a<b".into()] };
        let page = AccessPage {
            projects: vec![line],
            removed: vec!["old".into()],
            tokens: Vec::new(),
            sessions: Vec::new(),
            made: Some(made),
        };
        let html = render("access.html", page);
        for part in ["convoy_abc", "a&lt;b", "/access/projects/mesh", "/access/removed/old"] {
            assert!(html.contains(part), "{part} is not in\n{html}");
        }
    }
}
