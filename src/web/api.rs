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
//! | `POST R/commits` `{base_revision, changes, message}` | operator | `saved: committed` or `proposed` |
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
mod look;
pub(crate) mod mirrors;
mod repos;
mod serving;

use super::access::{Access, Entry};
use crate::config::Role;

pub(crate) use look::{LISTED_MAX, no_bundle, no_pipeline, no_promotion};
pub(crate) use repos::{RepoCard, cards as repo_cards, revision_or_head};

const READER: Access = Access::Role(Role::Reader);
const OPERATOR: Access = Access::Role(Role::Operator);
const ADMIN: Access = Access::Role(Role::Admin);

/// The API's routes.
pub(crate) fn routes() -> Vec<Entry> {
    let mut routes = vec![
        Entry::get("/api/v1/whoami", READER, look::whoami),
        Entry::get("/api/v1/events", READER, events::stream),
        Entry::get("/api/v1/nodes", READER, serving::nodes),
        Entry::get("/api/v1/snapshots/{project}/{repo}/{stage}/{group}", READER, serving::snapshot),
    ];
    routes.extend(repo_routes());
    routes.extend(decision_routes());
    routes.extend(mirrors::routes());
    routes
}

fn repo_routes() -> Vec<Entry> {
    vec![
        Entry::get("/api/v1/repos", READER, repos::list),
        Entry::get("/api/v1/repos/{project}/{repo}", READER, repos::one),
        Entry::get("/api/v1/repos/{project}/{repo}/revisions", READER, repos::revisions),
        Entry::get("/api/v1/repos/{project}/{repo}/files", READER, repos::files),
        Entry::get("/api/v1/repos/{project}/{repo}/files/{*path}", READER, repos::file),
        Entry::post("/api/v1/repos/{project}/{repo}/validate", READER, repos::validate)
            .with_files(),
        Entry::post("/api/v1/repos/{project}/{repo}/commits", OPERATOR, repos::commit).with_files(),
        Entry::post("/api/v1/repos/{project}/{repo}/sync", OPERATOR, repos::sync),
        Entry::get("/api/v1/repos/{project}/{repo}/board", READER, look::board),
        Entry::get("/api/v1/repos/{project}/{repo}/bundles", READER, look::bundles),
        Entry::get("/api/v1/repos/{project}/{repo}/diff", READER, look::diff),
    ]
}

fn decision_routes() -> Vec<Entry> {
    vec![
        Entry::get("/api/v1/bundles/{id}", READER, look::bundle),
        Entry::get("/api/v1/promotions", READER, look::promotions),
        Entry::get("/api/v1/promotions/{id}", READER, look::promotion),
        Entry::post("/api/v1/promotions/{id}/approve", OPERATOR, decisions::approve),
        Entry::post("/api/v1/promotions/{id}/reject", OPERATOR, decisions::reject),
        Entry::post("/api/v1/promotions/{id}/cancel", OPERATOR, decisions::cancel),
        Entry::post("/api/v1/repos/{project}/{repo}/promotions", OPERATOR, decisions::promote),
        Entry::post(
            "/api/v1/repos/{project}/{repo}/stages/{stage}/rollback",
            OPERATOR,
            decisions::rollback,
        ),
        Entry::post("/api/v1/repos/{project}/{repo}/adopt", ADMIN, decisions::adopt),
    ]
}
