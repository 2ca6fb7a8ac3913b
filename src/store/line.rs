//! The revisions of one repository: which commit each is, where its
//! first-parent line was replaced by another, and which were made elsewhere.
//! Memory only.

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
    /// First and last of the runs of revisions whose commits were taken over
    /// from elsewhere: what those say of who made them here is not so.
    taken: Vec<(u64, u64)>,
}

/// Where the commits of a record come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// They were made here.
    Here,
    /// They were taken over.
    Elsewhere,
}

impl Line {
    /// Takes revisions over as they were recorded.
    pub(crate) fn new(commits: Vec<CommitId>, begins: Vec<u64>) -> Self {
        let numbers = commits.iter().copied().zip(1..).collect();
        Self { commits, numbers, begins, taken: Vec::new() }
    }

    /// The same, with the runs of revisions that were taken over, in order.
    pub(crate) fn with_taken(self, taken: Vec<(u64, u64)>) -> Self {
        Self { taken, ..self }
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

    /// The runs of revisions that were taken over, first and last of each.
    pub(crate) fn taken(&self) -> &[(u64, u64)] {
        &self.taken
    }

    /// Whether the commit of a revision was made here.
    pub(crate) fn is_ours(&self, revision: Revision) -> bool {
        let run = self.taken.partition_point(|(_, last)| *last < revision.0);
        self.taken.get(run).is_none_or(|(first, _)| revision.0 < *first)
    }

    /// Adds revisions. Those that are there already (a journal replayed over
    /// a checkpoint) are skipped; `false` if they contradict what is there.
    pub(crate) fn extend(
        &mut self,
        first: u64,
        begins: bool,
        commits: &[CommitId],
        source: Source,
    ) -> bool {
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
            let revision = self.commits.len() as u64 + 1;
            // A head that is gone back to was made where it was made.
            let was_ours = self.revision(commit).map(|before| self.is_ours(before));
            if !was_ours.unwrap_or(source == Source::Here) {
                self.take(revision);
            }
            self.commits.push(*commit);
            self.numbers.insert(*commit, revision);
        }
        true
    }

    fn take(&mut self, revision: u64) {
        match self.taken.last_mut() {
            Some((_, last)) if *last + 1 == revision => *last = revision,
            _ => self.taken.push((revision, revision)),
        }
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
        assert!(line.extend(1, true, &[id(1), id(2)], Source::Here));
        assert!(line.extend(3, true, &[id(1)], Source::Here));
        let before = (line.commits.clone(), line.begins.clone());
        assert!(line.extend(1, true, &[id(1), id(2)], Source::Here));
        assert!(line.extend(3, true, &[id(1)], Source::Here));
        assert_eq!((line.commits.clone(), line.begins.clone()), before);
        assert_eq!(line.revision(&id(1)), Some(Revision(3)));
        assert_eq!(line.commit(Revision(1)), Some(id(1)));
        assert_eq!(line.commit(Revision(0)), None);
    }

    #[test]
    fn gaps_and_contradictions_are_refused() {
        let mut line = Line::default();
        assert!(!line.extend(2, true, &[id(1)], Source::Here));
        assert!(line.extend(1, true, &[id(1), id(2)], Source::Here));
        assert!(!line.extend(2, false, &[id(9)], Source::Here));
        assert!(!line.extend(0, false, &[id(9)], Source::Here));
        assert!(line.extend(2, false, &[id(2), id(3)], Source::Here));
        assert_eq!(line.head().commit, Some(id(3)));
    }

    #[test]
    fn what_was_taken_over_is_told_from_what_was_made_here() {
        let mut line = Line::default();
        line.extend(1, true, &[id(1), id(2)], Source::Elsewhere);
        line.extend(3, false, &[id(3)], Source::Elsewhere);
        line.extend(4, false, &[id(4)], Source::Here);
        line.extend(5, false, &[id(5)], Source::Elsewhere);
        // Back to one that was made here, and to one that was not.
        line.extend(6, true, &[id(4)], Source::Elsewhere);
        line.extend(7, true, &[id(2)], Source::Elsewhere);
        let ours = |line: &Line| (1..=7).filter(|n| line.is_ours(Revision(*n))).collect::<Vec<_>>();
        assert_eq!(line.taken(), [(1, 3), (5, 5), (7, 7)]);
        assert_eq!(ours(&line), [4, 6]);
        // A journal replayed over a checkpoint.
        line.extend(5, false, &[id(5)], Source::Elsewhere);
        assert_eq!(line.taken(), [(1, 3), (5, 5), (7, 7)]);
        let read = Line::new(line.commits().to_vec(), line.begins().to_vec());
        assert_eq!(ours(&read.with_taken(line.taken().to_vec())), [4, 6]);
    }
}
