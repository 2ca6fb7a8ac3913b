//! Measures the store in one process, each figure with its floor in the same
//! run: the same bytes appended to a file on the same disk and synced.
//!
//! `store PART FOLDER` prints one JSON object; `ci/bench store` runs the parts
//! and puts them in its table. `store load ADDRESS RATE SECONDS` commits over
//! HTTP at a steady rate, while something else is measured.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    reason = "a measuring program prints, reads the clock, and may stop"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use convoy::content::Patterns;
use convoy::model::{Change, FilePath, Origin, RepoName};
use convoy::store::{HistoryQuery, NewCommit, Store, StoreOptions};
use convoy::telemetry::clock;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// Commits and floor appends alternate in rounds, so that both meet the same
/// weather on the disk.
const ROUNDS: usize = 12;
const PER_ROUND: usize = 25;
const WRITERS: usize = 64;
const WATCHERS: usize = 10_000;
const HISTORY: usize = 100_000;

fn main() {
    let args: Vec<String> = std::env::args().filter(|arg| arg != "--bench").collect();
    let word = |at: usize| args.get(at).map_or("", String::as_str);
    let folder = PathBuf::from(word(2));
    let runtime = Runtime::new().expect("a runtime");
    let result = match word(1) {
        "commit" => runtime.block_on(commit(&folder)),
        "group" => runtime.block_on(group(&folder)),
        "watch" => runtime.block_on(watch(&folder)),
        "history" => runtime.block_on(history(&folder)),
        "reopen" => reopen(&folder),
        "idle" => runtime.block_on(idle(&folder)),
        "load" => load(word(2), number(word(3)), number(word(4))),
        _ => panic!(
            "store commit|group|watch|history|reopen|idle FOLDER, or load ADDRESS RATE SECONDS"
        ),
    };
    println!("{result}");
}

fn number(text: &str) -> u64 {
    text.parse().expect("a whole number")
}

fn open(folder: &Path) -> Store {
    Store::open(folder, StoreOptions::default()).expect("a store")
}

fn repo(name: &str) -> RepoName {
    RepoName::new(&format!("bench/{name}")).expect("a name")
}

fn path(text: &str) -> FilePath {
    FilePath::new(text).expect("a path")
}

fn new(changes: Vec<Change>) -> NewCommit {
    let author = ("Bench".into(), "bench@example.com".into());
    NewCommit::new(Origin::system(), author, clock::now(), "measure", changes)
}

fn write(file: &str, n: u64) -> NewCommit {
    let text = format!("timeout_ms: {n}\nretries: 3\nname: a small file of a few lines\n");
    new(vec![Change::Upsert(path(file), text.into_bytes().into())])
}

fn sorted(mut times: Vec<Duration>) -> Vec<Duration> {
    times.sort_unstable();
    times
}

fn at(times: &[Duration], percent: usize) -> f64 {
    let times = sorted(times.to_vec());
    let index = (times.len() * percent / 100).min(times.len() - 1);
    times[index].as_secs_f64() * 1000.0
}

/// Appends and syncs, as the floor of a durable commit.
struct Floor {
    file: std::fs::File,
}

impl Floor {
    fn new(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).expect("a folder");
        let file = std::fs::File::options().create(true).append(true).open(folder.join("floor"));
        Self { file: file.expect("a file") }
    }

    fn append(&mut self, bytes: &[u8]) -> Duration {
        let began = Instant::now();
        self.file.write_all(bytes).expect("an append");
        self.file.sync_data().expect("a sync");
        began.elapsed()
    }
}

fn journal_bytes(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder.join("journal")).expect("a journal");
    files.map(|file| file.and_then(|file| file.metadata()).map_or(0, |meta| meta.len())).sum()
}

/// The names of `files` files: all in one folder, or a hundred to each.
fn names(files: usize, flat: bool) -> Vec<String> {
    let name = |n: usize| match flat {
        true => format!("values/file-{n:05}.yaml"),
        false => format!("services/{:03}/file-{n:05}.yaml", n / 100),
    };
    (0..files).map(name).collect()
}

async fn filled(store: &Store, name: &str, names: &[String]) -> RepoName {
    let repo = repo(name);
    store.create(&repo).await.expect("a repository");
    let changes = names.iter().map(|name| Change::Upsert(path(name), name.clone().into()));
    store.commit(&repo, new(changes.collect())).await.expect("the first commit");
    store.close().await.expect("a checkpoint");
    repo
}

