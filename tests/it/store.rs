//! The store judged by stock `git`, and by `kill -9`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test; a child tells its parent")]

use std::io::{BufRead as _, BufReader};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bytes::Bytes;
use convoy::model::{Change, CommitId, Fetched, FilePath, Origin, RepoName, Revision};
use convoy::store::{Head, Import, NewCommit, Store, StoreError, StoreOptions};
use jiff::Timestamp;

fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Grace", "-c", "user.email=grace@example.com"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_DATE", "1700000000 +0200")
        .env("GIT_COMMITTER_DATE", "1700000100 +0200")
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn path(text: &str) -> FilePath {
    FilePath::new(text).unwrap()
}

fn upsert(file: &str, content: &str) -> Change {
    Change::Upsert(path(file), Bytes::copy_from_slice(content.as_bytes()))
}

fn commit_of(changes: Vec<Change>) -> NewCommit {
    let author = ("Ada Lovelace".into(), "ada@example.com".into());
    let time = Timestamp::from_second(1_700_000_000).unwrap();
    NewCommit::new(Origin::system(), author, time, "change things\n\nwith a body", changes)
}

struct Bench {
    dir: tempfile::TempDir,
    store: Store,
    repo: RepoName,
}

impl Bench {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("data"), StoreOptions::default()).unwrap();
        let repo = RepoName::new("mesh/config").unwrap();
        store.create(&repo).await.unwrap();
        Self { dir, store, repo }
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<Head, StoreError> {
        self.store.commit(&self.repo, commit_of(changes)).await
    }

    /// Closes and opens again.
    async fn reopen(self) -> Self {
        self.store.close().await.unwrap();
        drop(self.store);
        let store = Store::open(&self.dir.path().join("data"), StoreOptions::default()).unwrap();
        Self { store, ..self }
    }

    fn upstream(&self) -> Upstream {
        let dir = self.dir.path().join("upstream");
        std::fs::create_dir(&dir).unwrap();
        git(&dir, &["init", "-q", "-b", "main"]);
        Upstream { dir }
    }

    /// What stock `git` says of the repository's own folder.
    async fn git(&self, args: &[&str]) -> String {
        self.store.close().await.unwrap();
        git(&self.store.git_dir(&self.repo), args)
    }

    fn commits(&self) -> Vec<String> {
        let infos = self.store.history(&self.repo, None, None, usize::MAX).unwrap();
        infos.iter().rev().map(|info| info.commit.to_string()).collect()
    }
}

struct Upstream {
    dir: PathBuf,
}

impl Upstream {
    fn commit(&self, file: &str, content: &str) -> String {
        if let Some(folder) = self.dir.join(file).parent() {
            std::fs::create_dir_all(folder).unwrap();
        }
        std::fs::write(self.dir.join(file), content).unwrap();
        git(&self.dir, &["add", "-A"]);
        git(&self.dir, &["commit", "-q", "-m", &format!("write {file}")]);
        git(&self.dir, &["rev-parse", "HEAD"])
    }

    fn fetched(&self) -> Fetched {
        let head = git(&self.dir, &["rev-parse", "HEAD"]).parse().unwrap();
        Fetched { git_dir: self.dir.join(".git"), head }
    }
}

fn revisions(range: std::ops::RangeInclusive<u64>) -> Import {
    Import::Imported(range.map(Revision).collect())
}

#[tokio::test]
async fn stock_git_reads_what_was_committed() {
    let bench = Bench::start().await;
    bench.commit(vec![upsert("a/b/c.yaml", "one"), upsert("z", "zed")]).await.unwrap();
    bench.commit(vec![upsert("a/b/c.yaml", "two"), Change::Remove(path("z"))]).await.unwrap();
    let head = bench.commit(vec![upsert("a.b", "sorts before a/")]).await.unwrap();
    assert_eq!(bench.git(&["fsck", "--strict", "--full"]).await, "");
    assert_eq!(bench.git(&["rev-parse", "HEAD"]).await, head.commit.unwrap().to_string());
    assert_eq!(bench.git(&["ls-tree", "-r", "--name-only", "HEAD"]).await, "a.b\na/b/c.yaml");
    assert_eq!(bench.git(&["show", "HEAD:a/b/c.yaml"]).await, "two");
    let line = bench.git(&["log", "-1", "--format=%an|%ae|%cn|%ce|%at|%s|%b"]).await;
    let expect = "Ada Lovelace|ada@example.com|Convoy|convoy@localhost|1700000000|\
                  change things|with a body";
    assert_eq!(line, expect);
}

