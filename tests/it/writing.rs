//! Writing judged by stock `git`: changes in order against a plain map of
//! files, names, preconditions under concurrency, merges, quotas.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use convoy::content;
use convoy::model::{
    Actor, BlobId, Change, Effect, FilePath, FileState, Markup, Origin, Person, Precondition,
    RepoName, Revision, Via,
};
use convoy::store::{Head, NewCommit, Quota, Store, StoreError, StoreOptions, Usage};
use jiff::Timestamp;
use serde_json::json;
use tokio::task::JoinSet;

use crate::harness::random::Random;

fn path(text: &str) -> FilePath {
    FilePath::new(text).unwrap()
}

fn upsert(file: &str, content: &str) -> Change {
    Change::Upsert(path(file), Bytes::copy_from_slice(content.as_bytes()))
}

fn rename(from: &str, to: &str) -> Change {
    Change::Rename { from: path(from), to: path(to) }
}

fn remove(file: &str) -> Change {
    Change::Remove(path(file))
}

fn new_commit(changes: Vec<Change>) -> NewCommit {
    let author = ("Ada".into(), "ada@example.com".into());
    let time = Timestamp::from_second(1_700_000_000).unwrap();
    NewCommit::new(Origin::system(), author, time, "change things", changes)
}

/// A repository and its store, in a folder that goes with it.
struct Bench {
    _dir: tempfile::TempDir,
    store: Store,
    repo: RepoName,
}

impl Bench {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
        let repo = RepoName::new("mesh/config").unwrap();
        store.create(&repo).await.unwrap();
        Self { _dir: dir, store, repo }
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<Head, StoreError> {
        self.store.commit(&self.repo, new_commit(changes)).await
    }

    async fn require(
        &self,
        changes: Vec<Change>,
        require: Vec<(&str, FileState)>,
        merge: bool,
    ) -> Result<Head, StoreError> {
        let one = |(file, state): (&str, FileState)| Precondition { path: path(file), state };
        let require = require.into_iter().map(one).collect();
        let new = NewCommit { require, merge, ..new_commit(changes) };
        self.store.commit(&self.repo, new).await
    }

    fn text(&self, file: &str) -> Option<String> {
        let head = self.store.head(&self.repo).unwrap().revision;
        let read = self.store.read(&self.repo, head, &path(file));
        read.ok().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }

    fn files(&self) -> BTreeMap<String, String> {
        let head = self.store.head(&self.repo).unwrap().revision;
        let tree = self.store.tree(&self.repo, head).unwrap().source;
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        tree.files.iter().map(|(path, bytes)| (path.to_string(), text(bytes))).collect()
    }

    async fn git(&self, args: &[&str]) -> String {
        self.store.close().await.unwrap();
        String::from_utf8(git(&self.store.git_dir(&self.repo), args, None)).unwrap()
    }

    async fn is_sound(&self) {
        assert_eq!(self.git(&["fsck", "--strict", "--full"]).await, "");
    }
}

