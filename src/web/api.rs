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
//! | `GET /palette` | login | `verbs`: what can be typed, in Slack, a shell and the palette |
//! | `GET /events` | reader | server-sent `board` events: look again |
//! | `GET /repos` | reader | `repos: [{repo, head, mirror, stages}]` |
//! | `GET R` | reader | one of them |
//! | `GET R/revisions?pattern=&from=&to=&limit=` | read | `revisions`, newest first, and `next` to go on `from`; `path=` for a file or folder |
//! | `GET R/files?revision=&pattern=&folder=` | read | `revision, files: [{path, size, blob}]` |
//! | `GET R/files/{path}?revision=` | read | `revision, path, size, blob, content` (null: not text) |
//! | … `&query=JSONPATH` (again: on what the one before found) | read | `value`: what one place holds, or an array of several |
//! | … `&jsonpath=JSONPATH` | read | `nodes`: everything that it finds (RFC 9535) |
//! | `GET R/raw/{path}?revision=` | read | the bytes; `ETag` is the blob id, `If-None-Match` gives 304 |
//! | `GET R/merged?path=&optional=&query=&revision=` | read | `value`: the files over each other, in their order |
//! | `GET R/changes?from=&to=&pattern=` | read | `files: [{path, change, before, after, text_diff, json_patch}]` |
//! | `GET R/search?q=&regex=1&ignore_case=1&pattern=&revision=` | read | `hits, files: [{path, hits: [{line, column, text}]}], truncated` |
//! | `GET /search?q=` (as above) | login | the same for each repository, in `repos` |
//! | `GET R/watch?pattern=&since=&wait=` | read | `revision, entries` once something differs; 204 where nothing did |
//! | `GET /watch?watch=PROJECT/REPO@REVISION:PATTERN` (again for more) | login | a stream of events, see `contents::stream` |
//! | `POST R/preview` `{revision?, changes}` | read | `files`, as `changes` gives them |
//! | `POST R/merge` `{path, base_revision, revision?, content}` | read | `clean, content`: the edit merged with the file by line |
//! | `POST R/revert` `{to, message, expected?}` | write | as `commits` |
//! | `POST R/validate` `{revision?, changes}` | reader | `ok, problems, findings, stages` |
//! | `POST R/commits` `{base_revision, changes, message, merge?}` | operator | `saved: committed`, or `proposed` with its `branch` and `pull` |
//! | `GET R/board` | reader | stages with live bundle, matrix, fleet, open promotions |
//! | `GET R/bundles` | reader | `bundles`, newest first |
//! | `GET R/diff?from=&to=&stage=` | reader | differing resources; sides are stages or bundles |
//! | `POST R/promotions` `{stage, bundle, reason}` | operator | `promotion, message, already` |
//! | `POST R/stages/{stage}/rollback` `{to?, reason}` | operator | the same |
//! | `POST R/stages/{stage}/{verb}` `pin unpin lock unlock freeze thaw breakglass` | operator | the same |
//! | `POST R/bundles/{bundle}/{verb}` `veto unveto retest` `{stage?, reason, envoy?}` | operator | the same |
//! | `POST R/freeze` `{until?, reason}`, `POST R/thaw` | operator | the same, for every stage |
//! | `GET R/stages/{stage}/why` | reader | `blockers`: what it waits for, who can clear each, when a window opens |
//! | `POST R/adopt` | admin | the same |
//! | `POST R/sync` | operator | 202: the upstream is looked at soon |
//! | `GET /bundles/{id}` | reader | the whole record, `matrix` with waiting cells |
//! | `GET /bundles/{id}/evidence/{hash}` | reader | `cell, outcome, reasons, groups`: what a smoke run left, by node group and file; the hash is in `matrix[].proof.evidence` |
//! | `GET /promotions?repo=&stage=` | reader | `promotions`, newest first |
//! | `GET /promotions/{id}` | reader | one of them |
//! | `POST /promotions/{id}/approve` `{plan?, note?}` | operator | `promotion, message, already` |
//! | `POST /promotions/{id}/reject` `{reason?}` | operator | the same |
//! | `POST /promotions/{id}/cancel` `{reason?}` | operator | the same |
//! | `POST /promotions/{id}/{verb}` `retract abort pause resume advance review` `{reason?, to?, note?}` | operator | the same |
//! | `GET /promotions/{id}/why` | reader | `blockers`, and `options`: what the caller may do with it now |
//! | `GET /nodes?stage=&state=` | reader | `total, states, nodes` with what each type has, lacks and refuses, and who wrote that |
//! | `GET /nodes/{node}?all=1` | reader | `node, resources`: those in which it differs, or all |
//! | `GET R/stages/{stage}/nodes?revision=&ready=95&nodes=&wait=` | read | `reached, refused, nodes, ready, needed, waiting`, within `wait` seconds (at most 25) as soon as it is one or the other |
//! | `GET /loads?stage=` | reader | `loads`: what clusters carry, as nodes report it |
//! | `GET /snapshots/{project}/{repo}/{stage}/{group}?yaml=1` | reader | what is served |
//!
//! What decides takes `dry_run: true`: then nothing is done, and the answer says
//! what it would come to.
//!
//! Mirrors and credentials: see `mirrors`.
//!
//! A revision is a number from 1, or counted from the head: -1 or `head` is the
//! newest, -2 the one before it. Patterns: `/values/**`, with `,` between
//! alternatives. `changes` is `[{path, content}]`, and more: see
//! `edits::change`.

