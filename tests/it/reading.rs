//! What the store says of its revisions, judged by stock `git` and by
//! comparing whole trees: histories, differences, listings, after restarts,
//! replays, imports, rewinds, and without an index.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use convoy::content::{Patterns, Scan};
use convoy::model::{Change, CommitId, Fetched, FilePath, Origin, RepoName, Revision};
use convoy::store::{FoundKind, HistoryQuery, NewCommit, Store, StoreError, StoreOptions};
use jiff::Timestamp;

use crate::harness::random::Random;

fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Grace", "-c", "user.email=grace@example.com"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn commit_of(changes: Vec<Change>) -> NewCommit {
    let author = ("Ada".into(), "ada@example.com".into());
    let time = Timestamp::from_second(1_700_000_000).unwrap();
    NewCommit::new(Origin::system(), author, time, "change", changes)
}

/// Names that make files and folders of the same name, and names that sort
/// apart as a file and as a folder.
const PARTS: [&str; 7] = ["a", "b", "a.b", "a-", "a0", "ü", "b.json"];

const PATTERNS: [&str; 14] = [
    "/a",
    "/a/b",
    "/a/**",
    "/**/a",
    "*.json",
    "/b/*",
    "/*/a",
    "/**",
    "/a/b.json,/b/**",
    "/a*/**",
    "/ü/**/b",
    "/nothing/**",
    "/a.b,/a-,/a0",
    "/*/*/*",
];

/// Mode and blob of each file, as `git` tells.
type Files = BTreeMap<String, (String, String)>;

/// Every revision's files; that of revision 0 are none.
struct Model(Vec<Files>);

impl Model {
    fn read(store: &Store, repo: &RepoName) -> Self {
        let mut all = vec![Files::new()];
        for n in 1..=store.head(repo).unwrap().revision.0 {
            let commit = store.info(repo, Revision(n)).unwrap().commit.to_string();
            let listing = git(&store.git_dir(repo), &["ls-tree", "-r", "-z", &commit]);
            let files = listing.split_terminator('\0').filter_map(|line| {
                let (what, path) = line.split_once('\t')?;
                let mut words = what.split(' ');
                let (mode, blob) = (words.next()?, words.nth(1)?);
                mode.starts_with("100").then(|| (path.into(), (mode.into(), blob.into())))
            });
            all.push(files.collect());
        }
        Self(all)
    }

    fn files(&self, revision: Revision) -> &Files {
        &self.0[usize::try_from(revision.0).unwrap()]
    }

    fn head(&self) -> Revision {
        Revision(self.0.len() as u64 - 1)
    }

    fn changed(&self, from: Revision, to: Revision, patterns: &Patterns) -> Vec<[String; 3]> {
        let (from, to) = (self.files(from), self.files(to));
        let mut paths: Vec<&String> = from.keys().chain(to.keys()).collect();
        paths.sort_unstable();
        paths.dedup();
        let blob = |at: Option<&(String, String)>| at.map_or(String::new(), |at| at.1.clone());
        paths
            .into_iter()
            .filter(|path| from.get(*path) != to.get(*path) && patterns.matches(&at(path)))
            .map(|path| [path.clone(), blob(from.get(path)), blob(to.get(path))])
            .collect()
    }

    fn history(&self, patterns: &Patterns) -> Vec<u64> {
        let touches = |n: &u64| {
            *patterns == Patterns::all()
                || !self.changed(Revision(n - 1), Revision(*n), patterns).is_empty()
        };
        (1..=self.head().0).rev().filter(touches).collect()
    }

    fn check(&self, store: &Store, repo: &RepoName, random: &mut Random) {
        for text in PATTERNS {
            let patterns = Patterns::new(text).unwrap();
            let (from, to) = (random.below(self.head().0 + 1), random.below(self.head().0 + 1));
            let (from, to) = (Revision(from), Revision(to));
            let changed = store.changed(repo, from, to, &patterns).unwrap();
            let told: Vec<[String; 3]> = changed
                .into_iter()
                .map(|one| {
                    let blob = |id: Option<_>| {
                        id.map_or(String::new(), |id: convoy::model::BlobId| id.to_string())
                    };
                    [one.path.to_string(), blob(one.before), blob(one.after)]
                })
                .collect();
            assert_eq!(told, self.changed(from, to, &patterns), "{text} {from}..{to}");
            self.check_history(store, repo, &patterns, random);
            self.check_found(store, repo, &patterns, to);
        }
    }

