//! GitHub that is away, limits, refuses, or forgets who we are.

use serde_json::json;

use super::{Bed, FakeGithub, Upstream, token_setup};
use crate::harness::convoy::wait_for;

#[test]
fn while_github_is_away_promotions_go_on_and_it_is_told_the_newest_only() {
    let upstream = Upstream::start();
    let mut github = FakeGithub::start(&upstream);
    let convoy = token_setup(&upstream, &github).start();
    github.stop();
    let mut bed = Bed { upstream, github, convoy };
    let first = bed.push(1);
    bed.convoy.wait_served("beta", &first);
    let second = bed.push(2);
    bed.convoy.wait_served("beta", &second);
    bed.promote("bob", "release");
    bed.convoy.wait_served("release", &second);
    bed.github.start_again();
    bed.github.wait_status(&second, "convoy/render", "success");
    wait_for("release", || super::reports::deployed(&bed, "release", "success"));
    // What held only while nobody listened is not told.
    let state = bed.github.state();
    let said = state["progress"].as_array().cloned().unwrap_or_default();
    let states: Vec<_> = said.iter().filter_map(|one| one["state"].as_str()).collect();
    assert!(states.iter().all(|state| *state == "success"), "{states:?}");
}

#[test]
fn a_limit_is_kept_until_it_is_over_and_other_refusals_hold_up_nothing() {
    let bed = Bed::start();
    let limited = json!({
        "match": ".*", "status": 403, "times": 1, "headers": {"Retry-After": "2"},
        "body": {"message": "You have exceeded a secondary rate limit."},
    });
    bed.github.fail(&limited);
    let refused = json!({"match": "POST .*/deployments$", "status": 422, "times": 1000,
        "body": {"message": "Validation Failed"}});
    bed.github.fail(&refused);
    let commit = bed.push(1);
    bed.github.wait_status(&commit, "convoy/render", "success");
    wait_for("a refusal in the log", || match bed.convoy.log() {
        log if log.contains("GitHub refused something") => Ok(()),
        log => Err(log),
    });
    let log = bed.convoy.log();
    assert!(log.contains("takes no more calls for 2 s"), "{log}");
    // One that is refused is not tried all the time.
    assert!(bed.github.writes("/deployments") <= 2, "{:?}", bed.github.calls());
}

#[test]
fn a_token_that_was_replaced_is_read_again() {
    let bed = Bed::start();
    let commit = bed.push(1);
    bed.github.wait_status(&commit, "convoy/render", "success");
    bed.github.control("revoke", &json!({ "token": "ghp_the_next" }));
    let next = bed.push(2);
    wait_for("a refusal in the log", || match bed.convoy.log() {
        log if log.contains("refused the credentials") => Ok(()),
        log => Err(log),
    });
    let file = bed.convoy.home().join("token");
    std::fs::write(file, "ghp_the_next\n").expect("the token can be written");
    bed.github.wait_status(&next, "convoy/render", "success");
    assert!(!bed.convoy.log().contains("ghp_"), "a token stands in the log");
}

#[test]
fn tokens_of_an_app_that_were_taken_away_are_bought_again() {
    let bed = Bed::with_app();
    let commit = bed.push(1);
    bed.github.wait_status(&commit, "convoy/render", "success");
    bed.github.control("revoke", &json!({}));
    let next = bed.push(2);
    bed.github.wait_status(&next, "convoy/render", "success");
}
