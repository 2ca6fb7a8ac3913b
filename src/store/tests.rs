//! The store as a whole over simulated files: crashes at every operation,
//! group commit, compare-and-set, a broken disk.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::files::{Files, RealFiles};
use super::index::Index;
use super::open;
use super::open::Tuning;
use super::sim::{Disk, LOSSES, Left, Loss, Op, SimFiles};
use super::{Audit, Head, Import, NewCommit, Store, StoreError, StoreOptions};
use crate::model::{Change, CommitId, Fetched, FilePath, Origin, RepoName, Revision};

fn path(text: &str) -> FilePath {
    FilePath::new(text).unwrap()
}

fn write(file: &str, content: &str) -> NewCommit {
    let changes = vec![Change::Upsert(path(file), Bytes::copy_from_slice(content.as_bytes()))];
    let author = ("Ada".into(), "ada@example.com".into());
    let time = Timestamp::from_second(1_700_000_000).unwrap();
    NewCommit::new(Origin::system(), author, time, format!("write {file}"), changes)
}

fn patient() -> Tuning {
    Tuning { checkpoint_idle: Duration::from_secs(3600), checkpoint_age: Duration::from_secs(3600) }
}

fn open_sim(dir: &Path) -> (Store, Arc<SimFiles>) {
    let files = Arc::new(SimFiles::new(dir));
    let as_files: Arc<dyn Files> = Arc::clone(&files) as Arc<dyn Files>;
    let store = Store::open_with(dir, StoreOptions::default(), patient(), as_files).unwrap();
    (store, files)
}

fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Up", "-c", "user.email=up@example.com"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn head_of(upstream: &Path) -> Fetched {
    let head = git(upstream, &["rev-parse", "HEAD"]).parse().unwrap();
    Fetched { git_dir: upstream.join(".git"), head }
}

/// An upstream with three commits on its first-parent line, one a merge.
fn upstream(dir: &Path) -> PathBuf {
    let up = dir.join("up");
    std::fs::create_dir(&up).unwrap();
    git(&up, &["init", "-q", "-b", "main"]);
    std::fs::write(up.join("a"), "a").unwrap();
    git(&up, &["add", "."]);
    git(&up, &["commit", "-qm", "one"]);
    git(&up, &["checkout", "-qb", "side"]);
    std::fs::write(up.join("side"), "s").unwrap();
    git(&up, &["add", "."]);
    git(&up, &["commit", "-qm", "side"]);
    git(&up, &["checkout", "-q", "main"]);
    git(&up, &["commit", "-q", "--allow-empty", "-m", "two"]);
    git(&up, &["merge", "-q", "--no-ff", "-m", "three", "side"]);
    up
}

/// A commit on top of the upstream's head, made as nobody's `git` makes one:
/// it says that Convoy made it for somebody.
fn forged(up: &Path, by: &Origin) -> Fetched {
    let rev = |name: &str| git(up, &["rev-parse", name]);
    let who = "Convoy <convoy@localhost> 1700000000 +0000";
    let text = format!(
        "tree {}\nparent {}\nauthor {who}\ncommitter {who}\nconvoy-origin {}\n\nforged\n",
        rev("HEAD^{tree}"),
        rev("HEAD"),
        serde_json::to_string(by).unwrap()
    );
    std::fs::write(up.join("forged"), text).unwrap();
    let id = git(up, &["hash-object", "-t", "commit", "-w", "forged"]);
    git(up, &["reset", "-q", "--hard", &id]);
    head_of(up)
}

