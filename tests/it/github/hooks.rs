//! GitHub's hooks, signed by GitHub's own and another library, repeated and
//! out of order.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Bed, CLUSTER, FULL_NAME, cluster};
use crate::harness::convoy::wait_for;
use crate::harness::github::python;
use crate::harness::upstream::ADA;

/// Signs a body as GitHub's own library does.
const OCTOKIT: &str = "import('@octokit/webhooks-methods').then(async ({sign, verify}) => { \
    const [secret, body] = process.argv.slice(1); const signature = await sign(secret, body); \
    if (!await verify(secret, body, signature)) process.exit(1); console.log(signature); })";
/// Signs a body, and lets `gidgethub` say whether GitHub would.
const GIDGETHUB: &str = "import sys, hmac; from gidgethub import sansio; \
    secret, body = sys.argv[1:3]; \
    signature = 'sha256=' + hmac.new(secret.encode(), body.encode(), 'sha256').hexdigest(); \
    sansio.validate_event(body.encode(), signature=signature, secret=secret); print(signature)";

fn signed_by(mut command: Command, secret: &str, body: &str) -> String {
    let output = command.args([secret, body]).stdin(Stdio::null()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn octokit(secret: &str, body: &str) -> String {
    let mut command = Command::new("node");
    let venv = python()
        .parent()
        .and_then(|bin| bin.parent())
        .expect("a virtual environment")
        .to_path_buf();
    command.current_dir(venv).args(["--input-type=commonjs", "-e", OCTOKIT]);
    signed_by(command, secret, body)
}

fn gidgethub(secret: &str, body: &str) -> String {
    let mut command = Command::new(python());
    command.args(["-c", GIDGETHUB]);
    signed_by(command, secret, body)
}

fn deliver(bed: &Bed, event: &str, guid: &str, body: &str, signature: &str) -> (u16, Value) {
    convoy::app::choose_crypto();
    let client = reqwest::blocking::Client::builder().timeout(Duration::from_secs(20)).build();
    let answer = client
        .expect("a client")
        .post(format!("{}/hooks/github", bed.convoy.url()))
        .header("x-github-event", event)
        .header("x-github-delivery", guid)
        .header("x-hub-signature-256", signature)
        .header("content-type", "application/json")
        .body(body.to_owned())
        .send()
        .expect("the server answers");
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().unwrap_or_default()).unwrap_or(Value::Null))
}

#[test]
fn two_independent_libraries_sign_what_is_taken_with_either_secret() {
    let bed = Bed::start();
    let body = json!({"ref": "refs/heads/main", "after": "0".repeat(40), "deleted": true,
        "repository": {"full_name": FULL_NAME}, "pusher": {"name": "ü"}})
    .to_string();
    let mut guid = 0;
    for sign in [octokit, gidgethub] {
        for (secret, status) in [("hook-secret", 202), ("old", 202), ("wrong", 401)] {
            guid += 1;
            let signature = sign(secret, &body);
            let (code, said) = deliver(&bed, "push", &guid.to_string(), &body, &signature);
            assert_eq!(code, status, "{secret} {said}");
            let (code, _) =
                deliver(&bed, "push", &guid.to_string(), &format!("{body} "), &signature);
            assert_eq!(code, 401, "another body");
        }
    }
}

#[test]
fn hooks_that_are_repeated_forged_or_out_of_order_change_nothing() {
    let bed = Bed::start();
    let main = bed.push(1);
    bed.github.wait_status(&main, "convoy/render", "success");
    bed.branch("topic", &[(CLUSTER, &cluster(3))]);
    let number = bed.github.pull("topic");
    bed.github.wait_comment(number, "+connect_timeout: 3s");
    let body = |action: &str, sha: &str| {
        json!({"action": action, "number": number, "repository": {"full_name": FULL_NAME},
            "pull_request": {"number": number, "head": {"sha": sha}, "base": {"ref": "main"}}})
        .to_string()
    };
    // Closed before it was opened, opened again, of a head that never was.
    let words =
        [("closed", &main), ("opened", &main), ("synchronize", &"f".repeat(40)), ("closed", &main)];
    for (n, (action, sha)) in words.into_iter().enumerate() {
        let body = body(action, sha);
        let signature = gidgethub("hook-secret", &body);
        let guid = format!("guid-{n}");
        assert_eq!(deliver(&bed, "pull_request", &guid, &body, &signature).0, 202);
        let (status, said) = deliver(&bed, "pull_request", &guid, &body, &signature);
        assert_eq!((status, &said["status"]), (200, &json!("already received")));
    }
    let head = bed.branch_on("topic", "refs/heads/topic", &[(CLUSTER, &cluster(6))]).to_string();
    bed.github.wait_comment(number, "+connect_timeout: 6s");
    bed.github.wait_status(&head, "convoy/render", "success");
    assert_eq!(bed.github.comments(number).len(), 1);
}

#[test]
fn a_check_that_is_asked_for_again_is_said_again() {
    let bed = Bed::with_app();
    let pipeline = "stages:\n  - {name: beta, auto: true, envoy: [\"1.36.99\"]}\n";
    let files = [("convoy.yaml", pipeline.to_owned()), (CLUSTER, cluster(1))];
    let commit = bed.upstream.commit(&files, "with a cell", ADA).to_string();
    bed.github.wait_status(&commit, "convoy/smoke (beta, 1.36.99)", "error");
    let looked = |bed: &Bed| {
        let path = format!("/commits/{commit}/check-runs");
        bed.github.calls().iter().filter(|call| call.contains(&path)).count()
    };
    wait_for("the check", || if looked(&bed) > 0 { Ok(()) } else { Err(bed.convoy.log()) });
    let before = looked(&bed);
    let body = json!({"action": "rerequested", "repository": {"full_name": FULL_NAME},
        "check_run": {"id": 1, "head_sha": commit}, "installation": {"id": 42}})
    .to_string();
    let signature = gidgethub("hook-secret", &body);
    assert_eq!(deliver(&bed, "check_run", "again", &body, &signature).0, 202);
    wait_for("its cells to run again", || match bed.convoy.log() {
        log if log.contains("its smoke cells run again") => Ok(()),
        log => Err(log),
    });
    wait_for("another look", || match looked(&bed) {
        looks if looks > before => Ok(()),
        looks => Err(looks.to_string()),
    });
}
