//! Which files each revision of a repository changed, so that a file's
//! history needn't compare trees. A cache of what Git says: what is missing
//! from it is compared from Git when it is first asked for.
//!
//! What commits tell comes in through [`Touched::extend`] and waits in a short
//! list, which the checkpoint saves in the index. The whole is read only when
//! somebody asks for a history, and is held compactly from then on.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use super::changed;
use super::error::StoreError;
use super::index::Index;
use super::open::Shared;
use super::repository::Repository;
use crate::content::Patterns;
use crate::model::{CommitId, FilePath, Revision};

/// Revisions, and paths of them, that are kept at hand once they are saved.
const RECENT_REVISIONS: usize = 256;
const RECENT_PATHS: usize = 4096;

/// Revisions that are saved as one value at most.
const BATCH_REVISIONS: usize = 1024;

/// Stands for every path, where a revision changed more than can be compared.
const ANY: u32 = u32::MAX;

/// The files of one revision; `None`: more than can be compared.
pub(crate) type Files = Option<Arc<[FilePath]>>;

/// The files that each revision of one repository changed.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    recent: Mutex<Recent>,
    whole: RwLock<Whole>,
}

#[derive(Debug, Default)]
struct Recent {
    lists: BTreeMap<u64, Arc<[FilePath]>>,
    paths: usize,
    /// The newest revision that the index was given.
    saved: u64,
}

/// All revisions from the first on.
#[derive(Debug, Default)]
pub(crate) struct Whole {
    paths: Vec<FilePath>,
    numbers: HashMap<FilePath, u32>,
    /// The numbers of all revisions' paths, one revision after the other.
    flat: Vec<u32>,
    /// Where each revision's end in `flat`.
    ends: Vec<usize>,
}

