//! The console: pages made on the server, readable and usable without
//! scripts. Scripts add live checking, live updates and the theme switch.

mod act;
mod assets;
mod boards;
mod bundles;
mod diffs;
mod editor;
mod files;
mod login;
mod mirrors;
mod nodes;
mod pages;
mod promotions;

use super::access::{Access, Entry};
use crate::config::Role;

pub(crate) use pages::Pages;

const READER: Access = Access::Role(Role::Reader);
const OPERATOR: Access = Access::Role(Role::Operator);
const ADMIN: Access = Access::Role(Role::Admin);

/// The console's routes.
pub(crate) fn routes() -> Vec<Entry> {
    let mut routes = vec![
        Entry::get("/", READER, boards::show),
        Entry::get("/nodes", READER, nodes::show),
        Entry::get("/mirrors", Access::Login, mirrors::show),
        Entry::post("/mirrors/{project}/{id}/run", Access::Owner, mirrors::run),
        Entry::get("/promotions", READER, promotions::list),
        Entry::get("/promotions/{id}", READER, promotions::show),
        Entry::get("/bundles/{id}", READER, bundles::show),
        Entry::get("/login", Access::Public, login::form),
        Entry::post("/login", Access::Public, login::log_in),
        Entry::post("/logout", READER, login::log_out),
        Entry::get("/assets/{hash}/{name}", Access::Public, assets::serve),
    ];
    routes.extend(repo_routes());
    routes.extend(act_routes());
    routes
}

fn repo_routes() -> Vec<Entry> {
    vec![
        Entry::get("/r/{project}/{repo}/files", READER, files::root),
        Entry::get("/r/{project}/{repo}/files/{*path}", READER, files::show),
        Entry::get("/r/{project}/{repo}/history", READER, files::history),
        Entry::get("/r/{project}/{repo}/diff", READER, diffs::show),
        Entry::get("/r/{project}/{repo}/new", OPERATOR, editor::new),
        Entry::get("/r/{project}/{repo}/edit/{*path}", OPERATOR, editor::show),
        Entry::post("/r/{project}/{repo}/edit/{*path}", OPERATOR, editor::submit).with_files(),
    ]
}

fn act_routes() -> Vec<Entry> {
    vec![
        Entry::post("/promotions/{id}/approve", OPERATOR, act::approve),
        Entry::post("/promotions/{id}/reject", OPERATOR, act::reject),
        Entry::post("/promotions/{id}/cancel", OPERATOR, act::cancel),
        Entry::post("/r/{project}/{repo}/stages/{stage}/promote", OPERATOR, act::promote),
        Entry::post("/r/{project}/{repo}/stages/{stage}/rollback", OPERATOR, act::rollback),
        Entry::post("/r/{project}/{repo}/sync", OPERATOR, act::sync),
        Entry::post("/r/{project}/{repo}/adopt", ADMIN, act::adopt),
    ]
}
