//! A stand-in for GitHub Enterprise Server's REST API over the bare repository
//! that a Git server serves. It holds every request, and its own answers,
//! against GitHub's published OpenAPI; on drop, a test fails for what broke it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::convoy::wait_for;
use super::process::{Beside, run};
use super::upstream::Upstream;

/// What GitHub calls the repository.
pub(crate) const FULL_NAME: &str = "acme/mesh-config";
/// Convoy's token there.
pub(crate) const TOKEN: &str = "ghp_0123456789canary";

/// Where the Python judges lie; a test that needs one fails without it.
pub(crate) fn python() -> PathBuf {
    let python = std::env::var_os("CONVOY_PY").map(PathBuf::from);
    python.expect("CONVOY_PY names a Python with ci/requirements.txt; ci/test sets it")
}

/// How the stand-in is started.
#[derive(Default)]
pub(crate) struct Serve {
    app: bool,
    tls: bool,
    port: u16,
}

impl Serve {
    /// It knows a GitHub App instead of a token.
    pub(crate) fn app(self) -> Self {
        Self { app: true, ..self }
    }

    /// Over TLS, with the upstream's certificate.
    pub(crate) fn tls(self) -> Self {
        Self { tls: true, ..self }
    }

    /// Starts it over an upstream's repository.
    pub(crate) fn start(self, upstream: &Upstream) -> FakeGithub {
        let folder = tempfile::tempdir().expect("there is room");
        let git_dir = upstream.git_dir();
        let keys = self.app.then(|| keys(folder.path()));
        let mut github = FakeGithub { folder, git_dir, serve: self, keys, running: None, port: 0 };
        github.start_again();
        github
    }
}

/// The stand-in at work.
pub(crate) struct FakeGithub {
    folder: tempfile::TempDir,
    git_dir: PathBuf,
    serve: Serve,
    keys: Option<(PathBuf, PathBuf)>,
    running: Option<Beside>,
    port: u16,
}

impl FakeGithub {
    /// A stand-in that knows a token.
    pub(crate) fn start(upstream: &Upstream) -> Self {
        Serve::default().start(upstream)
    }

    /// A stand-in that behaves as told.
    pub(crate) fn with() -> Serve {
        Serve::default()
    }

