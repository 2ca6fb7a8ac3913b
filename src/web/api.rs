//! The JSON API, for the command line, robots and the console's scripts.
//! Not the console's pages, and not the Central-Dogma-compatible API.
//!
//! Every answer carries `apiVersion: convoy/v1`; unknown fields in a body are
//! refused with 422. Errors: `{"apiVersion", "error": {"code", "message",
//! "hint", "request_id"}}`. Below `/api/v1`, with `R` for
//! `/repos/{project}/{repo}`:
//!
//! | method and path | needs | answer |
//! | --- | --- | --- |
//! | `GET /whoami` | reader | `name, role, person` |
//! | `GET /events` | reader | server-sent `board` events: look again |
//! | `GET /repos` | reader | `repos: [{repo, head, mirror, stages}]` |
//! | `GET R` | reader | one of them |
//! | `GET R/revisions?path=&limit=&from=` | reader | `revisions`, newest first |
//! | `GET R/files?revision=&folder=` | reader | `revision, files: [{path, size}]` |
//! | `GET R/files/{path}?revision=` | reader | `revision, path, size, content` (null: not text) |
//! | `POST R/validate` `{revision?, changes}` | reader | `ok, problems, findings, stages` |
//! | `POST R/commits` `{base_revision, changes, message, merge?}` | operator | `saved: committed` or `proposed` |
//! | `GET R/board` | reader | stages with live bundle, matrix, fleet, open promotions |
//! | `GET R/bundles` | reader | `bundles`, newest first |
//! | `GET R/diff?from=&to=&stage=` | reader | differing resources; sides are stages or bundles |
//! | `POST R/promotions` `{stage, bundle, reason}` | operator | `promotion, message, already` |
//! | `POST R/stages/{stage}/rollback` `{to?, reason}` | operator | the same |
//! | `POST R/adopt` | admin | the same |
//! | `POST R/sync` | operator | 202: the upstream is looked at soon |
//! | `GET /bundles/{id}` | reader | the whole record, `matrix` with waiting cells |
//! | `GET /promotions?repo=&stage=` | reader | `promotions`, newest first |
//! | `GET /promotions/{id}` | reader | one of them |
//! | `POST /promotions/{id}/approve` `{plan?, note?}` | operator | `promotion, message, already` |
//! | `POST /promotions/{id}/reject` `{reason?}` | operator | the same |
//! | `POST /promotions/{id}/cancel` `{reason?}` | operator | the same |
//! | `GET /nodes?stage=` | reader | `total, nodes` |
//! | `GET /snapshots/{project}/{repo}/{stage}/{group}?yaml=1` | reader | what is served |
//!
//! Mirrors and credentials: see `mirrors`.
//!
//! `changes` is `[{path, content}]`; a null content removes the file.

mod decisions;
mod events;
mod govern;
mod look;
pub(crate) mod mirrors;
mod repos;
mod serving;

use super::access::{Access, Entry};
use crate::access::Right;
use crate::config::Role;

pub(crate) use govern::{
    NewTokenIn, TokenCard, issue, newest as newest_entries, own_or_admin, rotate_token,
    set_token_active, token_cards,
};
pub(crate) use look::{LISTED_MAX, no_bundle, no_pipeline, no_promotion};
pub(crate) use repos::{RepoCard, cards as repo_cards, history, revision_or_head};

const LOGIN: Access = Access::Login;
const READER: Access = Access::Role(Role::Reader);
const OPERATOR: Access = Access::Role(Role::Operator);
/// Some of the repository's files; which is the handler's to ask.
const READ: Access = Access::Repo(Right::Read);
const WRITE: Access = Access::Repo(Right::Write);
/// What is made of all files of a repository.
const READ_ALL: Access = Access::Whole(Right::Read);
/// Acts on a repository's pipeline.
const OPERATE: Access = Access::RepoRole(Role::Operator);
const ADOPT: Access = Access::RepoRole(Role::Admin);

/// The API's routes.
pub(crate) fn routes() -> Vec<Entry> {
    let mut routes = vec![
        Entry::get("/api/v1/whoami", LOGIN, look::whoami),
        Entry::get("/api/v1/events", LOGIN, events::stream),
        Entry::get("/api/v1/nodes", READER, serving::nodes),
        Entry::get(
            "/api/v1/snapshots/{project}/{repo}/{stage}/{group}",
            READ_ALL,
            serving::snapshot,
        ),
    ];
    routes.extend(repo_routes());
    routes.extend(decision_routes());
    routes.extend(govern::routes());
    routes.extend(mirrors::routes());
    routes
}

fn repo_routes() -> Vec<Entry> {
    vec![
        Entry::get("/api/v1/repos", LOGIN, repos::list),
        Entry::get("/api/v1/repos/{project}/{repo}", READ, repos::one),
        Entry::get("/api/v1/repos/{project}/{repo}/revisions", READ, repos::revisions),
        Entry::get("/api/v1/repos/{project}/{repo}/files", READ, repos::files),
        Entry::get("/api/v1/repos/{project}/{repo}/files/{*path}", READ, repos::file),
        Entry::post("/api/v1/repos/{project}/{repo}/validate", READ_ALL, repos::validate)
            .with_files(),
        Entry::post("/api/v1/repos/{project}/{repo}/commits", WRITE, repos::commit).with_files(),
        Entry::post("/api/v1/repos/{project}/{repo}/sync", OPERATE, repos::sync),
        Entry::get("/api/v1/repos/{project}/{repo}/board", READ_ALL, look::board),
        Entry::get("/api/v1/repos/{project}/{repo}/bundles", READ_ALL, look::bundles),
        Entry::get("/api/v1/repos/{project}/{repo}/diff", READ_ALL, look::diff),
    ]
}

fn decision_routes() -> Vec<Entry> {
    vec![
        Entry::get("/api/v1/bundles/{id}", LOGIN, look::bundle),
        Entry::get("/api/v1/promotions", LOGIN, look::promotions),
        Entry::get("/api/v1/promotions/{id}", LOGIN, look::promotion),
        Entry::post("/api/v1/promotions/{id}/approve", OPERATOR, decisions::approve),
        Entry::post("/api/v1/promotions/{id}/reject", OPERATOR, decisions::reject),
        Entry::post("/api/v1/promotions/{id}/cancel", OPERATOR, decisions::cancel),
        Entry::post("/api/v1/repos/{project}/{repo}/promotions", OPERATE, decisions::promote),
        Entry::post(
            "/api/v1/repos/{project}/{repo}/stages/{stage}/rollback",
            OPERATE,
            decisions::rollback,
        ),
        Entry::post("/api/v1/repos/{project}/{repo}/adopt", ADOPT, decisions::adopt),
    ]
}
