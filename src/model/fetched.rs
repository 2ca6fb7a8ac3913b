//! What passes between an upstream, the store and the people who commit.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CommitId, Origin, Revision};

/// A branch of an upstream, fetched into quarantine and within limits, not
/// yet part of any repository.
#[derive(Debug)]
pub struct Fetched {
    /// A bare Git folder that holds the fetched objects (and reaches the
    /// rest through alternates). Whoever made it removes it.
    pub git_dir: PathBuf,
    /// The branch's head.
    pub head: CommitId,
}

/// One commit of a repository, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitInfo {
    /// Our number for it.
    pub revision: Revision,
    /// Git's name for it.
    pub commit: CommitId,
    /// The author's name.
    pub author_name: String,
    /// The author's mail address.
    pub author_email: String,
    /// The mail addresses of everybody else who made it: the committer and
    /// the `Co-authored-by` trailers.
    pub co_authors: Vec<String>,
    /// The author's time.
    pub time: Timestamp,
    /// The whole message.
    pub message: String,
    /// How the message's body is marked up; Central Dogma's clients say so.
    #[serde(default)]
    pub markup: Markup,
    /// Who made it here, and by which way; `None` for commits that came from
    /// elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// How a commit message's body is marked up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Markup {
    /// Not at all.
    #[default]
    Plaintext,
    /// As Markdown.
    Markdown,
}

impl CommitInfo {
    /// The message's first line.
    pub fn subject(&self) -> &str {
        self.message.lines().next().unwrap_or("")
    }
}
