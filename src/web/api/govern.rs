//! Governing over the JSON API: projects, repositories, grants, tokens,
//! people, teams, sessions, audit. Thin: `govern` decides and records.
//!
//! Below `/api/v1/govern`, beside `/api/v1/audit`. Subjects are written
//! `person:ann`, `team:sre`, `token:ci`; rights READ, WRITE, ADMIN.
//!
//! | method and path | needs | answer |
//! | --- | --- | --- |
//! | `GET /projects?removed=1` | login | `projects` that the caller sees; removed ones: admin |
//! | `POST /projects` `{name, owners?, members?}` | operator | the project |
//! | `GET /projects/{project}` | sees it | the project |
//! | `DELETE /projects/{project}` | owner | hidden, nothing is lost |
//! | `POST /projects/{project}/restore`, `…/purge` | admin | |
//! | `PUT /projects/{project}/members/{subject}` `{role}` | owner | MEMBER or OWNER |
//! | `DELETE /projects/{project}/members/{subject}` | owner | |
//! | `POST /projects/{project}/repos` `{name}` | member | the repository |
//! | `GET /repos/{project}/{repo}` | read | status, quota, what it holds |
//! | `DELETE /repos/{project}/{repo}` | admin of it | hidden, nothing is lost |
//! | `POST /repos/{project}/{repo}/restore`, `…/purge` | owner | |
//! | `PUT /repos/{project}/{repo}/status` `{status}` | admin of it | ACTIVE or READ_ONLY |
//! | `PUT /repos/{project}/{repo}/quota` `{bytes_max?, …}` | admin | |
//! | `PUT /repos/{project}/{repo}/rights` `{member, guest}` | admin of it | READ, WRITE or null |
//! | `GET /repos/{project}/{repo}/grants` | admin of it | `member, guest, grants` |
//! | `POST /repos/{project}/{repo}/grants` `{to, right, paths?}` | admin of it | |
//! | `POST /repos/{project}/{repo}/grants/remove` `{to, paths?}` | admin of it | |
//! | `GET /tokens` | login | `tokens`: all for admins, else one's own |
//! | `POST /tokens` `{name, person?, role?, expires?, scope?, certificates?}` | login | `secret`, shown this once |
//! | `POST /tokens/{token}/revoke`, `…/activate`, `…/rotate` | login | one's own, or admin |
//! | `PUT /tokens/{token}/role` `{role}` | admin | |
//! | `PUT /tokens/{token}/scope` `{nodes?, clusters?, repositories?, stages?, groups?, kinds?, secrets?, certificates?}` | admin | of nodes; what is given replaces what was there |
//! | `DELETE /tokens/{token}` | login | one's own, or admin |
//! | `GET /people`, `PUT /people/{person}` `{role?, emails?}`, `DELETE …` | admin | |
//! | `GET /teams`, `PUT /teams/{team}` `{members}`, `DELETE …` | admin | |
//! | `GET /sessions`, `DELETE /sessions/{id}` | login | one's own |
//! | `GET /api/v1/audit?after=&limit=&repo=` | admin | `entries`, `next`, `head` |
//! | `GET /api/v1/audit/export?after=&repo=` | admin | all of it as JSON lines |

mod audit;
mod grants;
mod people;
mod projects;
mod repos;
mod tokens;

use axum::http::Method;
use serde::Serialize;

use super::{Access, Entry, LOGIN, OPERATOR, READ};
use crate::access::Right;
use crate::config::Role;
use crate::web::extract::Answer;

pub(crate) use audit::newest;
pub(crate) use tokens::{
    NewTokenIn, TokenCard, cards as token_cards, issue, own_or_admin, renew as rotate_token,
    set_active as set_token_active,
};

const ADMIN: Access = Access::Role(Role::Admin);
/// Whoever administers the whole repository.
const REPO_ADMIN: Access = Access::Whole(Right::Admin);

/// What an act came to, where nothing else is to be said.
#[derive(Debug, Serialize)]
pub(crate) struct Done {
    message: String,
}

impl Done {
    pub(crate) fn says(message: impl Into<String>) -> Answer<Self> {
        Answer(Self { message: message.into() })
    }
}

/// The routes.
pub(super) fn routes() -> Vec<Entry> {
    let mut routes = project_routes();
    routes.extend(repo_routes());
    routes.extend(token_routes());
    routes.extend(people_routes());
    routes.push(Entry::get("/api/v1/audit", ADMIN, audit::list));
    routes.push(Entry::get("/api/v1/audit/export", ADMIN, audit::export));
    routes
}