/// Uses everything that writes, and notes every head it was promised.
async fn work(dir: &Path, outside: &Path) -> Vec<Op> {
    let (store, files) = open_sim(dir);
    let (state, mirrored) = (RepoName::state(), RepoName::new("mesh/config").unwrap());
    let commit = async |n: u32| {
        let head = store.commit(&state, write(&format!("d/{n}.json"), &"x".repeat(3))).await;
        files.note(Op::Acknowledged(state.clone(), head.unwrap()));
    };
    let take = async |fetched: Fetched| {
        assert!(matches!(store.adopt(&mirrored, &fetched).await.unwrap(), Import::Imported(_)));
        files.note(Op::Acknowledged(mirrored.clone(), store.head(&mirrored).unwrap()));
    };
    commit(1).await;
    commit(2).await;
    store.create(&mirrored).await.unwrap();
    files.note(Op::Acknowledged(mirrored.clone(), Head::default()));
    let up = upstream(outside);
    take(head_of(&up)).await;
    commit(3).await;
    store.close().await.unwrap();
    git(&up, &["reset", "-q", "--hard", "HEAD~1"]);
    take(head_of(&up)).await;
    git(&up, &["commit", "-q", "--allow-empty", "-m", "another"]);
    take(head_of(&up)).await;
    for n in 4..8 {
        commit(n).await;
        store.close().await.unwrap();
    }
    store.packed().await.unwrap();
    commit(8).await;
    let passing = RepoName::new("mesh/passing").unwrap();
    for n in 0..2 {
        store.create(&passing).await.unwrap();
        let head = store.commit(&passing, write("p", &format!("{n}"))).await.unwrap();
        files.note(Op::Acknowledged(passing.clone(), head));
        if n == 0 {
            store.purge(&passing, &Origin::system()).await.unwrap();
            files.note(Op::Purged(passing.clone()));
        }
    }
    store.packed().await.unwrap();
    drop(store);
    files.log()
}

/// An index without its pack would make an import leave objects out.
fn claims_nothing_that_is_not_there(git_dir: &Path) {
    for entry in std::fs::read_dir(git_dir.join("objects/pack")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "idx") {
            assert!(path.with_extension("pack").is_file(), "{}", path.display());
        }
    }
}

/// A purge that is under way may be durable before it is acknowledged.
fn may_be_purged(ops: &[Op], repo: &RepoName) -> bool {
    repo.as_str() == "mesh/passing" && !ops.iter().any(|op| matches!(op, Op::Purged(..)))
}

/// Checks what each kind of loss leaves, once where two leave the same.
fn check_after_crash(ops: &[Op], fsck: bool, index: &Index) {
    let disk = Disk::after(ops);
    let mut seen = Vec::new();
    for loss in LOSSES {
        let left = disk.left(loss);
        if !seen.contains(&left) {
            check_what_is_left(ops, loss, &left, fsck, index);
            seen.push(left);
        }
    }
}

fn check_what_is_left(ops: &[Op], loss: Loss, left: &Left, fsck: bool, index: &Index) {
    let dir = tempfile::tempdir().unwrap();
    left.write(dir.path());
    let last = ops.last();
    let files = Arc::new(RealFiles::default());
    let (options, tuning) = (StoreOptions::default(), Tuning::default());
    let inner = open::open(dir.path(), options, tuning, files, |_| Ok(index.clone()))
        .unwrap_or_else(|error| panic!("{} {last:?} {loss:?}: {error:?}", ops.len()));
    let store = Store { inner: Arc::new(inner) };
    let purged = |at: usize, repo: &RepoName| {
        ops[at..].iter().any(|op| matches!(op, Op::Purged(gone) if gone == repo))
    };
    for (at, op) in ops.iter().enumerate() {
        match op {
            Op::Acknowledged(repo, head) if !purged(at, repo) && !may_be_purged(ops, repo) => {
                let kept = store.head(repo).unwrap();
                assert!(
                    kept.revision >= head.revision,
                    "{} {last:?} {loss:?}: {head:?}",
                    ops.len()
                );
                if let Some(commit) = head.commit {
                    assert_eq!(store.info(repo, head.revision).unwrap().commit, commit);
                }
            }
            _ => {}
        }
    }
    for repo in store.repositories() {
        claims_nothing_that_is_not_there(&store.git_dir(&repo));
        let open = store.inner.shared.repository(&repo).unwrap();
        for revision in 1..=store.head(&repo).unwrap().revision.0 {
            store.tree(&repo, Revision(revision)).unwrap();
            let is_ours = open.with_line(|line| line.is_ours(Revision(revision)));
            assert_eq!(is_ours, repo.as_str() != "mesh/config", "{repo} {revision}");
        }
    }
    if fsck {
        for repo in store.repositories() {
            git(&store.git_dir(&repo), &["fsck", "--strict", "--no-dangling"]);
        }
    }
    let (entries, _) = store.audit().head().unwrap();
    drop(store);
    let proved = Audit::verify(dir.path());
    assert_eq!(proved, Ok(entries), "{} {last:?} {loss:?}", ops.len());
}