#[tokio::test]
async fn what_was_committed_is_read_back_before_and_after_a_restart() {
    let mut bench = Bench::start().await;
    bench.commit(vec![upsert("a/x", "1"), upsert("b", "2")]).await.unwrap();
    bench.commit(vec![upsert("a/x", "3")]).await.unwrap();
    for _ in 0..2 {
        let Bench { store, repo, .. } = &bench;
        assert_eq!(store.head(repo).unwrap().revision, Revision(2));
        assert_eq!(store.read(repo, Revision(1), &path("a/x")).unwrap(), "1");
        assert_eq!(store.read(repo, Revision(2), &path("a/x")).unwrap(), "3");
        let tree = store.tree(repo, Revision(2)).unwrap();
        assert_eq!(tree.source.get("b").unwrap(), "2");
        assert_eq!(store.list(repo, Revision(2), "").unwrap(), [(path("a/x"), 1), (path("b"), 1)]);
        assert_eq!(store.list(repo, Revision(2), "a").unwrap(), [(path("a/x"), 1)]);
        assert_eq!(store.list(repo, Revision(2), "none").unwrap(), []);
        assert!(store.tree(repo, Revision(0)).unwrap().source.files.is_empty());
        let touched = store.history(repo, None, Some(&path("b")), 10).unwrap();
        assert_eq!(touched.iter().map(|info| info.revision.0).collect::<Vec<_>>(), [1]);
        let info = store.info(repo, Revision(2)).unwrap();
        assert_eq!((info.subject(), info.co_authors.len()), ("change things", 0));
        assert_eq!(store.revision_of(repo, &info.commit), Some(Revision(2)));
        bench = bench.reopen().await;
    }
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let bench = Bench::start().await;
    let Bench { store, repo, .. } = &bench;
    bench.commit(vec![upsert("a", "1")]).await.unwrap();
    let text = |error: StoreError| error.to_string();
    let none = RepoName::new("no/such").unwrap();
    assert_eq!(text(store.head(&none).unwrap_err()), "no repository `no/such`");
    let error = store.tree(repo, Revision(2)).unwrap_err();
    assert_eq!(text(error), "`mesh/config` has no revision 2");
    let error = store.read(repo, Revision(1), &path("a/b")).unwrap_err();
    assert_eq!(text(error), "`a/b` is not in revision 1 of `mesh/config`");
    let error = store.history(repo, Some(Revision(9)), None, 1).unwrap_err();
    assert_eq!(text(error), "`mesh/config` has no revision 9");
}

#[tokio::test]
async fn changes_that_do_not_fit_the_tree_are_refused() {
    let bench = Bench::start().await;
    bench.commit(vec![upsert("dir/a", "1"), upsert("file", "1")]).await.unwrap();
    let refused = [
        (vec![upsert("file/x", "1")], "`file` on its way is a file"),
        (vec![upsert("dir", "1")], "it is a folder"),
        (vec![Change::Remove(path("none"))], "`none` can't be removed: it is not there"),
        (vec![Change::Remove(path("dir/none"))], "it is not there"),
        (vec![Change::Remove(path("file/none"))], "it is not there"),
    ];
    for (changes, expect) in refused {
        let error = bench.commit(changes).await.unwrap_err();
        assert!(matches!(error, StoreError::Unfit(_)), "{error:?}");
        assert!(error.to_string().contains(expect), "{error}");
    }
    for name in ["a/GIT~1/x", ".g\u{200c}it/x", ".gitmodules"] {
        let error = bench.commit(vec![upsert(name, "1")]).await.unwrap_err();
        assert!(matches!(error, StoreError::Invalid(_)), "{error:?}");
        assert!(error.to_string().contains("Git keeps the name"), "{error}");
    }
    let error = bench.commit(vec![upsert("file", "1")]).await.unwrap_err();
    assert_eq!(error.to_string(), "the commit changes nothing in `mesh/config`");
    let large = bench.commit(vec![upsert("x", &"x".repeat((4 << 20) + 1))]).await.unwrap_err();
    assert!(matches!(large, StoreError::Limit(_)), "{large:?}");
    // A file that goes makes room for a folder, and the other way round.
    bench.commit(vec![Change::Remove(path("file")), upsert("file/x", "1")]).await.unwrap();
    bench.commit(vec![Change::Remove(path("dir/a")), upsert("dir", "1")]).await.unwrap();
    assert_eq!(bench.git(&["ls-tree", "-r", "--name-only", "HEAD"]).await, "dir\nfile/x");
    let all = vec![Change::Remove(path("dir")), Change::Remove(path("file/x"))];
    bench.commit(all).await.unwrap();
    assert_eq!(bench.git(&["fsck", "--strict"]).await, "");
}

