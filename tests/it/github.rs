//! GitHub Enterprise Server: what is said there, and what its hooks do, against
//! a stand-in that knows GitHub's published OpenAPI, over a real Git server.

mod edits;
mod faults;
mod hooks;
mod reports;
mod reviews;

use convoy::model::CommitId;
use serde_json::{Value, json};

use super::harness::convoy::{Convoy, Setup};
use super::harness::github::{FULL_NAME, FakeGithub, TOKEN};
use super::harness::process::git_with;
use super::harness::upstream::{ADA, Upstream};

const PIPELINE: &str = "stages:\n  - {name: beta, auto: true}\n  - {name: release}\n";
const CLUSTER: &str = "resources/clusters/users.yaml";

fn cluster(seconds: u64) -> String {
    format!(
        "name: users\nconnect_timeout: {seconds}s\nload_assignment: {{cluster_name: users}}\n\
         outlier_detection: {{}}\n"
    )
}

/// An upstream, GitHub over it, and a server that knows both.
/// Ended in this order: whoever asks before who is asked.
struct Bed {
    convoy: Convoy,
    github: FakeGithub,
    upstream: Upstream,
}

impl Bed {
    fn start() -> Self {
        let upstream = Upstream::start();
        let github = FakeGithub::start(&upstream);
        let convoy = token_setup(&upstream, &github).start();
        Self { upstream, github, convoy }
    }

    /// With a GitHub App, over TLS with a private CA.
    fn with_app() -> Self {
        let upstream = Upstream::with().tls().start();
        let github = FakeGithub::with().app().tls().start(&upstream);
        let setup = Convoy::with().people();
        let key = setup.secret("app.pem", &github.app_key());
        let key = format!("app: {{id: 17, installation: 42, key_file: {}}}", key.display());
        let convoy = configured(setup, &upstream, &github, &key).start();
        Self { upstream, github, convoy }
    }

    /// Pushes a pipeline with a cluster of that timeout.
    fn push(&self, seconds: u64) -> String {
        let files = [("convoy.yaml", PIPELINE.to_owned()), (CLUSTER, cluster(seconds))];
        self.upstream.commit(&files, &format!("Wait {seconds} s"), ADA).to_string()
    }

    /// Pushes a branch that stands on the main one.
    fn branch(&self, name: &str, files: &[(&str, &str)]) -> CommitId {
        self.branch_on(name, "refs/heads/main", files)
    }

    fn branch_on(&self, name: &str, base: &str, files: &[(&str, &str)]) -> CommitId {
        let mut stream = format!(
            "commit refs/heads/{name}\ncommitter Ada <ada@example.com> 1700009000 +0000\n\
             data 6\nChange\nfrom {base}^0\n"
        );
        for (path, content) in files {
            stream += &format!("M 100644 inline {path}\ndata {}\n{content}\n", content.len());
        }
        let import = ["fast-import", "--quiet", "--force"];
        git_with(&self.upstream.git_dir(), &import, stream.as_bytes());
        self.upstream.head(name)
    }

    /// Saves an edit as `ann`; gives status and answer.
    fn edit(&self, base: u64, seconds: u64) -> (u16, Value) {
        let body = json!({
            "base_revision": base,
            "changes": [{ "path": CLUSTER, "content": cluster(seconds) }],
            "message": format!("Wait {seconds} s\n\nFor the slow ones."),
        });
        self.convoy.post("ann", "/repos/mesh/config/commits", &body)
    }

    fn promote(&self, person: &str, stage: &str) -> String {
        let body = json!({ "stage": stage, "bundle": "latest", "reason": "a test" });
        let (status, answer) = self.convoy.post(person, "/repos/mesh/config/promotions", &body);
        assert!(status < 300, "{status} {answer}");
        let id = answer["promotion"]["id"].as_str().or(answer["id"].as_str());
        id.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}

fn token_setup(upstream: &Upstream, github: &FakeGithub) -> Setup {
    let setup = Convoy::with().people();
    let token = setup.secret("token", TOKEN);
    configured(setup, upstream, github, &format!("token_file: {}", token.display()))
}

fn configured(setup: Setup, upstream: &Upstream, github: &FakeGithub, account: &str) -> Setup {
    let (old, new) = (setup.secret("hook-old", "old"), setup.secret("hook", "hook-secret"));
    let ca = match upstream.ca_file().is_file() {
        true => format!(", ca_file: {}", upstream.ca_file().display()),
        false => String::new(),
    };
    setup.config(&format!(
        "repositories:\n  - name: mesh/config\n    \
         upstream: {{url: \"{}\", branch: main{ca}}}\n    poll: 1s\n    \
         webhook: {{full_name: {FULL_NAME}, secret_files: [{}, {}]}}\n    \
         github: {{api_url: \"{}\", {account}, poll: 1s}}\n",
        upstream.url(),
        old.display(),
        new.display(),
        github.api_url(),
    ))
}
