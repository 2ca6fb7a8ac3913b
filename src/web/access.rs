//! A route and who may take it, as one value.
//!
//! Routes are made of [`Entry`] only, so that none exists without a stated
//! need. [`guard`] runs before each handler: it compares what the caller, whom
//! `edge` found out, may do with what the route needs, and refuses requests
//! that another site made a browser send. Which paths of a repository are
//! within reach is the handler's to ask.

use axum::extract::{DefaultBodyLimit, RawPathParams, Request, State};
use axum::handler::Handler;
use axum::http::{Method, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{RequestExt as _, Router};

use super::Site;
use super::auth::{Caller, Proof};
use super::csrf;
use super::error::{Fault, givers};
use super::extract::{encode_query, repo_name};
use crate::access::{Missing, Reach, Right};
use crate::config::Role;
use crate::govern::RepositoryStatus;

/// The body limit of requests that carry no files.
pub(crate) const BODY_MAX: usize = 1 << 20;
/// The body limit of requests that carry files.
pub(crate) const FILES_BODY_MAX: usize = 8 << 20;

/// Who may take a route. What is not there, is removed, or is nothing that the
/// caller may know of, is answered alike, with 404.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody, also without a token.
    Public,
    /// Callers with at least this role.
    Role(Role),
    /// Everybody who logged in; nodes don't.
    Login,
    /// Callers with this right on the whole or a part of the repository that
    /// `{project}` and `{repo}` name; what part is the handler's to ask, by
    /// `Caller::may` or `Caller::reach`.
    Repo(Right),
    /// Callers with this right on all of the repository: for what is made of
    /// all its files.
    Whole(Right),
    /// Callers with at least this role, on a repository that is there.
    RepoRole(Role),
    /// Owners of the project that `{project}` names.
    Owner,
    /// Members and owners of the project that `{project}` names.
    Member,
    /// Everybody who sees the project that `{project}` names.
    Project,
}

/// Where a route belongs, which decides how a missing login is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Surface {
    Api,
    Console,
}

/// One route: method, path, who may take it, and what answers.
pub(crate) struct Entry {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) needs: Access,
    body_max: usize,
    route: MethodRouter<Site>,
}

impl Entry {
    /// A `GET` route.
    pub(crate) fn get<H, T>(path: &'static str, needs: Access, handler: H) -> Self
    where
        H: Handler<T, Site>,
        T: 'static,
    {
        let route = on(MethodFilter::GET, handler);
        Self { method: Method::GET, path, needs, body_max: BODY_MAX, route }
    }

    /// A `POST` route.
    pub(crate) fn post<H, T>(path: &'static str, needs: Access, handler: H) -> Self
    where
        H: Handler<T, Site>,
        T: 'static,
    {
        let route = on(MethodFilter::POST, handler);
        Self { method: Method::POST, path, needs, body_max: BODY_MAX, route }
    }

    /// A route of any method.
    pub(crate) fn on<H, T>(method: Method, path: &'static str, needs: Access, handler: H) -> Self
    where
        H: Handler<T, Site>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::TRACE);
        Self { method, path, needs, body_max: BODY_MAX, route: on(filter, handler) }
    }

    /// The same route for bodies that carry files.
    pub(crate) fn with_files(self) -> Self {
        Self { body_max: FILES_BODY_MAX, ..self }
    }

    /// Adds the route behind its guard.
    pub(crate) fn mount(self, router: Router<Site>, site: &Site) -> Router<Site> {
        let surface = if self.path.starts_with("/api/") { Surface::Api } else { Surface::Console };
        let changes = !self.method.is_safe();
        let rule = Rule { site: site.clone(), needs: self.needs, surface, changes };
        let route = self.route.layer(DefaultBodyLimit::max(self.body_max));
        router.route(self.path, route.layer(from_fn_with_state(rule, guard)))
    }
}

/// What a route's guard goes by.
#[derive(Clone)]
struct Rule {
    site: Site,
    needs: Access,
    surface: Surface,
    /// Whether the route may change something.
    changes: bool,
}

async fn guard(State(rule): State<Rule>, mut request: Request, next: Next) -> Response {
    let names = match rule.needs.names_something() {
        true => names(&mut request).await,
        false => Names::default(),
    };
    let caller = request.extensions().get::<Caller>();
    if let Err(response) = rule.admit(&request, caller, &names) {
        return response;
    }
    next.run(request).await
}

/// What the path names, as far as rights go.
#[derive(Debug, Default)]
struct Names {
    project: String,
    repo: String,
}

async fn names(request: &mut Request) -> Names {
    let mut names = Names::default();
    let Ok(found) = request.extract_parts::<RawPathParams>().await else { return names };
    for (key, value) in &found {
        match key {
            "project" => names.project = value.to_owned(),
            "repo" => names.repo = value.to_owned(),
            _ => {}
        }
    }
    names
}

impl Access {
    /// Whether a project or repository stands in the path.
    fn names_something(self) -> bool {
        !matches!(self, Self::Public | Self::Role(_) | Self::Login)
    }
}

impl Rule {
    #[allow(clippy::result_large_err, reason = "a response is the error here, and is made once")]
    fn admit(
        &self,
        request: &Request,
        caller: Option<&Caller>,
        names: &Names,
    ) -> Result<(), Response> {
        if self.needs != Access::Public {
            let Some(caller) = caller else {
                return Err(no_login(self.surface, self.changes, request.uri()));
            };
            self.check(caller, names).map_err(Fault::into_response)?;
        }
        if self.changes {
            return self.is_our_own(request, caller).map_err(Fault::into_response);
        }
        Ok(())
    }

