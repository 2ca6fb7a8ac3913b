//! What one key serves: the newest publication, which ones came before it, and
//! what the nodes said of the newest.
//!
//! It decides which snapshot a node gets that joins. A node that runs already
//! keeps what it has when it refuses something; a node that starts has nothing
//! to keep, so it is not handed what the others refuse:
//!
//! - A publication is *doubted* while at least one stream refused a part of it
//!   and no more streams took all of it than refused.
//! - It becomes *good* once a stream took all of it while it is not doubted,
//!   until it is doubted after all.
//! - A stream that joins while the newest is doubted is served the last good
//!   one, whole: a cluster of one with a route of the other is what nobody ever
//!   tried. It moves on as soon as the newest is doubted no more, or replaced.
//! - Where nothing was ever good, the newest is better than nothing.
//!
//! Streams count, not answers: a reconnecting client is not counted twice for
//! one publication, because it is served the good one.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_stream::wrappers::WatchStream;

use crate::model::{BundleId, ContentHash, Revision, TypeUrl};
use crate::snapshot::{Snapshot, TypeSnapshot};
use crate::telemetry::clock;

/// How many publications of a key are remembered by their versions.
const EDITIONS_KEPT: usize = 64;

/// Where a snapshot comes from, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The bundle that it is of.
    pub bundle: BundleId,
    /// The revision that the bundle was rendered from.
    pub revision: Revision,
    /// When that revision was committed.
    pub committed_at: Timestamp,
}

/// A snapshot that is served, since when, and what was said of it.
#[derive(Debug)]
pub(super) struct Publication {
    number: u64,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) release: Option<Release>,
    /// When it was published: for people, and for measuring.
    pub(super) at: Timestamp,
    pub(super) began: Instant,
    taken: AtomicU64,
    refused: AtomicU64,
}

/// What a stream last said of a publication.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing so far.
    #[default]
    Open,
    /// It took all of it.
    Taken,
    /// It refused a part of it.
    Refused,
}

impl Publication {
    /// Whether those who got it rather refused it.
    pub(super) fn is_doubted(&self) -> bool {
        let refused = self.refused.load(Ordering::Acquire);
        refused > 0 && refused >= self.taken.load(Ordering::Acquire)
    }

    fn count(&self, verdict: Verdict) -> Option<&AtomicU64> {
        match verdict {
            Verdict::Open => None,
            Verdict::Taken => Some(&self.taken),
            Verdict::Refused => Some(&self.refused),
        }
    }
}

/// A publication that was, without its content.
#[derive(Debug, Clone)]
struct Edition {
    release: Option<Release>,
    version: ContentHash,
    types: Vec<(TypeUrl, Arc<str>)>,
    at: Timestamp,
}

/// A version of a type as it was first published: since when, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    /// The newest release that has it.
    pub(super) release: Option<Release>,
    /// When it was published first, without a break.
    pub(super) since: Timestamp,
}

/// One key's publications.
#[derive(Debug, Default)]
pub(super) struct Line {
    latest: watch::Sender<Option<Arc<Publication>>>,
    past: Mutex<Past>,
}

#[derive(Debug, Default)]
struct Past {
    numbers: u64,
    /// Oldest first; the last one is what is served.
    editions: VecDeque<Edition>,
    /// Where each version of a type in them comes from: nodes are many, and
    /// each is asked for with every look at the fleet.
    origins: HashMap<(TypeUrl, Arc<str>), Origin>,
    /// What the fleet took, the newest first: two, because the first may be
    /// what is doubted now.
    good: Vec<Arc<Snapshot>>,
    /// A version that the fleet refused before we started.
    condemned: Option<ContentHash>,
}

impl Line {
    /// Serves `snapshot` from now on. False where it is what is served.
    pub(super) fn publish(&self, snapshot: Arc<Snapshot>, release: Option<Release>) -> bool {
        let mut past = self.past();
        let news = {
            let latest = self.latest.borrow();
            latest.as_ref().is_none_or(|known| known.snapshot.version != snapshot.version)
        };
        let at = clock::now();
        past.note(&snapshot, release.clone(), at);
        if !news {
            return false;
        }
        past.numbers += 1;
        let condemned = past.condemned.take() == Some(snapshot.version);
        let publication = Publication {
            number: past.numbers,
            snapshot,
            release,
            at,
            began: Instant::now(),
            taken: AtomicU64::new(0),
            refused: AtomicU64::new(u64::from(condemned)),
        };
        self.latest.send_replace(Some(Arc::new(publication)));
        true
    }