mod contents;
mod decisions;
mod events;
mod govern;
mod look;
pub(crate) mod mirrors;
mod palette;
mod ready;
mod repos;
mod serving;

use super::access::{Access, Entry};
use crate::access::Right;
use crate::config::Role;

pub(crate) use govern::{
    NewTokenIn, TokenCard, issue, newest as newest_entries, own_or_admin, rotate_token,
    set_token_active, token_cards,
};
pub(crate) use look::{LISTED_MAX, kept, no_bundle, no_pipeline, no_promotion};
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
        Entry::get("/api/v1/palette", LOGIN, palette::palette),
        Entry::get("/api/v1/nodes", READER, serving::nodes),
        Entry::get("/api/v1/nodes/{node}", READER, serving::node),
        Entry::get("/api/v1/loads", READER, serving::loads),
        Entry::get(
            "/api/v1/snapshots/{project}/{repo}/{stage}/{group}",
            READ_ALL,
            serving::snapshot,
        ),
    ];
    routes.extend(repo_routes());
    routes.extend(contents::routes());
    routes.extend(decision_routes());
    routes.extend(govern::routes());
    routes.extend(mirrors::routes());
    routes
}

fn repo_routes() -> Vec<Entry> {
    vec![
        Entry::get("/api/v1/repos", LOGIN, repos::list),
        Entry::get("/api/v1/repos/{project}/{repo}", READ, repos::one),
        Entry::post("/api/v1/repos/{project}/{repo}/validate", READ_ALL, repos::validate)
            .with_files(),
        Entry::post("/api/v1/repos/{project}/{repo}/commits", WRITE, repos::commit).with_files(),
        Entry::post("/api/v1/repos/{project}/{repo}/sync", OPERATE, repos::sync),
        Entry::get("/api/v1/repos/{project}/{repo}/board", READ_ALL, look::board),
        Entry::get("/api/v1/repos/{project}/{repo}/bundles", READ_ALL, look::bundles),
        Entry::get("/api/v1/repos/{project}/{repo}/diff", READ_ALL, look::diff),
        Entry::get("/api/v1/repos/{project}/{repo}/stages/{stage}/nodes", READ_ALL, ready::ready),
    ]
}

fn decision_routes() -> Vec<Entry> {
    vec![
        Entry::get("/api/v1/bundles/{id}", LOGIN, look::bundle),
        Entry::get("/api/v1/bundles/{id}/evidence/{hash}", LOGIN, look::evidence),
        Entry::get("/api/v1/promotions", LOGIN, look::promotions),
        Entry::get("/api/v1/promotions/{id}", LOGIN, look::promotion),
        Entry::post("/api/v1/promotions/{id}/approve", OPERATOR, decisions::approve),
        Entry::post("/api/v1/promotions/{id}/reject", OPERATOR, decisions::reject),
        Entry::post("/api/v1/promotions/{id}/cancel", OPERATOR, decisions::cancel),
        Entry::post("/api/v1/promotions/{id}/{verb}", OPERATOR, decisions::on_promotion),
        Entry::get("/api/v1/promotions/{id}/why", READER, decisions::why_promotion),
        Entry::post("/api/v1/repos/{project}/{repo}/promotions", OPERATE, decisions::promote),
        Entry::get(
            "/api/v1/repos/{project}/{repo}/stages/{stage}/why",
            READ_ALL,
            decisions::why_stage,
        ),
        Entry::post(
            "/api/v1/repos/{project}/{repo}/stages/{stage}/{verb}",
            OPERATE,
            decisions::on_stage,
        ),
        Entry::post(
            "/api/v1/repos/{project}/{repo}/bundles/{bundle}/{verb}",
            OPERATE,
            decisions::on_bundle,
        ),
        Entry::post("/api/v1/repos/{project}/{repo}/freeze", OPERATE, decisions::freeze_all),
        Entry::post("/api/v1/repos/{project}/{repo}/thaw", OPERATE, decisions::thaw_all),
        Entry::post(
            "/api/v1/repos/{project}/{repo}/stages/{stage}/rollback",
            OPERATE,
            decisions::rollback,
        ),
        Entry::post("/api/v1/repos/{project}/{repo}/adopt", ADOPT, decisions::adopt),
    ]
}
