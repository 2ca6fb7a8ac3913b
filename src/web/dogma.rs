//! Central Dogma's HTTP API v1, so that its clients work unchanged. Thin: it
//! turns its requests into ours and our answers into its; it decides nothing.
//!
//! Its errors have a shape of their own, `{"exception", "message"}`, which
//! `edge` writes for paths that [`is_ours`] knows. Nothing and empty lists are
//! 204; what was made is 201 with its address in `Location`. Double slashes in
//! a path are one ([`normalise`]).
//!
//! What differs from Central Dogma, and why:
//!
//! - Its paths are of `-_.0-9A-Za-z` only; ours are whatever Git allows.
//!   Entries that its API can't name, and contents that are not UTF-8, are left
//!   out of its lists, whose header `x-convoy-left-out` then says how many;
//!   asked for by name they are refused with 400 and the reason. Convoy's own
//!   API reads them.
//! - A project has no `dogma` and `meta` repositories: members, roles, mirrors
//!   and credentials are documents of Convoy's, behind the same addresses.
//! - A repository that follows an upstream takes no pushes (400). Its revision
//!   1 may hold files: a first watch is answered then after a second.
//! - Variables, rendered templates, encryption, zones and log levels have no
//!   counterpart: `UnsupportedOperationException`, and the message says what to
//!   use instead.
//! - Projects are made by operators and administrators. Credentials belong to
//!   projects; SSH keys need the host's keys pinned (`knownHosts`).

mod answer;
mod changes;
mod contents;
mod credentials;
mod entry;
mod fault;
mod history;
mod identities;
mod merge;
mod mirrors;
mod names;
mod projects;
mod push;
mod repositories;
mod request;
mod revision;
mod rights;
mod schedule;
mod server;
mod subject;
mod watch;

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::{Method, Uri};
use tokio::sync::Semaphore;

use super::Site;
use super::access::{Access, Entry};
use super::auth::Caller;
use super::error::Fault;
use crate::access::Right;
use crate::config::Role;

pub(crate) use fault::told;

const READ: Access = Access::Repo(Right::Read);
const WRITE: Access = Access::Repo(Right::Write);
const ADMIN: Access = Access::Whole(Right::Admin);

/// What only these routes share.
#[derive(Debug)]
pub(crate) struct Shared {
    strict: entry::StrictJson,
    pub(crate) watches: Arc<Semaphore>,
}

impl Default for Shared {
    fn default() -> Self {
        let watches = Arc::new(Semaphore::new(watch::WATCHES_MAX));
        Self { strict: entry::StrictJson::default(), watches }
    }
}

/// The routes.
pub(crate) fn routes() -> Vec<Entry> {
    let mut routes = project_routes();
    routes.extend(content_routes());
    routes.extend(rights_routes());
    routes.extend(identity_routes());
    routes.extend(remote_routes());
    routes.extend(server_routes());
    routes
}

/// Whether a path is one of Central Dogma's.
pub(crate) fn is_ours(path: &str) -> bool {
    let Some(rest) = path.strip_prefix("/api/v1/") else {
        return matches!(path, "/monitor/l7check" | "/title" | "/security_enabled");
    };
    let first = rest.split('/').next().unwrap_or("");
    OURS.contains(&first)
}

/// The first parts of our paths below `/api/v1`.
const OURS: [&str; 11] = [
    "projects",
    "metadata",
    "appIdentities",
    "tokens",
    "mirror",
    "status",
    "loggers",
    "wdeks",
    "masterkeys",
    "keys",
    "xds",
];

/// Makes several slashes in one of our paths one: clients put a path with its
/// leading slash behind another slash. Before routing.
pub(crate) fn normalise(mut request: Request) -> Request {
    let path = request.uri().path();
    if path.contains("//")
        && let Cow::Owned(path) = single_slashes(path)
        && is_ours(&path)
    {
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        if let Ok(uri) = Uri::try_from(format!("{path}{query}")) {
            *request.uri_mut() = uri;
        }
    }
    request
}

fn single_slashes(path: &str) -> Cow<'_, str> {
    if !path.contains("//") {
        return Cow::Borrowed(path);
    }
    let mut last = ' ';
    let mut kept = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || last != '/' {
            kept.push(c);
        }
        last = c;
    }
    Cow::Owned(kept)
}

/// Runs what reads much beside the tasks that serve.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Fault::internal(&error))?
}

/// Who commits are by: what the configuration says of the person, else a name
/// and an address that is nobody's.
fn author(site: &Site, caller: &Caller) -> (String, String) {
    let person = caller.person.as_ref();
    let known = person.and_then(|person| site.web.authors.get(person).cloned());
    known.unwrap_or_else(|| {
        let name = person.map_or_else(|| caller.name.clone(), ToString::to_string);
        let email = answer::email(&name);
        (name, email)
    })
}

/// The beginning of every address of a project.
macro_rules! project {
    ($rest:literal) => {
        concat!("/api/v1/projects/{project}", $rest)
    };
}

