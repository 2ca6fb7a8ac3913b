//! The mirror against a real Git server: what it takes, and what it refuses.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use convoy::mirror::{self, Credentials, Limits, MirrorError, Proposal, Quarantine};
use convoy::model::{CommitId, Effect, FilePath, Secret};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::harness::oneshot;
use crate::harness::process::{git, run};
use crate::harness::sshd::Sshd;
use crate::harness::upstream::{ADA, BRANCH, Upstream};

const TOKEN: &str = "ghp_0123456789canary";

/// A store's Git folder and a quarantine folder, and what is fetched with.
struct Mirror {
    folder: TempDir,
    remote: mirror::Upstream,
}

impl Mirror {
    fn of(url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        run("git", &["init", "-q", "--bare", &folder.path().join("known.git").to_string_lossy()]);
        Self { folder, remote: mirror::Upstream::new(url, BRANCH) }
    }

    fn with_limits(mut self, limits: Limits) -> Self {
        self.remote.limits = limits;
        self
    }

    fn with_token(mut self, upstream: &Upstream, token: &str) -> Self {
        let (user, secret) = ("x-access-token".into(), Secret::new(token));
        self.remote.credentials = Some(Credentials { user, secret });
        self.remote.ca_file = Some(upstream.ca_file());
        self
    }

    fn known(&self) -> PathBuf {
        self.folder.path().join("known.git")
    }

    fn quarantine(&self) -> PathBuf {
        self.folder.path().join("quarantine")
    }

    async fn fetch(&self, have: Option<CommitId>) -> Result<Option<Quarantine>, MirrorError> {
        mirror::fetch(&self.remote, &self.known(), have, &self.quarantine()).await
    }

    /// Fetches, and takes the branch over as a store does.
    async fn take(&self, have: Option<CommitId>) -> CommitId {
        let got = self.fetch(have).await.unwrap().expect("there is something new");
        let from = got.fetched.git_dir.to_string_lossy();
        git(&got.fetched.git_dir, &["fsck", "--strict", "--no-dangling"]);
        git(&self.known(), &["fetch", "-q", &from, "+refs/convoy/fetched:refs/heads/main"]);
        got.fetched.head
    }

    async fn error(&self) -> MirrorError {
        let error = self.fetch(None).await.expect_err("the fetch is refused");
        assert_eq!(leftovers(&self.quarantine()), 0, "{error}");
        error
    }

    async fn propose(&self, proposal: &Proposal) -> Result<CommitId, MirrorError> {
        let work = self.folder.path().join("work");
        let result = mirror::propose(&self.remote, &self.known(), proposal, &work).await;
        assert_eq!(leftovers(&work), 0);
        result
    }
}

fn leftovers(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

fn within(seconds: u64) -> Limits {
    Limits { time_max: Duration::from_secs(seconds), ..Limits::default() }
}

/// Bytes that don't compress, the same in every run.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn proposal(base: CommitId, branch: &str, content: &str) -> Proposal {
    let path = FilePath::new("resources/clusters/a.yaml").unwrap();
    Proposal {
        branch: branch.into(),
        base,
        effects: vec![Effect { path, before: None, after: Some(Bytes::from(content.to_owned())) }],
        author: ("Grace <Hopper>".into(), "grace@example.com".into()),
        time: "2026-11-21T10:00:00Z".parse().unwrap(),
        message: "Raise the timeout".into(),
    }
}

