//! A real upstream: a bare repository behind `git http-backend`, on loopback.
//!
//! Commits are made in a scratch repository with deterministic dates and then
//! pushed, so that hooks run as they do for people. A test reads as
//! `Upstream::start()`, `upstream.commit(…)`, `upstream.url()`.

use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use convoy::model::CommitId;
use tempfile::TempDir;

use super::process::{Beside, git, git_with, run};

/// The author of commits whose author does not matter.
pub(crate) const ADA: (&str, &str) = ("Ada Lovelace", "ada@example.com");

/// The branch that everything happens on.
pub(crate) const BRANCH: &str = "main";

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

/// How the server behaves; the default is a healthy one that lets anybody in.
#[derive(Debug, Default, Clone)]
pub(crate) struct Serve {
    arguments: Vec<String>,
    tls: bool,
}

impl Serve {
    /// Over TLS, with a certificate of a CA made for the test.
    pub(crate) fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// On this port, which nothing may listen on.
    pub(crate) fn port(self, port: u16) -> Self {
        self.with("--port", &port.to_string())
    }

    /// Only for those who send this token.
    pub(crate) fn token(self, token: &str) -> Self {
        self.with("--token", token)
    }

    /// Answers at that many bytes a second.
    pub(crate) fn slow(self, bytes_per_second: u64) -> Self {
        self.with("--slow", &bytes_per_second.to_string())
    }

    /// Takes connections and never answers.
    pub(crate) fn hang(mut self) -> Self {
        self.arguments.push("--hang".into());
        self
    }

    /// Falls silent once an answer has that many bytes.
    pub(crate) fn hang_after(self, bytes: u64) -> Self {
        self.with("--hang-after", &bytes.to_string())
    }

    /// Answers everything with that status.
    pub(crate) fn status(self, status: u16) -> Self {
        self.with("--status", &status.to_string())
    }

    fn with(mut self, option: &str, value: &str) -> Self {
        self.arguments.extend([option.into(), value.into()]);
        self
    }

    /// Makes an empty bare repository and starts the server over it.
    pub(crate) fn start(self) -> Upstream {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let bare = folder.path().join("conf.git");
        for (path, config) in [(&bare, true), (&folder.path().join("scratch.git"), false)] {
            run("git", &["init", "-q", "--bare", "-b", BRANCH, &path.to_string_lossy()]);
            if config {
                // Tests delete the branch that HEAD names.
                git(path, &["config", "receive.denyDeleteCurrent", "ignore"]);
            }
        }
        let (server, port) = self.serve(folder.path());
        let scheme = if self.tls { "https" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:{port}/conf.git");
        Upstream { folder, server: Some(server), url, commits: Cell::new(0) }
    }

    fn serve(&self, folder: &Path) -> (Beside, u16) {
        let log = File::create(folder.join("access.log")).expect("the log can be made");
        let mut command = Command::new("python3");
        command.arg(format!("{FIXTURES}/git_server.py")).arg("--root").arg(folder);
        if self.tls {
            let (certificate, key) = certificate(folder);
            command.arg("--tls").arg(certificate).arg(key);
        }
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut server = Beside::start(&mut command);
        let port = server.listening_port();
        (server, port)
    }
}

/// A bare repository and the server over it; both go with this.
#[derive(Debug)]
pub(crate) struct Upstream {
    folder: TempDir,
    server: Option<Beside>,
    url: String,
    commits: Cell<u64>,
}

impl Upstream {
    /// A healthy upstream over HTTP.
    pub(crate) fn start() -> Self {
        Serve::default().start()
    }

    /// An upstream that behaves as told.
    pub(crate) fn with() -> Serve {
        Serve::default()
    }

    /// Its URL over HTTP(S).
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Its URL as a folder.
    pub(crate) fn file_url(&self) -> String {
        format!("file://{}", self.git_dir().display())
    }

