//! Every route against what it may be open to.

use std::collections::BTreeSet;

use super::*;
use crate::web::entries;

#[test]
fn only_login_assets_and_health_are_public() {
    let public: BTreeSet<_> = entries()
        .filter(|entry| entry.needs == Access::Public)
        .map(|entry| format!("{} {}", entry.method, entry.path))
        .collect();
    let expected = [
        "GET /assets/{hash}/{name}",
        "GET /healthz",
        "GET /login",
        "GET /login/oidc",
        "GET /login/oidc/callback",
        "GET /metrics",
        "GET /monitor/l7check",
        "GET /readyz",
        "GET /security_enabled",
        "GET /title",
        // Refusals must be in Git's words; `git::open` is their guard.
        "GET /{project}/{repo}/info/refs",
        "POST /login",
        "POST /{project}/{repo}/git-receive-pack",
        "POST /{project}/{repo}/git-upload-pack",
    ];
    assert_eq!(public, expected.into_iter().map(str::to_owned).collect());
}

/// What somebody may change of their own: tokens, sessions, a project that was
/// removed, and which Slack user they are.
const OWN: [&str; 5] =
    ["/tokens", "/sessions", "/appIdentities", "{project}/removed", "/slack/link"];

#[test]
fn nothing_is_changed_by_readers() {
    for entry in entries().filter(|entry| !entry.method.is_safe()) {
        let harmless = ["/login", "/logout"].contains(&entry.path)
            || ["/validate", "/preview", "/merge", "-pack"]
                .iter()
                .any(|end| entry.path.ends_with(end));
        let guarded = match entry.needs {
            Access::Role(role) | Access::RepoRole(role) => role.covers(Role::Operator),
            Access::Repo(right) | Access::Whole(right) => right >= Right::Write,
            Access::Owner | Access::Member => true,
            // One's own, which the handlers look after.
            Access::Login => OWN.iter().any(|own| entry.path.contains(own)),
            Access::Public | Access::Project => false,
        };
        assert!(harmless || guarded, "{} {}", entry.method, entry.path);
    }
}

#[test]
fn what_a_route_needs_fits_what_its_path_names() {
    for entry in entries() {
        let names = |name: &str| entry.path.contains(name);
        let repo = names("{project}") && names("{repo}");
        let ok = match entry.needs {
            Access::Repo(_) | Access::Whole(_) | Access::RepoRole(_) => repo,
            Access::Owner | Access::Member | Access::Project => names("{project}"),
            Access::Public => !repo || names("-pack") || names("/info/refs"),
            Access::Login => !repo,
            Access::Role(role) => !repo || role == Role::Admin,
        };
        assert!(ok, "{} {}: {:?}", entry.method, entry.path, entry.needs);
    }
}
