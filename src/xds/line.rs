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
//!
//! A candidate that is tried on a part of the nodes (`line/live`) is doubted on
//! its own, by those who got it. Who joins them while it is doubted is served
//! what everybody else is, and what was only tried is never good.

mod live;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_stream::wrappers::WatchStream;

use self::live::Live;
pub use self::live::{Issue, Offer};
use crate::model::{BundleId, ContentHash, NodeIdentity, Revision, TypeUrl};
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
    /// When it was published.
    pub(super) at: Timestamp,
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

/// When something was published: for people, and for measuring.
pub(super) type Began = (Timestamp, Instant);

/// A publication that was, without its content.
#[derive(Debug, Clone)]
struct Edition {
    release: Option<Release>,
    version: ContentHash,
    types: Vec<(TypeUrl, Arc<str>)>,
    /// When it was published, without a break.
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
    live: watch::Sender<Arc<Live>>,
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
    /// Serves `offer` from now on. Gives what is new of it.
    pub(super) fn serve(&self, offer: Offer) -> Vec<Arc<Publication>> {
        let mut past = self.past();
        let before = self.live();
        let now = past.publish(offer, &before);
        past.go_on(&before, &now);
        if before.equals(&now) {
            return Vec::new();
        }
        let known = |one: &&Arc<Publication>| before.version(one.snapshot.version).is_none();
        let news = now.all().filter(known).cloned().collect();
        self.live.send_replace(Arc::new(now));
        news
    }

    /// Serves nothing any more. False where it served nothing.
    pub(super) fn withdraw(&self) -> bool {
        !self.live.send_replace(Arc::default()).is_empty()
    }

    /// What is served.
    pub(super) fn live(&self) -> Arc<Live> {
        self.live.borrow().clone()
    }

    /// What `node` is to be served.
    pub(super) fn due(&self, node: &NodeIdentity) -> Option<Arc<Publication>> {
        self.live.borrow().of(node).cloned()
    }

    /// Takes somebody's word that the fleet took `snapshot` before.
    pub(super) fn vouch(&self, snapshot: Arc<Snapshot>) {
        self.past().take_as_good(snapshot);
    }

    /// How what is served stands where it is doubted: how many streams took
    /// and refused it. What is tried comes first.
    pub(super) fn doubt(&self) -> Option<(ContentHash, u64, u64)> {
        let live = self.live();
        let doubted = live.all().find(|one| one.is_doubted())?;
        let (taken, refused) = (&doubted.taken, &doubted.refused);
        let count = |of: &AtomicU64| of.load(Ordering::Acquire);
        Some((doubted.snapshot.version, count(taken), count(refused)))
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
        match self.live().version(version) {
            Some(served) => {
                served.refused.fetch_max(1, Ordering::AcqRel);
            }
            None => self.past().condemned = Some(version),
        }
    }

