//! Who we are at a remote.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::bed::{Bed, IN, OUT, Wanted, files, mirror};
use crate::harness::convoy::wait_for;
use crate::harness::process::{Beside, run};
use crate::harness::sshd::Sshd;
use crate::harness::upstream::{ADA, Upstream};
use convoy::govern::{CredentialKind, MirrorDocument};
use tempfile::TempDir;

const TOKEN: &str = "ghp_0123456789canary";

fn with_credential(mirror: MirrorDocument, id: &str) -> MirrorDocument {
    MirrorDocument { credential: Some(id.into()), ..mirror }
}

async fn trusting(upstream: &Upstream) -> Bed {
    Bed::with(Wanted { ca_file: Some(upstream.ca_file()), ..Wanted::default() }).await
}

#[tokio::test]
async fn a_token_or_password_opens_a_server_both_ways() {
    let upstream = Upstream::with().tls().token(TOKEN).start();
    upstream.commit(&[("a", "1")], "One", ADA);
    let bed = trusting(&upstream).await;
    bed.credential("token", CredentialKind::AccessToken, TOKEN).await;
    bed.credential("password", CredentialKind::Password { user: "ann".into() }, TOKEN).await;
    bed.credential("wrong", CredentialKind::AccessToken, "ghp_wrongcanary").await;
    bed.put(with_credential(mirror("in", IN, upstream.url()), "token")).await;
    bed.brings("in").await;
    assert_eq!(bed.files(), files(&[("a", "1")]));
    let out = MirrorDocument { remote_folder: "x".into(), ..mirror("out", OUT, upstream.url()) };
    bed.put(with_credential(out.clone(), "password")).await;
    bed.brings("out").await;
    assert_eq!(upstream.git(&["show", "main:x/a"]), "1");

    bed.edit(&[("a", Some("2"))]).await;
    for (id, document) in [("in", mirror("in", IN, upstream.url())), ("out", out)] {
        bed.put(with_credential(document.clone(), "wrong")).await;
        let error = bed.fails(id).await;
        assert!(error.contains("refused the credentials"), "{error}");
        bed.put(document).await;
        let error = bed.fails(id).await;
        assert!(error.contains("refused the credentials"), "{error}");
    }
    let shown = format!("{:?}", bed.mirroring.states());
    assert!(!shown.contains("canary") && !upstream.access_log().contains("canary"), "{shown}");
}

#[tokio::test]
async fn a_credential_that_does_not_fit_is_refused_before_it_is_sent() {
    let upstream = Upstream::with().token(TOKEN).start();
    upstream.commit(&[("a", "1")], "One", ADA);
    let bed = Bed::start().await;
    bed.credential("token", CredentialKind::AccessToken, TOKEN).await;
    bed.put(with_credential(mirror("up", IN, upstream.url()), "token")).await;
    let error = bed.fails("up").await;
    assert!(error.contains("https:// URLs only"), "{error}");
    assert_eq!(upstream.access_log(), "");
}

#[tokio::test]
async fn an_ssh_key_opens_a_server_whose_host_key_is_pinned() {
    let (upstream, sshd) = (Upstream::start(), Sshd::start());
    upstream.commit(&[("a", "1")], "One", ADA);
    let url = sshd.url(&upstream.git_dir());
    let bed = Bed::start().await;
    let text = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
    for (id, key) in
        [("right", sshd.key()), ("impostor", sshd.impostor()), ("stranger", sshd.strange_key())]
    {
        let known_hosts = text(&key.known_hosts);
        let kind = CredentialKind::SshKey { user: String::new(), known_hosts };
        bed.credential(id, kind, &text(&key.key_file)).await;
    }
    bed.put(with_credential(mirror("in", IN, &url), "right")).await;
    bed.brings("in").await;
    let out = MirrorDocument { remote_folder: "x".into(), ..mirror("out", OUT, &url) };
    bed.put(with_credential(out, "right")).await;
    bed.brings("out").await;
    assert_eq!(upstream.git(&["show", "main:x/a"]), "1");
    for wrong in ["impostor", "stranger"] {
        upstream.commit(&[("a", wrong)], wrong, ADA);
        bed.put(with_credential(mirror("in", IN, &url), wrong)).await;
        bed.fails("in").await;
    }
    assert_eq!(bed.leftovers(), 0);
}

