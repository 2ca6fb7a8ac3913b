//! Logging in with a token, and out.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::{Extension, Form, extract::rejection::FormRejection};
use serde::{Deserialize, Serialize};

use crate::web::Site;
use crate::web::error::Fault;
use crate::web::extract::{Posted, Query, safe_next};

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
}

pub(super) async fn form(
    State(site): State<Site>,
    Query(query): Query<Next>,
) -> Result<Response, Fault> {
    let next = safe_next(&query.next);
    if site.web.auth.is_open() {
        return Ok(Redirect::to(next).into_response());
    }
    let page = LoginPage { next, error: None };
    Ok(site.pages.render("login.html", None, page)?.into_response())
}

pub(super) async fn log_in(
    State(site): State<Site>,
    from: Option<Extension<ConnectInfo<SocketAddr>>>,
    form: Result<Form<LoginForm>, FormRejection>,
) -> Result<Response, Fault> {
    let Form(form) = form?;
    let next = safe_next(&form.next);
    let address = from.map(|Extension(ConnectInfo(from))| from.ip());
    match site.web.auth.log_in(&form.token, address) {
        Ok(cookie) => Ok(([(header::SET_COOKIE, cookie)], Redirect::to(next)).into_response()),
        Err(fault) => {
            let error = Some(format!("{}: {}", fault.message, fault.hint));
            let html = site.pages.render("login.html", None, LoginPage { next, error })?;
            let wait =
                fault.retry_after.map(|seconds| [(header::RETRY_AFTER, seconds.to_string())]);
            Ok((fault.status, wait, html).into_response())
        }
    }
}

#[derive(Deserialize)]
pub(super) struct LogoutForm {}

pub(super) async fn log_out(State(site): State<Site>, posted: Posted<LogoutForm>) -> Response {
    let cookie = site.web.auth.log_out(&posted.caller);
    ([(header::SET_COOKIE, cookie)], Redirect::to("/login")).into_response()
}
