//! Waiting for what others commit: once (`changed_since`), or for all of it,
//! in order (`Follow`).
//!
//! Both take their places first and look then, so that nothing falls between.
//! Being woken is a hint and no more: what is told was looked up in Git. A
//! follower is a position in each repository, moved when it is asked for the
//! next; one that is slow makes nobody else slower.

use std::collections::{BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

use super::changed::{changed_in, differs};
use super::commit::blocking;
use super::error::{StoreError, failed};
use super::history;
use super::hub::{Bell, Place};
use super::interest::Interest;
use super::open::{Inner, Shared};
use super::repository::Repository;
use super::{Happening, Subscription};
use crate::content::Patterns;
use crate::model::{FilePath, RepoName, Revision};

/// Revisions looked through before others get their turn.
const TURN_REVISIONS: u64 = 1024;

/// Revisions that are compared in Git rather than reading in what is known
/// of all the others.
const COMPARED_MAX: u64 = 8;

/// Waits until what `patterns` match differs from what it was at `since`.
pub(crate) async fn changed_since(
    shared: &Shared,
    repo: &RepoName,
    patterns: &Patterns,
    since: Revision,
) -> Result<Revision, StoreError> {
    let repo = shared.repository(repo)?;
    check(&repo, since)?;
    let bell = Arc::new(Bell::default());
    let place = shared.hub.register(&repo, patterns, &bell, 0);
    let _place = place.map_err(failed("starting to watch"))?;
    let mut looked = since;
    loop {
        if repo.watchers.is_gone() {
            return Err(StoreError::NoRepository(repo.name.clone()));
        }
        let head = repo.head().revision;
        let differs = head > looked && {
            let differs = differs(shared, &repo, since, head, patterns);
            differs.map_err(|error| unless_gone(&repo, error))?
        };
        if differs {
            return Ok(head);
        }
        looked = head;
        bell.wait().await;
        bell.take();
    }
}

/// What failed because the repository is being removed is told so.
fn unless_gone(repo: &Repository, error: StoreError) -> StoreError {
    if repo.is_gone() { StoreError::NoRepository(repo.name.clone()) } else { error }
}

fn check(repo: &Repository, since: Revision) -> Result<(), StoreError> {
    if since > repo.head().revision {
        return Err(StoreError::NoRevision { repo: repo.name.clone(), revision: since });
    }
    Ok(())
}

/// Follows subscriptions; see `Store::follow`. Like every handle, it keeps
/// the store open.
#[derive(Debug)]
pub struct Follow {
    inner: Arc<Inner>,
    bell: Arc<Bell>,
    /// One for each repository; a bell's slot is an index of it.
    feeds: Vec<Feed>,
    /// Feeds that may have something, each once, in the order of their turns.
    ready: VecDeque<usize>,
}

/// The subscriptions of one repository.
#[derive(Debug)]
struct Feed {
    repo: Arc<Repository>,
    subscriptions: Vec<Followed>,
    /// Indexes of `subscriptions`.
    interest: Interest<usize>,
    /// The newest revision that was looked at.
    position: u64,
    /// Indexes of the subscriptions that are still to be told of `position`.
    due: VecDeque<usize>,
    is_ready: bool,
    _places: Vec<Place>,
}

#[derive(Debug)]
struct Followed {
    /// Its index in what the caller gave.
    number: usize,
    patterns: Patterns,
    since: u64,
}

/// Follows subscriptions.
pub(crate) fn follow(
    inner: &Arc<Inner>,
    subscriptions: Vec<Subscription>,
) -> Result<Follow, StoreError> {
    let (inner, bell) = (Arc::clone(inner), Arc::new(Bell::default()));
    let mut follow = Follow { inner, bell, feeds: Vec::new(), ready: VecDeque::new() };
    for (number, subscription) in subscriptions.into_iter().enumerate() {
        follow.add(number, subscription)?;
    }
    follow.ready = (0..follow.feeds.len()).collect();
    Ok(follow)
}

/// What a feed came to in one turn.
enum Turn {
    Happened(Box<Happening>),
    /// There may be more.
    Looked,
    /// Nothing is left to tell.
    Quiet,
    /// What is known of older revisions has to be read in first.
    Unread,
}

impl Follow {
    /// The next happening. Cancelling the call loses nothing. A repository
    /// that was removed is told once, and the others go on.
    ///
    /// # Errors
    /// A repository was removed, or Git's data is damaged.
    pub async fn next(&mut self) -> Result<Happening, StoreError> {
        loop {
            self.hear();
            let Some(at) = self.ready.front().copied() else {
                self.bell.wait().await;
                continue;
            };
            match self.feeds[at].turn(&self.inner.shared) {
                Ok(Turn::Happened(happening)) => {
                    self.ready.rotate_left(1);
                    return Ok(*happening);
                }
                Ok(Turn::Looked) => {
                    self.ready.rotate_left(1);
                    tokio::task::yield_now().await;
                }
                Ok(Turn::Quiet) => self.rest(at),
                Ok(Turn::Unread) => self.read_in(at).await?,
                Err(error) => {
                    let repo = Arc::clone(&self.feeds[at].repo);
                    if repo.watchers.is_gone() {
                        self.rest(at);
                    }
                    return Err(unless_gone(&repo, error));
                }
            }
        }
    }

    /// Gives those a turn who were rung for.
    fn hear(&mut self) {
        for (at, revision) in self.bell.take() {
            let feed = &mut self.feeds[at];
            if !feed.is_ready {
                // All that matched and came before it would have rung before.
                feed.position = feed.position.max(revision.saturating_sub(1));
                feed.is_ready = true;
                self.ready.push_back(at);
            }
        }
    }

    fn rest(&mut self, at: usize) {
        self.ready.pop_front();
        self.feeds[at].is_ready = false;
    }

    async fn read_in(&self, at: usize) -> Result<(), StoreError> {
        let (inner, repo) = (Arc::clone(&self.inner), Arc::clone(&self.feeds[at].repo));
        let upto = repo.head().revision;
        blocking(move || repo.touched.with(&inner.shared, &repo, upto, |_| ())).await
    }

    fn add(&mut self, number: usize, given: Subscription) -> Result<(), StoreError> {
        let repo = self.inner.shared.repository(&given.repo)?;
        check(&repo, given.since)?;
        let known = self.feeds.iter().position(|feed| Arc::ptr_eq(&feed.repo, &repo));
        let at = known.unwrap_or(self.feeds.len());
        let place = self.inner.shared.hub.register(&repo, &given.patterns, &self.bell, at);
        let place = place.map_err(failed("starting to watch"))?;
        if known.is_none() {
            self.feeds.push(Feed::new(repo, given.since));
        }
        self.feeds[at].add(number, given, place);
        Ok(())
    }
}

impl Feed {
    fn new(repo: Arc<Repository>, since: Revision) -> Self {
        Self {
            repo,
            subscriptions: Vec::new(),
            interest: Interest::default(),
            position: since.0,
            due: VecDeque::new(),
            is_ready: true,
            _places: Vec::new(),
        }
    }

    fn add(&mut self, number: usize, given: Subscription, place: Place) {
        let at = self.subscriptions.len();
        self.interest.add(at as u64, &given.patterns, &at);
        self.position = self.position.min(given.since.0);
        let (patterns, since) = (given.patterns, given.since.0);
        self.subscriptions.push(Followed { number, patterns, since });
        self._places.push(place);
    }

    fn turn(&mut self, shared: &Shared) -> Result<Turn, StoreError> {
        if self.repo.watchers.is_gone() {
            return Err(StoreError::NoRepository(self.repo.name.clone()));
        }
        if let Some(at) = self.due.front().copied() {
            let told = self.tell(shared, at);
            // What can't be read now can't be read next time either.
            self.due.pop_front();
            return Ok(told?.map_or(Turn::Looked, |happening| Turn::Happened(Box::new(happening))));
        }
        self.look(shared)
    }

    /// The revision at the position, as one subscription sees it.
    fn tell(&self, shared: &Shared, at: usize) -> Result<Option<Happening>, StoreError> {
        let followed = &self.subscriptions[at];
        let (before, revision) = (Revision(self.position - 1), Revision(self.position));
        let changed = changed_in(shared, &self.repo, before, revision, &followed.patterns)?;
        if changed.is_empty() {
            return Ok(None);
        }
        Ok(Some(Happening {
            subscription: followed.number,
            repo: self.repo.name.clone(),
            info: history::info_in(shared, &self.repo, revision)?,
            changed,
        }))
    }

    /// Moves on to the next revision that somebody wants.
    fn look(&mut self, shared: &Shared) -> Result<Turn, StoreError> {
        let head = self.repo.head().revision.0;
        if self.position >= head {
            return Ok(Turn::Quiet);
        }
        let range = (self.position + 1, head.min(self.position.saturating_add(TURN_REVISIONS)));
        let (interest, subscriptions) = (&self.interest, &self.subscriptions);
        let (mut position, mut due) = (self.position, BTreeSet::new());
        let is_known = self.repo.touched.visit(range, |revision, paths| {
            position = revision;
            due = wanted(interest, subscriptions, revision, paths);
            if due.is_empty() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        if !is_known && head - self.position > COMPARED_MAX {
            return Ok(Turn::Unread);
        }
        if !is_known {
            position += 1;
            let paths = super::touched::compare(shared, &self.repo, position)?;
            let mut paths = paths.as_ref().map(|paths| paths.iter());
            let paths = paths.as_mut().map(|paths| paths as &mut dyn Iterator<Item = &FilePath>);
            due = wanted(interest, subscriptions, position, paths);
        }
        self.position = position;
        self.due = due.into_iter().collect();
        Ok(Turn::Looked)
    }
}

/// The subscriptions that want one of a revision's files, or all where its
/// files are not known.
fn wanted(
    interest: &Interest<usize>,
    subscriptions: &[Followed],
    revision: u64,
    paths: Option<&mut dyn Iterator<Item = &FilePath>>,
) -> BTreeSet<usize> {
    let mut due = BTreeSet::new();
    match paths {
        Some(paths) => paths.for_each(|path| {
            interest.find(path, &mut |at| {
                due.insert(*at);
            });
        }),
        None => due.extend(0..subscriptions.len()),
    }
    due.retain(|at| subscriptions[*at].since < revision);
    due
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Origin;
    use crate::store::{NewCommit, Store, StoreOptions};
    use futures_util::FutureExt as _;

    fn open() -> (Store, RepoName, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
        (store, RepoName::state(), dir)
    }

    fn file(n: usize) -> Patterns {
        Patterns::file(&FilePath::new(&format!("d{}/{n}", n % 7)).unwrap())
    }

    #[tokio::test]
    async fn ten_thousand_who_leave_leave_nothing_behind() {
        let (store, repo, _dir) = open();
        let open = store.inner.shared.repository(&repo).unwrap();
        let since = Revision(0);
        let patterns: Vec<Patterns> = (0..10_000).map(file).collect();
        let mut waiting: Vec<_> =
            patterns.iter().map(|one| Box::pin(store.changed_since(&repo, one, since))).collect();
        assert!(waiting.iter_mut().all(|one| one.as_mut().now_or_never().is_none()));
        assert_eq!(open.watchers.count(), 10_000);
        let subscription =
            |one: &Patterns| Subscription { repo: repo.clone(), patterns: one.clone(), since };
        let follow = store.follow(patterns.iter().map(subscription).collect()).unwrap();
        assert_eq!(open.watchers.count(), 20_000);
        drop(waiting);
        drop(follow);
        assert!(open.watchers.is_empty());
        assert_eq!(Arc::strong_count(&open), 2, "theirs and ours");
    }

    #[tokio::test]
    async fn whoever_waits_for_a_repository_that_is_removed_is_told() {
        let (store, repo, _dir) = open();
        let open = store.inner.shared.repository(&repo).unwrap();
        let patterns = file(1);
        let mut waiting = Box::pin(store.changed_since(&repo, &patterns, Revision(0)));
        assert!(waiting.as_mut().now_or_never().is_none());
        let given = Subscription { repo: repo.clone(), patterns: file(2), since: Revision(0) };
        let mut follow = store.follow(vec![given]).unwrap();
        assert!(follow.next().now_or_never().is_none());
        open.watchers.retire();
        assert!(matches!(waiting.await, Err(StoreError::NoRepository(_))));
        assert!(matches!(follow.next().await, Err(StoreError::NoRepository(_))));
        assert!(follow.next().now_or_never().is_none(), "it is told once");
        let late = store.changed_since(&repo, &patterns, Revision(0)).await;
        assert!(matches!(late, Err(StoreError::NoRepository(_))));
    }

    #[tokio::test]
    async fn only_those_are_rung_whose_files_changed() {
        let (store, repo, _dir) = open();
        let open = store.inner.shared.repository(&repo).unwrap();
        let bells: Vec<_> = (0..100).map(|_| Arc::new(Bell::default())).collect();
        let hub = &store.inner.shared.hub;
        let _places: Vec<Place> = bells
            .iter()
            .enumerate()
            .map(|(n, bell)| hub.register(&open, &file(n), bell, n).unwrap())
            .collect();
        let path = FilePath::new("d3/10").unwrap();
        let author = ("Ada".into(), "ada@x".into());
        let changes = vec![crate::model::Change::Upsert(path, "x".into())];
        let new =
            NewCommit::new(Origin::system(), author, jiff::Timestamp::default(), "m", changes);
        store.commit(&repo, new).await.unwrap();
        bells[10].wait().await;
        let rung: Vec<usize> = bells.iter().flat_map(|bell| bell.take().into_keys()).collect();
        assert_eq!(rung, [10]);
    }
}
