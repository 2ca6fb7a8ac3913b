//! Waiting and following under fire: whatever the timing, everybody is told
//! exactly what the log says, in its order.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use convoy::content::Patterns;
use convoy::model::{Change, FilePath, Origin, RepoName, Revision};
use convoy::store::{NewCommit, Store, StoreError, StoreOptions, Subscription};
use futures_util::FutureExt as _;
use jiff::Timestamp;

use crate::harness::random::Random;

/// Far more than anything here takes: a wake-up that is lost ends a test.
const DEADLINE: Duration = Duration::from_secs(60);

const FILES: [&str; 8] = ["a", "b/a", "b/b", "b/c/a.json", "c.json", "d/e/f/g", "d/x", "ü"];

const PATTERNS: [&str; 8] =
    ["/a", "/b/**", "/**/a", "*.json", "/d/e/**,/ü", "/**", "/nothing", "/b/c/a.json,/b/a"];

fn commit_of(changes: Vec<Change>) -> NewCommit {
    let author = ("Ada".into(), "ada@example.com".into());
    let time = Timestamp::from_second(1_700_000_000).unwrap();
    NewCommit::new(Origin::system(), author, time, "change", changes)
}

fn write(file: &str, content: &str) -> NewCommit {
    let path = FilePath::new(file).unwrap();
    commit_of(vec![Change::Upsert(path, Bytes::copy_from_slice(content.as_bytes()))])
}

struct Bench {
    store: Store,
    repos: Vec<RepoName>,
    _dir: tempfile::TempDir,
}

impl Bench {
    async fn start(repos: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("data"), StoreOptions::default()).unwrap();
        let name = |n| RepoName::new(&format!("mesh/r{n}")).unwrap();
        let repos: Vec<RepoName> = (0..repos).map(name).collect();
        for repo in &repos {
            store.create(repo).await.unwrap();
        }
        Self { store, repos, _dir: dir }
    }

    /// Commits to every repository from several tasks at once, then writes
    /// `end` into each.
    async fn commit_at_random(&self, random: &mut Random, count: u64) {
        let committers = (0..4).map(|committer| {
            let (store, repos, mut random) =
                (self.store.clone(), self.repos.clone(), random.fork());
            async move {
                for _ in 0..count {
                    let (repo, file) = (random.pick(&repos), random.pick(&FILES));
                    let new = write(file, &format!("{committer} {}", random.next()));
                    store.commit(repo, new).await.unwrap();
                    pause(&mut random).await;
                }
            }
        });
        futures_util::future::join_all(committers).await;
        for repo in &self.repos {
            self.store.commit(repo, write("end", "end")).await.unwrap();
        }
    }

    /// The revisions after `since` that changed what a pattern matches.
    fn log(&self, repo: &RepoName, patterns: &Patterns, since: Revision) -> Vec<u64> {
        let head = self.store.head(repo).unwrap().revision.0;
        let touches = |n: &u64| {
            let (before, at) = (Revision(n - 1), Revision(*n));
            !self.store.changed(repo, before, at, patterns).unwrap().is_empty()
        };
        (since.0 + 1..=head).filter(touches).collect()
    }
}

async fn pause(random: &mut Random) {
    for _ in 0..random.below(30) {
        tokio::task::yield_now().await;
    }
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.expect("somebody was not woken")
}

