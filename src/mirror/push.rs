//! A commit to a branch of the upstream, by `git push`, never over what is not
//! known to be there.
//!
//! gix has no push. The command sees none of the user's or the system's Git
//! configuration, runs no hook, never asks, and is killed with its children
//! when the time is over or nobody waits any more. The secret reaches it
//! through its environment and a credential helper that prints it, so it
//! stands in no argument, file or URL.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use super::{MirrorError, Upstream, detail, transport, url};
use crate::model::CommitId;

/// What is kept of either output; the rest is read and dropped.
const OUTPUT_BYTES_MAX: u64 = 64 << 10;

/// Prints the credentials when Git asks for them; stores nothing.
const HELPER: &str = "!f() { test \"$1\" = get && printf 'username=%s\\npassword=%s\\n' \
                      \"$CONVOY_GIT_USER\" \"$CONVOY_GIT_SECRET\"; }; f";

/// From our own environment, what a connection may need.
const PASSED_ON: [&str; 9] = [
    "PATH",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
];

/// What a push expects of the remote's branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// It is not there, or is at the pushed commit already.
    Absent,
    /// It is at this commit, which must be the pushed commit's parent.
    At(CommitId),
    /// It is at any commit that the pushed one descends from.
    Behind,
}

/// Pushes `commit`, which is in `git_dir`, to `branch`.
///
/// # Errors
/// [`MirrorError::Moved`] where the branch is not as expected and
/// [`MirrorError::PushRefused`] where the remote forbids it; nothing was
/// written then.
pub async fn push(
    upstream: &Upstream,
    git_dir: &Path,
    branch: &str,
    commit: CommitId,
    expect: Expect,
) -> Result<(), MirrorError> {
    upstream.check()?;
    url::check_branch(&upstream.url, branch)?;
    let known = upstream.logged_in().await?;
    upstream.note(run(&known, git_dir, branch, commit, expect).await)
}

async fn run(
    upstream: &Upstream,
    git_dir: &Path,
    branch: &str,
    commit: CommitId,
    expect: Expect,
) -> Result<(), MirrorError> {
    let mut command = command(upstream, git_dir, branch, commit, expect);
    let child = command
        .spawn()
        .map_err(|error| MirrorError::failed("the git program could not be started", error))?;
    let mut group = Group::of(&child);
    let output = tokio::time::timeout(upstream.limits.time_max, finish(child)).await;
    if output.is_ok() {
        // It was waited for, so its number may be another's by now.
        group.0 = None;
    }
    drop(group);
    let output = output.map_err(|_| late(upstream))?;
    let output = output.map_err(|error| MirrorError::failed("git push was not followed", error))?;
    if output.status.success() { Ok(()) } else { Err(refusal(upstream, branch, &output)) }
}