    fn check(&self, caller: &Caller, names: &Names) -> Result<(), Fault> {
        if caller.role == Role::Node {
            return Err(too_small(caller, Role::Reader));
        }
        match self.needs {
            Access::Public | Access::Login => Ok(()),
            Access::Role(role) if caller.role.covers(role) => Ok(()),
            Access::Role(role) => Err(too_small(caller, role)),
            Access::Repo(right) => self.check_repo(caller, names, right, false),
            Access::Whole(right) => self.check_repo(caller, names, right, true),
            Access::RepoRole(role) => {
                self.check_repo(caller, names, Right::Read, false)?;
                if caller.role.covers(role) { Ok(()) } else { Err(too_small(caller, role)) }
            }
            Access::Owner | Access::Member | Access::Project => self.check_project(caller, names),
        }
    }

    fn check_repo(
        &self,
        caller: &Caller,
        names: &Names,
        right: Right,
        whole: bool,
    ) -> Result<(), Fault> {
        let repo = repo_name(&names.project, &names.repo)?;
        let registry = self.site.web.govern.registry();
        let who = caller.principal();
        let there = registry.repository(&repo);
        let read = registry.policy.reach(&who, Right::Read, &repo);
        let Some(document) = there.filter(|_| read != Reach::Nothing) else {
            return Err(Fault::no_repository(&repo));
        };
        let reach = registry.policy.reach(&who, right, &repo);
        if reach == Reach::Nothing || whole && reach != Reach::All {
            let place = if reach == Reach::Nothing { "" } else { "all of " };
            let missing = Missing { who: who.name, right, place: format!("{place}{repo}") };
            return Err(Fault::missing(&registry, repo.project(), &missing));
        }
        let writes = self.changes && right == Right::Write;
        if writes && document.status == RepositoryStatus::ReadOnly {
            return Err(Fault::read_only(&repo));
        }
        Ok(())
    }

    fn check_project(&self, caller: &Caller, names: &Names) -> Result<(), Fault> {
        let registry = self.site.web.govern.registry();
        let (who, name) = (caller.principal(), names.project.as_str());
        if registry.project(name).is_none() || !registry.policy.sees(&who, name) {
            return Err(Fault::no_project(name));
        }
        let role = registry.policy.projects.get(name).and_then(|project| project.role_of(&who));
        let (ok, what) = match self.needs {
            Access::Owner => (registry.policy.owns(&who, name), "owner"),
            Access::Member => (role.is_some() || who.role.covers(Role::Operator), "member"),
            _ => (true, ""),
        };
        if ok {
            return Ok(());
        }
        Err(Fault::forbidden(
            format!("`{}` is no {what} of the project `{name}`", who.name),
            givers(&registry, name),
        ))
    }

    /// Refuses what another site made a browser send.
    fn is_our_own(&self, request: &Request, caller: Option<&Caller>) -> Result<(), Fault> {
        let proof = caller.map(|caller| &caller.proof);
        if matches!(proof, Some(Proof::Bearer)) {
            return Ok(());
        }
        let by_cookie = matches!(proof, Some(Proof::Session { .. }));
        if !csrf::is_same_origin(request.headers(), &self.site.web.base_url, by_cookie) {
            return Err(Fault::cross_origin());
        }
        match proof {
            // The console's forms carry it in a field, which `Posted` reads.
            Some(Proof::Session { csrf, .. }) if self.surface == Surface::Api => {
                let sent = request.headers().get(csrf::HEADER);
                let sent = sent.and_then(|value| value.to_str().ok()).unwrap_or("");
                if csrf::matches(csrf, sent) { Ok(()) } else { Err(Fault::bad_csrf()) }
            }
            _ => Ok(()),
        }
    }
}

fn too_small(caller: &Caller, needed: Role) -> Fault {
    Fault::forbidden(
        format!("`{}` is {}, and this needs {needed}", caller.name, caller.role),
        "ask an administrator for a token with that role",
    )
}

fn no_login(surface: Surface, changes: bool, uri: &Uri) -> Response {
    if surface == Surface::Api || changes {
        return Fault::unauthenticated().into_response();
    }
    let back = uri.path_and_query().map_or("/", |path| path.as_str());
    Redirect::to(&format!("/login?next={}", encode_query(back))).into_response()
}

#[cfg(test)]
mod tests;