    /// Whether nobody follows it and nothing is served.
    pub(super) fn is_idle(&self) -> bool {
        self.live.receiver_count() == 0 && self.live.borrow().is_empty()
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
        let live = self.live();
        let still = live.all().any(|one| one.number == of.number);
        if !still || of.is_doubted() {
            return;
        }
        let is_base = live.base.as_ref().is_some_and(|base| base.number == of.number);
        if now == Verdict::Taken && is_base {
            self.past().take_as_good(of.snapshot.clone());
        }
        if doubted {
            self.live.send_modify(|_| ());
        }
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        // Plain data that is whole after every statement.
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Past {
    /// Makes publications of what is offered; what is served already goes on
    /// as what it is.
    fn publish(&mut self, offer: Offer, before: &Live) -> Live {
        let Offer { base, trial } = offer;
        let base = base.map(|issue| self.publication(issue, before));
        let trial = trial.map(|(cohort, issue)| (cohort, self.publication(issue, before)));
        // A candidate that everybody is served is none.
        let same = |trial: &(_, Arc<Publication>)| {
            base.as_ref().is_some_and(|base| base.snapshot.version == trial.1.snapshot.version)
        };
        self.condemned = None;
        let since = Some((clock::now(), Instant::now()));
        Live { trial: trial.filter(|trial| !same(trial)), base, since }
    }

    fn publication(&mut self, issue: Issue, before: &Live) -> Arc<Publication> {
        let Issue { snapshot, release } = issue;
        let at = clock::now();
        self.note(&snapshot, release.clone(), at, before);
        if let Some(known) = before.version(snapshot.version) {
            return known.clone();
        }
        self.numbers += 1;
        let condemned = self.condemned.take_if(|version| *version == snapshot.version);
        Arc::new(Publication {
            number: self.numbers,
            snapshot,
            release,
            at,
            taken: AtomicU64::new(0),
            refused: AtomicU64::new(u64::from(condemned.is_some())),
        })
    }

    /// Keeps what was good in step with what is served: a candidate that was
    /// taken and is everybody's now is good, and what the way back left behind
    /// is not.
    fn go_on(&mut self, before: &Live, now: &Live) {
        let Some(base) = &now.base else { return };
        if before.base.as_ref().is_some_and(|known| known.number == base.number) {
            return;
        }
        if let Some(at) = self.good.iter().position(|one| one.version == base.snapshot.version) {
            self.good.drain(..at);
        }
        if base.taken.load(Ordering::Acquire) > 0 && !base.is_doubted() {
            self.take_as_good(base.snapshot.clone());
        }
    }

    fn note(&mut self, snapshot: &Snapshot, release: Option<Release>, at: Timestamp, live: &Live) {
        let version =
            |(url, one): (&TypeUrl, &Arc<TypeSnapshot>)| (url.clone(), one.version.clone());
        let types: Vec<_> = snapshot.types.iter().map(version).collect();
        let served = |(url, version): &(TypeUrl, Arc<str>)| {
            let has = |one: &Arc<Publication>| {
                one.snapshot.types.get(url).is_some_and(|one| one.version == *version)
            };
            live.all().any(has)
        };
        for one in &types {
            // Without a break, it is as old as it was.
            let known = self.origins.get(one).filter(|_| served(one));
            let since = known.map_or(at, |origin| origin.since);
            self.origins.insert(one.clone(), Origin { release: release.clone(), since });
        }
        // Said again, it is not one more to remember.
        self.editions.retain(|one| one.version != snapshot.version || one.release != release);
        let at = live.version(snapshot.version).map_or(at, |known| known.at);
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

    /// When the first edition came after the last of these. What is served
    /// beside a candidate is said again with it, and came before.
    fn left_at(&self, is_one: impl Fn(&Edition) -> bool) -> Option<Timestamp> {
        let last = self.editions.iter().rposition(is_one)?;
        let before = self.editions.get(last)?.at;
        let mut later = self.editions.range(last + 1..).map(|edition| edition.at);
        later.find(|at| *at > before)
    }

    fn take_as_good(&mut self, snapshot: Arc<Snapshot>) {
        if self.good.first().is_some_and(|first| first.version == snapshot.version) {
            return;
        }
        self.good.retain(|known| known.version != snapshot.version);
        self.good.insert(0, snapshot);
        self.good.truncate(2);
    }

    /// What the fleet took that is not served now.
    fn good_before(&self, live: &Live) -> Option<Arc<Snapshot>> {
        self.good.iter().find(|good| live.version(good.version).is_none()).cloned()
    }
}

/// One stream's end of a line.
#[derive(Debug)]
pub(super) struct Latest {
    line: Arc<Line>,
    /// Stays on the list of those who wait until there is news: joining and
    /// leaving it around every message would touch the memory of other streams.
    watching: WatchStream<Arc<Live>>,
    /// Whether something was taken from the line before.
    begun: bool,
    /// The doubted publication that the stream is kept from.
    spared: Option<u64>,
    current: Option<Arc<Publication>>,
    /// Since when it is to be served that, for people and for measuring.
    due: Option<(Timestamp, Instant)>,
    verdict: Verdict,
    /// What was counted of that for the publication: it may have said it before.
    counted: Verdict,
    /// What was counted for the publication before, which may come back.
    earlier: Option<(u64, Verdict)>,
}

impl Latest {
    pub(super) fn new(line: Arc<Line>) -> Self {
        let watching = WatchStream::from_changes(line.live.subscribe());
        Self {
            line,
            watching,
            begun: false,
            spared: None,
            current: None,
            due: None,
            verdict: Verdict::Open,
            counted: Verdict::Open,
            earlier: None,
        }
    }

    /// Resolves when [`Latest::take`] may give `node` something else.
    pub(super) async fn changed(&mut self, node: &NodeIdentity) {
        while let Some(live) = self.watching.next().await {
            if self.is_news(&live, node) {
                return;
            }
        }
        std::future::pending().await
    }

    /// Whether it is not what was taken already, by whoever did not wait, or
    /// because it is another part of the nodes that is served otherwise now.
    fn is_news(&self, live: &Live, node: &NodeIdentity) -> bool {
        let number = |one: &Arc<Publication>| one.number;
        self.spared.is_some() || live.of(node).map(number) != self.current.as_ref().map(number)
    }

    /// What the fleet took before what is served now: what a client may come
    /// back with.
    pub(super) fn earlier(&self) -> Option<Arc<Snapshot>> {
        self.line.past().good_before(&self.line.live())
    }

    /// What the stream of `node` is to be served now.
    pub(super) fn take(&mut self, node: &NodeIdentity) -> Option<Arc<Snapshot>> {
        let live = self.line.live();
        let due = live.of(node)?.clone();
        let joins = !std::mem::replace(&mut self.begun, true);
        let waits = joins || self.spared == Some(due.number);
        if waits && due.is_doubted() {
            let base = live.base.as_ref().filter(|base| !base.is_doubted());
            let good = base.map(|base| base.snapshot.clone());
            if let Some(good) = good.or_else(|| self.line.past().good_before(&live)) {
                self.spared = Some(due.number);
                self.turn_to(None);
                return Some(good);
            }
        }
        self.spared = None;
        self.turn_to(Some(due.clone()));
        self.due = self.due.or(live.since);
        Some(due.snapshot.clone())
    }

    /// Speaks of `publication` from now on. What was said of it before is not
    /// counted again.
    fn turn_to(&mut self, publication: Option<Arc<Publication>>) {
        let number = |one: &Option<Arc<Publication>>| one.as_ref().map(|one| one.number);
        let (left, next) = (number(&self.current), number(&publication));
        if left == next {
            return;
        }
        let known = self.earlier.filter(|(number, _)| Some(*number) == next);
        if let Some(left) = left {
            self.earlier = Some((left, self.counted));
        }
        self.counted = known.map_or(Verdict::Open, |(_, counted)| counted);
        (self.verdict, self.due) = (Verdict::Open, None);
        self.current = publication;
    }

    /// The stream refused a part of what it was served.
    pub(super) fn refused(&mut self) {
        self.judge(Verdict::Refused);
    }

    /// The stream took all of what it was served. Gives the publication the
    /// first time that it says so, and since when it was to be served that.
    pub(super) fn took(&mut self) -> Option<(Arc<Publication>, Option<Began>)> {
        if self.verdict == Verdict::Taken {
            return None;
        }
        self.judge(Verdict::Taken);
        Some((self.current.clone()?, self.due))
    }

    /// Whether [`Latest::took`] would be news.
    pub(super) fn is_open(&self) -> bool {
        self.current.is_some() && self.verdict != Verdict::Taken
    }

    fn judge(&mut self, verdict: Verdict) {
        let Some(current) = self.current.as_ref().filter(|_| self.verdict != verdict) else {
            return;
        };
        self.verdict = verdict;
        let before = std::mem::replace(&mut self.counted, verdict);
        if before != verdict {
            self.line.judged(current, before, verdict);
        }
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
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{NodeId, ResourceKind, SnapshotKey, Subset};
    use crate::snapshot::testing::{cluster, key, resource};
    use crate::snapshot::{Cohort, build};

    fn snapshot(content: i64) -> Arc<Snapshot> {
        Arc::new(build(key("beta"), &[cluster("a", content)]))
    }

    fn release(revision: u64) -> Option<Release> {
        let bundle = BundleId::of(&ContentHash::of(&revision.to_be_bytes()));
        let committed_at = Timestamp::UNIX_EPOCH;
        Some(Release { bundle, revision: Revision(revision), committed_at })
    }

    fn node(id: &str) -> NodeIdentity {
        NodeIdentity {
            id: NodeId(id.into()),
            cluster: "web".into(),
            metadata: BTreeMap::new(),
            envoy_version: None,
            locality: String::new(),
        }
    }

    fn publish(line: &Line, snapshot: Arc<Snapshot>, release: Option<Release>) -> bool {
        let base = Some(Issue { snapshot, release });
        !line.serve(Offer { base, trial: None }).is_empty()
    }

    /// Serves `base`, and `candidate` to the nodes `a*`.
    fn try_out(line: &Line, base: Option<Arc<Snapshot>>, candidate: Arc<Snapshot>, more: &[&str]) {
        let of = |snapshot| Issue { snapshot, release: None };
        let nodes = ["a*"].iter().chain(more).map(|&glob| glob.to_owned()).collect();
        let subset = Subset { nodes, ..Subset::default() };
        let SnapshotKey { repo, stage, .. } = key("beta");
        let cohort = Arc::new(Cohort::new(repo, stage, subset));
        line.serve(Offer { base: base.map(of), trial: Some((cohort, of(candidate))) });
    }

    fn newest(line: &Line) -> Arc<Publication> {
        line.live().main().unwrap().clone()
    }

    /// Whether what is served is what the stream of `id` has already.
    fn stays(stream: &Latest, id: &str) -> bool {
        !stream.is_news(&stream.line.live(), &node(id))
    }

    /// A stream of `id`, which took what it is served.
    fn settled(line: &Arc<Line>, id: &str) -> Latest {
        let mut stream = Latest::new(line.clone());
        stream.take(&node(id));
        stream.took();
        stream
    }

    fn line() -> Arc<Line> {
        Arc::new(Line::default())
    }

    #[test]
    fn whoever_joins_while_the_newest_is_refused_gets_what_was_taken() {
        let line = line();
        let (old, new) = (snapshot(1), snapshot(2));
        publish(&line, old.clone(), None);
        let mut first = Latest::new(line.clone());
        assert_eq!(first.take(&node("n")), Some(old.clone()));
        assert!(first.took().is_some());
        publish(&line, new.clone(), None);
        assert_eq!(first.take(&node("n")), Some(new.clone()));
        first.refused();
        let mut joins = Latest::new(line.clone());
        assert_eq!(joins.take(&node("n")), Some(old.clone()));
        assert!(joins.took().is_none(), "the good one is no word about the newest");
        assert_eq!(joins.take(&node("n")), Some(old), "it stays so while nothing changes");
        let third = snapshot(3);
        publish(&line, third.clone(), None);
        assert_eq!(joins.take(&node("n")), Some(third));
    }

    #[test]
    fn one_that_refuses_does_not_keep_the_newest_from_a_fleet_that_takes_it() {
        let line = line();
        publish(&line, snapshot(1), None);
        let mut fleet: Vec<_> = (0..3).map(|_| Latest::new(line.clone())).collect();
        fleet.iter_mut().for_each(|one| {
            one.take(&node("n"));
            one.took();
        });
        publish(&line, snapshot(2), None);
        fleet.iter_mut().for_each(|one| drop(one.take(&node("n"))));
        fleet[0].refused();
        let mut joins = Latest::new(line.clone());
        assert_eq!(joins.take(&node("n")), Some(snapshot(1)));
        let mut waiting = line.live.subscribe();
        fleet[1].took();
        assert!(newest(&line).is_doubted(), "one against one");
        fleet[2].took();
        assert!(waiting.has_changed().unwrap(), "who waits is woken");
        waiting.mark_unchanged();
        assert_eq!(joins.take(&node("n")), Some(snapshot(2)));
    }

    #[test]
    fn what_the_fleet_had_before_is_known_to_whoever_comes_back() {
        let line = line();
        publish(&line, snapshot(1), None);
        let earlier = || Latest::new(line.clone()).earlier();
        assert_eq!(earlier(), None);
        let mut one = settled(&line, "n");
        publish(&line, snapshot(2), None);
        assert_eq!(earlier(), Some(snapshot(1)));
        one.take(&node("n"));
        one.took();
        assert_eq!(earlier(), Some(snapshot(1)), "also when the newest was taken");
    }

    #[test]
    fn a_stream_that_takes_what_it_refused_counts_once() {
        let line = line();
        publish(&line, snapshot(1), None);
        let mut one = Latest::new(line.clone());
        one.take(&node("n"));
        one.refused();
        one.refused();
        assert!(newest(&line).is_doubted());
        one.took();
        assert!(!newest(&line).is_doubted());
    }

    #[test]
    fn without_anything_good_the_newest_is_served() {
        let line = line();
        publish(&line, snapshot(1), None);
        let mut one = Latest::new(line.clone());
        one.take(&node("n"));
        one.refused();
        assert_eq!(Latest::new(line).take(&node("n")), Some(snapshot(1)));
    }

    #[test]
    fn what_was_known_before_a_start_holds_after_it() {
        let line = line();
        line.vouch(snapshot(1));
        line.condemn(snapshot(2).version);
        publish(&line, snapshot(2), None);
        assert_eq!(Latest::new(line.clone()).take(&node("n")), Some(snapshot(1)));
        publish(&line, snapshot(3), None);
        assert_eq!(Latest::new(line).take(&node("n")), Some(snapshot(3)));
    }

    #[test]
    fn a_version_leads_back_to_the_newest_release_that_has_it() {
        let line = line();
        let clusters = ResourceKind::Clusters.type_url();
        publish(&line, snapshot(1), release(1));
        let first = newest(&line);
        assert!(!publish(&line, snapshot(1), release(2)), "the same content is no news");
        publish(&line, snapshot(3), release(3));
        let origin = |n| line.origin(&clusters, &snapshot(n).types[&clusters].version);
        assert_eq!(origin(1).unwrap().release, release(2));
        assert_eq!(origin(3).unwrap().release, release(3));
        assert_eq!(origin(1).unwrap().since, first.at);
        assert!(origin(3).unwrap().since >= first.at);
        assert_eq!(origin(9), None);
        for n in 10..10 + EDITIONS_KEPT as i64 {
            publish(&line, snapshot(n), None);
        }
        assert_eq!(origin(3), None, "what is long ago is forgotten");
        assert_eq!(line.past().origins.len(), EDITIONS_KEPT);
    }

    #[test]
    fn a_candidate_goes_to_its_part_and_nobody_else_is_woken_for_good() {
        let line = line();
        let (old, new) = (snapshot(1), snapshot(2));
        publish(&line, old.clone(), None);
        let (mut a, mut b) = (settled(&line, "a"), settled(&line, "b"));
        try_out(&line, Some(old.clone()), new.clone(), &[]);
        assert!(!stays(&a, "a"));
        assert_eq!(a.take(&node("a")), Some(new.clone()));
        assert!(stays(&b, "b"));
        a.took();
        // The part grows: who has it stays, who is new to it goes over.
        try_out(&line, Some(old), new.clone(), &["b"]);
        assert!(stays(&a, "a"));
        assert!(!stays(&b, "b"));
        assert_eq!(b.take(&node("b")), Some(new.clone()));
        // It is everybody's: nothing changes for those who have it.
        assert!(!publish(&line, new, None), "it is served already");
        assert!(stays(&a, "a") && stays(&b, "b"));
        assert!(line.live().trial.is_none());
    }

    #[test]
    fn the_way_back_is_the_same_publication_and_is_counted_once() {
        let line = line();
        let old = snapshot(1);
        publish(&line, old.clone(), None);
        let mut a = settled(&line, "a");
        let first = newest(&line);
        try_out(&line, Some(old.clone()), snapshot(2), &[]);
        a.take(&node("a"));
        a.refused();
        publish(&line, old.clone(), None);
        assert_eq!(a.take(&node("a")), Some(old));
        assert!(a.is_open(), "it has to say so again");
        assert!(a.took().is_some());
        assert_eq!(newest(&line).number, first.number);
        assert_eq!(first.taken.load(Ordering::Acquire), 1);
        assert_eq!(line.doubt(), None);
    }

    #[test]
    fn whoever_joins_the_part_while_it_refuses_gets_what_the_others_have() {
        let line = line();
        let (old, new) = (snapshot(1), snapshot(2));
        publish(&line, old.clone(), None);
        let mut a = settled(&line, "a");
        try_out(&line, Some(old.clone()), new.clone(), &[]);
        a.take(&node("a"));
        a.refused();
        assert_eq!(line.doubt(), Some((new.version, 0, 1)));
        let mut joins = Latest::new(line.clone());
        assert_eq!(joins.take(&node("a-2")), Some(old.clone()));
        assert!(joins.is_spared());
        assert_eq!(Latest::new(line.clone()).take(&node("b")), Some(old));
        a.took();
        assert_eq!(joins.take(&node("a-2")), Some(new));
    }

    #[test]
    fn what_is_only_tried_is_nobodys_way_out() {
        let line = line();
        let (older, base, tried) = (snapshot(1), snapshot(2), snapshot(3));
        line.vouch(older.clone());
        publish(&line, base.clone(), None);
        try_out(&line, Some(base.clone()), tried.clone(), &[]);
        settled(&line, "a");
        let mut b = Latest::new(line.clone());
        b.take(&node("b"));
        b.refused();
        assert_eq!(Latest::new(line.clone()).take(&node("b-2")), Some(older.clone()));
        // Also for the part itself, when both are refused.
        let mut a = Latest::new(line.clone());
        a.take(&node("a-2"));
        a.refused();
        assert_eq!(Latest::new(line.clone()).take(&node("a-3")), Some(older));
        // Once it is everybody's, what was said of it in the part holds.
        publish(&line, tried.clone(), None);
        publish(&line, snapshot(4), None);
        let mut all = Latest::new(line.clone());
        all.take(&node("c"));
        all.refused();
        assert_ne!(Latest::new(line).take(&node("d")), Some(base));
    }

    #[test]
    fn what_was_taken_back_is_not_what_joiners_get() {
        let line = line();
        let (one, two, three) = (snapshot(1), snapshot(2), snapshot(3));
        for snapshot in [&one, &two, &three] {
            publish(&line, snapshot.clone(), None);
            settled(&line, "a");
        }
        publish(&line, two.clone(), None);
        let mut a = Latest::new(line.clone());
        a.take(&node("a"));
        a.refused();
        a.took();
        a.refused();
        assert_eq!(Latest::new(line).take(&node("b")), Some(two), "three was taken back");
    }

    #[test]
    fn a_stage_that_serves_nothing_yet_can_try() {
        let line = line();
        try_out(&line, None, snapshot(1), &[]);
        assert_eq!(Latest::new(line.clone()).take(&node("a")), Some(snapshot(1)));
        assert_eq!(Latest::new(line.clone()).take(&node("b")), None);
        assert!(line.withdraw());
        assert!(line.is_idle());
    }

    #[test]
    fn a_type_that_the_candidate_leaves_alone_is_as_old_as_it_was() {
        let line = line();
        let listener = |n: u8| resource(ResourceKind::Listeners, "l", &[n]);
        let of = |n: i64, l| Arc::new(build(key("beta"), &[cluster("a", n), listener(l)]));
        let (old, new) = (of(1, 1), of(1, 2));
        publish(&line, old.clone(), release(1));
        let clusters = ResourceKind::Clusters.type_url();
        let since = || line.origin(&clusters, &old.types[&clusters].version).unwrap().since;
        let first = since();
        for _ in 0..2 * EDITIONS_KEPT {
            try_out(&line, Some(old.clone()), new.clone(), &[]);
        }
        assert_eq!(since(), first);
        assert!(line.past().editions.len() <= 3, "said again, it is not remembered again");
    }
}
