//! The gRPC services, by a client that is not ours: Python's grpcio, which
//! learns the messages from reflection.

use std::process::Command;

use serde_json::json;

use crate::harness::api::{Asker, ROOT, guarded};
use crate::harness::convoy::Convoy;

/// Runs the client's checks; fails the test with what it says.
fn judge(convoy: &Convoy, check: &str, arguments: &[&str]) {
    let python = std::env::var("CONVOY_PY")
        .expect("CONVOY_PY must name a python that has grpcio-reflection (ci/test sets it up)");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/rpc_client.py");
    let run = Command::new(python)
        .args([script, &convoy.xds_address(), &convoy.url(), check])
        .args(arguments)
        .output()
        .expect("python runs");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{check}: {said}\n{}", convoy.log());
}

#[test]
fn an_independent_client_gets_commits_lists_and_follows() {
    let convoy = Convoy::with().start();
    Asker::of(&convoy).make("p", "r");
    judge(&convoy, "everything", &[]);
}

#[test]
fn what_is_asked_for_wrongly_is_refused_with_a_reason() {
    let convoy = Convoy::with().start();
    Asker::of(&convoy).make("p", "r");
    judge(&convoy, "refusals", &[]);
}

#[test]
fn rights_count_over_grpc_and_end_streams() {
    let convoy = guarded().start();
    let root = Asker::of(&convoy).with(ROOT);
    root.make("p", "r");
    let ann = root.token("ann", "guest");
    let grant = json!({"to": "token:ann", "right": "WRITE", "paths": "/a/**"});
    root.post("/govern/repos/p/r/grants", &grant).ok();
    judge(&convoy, "rights", &[ROOT, &ann]);
}

#[test]
fn a_watch_is_told_when_the_server_stops() {
    let mut convoy = Convoy::with().start();
    Asker::of(&convoy).make("p", "r");
    let python = std::env::var("CONVOY_PY").expect("CONVOY_PY names a python");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/rpc_client.py");
    let mut client = Command::new(python)
        .args([script, &convoy.xds_address(), &convoy.url(), "stopped"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("python runs");
    let mut said = String::new();
    let stdout = client.stdout.take().expect("the output is piped");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut said)
        .expect("the client says when it follows");
    assert_eq!(said, "ready\n");
    assert_eq!(convoy.stop(), Some(0));
    assert!(client.wait().expect("the client ends").success());
}