/// Which files are asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Want<'w> {
    Matching(&'w Patterns),
    /// The file of that path, or all below the folder of that path.
    Below(&'w FilePath),
}

impl Want<'_> {
    fn admits(self, path: &FilePath) -> bool {
        match self {
            Self::Matching(patterns) => patterns.matches(path),
            Self::Below(folder) => {
                let rest = path.as_str().strip_prefix(folder.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        }
    }
}

impl Touched {
    /// Takes the files of new revisions, from `first` on. Where nobody knows
    /// them the list is shorter than the commits, and Git is asked later.
    pub(crate) fn extend(&self, first: u64, lists: Vec<Vec<FilePath>>) {
        let mut recent = self.recent();
        for (revision, list) in (first..).zip(lists) {
            recent.paths += list.len();
            recent.lists.insert(revision, list.into());
        }
    }

    /// Gives the index what it was not given yet. `commits` tells those of the
    /// revisions in a range. A failure costs a comparison later.
    pub(crate) fn save(&self, index: &Index, repo: &Repository) {
        let runs = self.recent().unsaved();
        for (first, lists) in &runs {
            save(index, repo, *first, lists);
        }
        let mut recent = self.recent();
        if let Some((first, lists)) = runs.last() {
            recent.saved = recent.saved.max(first + lists.len() as u64 - 1);
        }
        recent.trim();
    }

    /// Looks at the revisions up to `upto`, after reading what is missing:
    /// from the index, else from Git. Blocks for as long as that takes.
    pub(crate) fn with<T>(
        &self,
        shared: &Shared,
        repo: &Repository,
        upto: Revision,
        look: impl FnOnce(&Whole) -> T,
    ) -> Result<T, StoreError> {
        let whole = self.whole();
        if whole.last() >= upto.0 {
            return Ok(look(&whole));
        }
        drop(whole);
        {
            let mut whole = self.whole.write().unwrap_or_else(PoisonError::into_inner);
            self.complete(shared, repo, upto, &mut whole)?;
        }
        Ok(look(&self.whole()))
    }

    /// Tells each revision's files from `from` to `to` until told to stop;
    /// `false` if they are not all in memory. Files that nobody could compare
    /// are `None`.
    pub(crate) fn visit(
        &self,
        (from, to): (u64, u64),
        mut tell: impl FnMut(u64, Option<&mut dyn Iterator<Item = &FilePath>>) -> ControlFlow<()>,
    ) -> bool {
        if let Some(lists) = self.recent_range(from, to) {
            for (revision, list) in (from..).zip(lists) {
                if tell(revision, Some(&mut list.iter())).is_break() {
                    break;
                }
            }
            return true;
        }
        let Ok(whole) = self.whole.try_read() else { return false };
        if whole.last() < to {
            return false;
        }
        for revision in from..=to {
            let numbers = whole.of(revision);
            let mut paths = numbers.iter().filter_map(|number| whole.path(*number));
            let is_known = !numbers.contains(&ANY);
            let paths: Option<&mut dyn Iterator<Item = &FilePath>> =
                if is_known { Some(&mut paths) } else { None };
            if tell(revision, paths).is_break() {
                break;
            }
        }
        true
    }

    /// The files of the revisions in a range, where all are at hand.
    pub(crate) fn recent_range(&self, from: u64, to: u64) -> Option<Vec<Arc<[FilePath]>>> {
        self.recent().range(from, to)
    }

    fn complete(
        &self,
        shared: &Shared,
        repo: &Repository,
        upto: Revision,
        whole: &mut Whole,
    ) -> Result<(), StoreError> {
        let mut fresh: Vec<(u64, Files)> = Vec::new();
        while whole.last() < upto.0 {
            let next = whole.last() + 1;
            let recent = self.recent().lists.get(&next).cloned();
            if let Some(list) = recent {
                whole.push(&Some(list));
                continue;
            }
            if let Some((first, lists)) = load(&shared.index, repo, next) {
                let known = usize::try_from(next - first).unwrap_or(usize::MAX);
                lists.iter().skip(known).for_each(|list| whole.push(list));
                continue;
            }
            let files = compare(shared, repo, next)?;
            whole.push(&files);
            fresh.push((next, files));
        }
        for (first, run) in runs(fresh) {
            save(&shared.index, repo, first, &run);
        }
        Ok(())
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn whole(&self) -> RwLockReadGuard<'_, Whole> {
        self.whole.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recent {
    fn unsaved(&self) -> Vec<(u64, Vec<Files>)> {
        let unsaved = self.lists.range(self.saved + 1..);
        runs(unsaved.map(|(revision, list)| (*revision, Some(Arc::clone(list)))).collect())
    }

    fn range(&self, from: u64, to: u64) -> Option<Vec<Arc<[FilePath]>>> {
        let lists: Vec<_> = self.lists.range(from..=to).map(|(_, list)| Arc::clone(list)).collect();
        (lists.len() as u64 == (to + 1).saturating_sub(from)).then_some(lists)
    }

    fn trim(&mut self) {
        while self.lists.len() > RECENT_REVISIONS || self.paths > RECENT_PATHS {
            let Some(oldest) = self.lists.first_entry() else { return };
            if *oldest.key() > self.saved {
                return;
            }
            self.paths -= oldest.remove().len();
        }
    }
}

/// Neighbours together, as many as one value may hold.
fn runs(lists: Vec<(u64, Files)>) -> Vec<(u64, Vec<Files>)> {
    let mut runs: Vec<(u64, Vec<Files>)> = Vec::new();
    for (revision, list) in lists {
        match runs.last_mut() {
            Some((first, run))
                if *first + run.len() as u64 == revision && run.len() < BATCH_REVISIONS =>
            {
                run.push(list);
            }
            _ => runs.push((revision, vec![list])),
        }
    }
    runs
}

/// The files of one revision, from Git.
pub(crate) fn compare(
    shared: &Shared,
    repo: &Repository,
    revision: u64,
) -> Result<Files, StoreError> {
    match changed::paths(shared, repo, Revision(revision - 1), Revision(revision)) {
        Ok(paths) => Ok(Some(paths.into())),
        Err(StoreError::Limit(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The commits that the files of revisions follow from: theirs, and the one
/// before them.
fn commits(repo: &Repository, first: u64, count: usize) -> Option<Vec<CommitId>> {
    let start = usize::try_from(first.checked_sub(1)?).ok()?;
    repo.with_line(|line| {
        line.commits().get(start.saturating_sub(1)..start.checked_add(count)?).map(<[_]>::to_vec)
    })
}

fn save(index: &Index, repo: &Repository, first: u64, lists: &[Files]) {
    let of = |first, count| commits(repo, first, count);
    index.save_touched(&repo.name, first, lists, &of);
}

fn load(index: &Index, repo: &Repository, revision: u64) -> Option<(u64, Vec<Files>)> {
    index.load_touched(&repo.name, revision, &|first, count| commits(repo, first, count))
}

impl Whole {
    /// The newest revision that is known.
    pub(crate) fn last(&self) -> u64 {
        self.ends.len() as u64
    }

    /// The newest `limit` revisions from `newest` back to `oldest` that
    /// changed what is wanted, newest first.
    pub(crate) fn revisions(
        &self,
        want: Want<'_>,
        (oldest, newest): (u64, u64),
        limit: usize,
    ) -> Vec<Revision> {
        let wanted = self.wanted(want);
        let is_hit = |revision: &u64| match &wanted {
            Wanted::One(one) => self.of(*revision).iter().any(|n| n == one || *n == ANY),
            Wanted::Many(all) => self
                .of(*revision)
                .iter()
                .any(|n| *n == ANY || usize::try_from(*n).is_ok_and(|n| all.get(n) == Some(&true))),
        };
        let newest = newest.min(self.last());
        (oldest.max(1)..=newest).rev().filter(is_hit).take(limit).map(Revision).collect()
    }

    fn wanted(&self, want: Want<'_>) -> Wanted {
        if let Want::Matching(patterns) = want
            && let Some(path) = patterns.literal()
        {
            return Wanted::One(self.numbers.get(&path).copied().unwrap_or(ANY));
        }
        Wanted::Many(self.paths.iter().map(|path| want.admits(path)).collect())
    }

    fn of(&self, revision: u64) -> &[u32] {
        let at = usize::try_from(revision - 1).unwrap_or(usize::MAX);
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.flat[start..self.ends[at]]
    }

    fn path(&self, number: u32) -> Option<&FilePath> {
        self.paths.get(usize::try_from(number).ok()?)
    }

    fn push(&mut self, files: &Files) {
        match files {
            None => self.flat.push(ANY),
            Some(files) => files.iter().for_each(|path| {
                let number = self.number(path);
                self.flat.push(number);
            }),
        }
        self.ends.push(self.flat.len());
    }

    fn number(&mut self, path: &FilePath) -> u32 {
        if let Some(number) = self.numbers.get(path) {
            return *number;
        }
        let Ok(number) = u32::try_from(self.paths.len()) else { return ANY };
        self.paths.push(path.clone());
        self.numbers.insert(path.clone(), number);
        number
    }
}

/// What is looked for, by the paths' numbers.
enum Wanted {
    One(u32),
    Many(Vec<bool>),
}