/// Follows until `end` was told to every subscription, cancelling now and
/// then.
async fn collect(
    store: &Store,
    subscriptions: &[Subscription],
    random: &mut Random,
) -> BTreeMap<usize, Vec<u64>> {
    let mut follow = store.follow(subscriptions.to_vec()).unwrap();
    let mut told: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    let mut ended = 0;
    let mut last: BTreeMap<RepoName, Revision> = BTreeMap::new();
    while ended < subscriptions.len() {
        let happening = tokio::select! {
            biased;
            happening = follow.next() => happening.unwrap(),
            () = pause(random) => continue,
        };
        assert!(!happening.changed.is_empty());
        assert_eq!(happening.repo, subscriptions[happening.subscription].repo);
        let last = last.entry(happening.repo).or_default();
        assert!(*last <= happening.info.revision, "a repository's revisions come in order");
        *last = happening.info.revision;
        told.entry(happening.subscription).or_default().push(happening.info.revision.0);
        ended += usize::from(happening.changed.iter().any(|one| one.path.as_str() == "end"));
        pause(random).await;
    }
    assert!(follow.next().now_or_never().is_none(), "nothing comes after the end");
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn followers_are_told_exactly_the_log_whatever_the_timing() {
    let mut random = Random::seeded("follow");
    let bench = Bench::start(3).await;
    for round in 0..4_u64 {
        let since = |repo: &RepoName, random: &mut Random| {
            Revision(random.below(bench.store.head(repo).unwrap().revision.0 + 1))
        };
        let mut followers = Vec::new();
        for _ in 0..6 {
            let subscriptions: Vec<Subscription> = (0..=random.below(12))
                .map(|_| {
                    let repo = random.pick(&bench.repos).clone();
                    let pattern = format!("{},/end", random.pick(&PATTERNS));
                    let patterns = Patterns::new(&pattern).unwrap();
                    let since = since(&repo, &mut random);
                    Subscription { repo, patterns, since }
                })
                .collect();
            followers.push((subscriptions, random.fork()));
        }
        // What is in `end` differs each round, so that each round has one.
        for repo in &bench.repos {
            if round > 0 {
                let gone = Change::Remove(FilePath::new("end").unwrap());
                bench.store.commit(repo, commit_of(vec![gone])).await.unwrap();
            }
        }
        check_round(&bench, followers, &mut random).await;
    }
}

async fn check_round(
    bench: &Bench,
    followers: Vec<(Vec<Subscription>, Random)>,
    random: &mut Random,
) {
    // Those who begin at an older revision meet older ends.
    let heads: BTreeMap<RepoName, Revision> = bench
        .repos
        .iter()
        .map(|repo| (repo.clone(), bench.store.head(repo).unwrap().revision))
        .collect();
    let following = followers.into_iter().map(|(mut subscriptions, mut random)| {
        let heads = heads.clone();
        async move {
            for one in &mut subscriptions {
                one.since = one.since.max(Revision(heads[&one.repo].0));
            }
            let told = collect(&bench.store, &subscriptions, &mut random).await;
            (subscriptions, told)
        }
    });
    let (all, ()) = within(futures_util::future::join(
        futures_util::future::join_all(following),
        bench.commit_at_random(random, 40),
    ))
    .await;
    for (subscriptions, told) in all {
        for (at, one) in subscriptions.iter().enumerate() {
            let expect = bench.log(&one.repo, &one.patterns, one.since);
            assert_eq!(told.get(&at), Some(&expect), "{} of {}", one.patterns.as_str(), one.repo);
        }
    }
}

#[tokio::test]
async fn a_follower_that_comes_late_is_told_everything_since() {
    let mut random = Random::seeded("late");
    let bench = Bench::start(2).await;
    bench.commit_at_random(&mut random, 100).await;
    let subscriptions: Vec<Subscription> = PATTERNS
        .iter()
        .flat_map(|pattern| bench.repos.iter().map(move |repo| (pattern, repo)))
        .map(|(pattern, repo)| Subscription {
            repo: repo.clone(),
            patterns: Patterns::new(&format!("{pattern},/end")).unwrap(),
            since: Revision(random.below(20)),
        })
        .collect();
    let told = within(collect(&bench.store, &subscriptions, &mut random)).await;
    for (at, one) in subscriptions.iter().enumerate() {
        assert_eq!(told.get(&at), Some(&bench.log(&one.repo, &one.patterns, one.since)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_waits_for_a_change_never_misses_it() {
    let random = Random::seeded("changed_since");
    let bench = Bench::start(1).await;
    let repo = &bench.repos[0];
    let waiting = PATTERNS.iter().map(|pattern| {
        let (store, mut random) = (&bench.store, random.clone());
        async move {
            let patterns = Patterns::new(&format!("{pattern},/end")).unwrap();
            let end = FilePath::new("end").unwrap();
            let (mut since, mut woken) = (Revision(0), Vec::new());
            loop {
                let head = store.changed_since(repo, &patterns, since).await.unwrap();
                assert!(head > since);
                let changed = store.changed(repo, since, head, &patterns).unwrap();
                assert!(!changed.is_empty(), "{pattern}: {since}..{head}");
                woken.push(head);
                if store.read(repo, head, &end).is_ok() {
                    return woken;
                }
                since = head;
                pause(&mut random).await;
            }
        }
    });
    let waiting = futures_util::future::join_all(waiting);
    let mut committing = random.clone();
    let work = futures_util::future::join(waiting, bench.commit_at_random(&mut committing, 100));
    let (woken, ()) = within(work).await;
    assert!(woken.iter().all(|heads| !heads.is_empty()));
}

#[tokio::test]
async fn what_is_changed_and_changed_back_wakes_nobody() {
    let bench = Bench::start(1).await;
    let (store, repo) = (&bench.store, &bench.repos[0]);
    let since = store.commit(repo, write("a", "1")).await.unwrap().revision;
    let (watched, other) = (Patterns::new("/a").unwrap(), Patterns::new("/b").unwrap());
    let mut waiting = Box::pin(store.changed_since(repo, &watched, since));
    assert!(waiting.as_mut().now_or_never().is_none());
    store.commit(repo, write("a", "2")).await.unwrap();
    store.commit(repo, write("a", "1")).await.unwrap();
    // Once who waits for a later commit is woken, so is everybody before him.
    let later = store.changed_since(repo, &other, since);
    let (woken, committed) =
        within(futures_util::future::join(later, store.commit(repo, write("b", "1")))).await;
    assert_eq!(woken.unwrap(), committed.unwrap().revision);
    assert!(waiting.as_mut().now_or_never().is_none(), "it is as it was");
    let head = store.commit(repo, write("a", "3")).await.unwrap().revision;
    assert_eq!(within(waiting).await.unwrap(), head);
}

#[tokio::test]
async fn a_revision_that_is_not_there_yet_cannot_be_waited_behind() {
    let bench = Bench::start(1).await;
    let (store, repo) = (&bench.store, &bench.repos[0]);
    let beyond = store.changed_since(repo, &Patterns::all(), Revision(1)).await;
    assert!(matches!(beyond, Err(StoreError::NoRevision { .. })), "{beyond:?}");
    let beyond = Subscription { repo: repo.clone(), patterns: Patterns::all(), since: Revision(1) };
    assert!(matches!(store.follow(vec![beyond]), Err(StoreError::NoRevision { .. })));
    let nowhere = RepoName::new("mesh/nowhere").unwrap();
    let waiting = store.changed_since(&nowhere, &Patterns::all(), Revision(0)).await;
    assert!(matches!(waiting, Err(StoreError::NoRepository(_))));
}

#[tokio::test]
async fn who_waits_for_a_repository_that_is_purged_is_told_and_others_go_on() {
    let bench = Bench::start(2).await;
    let (store, purged, other) = (&bench.store, &bench.repos[0], &bench.repos[1]);
    let since = store.commit(purged, write("a", "1")).await.unwrap().revision;
    store.close().await.unwrap();
    let subscription = |repo: &RepoName| Subscription {
        repo: repo.clone(),
        patterns: Patterns::all(),
        since: store.head(repo).unwrap().revision,
    };
    let mut follow = store.follow(vec![subscription(purged), subscription(other)]).unwrap();
    let patterns = Patterns::new("/a").unwrap();
    let mut waiting = Box::pin(store.changed_since(purged, &patterns, since));
    assert!(waiting.as_mut().now_or_never().is_none());
    assert!(follow.next().now_or_never().is_none());
    store.purge(purged, &Origin::system()).await.unwrap();
    let gone = within(waiting).await;
    assert!(matches!(&gone, Err(StoreError::NoRepository(repo)) if repo == purged), "{gone:?}");
    let gone = within(follow.next()).await;
    assert!(matches!(&gone, Err(StoreError::NoRepository(repo)) if repo == purged), "{gone:?}");
    // Another of the same name is another.
    store.create(purged).await.unwrap();
    store.commit(purged, write("b", "1")).await.unwrap();
    store.commit(other, write("x", "1")).await.unwrap();
    let happening = within(follow.next()).await.unwrap();
    assert_eq!((&happening.repo, happening.subscription), (other, 1));
    assert!(follow.next().now_or_never().is_none());
    assert_eq!(bench.log(purged, &patterns, Revision(0)), [0_u64; 0]);
    let query = convoy::store::HistoryQuery { newest: None, oldest: None, patterns, limit: 10 };
    assert_eq!(store.history_of(purged, &query).unwrap(), []);
}
