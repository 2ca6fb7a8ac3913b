//! What a follower of repositories asks for, and what it is told. Plain data;
//! `watchers` does the work.

use crate::content::Patterns;
use crate::model::{Changed, CommitInfo, RepoName, Revision};

/// What a follower wants of one repository.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// The repository.
    pub repo: RepoName,
    /// Which files.
    pub patterns: Patterns,
    /// The newest revision that is known; what came after it is told.
    pub since: Revision,
}

/// One revision that changed what a subscription matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// The index of the subscription.
    pub subscription: usize,
    /// The repository.
    pub repo: RepoName,
    /// The commit.
    pub info: CommitInfo,
    /// What it changed, of what the subscription matches.
    pub changed: Vec<Changed>,
}
