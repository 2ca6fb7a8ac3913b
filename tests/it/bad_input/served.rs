//! Pushes, upstreams and Envoys that are not as they should be, under a
//! server that goes on.

use serde_json::{Value, json};

use super::{CLUSTER, ONE_STAGE};
use crate::harness::convoy::{Convoy, Setup, envoys, free_port, wait_for};
use crate::harness::upstream::{ADA, BRANCH, Upstream};

const VERSION: &str = "1.40.0";

/// A cluster whose timeout tells the commits apart.
fn cluster(seconds: u32) -> String {
    CLUSTER.replace("1s", &format!("{seconds}s"))
}

/// Whether a problem or finding of the bundle has this rule and file.
fn has(bundle: &Value, rule: &str, file: &str) -> bool {
    let lists = [&bundle["problems"], &bundle["findings"]];
    let mut all = lists.into_iter().filter_map(Value::as_array).flatten();
    all.any(|one| {
        let problem = if one["problem"].is_object() { &one["problem"] } else { one };
        problem["rule"] == rule && problem["place"]["file"] == file
    })
}

#[test]
fn what_a_commit_breaks_stops_nothing_and_the_next_goes_on() {
    let upstream = Upstream::start();
    let convoy = Convoy::with().upstream(upstream.url(), "1s").start();
    let empty = convoy.wait_mirror("failing");
    let said = empty["error"].as_str().unwrap();
    assert!(said.contains(&format!("has no branch `{BRANCH}`")), "{said}");
    let upstream = upstream.with_webhook(&format!("{}/hooks/github", convoy.url()), "hook-secret");

    let a = "resources/clusters/a.yaml";
    let good = upstream.commit(&[("convoy.yaml", ONE_STAGE), (a, &cluster(1))], "good", ADA);
    let good = good.to_string();
    convoy.wait_served("beta", &good);
    let large = "resources/clusters/large.yaml";
    let rejected = |commit: String, rule: &str, file: &str| {
        let bundle = convoy.wait_bundle(&commit, "rejected");
        assert!(has(&bundle, rule, file), "{bundle}");
        assert_eq!(convoy.stage("beta").unwrap()["live"]["commit"], good.as_str(), "{rule}");
    };
    let commit = upstream.commit(&[(large, "# a line\n".repeat(50 << 20 >> 3))], "large", ADA);
    rejected(commit.to_string(), "file-too-large", large);
    convoy.wait_bundle(&upstream.remove(large).to_string(), "eligible");
    rejected(upstream.remove("convoy.yaml").to_string(), "missing-manifest", "convoy.yaml");
    let commit =
        upstream.commit(&[("convoy.yaml", "stages: [{name: beta, auto: maybe}]")], "x", ADA);
    rejected(commit.to_string(), "wrong-type", "convoy.yaml");

    let nested = format!("a:\n  {}x\n", "- ".repeat(100_000));
    let all = [("convoy.yaml", ONE_STAGE), ("values/beta.yaml", nested.as_str())];
    rejected(upstream.commit(&all, "deep", ADA).to_string(), "yaml-budget", "values/beta.yaml");
    upstream.remove("values/beta.yaml");
    let nested = format!("name: a\nmetadata: {}x\n", "{a: ".repeat(100_000));
    let all = [("resources/clusters/deep.yaml", nested)];
    let commit = upstream.commit(&all, "deep", ADA).to_string();
    rejected(commit, "yaml-budget", "resources/clusters/deep.yaml");
    upstream.remove("resources/clusters/deep.yaml");

    let commit = upstream.commit(&[("convoy.yaml", ONE_STAGE)], "again", ADA);
    convoy.wait_bundle(&commit.to_string(), "eligible");
    upstream.symlink("resources/clusters/link.yaml", "../../../etc/passwd");
    upstream.submodule("vendor/lib");
    let last = upstream.commit(&[(a, cluster(2))], "with what is left out", ADA).to_string();
    convoy.wait_served("beta", &last);
    let bundle = convoy.wait_bundle(&last, "eligible");
    assert!(has(&bundle, "skipped-symlink", "resources/clusters/link.yaml"), "{bundle}");
    assert!(has(&bundle, "skipped-submodule", "vendor/lib"), "{bundle}");
}

/// Adds a repository with this upstream.
fn with_upstream(setup: Setup, name: &str, url: &str, more: &str) -> Setup {
    setup.config(&format!(
        "  - {{name: mesh/{name}, poll: 1s, upstream: {{url: \"{url}\"{more}}}}}\n"
    ))
}