    /// Serves nothing any more. False where it served nothing.
    pub(super) fn withdraw(&self) -> bool {
        self.latest.send_replace(None).is_some()
    }

    /// What is served.
    pub(super) fn latest(&self) -> Option<Arc<Publication>> {
        self.latest.borrow().clone()
    }

    /// Takes somebody's word that the fleet took `snapshot` before.
    pub(super) fn vouch(&self, snapshot: Arc<Snapshot>) {
        self.past().take_as_good(snapshot);
    }

    /// How the newest stands: how many streams took and refused it; `None`
    /// where it is not doubted.
    pub(super) fn doubt(&self) -> Option<(ContentHash, u64, u64)> {
        let newest = self.latest().filter(|newest| newest.is_doubted())?;
        let (taken, refused) = (&newest.taken, &newest.refused);
        let count = |of: &AtomicU64| of.load(Ordering::Acquire);
        Some((newest.snapshot.version, count(taken), count(refused)))
    }

    /// The newest release whose content has this version.
    pub(super) fn release(&self, version: ContentHash) -> Option<Release> {
        let past = self.past();
        let edition = past.editions.iter().rev().find(|one| one.version == version);
        edition.and_then(|edition| edition.release.clone())
    }

    /// Takes somebody's word that the fleet refused `version` before, whether
    /// it is served already or will be.
    pub(super) fn condemn(&self, version: ContentHash) {
        match self.latest().filter(|latest| latest.snapshot.version == version) {
            Some(latest) => {
                latest.refused.fetch_max(1, Ordering::AcqRel);
            }
            None => self.past().condemned = Some(version),
        }
    }

    /// Whether nobody follows it and nothing is served.
    pub(super) fn is_idle(&self) -> bool {
        self.latest.receiver_count() == 0 && self.latest.borrow().is_none()
    }

    /// Where a version of a type comes from.
    pub(super) fn origin(&self, type_url: &TypeUrl, version: &Arc<str>) -> Option<Origin> {
        let version = (type_url.clone(), version.clone());
        self.past().origins.get(&version).cloned()
    }

    /// When a version of a type was replaced by the one after it; `None` where
    /// it is served, or not remembered.
    pub(super) fn version_left_at(
        &self,
        type_url: &TypeUrl,
        version: &Arc<str>,
    ) -> Option<Timestamp> {
        let is_it = |(url, known): &(TypeUrl, Arc<str>)| url == type_url && known == version;
        self.past().left_at(|edition| edition.types.iter().any(is_it))
    }

    /// When a snapshot was replaced by the one after it.
    pub(super) fn left_at(&self, version: ContentHash) -> Option<Timestamp> {
        self.past().left_at(|edition| edition.version == version)
    }