fn git(dir: &Path, args: &[&str], input: Option<&[u8]>) -> Vec<u8> {
    use std::io::Write as _;
    let mut child = Command::new("git")
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.unwrap_or_default()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[tokio::test]
async fn changes_see_what_those_before_them_left() {
    let bench = Bench::start().await;
    let patch = json!([{"op": "replace", "path": "/n", "value": 2}]);
    bench
        .commit(vec![
            upsert("a.json", "{\"n\": 1}"),
            Change::PatchJson(path("a.json"), patch),
            rename("a.json", "dir/b.json"),
            upsert("dir/c.txt", "one\ntwo\n"),
            Change::PatchText(path("dir/c.txt"), "@@ -1,2 +1,2 @@\n one\n-two\n+2\n".into()),
            rename("dir", "moved"),
            upsert("dir", "a file now"),
            upsert("gone", "x"),
            remove("gone"),
            upsert("twice", "1"),
            upsert("twice", "2"),
        ])
        .await
        .unwrap();
    let expect = [
        ("dir", "a file now"),
        ("moved/b.json", "{\n  \"n\": 2\n}\n"),
        ("moved/c.txt", "one\n2\n"),
        ("twice", "2"),
    ];
    let expect = expect.map(|(path, text)| (path.to_owned(), text.to_owned()));
    assert_eq!(bench.files(), BTreeMap::from(expect.clone()));
    bench.commit(vec![remove("moved"), remove("dir"), upsert("dir/x", "1")]).await.unwrap();
    bench.commit(vec![upsert("y", "1"), Change::Restore(Revision(1))]).await.unwrap();
    assert_eq!(bench.files(), BTreeMap::from(expect));
    let all =
        vec![Change::Restore(Revision(2)), rename("dir/x", "z"), Change::Restore(Revision(0))];
    bench.commit(all).await.unwrap();
    assert!(bench.files().is_empty());
    bench.is_sound().await;
}

#[tokio::test]
async fn what_does_not_fit_is_told_apart_and_nothing_is_written() {
    let bench = Bench::start().await;
    bench.commit(vec![upsert("dir/a.json", "{}"), upsert("file", "1")]).await.unwrap();
    let unfit = [
        (vec![rename("none", "x")], "`none` can't be renamed: it is not there"),
        (vec![rename("file", "dir/a.json")], "`dir/a.json` is there already"),
        (vec![rename("file", "dir")], "`dir` is there already"),
        (vec![rename("file", "file")], "`file` is there already"),
        (vec![rename("dir/a.json", "dir")], "`dir` is there already"),
        (vec![rename("dir", "dir/b")], "`dir` can't be moved to `dir/b`, which is within it"),
        (vec![rename("dir", "file/x")], "`file` on its way is a file"),
        (vec![Change::PatchText(path("none"), "@@ -1 +1 @@\n-a\n+b\n".into())], "no such file"),
        (vec![Change::PatchJson(path("dir"), json!([]))], "no such file"),
        (vec![upsert("ok", "1"), remove("none")], "it is not there"),
        (vec![remove("dir"), remove("dir/a.json")], "it is not there"),
    ];
    for (changes, part) in unfit {
        let previewed = bench.store.preview(&bench.repo, Revision(1), &changes).unwrap_err();
        let error = bench.commit(changes).await.unwrap_err();
        assert!(matches!(error, StoreError::Unfit(_)), "{error:?}");
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!(previewed.to_string(), error.to_string());
    }
    let content = [
        Change::PatchJson(path("dir/a.json"), json!([{"op": "remove", "path": "/x"}])),
        Change::PatchText(path("file"), "@@ -1 +1 @@\n-other\n+b\n".into()),
        Change::PatchText(path("file"), "nonsense".into()),
    ];
    for change in content {
        let error = bench.commit(vec![change]).await.unwrap_err();
        assert!(matches!(error, StoreError::Content { .. }), "{error:?}");
    }
    let error = bench.commit(vec![Change::Restore(Revision(9))]).await.unwrap_err();
    assert!(matches!(error, StoreError::NoRevision { .. }), "{error:?}");
    let error =
        bench.commit(vec![rename("file", ".git~"), rename("dir", "git~1")]).await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid(_)), "{error:?}");
    for changes in
        [vec![], vec![upsert("file", "1")], vec![rename("file", "x"), rename("x", "file")]]
    {
        let error = bench.commit(changes.clone()).await.unwrap_err();
        assert!(matches!(error, StoreError::Empty(_)), "{error:?}");
        assert!(bench.store.preview(&bench.repo, Revision(1), &changes).unwrap().is_empty());
    }
    assert_eq!(bench.store.head(&bench.repo).unwrap().revision, Revision(1));
    assert_eq!(bench.files().len(), 2);
}

#[tokio::test]
async fn a_commit_may_change_nothing_if_it_says_so() {
    let bench = Bench::start().await;
    for _ in 0..2 {
        let new = NewCommit { allow_empty: true, ..new_commit(Vec::new()) };
        bench.store.commit(&bench.repo, new).await.unwrap();
    }
    assert_eq!(bench.store.head(&bench.repo).unwrap().revision, Revision(2));
    bench.is_sound().await;
}