    fn check_history(
        &self,
        store: &Store,
        repo: &RepoName,
        patterns: &Patterns,
        random: &mut Random,
    ) {
        let expect = self.history(patterns);
        let ask = |newest: Option<u64>, oldest: Option<u64>, limit| {
            let query = HistoryQuery {
                newest: newest.map(Revision),
                oldest: oldest.map(Revision),
                patterns: patterns.clone(),
                limit,
            };
            let infos = store.history_of(repo, &query).unwrap();
            infos.iter().map(|info| info.revision.0).collect::<Vec<_>>()
        };
        assert_eq!(ask(None, None, usize::MAX), expect, "{}", patterns.as_str());
        let newest = random.below(self.head().0) + 1;
        let oldest = random.below(newest) + 1;
        let limit = usize::try_from(random.below(4)).unwrap();
        let within = |n: &&u64| (oldest..=newest).contains(*n);
        let slice: Vec<u64> = expect.iter().filter(within).take(limit).copied().collect();
        assert_eq!(ask(Some(newest), Some(oldest), limit), slice, "{}", patterns.as_str());
        if let Some(path) = patterns.literal() {
            let below = Patterns::new(&format!("/{path},/{path}/**")).unwrap();
            let infos = store.history(repo, None, Some(&path), usize::MAX).unwrap();
            let told: Vec<u64> = infos.iter().map(|info| info.revision.0).collect();
            assert_eq!(told, self.history(&below), "{path} as a file or folder");
        }
    }

    fn check_found(&self, store: &Store, repo: &RepoName, patterns: &Patterns, at: Revision) {
        let found = store.find(repo, at, patterns, false).unwrap();
        let told: BTreeMap<String, String> = found
            .iter()
            .map(|one| match &one.kind {
                FoundKind::File { blob, .. } => (one.path.to_string(), blob.to_string()),
                FoundKind::Folder => panic!("{} is a folder", one.path),
            })
            .collect();
        let files = self.files(at).iter().filter(|(path, _)| patterns.matches(&self::at(path)));
        let expect: BTreeMap<String, String> =
            files.map(|(path, (_, blob))| (path.clone(), blob.clone())).collect();
        assert_eq!(told, expect, "{} at {at}", patterns.as_str());
        for (path, (_, blob)) in self.files(at) {
            let file = store.file(repo, at, &self::at(path)).unwrap();
            assert_eq!(file.blob.to_string(), *blob);
            assert_eq!(store.blob(repo, &file.blob).unwrap(), file.content);
        }
    }
}

fn at(path: &str) -> FilePath {
    FilePath::new(path).unwrap()
}

/// Changes that fit what is there: a few files written and removed, some
/// making way for a folder of their name or the other way round.
fn changes(files: &mut BTreeMap<String, u64>, random: &mut Random) -> Vec<Change> {
    let before = files.clone();
    for _ in 0..=random.below(3) {
        let depth = random.below(3) + 1;
        let parts: Vec<&str> = (0..depth).map(|_| *random.pick(&PARTS)).collect();
        let path = parts.join("/");
        if random.below(4) == 0 {
            files.retain(|have, _| *have != path);
            continue;
        }
        let in_the_way = |have: &String| {
            have.starts_with(&format!("{path}/")) || path.starts_with(&format!("{have}/"))
        };
        files.retain(|have, _| !in_the_way(have));
        files.insert(path, random.below(3));
    }
    let gone = before.keys().filter(|path| !files.contains_key(*path));
    let mut changes: Vec<Change> = gone.map(|path| Change::Remove(at(path))).collect();
    for (path, content) in files.iter() {
        if before.get(path) != Some(content) {
            changes.push(Change::Upsert(at(path), Bytes::from(content.to_string())));
        }
    }
    changes
}