    /// A stream says something of a publication; `before` is what it said
    /// last. Wakes those who wait for the doubt to end.
    pub(super) fn judged(&self, of: &Publication, before: Verdict, now: Verdict) {
        let doubted = of.is_doubted();
        if let Some(count) = of.count(now) {
            count.fetch_add(1, Ordering::AcqRel);
        }
        if let Some(count) = of.count(before) {
            count.fetch_sub(1, Ordering::AcqRel);
        }
        let newest = self.latest().filter(|latest| latest.number == of.number);
        let Some(newest) = newest.filter(|_| !of.is_doubted()) else { return };
        if now == Verdict::Taken {
            self.past().take_as_good(newest.snapshot.clone());
        }
        if doubted {
            self.latest.send_modify(|_| ());
        }
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        // Plain data that is whole after every statement.
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Past {
    fn note(&mut self, snapshot: &Snapshot, release: Option<Release>, at: Timestamp) {
        let version =
            |(url, one): (&TypeUrl, &Arc<TypeSnapshot>)| (url.clone(), one.version.clone());
        let types: Vec<_> = snapshot.types.iter().map(version).collect();
        let before = self.editions.back().map(|edition| edition.types.as_slice());
        for one in &types {
            // Without a break, it is as old as it was.
            let stays = before.is_some_and(|before| before.contains(one));
            let since = self.origins.get(one).filter(|_| stays).map_or(at, |origin| origin.since);
            self.origins.insert(one.clone(), Origin { release: release.clone(), since });
        }
        self.editions.push_back(Edition { release, version: snapshot.version, types, at });
        if self.editions.len() > EDITIONS_KEPT
            && let Some(oldest) = self.editions.pop_front()
        {
            let rest = &self.editions;
            let gone =
                oldest.types.iter().filter(|one| !rest.iter().any(|e| e.types.contains(one)));
            gone.for_each(|one| drop(self.origins.remove(one)));
        }
    }

    /// When the first edition came that is none of these any more.
    fn left_at(&self, is_one: impl Fn(&Edition) -> bool) -> Option<Timestamp> {
        let last = self.editions.iter().rposition(is_one)?;
        self.editions.get(last + 1).map(|edition| edition.at)
    }

    fn take_as_good(&mut self, snapshot: Arc<Snapshot>) {
        if self.good.first().is_some_and(|first| first.version == snapshot.version) {
            return;
        }
        self.good.retain(|known| known.version != snapshot.version);
        self.good.insert(0, snapshot);
        self.good.truncate(2);
    }

    /// What the fleet took that is not `newest`.
    fn good_before(&self, newest: &Snapshot) -> Option<Arc<Snapshot>> {
        self.good.iter().find(|good| good.version != newest.version).cloned()
    }
}

/// One stream's end of a line.
#[derive(Debug)]
pub(super) struct Latest {
    line: Arc<Line>,
    /// Stays on the list of those who wait until there is news: joining and
    /// leaving it around every message would touch the memory of other streams.
    watching: WatchStream<Option<Arc<Publication>>>,
    /// Whether something was taken from the line before.
    begun: bool,
    /// The doubted publication that the stream is kept from.
    spared: Option<u64>,
    current: Option<Arc<Publication>>,
    verdict: Verdict,
}

impl Latest {
    pub(super) fn new(line: Arc<Line>) -> Self {
        let watching = WatchStream::from_changes(line.latest.subscribe());
        let (begun, spared, current) = (false, None, None);
        Self { line, watching, begun, spared, current, verdict: Verdict::Open }
    }

    /// Resolves when [`Latest::take`] may give something else.
    pub(super) async fn changed(&mut self) {
        while let Some(newest) = self.watching.next().await {
            if self.is_news(newest.as_ref()) {
                return;
            }
        }
        std::future::pending().await
    }

    /// Whether it is not what was taken already, by whoever did not wait.
    fn is_news(&self, newest: Option<&Arc<Publication>>) -> bool {
        let number = |one: &Arc<Publication>| one.number;
        self.spared.is_some() || newest.map(number) != self.current.as_ref().map(number)
    }

    /// What the stream is to be served now.
    pub(super) fn take(&mut self) -> Option<Arc<Snapshot>> {
        let newest = self.line.latest()?;
        let joins = !std::mem::replace(&mut self.begun, true);
        let waits = joins || self.spared == Some(newest.number);
        let good = match waits && newest.is_doubted() {
            true => self.line.past().good_before(&newest.snapshot),
            false => None,
        };
        if let Some(good) = good {
            self.spared = Some(newest.number);
            self.current = None;
            return Some(good);
        }
        self.spared = None;
        if self.current.as_ref().is_none_or(|known| known.number != newest.number) {
            self.verdict = Verdict::Open;
        }
        self.current = Some(newest.clone());
        Some(newest.snapshot.clone())
    }

    /// The stream refused a part of what it was served.
    pub(super) fn refused(&mut self) {
        self.judge(Verdict::Refused);
    }

    /// The stream took all of what it was served. Gives the publication the
    /// first time that it says so.
    pub(super) fn took(&mut self) -> Option<Arc<Publication>> {
        if self.verdict == Verdict::Taken {
            return None;
        }
        self.judge(Verdict::Taken);
        self.current.clone()
    }

    /// Whether [`Latest::took`] would be news.
    pub(super) fn is_open(&self) -> bool {
        self.current.is_some() && self.verdict != Verdict::Taken
    }

    fn judge(&mut self, verdict: Verdict) {
        let Some(current) = self.current.as_ref().filter(|_| self.verdict != verdict) else {
            return;
        };
        let before = std::mem::replace(&mut self.verdict, verdict);
        self.line.judged(current, before, verdict);
    }

    /// Whether the stream is kept from the newest publication.
    pub(super) fn is_spared(&self) -> bool {
        self.spared.is_some()
    }

    /// The line itself.
    pub(super) fn line(&self) -> &Arc<Line> {
        &self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ResourceKind;
    use crate::snapshot::build;
    use crate::snapshot::testing::{cluster, key};

    fn snapshot(content: i64) -> Arc<Snapshot> {
        Arc::new(build(key("beta"), &[cluster("a", content)]))
    }

    fn release(revision: u64) -> Option<Release> {
        let bundle = BundleId::of(&ContentHash::of(&revision.to_be_bytes()));
        let committed_at = Timestamp::UNIX_EPOCH;
        Some(Release { bundle, revision: Revision(revision), committed_at })
    }

    fn line() -> Arc<Line> {
        Arc::new(Line::default())
    }

    #[test]
    fn whoever_joins_while_the_newest_is_refused_gets_what_was_taken() {
        let line = line();
        let (old, new) = (snapshot(1), snapshot(2));
        line.publish(old.clone(), None);
        let mut first = Latest::new(line.clone());
        assert_eq!(first.take(), Some(old.clone()));
        assert!(first.took().is_some());
        line.publish(new.clone(), None);
        assert_eq!(first.take(), Some(new.clone()));
        first.refused();
        let mut joins = Latest::new(line.clone());
        assert_eq!(joins.take(), Some(old.clone()));
        assert!(joins.took().is_none(), "the good one is no word about the newest");
        assert_eq!(joins.take(), Some(old), "it stays so while nothing changes");
        let third = snapshot(3);
        line.publish(third.clone(), None);
        assert_eq!(joins.take(), Some(third));
    }

    #[test]
    fn one_that_refuses_does_not_keep_the_newest_from_a_fleet_that_takes_it() {
        let line = line();
        line.publish(snapshot(1), None);
        let mut fleet: Vec<_> = (0..3).map(|_| Latest::new(line.clone())).collect();
        fleet.iter_mut().for_each(|one| {
            one.take();
            one.took();
        });
        line.publish(snapshot(2), None);
        fleet.iter_mut().for_each(|one| drop(one.take()));
        fleet[0].refused();
        let mut joins = Latest::new(line.clone());
        assert_eq!(joins.take(), Some(snapshot(1)));
        let mut waiting = line.latest.subscribe();
        fleet[1].took();
        assert!(line.latest().unwrap().is_doubted(), "one against one");
        fleet[2].took();
        assert!(waiting.has_changed().unwrap(), "who waits is woken");
        waiting.mark_unchanged();
        assert_eq!(joins.take(), Some(snapshot(2)));
    }

    #[test]
    fn a_stream_that_takes_what_it_refused_counts_once() {
        let line = line();
        line.publish(snapshot(1), None);
        let mut one = Latest::new(line.clone());
        one.take();
        one.refused();
        one.refused();
        assert!(line.latest().unwrap().is_doubted());
        one.took();
        assert!(!line.latest().unwrap().is_doubted());
    }

    #[test]
    fn without_anything_good_the_newest_is_served() {
        let line = line();
        line.publish(snapshot(1), None);
        let mut one = Latest::new(line.clone());
        one.take();
        one.refused();
        assert_eq!(Latest::new(line).take(), Some(snapshot(1)));
    }

    #[test]
    fn what_was_known_before_a_start_holds_after_it() {
        let line = line();
        line.vouch(snapshot(1));
        line.condemn(snapshot(2).version);
        line.publish(snapshot(2), None);
        assert_eq!(Latest::new(line.clone()).take(), Some(snapshot(1)));
        line.publish(snapshot(3), None);
        assert_eq!(Latest::new(line).take(), Some(snapshot(3)));
    }

    #[test]
    fn a_version_leads_back_to_the_newest_release_that_has_it() {
        let line = line();
        let clusters = ResourceKind::Clusters.type_url();
        line.publish(snapshot(1), release(1));
        let first = line.latest().unwrap();
        assert!(!line.publish(snapshot(1), release(2)), "the same content is no news");
        line.publish(snapshot(3), release(3));
        let origin = |n| line.origin(&clusters, &snapshot(n).types[&clusters].version);
        assert_eq!(origin(1).unwrap().release, release(2));
        assert_eq!(origin(3).unwrap().release, release(3));
        assert_eq!(origin(1).unwrap().since, first.at);
        assert!(origin(3).unwrap().since >= first.at);
        assert_eq!(origin(9), None);
        for n in 10..10 + EDITIONS_KEPT as i64 {
            line.publish(snapshot(n), None);
        }
        assert_eq!(origin(3), None, "what is long ago is forgotten");
        assert_eq!(line.past().origins.len(), EDITIONS_KEPT);
    }
}
