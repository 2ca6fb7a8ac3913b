//! The single things that shall be on GitHub, each with a name by which it is
//! remembered.

use std::collections::HashMap;

use crate::githost::{Check, Deployment, GitHub, HostError, Status, Wanted};
use crate::model::{CommitId, ContentHash};

use super::memory::{Remembered, Written};
use super::pulls::Shown;

/// One thing that shall be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Status(CommitId, Status),
    Check(CommitId, Check),
    Comment { number: u64, body: String },
    Deployment(Deployment),
}

/// The statuses of commits, as they were looked up in this round.
pub(super) type Seen = HashMap<CommitId, Vec<Status>>;

impl Item {
    /// By which it is remembered; what is about a commit names it.
    pub(super) fn key(&self) -> String {
        match self {
            Self::Status(commit, status) => format!("status/{commit}/{}", status.context),
            Self::Check(commit, check) => format!("check/{commit}/{}", check.external_id),
            Self::Comment { number, .. } => format!("comment/{number}"),
            Self::Deployment(one) => format!("deployment/{}", one.promotion),
        }
    }

    /// A hash of what it says.
    pub(super) fn hash(&self) -> ContentHash {
        let said = match self {
            Self::Status(_, status) => serde_json::to_vec(status),
            Self::Check(_, check) => serde_json::to_vec(&(&check.title, &check.annotations)),
            Self::Comment { body, .. } => serde_json::to_vec(body),
            Self::Deployment(one) => serde_json::to_vec(one),
        };
        ContentHash::of(&said.unwrap_or_default())
    }

    /// Brings GitHub there; gives GitHub's number for it.
    pub(super) async fn write(
        &self,
        github: &GitHub,
        memory: &Remembered,
        name: &str,
        seen: &mut Seen,
    ) -> Result<Option<u64>, HostError> {
        let key = self.key();
        let known = memory.get(&key).and_then(|written| written.id);
        match self {
            Self::Status(commit, status) => {
                let standing =
                    !memory.is_certain(&key) && is_there(github, commit, status, seen).await?;
                if !standing {
                    github.set_status(commit, status).await?;
                }
                Ok(None)
            }
            Self::Check(commit, check) => {
                github.set_check(commit, check).await?;
                Ok(None)
            }
            Self::Comment { number, body } => {
                github.show_comment(*number, name, known, body).await.map(Some)
            }
            Self::Deployment(one) => github.set_deployment(known, one).await,
        }
    }

    pub(super) fn written(&self, id: Option<u64>) -> Written {
        Written { hash: self.hash(), id }
    }
}

async fn is_there(
    github: &GitHub,
    commit: &CommitId,
    status: &Status,
    seen: &mut Seen,
) -> Result<bool, HostError> {
    if !seen.contains_key(commit) {
        let statuses = github.statuses(commit).await?;
        seen.insert(*commit, statuses);
    }
    Ok(seen.get(commit).is_some_and(|all| all.contains(status)))
}

/// Everything that shall be there: about people's pull requests first.
pub(super) fn items(wanted: Wanted, shown: impl Iterator<Item = Shown>) -> Vec<Item> {
    let Wanted { statuses, checks, deployments } = wanted;
    let mut all = Vec::new();
    for Shown { number, head, status, check, comment } in shown {
        all.extend(status.map(|status| Item::Status(head, status)));
        all.extend(check.map(|check| Item::Check(head, check)));
        all.extend(comment.map(|body| Item::Comment { number, body }));
    }
    all.extend(deployments.into_iter().map(Item::Deployment));
    all.extend(statuses.into_iter().map(|(commit, status)| Item::Status(commit, status)));
    all.extend(checks.into_iter().map(|(commit, check)| Item::Check(commit, check)));
    all
}