#[tokio::test]
async fn a_branch_is_fetched_once_and_then_only_what_is_new() {
    let upstream = Upstream::start();
    let many: Vec<_> =
        (0..300).map(|n| (format!("values/{n}.yaml"), format!("n: {n}\n"))).collect();
    let many: Vec<_> = many.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let first = upstream.commit(&many, "Many", ADA);
    let mirror = Mirror::of(upstream.url());
    assert_eq!(mirror.take(None).await, first);
    assert!(mirror.fetch(Some(first)).await.unwrap().is_none());
    assert_eq!(leftovers(&mirror.quarantine()), 0);
    for line in upstream.access_log().lines() {
        assert!(line.contains("\"GET /conf.git") || line.contains("\"POST /conf.git"), "{line}");
    }

    let second = upstream.commit(&[("values/7.yaml", "n: 8\n")], "One", ADA);
    let got = mirror.fetch(Some(first)).await.unwrap().expect("one commit is new");
    assert_eq!(got.fetched.head, second);
    let counts = git(&got.fetched.git_dir, &["count-objects", "-v"]);
    let packed = counts.lines().find_map(|line| line.strip_prefix("in-pack: ")).unwrap();
    assert!(packed.parse::<u32>().unwrap() <= 6, "{counts}");
    let shown = git(&got.fetched.git_dir, &["show", &format!("{second}:values/7.yaml")]);
    assert_eq!(shown, "n: 8");
    assert!(!got.fetched.git_dir.join("index").exists());
    let folder = got.fetched.git_dir.clone();
    drop(got);
    assert!(!folder.exists());
}

#[tokio::test]
async fn nothing_is_made_where_nothing_is_new() {
    let upstream = Upstream::start();
    let head = upstream.commit(&[("a", "1")], "One", ADA);
    let mirror = Mirror::of(upstream.url());
    assert!(mirror.fetch(Some(head)).await.unwrap().is_none());
    assert!(!mirror.quarantine().exists());
}

#[tokio::test]
async fn merges_links_and_submodules_arrive_as_they_are() {
    let upstream = Upstream::start();
    upstream.commit(&[("a", "1")], "One", ADA);
    upstream.merge("b", "2");
    upstream.symlink("c", "../outside");
    let head = upstream.submodule("d");
    let mirror = Mirror::of(upstream.url());
    assert_eq!(mirror.take(None).await, head);
    let known = mirror.known();
    assert_eq!(git(&known, &["rev-list", "--count", "--first-parent", "main"]), "4");
    assert_eq!(git(&known, &["rev-list", "--count", "main"]), "5");
}

#[tokio::test]
async fn a_rewritten_branch_is_fetched_for_the_store_to_judge() {
    let upstream = Upstream::start();
    for n in ["1", "2", "3"] {
        upstream.commit(&[("a", n)], n, ADA);
    }
    let mirror = Mirror::of(upstream.url());
    let mut have = mirror.take(None).await;
    let forced = upstream.force_push(&[("a", "4")], "Other");
    let taken = mirror.take(Some(have)).await;
    assert_eq!(taken, forced);
    have = taken;
    let back = upstream.rewind(1);
    assert_eq!(mirror.take(Some(have)).await, back);
}

#[tokio::test]
async fn a_folder_is_fetched_from() {
    let upstream = Upstream::start();
    let first = upstream.commit(&[("a", "1")], "One", ADA);
    let mirror = Mirror::of(&upstream.file_url());
    assert_eq!(mirror.take(None).await, first);
    assert!(mirror.fetch(Some(first)).await.unwrap().is_none());
    let second = upstream.commit(&[("a", "2")], "Two", ADA);
    assert_eq!(mirror.take(Some(first)).await, second);
}

