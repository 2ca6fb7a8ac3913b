//! Our repositories, cloned and fetched by stock `git`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use convoy::model::ContentHash;
use serde_json::json;
use tempfile::TempDir;

use crate::harness::convoy::{Convoy, wait_for};
use crate::harness::process::{git, run};

/// A client's folder.
struct Client {
    folder: TempDir,
}

impl Client {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn git(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("git");
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.folder.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("NO_PROXY", "*")
            .args(arguments)
            .current_dir(self.folder.path());
        command.output().unwrap()
    }

    fn does(&self, arguments: &[&str]) -> String {
        let output = self.git(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.git(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

fn start() -> Convoy {
    Convoy::with().config("repositories: [{name: mesh/config}]\n").start()
}

/// Commits over the API; gives the new revision.
fn commit(convoy: &Convoy, files: &[(String, String)]) -> u64 {
    let base = &convoy.get("/repos/mesh/config")["head"]["revision"];
    let changes: Vec<_> =
        files.iter().map(|(path, content)| json!({"path": path, "content": content})).collect();
    let body = json!({"base_revision": base, "changes": changes, "message": "Edit"});
    let (status, answer) = convoy.post("ann", "/repos/mesh/config/commits", &body);
    assert_eq!(status, 200, "{answer}");
    convoy.get("/repos/mesh/config")["head"]["revision"].as_u64().unwrap()
}

fn one(path: &str, content: &str) -> Vec<(String, String)> {
    vec![(path.into(), content.into())]
}

fn bare(convoy: &Convoy) -> PathBuf {
    convoy.data().join("repositories/mesh/config.git")
}

fn tree(git_dir: &Path, commit: &str) -> String {
    git(git_dir, &["ls-tree", "-r", "-t", commit])
}

#[test]
fn a_clone_holds_what_was_acknowledged_in_every_protocol() {
    let (convoy, client) = (start(), Client::new());
    for (protocol, suffix) in [("2", ".git"), ("0", ""), ("1", ".git")] {
        let url = format!("{}/mesh/config{suffix}", convoy.url());
        let version = format!("protocol.version={protocol}");
        // Acknowledged a moment ago: no checkpoint wrote it yet.
        let revision = commit(&convoy, &one("a/b.yaml", &format!("by: {protocol}\n")));
        let name = format!("v{protocol}");
        client.does(&["-c", &version, "clone", "-q", &url, &name]);
        let clone = client.at(&name).join(".git");
        assert_eq!(git(&clone, &["rev-list", "--count", "HEAD"]), revision.to_string());
        let head = git(&clone, &["rev-parse", "HEAD"]);
        assert_eq!(tree(&clone, &head), tree(&bare(&convoy), &head));
        git(&clone, &["fsck", "--strict"]);
        // Nothing but the branch is told of.
        let refs = client.does(&["-c", &version, "ls-remote", &url]);
        assert_eq!(refs, format!("{head}\tHEAD\n{head}\trefs/heads/main"), "{protocol}");

        commit(&convoy, &one("a/c.yaml", &format!("by: {protocol} too\n")));
        let at = format!("{}", client.at(&name).display());
        client.does(&["-c", &version, "-C", &at, "fetch", "-q"]);
        let now = git(&clone, &["rev-parse", "origin/main"]);
        assert_eq!(now, git(&bare(&convoy), &["rev-parse", "refs/heads/main"]));
        assert_ne!(now, head);
    }
}

#[test]
fn shallow_and_partial_clones_work() {
    let (convoy, client) = (start(), Client::new());
    for n in 0..5 {
        commit(&convoy, &one("a.yaml", &format!("n: {n}\n")));
    }
    let url = format!("{}/mesh/config.git", convoy.url());
    client.does(&["clone", "-q", "--depth", "1", &url, "shallow"]);
    let clone = client.at("shallow").join(".git");
    assert_eq!(git(&clone, &["rev-list", "--count", "HEAD"]), "1");
    assert_eq!(std::fs::read_to_string(client.at("shallow/a.yaml")).unwrap(), "n: 4\n");
    let at = client.at("shallow").display().to_string();
    client.does(&["-C", &at, "fetch", "-q", "--unshallow"]);
    assert_eq!(git(&clone, &["rev-list", "--count", "HEAD"]), "5");
    client.does(&["clone", "-q", "--filter=blob:none", &url, "partial"]);
    assert_eq!(std::fs::read_to_string(client.at("partial/a.yaml")).unwrap(), "n: 4\n");
}

#[test]
fn a_large_repository_is_cloned_by_many_at_once() {
    let (convoy, client) = (start(), Client::new());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        format!("{state:x}")
    };
    let files: Vec<(String, String)> = (0..2000)
        .map(|n| (format!("d{}/f{n}.yaml", n % 40), (0..100).map(|_| noise()).collect()))
        .collect();
    for some in files.chunks(500) {
        commit(&convoy, some);
    }
    let url = format!("{}/mesh/config.git", convoy.url());
    std::thread::scope(|scope| {
        for n in 0..20 {
            let (client, url) = (&client, &url);
            scope.spawn(move || {
                let name = format!("c{n}");
                client.does(&["clone", "-q", "--bare", url, &name]);
            });
        }
    });
    let head = git(&bare(&convoy), &["rev-parse", "refs/heads/main"]);
    for n in 0..20 {
        let clone = client.at(&format!("c{n}"));
        assert_eq!(git(&clone, &["rev-parse", "main"]), head);
        assert_eq!(tree(&clone, &head), tree(&bare(&convoy), &head));
    }
    // A fetch of many commits that the client has sends a zipped request.
    for n in 0..40 {
        commit(&convoy, &one("n.yaml", &format!("n: {n}\n")));
    }
    let at = client.at("c0").display().to_string();
    client.does(&["-C", &at, "fetch", "-q", "origin", "+main:main"]);
    assert_eq!(git(&client.at("c0"), &["rev-list", "--count", "main"]), "44");
}

#[test]
fn pushing_is_refused_in_words() {
    let (convoy, client) = (start(), Client::new());
    commit(&convoy, &one("a", "1"));
    let url = format!("{}/mesh/config.git", convoy.url());
    client.does(&["clone", "-q", &url, "w"]);
    let at = client.at("w").display().to_string();
    let said = client.fails(&["-C", &at, "push", "origin", "HEAD:refs/heads/mine"]);
    assert!(said.contains("read-only over Git"), "{said}");
    let said = client.fails(&["clone", "-q", &format!("{}/mesh/none.git", convoy.url()), "n"]);
    assert!(said.contains("not found") || said.contains("no repository"), "{said}");
    for path in
        ["/mesh/config.git/info/refs", "/@convoy/state.git/info/refs?service=git-upload-pack"]
    {
        let refused = convoy.try_get(path).expect_err(path);
        assert!(refused.contains("403") || refused.contains("404"), "{refused}");
    }
}

#[test]
fn a_token_is_needed_and_goes_as_the_password() {
    let tokens = [("ann-token", "reader", "sesame-ann"), ("kim-token", "admin", "sesame-kim")];
    let mut config = String::from("repositories: [{name: mesh/config}]\nauth:\n  tokens:\n");
    for (name, role, secret) in tokens {
        let hash = ContentHash::of(secret.as_bytes());
        config.push_str(&format!("    - {{name: {name}, role: {role}, sha256: {hash}}}\n"));
    }
    let convoy = Convoy::with().config(&config).authenticated().start();
    let (client, url) = (Client::new(), format!("{}/mesh/config.git", convoy.url()));
    let said = client.fails(&["ls-remote", &url]);
    assert!(said.contains("could not read Username") || said.contains("Authentication"), "{said}");
    let with =
        |user: &str, secret: &str| url.replace("http://", &format!("http://{user}:{secret}@"));
    client.does(&["ls-remote", &with("anybody", "sesame-ann")]);
    client.does(&["clone", "-q", &with("x", "sesame-ann"), "c"]);
    let said = client.fails(&["ls-remote", &with("anybody", "sesame-wrong")]);
    assert!(said.contains("Authentication failed"), "{said}");
    let header = "http.extraHeader=Authorization: Bearer sesame-kim";
    client.does(&["-c", header, "ls-remote", &url]);
    // As helpers give it.
    let helper = "credential.helper=!f() { echo username=x; echo password=sesame-ann; }; f";
    client.does(&["-c", helper, "ls-remote", &url]);
    let ask = run("curl", &["-s", "-i", &format!("{url}/info/refs?service=git-upload-pack")]);
    assert!(ask.to_lowercase().contains("www-authenticate: basic"), "{ask}");
    let log = wait_for("the log", || Ok::<_, String>(convoy.log()));
    assert!(!log.contains("sesame"), "{log}");
}

#[test]
fn a_request_that_is_no_gits_is_refused() {
    let convoy = start();
    commit(&convoy, &one("a", "1"));
    let url = format!("{}/mesh/config.git/git-upload-pack", convoy.url());
    let kind = "content-type: application/x-git-upload-pack-request";
    let status = |arguments: &[&str]| {
        let common = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", &url];
        run("curl", &[&common[..], arguments].concat())
    };
    assert_eq!(status(&["-d", "x"]), "415");
    assert_eq!(status(&["-H", kind, "-H", "content-encoding: gzip", "-d", "x"]), "400");
    assert_eq!(status(&["-H", kind, "-H", "content-encoding: br", "-d", "x"]), "415");
    // Nonsense gets Git's own complaint, and the server goes on.
    let _ = status(&["-H", kind, "-d", "zzzz"]);
    let client = Client::new();
    client.does(&["ls-remote", &url.replace("/git-upload-pack", "")]);
}