/// The beginning of every address of a repository.
macro_rules! repo {
    ($rest:literal) => {
        concat!("/api/v1/projects/{project}/repos/{repo}", $rest)
    };
}

/// The beginning of every address of what may be done in a project.
macro_rules! metadata {
    ($rest:literal) => {
        concat!("/api/v1/metadata/{project}", $rest)
    };
}

const DELETE: Method = Method::DELETE;
const PATCH: Method = Method::PATCH;
const PUT: Method = Method::PUT;

fn project_routes() -> Vec<Entry> {
    vec![
        Entry::get("/api/v1/projects", Access::Login, projects::list),
        Entry::post("/api/v1/projects", Access::Role(Role::Operator), projects::create),
        Entry::get(project!(""), Access::Project, projects::metadata),
        Entry::on(DELETE, project!(""), Access::Owner, projects::remove),
        Entry::on(PATCH, project!(""), SYSTEM, projects::restore),
        // The guard finds what is there; this is for what was removed.
        Entry::on(DELETE, project!("/removed"), Access::Login, projects::purge),
        Entry::get(project!("/repos"), Access::Project, repositories::list),
        Entry::post(project!("/repos"), Access::Member, repositories::create),
        Entry::get(repo!(""), ADMIN, repositories::one),
        Entry::on(DELETE, repo!(""), ADMIN, repositories::remove),
        Entry::on(PATCH, repo!(""), Access::Owner, repositories::restore),
        Entry::on(DELETE, repo!("/removed"), Access::Owner, repositories::purge),
        Entry::on(PUT, repo!("/status"), ADMIN, repositories::set_status),
        Entry::get(repo!("/revision/{revision}"), READ, repositories::normalise),
        Entry::post(repo!("/migrate/{to}"), ADMIN, server::migrate),
    ]
}

fn content_routes() -> Vec<Entry> {
    let mut routes = vec![
        Entry::get(repo!("/list"), READ, contents::list_all),
        Entry::get(repo!("/list/"), READ, contents::list_all),
        Entry::get(repo!("/list/{*path}"), READ, contents::list),
        Entry::get(repo!("/contents"), READ, contents::get_all),
        Entry::get(repo!("/contents/"), READ, contents::get_all),
        Entry::get(repo!("/contents/{*path}"), READ, contents::get),
        Entry::post(repo!("/contents"), WRITE, push::push).with_files(),
        Entry::post(repo!("/preview"), READ, push::preview).with_files(),
        Entry::post(repo!("/revert"), WRITE, push::revert),
        Entry::get(repo!("/commits"), READ, history::commits),
        Entry::get(repo!("/commits/"), READ, history::commits),
        Entry::get(repo!("/commits/{revision}"), READ, history::commits_from),
        Entry::get(repo!("/compare"), READ, history::compare),
        Entry::get(repo!("/merge"), READ, merge::merge),
    ];
    for path in [project!("/repos/dogma/contents"), project!("/repos/meta/contents")] {
        routes.push(Entry::post(path, Access::Member, repositories::internal_push));
        routes.push(Entry::get(path, Access::Project, repositories::internal_read));
    }
    routes
}

fn rights_routes() -> Vec<Entry> {
    let mut routes = vec![
        Entry::post(metadata!("/members"), Access::Owner, rights::add_member),
        Entry::on(PATCH, metadata!("/members/{id}"), Access::Owner, rights::change_member),
        Entry::on(DELETE, metadata!("/members/{id}"), Access::Owner, rights::remove_member),
        Entry::post(metadata!("/repos/{repo}/roles/projects"), ADMIN, rights::project_roles),
        Entry::post(metadata!("/repos/{repo}/roles/users"), ADMIN, rights::grant_user),
        Entry::on(DELETE, metadata!("/repos/{repo}/roles/users/{id}"), ADMIN, rights::take_user),
    ];
    // Applications had another name before.
    for (all, one) in [
        (metadata!("/appIdentities"), metadata!("/appIdentities/{id}")),
        (metadata!("/tokens"), metadata!("/tokens/{id}")),
    ] {
        routes.push(Entry::post(all, Access::Owner, rights::add_app));
        routes.push(Entry::on(PATCH, one, Access::Owner, rights::change_app));
        routes.push(Entry::on(DELETE, one, Access::Owner, rights::remove_app));
    }
    for (all, one) in [
        (
            metadata!("/repos/{repo}/roles/appIdentities"),
            metadata!("/repos/{repo}/roles/appIdentities/{id}"),
        ),
        (metadata!("/repos/{repo}/roles/tokens"), metadata!("/repos/{repo}/roles/tokens/{id}")),
    ] {
        routes.push(Entry::post(all, ADMIN, rights::grant_app));
        routes.push(Entry::on(DELETE, one, ADMIN, rights::take_app));
    }
    routes
}

