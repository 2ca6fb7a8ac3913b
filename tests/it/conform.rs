//! The conformance suite as a command, against a whole server.

use serde_json::{Value, json};

use crate::harness::api::Asker;
use crate::harness::convoy::Convoy;

const REPO: &str = "conform/suite";

/// A server whose stage `beta` serves what is committed to [`REPO`].
fn server() -> Convoy {
    let convoy = Convoy::with().start();
    let api = Asker::of(&convoy);
    api.make("conform", "suite");
    let manifest = "stages:\n  - {name: beta, auto: true}\n";
    api.commit(REPO, &json!([{ "path": "convoy.yaml", "content": manifest }]));
    convoy
}

/// Runs the suite; gives the exit code and the outcomes.
fn conform(convoy: &Convoy, words: &[&str]) -> (Option<i32>, Vec<Value>) {
    let mut command = convoy.command("xds");
    command.args(["conform", &convoy.xds_address(), "-o", "json"]);
    if !words.contains(&"--patience-ms") {
        command.args(["--patience-ms", "15000"]);
    }
    let output = command.args(words).output().expect("the program runs");
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {} {}", output.status, String::from_utf8_lossy(&output.stderr))
    });
    let outcomes = printed["outcomes"].as_array().expect("a list of outcomes").clone();
    (output.status.code(), outcomes)
}

fn count(outcomes: &[Value], verdict: &str) -> usize {
    outcomes.iter().filter(|one| one["verdict"] == verdict).count()
}

fn failures(outcomes: &[Value]) -> Vec<&Value> {
    outcomes.iter().filter(|one| one["verdict"] == "failed").collect()
}

#[test]
fn a_whole_server_keeps_the_protocol() {
    let convoy = server();
    // Through the store and the pipeline, and what lies there serves the next.
    let driven = ["--repo", REPO, "--stage", "beta"];
    let few =
        if std::env::var_os("CONVOY_LONG").is_some() { &[][..] } else { &["--only", "reconnect"] };
    let (code, outcomes) = conform(&convoy, &[&driven[..], few].concat());
    assert_eq!((code, failures(&outcomes)), (Some(0), vec![]));
    assert!(count(&outcomes, "passed") >= 6, "{outcomes:?}");
    // As any server is seen, by somebody who can't change it.
    let (code, outcomes) = conform(&convoy, &["--metadata", "stage=beta"]);
    assert_eq!((code, failures(&outcomes)), (Some(0), vec![]));
    assert!(count(&outcomes, "passed") > 100, "{} passed", count(&outcomes, "passed"));
    let (code, outcomes) =
        conform(&convoy, &[&driven[..], &["--only", "removal.told-to-names"]].concat());
    assert_eq!((code, count(&outcomes, "passed")), (Some(0), 2), "{outcomes:?}");
}

#[test]
fn a_server_that_is_not_there_is_no_failed_rule() {
    let convoy = Convoy::with().start();
    let mut command = convoy.command("xds");
    let output = command.args(["conform", "127.0.0.1:1"]).output().expect("the program runs");
    assert_eq!(output.status.code(), Some(7));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("no connection to 127.0.0.1:1"), "{words}");
}

/// A program that stands for a driver: it keeps what it is told, and ends so.
fn program(convoy: &Convoy, ending: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = convoy.home().join("drive");
    let script = format!(
        "#!/bin/sh\ncase $1 in describe) echo '{{\"shared\": true}}' ;; \
         set) cat > {}/told.json; {ending} ;; esac\n",
        convoy.home().display()
    );
    std::fs::write(&path, script).expect("the home can be written");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&path, mode).expect("the mode can be set");
    path.display().to_string()
}

#[test]
fn a_driver_program_is_told_what_to_hold_for_whom() {
    let convoy = server();
    let driver = program(&convoy, "exit 0");
    let words = ["--driver", &driver, "--only", "types.secrets", "--only", "delta-ads"];
    // The program lies: the server holds nothing of it.
    let (code, outcomes) =
        conform(&convoy, &[&words[..], &["--patience-ms", "300", "--node", "one"]].concat());
    assert_eq!((code, failures(&outcomes).len()), (Some(1), 1));
    assert!(outcomes[0]["exchange"].as_array().is_some_and(|lines| !lines.is_empty()));
    let told = std::fs::read(convoy.home().join("told.json")).expect("the driver was called");
    let told: Value = serde_json::from_slice(&told).expect("it was told JSON");
    assert_eq!(told["node"], "one");
    let secret = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
    let kinds = told["resources"].as_array().expect("a list").iter();
    assert!(kinds.clone().any(|one| one["@type"] == secret && one["name"] == "a"), "{told}");
}

#[test]
fn a_driver_program_that_fails_is_told_in_its_own_words() {
    let convoy = server();
    let driver = program(&convoy, "echo out of paper >&2; exit 3");
    let mut command = convoy.command("xds");
    let command = command.args(["conform", &convoy.xds_address(), "--driver", &driver]);
    let output = command.output().expect("the program runs");
    assert_eq!(output.status.code(), Some(7));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("out of paper"), "{words}");
}