#[tokio::test]
async fn every_commit_on_the_first_parent_line_becomes_one_revision() {
    let mut bench = Bench::start().await;
    let upstream = bench.upstream();
    let one = upstream.commit("a", "1");
    git(&upstream.dir, &["checkout", "-qb", "side"]);
    let side = upstream.commit("side", "s");
    git(&upstream.dir, &["checkout", "-q", "main"]);
    let two = upstream.commit("b", "2");
    git(&upstream.dir, &["merge", "-q", "--no-ff", "-m", "merge side", "side"]);
    let three = git(&upstream.dir, &["rev-parse", "HEAD"]);
    let fetched = upstream.fetched();
    assert_eq!(bench.store.import(&bench.repo, &fetched).await.unwrap(), revisions(1..=3));
    assert_eq!(bench.store.import(&bench.repo, &fetched).await.unwrap(), Import::UpToDate);
    let four = upstream.commit("c", "4");
    let watch = bench.store.watch(&bench.repo).unwrap();
    assert_eq!(
        bench.store.import(&bench.repo, &upstream.fetched()).await.unwrap(),
        revisions(4..=4)
    );
    assert_eq!(bench.store.head(&bench.repo).unwrap().revision, Revision(4));
    drop(watch);
    assert_eq!(bench.git(&["fsck", "--strict", "--full"]).await, "");
    for _ in 0..2 {
        assert_eq!(bench.commits(), [&*one, &*two, &*three, &*four]);
        let side: CommitId = side.parse().unwrap();
        assert_eq!(bench.store.revision_of(&bench.repo, &side), None);
        let info = bench.store.info(&bench.repo, Revision(3)).unwrap();
        assert_eq!((&*info.author_name, &*info.message), ("Grace", "merge side\n"));
        assert_eq!(info.time.as_second(), 1_700_000_000);
        let tree = bench.store.tree(&bench.repo, Revision(3)).unwrap();
        assert_eq!(tree.source.files.len(), 3);
        bench = bench.reopen().await;
    }
}

#[tokio::test]
async fn a_quarantine_that_borrows_our_objects_is_imported() {
    let bench = Bench::start().await;
    let upstream = bench.upstream();
    upstream.commit("a", "1");
    bench.store.import(&bench.repo, &upstream.fetched()).await.unwrap();
    upstream.commit("b", "2");
    let quarantine = bench.dir.path().join("quarantine");
    git(bench.dir.path(), &["init", "-q", "--bare", "quarantine"]);
    let ours = bench.store.git_dir(&bench.repo).join("objects");
    std::fs::write(quarantine.join("objects/info/alternates"), format!("{}\n", ours.display()))
        .unwrap();
    let from = upstream.dir.to_str().unwrap();
    git(&quarantine, &["fetch", "-q", from, "main"]);
    let fetched = Fetched { git_dir: quarantine, ..upstream.fetched() };
    assert_eq!(bench.store.import(&bench.repo, &fetched).await.unwrap(), revisions(2..=2));
    std::fs::remove_dir_all(&fetched.git_dir).unwrap();
    assert_eq!(bench.git(&["fsck", "--strict", "--full"]).await, "");
    assert_eq!(bench.store.tree(&bench.repo, Revision(2)).unwrap().source.files.len(), 2);
}

#[tokio::test]
async fn a_force_push_changes_nothing_until_a_person_adopts_it() {
    let mut bench = Bench::start().await;
    let upstream = bench.upstream();
    let one = upstream.commit("a", "1");
    let two = upstream.commit("b", "2");
    bench.store.import(&bench.repo, &upstream.fetched()).await.unwrap();
    git(&upstream.dir, &["reset", "-q", "--hard", "HEAD~1"]);
    let other = upstream.commit("c", "3");
    let more = upstream.commit("d", "4");
    let diverged = Import::Diverged { ours: two.parse().unwrap(), theirs: more.parse().unwrap() };
    let fetched = upstream.fetched();
    assert_eq!(bench.store.import(&bench.repo, &fetched).await.unwrap(), diverged);
    assert_eq!(bench.store.head(&bench.repo).unwrap().revision, Revision(2));
    assert_eq!(bench.store.adopt(&bench.repo, &fetched).await.unwrap(), revisions(3..=4));
    assert_eq!(bench.store.adopt(&bench.repo, &fetched).await.unwrap(), Import::UpToDate);
    let five = upstream.commit("e", "5");
    bench.store.import(&bench.repo, &upstream.fetched()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(bench.commits(), [&*one, &*two, &*other, &*more, &*five]);
        // What was replaced stays readable.
        assert!(bench.store.tree(&bench.repo, Revision(2)).unwrap().source.get("b").is_some());
        bench = bench.reopen().await;
        std::fs::remove_dir_all(bench.dir.path().join("data/index")).ok();
    }
    bench.git(&["gc", "-q", "--prune=now"]).await;
    bench = bench.reopen().await;
    assert!(bench.store.tree(&bench.repo, Revision(2)).unwrap().source.get("b").is_some());
}