/// The application identities' routes, under both of their names.
macro_rules! identities {
    ($base:literal) => {
        [
            Entry::get($base, Access::Login, identities::list),
            Entry::post($base, Access::Login, identities::create),
            Entry::on(DELETE, concat!($base, "/{id}"), Access::Login, identities::remove),
            Entry::on(PATCH, concat!($base, "/{id}"), Access::Login, identities::set_status),
            Entry::on(DELETE, concat!($base, "/{id}/removed"), Access::Login, identities::purge),
            Entry::post(concat!($base, "/{id}/secret"), Access::Login, identities::rotate),
            Entry::on(PATCH, concat!($base, "/{id}/level"), SYSTEM, identities::set_level),
        ]
    };
}

const SYSTEM: Access = Access::Role(Role::Admin);

fn identity_routes() -> Vec<Entry> {
    identities!("/api/v1/appIdentities").into_iter().chain(identities!("/api/v1/tokens")).collect()
}

fn remote_routes() -> Vec<Entry> {
    let owner = Access::Owner;
    vec![
        Entry::get(project!("/credentials"), owner, credentials::list),
        Entry::post(project!("/credentials"), owner, credentials::create),
        Entry::get(project!("/credentials/{id}"), owner, credentials::one),
        Entry::on(PUT, project!("/credentials/{id}"), owner, credentials::update),
        Entry::on(DELETE, project!("/credentials/{id}"), owner, credentials::remove),
        Entry::get(repo!("/credentials"), ADMIN, credentials::of_repository),
        Entry::post(repo!("/credentials"), ADMIN, credentials::of_repository),
        Entry::get(project!("/mirrors"), Access::Project, mirrors::of_project),
        Entry::get(repo!("/mirrors"), ADMIN, mirrors::of_repository),
        Entry::post(repo!("/mirrors"), ADMIN, mirrors::create),
        Entry::get(repo!("/mirrors/{id}"), ADMIN, mirrors::one),
        Entry::on(PUT, repo!("/mirrors/{id}"), ADMIN, mirrors::update),
        Entry::on(DELETE, repo!("/mirrors/{id}"), ADMIN, mirrors::remove),
        Entry::post(repo!("/mirrors/{id}/run"), ADMIN, mirrors::run),
    ]
}

fn server_routes() -> Vec<Entry> {
    let mut routes = vec![
        Entry::get("/api/v1/status", Access::Login, server::status),
        Entry::on(PUT, "/api/v1/status", SYSTEM, server::set_status),
        Entry::get("/monitor/l7check", Access::Public, server::l7check),
        Entry::get("/title", Access::Public, server::title),
        Entry::get("/security_enabled", Access::Public, server::security_enabled),
        Entry::get("/api/v1/mirror/config", Access::Login, server::mirror_config),
        Entry::get("/api/v1/wdeks", SYSTEM, server::keys),
        Entry::get("/api/v1/masterkeys/session", SYSTEM, server::keys),
        Entry::post("/api/v1/keys/rewrap", SYSTEM, server::keys),
    ];
    for method in [Method::GET, Method::POST, PUT, PATCH, DELETE] {
        for path in [project!("/variables"), project!("/variables/{id}")] {
            routes.push(Entry::on(method.clone(), path, Access::Owner, server::variables));
        }
        for path in [repo!("/variables"), repo!("/variables/{id}")] {
            routes.push(Entry::on(method.clone(), path, ADMIN, server::variables));
        }
        for path in ["/api/v1/mirror/access", "/api/v1/mirror/access/{id}"] {
            routes.push(Entry::on(method.clone(), path, SYSTEM, server::mirror_access));
        }
        for path in ["/api/v1/loggers", "/api/v1/loggers/{name}"] {
            routes.push(Entry::on(method.clone(), path, SYSTEM, server::loggers));
        }
        routes.push(Entry::on(method.clone(), "/api/v1/xds/{*rest}", SYSTEM, server::xds));
    }
    routes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalised(path: &str) -> String {
        let request = Request::builder().uri(path).body(axum::body::Body::empty());
        normalise(request.expect("a request")).uri().to_string()
    }

    #[test]
    fn several_slashes_are_one_in_our_paths_only() {
        for (path, expect) in [
            (
                "/api/v1/projects/p/repos/r/contents//a.json?x=//",
                "/api/v1/projects/p/repos/r/contents/a.json?x=//",
            ),
            ("//api///v1/projects", "/api/v1/projects"),
            ("/api/v1/repos//a", "/api/v1/repos//a"),
            ("/p//r", "/p//r"),
        ] {
            assert_eq!(normalised(path), expect);
        }
    }

    #[test]
    fn every_route_is_ours_and_nothing_of_the_native_api_is() {
        for entry in routes() {
            assert!(is_ours(entry.path), "{}", entry.path);
        }
        for path in ["/", "/api/v1/repos", "/api/v1/bundles/x", "/api/v1/projectsx", "/projects"] {
            assert!(!is_ours(path), "{path}");
        }
    }

    #[test]
    fn nothing_is_public_but_what_load_balancers_and_login_pages_ask() {
        let public = routes().into_iter().filter(|entry| entry.needs == Access::Public);
        let public: Vec<_> = public.map(|entry| entry.path).collect();
        assert_eq!(public, ["/monitor/l7check", "/title", "/security_enabled"]);
    }
}
