//! The conformance suite as a command, against a whole server: through its
//! store, its pipeline and its ports, as a user runs it.
//!
//! A few families by default, everything with `CONVOY_LONG=1`.

mod strange;

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::api::{Asker, ROOT, guarded};
use crate::harness::convoy::Convoy;
use crate::harness::pki::Pki;

const REPO: &str = "conform/suite";

/// The repository that the suite takes over. Some clients are mute on purpose:
/// nobody waits for them.
const CONFIG: &str = "ack_deadline: 1s\nrepositories:\n  - name: conform/suite\n";

/// A server that lets everybody in.
fn open() -> Convoy {
    Convoy::with().config(CONFIG).start()
}

/// A server behind TLS that knows its nodes by token, or by certificate.
fn secured(pki: &Pki, certificates: &str) -> Convoy {
    let files = pki.files(false);
    let list = |paths: &[std::path::PathBuf]| format!("{paths:?}");
    let tls = format!(
        "xds:\n  tls:\n    cert_file: {}\n    key_file: {}\n    client_ca_files: {}\n    \
         client_certificates: {certificates}\n",
        files.cert_file.display(),
        files.key_file.display(),
        list(&files.client_ca_files)
    );
    let known = "  certificates:\n    - name: suite\n      names: [\"spiffe://mesh/conform\"]\n      \
                 scope: {nodes: [\"conform-*\"], stages: [conform], secrets: [\"**\"]}\n";
    guarded().config(known).config(&tls).config(CONFIG).start()
}

/// A token that lets its holder be the suite's nodes.
fn node_token(convoy: &Convoy) -> String {
    let body = json!({
        "name": "suite", "role": "node",
        "scope": { "nodes": ["conform-*"], "stages": ["conform"], "secrets": ["**"] },
    });
    let made = Asker::of(convoy).with(ROOT).post("/govern/tokens", &body).ok();
    made["secret"].as_str().expect("the secret is shown once").to_owned()
}

/// What a run of the suite came to.
struct Ran {
    code: Option<i32>,
    report: Value,
}

impl Ran {
    fn count(&self, verdict: &str) -> u64 {
        self.report["summary"][verdict].as_u64().expect("the report has a summary")
    }

    fn failures(&self) -> Vec<&Value> {
        let outcomes = self.report["outcomes"].as_array().expect("a list of outcomes");
        outcomes
            .iter()
            .filter(|one| ["failed", "errored"].map(Value::from).contains(&one["verdict"]))
            .collect()
    }

    /// All that was tried is kept, and that is `least` or more.
    fn assert_green(&self, least: u64) {
        assert_eq!((self.code, self.failures()), (Some(0), vec![]));
        let passed = self.count("passed");
        assert!(passed >= least, "only {passed} passed: {:#}", self.report);
    }
}

/// Runs the suite.
fn conform(convoy: &Convoy, words: &[&str]) -> Ran {
    let mut command = convoy.command("xds");
    command.args(["conform", &convoy.xds_address(), "-o", "json"]);
    if !words.contains(&"--patience-ms") {
        command.args(["--patience-ms", "20000"]);
    }
    let output = command.args(words).output().expect("the program runs");
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {} {}", output.status, String::from_utf8_lossy(&output.stderr))
    });
    Ran { code: output.status.code(), report }
}

