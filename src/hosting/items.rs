//! The single things that shall be on GitHub, each with a name by which it is
//! remembered.

use std::collections::{HashMap, HashSet};

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

/// Everything that shall be there: about people's pull requests first. What is
/// said of a revision counts where a pull request's head is one by now.
pub(super) fn items(wanted: Wanted, shown: impl Iterator<Item = Shown>) -> Vec<Item> {
    let Wanted { statuses, checks, deployments } = wanted;
    let said: HashSet<CommitId> = statuses.iter().map(|(commit, _)| *commit).collect();
    let checked: HashSet<CommitId> = checks.iter().map(|(commit, _)| *commit).collect();
    let mut all = Vec::new();
    for Shown { number, head, status, check, comment } in shown {
        let status = status.filter(|_| !said.contains(&head));
        let check = check.filter(|_| !checked.contains(&head));
        all.extend(status.map(|status| Item::Status(head, status)));
        all.extend(check.map(|check| Item::Check(head, check)));
        all.extend(comment.map(|body| Item::Comment { number, body }));
    }
    all.extend(deployments.into_iter().map(Item::Deployment));
    all.extend(statuses.into_iter().map(|(commit, status)| Item::Status(commit, status)));
    all.extend(checks.into_iter().map(|(commit, check)| Item::Check(commit, check)));
    // Two of one name would be written in turn for ever: two pull requests of
    // one head, one commit that is two revisions.
    let mut names = HashSet::new();
    all.retain(|item| names.insert(item.key()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::githost::StatusState;

    fn status(text: &str) -> Status {
        Status::new("convoy/render", StatusState::Success, text, "https://x".into())
    }

    fn shown(number: u64, head: u8, text: &str) -> Shown {
        let status = Some(status(text));
        Shown { number, head: CommitId([head; 20]), status, check: None, comment: None }
    }

    #[test]
    fn what_is_said_of_one_commit_is_said_once_and_the_revision_counts() {
        let statuses = vec![(CommitId([1; 20]), status("revision"))];
        let wanted = Wanted { statuses, ..Wanted::default() };
        let shown = [shown(7, 1, "pull 7"), shown(8, 2, "pull 8"), shown(9, 2, "pull 9")];
        let told: Vec<_> = items(wanted, shown.into_iter())
            .into_iter()
            .filter_map(|item| match item {
                Item::Status(_, status) => status.description,
                _ => None,
            })
            .collect();
        assert_eq!(told, ["pull 8", "revision"]);
    }
}
