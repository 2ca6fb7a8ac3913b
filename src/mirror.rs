//! The upstream: quarantined fetch, and editor branches out.
use std::path::Path;
use std::time::Duration;

use crate::model::{Change, CommitId, Fetched};

/// A Git remote and the branch of it that a repository follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// `file://`, `https://` or `ssh://`; `http://` only to loopback.
    pub url: String,
    /// The branch, without `refs/heads/`.
    pub branch: String,
    /// For `https://`: sent as basic authentication, never in a URL or argv.
    pub credentials: Option<Credentials>,
    /// Bounds of one fetch.
    pub limits: Limits,
}

/// A user name (any, for a token) and its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name; `x-access-token` for a GitHub token.
    pub user: String,
    /// The token or password.
    pub secret: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
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

/// Why a fetch or push did not happen.
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
    /// A push was refused because the remote moved or forbids it.
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
    /// Whether trying again later may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Failed { .. })
    }
}

impl Upstream {
    /// Checks scheme and host before anything is sent.
    pub fn check(&self) -> Result<(), MirrorError> {
        todo!()
    }
}

/// A fetched branch in its quarantine folder, which goes when this does.
#[derive(Debug)]
pub struct Quarantine {
    /// What was fetched; give it to `store::import`.
    pub fetched: Fetched,
    /// Removed on drop.
    _dir: tempfile::TempDir,
}

/// Fetches the branch into a new quarantine folder under `quarantine_dir`,
/// borrowing the objects of `known_git_dir`. Returns `None`, without having
/// made anything, where the branch's head is `have`.
pub async fn fetch(
    _upstream: &Upstream,
    _known_git_dir: &Path,
    _have: Option<CommitId>,
    _quarantine_dir: &Path,
) -> Result<Option<Quarantine>, MirrorError> {
    todo!()
}

/// An editor's change to put on a branch of its own.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// The branch to make, without `refs/heads/`.
    pub branch: String,
    /// What it starts from.
    pub base: CommitId,
    /// The changes.
    pub changes: Vec<Change>,
    /// `(name, mail address)` of the person.
    pub author: (String, String),
    /// When.
    pub time: jiff::Timestamp,
    /// The message.
    pub message: String,
}

/// Pushes a proposal as a new branch of the upstream, never forced. Gives the
/// commit. Doing it twice is one branch.
pub async fn propose(
    _upstream: &Upstream,
    _known_git_dir: &Path,
    _proposal: &Proposal,
    _work_dir: &Path,
) -> Result<CommitId, MirrorError> {
    todo!()
}
