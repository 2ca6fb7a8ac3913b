//! Logging in with a token, and out.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::{Form, extract::rejection::FormRejection};
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
    form: Result<Form<LoginForm>, FormRejection>,
) -> Result<Response, Fault> {
    let Form(form) = form?;
    let next = safe_next(&form.next);
    match site.web.auth.log_in(&form.token) {
        Ok(cookie) => Ok(([(header::SET_COOKIE, cookie)], Redirect::to(next)).into_response()),
        Err(fault) if fault.status == StatusCode::UNAUTHORIZED => {
            let error = Some(format!("{}: {}", fault.message, fault.hint));
            let html = site.pages.render("login.html", None, LoginPage { next, error })?;
            Ok((StatusCode::UNAUTHORIZED, html).into_response())
        }
        Err(fault) => Err(fault),
    }
}

#[derive(Deserialize)]
pub(super) struct LogoutForm {}

pub(super) async fn log_out(State(site): State<Site>, posted: Posted<LogoutForm>) -> Response {
    let cookie = site.web.auth.log_out(&posted.caller);
    ([(header::SET_COOKIE, cookie)], Redirect::to("/login")).into_response()
}
