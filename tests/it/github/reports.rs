//! Statuses, check runs and deployments.

use serde_json::{Value, json};

use super::{Bed, CLUSTER, PIPELINE};
use crate::harness::convoy::wait_for;
use crate::harness::upstream::ADA;

/// A cell whose Envoy is not installed ends without a verdict.
const WITH_CELL: &str = "stages:\n  - {name: beta, auto: true, envoy: [\"1.36.99\"]}\n";

#[test]
fn a_commit_says_how_it_renders_and_how_each_cell_stands() {
    let bed = Bed::start();
    let good = bed.push(1);
    let text = bed.github.wait_status(&good, "convoy/render", "success");
    assert!(text.starts_with("b-") && text.contains("2 stages"), "{text}");
    let bad = bed.upstream.commit(&[(CLUSTER, "name: users\nconect_timeout: 1s\n")], "x", ADA);
    let text = bed.github.wait_status(&bad.to_string(), "convoy/render", "failure");
    assert!(text.contains("resources/clusters/users.yaml:2:1"), "{text}");
    let files = [("convoy.yaml", WITH_CELL), (CLUSTER, &super::cluster(2))];
    let cell = bed.upstream.commit(&files, "with a cell", ADA).to_string();
    let text = bed.github.wait_status(&cell, "convoy/smoke (beta, 1.36.99)", "error");
    assert!(text.contains("1.36.99"), "{text}");
    let state = bed.github.state();
    let page = state["statuses"][0]["target_url"].as_str().unwrap_or("");
    assert!(page.starts_with(&bed.convoy.url()) && page.contains("/bundles/b-"), "{page}");
    assert!(!bed.convoy.log().contains("canary"), "a token stands in the log");
}

#[test]
fn nothing_is_written_twice_also_after_a_restart_without_the_index() {
    let mut bed = Bed::start();
    let commit = bed.push(1);
    bed.github.wait_status(&commit, "convoy/render", "success");
    wait_for("the deployment to succeed", || deployed(&bed, "beta", "success"));
    let before = (bed.github.writes("/statuses/"), bed.github.writes("/deployments"));
    bed.convoy.stop();
    std::fs::remove_dir_all(bed.convoy.data().join("index")).expect("the index is there");
    bed.convoy.start_again();
    // Another commit, so that what came before it was gone through again.
    let next = bed.push(2);
    bed.github.wait_status(&next, "convoy/render", "success");
    wait_for("the second deployment", || match bed.github.writes("/deployments") {
        writes if writes > before.1 => Ok(()),
        writes => Err(writes.to_string()),
    });
    let of_first = |all: &Value| {
        all.as_array().into_iter().flatten().filter(|one| one["sha"] == commit).count()
    };
    let state = bed.github.state();
    assert_eq!((of_first(&state["statuses"]), of_first(&state["deployments"])), (1, 1), "{state}");
}

#[test]
fn a_promotion_is_a_deployment_whose_status_follows_it() {
    let bed = Bed::start();
    let commit = bed.push(1);
    wait_for("beta to be deployed", || deployed(&bed, "beta", "success"));
    let id = bed.promote("bob", "release");
    wait_for("release to be deployed", || deployed(&bed, "release", "success"));
    let state = bed.github.state();
    let all = state["deployments"].as_array().cloned().unwrap_or_default();
    let release: Vec<_> = all.iter().filter(|one| one["environment"] == "release").collect();
    assert_eq!(release.len(), 1, "{state}");
    let one = release[0];
    assert_eq!(
        (&one["sha"], &one["payload"], &one["auto_merge"], &one["required_contexts"]),
        (&json!(commit), &json!({ "promotion": id }), &json!(false), &json!([]))
    );
    assert_eq!(one["production_environment"], true, "{one}");
    let progress = state["progress"].as_array().cloned().unwrap_or_default();
    let last = progress.iter().rfind(|step| step["deployment"] == one["id"]).expect("a status");
    assert!(last["log_url"].as_str().unwrap_or("").contains(&id), "{last}");
}

/// The newest word about an environment.
pub(super) fn deployed(bed: &Bed, environment: &str, word: &str) -> Result<(), String> {
    let state = bed.github.state();
    let all = state["deployments"].as_array().cloned().unwrap_or_default();
    let newest = all.iter().rfind(|one| one["environment"] == environment);
    let newest = newest.ok_or_else(|| state.to_string())?;
    let progress = state["progress"].as_array().cloned().unwrap_or_default();
    let last = progress.iter().rfind(|step| step["deployment"] == newest["id"]);
    match last.map(|step| step["state"] == word) {
        Some(true) => Ok(()),
        _ => Err(format!("{state} {}", bed.convoy.log())),
    }
}

#[test]
fn an_app_annotates_every_mistake_at_its_line_over_a_private_ca() {
    let bed = Bed::with_app();
    // More than GitHub takes at once.
    let wrong: Vec<(String, String)> = (0..120)
        .map(|n| {
            let path = format!("resources/clusters/c{n:03}.yaml");
            (path, format!("name: c{n}\nconect_timeout: 1s\n"))
        })
        .collect();
    let mut files = vec![("convoy.yaml", PIPELINE)];
    files.extend(wrong.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    let commit = bed.upstream.commit(&files, "all wrong", ADA).to_string();
    let run = wait_for("a check run that is over", || {
        let state = bed.github.state();
        let checks = state["checks"].as_array().cloned().unwrap_or_default();
        let found = checks.iter().find(|run| run["head_sha"] == commit);
        let found = found.filter(|run| run["status"] == "completed").cloned();
        found.ok_or_else(|| format!("{checks:?} {}", bed.convoy.log()))
    });
    let notes = run["annotations"].as_array().cloned().unwrap_or_default();
    assert_eq!((notes.len(), &run["conclusion"]), (120, &json!("failure")), "{run}");
    assert_eq!(
        (&notes[7]["path"], &notes[7]["start_line"]),
        (&json!("resources/clusters/c007.yaml"), &json!(2))
    );
    assert!(notes[7]["message"].as_str().unwrap_or("").contains("connect_timeout"), "{}", notes[7]);
    assert_eq!((bed.github.writes("POST") >= 1, bed.github.writes("/check-runs/")), (true, 2));
    // The tokens are cut to the repository and what is written there.
    let state = bed.github.state();
    let scopes = state["tokens"].as_object().cloned().unwrap_or_default();
    let scope = scopes.values().find(|scope| scope["checks"].is_string());
    let scope = scope.expect("a token for what is written was issued");
    assert_eq!((&scope["contents"], &scope["checks"]), (&json!("read"), &json!("write")));
    assert!(scope["administration"].is_null() && scope["members"].is_null(), "{scope}");
    assert!(!bed.convoy.log().contains("ghs_"), "a token stands in the log");
}