#[test]
fn an_upstream_that_fails_holds_up_no_other() {
    let (good, silent) = (Upstream::start(), Upstream::with().hang().start());
    let locked = Upstream::with().tls().token("right").start();
    let port = free_port();
    let setup = Convoy::with().config("repositories:\n");
    let wrong = setup.secret("token", "wrong-token-of-ours");
    let token =
        format!(", token_file: {}, ca_file: {}", wrong.display(), locked.ca_file().display());
    let setup = with_upstream(setup, "config", good.url(), "");
    let setup = with_upstream(setup, "silent", silent.url(), ", limits: {time: 1s}");
    let setup = with_upstream(setup, "locked", locked.url(), &token);
    let down = format!("http://127.0.0.1:{port}/conf.git");
    let convoy = with_upstream(setup, "down", &down, "").start();

    let files = [("convoy.yaml", ONE_STAGE)];
    for (name, said) in [
        ("silent", "can't be reached: no answer within 1 s"),
        ("locked", "refused the credentials"),
        ("down", "can't be reached"),
    ] {
        wait_for(&format!("{name} to be failing"), || {
            let mirror = convoy.try_get(&format!("/api/v1/repos/mesh/{name}"))?["mirror"].clone();
            let error = mirror["error"].as_str().unwrap_or_default();
            let told = error.contains(said) && error.contains("://127.0.0.1");
            if told { Ok(()) } else { Err(mirror.to_string()) }
        });
    }
    convoy.wait_bundle(&good.commit(&files, "goes on", ADA).to_string(), "eligible");
    let back = Upstream::with().port(port).start();
    back.commit(&files, "back again", ADA);
    wait_for("the upstream that came back", || {
        let repo = convoy.try_get("/api/v1/repos/mesh/down")?;
        let here = repo["mirror"]["state"] == "in_step" && repo["head"]["revision"] == 1;
        if here { Ok(()) } else { Err(repo.to_string()) }
    });
    assert!(!convoy.log().contains("wrong-token-of-ours"), "{}", convoy.log());
}

/// A pipeline whose beta asks for a smoke run.
fn with_smoke() -> String {
    format!(
        "stages:\n  - name: beta\n    auto: true\n    envoy: [{VERSION}]\n    \
         smoke: {{check_timeout: 1s}}\n"
    )
}

/// The first reason of the bundle's cell, once it has this outcome.
fn wait_cell(convoy: &Convoy, commit: &str, outcome: &str) -> String {
    let cell = wait_for(&format!("a cell that {outcome}"), || {
        let bundles = convoy.try_get("/api/v1/repos/mesh/config/bundles")?;
        let all = bundles["bundles"].as_array().cloned().unwrap_or_default();
        let brief = all.iter().find(|bundle| bundle["commit"] == commit);
        let id = brief.and_then(|brief| brief["id"].as_str()).ok_or("no bundle")?;
        let bundle = convoy.get(&format!("/bundles/{id}"))["bundle"].clone();
        let cell = bundle["matrix"].get(0).filter(|cell| cell["outcome"] == outcome).cloned();
        cell.ok_or_else(|| bundle["matrix"].to_string())
    });
    cell["reasons"].get(0).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[test]
fn an_envoy_that_is_missing_is_named_and_asked_for_again() {
    let upstream = Upstream::start();
    let folder = tempfile::tempdir().unwrap();
    let convoy = Convoy::with().upstream(&upstream.file_url(), "1s").flag("--envoys");
    let convoy = convoy.flag(folder.path().to_str().unwrap()).start();
    let commit = upstream.commit(&[("convoy.yaml", with_smoke())], "one", ADA).to_string();
    let reason = wait_cell(&convoy, &commit, "errored");
    assert!(reason.contains(&format!("run `convoy envoy install {VERSION}`")), "{reason}");
    wait_for("the gate to say so", || {
        let gates = convoy.get("/promotions?repo=mesh/config")["promotions"].to_string();
        let told = gates.contains("could not run") && gates.contains("convoy envoy install");
        if told { Ok(()) } else { Err(gates) }
    });
    assert_eq!(convoy.stage("beta").unwrap()["live"], Value::Null);
    std::os::unix::fs::symlink(envoys().join(VERSION), folder.path().join(VERSION)).unwrap();
    wait_cell(&convoy, &commit, "passed");
    convoy.wait_served("beta", &commit);
}

#[test]
fn a_script_that_hangs_fails_its_bundle_only() {
    let upstream = Upstream::start();
    let convoy = Convoy::with().upstream(&upstream.file_url(), "1s").start();
    let good = upstream.commit(&[("convoy.yaml", with_smoke())], "good", ADA).to_string();
    convoy.wait_served("beta", &good);
    let hang = "#!/bin/sh\nsleep 1000 & wait\n";
    let commit = upstream.executable("checks/hang.sh", hang).to_string();
    upstream.commit(&[("resources/clusters/a.yaml", cluster(1))], "with it", ADA);
    let reason = wait_cell(&convoy, &upstream.head(BRANCH).to_string(), "failed");
    assert!(reason.contains("checks/hang.sh was killed: it did not end within 1 s"), "{reason}");
    let card = convoy.stage("beta").unwrap();
    assert_ne!(card["live"]["commit"], upstream.head(BRANCH).to_string(), "{card} {commit}");
    upstream.remove("checks/hang.sh");
    let next = upstream.commit(&[("resources/clusters/a.yaml", cluster(2))], "next", ADA);
    convoy.wait_served("beta", &next.to_string());
    assert_ne!(card["live"]["commit"], json!(null));
}
