//! Other Git servers: quarantined fetch, editor branches and mirrored trees
//! out, and our own repositories served to stock `git`.
//!
//! A fetch lands in a throw-away Git folder that borrows what the store has;
//! only the store takes it over. A work tree never exists, hooks and the
//! user's Git configuration are never read on our side, and redirects are
//! never followed, so that a token reaches no host but the one it is for.
//! It does not decide what a force-push means: that is the store's.
//! Called by the mirror task (fetch), by the editor (propose), by `mirroring`
//! (trees both ways) and by `web` (serve).
//!
//! ```text
//! allow, url ──► transport ──► fetch ──► quarantine, inspect ──► tree
//!                     └─ bounds ─┘
//! commit, graft ──► push          app_token, key: who we are          serve
//! ```

mod allow;
mod app_login;
mod app_token;
mod bounds;
mod commit;
mod detail;
mod fetch;
mod foreign;
mod graft;
mod inspect;
mod key;
mod push;
mod quarantine;
mod serve;
mod source;
mod tip;
mod transport;
mod tree;
mod url;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model::{CommitId, Effect, Secret};

pub use allow::{Allow, AllowError};
pub use app_login::AppLogin;
pub use app_token::{App, AppScope, AppTokens};
pub use fetch::{fetch, fetch_reference, fetch_tip, head};
pub use foreign::{Foreign, ForeignCommit};
pub use graft::{Graft, fresh, graft};
pub use key::{KeyFolder, ssh_key};
pub use push::{Expect, push};
pub use quarantine::{Quarantine, sweep};
pub use serve::{Answer, Ask, GitServer, ServeError};
pub use source::Source;
pub use tree::{Listing, Objects, TreeFile};

/// A Git remote and the branch of it that a repository follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// `file://`, `https://` or `ssh://`; `http://` only to loopback.
    pub url: String,
    /// The branch, without `refs/heads/`.
    pub branch: String,
    /// For `https://`: sent as basic authentication, never in a URL or argv.
    pub credentials: Option<Credentials>,
    /// For `https://`: a GitHub App whose tokens are used in their place.
    pub app: Option<AppLogin>,
    /// For `https://`: certificates (PEM) to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// For `ssh://`: the key to use. Without it, what the user who runs
    /// Convoy has set up for `ssh`.
    pub ssh: Option<SshKey>,
    /// The address that the URL's host was looked up as; `None`: it is looked
    /// up when it is connected to.
    pub pin: Option<IpAddr>,
    /// Bounds of one fetch.
    pub limits: Limits,
}

/// A private key for `ssh://` and the host keys to accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshKey {
    /// The private key's file, readable by its owner only.
    pub key_file: PathBuf,
    /// The pinned host keys, in the form of `known_hosts`.
    pub known_hosts: PathBuf,
}

/// A user name (any, for a token) and its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name; `x-access-token` for a GitHub token.
    pub user: String,
    /// The token or password.
    pub secret: Secret,
}

/// Bounds of one fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the objects fetched, packed.
    pub bytes_max: u64,
    /// Files in the head's tree.
    pub files_max: usize,
    /// Folders within folders in the head's tree.
    pub depth_max: usize,
    /// From connecting to the last byte.
    pub time_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes_max: 512 << 20,
            files_max: 50_000,
            depth_max: 64,
            time_max: Duration::from_secs(120),
        }
    }
}

/// Why a fetch or push did not happen. No text in it holds a secret, a
/// control character or more than a few hundred characters of the remote's.
#[allow(missing_docs, reason = "the variants' texts name their fields")]
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// No answer, or a broken one.
    #[error("{url} can't be reached: {detail}")]
    Unreachable { url: String, detail: String },
    /// The credentials were refused.
    #[error("{url} refused the credentials")]
    Unauthorized { url: String },
    /// The branch is not there.
    #[error("{url} has no branch `{branch}`")]
    NoBranch { url: String, branch: String },
    /// Too much, too deep or too slow.
    #[error("{url} is over the limit: {detail}")]
    Limit { url: String, detail: String },
    /// The remote's branch is not what a push expected.
    #[error("branch `{branch}` of {url} moved meanwhile, or is there already")]
    Moved { url: String, branch: String },
    /// A push was refused because the remote forbids it.
    #[error("{url} refused the push: {detail}")]
    PushRefused { url: String, detail: String },
    /// A scheme or host that is not allowed.
    #[error("`{url}` can't be an upstream: {detail}")]
    BadUrl { url: String, detail: String },
    /// Our disk.
    #[error("{what}")]
    Failed {
        what: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl MirrorError {
    fn failed(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Failed { what: what.into(), source: source.into() }
    }

    /// Whether trying again later may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Failed { .. } | Self::Moved { .. })
    }
}

impl Upstream {
    /// An upstream with default limits that needs no credentials.
    pub fn new(url: impl Into<String>, branch: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            branch: branch.into(),
            credentials: None,
            app: None,
            ca_file: None,
            ssh: None,
            pin: None,
            limits: Limits::default(),
        }
    }

    /// Checks scheme, host, branch and credentials before anything is sent.
    ///
    /// # Errors
    /// [`MirrorError::BadUrl`], which says what to write instead.
    pub fn check(&self) -> Result<(), MirrorError> {
        url::check(self)
    }
}

/// An editor's change to put on a branch of its own.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The branch to make, without `refs/heads/`.
    pub branch: String,
    /// What it starts from.
    pub base: CommitId,
    /// What becomes of each file: what the changes come to on the base.
    pub effects: Vec<Effect>,
    /// `(name, mail address)` of the person.
    pub author: (String, String),
    /// When.
    pub time: jiff::Timestamp,
    /// The message.
    pub message: String,
}

/// Pushes a proposal as a new branch of the upstream, never forced. Gives the
/// commit. Doing it twice is one branch.
///
/// # Errors
/// [`MirrorError::PushRefused`] where the branch is there with another
/// commit, or the remote forbids it.
pub async fn propose(
    upstream: &Upstream,
    known_git_dir: &Path,
    proposal: &Proposal,
    work_dir: &Path,
) -> Result<CommitId, MirrorError> {
    upstream.check()?;
    url::check_branch(&upstream.url, &proposal.branch)?;
    let (proposal, known, work) =
        (proposal.clone(), known_git_dir.to_path_buf(), work_dir.to_path_buf());
    let branch = proposal.branch.clone();
    let (folder, commit) =
        tokio::task::spawn_blocking(move || commit::write(&proposal, &known, &work))
            .await
            .map_err(|error| {
                MirrorError::failed("the proposal's commit was not written", error)
            })??;
    let pushed = push(upstream, folder.path(), &branch, commit, Expect::Absent).await;
    match pushed {
        Ok(()) => Ok(commit),
        Err(MirrorError::Moved { url, branch }) => {
            let detail =
                format!("branch `{branch}` is there already with other content; take another name");
            Err(MirrorError::PushRefused { url, detail })
        }
        Err(error) => Err(error),
    }
}