    /// The bare repository.
    pub(crate) fn git_dir(&self) -> PathBuf {
        self.folder.path().join("conf.git")
    }

    /// The certificate to trust, of a server over TLS.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// What the server wrote on stderr.
    pub(crate) fn access_log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default()
    }

    /// Ends the server; the repository stays.
    pub(crate) fn stop(&mut self) {
        self.server = None;
    }

    /// Runs `git` in the bare repository.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(&self.git_dir(), arguments)
    }

    /// The commit that a branch is at.
    pub(crate) fn head(&self, branch: &str) -> CommitId {
        self.git(&["rev-parse", &format!("refs/heads/{branch}")]).parse().expect("a commit id")
    }

    /// Installs the hook that tells `url` of every push, signed with `secret`.
    pub(crate) fn with_webhook(self, url: &str, secret: &str) -> Self {
        let hook = self.git_dir().join("hooks/post-receive");
        std::fs::create_dir_all(self.git_dir().join("hooks")).expect("the folder can be made");
        std::fs::copy(format!("{FIXTURES}/post-receive"), &hook).expect("the hook can be copied");
        std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).expect("chmod");
        let file = self.folder.path().join("secret");
        std::fs::write(&file, secret).expect("the secret can be written");
        self.git(&["config", "convoy.hookurl", url]);
        self.git(&["config", "convoy.secretfile", &file.to_string_lossy()]);
        self
    }

    /// Commits these files on top of the branch and pushes.
    pub(crate) fn commit(
        &self,
        files: &[(&str, impl AsRef<[u8]>)],
        message: &str,
        author: (&str, &str),
    ) -> CommitId {
        let changes: Vec<_> =
            files.iter().map(|(path, content)| file("100644", path, content.as_ref())).collect();
        self.import(&changes.concat(), message, author, &self.parents());
        self.push()
    }

    /// Takes over what others pushed, as people do before they commit.
    pub(crate) fn pull(&self) {
        let spec = format!("+{BRANCH}:{BRANCH}");
        self.scratch(&["fetch", "-q", "--update-head-ok", &self.push_url(), &spec]);
    }

    /// Removes a file in a commit of its own.
    pub(crate) fn remove(&self, path: &str) -> CommitId {
        let change = format!("D {path}\n");
        self.import(change.as_bytes(), &format!("Remove {path}"), ADA, &self.parents());
        self.push()
    }

    /// Adds an executable file.
    pub(crate) fn executable(&self, path: &str, content: &str) -> CommitId {
        let change = file("100755", path, content.as_bytes());
        self.import(&change, &format!("Add {path}"), ADA, &self.parents());
        self.push()
    }

    /// Adds a symbolic link.
    pub(crate) fn symlink(&self, path: &str, target: &str) -> CommitId {
        let change = file("120000", path, target.as_bytes());
        self.import(&change, &format!("Link {path}"), ADA, &self.parents());
        self.push()
    }

    /// Adds a submodule, of a commit that is nowhere.
    pub(crate) fn submodule(&self, path: &str) -> CommitId {
        let change = format!("M 160000 {} {path}\n", "1".repeat(40));
        self.import(change.as_bytes(), &format!("Embed {path}"), ADA, &self.parents());
        self.push()
    }

    /// Commits a file on a side line and merges that.
    pub(crate) fn merge(&self, path: &str, content: &str) -> CommitId {
        let main = self.scratch(&["rev-parse", BRANCH]);
        let change = file("100644", path, content.as_bytes());
        self.import(&change, &format!("Add {path}"), ADA, std::slice::from_ref(&main));
        let side = self.scratch(&["rev-parse", BRANCH]);
        self.import(&change, &format!("Merge {path}"), ADA, &[main, side]);
        self.push()
    }

    /// Replaces the branch's last commit by another.
    pub(crate) fn force_push(&self, files: &[(&str, &str)], message: &str) -> CommitId {
        let changes: Vec<_> =
            files.iter().map(|(path, content)| file("100644", path, content.as_bytes())).collect();
        let parent = self.scratch(&["rev-parse", &format!("{BRANCH}~1")]);
        self.import(&changes.concat(), message, ADA, &[parent]);
        self.push()
    }

    /// Takes the branch back by some commits.
    pub(crate) fn rewind(&self, commits: usize) -> CommitId {
        self.scratch(&[
            "update-ref",
            &format!("refs/heads/{BRANCH}"),
            &format!("{BRANCH}~{commits}"),
        ]);
        self.push()
    }

    /// Deletes a branch.
    pub(crate) fn delete_branch(&self, branch: &str) {
        self.scratch(&["push", "-q", &self.push_url(), &format!(":refs/heads/{branch}")]);
    }

    fn parents(&self) -> Vec<String> {
        let head = self.scratch(&[
            "for-each-ref",
            "--format=%(objectname)",
            &format!("refs/heads/{BRANCH}"),
        ]);
        if head.is_empty() { Vec::new() } else { vec![head] }
    }

    /// Makes a commit in the scratch repository and moves the branch to it.
    fn import(&self, changes: &[u8], message: &str, author: (&str, &str), parents: &[String]) {
        let number = self.commits.get();
        self.commits.set(number + 1);
        let person = format!("{} <{}> {} +0000", author.0, author.1, 1_700_000_000 + number * 60);
        let mut stream = format!(
            "commit refs/heads/{BRANCH}\nauthor {person}\ncommitter {person}\ndata {}\n{message}\n",
            message.len()
        );
        for (index, parent) in parents.iter().enumerate() {
            stream += &format!("{} {parent}\n", if index == 0 { "from" } else { "merge" });
        }
        let stream = [stream.as_bytes(), changes, b"\n"].concat();
        let scratch = self.folder.path().join("scratch.git");
        git_with(&scratch, &["fast-import", "--quiet", "--force"], &stream);
    }

    fn push(&self) -> CommitId {
        self.scratch(&["push", "-q", &self.push_url(), &format!("+{BRANCH}:{BRANCH}")]);
        self.head(BRANCH)
    }

    /// Past the server, which a test may have made slow or silent.
    fn push_url(&self) -> String {
        self.file_url()
    }

    fn scratch(&self, arguments: &[&str]) -> String {
        git(&self.folder.path().join("scratch.git"), arguments)
    }
}