#[tokio::test]
async fn every_name_that_git_takes_can_be_written() {
    let bench = Bench::start().await;
    let long = "x".repeat(255);
    let longer = "ü".repeat(400);
    let deep = format!("{}x", "d/".repeat(1500));
    let names = [
        "a\\b",
        "c:\\x",
        " ",
        "a b",
        ".gitignore",
        ".gitattributes",
        "..a",
        "...",
        "-",
        "git~2",
        ".github/x",
        "a.git",
        "\u{1f600}/ü",
        "\n",
        "\t",
        "\u{7f}",
        "*?[x]",
        "a,b",
        "con",
        "aux.",
        "x\\",
        "\\",
        ":",
        "\"",
        "'",
        "a.b",
        "a/b",
        "a0",
        "~",
        "#",
        "%2f",
        &long,
        &longer,
        &deep,
        "e\u{301}",
        "é",
    ];
    let changes = names.iter().map(|name| upsert(name, name)).collect();
    bench.commit(changes).await.unwrap();
    // Once more, one by one, so that each is found and spliced among the others.
    for name in names {
        bench.commit(vec![upsert(name, "2")]).await.unwrap();
    }
    bench.is_sound().await;
    let listed = bench.git(&["ls-tree", "-r", "-z", "--name-only", "HEAD"]).await;
    let listed: BTreeSet<&str> = listed.split_terminator('\0').collect();
    assert_eq!(listed, names.into_iter().collect());
    assert!(bench.files().values().all(|text| text == "2"));
    bench.commit(names.iter().map(|name| remove(name)).collect()).await.unwrap();
    assert!(bench.files().is_empty());
    bench.is_sound().await;
}

#[tokio::test]
async fn modes_are_kept_where_files_move() {
    let bench = Bench::start().await;
    bench.commit(vec![upsert("a", "1")]).await.unwrap();
    bench.store.close().await.unwrap();
    let dir = bench.store.git_dir(&bench.repo);
    let blob =
        String::from_utf8(git(&dir, &["hash-object", "-w", "--stdin"], Some(b"run"))).unwrap();
    let blob = blob.trim();
    let inner = format!("100755 blob {blob}\trun\n120000 blob {blob}\tlink\n");
    let tree = String::from_utf8(git(&dir, &["mktree"], Some(inner.as_bytes()))).unwrap();
    let outer = format!("040000 tree {}\tbin\n", tree.trim());
    let tree = String::from_utf8(git(&dir, &["mktree"], Some(outer.as_bytes()))).unwrap();
    let who = ["-c", "user.name=U", "-c", "user.email=u@x"];
    let mut args = who.to_vec();
    args.extend(["commit-tree", tree.trim(), "-p", "main", "-m", "modes"]);
    let head = String::from_utf8(git(&dir, &args, None)).unwrap();
    let fetched =
        convoy::model::Fetched { git_dir: dir.clone(), head: head.trim().parse().unwrap() };
    bench.store.import(&bench.repo, &fetched).await.unwrap();
    bench.commit(vec![rename("bin", "sbin"), upsert("sbin/run", "new")]).await.unwrap();
    bench.commit(vec![rename("sbin/run", "run")]).await.unwrap();
    bench
        .commit(vec![Change::PatchText(
            path("run"),
            "@@ -1 +1 @@\n-new\n\\ No newline at end of file\n+newer\n".into(),
        )])
        .await
        .unwrap();
    let listed = bench.git(&["ls-tree", "-r", "HEAD"]).await;
    let modes: Vec<_> =
        listed.lines().map(|line| (&line[..6], line.split('\t').nth(1).unwrap())).collect();
    assert_eq!(modes, [("100755", "run"), ("120000", "sbin/link")]);
    bench.is_sound().await;
}

/// A plain map of files, changed as the store should.
#[derive(Debug, Clone, Default)]
struct Model {
    files: BTreeMap<String, String>,
}

impl Model {
    fn below(&self, at: &str) -> Vec<String> {
        let is_below = |path: &&String| **path == at || path.starts_with(&format!("{at}/"));
        self.files.keys().filter(is_below).cloned().collect()
    }