    /// Starts it (again), empty, on the port that it had.
    pub(crate) fn start_again(&mut self) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/fake_github.py");
        let mut command = Command::new(python());
        command.arg(script).arg("--git").arg(&self.git_dir);
        command.args(["--full-name", FULL_NAME, "--port", &self.port.to_string()]);
        match &self.keys {
            Some((_, public)) => {
                command.args(["--app-id", "17", "--installation", "42", "--app-key"]).arg(public);
            }
            None => drop(command.args(["--token", TOKEN])),
        }
        if self.serve.tls {
            let home = self.git_dir.parent().expect("a bare repository lies in a folder");
            command.arg("--tls").arg(home.join("leaf.pem")).arg(home.join("leaf.key"));
        }
        let mut running = Beside::start(command.stdin(Stdio::null()).stdout(Stdio::piped()));
        self.port = running.listening_port();
        self.running = Some(running);
    }

    /// Ends it: nothing answers any more.
    pub(crate) fn stop(&mut self) {
        self.check();
        self.running = None;
    }

    /// Where the API is.
    pub(crate) fn api_url(&self) -> String {
        let scheme = if self.serve.tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}/api/v3", self.port)
    }

    /// The App's private key.
    pub(crate) fn app_key(&self) -> String {
        let (key, _) = self.keys.as_ref().expect("it knows an App");
        std::fs::read_to_string(key).expect("the key can be read")
    }

    /// Everything that is there.
    pub(crate) fn state(&self) -> Value {
        self.control("state", &Value::Null)
    }

    /// Every call, oldest first, as `METHOD path`.
    pub(crate) fn calls(&self) -> Vec<String> {
        let log = self.control("log", &Value::Null);
        let line = |one: &Value| {
            let text = |key: &str| one[key].as_str().unwrap_or("").to_owned();
            format!("{} {}", text("method"), text("path"))
        };
        log.as_array().into_iter().flatten().map(line).collect()
    }

    /// How many calls changed something, by a part of their line.
    pub(crate) fn writes(&self, part: &str) -> usize {
        let calls = self.calls();
        calls.iter().filter(|call| !call.starts_with("GET") && call.contains(part)).count()
    }

    /// Lets calls fail.
    pub(crate) fn fail(&self, failure: &Value) {
        self.control("fail", failure);
    }

    /// Lets no call fail any more.
    pub(crate) fn mend(&self) {
        self.control("mend", &Value::Null);
    }

    /// A person opens a pull request of a branch; gives its number.
    pub(crate) fn pull(&self, branch: &str) -> u64 {
        let pull = self.control("pull", &json!({ "head": branch, "title": "a change" }));
        pull["number"].as_u64().expect("a pull request has a number")
    }

    /// The newest statuses of a commit: context, state, description.
    pub(crate) fn statuses(&self, commit: &str) -> Vec<(String, String, String)> {
        let state = self.state();
        let mut newest = std::collections::BTreeMap::new();
        for one in state["statuses"].as_array().into_iter().flatten() {
            let text = |key: &str| one[key].as_str().unwrap_or("").to_owned();
            if one["sha"] == commit {
                newest.insert(text("context"), (text("state"), text("description")));
            }
        }
        newest.into_iter().map(|(context, (state, text))| (context, state, text)).collect()
    }

    /// Waits until a commit's status says this.
    pub(crate) fn wait_status(&self, commit: &str, context: &str, state: &str) -> String {
        wait_for(&format!("{context} of {commit} to be {state}"), || {
            let all = self.statuses(commit);
            let found = all.iter().find(|(of, is, _)| of == context && is == state);
            found.map(|(_, _, text)| text.clone()).ok_or_else(|| format!("{all:?}"))
        })
    }

    /// Our comments in a pull request.
    pub(crate) fn comments(&self, number: u64) -> Vec<Value> {
        let state = self.state();
        let all = state["comments"].as_array().cloned().unwrap_or_default();
        all.into_iter().filter(|one| one["issue"] == number).collect()
    }

    /// Waits until our one comment in a pull request holds a text.
    pub(crate) fn wait_comment(&self, number: u64, part: &str) -> Value {
        wait_for(&format!("a comment in {number} with {part}"), || {
            let all = self.comments(number);
            let found = all.iter().find(|one| one["body"].as_str().unwrap_or("").contains(part));
            found.cloned().ok_or_else(|| format!("{all:?} {:?}", self.calls()))
        })
    }

    /// Asks the stand-in itself, past its API.
    pub(crate) fn control(&self, name: &str, body: &Value) -> Value {
        convoy::app::choose_crypto();
        let client = reqwest::blocking::Client::builder()
            .timeout(Duration::from_secs(30))
            .tls_danger_accept_invalid_certs(true)
            .build()
            .expect("a client can be made");
        let url = self.api_url().replace("/api/v3", &format!("/_{name}"));
        let answer = client.post(url).body(body.to_string()).send().expect("the stand-in answers");
        let text = answer.text().expect("the answer is text");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Fails the test where a request was none that GitHub takes.
    fn check(&self) {
        if self.running.is_some() && !std::thread::panicking() {
            let violations = self.control("violations", &Value::Null);
            assert_eq!(violations, json!([]), "GitHub's OpenAPI was broken");
        }
    }
}

impl Drop for FakeGithub {
    fn drop(&mut self) {
        self.check();
    }
}

fn keys(folder: &Path) -> (PathBuf, PathBuf) {
    let (key, public) = (folder.join("app.pem"), folder.join("app.pub"));
    let text = |path: &Path| path.display().to_string();
    let bits = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out"];
    run("openssl", &[&bits[..], &[&text(&key)]].concat());
    run("openssl", &["pkey", "-in", &text(&key), "-pubout", "-out", &text(&public)]);
    (key, public)
}
