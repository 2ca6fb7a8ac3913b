//! Logging in with a token or at the identity provider, and out.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, header};
use axum::response::{AppendHeaders, IntoResponse as _, Redirect, Response};
use axum::{Extension, Form, extract::rejection::FormRejection};
use serde::{Deserialize, Serialize};

use crate::web::Site;
use crate::web::error::Fault;
use crate::web::extract::{Posted, Query, safe_next};
use crate::web::oidc::{Answer, Oidc};

#[derive(Deserialize)]
pub(super) struct Next {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
pub(super) struct LoginForm {
    token: String,
    #[serde(default)]
    next: String,
}

#[derive(Serialize)]
struct LoginPage<'a> {
    next: &'a str,
    error: Option<String>,
    /// What people call the identity provider, where there is one.
    provider: Option<&'a str>,
}

pub(super) async fn form(
    State(site): State<Site>,
    Query(query): Query<Next>,
) -> Result<Response, Fault> {
    let next = safe_next(&query.next);
    if site.web.auth.is_open() {
        return Ok(Redirect::to(next).into_response());
    }
    let page = LoginPage { next, error: None, provider: provider(&site) };
    Ok(site.pages.render("login.html", None, page)?.into_response())
}

fn provider(site: &Site) -> Option<&str> {
    site.web.auth.oidc().map(Oidc::label)
}

pub(super) async fn log_in(
    State(site): State<Site>,
    headers: HeaderMap,
    from: Option<Extension<ConnectInfo<SocketAddr>>>,
    form: Result<Form<LoginForm>, FormRejection>,
) -> Result<Response, Fault> {
    let Form(form) = form?;
    let next = safe_next(&form.next);
    let address = from.map(|Extension(ConnectInfo(from))| from.ip());
    match site.web.auth.log_in(&form.token, address) {
        Ok(cookie) => {
            site.web.auth.end_old(&headers);
            Ok(([(header::SET_COOKIE, cookie)], Redirect::to(next)).into_response())
        }
        Err(fault) => {
            let error = Some(format!("{}: {}", fault.message, fault.hint));
            let html = site.pages.render(
                "login.html",
                None,
                LoginPage { next, error, provider: provider(&site) },
            )?;
            let wait =
                fault.retry_after.map(|seconds| [(header::RETRY_AFTER, seconds.to_string())]);
            Ok((fault.status, wait, html).into_response())
        }
    }
}

/// Sends the browser to the identity provider.
pub(super) async fn begin(
    State(site): State<Site>,
    Query(query): Query<Next>,
) -> Result<Response, Fault> {
    let oidc = site.web.auth.oidc().ok_or_else(Fault::no_route)?;
    let (url, cookie) = oidc.begin(&query.next).await?;
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&url)).into_response())
}

#[derive(Serialize)]
struct WelcomePage {
    next: String,
}

/// Where the identity provider sends it back. A page, not a redirect: a strict
/// cookie goes along with what our own page asks for, but not along a chain of
/// redirects that another site began.
pub(super) async fn finish(
    State(site): State<Site>,
    headers: HeaderMap,
    Query(answer): Query<Answer>,
) -> Result<Response, Fault> {
    let oidc = site.web.auth.oidc().ok_or_else(Fault::no_route)?;
    let finished = oidc.finish(&site.web.auth, &headers, answer).await;
    let forget = AppendHeaders([(header::SET_COOKIE, oidc.forget())]);
    let done = match finished {
        Ok(done) => done,
        Err(fault) => return Ok((forget, fault).into_response()),
    };
    let cookie = AppendHeaders([(header::SET_COOKIE, done.cookie)]);
    let page = site.pages.render("welcome.html", None, WelcomePage { next: done.next })?;
    Ok((forget, cookie, page).into_response())
}

#[derive(Deserialize)]
pub(super) struct LogoutForm {}

pub(super) async fn log_out(State(site): State<Site>, posted: Posted<LogoutForm>) -> Response {
    let cookie = site.web.auth.log_out(&posted.caller);
    ([(header::SET_COOKIE, cookie)], Redirect::to("/login")).into_response()
}
