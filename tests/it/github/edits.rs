//! Edits that become pull requests.

use serde_json::{Value, json};

use super::Bed;
use crate::harness::convoy::wait_for;

fn pulls(bed: &Bed) -> Vec<Value> {
    bed.github.state()["pulls"].as_array().cloned().unwrap_or_default()
}

#[test]
fn an_edit_is_a_branch_and_a_pull_request_and_saving_it_twice_is_one() {
    let bed = Bed::start();
    let main = bed.push(1);
    bed.github.wait_status(&main, "convoy/render", "success");
    let (status, saved) = bed.edit(1, 4);
    assert_eq!((status, &saved["saved"]), (200, &json!("proposed")), "{saved}");
    let number = saved["pull"]["number"].as_u64().unwrap_or_else(|| panic!("{saved}"));
    assert_eq!((&saved["refused"], &saved["moved_to"]), (&Value::Null, &Value::Null));
    let branch = saved["branch"].as_str().unwrap_or("");
    assert_eq!(bed.upstream.head(branch).to_string(), saved["commit"]);
    let pull = &pulls(&bed)[0];
    assert_eq!((&pull["title"], pull["head"]["ref"].as_str()), (&json!("Wait 4 s"), Some(branch)));
    let body = pull["body"].as_str().unwrap_or("");
    assert!(body.starts_with("For the slow ones.") && body.contains("by ann"), "{body}");
    let (status, again) = bed.edit(1, 4);
    assert_eq!((status, &again["pull"]["number"]), (200, &json!(number)), "{again}");
    assert_eq!((pulls(&bed).len(), &again["commit"]), (1, &saved["commit"]));
    // And it is reviewed like everybody else's.
    bed.github.wait_comment(number, "+connect_timeout: 4s");
    assert!(
        bed.upstream.git(&["log", "-1", "--format=%an <%ae>", branch]).contains("ada@example.com")
    );
}

#[test]
fn an_edit_on_an_older_revision_says_so_and_overwrites_nothing() {
    let bed = Bed::start();
    let first = bed.push(1);
    bed.github.wait_status(&first, "convoy/render", "success");
    let second = bed.push(2);
    bed.github.wait_status(&second, "convoy/render", "success");
    let (status, saved) = bed.edit(1, 4);
    assert_eq!((status, &saved["moved_to"]), (200, &json!(2)), "{saved}");
    assert_eq!(bed.upstream.head("main").to_string(), second);
    let branch = saved["branch"].as_str().unwrap_or("");
    assert_eq!(bed.upstream.git(&["rev-parse", &format!("{branch}~1")]), first);
}

#[test]
fn a_branch_that_is_there_with_other_content_is_never_forced() {
    let bed = Bed::start();
    let main = bed.push(1);
    bed.github.wait_status(&main, "convoy/render", "success");
    let (_, saved) = bed.edit(1, 4);
    let branch = saved["branch"].as_str().unwrap_or("").to_owned();
    let theirs = bed.branch_on(&branch, &format!("refs/heads/{branch}"), &[("note", "mine")]);
    let (status, answer) = bed.edit(1, 4);
    assert!(status >= 400 && answer.to_string().contains("other content"), "{status} {answer}");
    assert_eq!(bed.upstream.head(&branch), theirs);
}

#[test]
fn an_edit_saved_while_github_is_away_is_a_pull_request_once_it_answers() {
    let mut bed = Bed::start();
    let main = bed.push(1);
    bed.github.wait_status(&main, "convoy/render", "success");
    bed.github.fail(&json!({"match": "POST .*/pulls$", "status": 502, "times": 1000}));
    let (status, saved) = bed.edit(1, 4);
    assert_eq!(
        (status, &saved["pull"], &saved["opens_by_itself"]),
        (200, &Value::Null, &json!(true))
    );
    // Killed between the push and the pull request.
    bed.convoy.kill();
    bed.github.mend();
    bed.convoy.start_again();
    let number = wait_for("the pull request", || {
        let pulls = pulls(&bed);
        pulls.first().and_then(|pull| pull["number"].as_u64()).ok_or_else(|| bed.convoy.log())
    });
    let (_, again) = bed.edit(1, 4);
    assert_eq!((&again["pull"]["number"], pulls(&bed).len()), (&json!(number), 1), "{again}");
}

#[test]
fn a_lost_answer_makes_no_second_pull_request_comment_or_deployment() {
    let bed = Bed::start();
    for part in ["/pulls$", "/comments$", "/deployments$", "/statuses/"] {
        bed.github.fail(&json!({"match": format!("POST .*{part}"), "lose": true}));
    }
    let main = bed.push(1);
    bed.github.wait_status(&main, "convoy/render", "success");
    let (status, saved) = bed.edit(1, 4);
    assert_eq!(status, 200, "{saved}");
    let number = wait_for("the pull request", || {
        pulls(&bed).first().and_then(|pull| pull["number"].as_u64()).ok_or("none".to_owned())
    });
    bed.github.wait_comment(number, "+connect_timeout: 4s");
    wait_for("beta", || super::reports::deployed(&bed, "beta", "success"));
    wait_for("the number to be recorded", || match bed.edit(1, 4).1["pull"]["number"].as_u64() {
        Some(known) if known == number => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let state = bed.github.state();
    let count = |name: &str| state[name].as_array().map_or(0, Vec::len);
    assert_eq!((count("pulls"), count("comments"), count("deployments")), (1, 1, 1), "{state}");
    let of_main = bed.github.state()["statuses"].as_array().cloned().unwrap_or_default();
    let of_main =
        of_main.iter().filter(|one| one["sha"] == main && one["context"] == "convoy/render");
    assert_eq!(of_main.count(), 1);
}

#[test]
fn what_github_refuses_is_told_and_asked_for_again_only_by_a_person() {
    let bed = Bed::start();
    let main = bed.push(1);
    bed.github.wait_status(&main, "convoy/render", "success");
    let body = json!({"message": "Validation Failed", "errors": [{"message": "no thanks"}]});
    bed.github.fail(&json!({"match": "POST .*/pulls$", "status": 422, "body": body}));
    let (status, saved) = bed.edit(1, 4);
    assert_eq!((status, &saved["pull"]), (200, &Value::Null), "{saved}");
    assert!(saved["refused"].as_str().unwrap_or("").contains("no thanks"), "{saved}");
    let (_, again) = bed.edit(1, 4);
    assert!(again["pull"]["number"].is_u64(), "{again}");
}
