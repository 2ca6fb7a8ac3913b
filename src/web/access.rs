//! A route and who may take it, as one value.
//!
//! Routes are made of [`Entry`] only, so that none exists without a stated
//! role. [`guard`] runs before each handler: it finds out who calls, compares
//! roles, and refuses requests that another site made a browser send.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::handler::Handler;
use axum::http::{Method, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{MethodFilter, MethodRouter, on};

use super::Site;
use super::auth::{Caller, Proof};
use super::csrf;
use super::error::Fault;
use super::extract::encode_query;
use crate::access::Right;
use crate::config::Role;

/// The body limit of requests that carry no files.
pub(crate) const BODY_MAX: usize = 1 << 20;
/// The body limit of requests that carry files.
pub(crate) const FILES_BODY_MAX: usize = 8 << 20;

/// Who may take a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody, also without a token.
    Public,
    /// Callers with at least this role.
    Role(Role),
    /// Everybody who logged in.
    Login,
    /// Callers with this right on the whole or a part of the repository that
    /// `{project}` and `{repo}` name; what part is the handler's to ask, by
    /// `Caller::may` or `Caller::reach`.
    Repo(Right),
    /// Owners of the project that `{project}` names.
    Owner,
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
    let caller = rule.site.web.auth.identify(request.headers());
    if let Err(response) = rule.admit(&request, caller.as_ref()) {
        return response;
    }
    if let Some(caller) = caller {
        request.extensions_mut().insert(caller);
    }
    next.run(request).await
}

impl Rule {
    #[allow(clippy::result_large_err, reason = "a response is the error here, and is made once")]
    fn admit(&self, request: &Request, caller: Option<&Caller>) -> Result<(), Response> {
        if self.needs != Access::Public {
            let Some(caller) = caller else {
                return Err(no_login(self.surface, self.changes, request.uri()));
            };
            if let Access::Role(role) = self.needs
                && !caller.role.covers(role)
            {
                return Err(too_small(caller, role).into_response());
            }
        }
        if self.changes {
            return self.is_our_own(request, caller).map_err(Fault::into_response);
        }
        Ok(())
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
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::web::{api, console, health};

    #[test]
    fn only_login_assets_and_health_are_public() {
        let entries = api::routes().into_iter().chain(console::routes()).chain(health::routes());
        let public: BTreeSet<_> = entries
            .filter(|entry| entry.needs == Access::Public)
            .map(|entry| format!("{} {}", entry.method, entry.path))
            .collect();
        let expected = [
            "GET /assets/{hash}/{name}",
            "GET /healthz",
            "GET /login",
            "GET /metrics",
            "GET /readyz",
            "POST /login",
        ];
        assert_eq!(public, expected.into_iter().map(str::to_owned).collect());
    }

    #[test]
    fn nothing_is_changed_by_readers() {
        let entries = api::routes().into_iter().chain(console::routes());
        for entry in entries.filter(|entry| entry.method == Method::POST) {
            let harmless =
                ["/login", "/logout"].contains(&entry.path) || entry.path.ends_with("/validate");
            let guarded = matches!(entry.needs, Access::Role(role) if role.covers(Role::Operator))
                || entry.needs == Access::Owner;
            assert!(harmless || guarded, "{}", entry.path);
        }
    }
}
