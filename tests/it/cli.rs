//! The command line as a program: help, exit codes, streams, JSON.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::harness::convoy::{Convoy, program};

/// Every command that does something.
const LEAVES: [&str; 66] = [
    "serve",
    "validate",
    "render",
    "smoke",
    "ci",
    "diff",
    "status",
    "promote",
    "approve",
    "reject",
    "cancel",
    "rollback",
    "retract",
    "abort",
    "pause",
    "resume",
    "advance",
    "review",
    "pin",
    "unpin",
    "veto",
    "unveto",
    "lock",
    "unlock",
    "freeze",
    "thaw",
    "breakglass",
    "retest",
    "why",
    "adopt",
    "bootstrap",
    "xds conform",
    "envoy install",
    "envoy list",
    "token create",
    "token list",
    "token revoke",
    "token activate",
    "token rotate",
    "token remove",
    "project create",
    "project list",
    "project remove",
    "project restore",
    "project purge",
    "project admit",
    "project expel",
    "repo create",
    "repo list",
    "repo remove",
    "repo restore",
    "repo purge",
    "repo quota",
    "repo status",
    "grant add",
    "grant list",
    "grant remove",
    "grant default",
    "person set",
    "mirror list",
    "mirror set",
    "mirror run",
    "mirror remove",
    "mirror credential list",
    "mirror credential set",
    "mirror credential remove",
];
const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/templates/envoy/sample");
/// Nothing listens on the port of `tcpmux`.
const NOBODY: &str = "http://127.0.0.1:1";

fn convoy(arguments: &[&str]) -> Output {
    let mut command = Command::new(program());
    for variable in ["CONVOY_URL", "CONVOY_TOKEN_FILE", "CONVOY_PERSON", "CONVOY_CONFIG"] {
        command.env_remove(variable);
    }
    command.args(arguments).output().expect("the program can be run")
}

fn code(arguments: &[&str]) -> (Option<i32>, String) {
    let output = convoy(arguments);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn words(text: &str) -> Vec<&str> {
    text.split(' ').collect()
}

/// A copy of the sample with one text replaced in one file.
fn changed(file: &str, from: &str, to: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    copy(Path::new(SAMPLE), dir.path());
    let path = dir.path().join(file);
    let text = fs::read_to_string(&path).expect("the sample has the file");
    assert!(text.contains(from), "{file} has no {from}");
    fs::write(&path, text.replacen(from, to, 1)).expect("the copy can be written");
    dir
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("the sample can be read") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).expect("a copy")),
        }
    }
}

#[test]
fn every_command_has_help_with_an_example() {
    for leaf in LEAVES.iter().chain(&["token"]) {
        for flag in ["-h", "--help"] {
            let output = convoy(&[words(leaf), vec![flag]].concat());
            let text = String::from_utf8_lossy(&output.stdout);
            assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{leaf}");
            assert!(text.contains(&format!("Examples:\n  convoy {leaf}")), "{leaf}: {text}");
        }
    }
}

#[test]
fn a_wrong_flag_or_no_command_is_wrong_usage() {
    for leaf in LEAVES {
        let (code, said) = code(&[words(leaf), vec!["--no-such-flag"]].concat());
        assert_eq!(code, Some(2), "{leaf}");
        assert!(said.contains("--no-such-flag"), "{leaf}: {said}");
    }
    let (code, said) = code(&[]);
    assert_eq!(code, Some(2));
    assert!(said.contains("Usage: convoy"), "{said}");
}