#[tokio::test]
async fn an_adopted_rewind_is_the_old_commit_as_a_new_revision() {
    let mut bench = Bench::start().await;
    let upstream = bench.upstream();
    let one = upstream.commit("a", "1");
    let two = upstream.commit("b", "2");
    bench.store.import(&bench.repo, &upstream.fetched()).await.unwrap();
    git(&upstream.dir, &["reset", "-q", "--hard", "HEAD~1"]);
    let fetched = upstream.fetched();
    let diverged = bench.store.import(&bench.repo, &fetched).await.unwrap();
    assert!(matches!(diverged, Import::Diverged { .. }), "{diverged:?}");
    assert_eq!(bench.store.adopt(&bench.repo, &fetched).await.unwrap(), revisions(3..=3));
    git(&upstream.dir, &["reset", "-q", "--hard", &two]);
    let again = bench.store.import(&bench.repo, &upstream.fetched()).await.unwrap();
    assert_eq!(again, revisions(4..=4), "our own commit comes back");
    for _ in 0..2 {
        assert_eq!(bench.commits(), [&*one, &*two, &*one, &*two]);
        let commit = one.parse().unwrap();
        assert_eq!(bench.store.revision_of(&bench.repo, &commit), Some(Revision(3)));
        bench = bench.reopen().await;
        std::fs::remove_dir_all(bench.dir.path().join("data/index")).ok();
    }
    assert_eq!(bench.git(&["fsck", "--strict"]).await, "");
}

#[tokio::test]
async fn unrelated_history_is_adopted_whole() {
    let bench = Bench::start().await;
    bench.commit(vec![upsert("ours", "1")]).await.unwrap();
    bench.store.close().await.unwrap();
    let upstream = bench.upstream();
    upstream.commit("a", "1");
    upstream.commit("b", "2");
    let fetched = upstream.fetched();
    let import = bench.store.import(&bench.repo, &fetched).await.unwrap();
    assert!(matches!(import, Import::Diverged { .. }), "{import:?}");
    assert_eq!(bench.store.adopt(&bench.repo, &fetched).await.unwrap(), revisions(2..=3));
    assert_eq!(bench.store.read(&bench.repo, Revision(1), &path("ours")).unwrap(), "1");
    assert_eq!(bench.git(&["fsck", "--strict"]).await, "");
}

#[tokio::test]
async fn what_is_left_out_of_a_tree_is_reported() {
    let bench = Bench::start().await;
    let upstream = bench.upstream();
    std::os::unix::fs::symlink("a", upstream.dir.join("link")).unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"odd-\xff");
    std::fs::write(upstream.dir.join(odd), "x").unwrap();
    std::fs::write(upstream.dir.join("large"), vec![b'x'; 50 << 20]).unwrap();
    std::fs::write(upstream.dir.join("run"), "#!/bin/sh").unwrap();
    git(&upstream.dir, &["add", "-A"]);
    git(&upstream.dir, &["update-index", "--chmod=+x", "run"]);
    let submodule = format!("160000,{},vendor/lib", "1".repeat(40));
    git(&upstream.dir, &["update-index", "--add", "--cacheinfo", &submodule]);
    git(&upstream.dir, &["commit", "-qm", "odd things"]);
    bench.store.import(&bench.repo, &upstream.fetched()).await.unwrap();
    let tree = bench.store.tree(&bench.repo, Revision(1)).unwrap();
    assert_eq!(tree.source.files.keys().map(FilePath::as_str).collect::<Vec<_>>(), ["run"]);
    assert!(tree.source.executables.contains(&path("run")));
    let mut skipped: Vec<_> = tree
        .skipped
        .iter()
        .map(|problem| {
            assert!(problem.hint.is_some(), "{problem}");
            (problem.rule.as_str(), problem.place.file.as_str().to_owned())
        })
        .collect();
    skipped.sort();
    let expect = [
        ("file-too-large", "large".to_owned()),
        ("skipped-name", "odd-\\xff".into()),
        ("skipped-submodule", "vendor/lib".into()),
        ("skipped-symlink", "link".into()),
    ];
    assert_eq!(skipped, expect);
    let error = bench.store.read(&bench.repo, Revision(1), &path("large")).unwrap_err();
    assert!(matches!(error, StoreError::Limit(_)), "{error:?}");
}