#[test]
fn a_crash_after_any_operation_loses_nothing_that_was_acknowledged() {
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ops = runtime.block_on(work(dir.path(), outside.path()));
    let is_note = |op: Option<&Op>| matches!(op, Some(Op::Acknowledged(..) | Op::Purged(_)));
    // A note changes nothing on disk: only the state that all of them describe.
    let prefixes: Vec<usize> = (0..=ops.len()).filter(|n| !is_note(ops.get(*n))).collect();
    assert!(prefixes.len() > 100, "{}", prefixes.len());
    // One index for all: it carries no promise, is believed only where it
    // agrees with the refs, and thousands of them at once are not its use.
    let indexed = tempfile::tempdir().unwrap();
    let index = Index::open(&indexed.path().join("index")).unwrap();
    let threads = 4;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (ops, prefixes, index) = (&ops, &prefixes, &index);
            scope.spawn(move || {
                for n in prefixes.iter().skip(thread).step_by(threads) {
                    check_after_crash(&ops[..*n], n % 16 == 0, index);
                }
            });
        }
    });
}

#[test]
fn writers_that_wait_share_one_sync() {
    let dir = tempfile::tempdir().unwrap();
    let (store, files) = open_sim(dir.path());
    let repo = RepoName::state();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let before = files.syncs.load(Ordering::SeqCst);
    let gate = files.gate.lock().unwrap();
    let writers: Vec<_> = (0..64)
        .map(|n| {
            let (store, repo) = (store.clone(), repo.clone());
            runtime.spawn(async move { store.commit(&repo, write(&format!("{n}"), "x")).await })
        })
        .collect();
    let open = store.inner.shared.repository(&repo).unwrap();
    while open.prepare().revision < Revision(64) {
        std::thread::yield_now();
    }
    assert_eq!(store.head(&repo).unwrap().revision, Revision(0), "nothing is durable yet");
    drop(gate);
    let mut revisions: Vec<u64> = writers
        .into_iter()
        .map(|writer| runtime.block_on(writer).unwrap().unwrap().revision.0)
        .collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=64).collect::<Vec<_>>());
    let syncs = files.syncs.load(Ordering::SeqCst) - before;
    assert!(syncs <= 2, "64 commits took {syncs} syncs");
    assert_eq!(store.tree(&repo, Revision(64)).unwrap().source.files.len(), 64);
}

#[tokio::test]
async fn only_one_of_two_writers_with_one_expectation_wins() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open_sim(dir.path());
    let repo = RepoName::state();
    let expecting =
        |n: u64, file: &str| NewCommit { expected: Some(Revision(n)), ..write(file, "x") };
    let (a, b) = tokio::join!(
        store.commit(&repo, expecting(0, "a")),
        store.commit(&repo, expecting(0, "b"))
    );
    let lost = if a.is_ok() { b } else { a };
    let Err(StoreError::Conflict { expected, actual, .. }) = lost else { panic!("{lost:?}") };
    assert_eq!((expected, actual), (Revision(0), Revision(1)));
    assert_eq!(store.commit(&repo, expecting(1, "c")).await.unwrap().revision, Revision(2));
}

#[tokio::test]
async fn a_failed_sync_halts_writes_and_reads_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (store, files) = open_sim(dir.path());
    let repo = RepoName::state();
    let mut watch = store.watch(&repo).unwrap();
    let head = store.commit(&repo, write("a", "1")).await.unwrap();
    assert_eq!(*watch.borrow_and_update(), head);
    files.broken.store(true, Ordering::SeqCst);
    assert!(matches!(store.commit(&repo, write("b", "2")).await, Err(StoreError::Halted)));
    files.broken.store(false, Ordering::SeqCst);
    assert!(matches!(store.commit(&repo, write("c", "3")).await, Err(StoreError::Halted)));
    let other = RepoName::new("a/b").unwrap();
    assert!(matches!(store.create(&other).await, Err(StoreError::Halted)));
    assert!(matches!(store.close().await, Err(StoreError::Halted)));
    assert!(!watch.has_changed().unwrap());
    assert_eq!(store.head(&repo).unwrap(), head);
    assert_eq!(store.read(&repo, head.revision, &path("a")).unwrap(), "1");
    drop(store);
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    assert_eq!(store.info(&repo, Revision(1)).unwrap().commit, head.commit.unwrap());
}

fn packs(store: &Store, repo: &RepoName) -> usize {
    let packs = std::fs::read_dir(store.git_dir(repo).join("objects/pack")).unwrap();
    packs.filter(|e| e.as_ref().unwrap().path().extension().unwrap() == "pack").count()
}