/// Runs `few`, or everything where time is no matter.
fn conform_to(convoy: &Convoy, words: &[&str], few: &[&str]) -> Ran {
    let long = std::env::var_os("CONVOY_LONG").is_some();
    conform(convoy, &[words, if long { &[] } else { few }].concat())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn a_whole_server_keeps_the_protocol() {
    let convoy = open();
    let driven = conform_to(&convoy, &["--repo", REPO], &["--only", "wildcard"]);
    driven.assert_green(38);
    assert_eq!(driven.count("skipped"), 0, "{:#}", driven.report);
    // As any server is seen, by somebody who can't change it: what was set last
    // is still there.
    let seen = ["--metadata", "stage=conform", "--node", "conform-still"];
    let still = conform_to(&convoy, &seen, &["--skip", "limits", "--skip", "stream"]);
    still.assert_green(150);
}

#[test]
fn it_keeps_the_protocol_over_tls_for_nodes_with_a_token() {
    let pki = Pki::new();
    let convoy = secured(&pki, "optional");
    let (api, token) = (pki.write("api", ROOT), pki.write("node", &node_token(&convoy)));
    let (ca, api, token) = (shown(&pki.ca()), shown(&api), shown(&token));
    let words = ["--repo", REPO, "--api-token-file", &api, "--ca", &ca, "--token-file", &token];
    conform_to(&convoy, &words, &["--only", "types"]).assert_green(30);
    conform(&convoy, &[&words[..], &["--only", "beside"]].concat()).assert_green(2);
}

#[test]
fn it_keeps_the_protocol_over_tls_for_nodes_with_a_certificate() {
    let pki = Pki::new();
    let convoy = secured(&pki, "required");
    let api = pki.write("api", ROOT);
    let own = pki.issue("conform", "URI:spiffe://mesh/conform", &[]);
    let (ca, api) = (shown(&pki.ca()), shown(&api));
    let (cert, key) = (shown(&own.cert), shown(&own.key));
    let words = ["--repo", REPO, "--api-token-file", &api, "--ca", &ca, "--cert", &cert];
    let words = [&words[..], &["--key", &key]].concat();
    conform_to(&convoy, &words, &["--only", "removal"]).assert_green(10);
    conform(&convoy, &[&words[..], &["--only", "fetch"]].concat()).assert_green(9);
}

#[test]
fn a_repository_that_is_somebodys_is_left_alone() {
    let convoy = open();
    let manifest = "stages:\n  - {name: beta, auto: true}\n";
    let api = Asker::of(&convoy);
    let head = api.commit(REPO, &json!([{ "path": "convoy.yaml", "content": manifest }]));
    let mut command = convoy.command("xds");
    command.args(["conform", &convoy.xds_address(), "--repo", REPO]);
    let output = command.output().expect("the program runs");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(words.contains("`conform/suite` holds a convoy.yaml"), "{words}");
    assert_eq!(api.get(&format!("/repos/{REPO}")).ok()["head"]["revision"], head);
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

/// Runs the suite with a driver; gives the exit code and the messages.
fn with_driver(convoy: &Convoy, driver: &str, more: &[&str]) -> (Option<i32>, String) {
    let mut command = convoy.command("xds");
    let command = command.args(["conform", &convoy.xds_address(), "--driver", driver]).args(more);
    let output = command.output().expect("the program runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_driver_program_is_told_what_to_hold_for_whom() {
    let convoy = open();
    let driver = program(&convoy, "exit 0");
    // The program lies: the server holds nothing of it.
    let (code, words) = with_driver(&convoy, &driver, &["--patience-ms", "300", "--node", "one"]);
    assert_eq!(code, Some(7), "{words}");
    assert!(
        words.contains("does not show the clusters that the driver was told to set"),
        "{words}"
    );
    let told = std::fs::read(convoy.home().join("told.json")).expect("the driver was called");
    let told: Value = serde_json::from_slice(&told).expect("it was told JSON");
    assert_eq!(told["node"], "one");
    let secret = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
    let kinds = told["resources"].as_array().expect("a list").iter();
    assert!(
        kinds.clone().any(|one| one["@type"] == secret && one["name"] == "conform-a"),
        "{told}"
    );
}

#[test]
fn a_driver_program_that_fails_is_told_in_its_own_words() {
    let convoy = open();
    let driver = program(&convoy, "echo out of paper >&2; exit 3");
    let (code, words) = with_driver(&convoy, &driver, &[]);
    assert_eq!(code, Some(7));
    assert!(words.contains("out of paper"), "{words}");
    let (code, words) = with_driver(&convoy, "/nowhere/drive", &[]);
    assert_eq!(code, Some(2));
    assert!(words.contains("`/nowhere/drive describe` can't be run"), "{words}");
}