#[tokio::test]
async fn a_tree_of_too_many_files_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { files_max: 10, ..StoreOptions::default() };
    let store = Store::open(dir.path(), options).unwrap();
    let repo = RepoName::state();
    let files = |range: std::ops::Range<u32>| {
        commit_of(range.map(|n| upsert(&format!("{n}"), "x")).collect())
    };
    store.commit(&repo, files(0..10)).await.unwrap();
    assert_eq!(store.tree(&repo, Revision(1)).unwrap().source.files.len(), 10);
    store.commit(&repo, files(10..11)).await.unwrap();
    let error = store.tree(&repo, Revision(2)).unwrap_err();
    let expect = "revision 2 of `@convoy/state` has more than 10 files";
    assert_eq!(error.to_string(), expect);
}

#[test]
fn a_folder_is_opened_once_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let error = Store::open(dir.path(), StoreOptions::default()).unwrap_err();
    assert!(error.to_string().contains("in use by another process"), "{error}");
    assert!(error.to_string().contains(dir.path().to_str().unwrap()), "{error}");
    drop(store);
    assert!(Store::open(dir.path(), StoreOptions::default()).is_ok());
}

#[tokio::test]
async fn stock_git_sees_commits_soon_without_a_stop() {
    let bench = Bench::start().await;
    let head = bench.commit(vec![upsert("a", "1")]).await.unwrap().commit.unwrap().to_string();
    let git_dir = bench.store.git_dir(&bench.repo);
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    let is_there = || {
        let refs = std::fs::read_to_string(git_dir.join("packed-refs"));
        refs.is_ok_and(|refs| refs.contains(&head))
    };
    while !is_there() {
        assert!(tokio::time::Instant::now() < deadline, "no checkpoint came");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(git(&git_dir, &["rev-parse", "main"]), head);
}

const CHILD_DIR: &str = "CONVOY_TEST_STORE_DIR";

/// Commits and tells what was acknowledged; with a folder in the environment
/// it goes on until it is killed.
#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_commits_are_told_one_by_one() {
    let fallback = tempfile::tempdir().unwrap();
    let given = std::env::var_os(CHILD_DIR);
    let dir = given.as_ref().map_or_else(|| fallback.path().to_owned(), PathBuf::from);
    let options = StoreOptions { checkpoint_bytes: 20_000, ..StoreOptions::default() };
    let store = Store::open(&dir, options).unwrap();
    let repo = RepoName::state();
    let start = store.head(&repo).unwrap().revision.0;
    let count = if given.is_some() { u64::MAX - start } else { 20 };
    for n in start..start + count {
        let change = vec![upsert(&format!("d{}/f", n % 7), &format!("{n}"))];
        let head = store.commit(&repo, commit_of(change)).await.unwrap();
        println!("\nacked {} {}", head.revision, head.commit.unwrap());
    }
    assert_eq!(store.head(&repo).unwrap().revision.0, start + count);
}

#[test]
fn a_killed_process_loses_nothing_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut acked: Vec<(Revision, CommitId)> = Vec::new();
    for round in 0..8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["store::acknowledged_commits_are_told_one_by_one", "--exact", "--nocapture"])
            .env(CHILD_DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let acks = lines.filter_map(|line| {
            let (revision, commit) = line.strip_prefix("acked ")?.split_once(' ')?;
            Some((revision.parse().unwrap(), commit.parse().unwrap()))
        });
        acked.extend(acks.take(5 + round * 13));
        child.kill().unwrap();
        child.wait().unwrap();
        let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
        let repo = RepoName::state();
        for (revision, commit) in &acked {
            assert_eq!(store.info(&repo, *revision).unwrap().commit, *commit);
        }
        git(&store.git_dir(&repo), &["fsck", "--strict", "--no-dangling"]);
    }
    assert!(acked.len() > 100);
}