fn command(
    upstream: &Upstream,
    git_dir: &Path,
    branch: &str,
    commit: CommitId,
    expect: Expect,
) -> Command {
    let mut command = Command::new("git");
    command.env_clear();
    for name in PASSED_ON {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
        .env("GIT_DIR", git_dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ALLOW_PROTOCOL", "file:http:https:ssh")
        .env("GIT_SSH_COMMAND", transport::ssh_command(upstream, upstream.limits.time_max))
        .env("GIT_SSH_VARIANT", "ssh")
        .env("LC_ALL", "C");
    with_home(&mut command, upstream, git_dir);
    with_trust(&mut command, upstream);
    with_credentials(&mut command, upstream);
    command
        .args(["-c", "core.hooksPath=/dev/null", "-c", "http.followRedirects=false"])
        .args(["-c", "gc.auto=0", "-c", "push.followTags=false"])
        .args(pinned(upstream))
        .args(["push", "--porcelain", "--no-verify", "--no-signed", "--recurse-submodules=no"])
        .args(lease(branch, expect))
        .args(["--", &upstream.url])
        .arg(format!("{commit}:refs/heads/{branch}"))
        .current_dir(git_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
}

/// Git takes a lease for leave to rewrite, so it is given only where the
/// commit's parent is what the lease names.
fn lease(branch: &str, expect: Expect) -> Option<String> {
    match expect {
        // An empty expectation: the branch must not be there. Git still calls
        // it up to date where it is there with this very commit.
        Expect::Absent => Some(format!("--force-with-lease=refs/heads/{branch}:")),
        Expect::At(old) => Some(format!("--force-with-lease=refs/heads/{branch}:{old}")),
        Expect::Behind => None,
    }
}

/// Connects where the name was looked up and allowed, and nowhere else.
fn pinned(upstream: &Upstream) -> Vec<String> {
    let Some((address, host, port)) =
        upstream.pin.zip(url::authority(&upstream.url)).map(|(ip, (host, port))| (ip, host, port))
    else {
        return Vec::new();
    };
    let address = match address {
        std::net::IpAddr::V6(address) => format!("[{address}]"),
        address => address.to_string(),
    };
    vec!["-c".into(), format!("http.curloptResolve={host}:{port}:{address}")]
}

/// Only `ssh` may look into the user's home; over HTTP, curl would take
/// whatever credentials stand in a `.netrc` there.
fn with_home(command: &mut Command, upstream: &Upstream, git_dir: &Path) {
    match std::env::var_os("HOME").filter(|_| upstream.url.starts_with("ssh://")) {
        Some(home) => command.env("HOME", home),
        None => command.env("HOME", git_dir),
    };
}

fn with_trust(command: &mut Command, upstream: &Upstream) {
    // gix's client reads SSL_CERT_FILE by itself; Git is told.
    let system = std::env::var_os("SSL_CERT_FILE").map(std::path::PathBuf::from);
    if let Some(file) = upstream.ca_file.clone().or(system) {
        command.env("GIT_SSL_CAINFO", file);
    }
    if url::is_loopback(&upstream.url) {
        command.env("NO_PROXY", "*").env("no_proxy", "*");
    }
}

fn with_credentials(command: &mut Command, upstream: &Upstream) {
    let Some(credentials) = &upstream.credentials else { return };
    command
        .env("CONVOY_GIT_USER", &credentials.user)
        .env("CONVOY_GIT_SECRET", credentials.secret.expose())
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "credential.helper")
        .env("GIT_CONFIG_VALUE_0", HELPER);
}

/// Kills the command and all it started when dropped.
pub(super) struct Group(pub(super) Option<rustix::process::Pid>);

impl Group {
    pub(super) fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(rustix::process::Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.0 {
            // Nobody left to kill is the usual case.
            let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
        }
    }
}

struct Output {
    status: ExitStatus,
    stdout: String,
    stderr: String,
}

async fn finish(mut child: Child) -> std::io::Result<Output> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr, status) = tokio::join!(read(stdout), read(stderr), child.wait());
    Ok(Output { status: status?, stdout: stdout?, stderr: stderr? })
}

async fn read(pipe: Option<impl AsyncRead + Unpin>) -> std::io::Result<String> {
    let Some(mut pipe) = pipe else { return Ok(String::new()) };
    let mut kept = Vec::new();
    (&mut pipe).take(OUTPUT_BYTES_MAX).read_to_end(&mut kept).await?;
    tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    Ok(String::from_utf8_lossy(&kept).into_owned())
}

fn late(upstream: &Upstream) -> MirrorError {
    let detail = format!("the push took longer than {} s", seconds(upstream.limits.time_max));
    MirrorError::Unreachable { url: upstream.url.clone(), detail }
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// What a failed push means. A line of the porcelain output that begins with
/// `!` is the remote's verdict on the branch; without one, it never got there.
fn refusal(upstream: &Upstream, branch: &str, output: &Output) -> MirrorError {
    let url = upstream.url.clone();
    let clean = |text: &str| detail::clean(text, upstream.credentials.as_ref());
    if let Some(line) = output.stdout.lines().find(|line| line.starts_with('!')) {
        let reason = line.rsplit('\t').next().unwrap_or(line);
        // The last ones are the remote's own words for a race lost there.
        let moved = [
            "(stale info)",
            "(already exists)",
            "(fetch first)",
            "(non-fast-forward)",
            "cannot lock ref",
            "failed to update ref",
            "incorrect old value",
        ];
        if moved.iter().any(|words| reason.contains(words)) {
            return MirrorError::Moved { url, branch: branch.into() };
        }
        let detail = clean(&format!("{reason} {}", remote_lines(&output.stderr)));
        return MirrorError::PushRefused { url, detail };
    }
    let said = output.stderr.to_ascii_lowercase();
    let unauthorized = [
        "authentication failed",
        "could not read username",
        "could not read password",
        "returned error: 401",
        "returned error: 403",
        "permission denied",
    ];
    if unauthorized.iter().any(|words| said.contains(words)) {
        return MirrorError::Unauthorized { url };
    }
    MirrorError::Unreachable { url, detail: clean(&output.stderr) }
}

fn remote_lines(stderr: &str) -> String {
    let lines = stderr.lines().filter_map(|line| line.strip_prefix("remote:"));
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}