async fn commit_at_random(store: &Store, repo: &RepoName, random: &mut Random, count: usize) {
    let head = store.head(repo).unwrap().revision;
    let mut files: BTreeMap<String, u64> = store
        .tree(repo, head)
        .unwrap()
        .source
        .files
        .iter()
        .map(|(path, content)| {
            (path.to_string(), String::from_utf8_lossy(content).parse().unwrap())
        })
        .collect();
    for _ in 0..count {
        let changes = changes(&mut files, random);
        if !changes.is_empty() {
            store.commit(repo, commit_of(changes)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn what_is_told_of_revisions_is_what_git_tells() {
    let mut random = Random::seeded("reading");
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let open = || Store::open(&data, StoreOptions::default()).unwrap();
    let repo = RepoName::new("mesh/config").unwrap();
    let store = open();
    store.create(&repo).await.unwrap();
    commit_at_random(&store, &repo, &mut random, 25).await;
    store.close().await.unwrap();
    let model = Model::read(&store, &repo);
    model.check(&store, &repo, &mut random);
    drop(store);
    // From the index.
    let store = open();
    model.check(&store, &repo, &mut random);
    // Without a checkpoint: the journal is replayed.
    commit_at_random(&store, &repo, &mut random, 15).await;
    drop(store);
    let store = open();
    let model = Model::read(&store, &repo);
    model.check(&store, &repo, &mut random);
    drop(store);
    // From Git alone, and what was found there, saved.
    std::fs::remove_dir_all(data.join("index")).unwrap();
    for _ in 0..2 {
        let store = open();
        model.check(&store, &repo, &mut random);
    }
    // Parts of the index are older than others.
    let store = open();
    commit_at_random(&store, &repo, &mut random, 5).await;
    store.close().await.unwrap();
    Model::read(&store, &repo).check(&store, &repo, &mut random);
}

#[tokio::test]
async fn a_file_s_history_is_that_of_git_log() {
    let mut random = Random::seeded("git log");
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("data"), StoreOptions::default()).unwrap();
    let repo = RepoName::new("mesh/config").unwrap();
    store.create(&repo).await.unwrap();
    commit_at_random(&store, &repo, &mut random, 40).await;
    store.close().await.unwrap();
    let args = [
        "-c",
        "core.quotePath=false",
        "log",
        "--format=%x01%H",
        "--name-only",
        "--no-renames",
        "main",
    ];
    let log = git(&store.git_dir(&repo), &args);
    let mut by_path: BTreeMap<&str, Vec<CommitId>> = BTreeMap::new();
    for commit in log.split('\u{1}').skip(1) {
        let mut lines = commit.lines().filter(|line| !line.is_empty());
        let id: CommitId = lines.next().unwrap().parse().unwrap();
        lines.for_each(|path| by_path.entry(path).or_default().push(id));
    }
    assert!(by_path.len() > 5, "{by_path:?}");
    for (path, commits) in by_path {
        let patterns = Patterns::file(&at(path));
        let query = HistoryQuery { newest: None, oldest: None, patterns, limit: usize::MAX };
        let told = store.history_of(&repo, &query).unwrap();
        assert_eq!(told.iter().map(|info| info.commit).collect::<Vec<_>>(), commits, "{path}");
    }
}

/// An upstream with links, modes, and names that sort apart.
fn commit_upstream(
    up: &Path,
    random: &mut Random,
    files: &mut BTreeMap<String, u64>,
    count: usize,
) {
    for n in 0..count {
        changes(files, random);
        for entry in std::fs::read_dir(up).unwrap().map(Result::unwrap) {
            if entry.file_name() == ".git" {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                std::fs::remove_dir_all(entry.path()).unwrap();
            } else {
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
        for (path, content) in files.iter() {
            let file = up.join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, content.to_string()).unwrap();
            if random.below(3) == 0 {
                use std::os::unix::fs::PermissionsExt as _;
                std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        std::os::unix::fs::symlink(format!("{n}"), up.join("link")).unwrap();
        git(up, &["add", "-A"]);
        git(up, &["commit", "-q", "--allow-empty", "-m", &n.to_string()]);
    }
}

#[tokio::test]
async fn what_is_imported_and_rewound_is_told_by_what_readers_saw() {
    let mut random = Random::seeded("import");
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let up = dir.path().join("up");
    std::fs::create_dir(&up).unwrap();
    git(&up, &["init", "-q", "-b", "main"]);
    let fetched = || Fetched {
        git_dir: up.join(".git"),
        head: git(&up, &["rev-parse", "HEAD"]).trim().parse().unwrap(),
    };
    let store = Store::open(&data, StoreOptions::default()).unwrap();
    let repo = RepoName::new("mesh/config").unwrap();
    store.create(&repo).await.unwrap();
    let mut files = BTreeMap::new();
    commit_upstream(&up, &mut random, &mut files, 6);
    store.import(&repo, &fetched()).await.unwrap();
    commit_upstream(&up, &mut random, &mut files, 4);
    store.import(&repo, &fetched()).await.unwrap();
    // A rewind to a commit that was a revision already.
    git(&up, &["reset", "-q", "--hard", "HEAD~3"]);
    store.adopt(&repo, &fetched()).await.unwrap();
    // A line that left ours behind.
    git(&up, &["reset", "-q", "--hard", "HEAD~2"]);
    commit_upstream(&up, &mut random, &mut files, 3);
    store.adopt(&repo, &fetched()).await.unwrap();
    store.close().await.unwrap();
    let model = Model::read(&store, &repo);
    assert_eq!(model.head(), Revision(14));
    model.check(&store, &repo, &mut random);
    drop(store);
    for _ in 0..2 {
        let store = Store::open(&data, StoreOptions::default()).unwrap();
        model.check(&store, &repo, &mut random);
        drop(store);
        let _ = std::fs::remove_dir_all(data.join("index"));
    }
}

#[tokio::test]
async fn content_of_another_repository_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("data"), StoreOptions::default()).unwrap();
    let (mine, theirs) =
        (RepoName::new("mesh/mine").unwrap(), RepoName::new("mesh/theirs").unwrap());
    store.create(&mine).await.unwrap();
    store.create(&theirs).await.unwrap();
    let secret = vec![Change::Upsert(at("a"), Bytes::from("theirs alone"))];
    let head = store.commit(&theirs, commit_of(secret)).await.unwrap();
    let file = store.file(&theirs, head.revision, &at("a")).unwrap();
    assert_eq!(store.blob(&theirs, &file.blob).unwrap(), "theirs alone");
    store.blob(&mine, &file.blob).unwrap_err();
    store.close().await.unwrap();
    assert_eq!(store.blob(&theirs, &file.blob).unwrap(), "theirs alone");
    store.blob(&mine, &file.blob).unwrap_err();
    let commit = convoy::model::BlobId(head.commit.unwrap().0);
    store.blob(&theirs, &commit).unwrap_err();
}

#[tokio::test]
async fn a_search_reads_what_may_be_read_and_stops_at_its_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("data"), StoreOptions::default()).unwrap();
    let repo = RepoName::new("mesh/config").unwrap();
    store.create(&repo).await.unwrap();
    let file = |path: &str, content: Vec<u8>| Change::Upsert(at(path), content.into());
    let changes = vec![
        file("a/one.txt", b"first needle\nnothing\na NEEDLE, a needle\n".to_vec()),
        file("a/secret.txt", b"needle\n".to_vec()),
        file("b/binary", b"\0needle\n".to_vec()),
        file("b/latin", b"\xff needle\n".to_vec()),
        file("b/many.txt", b"needle\n".repeat(500)),
        file("c/two.txt", b"needle".to_vec()),
    ];
    let head = store.commit(&repo, commit_of(changes)).await.unwrap().revision;
    let search = |pattern: &str, ignore_case| {
        let scan = Scan::new("needle", false, ignore_case).unwrap();
        let admit = |path: &FilePath| path.file_name() != "secret.txt";
        let patterns = Patterns::new(pattern).unwrap();
        let result = store.search(&repo, head, &patterns, &scan, &admit).unwrap();
        let files: Vec<(String, usize)> =
            result.files.iter().map(|file| (file.path.to_string(), file.hits.len())).collect();
        (files, result.truncated)
    };
    let all = [("a/one.txt", 2), ("b/many.txt", 100), ("c/two.txt", 1)];
    let all: Vec<(String, usize)> = all.map(|(path, hits)| (path.to_owned(), hits)).into();
    assert_eq!(search("/**", true), (all.clone(), true));
    assert_eq!(search("/a/**", false), (vec![all[0].clone()], false));
    assert_eq!(search("/c/*,/nothing", true), (vec![all[2].clone()], false));
    let missing = store.search(
        &repo,
        Revision(9),
        &Patterns::all(),
        &Scan::new("x", false, false).unwrap(),
        &|_| true,
    );
    assert!(matches!(missing, Err(StoreError::NoRevision { .. })));
}