#[tokio::test]
async fn a_folder_that_is_no_repository_is_unreachable() {
    let empty = tempfile::tempdir().unwrap();
    for path in [empty.path().to_path_buf(), empty.path().join("none")] {
        let error = Mirror::of(&format!("file://{}", path.display())).error().await;
        assert!(matches!(error, MirrorError::Unreachable { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_token_opens_a_server_over_tls() {
    let upstream = Upstream::with().tls().token(TOKEN).start();
    let head = upstream.commit(&[("a", "1")], "One", ADA);
    let mirror = Mirror::of(upstream.url()).with_token(&upstream, TOKEN);
    assert_eq!(mirror.take(None).await, head);
    assert!(mirror.fetch(Some(head)).await.unwrap().is_none());
    let proposed = mirror.propose(&proposal(head, "edit/1", "x: 1\n")).await.unwrap();
    assert_eq!(upstream.head("edit/1"), proposed);
}

#[tokio::test]
async fn a_wrong_token_is_refused_and_shown_nowhere() {
    let upstream = Upstream::with().tls().token("another").start();
    let head = upstream.commit(&[("a", "1")], "One", ADA);
    let mut mirror = Mirror::of(upstream.url()).with_token(&upstream, TOKEN);
    let error = mirror.error().await;
    assert!(matches!(error, MirrorError::Unauthorized { .. }), "{error:?}");
    assert!(!error.is_transient());
    let shown = format!("{error} {error:?} {:?}", mirror.remote);
    assert!(!shown.contains("canary"), "{shown}");

    git(&mirror.known(), &["fetch", "-q", &upstream.file_url(), "main:main"]);
    let error = mirror.propose(&proposal(head, "edit/1", "x")).await.expect_err("refused");
    assert!(matches!(error, MirrorError::Unauthorized { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("canary"));

    mirror.remote.credentials = None;
    let error = mirror.error().await;
    assert!(matches!(error, MirrorError::Unauthorized { .. }), "{error:?}");
    assert!(!upstream.access_log().contains("canary"));
}

#[tokio::test]
async fn an_unknown_certificate_is_not_trusted() {
    let upstream = Upstream::with().tls().start();
    upstream.commit(&[("a", "1")], "One", ADA);
    let error = Mirror::of(upstream.url()).error().await;
    assert!(matches!(error, MirrorError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().to_lowercase().contains("certificate"), "{error}");
}

#[tokio::test]
async fn a_missing_branch_and_an_empty_repository_have_no_branch() {
    let upstream = Upstream::start();
    let mirror = Mirror::of(upstream.url());
    let error = mirror.error().await;
    assert!(matches!(error, MirrorError::NoBranch { .. }), "{error:?}");

    upstream.commit(&[("a", "1")], "One", ADA);
    upstream.git(&["branch", "main2", "main"]);
    upstream.delete_branch("main");
    let error = mirror.error().await;
    assert_eq!(error.to_string(), format!("{} has no branch `main`", upstream.url()));
    let folder = Mirror::of(&upstream.file_url()).error().await;
    assert!(matches!(folder, MirrorError::NoBranch { .. }), "{folder:?}");
}

#[tokio::test]
async fn a_server_that_is_down_is_unreachable() {
    let mut upstream = Upstream::start();
    upstream.commit(&[("a", "1")], "One", ADA);
    upstream.stop();
    let error = Mirror::of(upstream.url()).error().await;
    assert!(matches!(error, MirrorError::Unreachable { .. }), "{error:?}");
    assert!(error.is_transient());
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn statuses_of_a_server_are_told_apart() {
    for (status, unauthorized) in
        [(401, true), (403, true), (404, false), (301, false), (429, false), (500, false)]
    {
        let upstream = Upstream::with().status(status).start();
        let error = Mirror::of(upstream.url()).error().await;
        let is = matches!(error, MirrorError::Unauthorized { .. });
        assert_eq!(is, unauthorized, "{status}: {error:?}");
        assert!(is || matches!(error, MirrorError::Unreachable { .. }), "{status}: {error:?}");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_in_time() {
    let upstream = Upstream::with().hang().start();
    let mirror = Mirror::of(upstream.url()).with_limits(within(1));
    let start = Instant::now();
    let error = mirror.error().await;
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert!(matches!(error, MirrorError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_drips_its_answer_is_given_up_in_time() {
    let upstream = Upstream::with().slow(20).start();
    upstream.commit(&[("a", "1")], "One", ADA);
    let mirror = Mirror::of(upstream.url()).with_limits(within(1));
    let start = Instant::now();
    let error = mirror.error().await;
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert!(matches!(error, MirrorError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_pack_that_comes_too_slowly_or_stops_is_over_the_limit() {
    for serve in [Upstream::with().slow(20_000), Upstream::with().hang_after(100_000)] {
        let upstream = serve.start();
        upstream.commit(&[("noise", noise(1 << 20))], "Noise", ADA);
        let mirror = Mirror::of(upstream.url()).with_limits(within(2));
        let start = Instant::now();
        let error = mirror.error().await;
        assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
        assert!(matches!(error, MirrorError::Limit { .. }), "{error:?}");
        assert!(error.to_string().contains("longer than 2 s"), "{error}");
    }
}

#[tokio::test]
async fn too_many_bytes_end_the_transfer_early() {
    let upstream = Upstream::with().slow(2_000_000).start();
    upstream.commit(&[("noise", noise(20 << 20))], "Noise", ADA);
    let limits = Limits { bytes_max: 1 << 20, ..Limits::default() };
    let start = Instant::now();
    let error = Mirror::of(upstream.url()).with_limits(limits.clone()).error().await;
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert!(matches!(error, MirrorError::Limit { .. }), "{error:?}");
    assert!(error.to_string().contains("1048576 bytes"), "{error}");
    let folder = Mirror::of(&upstream.file_url()).with_limits(limits).error().await;
    assert!(matches!(folder, MirrorError::Limit { .. }), "{folder:?}");
}

#[tokio::test]
async fn too_many_files_and_too_deep_folders_are_refused() {
    let upstream = Upstream::start();
    upstream.commit(&[("a/b/c/d", "1"), ("e", "2"), ("f", "3")], "Three", ADA);
    let limits = |files_max, depth_max| Limits { files_max, depth_max, ..Limits::default() };
    for (files_max, depth_max, word) in [(2, 64, "2 files"), (50, 2, "2 folders within")] {
        let mirror = Mirror::of(upstream.url()).with_limits(limits(files_max, depth_max));
        let error = mirror.error().await;
        assert!(matches!(error, MirrorError::Limit { .. }), "{error:?}");
        assert!(error.to_string().contains(word), "{error}");
    }
    let mirror = Mirror::of(upstream.url()).with_limits(limits(3, 3));
    mirror.take(None).await;
}

#[tokio::test]
async fn a_proposal_becomes_one_branch_however_often_it_is_made() {
    let upstream = Upstream::start();
    upstream.commit(&[("resources/clusters/a.yaml", "x: 0\n"), ("keep", "1")], "One", ADA);
    let base = upstream.executable("checks/run", "#!/bin/sh\n");
    let mut mirror = Mirror::of(upstream.url());
    mirror.take(None).await;
    let mut change = proposal(base, "edit/grace-1", "x: 1\n");
    let script = FilePath::new("checks/run").unwrap();
    let content = |text: &'static [u8]| Some(Bytes::from_static(text));
    let script = Effect { path: script, before: None, after: content(b"#!/bin/sh -e\n") };
    change.effects.push(script);
    let keep = FilePath::new("keep").unwrap();
    change.effects.push(Effect { path: keep, before: content(b""), after: None });

    let first = mirror.propose(&change).await.unwrap();
    assert_eq!(mirror.propose(&change).await.unwrap(), first);
    assert_eq!(upstream.head("edit/grace-1"), first);
    assert_eq!(upstream.head(BRANCH), base);
    let log = upstream.git(&["log", "-1", "--format=%P|%an|%ae|%cI|%s", "edit/grace-1"]);
    let wanted = "Grace Hopper|grace@example.com|2026-11-21T10:00:00+00:00|Raise the timeout";
    assert_eq!(log.replace("Z|", "+00:00|"), format!("{base}|{wanted}"));
    let changed = upstream.git(&["diff", "--raw", "--abbrev=4", "main", "edit/grace-1"]);
    assert_eq!(changed.lines().count(), 3, "{changed}");
    assert!(changed.contains(":100755 100755"), "{changed}");
    upstream.git(&["fsck", "--strict"]);

    mirror.remote.branch = "edit/grace-1".into();
    let got = mirror.fetch(Some(base)).await.unwrap().expect("the proposal is new");
    assert_eq!(got.fetched.head, first);
}

#[tokio::test]
async fn a_proposal_never_moves_a_branch_that_is_there() {
    let upstream = Upstream::start();
    let base = upstream.commit(&[("a", "1")], "One", ADA);
    let mirror = Mirror::of(upstream.url());
    mirror.take(None).await;
    let first = mirror.propose(&proposal(base, "edit/1", "x: 1\n")).await.unwrap();
    for change in [proposal(base, "edit/1", "x: 2\n"), proposal(base, BRANCH, "x: 1\n")] {
        let error = mirror.propose(&change).await.expect_err("the branch is there");
        assert!(matches!(error, MirrorError::PushRefused { .. }), "{error:?}");
        assert!(error.to_string().contains("take another name"), "{error}");
    }
    assert_eq!(upstream.head("edit/1"), first);
    assert_eq!(upstream.head(BRANCH), base);
}

#[tokio::test]
async fn a_hook_that_declines_is_quoted() {
    let upstream = Upstream::start();
    let base = upstream.commit(&[("a", "1")], "One", ADA);
    let mirror = Mirror::of(upstream.url());
    mirror.take(None).await;
    let hook = upstream.git_dir().join("hooks/pre-receive");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, "#!/bin/sh\nprintf 'no \\033[31mFriday pushes\\n' >&2\nexit 1\n")
        .unwrap();
    run("chmod", &["+x".as_ref(), hook.as_os_str()]);
    let error = mirror.propose(&proposal(base, "edit/1", "x")).await.expect_err("declined");
    assert!(matches!(error, MirrorError::PushRefused { .. }), "{error:?}");
    let shown = error.to_string();
    assert!(shown.contains("Friday pushes") && !shown.contains('\u{1b}'), "{shown:?}");
}

#[tokio::test]
async fn a_push_that_hangs_is_ended_in_time() {
    let source = Upstream::start();
    let base = source.commit(&[("a", "1")], "One", ADA);
    let upstream = Upstream::with().hang().start();
    let mirror = Mirror::of(upstream.url()).with_limits(within(1));
    git(&mirror.known(), &["fetch", "-q", &source.file_url(), "main:main"]);
    let start = Instant::now();
    let error = mirror.propose(&proposal(base, "edit/1", "x")).await.expect_err("it hangs");
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert!(matches!(error, MirrorError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_proposal_on_an_unknown_base_or_file_says_so() {
    let upstream = Upstream::start();
    let base = upstream.commit(&[("a", "1")], "One", ADA);
    let mirror = Mirror::of(upstream.url());
    mirror.take(None).await;
    let error = mirror.propose(&proposal(CommitId([7; 20]), "edit/1", "x")).await;
    assert!(error.expect_err("no base").to_string().contains("is not in the repository"));
    let mut change = proposal(base, "edit/1", "x");
    let path = FilePath::new("b").unwrap();
    change.effects = vec![Effect { path, before: Some(Bytes::new()), after: None }];
    let error = mirror.propose(&change).await.expect_err("no file");
    assert_eq!(error.to_string(), "`b` can't be removed");
}

#[tokio::test]
async fn ssh_fetches_and_pushes_with_pinned_keys_only() {
    let upstream = Upstream::start();
    let first = upstream.commit(&[("a", "1")], "One", ADA);
    let sshd = Sshd::start();
    let mut mirror = Mirror::of(&sshd.url(&upstream.git_dir()));
    mirror.remote.ssh = Some(sshd.key());
    assert_eq!(mirror.take(None).await, first);
    assert!(mirror.fetch(Some(first)).await.unwrap().is_none());
    let second = upstream.commit(&[("a", "2")], "Two", ADA);
    assert_eq!(mirror.take(Some(first)).await, second);
    let proposed = mirror.propose(&proposal(second, "edit/1", "x: 1\n")).await.unwrap();
    assert_eq!(upstream.head("edit/1"), proposed);

    mirror.remote.ssh = Some(sshd.strange_key());
    let error = mirror.error().await;
    assert!(matches!(error, MirrorError::Unauthorized { .. }), "{error:?}");
    mirror.remote.ssh = Some(sshd.impostor());
    let error = mirror.error().await;
    assert!(matches!(error, MirrorError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn an_object_that_inflates_without_bound_is_over_the_limit() {
    let upstream = Upstream::start();
    upstream.commit(&[("zeros", vec![0; 130 << 20])], "Zeros", ADA);
    let error = Mirror::of(upstream.url()).error().await;
    assert!(matches!(error, MirrorError::Limit { .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_is_not_gits_is_unreachable() {
    let kind = "Content-Type: application/x-git-upload-pack-advertisement\r\n";
    for (kind, body) in [("", "<html>hello</html>"), (kind, "zzzz garbage"), (kind, "001e# serv")] {
        let response = format!("HTTP/1.1 200 OK\r\n{kind}Connection: close\r\n\r\n{body}");
        let (url, served) = oneshot::answer(response);
        let error = Mirror::of(&format!("{url}/conf.git")).error().await;
        assert!(matches!(error, MirrorError::Unreachable { .. }), "{body}: {error:?}");
        served.join().unwrap();
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let to = format!("http://{}/conf.git/info/refs", elsewhere.local_addr().unwrap());
    let response = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
    let (url, served) = oneshot::answer(response);
    let error = Mirror::of(&format!("{url}/conf.git")).error().await;
    assert!(matches!(error, MirrorError::Unreachable { .. }), "{error:?}");
    served.join().unwrap();
    let hit = elsewhere.accept().expect_err("nobody came");
    assert_eq!(hit.kind(), std::io::ErrorKind::WouldBlock);
}

/// The variable must be there before the process starts, so the test runs
/// itself once more as a child.
#[test]
fn a_private_ca_may_come_from_the_environment() {
    const NAME: &str = "mirror::a_private_ca_may_come_from_the_environment";
    if let Ok(url) = std::env::var("CONVOY_IT_CHILD_URL") {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        return runtime.block_on(async {
            let mirror = Mirror::of(&url);
            let head = mirror.take(None).await;
            mirror.propose(&proposal(head, "edit/1", "x: 1\n")).await.unwrap();
        });
    }
    let upstream = Upstream::with().tls().start();
    upstream.commit(&[("a", "1")], "One", ADA);
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME])
        .env("CONVOY_IT_CHILD_URL", upstream.url())
        .env("SSL_CERT_FILE", upstream.ca_file())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    upstream.head("edit/1");
}

#[test]
fn a_push_is_told_by_a_signed_webhook() {
    let (url, served) = oneshot::answer("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
    let upstream = Upstream::start().with_webhook(&url, "hook secret");
    let head = upstream.commit(&[("a", "1")], "Say \"hello\"", ADA);
    let request = served.join().unwrap();
    assert_eq!(request.header("X-GitHub-Event"), Some("push"));
    assert_eq!(request.header("X-GitHub-Delivery").map(str::len), Some(36));
    let signature = request.header("X-Hub-Signature-256").unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(b"hook secret").unwrap();
    mac.update(&request.body);
    let digits: String =
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(signature, format!("sha256={digits}"));
    let event: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(event["ref"], "refs/heads/main");
    assert_eq!(event["before"], "0".repeat(40));
    assert_eq!(event["after"], head.to_string());
    assert_eq!(event["forced"], false);
    assert_eq!(event["repository"]["full_name"], "conf");
    assert_eq!(event["head_commit"]["message"], "Say \"hello\"");
    assert_eq!(event["head_commit"]["author"]["email"], ADA.1);
}
