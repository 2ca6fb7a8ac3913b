//! The console: pages made on the server, readable and usable without
//! scripts. Scripts add live checking, live updates and the theme switch.

mod access;
mod act;
mod assets;
mod audit;
mod boards;
mod bundles;
mod diffs;
mod editor;
mod files;
mod linking;
mod login;
mod mirrors;
mod nodes;
mod options;
mod pages;
mod promotions;

use super::access::{Access, Entry};
use crate::access::Right;
use crate::config::Role;

pub(crate) use pages::Pages;

const READER: Access = Access::Role(Role::Reader);
const OPERATOR: Access = Access::Role(Role::Operator);
const ADMIN: Access = Access::Role(Role::Admin);
const LOGIN: Access = Access::Login;
/// Some of the repository's files; which is the handler's to ask.
const READ: Access = Access::Repo(Right::Read);
const WRITE: Access = Access::Repo(Right::Write);
/// What is made of all files of a repository.
const READ_ALL: Access = Access::Whole(Right::Read);
/// Acts on a repository's pipeline.
const OPERATE: Access = Access::RepoRole(Role::Operator);
const ADOPT: Access = Access::RepoRole(Role::Admin);

/// The console's routes.
pub(crate) fn routes() -> Vec<Entry> {
    let mut routes = vec![
        Entry::get("/", LOGIN, boards::show),
        Entry::get("/nodes", READER, nodes::show),
        Entry::get("/mirrors", LOGIN, mirrors::show),
        Entry::post("/mirrors/{project}/{id}/run", Access::Owner, mirrors::run),
        Entry::get("/promotions", LOGIN, promotions::list),
        Entry::get("/promotions/{id}", LOGIN, promotions::show),
        Entry::get("/bundles/{id}", LOGIN, bundles::show),
        Entry::get("/bundles/{id}/evidence/{hash}", LOGIN, bundles::evidence),
        Entry::get("/login", Access::Public, login::form),
        Entry::post("/login", Access::Public, login::log_in),
        Entry::get("/login/oidc", Access::Public, login::begin),
        Entry::get("/login/oidc/callback", Access::Public, login::finish),
        Entry::post("/logout", LOGIN, login::log_out),
        Entry::get("/slack/link", LOGIN, linking::show),
        Entry::post("/slack/link", LOGIN, linking::link),
        Entry::get("/assets/{hash}/{name}", Access::Public, assets::serve),
    ];
    routes.extend(repo_routes());
    routes.extend(act_routes());
    routes.extend(access::routes());
    routes.push(Entry::get("/audit", ADMIN, audit::show));
    routes
}

fn repo_routes() -> Vec<Entry> {
    vec![
        Entry::get("/r/{project}/{repo}/files", READ, files::root),
        Entry::get("/r/{project}/{repo}/files/{*path}", READ, files::show),
        Entry::get("/r/{project}/{repo}/history", READ, files::history),
        Entry::get("/r/{project}/{repo}/diff", READ_ALL, diffs::show),
        Entry::get("/r/{project}/{repo}/new", WRITE, editor::new),
        Entry::get("/r/{project}/{repo}/edit/{*path}", WRITE, editor::show),
        Entry::post("/r/{project}/{repo}/edit/{*path}", WRITE, editor::submit).with_files(),
    ]
}

fn act_routes() -> Vec<Entry> {
    vec![
        Entry::post("/promotions/{id}/approve", OPERATOR, act::approve),
        Entry::post("/promotions/{id}/reject", OPERATOR, act::reject),
        Entry::post("/promotions/{id}/cancel", OPERATOR, act::cancel),
        Entry::post("/r/{project}/{repo}/stages/{stage}/promote", OPERATE, act::promote),
        Entry::post("/r/{project}/{repo}/stages/{stage}/rollback", OPERATE, act::rollback),
        Entry::post("/r/{project}/{repo}/stages/{stage}/unpin", OPERATE, act::unpin),
        Entry::post("/r/{project}/{repo}/sync", OPERATE, act::sync),
        Entry::post("/r/{project}/{repo}/adopt", ADOPT, act::adopt),
    ]
}