async fn commit(folder: &Path) -> serde_json::Value {
    let store = open(&folder.join("data"));
    let mut floor = Floor::new(folder);
    let mut rows = Vec::new();
    for (files, flat) in [(10, true), (1000, false), (10_000, false), (1000, true), (10_000, true)]
    {
        let names = names(files, flat);
        let repo = filled(&store, &format!("files-{files}-{flat}"), &names).await;
        let before = journal_bytes(&folder.join("data"));
        store.commit(&repo, write(&names[files / 2], 0)).await.expect("a commit");
        let bytes = journal_bytes(&folder.join("data")).saturating_sub(before).max(1);
        let buffer = vec![b'x'; usize::try_from(bytes).expect("it fits")];
        let (mut commits, mut appends) = (Vec::new(), Vec::new());
        for n in 0..(ROUNDS * PER_ROUND) as u64 {
            if n.is_multiple_of(PER_ROUND as u64) {
                appends.extend((0..PER_ROUND).map(|_| floor.append(&buffer)));
            }
            let file = &names[usize::try_from(n * 7919).expect("it fits") % files];
            let began = Instant::now();
            store.commit(&repo, write(file, n + 1)).await.expect("a commit");
            commits.push(began.elapsed());
        }
        rows.push(json!({
            "files": files, "flat": flat, "bytes": bytes,
            "commit_ms": at(&commits, 50), "commit_p99_ms": at(&commits, 99),
            "floor_ms": at(&appends, 50), "floor_p99_ms": at(&appends, 99),
        }));
    }
    json!({ "rows": rows })
}