    /// `None` where the change doesn't fit.
    fn apply(&mut self, change: &Change, revisions: &[Self]) -> Option<()> {
        let free = |files: &BTreeMap<String, String>, to: &str| {
            let parents = to.match_indices('/').map(|(at, _)| &to[..at]);
            parents.into_iter().all(|parent| !files.contains_key(parent))
        };
        match change {
            Change::Upsert(path, content) => {
                let path = path.as_str();
                let folder = self.below(path).iter().any(|found| found != path);
                if folder || !free(&self.files, path) {
                    return None;
                }
                self.files.insert(path.into(), String::from_utf8_lossy(content).into());
            }
            Change::Remove(path) => {
                let gone = self.below(path.as_str());
                if gone.is_empty() {
                    return None;
                }
                gone.iter().for_each(|path| drop(self.files.remove(path)));
            }
            Change::Rename { from, to } => {
                let (from, to) = (from.as_str(), to.as_str());
                let moved = self.below(from);
                let within = to.starts_with(&format!("{from}/"));
                if moved.is_empty() || !self.below(to).is_empty() || within {
                    return None;
                }
                let taken: Vec<_> =
                    moved.iter().map(|path| (path, self.files.remove(path).unwrap())).collect();
                if !free(&self.files, to) {
                    return None;
                }
                for (path, text) in taken {
                    self.files.insert(format!("{to}{}", &path[from.len()..]), text);
                }
            }
            Change::Restore(Revision(revision)) => {
                self.files = revisions[usize::try_from(*revision).unwrap()].files.clone();
            }
            Change::PatchJson(..) | Change::PatchText(..) => return None,
        }
        Some(())
    }
}

fn random_change(random: &mut Random, revisions: usize) -> Change {
    let names = ["a", "b", "a.b", "a0", "c"];
    let place = |random: &mut Random| {
        let depth = 1 + random.below(3);
        let parts: Vec<_> = (0..depth).map(|_| *random.pick(&names)).collect();
        path(&parts.join("/"))
    };
    match random.below(20) {
        0..10 => Change::Upsert(place(random), format!("{}", random.below(9)).into()),
        10..14 => Change::Remove(place(random)),
        14..19 => Change::Rename { from: place(random), to: place(random) },
        _ => Change::Restore(Revision(random.below(revisions as u64))),
    }
}