#[tokio::test]
async fn an_ssh_host_is_called_where_its_name_was_looked_up() {
    let (upstream, sshd) = (Upstream::start(), Sshd::start());
    upstream.commit(&[("a", "1")], "One", ADA);
    let url = sshd.url(&upstream.git_dir()).replace("127.0.0.1", "localhost");
    let known_hosts = std::fs::read_to_string(sshd.key().known_hosts).unwrap();
    // The key is pinned to the name; the address is not named.
    let known_hosts = known_hosts.replace("127.0.0.1", "localhost");
    let bed = Bed::start().await;
    let kind = CredentialKind::SshKey { user: String::new(), known_hosts };
    bed.credential("key", kind, &std::fs::read_to_string(sshd.key().key_file).unwrap()).await;
    bed.put(with_credential(mirror("in", IN, &url), "key")).await;
    bed.brings("in").await;
    let out = MirrorDocument { remote_folder: "x".into(), ..mirror("out", OUT, &url) };
    bed.put(with_credential(out, "key")).await;
    bed.brings("out").await;
}

/// A stand-in for GitHub's API that PyJWT judges for.
struct GitHub {
    port: u16,
    folder: TempDir,
    _running: Beside,
}

impl GitHub {
    fn start(key_form: &[&str], lifetime: &str) -> Self {
        let python = std::env::var("CONVOY_PY")
            .expect("CONVOY_PY must name a python that has PyJWT[crypto] (ci/test sets it up)");
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        run("openssl", &["genrsa", "-out", &at("pkcs8.pem"), "2048"]);
        let key = at("key.pem");
        let convert = ["rsa", "-in", &at("pkcs8.pem"), "-out", &key];
        run("openssl", &[&convert[..], key_form].concat());
        run("openssl", &["rsa", "-in", &key, "-pubout", "-out", &at("public.pem")]);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/github_app.py");
        let log = File::create(at("log")).unwrap();
        let mut command = Command::new(python);
        command
            .args([script, "--key", &at("public.pem"), "--app", "17", "--installation", "42"])
            .args(["--token", TOKEN, "--lifetime", lifetime])
            .stdout(Stdio::piped())
            .stderr(log);
        let mut running = Beside::start(&mut command);
        Self { port: running.listening_port(), folder, _running: running }
    }

    fn kind(&self, app: &str, installation: &str) -> CredentialKind {
        CredentialKind::GithubApp {
            app_id: app.into(),
            installation_id: installation.into(),
            api_url: format!("http://127.0.0.1:{}", self.port),
        }
    }

    fn key(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("key.pem")).unwrap()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

#[tokio::test]
async fn a_github_app_buys_a_token_and_keeps_it() {
    let upstream = Upstream::with().tls().token(TOKEN).start();
    upstream.commit(&[("a", "1")], "One", ADA);
    let bed = trusting(&upstream).await;
    // GitHub gives keys out in the older form; both are taken.
    for (id, form, lifetime, asked) in
        [("old", &["-traditional"][..], "3600", 1), ("new", &[][..], "120", 2)]
    {
        let github = GitHub::start(form, lifetime);
        bed.credential(id, github.kind("17", "42"), &github.key()).await;
        let folder = MirrorDocument { local_folder: id.into(), ..mirror(id, IN, upstream.url()) };
        bed.put(with_credential(folder, id)).await;
        bed.brings(id).await;
        bed.is_up_to_date(id).await;
        // One that ends soon is not used any more.
        assert_eq!(github.log().matches("201 issued").count(), asked, "{id}: {}", github.log());
    }
}

#[tokio::test]
async fn a_github_app_that_is_refused_says_so_without_its_key() {
    let upstream = Upstream::with().tls().token(TOKEN).start();
    upstream.commit(&[("a", "1")], "One", ADA);
    let bed = trusting(&upstream).await;
    let (github, other) = (GitHub::start(&[], "3600"), GitHub::start(&[], "3600"));
    for (id, kind, key, logged) in [
        ("app", github.kind("18", "42"), github.key(), "Invalid issuer"),
        ("number", github.kind("17", "43"), github.key(), "no such installation"),
        ("key", github.kind("17", "42"), other.key(), "Signature verification failed"),
    ] {
        bed.credential(id, kind, &key).await;
        bed.put(with_credential(mirror(id, IN, upstream.url()), id)).await;
        let error = bed.fails(id).await;
        assert!(error.contains("refused the credentials"), "{id}: {error}");
        // It answers first, and writes its log then.
        wait_for(&format!("`{logged}` in the log"), || match github.log() {
            log if log.contains(logged) => Ok(()),
            log => Err(format!("{id}: {log}")),
        });
    }
    bed.credential("none", github.kind("17", "42"), "not a key, canary").await;
    bed.put(with_credential(mirror("none", IN, upstream.url()), "none")).await;
    let error = bed.fails("none").await;
    assert!(error.contains("RSA key") && !error.contains("canary"), "{error}");
    assert_eq!(upstream.access_log(), "");
}