fn project_routes() -> Vec<Entry> {
    let member = "/api/v1/govern/projects/{project}/members/{subject}";
    let one = "/api/v1/govern/projects/{project}";
    vec![
        Entry::get("/api/v1/govern/projects", LOGIN, projects::list),
        Entry::post("/api/v1/govern/projects", OPERATOR, projects::create),
        Entry::get(one, Access::Project, projects::one),
        Entry::on(Method::DELETE, one, Access::Owner, projects::remove),
        Entry::post("/api/v1/govern/projects/{project}/restore", ADMIN, projects::restore),
        Entry::post("/api/v1/govern/projects/{project}/purge", ADMIN, projects::purge),
        Entry::post("/api/v1/govern/projects/{project}/repos", Access::Member, repos::create),
        Entry::on(Method::PUT, member, Access::Owner, projects::set_member),
        Entry::on(Method::DELETE, member, Access::Owner, projects::remove_member),
    ]
}

fn repo_routes() -> Vec<Entry> {
    let one = "/api/v1/govern/repos/{project}/{repo}";
    vec![
        Entry::get(one, READ, repos::one),
        Entry::on(Method::DELETE, one, REPO_ADMIN, repos::remove),
        Entry::post("/api/v1/govern/repos/{project}/{repo}/restore", Access::Owner, repos::restore),
        Entry::post("/api/v1/govern/repos/{project}/{repo}/purge", Access::Owner, repos::purge),
        Entry::on(
            Method::PUT,
            "/api/v1/govern/repos/{project}/{repo}/status",
            REPO_ADMIN,
            repos::set_status,
        ),
        Entry::on(
            Method::PUT,
            "/api/v1/govern/repos/{project}/{repo}/quota",
            Access::RepoRole(Role::Admin),
            repos::set_quota,
        ),
        Entry::on(
            Method::PUT,
            "/api/v1/govern/repos/{project}/{repo}/rights",
            REPO_ADMIN,
            grants::set_rights,
        ),
        Entry::get("/api/v1/govern/repos/{project}/{repo}/grants", REPO_ADMIN, grants::list),
        Entry::post("/api/v1/govern/repos/{project}/{repo}/grants", REPO_ADMIN, grants::add),
        Entry::post(
            "/api/v1/govern/repos/{project}/{repo}/grants/remove",
            REPO_ADMIN,
            grants::remove,
        ),
    ]
}

fn token_routes() -> Vec<Entry> {
    let one = "/api/v1/govern/tokens/{token}";
    let role = "/api/v1/govern/tokens/{token}/role";
    let scope = "/api/v1/govern/tokens/{token}/scope";
    vec![
        Entry::get("/api/v1/govern/tokens", LOGIN, tokens::list),
        Entry::post("/api/v1/govern/tokens", LOGIN, tokens::create),
        Entry::post("/api/v1/govern/tokens/{token}/revoke", LOGIN, tokens::revoke),
        Entry::post("/api/v1/govern/tokens/{token}/activate", LOGIN, tokens::activate),
        Entry::post("/api/v1/govern/tokens/{token}/rotate", LOGIN, tokens::rotate),
        Entry::on(Method::PUT, role, ADMIN, tokens::set_role),
        Entry::on(Method::PUT, scope, ADMIN, tokens::set_scope),
        Entry::on(Method::DELETE, one, LOGIN, tokens::remove),
        Entry::get("/api/v1/govern/sessions", LOGIN, tokens::sessions),
        Entry::on(Method::DELETE, "/api/v1/govern/sessions/{id}", LOGIN, tokens::end_session),
    ]
}

fn people_routes() -> Vec<Entry> {
    let (person, team) = ("/api/v1/govern/people/{person}", "/api/v1/govern/teams/{team}");
    vec![
        Entry::get("/api/v1/govern/people", ADMIN, people::list),
        Entry::on(Method::PUT, person, ADMIN, people::put),
        Entry::on(Method::DELETE, person, ADMIN, people::remove),
        Entry::get("/api/v1/govern/teams", ADMIN, people::teams),
        Entry::on(Method::PUT, team, ADMIN, people::put_team),
        Entry::on(Method::DELETE, team, ADMIN, people::remove_team),
    ]
}
