//! The revisions of one repository: which commit each is, and where its
//! first-parent line was replaced by another. Memory only.

use std::collections::HashMap;

use super::Head;
use crate::model::{CommitId, Revision};

/// Revision by commit and commit by revision.
#[derive(Debug, Default, Clone)]
pub(crate) struct Line {
    /// Revision n stands at n - 1.
    commits: Vec<CommitId>,
    /// The newest revision of each commit; a rewind lets one have two.
    numbers: HashMap<CommitId, u64>,
    /// The revisions at which a first-parent line begins.
    begins: Vec<u64>,
}

impl Line {
    /// Takes revisions over as they were recorded.
    pub(crate) fn new(commits: Vec<CommitId>, begins: Vec<u64>) -> Self {
        let numbers = commits.iter().copied().zip(1..).collect();
        Self { commits, numbers, begins }
    }

    /// Where the repository stands.
    pub(crate) fn head(&self) -> Head {
        Head { revision: Revision(self.commits.len() as u64), commit: self.commits.last().copied() }
    }

    /// The commit of a revision.
    pub(crate) fn commit(&self, revision: Revision) -> Option<CommitId> {
        let at = usize::try_from(revision.0.checked_sub(1)?).ok()?;
        self.commits.get(at).copied()
    }

    /// The newest revision of a commit.
    pub(crate) fn revision(&self, commit: &CommitId) -> Option<Revision> {
        self.numbers.get(commit).copied().map(Revision)
    }

    /// All commits, oldest first.
    pub(crate) fn commits(&self) -> &[CommitId] {
        &self.commits
    }

    /// The revisions at which a first-parent line begins.
    pub(crate) fn begins(&self) -> &[u64] {
        &self.begins
    }

    /// Adds revisions. Those that are there already (a journal replayed over
    /// a checkpoint) are skipped; `false` if they contradict what is there.
    pub(crate) fn extend(&mut self, first: u64, begins: bool, commits: &[CommitId]) -> bool {
        let have = self.commits.len() as u64;
        if first == 0 || first > have + 1 {
            return false;
        }
        let known = usize::try_from(have + 1 - first).unwrap_or(usize::MAX).min(commits.len());
        let from = usize::try_from(first - 1).unwrap_or(usize::MAX);
        if self.commits.get(from..from + known) != Some(&commits[..known]) {
            return false;
        }
        if begins && known == 0 && !commits.is_empty() {
            self.begins.push(first);
        }
        for commit in &commits[known..] {
            self.commits.push(*commit);
            self.numbers.insert(*commit, self.commits.len() as u64);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> CommitId {
        CommitId([n; 20])
    }

    #[test]
    fn replaying_what_is_there_changes_nothing() {
        let mut line = Line::default();
        assert!(line.extend(1, true, &[id(1), id(2)]));
        assert!(line.extend(3, true, &[id(1)]));
        let before = (line.commits.clone(), line.begins.clone());
        assert!(line.extend(1, true, &[id(1), id(2)]));
        assert!(line.extend(3, true, &[id(1)]));
        assert_eq!((line.commits.clone(), line.begins.clone()), before);
        assert_eq!(line.revision(&id(1)), Some(Revision(3)));
        assert_eq!(line.commit(Revision(1)), Some(id(1)));
        assert_eq!(line.commit(Revision(0)), None);
    }

    #[test]
    fn gaps_and_contradictions_are_refused() {
        let mut line = Line::default();
        assert!(!line.extend(2, true, &[id(1)]));
        assert!(line.extend(1, true, &[id(1), id(2)]));
        assert!(!line.extend(2, false, &[id(9)]));
        assert!(!line.extend(0, false, &[id(9)]));
        assert!(line.extend(2, false, &[id(2), id(3)]));
        assert_eq!(line.head().commit, Some(id(3)));
    }
}
