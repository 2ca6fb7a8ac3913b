//! The server as a whole, and what Convoy has no counterpart for.

use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::answer::{self, Reply};
use super::fault;
use super::request::{self, Json};
use crate::web::Site;

pub(super) async fn status() -> Reply {
    answer::value(&json!({ "writable": true, "replicating": true }))
}

pub(super) async fn set_status(Json(body): Json) -> Reply {
    match request::required(&body, "serverStatus")? {
        // It is so already.
        "WRITABLE" => Ok(answer::unchanged()),
        "READ_ONLY" | "REPLICATION_ONLY" => Err(fault::unsupported(
            "Convoy makes single repositories read-only: PUT \
             /api/v1/projects/PROJECT/repos/REPO/status {\"status\":\"READ_ONLY\"}",
        )),
        other => Err(fault::illegal(format!(
            "serverStatus: `{}`: write WRITABLE, REPLICATION_ONLY or READ_ONLY",
            other.escape_debug()
        ))),
    }
}

/// What load balancers ask.
pub(super) async fn l7check(State(site): State<Site>) -> Response {
    let ready = site.web.ready.load(Ordering::Acquire);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, answer::written(json!({ "healthy": ready }).to_string().into_bytes())).into_response()
}

pub(super) async fn title() -> Reply {
    answer::value(&json!({ "title": "Convoy" }))
}

/// 200 where callers must log in.
pub(super) async fn security_enabled(State(site): State<Site>) -> Response {
    let status = if site.web.auth.is_open() { StatusCode::NOT_FOUND } else { StatusCode::OK };
    status.into_response()
}

/// There are no zones.
pub(super) async fn mirror_config() -> Response {
    answer::nothing()
}

/// Says what to use instead.
macro_rules! instead {
    ($($name:ident: $text:literal;)*) => { $(
        pub(super) async fn $name() -> Reply {
            Err(fault::unsupported($text))
        }
    )* };
}

instead! {
    variables: "Convoy has no variables of a project: a rendered repository keeps them in \
        `values/`, and `convoy render` shows what they come to";
    mirror_access: "which remotes mirrors may reach is said in the configuration file";
    loggers: "log levels are set in the configuration file, by `log.level`";
    keys: "Convoy encrypts no single repository: put the data folder on an encrypted disk";
    migrate: "there is nothing to migrate: every repository is a Git repository on disk";
    xds: "Convoy's xDS resources are files of a repository; see `convoy.yaml`";
}