#[tokio::test]
async fn many_checkpoints_leave_few_packs() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open_sim(dir.path());
    let repo = RepoName::state();
    for n in 0..100 {
        store.commit(&repo, write(&format!("{n}"), &format!("{n}"))).await.unwrap();
        store.close().await.unwrap();
        store.read(&repo, Revision(n / 2 + 1), &path(&format!("{}", n / 2))).unwrap();
    }
    store.packed().await.unwrap();
    assert!(packs(&store, &repo) <= 8, "{}", packs(&store, &repo));
    assert_eq!(store.tree(&repo, Revision(100)).unwrap().source.files.len(), 100);
    git(&store.git_dir(&repo), &["fsck", "--strict"]);
    assert_eq!(git(&store.git_dir(&repo), &["rev-list", "--count", "main"]), "100");
}

#[tokio::test]
async fn a_commit_costs_by_its_depth_and_not_by_the_number_of_files() {
    let dir = tempfile::tempdir().unwrap();
    let (store, files) = open_sim(dir.path());
    let repo = RepoName::state();
    let upsert = |n: u32| Change::Upsert(path(&format!("d{}/{n}", n / 50)), Bytes::from("x"));
    let many = NewCommit { changes: (0..2000).map(upsert).collect(), ..write("a", "") };
    store.commit(&repo, many).await.unwrap();
    let before = files.log().len();
    store.commit(&repo, write("d7/new", "y")).await.unwrap();
    let written: usize = files.log()[before..]
        .iter()
        .map(|op| if let Op::Append(_, bytes) = op { bytes.len() } else { 0 })
        .sum();
    // One folder of 51 files, the root of 40 folders, a blob, a commit.
    assert!(written < 5000, "{written}");
}

#[tokio::test]
async fn revisions_are_counted_in_git_alone_when_the_index_is_gone() {
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(work(dir.path(), outside.path()).await);
    let look = || {
        let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
        let commits = |repo: &RepoName| -> Vec<CommitId> {
            store.history(repo, None, None, 1000).unwrap().iter().map(|i| i.commit).collect()
        };
        store.repositories().iter().map(commits).collect::<Vec<_>>()
    };
    let before = look();
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    assert_eq!(look(), before);
    assert_eq!(before.iter().map(Vec::len).collect::<Vec<_>>(), [8, 5, 1]);
}

#[tokio::test]
async fn what_a_foreign_commit_says_of_who_made_it_here_is_not_believed() {
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, _) = open_sim(dir.path());
    let repo = RepoName::new("mesh/config").unwrap();
    store.create(&repo).await.unwrap();
    let up = upstream(outside.path());
    let by = Origin { name: "eve".into(), ..Origin::system() };
    store.adopt(&repo, &forged(&up, &by)).await.unwrap();
    store.commit(&repo, write("a", "here")).await.unwrap();
    let origins = |store: &Store| -> Vec<Option<Origin>> {
        let all = store.history(&repo, None, None, 100).unwrap().into_iter();
        assert_eq!(store.info(&repo, Revision(4)).unwrap().message, "forged\n");
        all.rev().map(|info| info.origin).collect()
    };
    let expect = [None, None, None, None, Some(Origin::system())];
    assert_eq!(origins(&store), expect);
    store.close().await.unwrap();
    drop(store);
    for without_index in [false, true] {
        if without_index {
            std::fs::remove_dir_all(dir.path().join("index")).unwrap();
        }
        let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
        assert_eq!(origins(&store), expect, "without index: {without_index}");
        git(&store.git_dir(&repo), &["fsck", "--strict", "--no-dangling"]);
    }
}

/// Writes, checkpoints, makes and purges; gives what was acknowledged of the
/// one repository that stays.
async fn toil(store: &Store) -> Vec<Result<Head, StoreError>> {
    let (kept, passing) = (RepoName::state(), RepoName::new("mesh/passing").unwrap());
    let mut heads = Vec::new();
    for n in 0..4 {
        heads.push(store.commit(&kept, write(&format!("d/{n}"), &"x".repeat(2000))).await);
        if n % 2 == 1 {
            let _ = store.close().await;
        }
        if store.create(&passing).await.is_ok() {
            let _ = store.commit(&passing, write("p", &format!("{n}"))).await;
            let _ = store.purge(&passing, &Origin::system()).await;
        }
    }
    heads
}

