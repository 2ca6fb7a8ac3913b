//! Pull requests, rendered before they are merged.

use serde_json::json;

use super::{Bed, CLUSTER, cluster};
use crate::harness::convoy::wait_for;

#[test]
fn a_pull_request_shows_what_it_changes_and_its_comment_is_edited_in_place() {
    let bed = Bed::start();
    let main = bed.push(1);
    bed.github.wait_status(&main, "convoy/render", "success");
    let head = bed.branch("topic", &[(CLUSTER, &cluster(3))]).to_string();
    let number = bed.github.pull("topic");
    let comment = bed.github.wait_comment(number, "+connect_timeout: 3s");
    let body = comment["body"].as_str().unwrap_or("");
    for part in ["-connect_timeout: 1s", "| beta | 0 | 1 | 0 |", "beta, release", "revision 1"] {
        assert!(body.contains(part), "{part}: {body}");
    }
    bed.github.wait_status(&head, "convoy/render", "success");
    // It is no revision, and nothing is served from it.
    assert_eq!(
        bed.convoy.get("/repos/mesh/config/bundles")["bundles"].as_array().map(Vec::len),
        Some(1)
    );

    let wrong = "name: users\nconect_timeout: 3s\n";
    let head = bed.branch_on("topic", "refs/heads/topic", &[(CLUSTER, wrong)]).to_string();
    let edited = bed.github.wait_comment(number, "to mend");
    assert_eq!((&edited["id"], bed.github.comments(number).len()), (&comment["id"], 1));
    let body = edited["body"].as_str().unwrap_or("");
    assert!(body.contains("`resources/clusters/users.yaml:2:1`"), "{body}");
    bed.github.wait_status(&head, "convoy/render", "failure");
}

#[test]
fn somebody_elses_comment_with_our_mark_is_left_alone_and_a_removed_one_comes_again() {
    let bed = Bed::start();
    let main = bed.push(1);
    bed.github.wait_status(&main, "convoy/render", "success");
    bed.branch("topic", &[(CLUSTER, &cluster(3))]);
    let number = bed.github.pull("topic");
    let copied = "<!-- convoy:review:mesh/config -->\ncopied";
    bed.github.control("comment", &json!({"number": number, "login": "eve", "body": copied}));
    bed.github.wait_comment(number, "+connect_timeout: 3s");
    let ours = |part: &str| {
        let comment = bed.github.wait_comment(number, part);
        assert_eq!(comment["login"], "convoy-bot");
        comment["id"].clone()
    };
    let first = ours("+connect_timeout: 3s");
    let all = bed.github.comments(number);
    assert!(all.iter().any(|one| one["body"] == copied), "{all:?}");
    bed.github.control("uncomment", &json!({ "id": first }));
    bed.branch_on("topic", "refs/heads/topic", &[(CLUSTER, &cluster(5))]);
    assert_ne!(ours("+connect_timeout: 5s"), first);
}

#[test]
fn what_a_pull_request_stands_on_is_what_it_is_held_against() {
    let bed = Bed::start();
    let main = bed.push(1);
    bed.github.wait_status(&main, "convoy/render", "success");
    bed.branch("topic", &[("resources/clusters/more.yaml", &cluster(3).replace("users", "more"))]);
    // Meanwhile others went on.
    let next = bed.push(9);
    bed.github.wait_status(&next, "convoy/render", "success");
    let number = bed.github.pull("topic");
    let comment = bed.github.wait_comment(number, "Cluster more: new");
    let body = comment["body"].as_str().unwrap_or("");
    assert!(body.contains("revision 1") && !body.contains("connect_timeout: 9s"), "{body}");
}

#[test]
fn a_secret_never_reaches_a_comment_and_a_bomb_harms_nobody() {
    let bed = Bed::start();
    let main = bed.push(1);
    bed.github.wait_status(&main, "convoy/render", "success");
    let secret = "name: key\ngeneric_secret: {secret: {inline_string: hunter2canary}}\n";
    bed.branch("topic", &[("resources/secrets/key.yaml", secret)]);
    let number = bed.github.pull("topic");
    let comment = bed.github.wait_comment(number, "Secret key: new");
    let body = comment["body"].as_str().unwrap_or("");
    assert!(body.contains("[hidden]") && !body.contains("hunter2canary"), "{body}");

    let bomb = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
    bed.branch("bomb", &[("resources/clusters/bomb.yaml", bomb)]);
    let other = bed.github.pull("bomb");
    bed.github.wait_comment(other, "to mend");
    let huge = format!("name: huge\n# {}\n", "x".repeat(5 << 20));
    bed.branch("huge", &[("resources/clusters/huge.yaml", &huge)]);
    let third = bed.github.pull("huge");
    bed.github.wait_comment(third, "file-too-large");
    wait_for("the board to answer", || bed.convoy.try_get("/api/v1/repos/mesh/config/board"));
}