fn expected_effects(before: &Model, after: &Model) -> Vec<Effect> {
    let paths: BTreeSet<_> = before.files.keys().chain(after.files.keys()).collect();
    let bytes = |model: &Model, path: &str| model.files.get(path).cloned().map(Bytes::from);
    let effect = |path: &String| Effect {
        path: FilePath::new(path).unwrap(),
        before: bytes(before, path),
        after: bytes(after, path),
    };
    let effects = paths.into_iter().map(effect);
    effects.filter(|effect| effect.before != effect.after).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn random_commits_come_to_what_a_plain_map_says() {
    let mut random = Random::seeded("random_commits");
    let bench = Bench::start().await;
    let mut revisions = vec![Model::default()];
    for _ in 0..400 {
        let count = 1 + random.below(6);
        let head = revisions.last().unwrap().clone();
        let mut next = head.clone();
        let changes: Vec<_> =
            (0..count).map(|_| random_change(&mut random, revisions.len())).collect();
        let fits = changes.iter().all(|change| next.apply(change, &revisions).is_some());
        let base = Revision(revisions.len() as u64 - 1);
        let previewed = bench.store.preview(&bench.repo, base, &changes);
        let done = bench.commit(changes.clone()).await;
        match (fits, done) {
            (true, Ok(_)) => {
                assert_eq!(previewed.unwrap(), expected_effects(&head, &next), "{changes:?}");
                revisions.push(next);
            }
            (true, Err(StoreError::Empty(_))) => {
                assert_eq!(head.files, next.files, "{changes:?}");
                assert!(previewed.unwrap().is_empty());
            }
            (false, Err(StoreError::Unfit(_))) => assert!(previewed.is_err()),
            (fits, done) => panic!("{fits} {done:?} {changes:?} on {head:?}"),
        }
        assert_eq!(bench.files(), revisions.last().unwrap().files, "{changes:?}");
    }
    bench.is_sound().await;
    let heads: Vec<_> =
        bench.git(&["rev-list", "--reverse", "main"]).await.lines().map(str::to_owned).collect();
    assert_eq!(heads.len(), revisions.len() - 1);
    let paths: BTreeSet<_> = revisions.iter().flat_map(|model| model.files.keys()).collect();
    for file in paths {
        let infos = bench.store.history(&bench.repo, None, Some(&path(file)), 10_000).unwrap();
        let ours: Vec<_> = infos.iter().map(|info| info.revision.0).collect();
        let changed = |n: &u64| {
            // The path may have been a folder at times.
            let at = |n: u64| {
                let model = &revisions[usize::try_from(n).unwrap()];
                let below = model.below(file).into_iter();
                below.map(|path| (model.files[&path].clone(), path)).collect::<Vec<_>>()
            };
            at(*n) != at(*n - 1)
        };
        let expect: Vec<u64> = (1..revisions.len() as u64).rev().filter(changed).collect();
        assert_eq!(ours, expect, "{file}");
    }
}

#[tokio::test]
async fn single_files_are_checked_and_others_do_not_matter() {
    let bench = Bench::start().await;
    bench.commit(vec![upsert("a", "1"), upsert("b", "1")]).await.unwrap();
    bench.commit(vec![upsert("b", "2")]).await.unwrap();
    let blob = |file: &str| {
        let head = bench.store.head(&bench.repo).unwrap().revision;
        bench.store.file(&bench.repo, head, &path(file)).unwrap().blob
    };
    let as_of = |n: u64| FileState::AsOf(Revision(n));
    let other = BlobId([7; 20]);
    // What holds.
    bench.require(vec![upsert("a", "2")], vec![("a", as_of(1))], false).await.unwrap();
    let state = FileState::Content(blob("a"));
    bench.require(vec![upsert("a", "3")], vec![("a", state)], false).await.unwrap();
    let absent = vec![("new", FileState::Absent), ("never", as_of(1)), ("never", as_of(0))];
    bench.require(vec![upsert("new", "1")], absent, false).await.unwrap();
    // What doesn't.
    for (file, state, part) in [
        ("a", as_of(1), "`a` in `mesh/config` was changed after revision 1"),
        ("new", as_of(1), "`new` in `mesh/config` was made after revision 1"),
        ("a", FileState::Absent, "is there already"),
        ("none", FileState::Content(other), "is not there"),
        ("a", FileState::Content(other), "not 0707"),
    ] {
        let error = bench.require(vec![upsert("a", "9")], vec![(file, state)], false).await;
        let error = error.unwrap_err();
        assert!(matches!(&error, StoreError::Stale { head: Revision(5), .. }), "{error:?}");
        assert!(error.to_string().contains(part), "{error}");
    }
    bench.commit(vec![remove("a")]).await.unwrap();
    let error = bench.require(vec![upsert("a", "9")], vec![("a", as_of(5))], true).await;
    assert!(error.unwrap_err().to_string().contains("was removed after revision 5"));
    let error = bench.require(vec![upsert("b", "9")], vec![("b", as_of(99))], true).await;
    assert!(matches!(error, Err(StoreError::NoRevision { .. })), "{error:?}");
    // Content that changed and changed back is as it was.
    bench.commit(vec![upsert("b", "x")]).await.unwrap();
    bench.commit(vec![upsert("b", "2")]).await.unwrap();
    bench.require(vec![upsert("b", "3")], vec![("b", as_of(2))], false).await.unwrap();
}

#[tokio::test]
async fn edits_of_different_lines_are_merged_if_asked_for() {
    let bench = Bench::start().await;
    bench.commit(vec![upsert("f", "1\n2\n3\n4\n5\n")]).await.unwrap();
    bench.commit(vec![upsert("f", "one\n2\n3\n4\n5\n")]).await.unwrap();
    let as_of = vec![("f", FileState::AsOf(Revision(1)))];
    let edit = || vec![upsert("f", "1\n2\n3\n4\nfive\n")];
    let error = bench.require(edit(), as_of.clone(), false).await.unwrap_err();
    assert!(matches!(error, StoreError::Stale { .. }), "{error:?}");
    bench.require(edit(), as_of.clone(), true).await.unwrap();
    assert_eq!(bench.text("f").unwrap(), "one\n2\n3\n4\nfive\n");
    let clash = bench.require(vec![upsert("f", "eins\n2\n3\n4\n5\n")], as_of, true).await;
    let Err(StoreError::Clash { marked, head, .. }) = clash else { panic!("{clash:?}") };
    assert_eq!(head, Revision(3));
    let expect = "<<<<<<< revision 3\none\n||||||| revision 1\n1\n=======\neins\n>>>>>>> your edit\n2\n3\n4\nfive\n";
    assert_eq!(marked, expect);
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_of_different_files_never_collide() {
    const WRITERS: u64 = 16;
    const WRITES: u64 = 20;
    let bench = Arc::new(Bench::start().await);
    let mut tasks = JoinSet::new();
    for writer in 0..WRITERS {
        let bench = Arc::clone(&bench);
        tasks.spawn(async move {
            let file = format!("dir{}/{writer}", writer % 3);
            let mut seen = Revision(0);
            for n in 0..WRITES {
                let require = vec![(&*file, FileState::AsOf(seen))];
                let change = vec![upsert(&file, &format!("{n}"))];
                seen = bench.require(change, require, false).await.unwrap().revision;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let head = bench.store.head(&bench.repo).unwrap().revision;
    assert_eq!(head, Revision(WRITERS * WRITES));
    assert!(bench.files().values().all(|text| *text == format!("{}", WRITES - 1)));
    bench.is_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_of_one_file_never_lose_a_line() {
    const WRITERS: u64 = 8;
    const WRITES: u64 = 15;
    let bench = Arc::new(Bench::start().await);
    let anchors: String = (0..WRITERS).map(|writer| format!("# {writer}\n\n\n")).collect();
    bench.commit(vec![upsert("log", &anchors)]).await.unwrap();
    let mut tasks = JoinSet::new();
    for writer in 0..WRITERS {
        let bench = Arc::clone(&bench);
        tasks.spawn(async move {
            let mut random = Random::seeded(&format!("writer {writer}"));
            for n in 0..WRITES {
                loop {
                    let head = bench.store.head(&bench.repo).unwrap().revision;
                    let read = bench.store.read(&bench.repo, head, &path("log")).unwrap();
                    let text = String::from_utf8(read.to_vec()).unwrap();
                    // Mostly below one's own heading, at times at the end,
                    // where everybody writes.
                    let line = format!("{writer}-{n}\n");
                    let text = match random.below(3) {
                        0 => format!("{text}{line}"),
                        _ => {
                            let at = format!("# {writer}\n");
                            text.replacen(&at, &format!("{at}{line}"), 1)
                        }
                    };
                    let require = vec![("log", FileState::AsOf(head))];
                    match bench.require(vec![upsert("log", &text)], require, true).await {
                        Ok(_) => break,
                        Err(StoreError::Clash { .. }) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let text = bench.text("log").unwrap();
    for writer in 0..WRITERS {
        for n in 0..WRITES {
            let line = format!("{writer}-{n}");
            assert_eq!(text.lines().filter(|found| **found == *line).count(), 1, "{line}\n{text}");
        }
    }
    bench.is_sound().await;
}

/// What `git merge-file` makes of three texts; `None` where it conflicts.
fn merge_file(dir: &Path, base: &str, ours: &str, theirs: &str) -> Option<String> {
    for (name, text) in [("base", base), ("ours", ours), ("theirs", theirs)] {
        std::fs::write(dir.join(name), text).unwrap();
    }
    let output = Command::new("git")
        .args(["merge-file", "-p", "-q", "ours", "base", "theirs"])
        .current_dir(dir)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    output.status.success().then_some(text)
}

fn edited(random: &mut Random, base: &[String], mark: &str) -> Vec<String> {
    let mut lines = base.to_vec();
    for n in 0..=random.below(3) {
        let at = usize::try_from(random.below(lines.len() as u64 + 1)).unwrap();
        match random.below(3) {
            0 => lines.insert(at, format!("{mark}{n}")),
            1 if at < lines.len() => drop(lines.remove(at)),
            _ if at < lines.len() => lines[at] = format!("{mark}{n}"),
            _ => lines.push(format!("{mark}{n}")),
        }
    }
    lines
}

#[test]
fn merges_are_those_of_git() {
    let mut random = Random::seeded("merges");
    let dir = tempfile::tempdir().unwrap();
    let text = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let (mut merged, mut clashed) = (0, 0);
    for _ in 0..400 {
        let base: Vec<_> = (0..random.below(12)).map(|n| format!("line {n}")).collect();
        let ours = edited(&mut random, &base, "ours");
        let theirs = edited(&mut random, &base, "theirs");
        let (base, ours, theirs) = (text(&base), text(&ours), text(&theirs));
        let expect = merge_file(dir.path(), &base, &ours, &theirs);
        match (content::merge_three(&base, &ours, &theirs), expect) {
            (Ok(text), Some(expect)) => {
                assert_eq!(text, expect, "{base:?} {ours:?} {theirs:?}");
                merged += 1;
            }
            (Err(conflict), None) => {
                for line in
                    ours.lines().chain(theirs.lines()).filter(|line| !line.starts_with("line"))
                {
                    assert!(conflict.marked.lines().any(|found| found == line), "{line} is lost");
                }
                clashed += 1;
            }
            (ours_says, git_says) => {
                panic!("{ours_says:?}, git {git_says:?}: {base:?} {ours:?} {theirs:?}")
            }
        }
    }
    assert!(merged > 50 && clashed > 50, "{merged} {clashed}");
}

#[tokio::test]
async fn who_committed_stands_in_the_commit_beside_its_message() {
    let bench = Bench::start().await;
    let person = Person::new("ann").unwrap();
    let by = Origin {
        actor: Actor::person(person, Via::Api),
        name: "ann\n\"ü\"".into(),
        request: Some("r-1".into()),
    };
    let message = "  a title\n\nand\n\nmore \n\n";
    let new = NewCommit {
        by: by.clone(),
        markup: Markup::Markdown,
        message: message.into(),
        ..new_commit(vec![upsert("a", "1")])
    };
    bench.store.commit(&bench.repo, new).await.unwrap();
    bench.commit(vec![upsert("a", "2")]).await.unwrap();
    let info = bench.store.info(&bench.repo, Revision(1)).unwrap();
    assert_eq!((info.origin, info.markup, &*info.message), (Some(by), Markup::Markdown, message));
    let info = bench.store.info(&bench.repo, Revision(2)).unwrap();
    assert_eq!((info.origin, info.markup), (Some(Origin::system()), Markup::Plaintext));
    bench.is_sound().await;
    let raw = bench.git(&["cat-file", "commit", "HEAD~1"]).await;
    let headers: Vec<_> = raw.lines().skip(3).take(2).collect();
    assert!(headers[0].starts_with("convoy-origin {"), "{raw}");
    assert_eq!(headers[1], "convoy-markup MARKDOWN");
    let logged = bench.git(&["log", "--format=%B", "-1", "HEAD~1"]).await;
    assert!(!logged.contains("convoy-"), "{logged}");
}

#[tokio::test]
async fn quotas_bound_what_a_repository_holds_and_takes() {
    let bench = Bench::start().await;
    let Bench { store, repo, .. } = &bench;
    bench.commit(vec![upsert("a", "12345"), upsert("d/b", "12345")]).await.unwrap();
    assert_eq!(store.usage(repo).unwrap(), Usage { files: 2, bytes: 10 });
    let set = |quota: Quota| store.set_quota(repo, quota).unwrap();
    set(Quota {
        files_max: Some(3),
        bytes_max: Some(20),
        file_bytes_max: Some(8),
        ..Quota::default()
    });
    let refused = async |changes: Vec<Change>, part: &str| {
        let error = bench.commit(changes).await.unwrap_err();
        assert!(matches!(error, StoreError::Quota(_)), "{error:?}");
        assert!(error.to_string().contains(part), "{error}");
    };
    refused(vec![upsert("c", "123456789")], "`c` has 9 bytes").await;
    refused(vec![upsert("c", "1"), upsert("e", "1")], "would have 4 files; its quota is 3").await;
    refused(vec![upsert("c", "12345678"), upsert("a", "12345678")], "21 bytes").await;
    bench.commit(vec![upsert("c", "12345678"), rename("d", "x")]).await.unwrap();
    assert_eq!(store.usage(repo).unwrap(), Usage { files: 3, bytes: 18 });
    // Under a smaller quota it may shrink, and not grow.
    set(Quota { files_max: Some(1), ..Quota::default() });
    refused(vec![upsert("n", "1")], "quota").await;
    bench.commit(vec![remove("c")]).await.unwrap();
    bench.commit(vec![upsert("a", "other")]).await.unwrap();
    assert_eq!(store.usage(repo).unwrap(), Usage { files: 2, bytes: 10 });
    // Commits a minute; what is refused otherwise doesn't count.
    set(Quota { commits_per_minute_max: Some(2), ..Quota::default() });
    assert!(matches!(bench.commit(vec![]).await, Err(StoreError::Empty(_))));
    bench.commit(vec![upsert("a", "1")]).await.unwrap();
    bench.commit(vec![upsert("a", "2")]).await.unwrap();
    let error = bench.commit(vec![upsert("a", "3")]).await.unwrap_err();
    let StoreError::TooOften { per_minute: 2, wait_s, .. } = error else { panic!("{error:?}") };
    assert!((1..=30).contains(&wait_s), "{wait_s}");
    set(Quota::default());
    bench.commit(vec![upsert("a", "3")]).await.unwrap();
    assert!(store.set_quota(&RepoName::state(), Quota::default()).is_err());
}