fn proves(dir: &Path, kept: &[Result<Head, StoreError>], what: &str) {
    let store = Store::open(dir, StoreOptions::default()).unwrap();
    let repo = RepoName::state();
    for head in kept.iter().flatten() {
        let info = store.info(&repo, head.revision);
        assert_eq!(Some(info.unwrap().commit), head.commit, "{what}");
    }
    for revision in 1..=store.head(&repo).unwrap().revision.0 {
        store.tree(&repo, Revision(revision)).unwrap();
    }
    let git_dir = store.git_dir(&repo);
    drop(store);
    Audit::verify(dir).unwrap_or_else(|faults| panic!("{what}: {faults:?}"));
    git(&git_dir, &["fsck", "--strict", "--no-dangling"]);
}

#[tokio::test]
async fn a_disk_that_is_full_at_any_append_refuses_that_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (store, files) = open_sim(dir.path());
    let begun = files.counts().0;
    assert!(toil(&store).await.iter().all(Result::is_ok));
    let count = files.counts().0 - begun;
    drop(store);
    for at in 0..count {
        for length in [1, 3] {
            let what = format!("append {at} and {length}");
            let dir = tempfile::tempdir().unwrap();
            let (store, files) = open_sim(dir.path());
            let from = files.counts().0 + at;
            *files.full.lock().unwrap() = from..from + length;
            let mut heads = toil(&store).await;
            let refused = heads.iter().filter_map(|head| head.as_ref().err());
            refused.for_each(|error| assert!(matches!(error, StoreError::Full), "{what}: {error}"));
            *files.full.lock().unwrap() = 0..0;
            heads.push(store.commit(&RepoName::state(), write("after", "1")).await);
            assert!(heads.last().unwrap().is_ok(), "{what}: {:?}", heads.last());
            drop(store);
            proves(dir.path(), &heads, &what);
        }
    }
}

#[tokio::test]
async fn a_sync_that_fails_at_any_point_acknowledges_nothing_falsely() {
    let dir = tempfile::tempdir().unwrap();
    let (store, files) = open_sim(dir.path());
    let begun = files.counts().1;
    toil(&store).await;
    let count = files.counts().1 - begun;
    drop(store);
    for at in 0..count {
        let dir = tempfile::tempdir().unwrap();
        let (store, files) = open_sim(dir.path());
        files.failing.store(files.counts().1 + at, Ordering::SeqCst);
        let heads = toil(&store).await;
        let first = heads.iter().position(Result::is_err).unwrap_or(heads.len());
        assert!(heads[first..].iter().all(Result::is_err), "sync {at}: acknowledged afterwards");
        drop(store);
        proves(dir.path(), &heads, &format!("sync {at}"));
    }
}

#[test]
fn what_was_prepared_on_a_refused_write_is_refused_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, files) = open_sim(dir.path());
    let repo = RepoName::state();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(store.commit(&repo, write("a", "1"))).unwrap();
    let gate = files.gate.lock().unwrap();
    let from = files.counts().0;
    // The first holds the writer in its sync; those behind it meet no room.
    *files.full.lock().unwrap() = from + 1..from + 2;
    let first = runtime.spawn({
        let (store, repo) = (store.clone(), repo.clone());
        async move { store.commit(&repo, write("b", "2")).await }
    });
    while files.counts().0 == from {
        std::thread::yield_now();
    }
    let behind: Vec<_> = (0..5)
        .map(|n| {
            let (store, repo) = (store.clone(), repo.clone());
            // The same content in all: none may rest on what another lent.
            runtime.spawn(async move { store.commit(&repo, write(&format!("c{n}"), "same")).await })
        })
        .collect();
    let open = store.inner.shared.repository(&repo).unwrap();
    while open.prepare().revision < Revision(7) {
        std::thread::yield_now();
    }
    drop(gate);
    assert_eq!(runtime.block_on(first).unwrap().unwrap().revision, Revision(2));
    for one in behind {
        assert!(matches!(runtime.block_on(one).unwrap(), Err(StoreError::Full)));
    }
    let head = runtime.block_on(store.commit(&repo, write("c9", "same"))).unwrap();
    assert_eq!(head.revision, Revision(3));
    assert_eq!(store.tree(&repo, Revision(3)).unwrap().source.files.len(), 3);
    drop((open, store));
    proves(dir.path(), &[Ok(head)], "behind");
}