fn file(mode: &str, path: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("M {mode} inline {path}\ndata {}\n", content.len());
    [head.as_bytes(), content, b"\n"].concat()
}

/// A CA and a certificate of it for 127.0.0.1: a leaf that is its own CA is
/// refused by strict clients.
fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let at = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let (ca, ca_key, leaf, key, ask) =
        (at("ca.pem"), at("ca.key"), at("leaf.pem"), at("leaf.key"), at("leaf.csr"));
    let curve = "ec_paramgen_curve:prime256v1";
    let new = ["req", "-newkey", "ec", "-pkeyopt", curve, "-nodes"];
    let extensions = at("leaf.ext");
    std::fs::write(&extensions, "subjectAltName=IP:127.0.0.1,DNS:localhost\n").expect("written");
    let own = ["-x509", "-days", "2", "-subj", "/CN=test ca", "-keyout", &ca_key, "-out", &ca];
    run("openssl", &[&new[..], &own[..]].concat());
    let asked = ["-subj", "/CN=127.0.0.1", "-keyout", &key, "-out", &ask];
    run("openssl", &[&new[..], &asked[..]].concat());
    let signed = ["x509", "-req", "-days", "2", "-in", &ask, "-CA", &ca, "-CAkey", &ca_key];
    let out = ["-CAcreateserial", "-extfile", &extensions, "-out", &leaf];
    run("openssl", &[&signed[..], &out[..]].concat());
    (leaf.into(), key.into())
}