/// Commits per second of `writers` at work for a while, spread over `repos`.
async fn rate(store: &Store, repos: &[RepoName], writers: usize, each: u64) -> f64 {
    let mut tasks = JoinSet::new();
    let began = Instant::now();
    for writer in 0..writers {
        let (store, repo) = (store.clone(), repos[writer % repos.len()].clone());
        tasks.spawn(async move {
            for n in 0..each {
                let file = format!("writer-{writer}/file-{}.yaml", n % 8);
                store.commit(&repo, write(&file, n)).await.expect("a commit");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a writer that ended well");
    }
    (writers as u64 * each) as f64 / began.elapsed().as_secs_f64()
}

async fn group(folder: &Path) -> serde_json::Value {
    let store = open(&folder.join("data"));
    let mut repos = Vec::new();
    for n in 0..WRITERS {
        repos.push(filled(&store, &format!("group-{n}"), &names(10, true)).await);
    }
    let (mut single, mut one, mut many) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..5 {
        single.push(rate(&store, &repos[..1], 1, 200).await);
        one.push(rate(&store, &repos[..1], WRITERS, 60).await);
        many.push(rate(&store, &repos, WRITERS, 60).await);
    }
    let median = |mut rates: Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    json!({ "single": median(single), "one_repository": median(one), "repositories": median(many) })
}

async fn watch(folder: &Path) -> serde_json::Value {
    let store = open(&folder.join("data"));
    let names = names(WATCHERS, false);
    let repo = filled(&store, "watched", &names).await;
    let quiet = filled(&store, "quiet", &names).await;
    let (mut without, mut with, mut woken) = (Vec::new(), Vec::new(), Vec::new());
    let woke = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let since = store.head(&repo).expect("a head").revision;
    let mut waiting: Vec<_> = Vec::new();
    for name in &names {
        waiting.push(Some(wait(&store, &repo, name, since, began, &woke)));
    }
    // Every watcher is registered once the last one is: they are polled in turn.
    tokio::time::sleep(Duration::from_secs(1)).await;
    for n in 0..200_u64 {
        let at = usize::try_from(n * 49).expect("it fits");
        let file = &names[at];
        let alone = Instant::now();
        store.commit(&quiet, write(file, n)).await.expect("a commit");
        without.push(alone.elapsed());
        let told = Instant::now();
        store.commit(&repo, write(file, n)).await.expect("a commit");
        with.push(told.elapsed());
        let task = waiting[at].take().expect("each is woken once");
        let when = task.await.expect("a watcher that ended well");
        woken.push(when.saturating_duration_since(told));
    }
    let counted = woke.load(Ordering::Acquire);
    waiting.into_iter().flatten().for_each(|task| task.abort());
    json!({
        "watchers": WATCHERS, "woken": counted, "woken_p50_ms": at(&woken, 50),
        "woken_p99_ms": at(&woken, 99), "with_ms": at(&with, 50), "without_ms": at(&without, 50),
    })
}

fn wait(
    store: &Store,
    repo: &RepoName,
    name: &str,
    since: convoy::model::Revision,
    _began: Instant,
    woke: &Arc<AtomicU64>,
) -> tokio::task::JoinHandle<Instant> {
    let (store, repo, woke) = (store.clone(), repo.clone(), Arc::clone(woke));
    let patterns = Patterns::file(&path(name));
    tokio::spawn(async move {
        store.changed_since(&repo, &patterns, since).await.expect("a change");
        woke.fetch_add(1, Ordering::AcqRel);
        Instant::now()
    })
}

async fn history(folder: &Path) -> serde_json::Value {
    let store = open(&folder.join("data"));
    let repo = filled(&store, "long", &names(1000, false)).await;
    let names = Arc::new(names(1000, false));
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for writer in 0..WRITERS {
        let (store, repo, names) = (store.clone(), repo.clone(), Arc::clone(&names));
        tasks.spawn(async move {
            for n in 0..HISTORY / WRITERS {
                // File 500 is written by nobody but once in ten thousand.
                let n = writer * (HISTORY / WRITERS) + n;
                let file = match n % 10_000 {
                    0 => 500,
                    _ => (n * 31) % 499,
                };
                store.commit(&repo, write(&names[file], n as u64)).await.expect("a commit");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a writer that ended well");
    }
    let wrote = began.elapsed();
    store.close().await.expect("a checkpoint");
    json!({ "commits": HISTORY, "wrote_s": wrote.as_secs_f64() })
}

fn reopen(folder: &Path) -> serde_json::Value {
    let began = Instant::now();
    let store = open(&folder.join("data"));
    let opened = began.elapsed();
    let repo = repo("long");
    let head = store.head(&repo).expect("a head").revision;
    let rare = names(1000, false)[500].clone();
    let query = HistoryQuery {
        newest: None,
        oldest: None,
        patterns: Patterns::file(&path(&rare)),
        limit: 1000,
    };
    let began = Instant::now();
    let found = store.history_of(&repo, &query).expect("a history");
    let cold = began.elapsed();
    let warm: Vec<Duration> = (0..20)
        .map(|_| {
            let began = Instant::now();
            let again = store.history_of(&repo, &query).expect("a history");
            assert_eq!(again.len(), found.len());
            began.elapsed()
        })
        .collect();
    let reads: Vec<Duration> = (0..2000_u64)
        .map(|n| {
            let revision = convoy::model::Revision(1 + (n * 7919) % head.0);
            let began = Instant::now();
            store.file(&repo, revision, &path(&rare)).expect("a file");
            began.elapsed()
        })
        .collect();
    json!({
        "revisions": head.0, "open_ms": opened.as_secs_f64() * 1000.0, "found": found.len(),
        "history_cold_ms": cold.as_secs_f64() * 1000.0, "history_ms": at(&warm, 50),
        "random_read_p50_ms": at(&reads, 50), "random_read_p99_ms": at(&reads, 99),
    })
}

/// A data folder of a hundred repositories of a thousand revisions each.
async fn idle(folder: &Path) -> serde_json::Value {
    let store = open(&folder.join("data"));
    let mut repos = Vec::new();
    for n in 0..100 {
        repos.push(filled(&store, &format!("idle-{n}"), &names(10, true)).await);
    }
    for batch in repos.chunks(WRITERS) {
        let mut tasks = JoinSet::new();
        for repo in batch {
            let (store, repo) = (store.clone(), repo.clone());
            tasks.spawn(async move {
                for n in 0..999_u64 {
                    let file = format!("values/file-{:05}.yaml", n % 10);
                    store.commit(&repo, write(&file, n)).await.expect("a commit");
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.expect("a writer that ended well");
        }
    }
    store.close().await.expect("a checkpoint");
    let revisions: u64 =
        repos.iter().map(|repo| store.head(repo).expect("a head").revision.0).sum();
    json!({ "repositories": repos.len(), "revisions": revisions })
}

/// Commits over HTTP at a steady rate from a few connections, each to a
/// repository of its own; gives what came of it.
fn load(address: &str, per_second: u64, seconds: u64) -> serde_json::Value {
    const CONNECTIONS: u64 = 16;
    let done = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|n| {
            let (address, done) = (address.to_owned(), Arc::clone(&done));
            let gap = Duration::from_nanos(1_000_000_000 * CONNECTIONS / per_second);
            std::thread::spawn(move || commit_steadily(&address, n, gap, seconds, &done))
        })
        .collect();
    let times = threads.into_iter().flat_map(|thread| thread.join().expect("a thread that ended"));
    let times: Vec<Duration> = times.collect();
    json!({
        "commits": done.load(Ordering::Acquire), "seconds": seconds,
        "commit_p50_ms": at(&times, 50), "commit_p99_ms": at(&times, 99),
    })
}

fn commit_steadily(
    address: &str,
    number: u64,
    gap: Duration,
    seconds: u64,
    done: &AtomicU64,
) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_nodelay(true).expect("an option");
    let mut answers = BufReader::new(stream.try_clone().expect("a second handle"));
    let began = Instant::now();
    let mut times = Vec::new();
    for n in 0.. {
        let due = began + gap * n;
        if due.duration_since(began) >= Duration::from_secs(seconds) {
            break;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let body = json!({
            "commitMessage": {"summary": "load"},
            "changes": [{"path": "/load.txt", "type": "UPSERT_TEXT", "content": format!("{n}\n")}],
        });
        let body = body.to_string();
        let asked = Instant::now();
        write!(
            stream,
            "POST /api/v1/projects/load/repos/r{number}/contents?revision=-1 HTTP/1.1\r\n\
             host: {address}\r\nauthorization: Bearer anonymous\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("a request that is sent");
        let status = answer(&mut answers);
        assert!(status.contains(" 200 "), "{status}");
        times.push(asked.elapsed());
        done.fetch_add(1, Ordering::AcqRel);
    }
    times
}

/// Reads one answer whole; gives its status line.
fn answer(answers: &mut BufReader<TcpStream>) -> String {
    let (mut status, mut length) = (String::new(), 0);
    answers.read_line(&mut status).expect("an answer");
    loop {
        let mut line = String::new();
        answers.read_line(&mut line).expect("a header");
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    answers.read_exact(&mut body).expect("a body");
    status
}