#[test]
fn every_documented_exit_code_is_given() {
    let broken = changed("groups/edge/routes/front.yaml", "cluster: users", "cluster: user");
    let other = changed("values/common.yaml", "connect: 1s", "connect: 2s");
    let text = |dir: &tempfile::TempDir| dir.path().to_str().expect("a UTF-8 path").to_owned();
    let (broken, other) = (text(&broken), text(&other));
    for (arguments, expected, says) in [
        (vec!["validate", SAMPLE], 0, ""),
        (vec!["diff", SAMPLE, SAMPLE, "--stage", "beta"], 0, "nothing differs"),
        (vec!["diff", SAMPLE, &other, "--stage", "beta"], 1, ""),
        (vec!["diff", SAMPLE, &broken, "--stage", "beta"], 3, "missing-cluster"),
        (vec!["diff", SAMPLE, "./nowhere", "--stage", "beta"], 5, "is no folder"),
        (vec!["render", &broken, "--stage", "beta", "-q"], 3, "missing-cluster"),
        (vec!["render", SAMPLE, "--stage", "bta"], 5, "beta, staging, canary, release"),
        (vec!["smoke", &broken], 3, "nothing was booted"),
        (vec!["smoke", SAMPLE, "--envoy", "9.9.9"], 5, "convoy envoy install 9.9.9"),
        (vec!["smoke", SAMPLE, "--stage", "bta"], 5, "beta, staging"),
        (vec!["envoy", "install", "one"], 2, "major.minor.patch"),
        (vec!["bootstrap", "--node", "a", "--stage", "beta", "--xds", ":1"], 2, "HOST:PORT"),
        (vec!["validate", "/nowhere"], 5, "is no folder"),
        (vec!["serve"], 2, "--insecure-dev"),
        (vec!["status", "--url", "nonsense"], 2, "not a server's address"),
        (vec!["status", "--url", NOBODY], 7, "refused"),
        (vec!["status", "--repo", "a b", "--url", NOBODY], 2, "not a repository name"),
    ] {
        let (code, said) = code(&arguments);
        assert_eq!(code, Some(expected), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
}

#[test]
fn a_server_that_refuses_gives_the_code_of_its_reason() {
    let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let auth = format!("auth: {{tokens: [{{name: a, role: admin, sha256: {hash}}}]}}\n");
    let closed = Convoy::with().authenticated().config(&auth).start();
    assert_eq!(code(&["status", "--url", &closed.url()]).0, Some(4));
    let open = Convoy::with().config("repositories: [{name: mesh/config}]\n").start();
    for (arguments, expected, says) in [
        (vec!["status"], 5, "no repository has a pipeline"),
        (vec!["approve", "7"], 5, "there is no promotion P-7"),
        (vec!["adopt", "--repo", "x/y"], 5, "no repository"),
        (vec!["adopt", "--repo", "mesh/config"], 6, "no upstream that was rewritten"),
        (vec!["rollback", "beta", "--repo", "mesh/config", "--reason", "x"], 5, "no stage beta"),
    ] {
        let (code, said) = code(&[arguments.clone(), vec!["--url", &open.url()]].concat());
        assert_eq!(code, Some(expected), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
}

#[test]
fn json_goes_to_stdout_alone_with_its_version_first() {
    let broken = changed("groups/edge/routes/front.yaml", "cluster: users", "cluster: user");
    let broken = broken.path().to_str().expect("a UTF-8 path");
    for (arguments, key) in [
        (vec!["validate", SAMPLE], "problems"),
        (vec!["validate", broken], "problems"),
        (vec!["render", SAMPLE, "--stage", "beta"], "items"),
        (vec!["diff", SAMPLE, SAMPLE, "--stage", "beta"], "resources"),
        (vec!["bootstrap", "--node", "a", "--stage", "beta"], "bootstrap"),
        (vec!["envoy", "list"], "items"),
        (vec!["token"], "sha256"),
    ] {
        let output = convoy(&[arguments.clone(), vec!["-q", "-o", "json"]].concat());
        let value: Value =
            serde_json::from_slice(&output.stdout).expect("stdout is one JSON value");
        let first = value.as_object().and_then(|map| map.iter().next());
        let version = ("apiVersion".to_owned(), Value::from("convoy/v1"));
        assert_eq!(first, Some((&version.0, &version.1)), "{arguments:?}");
        assert!(value.get(key).is_some(), "{arguments:?}: {value}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    for arguments in [vec!["render", SAMPLE, "--stage", "beta"], vec!["--help"]] {
        let mut child = Command::new(program())
            .args(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be run");
        let mut line = String::new();
        let mut reader = BufReader::new(child.stdout.take().expect("stdout is piped"));
        reader.read_line(&mut line).expect("a first line");
        drop(reader);
        let output = child.wait_with_output().expect("an end");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked"), "{said}");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
    }
}

#[test]
fn one_mistake_is_reported_once_without_its_consequences() {
    for (file, from, to, expected) in [
        (
            "values/common.yaml",
            "connect: 1s",
            "connect: 1 second",
            vec!["resources/clusters/search.yaml:6:18", "templates/clusters.yaml:7:18"],
        ),
        ("values/common.yaml", "retries: 2", "retrys: 2", vec!["templates/http.yaml:48:20"]),
        (
            "groups/edge/routes/front.yaml",
            "timeouts.request",
            "timeouts.reqest",
            vec!["groups/edge/routes/front.yaml:12:24"],
        ),
        ("checks/front.yaml", "listener: front", "listener: frnt", vec!["checks/front.yaml"; 8]),
        ("checks/front.yaml", "stages: [beta]", "stages: [bta]", vec!["checks/front.yaml:13:5"]),
    ] {
        let dir = changed(file, from, to);
        let dir = dir.path().to_str().expect("a UTF-8 path");
        let output = convoy(&["validate", dir]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors: Vec<_> = text.lines().filter(|line| line.contains(": error: ")).collect();
        assert_eq!(errors.len(), expected.len(), "{text}");
        assert!(errors.iter().zip(expected).all(|(line, place)| line.starts_with(place)), "{text}");
        assert_eq!(output.status.code(), Some(3));
    }
}