#[tokio::test]
async fn versions_of_a_large_folder_cost_what_changed() {
    let dir = tempfile::tempdir().unwrap();
    let (store, files) = open_sim(dir.path());
    let repo = RepoName::state();
    let upsert = |n: u32| Change::Upsert(path(&format!("many/file-{n:05}")), Bytes::from("x"));
    let many = NewCommit { changes: (0..5000).map(upsert).collect(), ..write("a", "") };
    store.commit(&repo, many).await.unwrap();
    store.close().await.unwrap();
    let written = |from: usize| -> usize {
        let bytes = |op: &Op| if let Op::Append(_, bytes) = op { bytes.len() } else { 0 };
        files.log()[from..].iter().map(bytes).sum()
    };
    let before = files.log().len();
    for n in 0..40 {
        store.commit(&repo, write(&format!("many/file-{:05}", n * 97), "y")).await.unwrap();
    }
    // A blob, a root, a commit, what changed in the folder, who and why.
    assert!(written(before) / 40 < 2000, "{} in the journal", written(before) / 40);
    store.close().await.unwrap();
    store.packed().await.unwrap();
    for n in 0..12 {
        store.commit(&repo, write(&format!("many/file-{:05}", n * 89), "z")).await.unwrap();
        store.close().await.unwrap();
        store.packed().await.unwrap();
    }
    let folder = store.git_dir(&repo).join("objects/pack");
    let sizes = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().metadata().unwrap().len());
    let total: u64 = sizes.sum();
    // The listing itself has 180 kB, of which half can't be compressed.
    assert!(total < 1_600_000, "{total} for 53 versions");
    git(&store.git_dir(&repo), &["fsck", "--strict"]);
    assert_eq!(git(&store.git_dir(&repo), &["rev-list", "--count", "main"]), "53");
    for revision in [1, 2, 20, 41, 53] {
        assert_eq!(store.tree(&repo, Revision(revision)).unwrap().source.files.len(), 5000);
    }
    assert_eq!(store.read(&repo, Revision(53), &path("many/file-00089")).unwrap(), "z");
}

#[tokio::test]
async fn a_tree_made_from_another_is_the_tree_that_is_read() {
    let (dir, upstream) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let up = upstream.path();
    git(up, &["init", "-q", "-b", "main"]);
    let put = |file: &str, text: &str| {
        let file = up.join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    };
    let commit = || {
        git(up, &["add", "-A"]);
        git(up, &["commit", "-q", "--allow-empty", "-m", "change"]);
    };
    let run = |words: &[&str]| drop(git(up, words));
    let steps: [&dyn Fn(); 9] = [
        &|| put("a/b/c.yaml", "1"),
        &|| (0..40).for_each(|n| put(&format!("many/f{n}"), "x")),
        &|| put("a/b/c.yaml", "2"),
        &|| run(&["mv", "many", "other"]),
        &|| {
            put("tool", "#!/bin/sh");
            run(&["add", "tool"]);
            run(&["update-index", "--chmod=+x", "tool"]);
        },
        // A folder where a file was.
        &|| {
            std::fs::remove_file(up.join("a/b/c.yaml")).unwrap();
            put("a/b/c.yaml/d", "3");
        },
        &|| std::os::unix::fs::symlink("a", up.join("link")).unwrap(),
        &|| put("large", &"x".repeat(5000)),
        &|| std::fs::remove_file(up.join("link")).unwrap(),
    ];
    let options = StoreOptions { file_bytes_max: 4096, ..StoreOptions::default() };
    let store = Store::open(dir.path(), options).unwrap();
    let repo = RepoName::new("mesh/config").unwrap();
    store.create(&repo).await.unwrap();
    for step in steps {
        step();
        commit();
        store.import(&repo, &head_of(up)).await.unwrap();
    }
    let last = store.head(&repo).unwrap().revision.0;
    assert!(last >= steps.len() as u64);
    for (from, to) in (0..=last).flat_map(|from| (0..=last).map(move |to| (from, to))) {
        let before = store.tree(&repo, Revision(from)).unwrap();
        let whole = store.tree(&repo, Revision(to)).unwrap();
        let made = store.tree_on(&repo, Revision(to), (Revision(from), &before)).unwrap();
        assert_eq!(made.source, whole.source, "{from} → {to}");
        assert_eq!(made.skipped, whole.skipped, "{from} → {to}");
    }
}
