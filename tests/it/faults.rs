//! What a disk, a clock and a sudden end may do to a server, and what must
//! hold afterwards: nothing acknowledged is lost, nothing is half there,
//! nothing was acknowledged falsely, and what is damaged is named.
//!
//! `CONVOY_LONG=1` kills ten times as often.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use convoy::model::{Change, FilePath, Origin, RepoName, Revision};
use convoy::store::{Audit, AuditQuery, NewCommit, Store, StoreOptions, fsck};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::harness::convoy::{Convoy, Ends, Setup, program, wait_for};
use super::harness::process;

const FILES: &str = "/repos/mesh/config";

fn setup() -> Setup {
    // Small checkpoints, so that all that they do is met as well.
    Convoy::with().config("repositories: [{name: mesh/config}]\nstore: {checkpoint_bytes: 30000}\n")
}

/// A small generator, so that a failure can be had again by its seed.
struct Random(u64);

impl Random {
    fn new(what: &str) -> Self {
        let given = std::env::var("CONVOY_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| u64::from(std::process::id()) << 20 | 1);
        eprintln!("{what}: CONVOY_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// The shim, compiled, and the folder that tells it what to do.
struct Faults {
    folder: tempfile::TempDir,
}

impl Faults {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/faults/shim.c");
        let library = folder.path().join("shim.so");
        let output = library.display().to_string();
        let source = source.display().to_string();
        process::run("cc", &["-shared", "-fPIC", "-O1", "-o", &output, &source, "-ldl"]);
        Self { folder }
    }

    fn under(&self, setup: Setup) -> Setup {
        let data = setup.data();
        setup
            .env("LD_PRELOAD", &self.folder.path().join("shim.so").display().to_string())
            .env("FAULTS", &self.folder.path().display().to_string())
            .env("DATA", &data.display().to_string())
    }

    fn set(&self, name: &str, text: &str) {
        let fresh = self.folder.path().join("fresh");
        std::fs::write(&fresh, text).unwrap();
        std::fs::rename(fresh, self.folder.path().join(name)).unwrap();
    }

    fn clear(&self, name: &str) {
        let _ = std::fs::remove_file(self.folder.path().join(name));
    }
}

/// Writes both files of a writer at once; gives the status, 0 where there was
/// no answer.
fn write(client: &reqwest::blocking::Client, url: &str, writer: usize, value: u64) -> (u16, Value) {
    let change =
        |file: &str| json!({"path": format!("w{writer}/{file}"), "content": value.to_string()});
    let body = json!({"base_revision": "head", "changes": [change("a"), change("b")], "message": format!("{value}")});
    let request = client
        .post(format!("{url}/api/v1{FILES}/commits"))
        .header("content-type", "application/json")
        .header("x-convoy-person", "ann")
        .body(body.to_string());
    let Ok(answer) = request.send() else { return (0, Value::Null) };
    let status = answer.status().as_u16();
    (status, answer.text().ok().and_then(|t| serde_json::from_str(&t).ok()).unwrap_or_default())
}

fn client() -> reqwest::blocking::Client {
    convoy::app::choose_crypto();
    reqwest::blocking::Client::builder().timeout(Duration::from_secs(20)).build().unwrap()
}

/// What a writer's two files say in the store in `dir`.
fn written(store: &Store, writer: usize) -> (u64, u64) {
    let repo = RepoName::new("mesh/config").unwrap();
    let head = store.head(&repo).unwrap().revision;
    let value = |file: &str| {
        let path = FilePath::new(&format!("w{writer}/{file}")).unwrap();
        let read = store.read(&repo, head, &path);
        read.map_or(0, |bytes| std::str::from_utf8(&bytes).unwrap().trim().parse().unwrap())
    };
    (value("a"), value("b"))
}

fn git_fsck(data: &Path) {
    for repo in ["@convoy/state.git", "mesh/config.git"] {
        let git_dir = data.join("repositories").join(repo);
        assert_eq!(process::git(&git_dir, &["fsck", "--strict", "--no-dangling"]), "", "{repo}");
    }
}

#[allow(clippy::disallowed_methods, reason = "figures about another program need the real clock")]
fn now() -> Instant {
    Instant::now()
}

/// One server, killed again and again under its writers.
fn kill_loop(rounds: u64, mut random: Random) -> (u64, Vec<Duration>) {
    const WRITERS: usize = 8;
    let mut convoy = setup().start();
    let acked: Vec<AtomicU64> = (0..WRITERS).map(|_| AtomicU64::new(0)).collect();
    let tried: Vec<AtomicU64> = (0..WRITERS).map(|_| AtomicU64::new(0)).collect();
    let client = client();
    let mut restarts = Vec::new();
    for round in 0..rounds {
        let over = AtomicBool::new(false);
        let before: u64 = acked.iter().map(|n| n.load(Ordering::SeqCst)).sum();
        let aim = before + 1 + random.below(60);
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (acked, tried, over) = (&acked[writer], &tried[writer], &over);
                let (client, url) = (&client, convoy.url());
                scope.spawn(move || {
                    while !over.load(Ordering::SeqCst) {
                        let value = tried.fetch_add(1, Ordering::SeqCst) + 1;
                        match write(client, &url, writer, value).0 {
                            200 => acked.store(value, Ordering::SeqCst),
                            0 => break,
                            status => panic!("writer {writer}: {status}"),
                        }
                    }
                });
            }
            let _over = Ends(&over);
            wait_for("writes to be acknowledged", || {
                let sum: u64 = acked.iter().map(|n| n.load(Ordering::SeqCst)).sum();
                if sum >= aim { Ok(()) } else { Err(format!("{sum} of {aim}")) }
            });
            std::thread::park_timeout(Duration::from_micros(random.below(30_000)));
            convoy.kill();
        });
        let begun = now();
        convoy.start_again();
        restarts.push(begun.elapsed());
        for writer in 0..WRITERS {
            let file = |name: &str| {
                let path = format!("/api/v1{FILES}/files/w{writer}/{name}");
                match convoy.try_get(&path) {
                    Ok(file) => value_of(&file),
                    Err(error) if error.contains(": 404 ") => 0,
                    Err(error) => panic!("round {round}: {error}\n{}", convoy.log()),
                }
            };
            let (a, b) = (file("a"), file("b"));
            let (low, high) =
                (acked[writer].load(Ordering::SeqCst), tried[writer].load(Ordering::SeqCst));
            assert_eq!(a, b, "round {round}: half of writer {writer}'s commit is there");
            assert!((low..=high).contains(&a), "round {round}: {a} of {low} to {high}");
        }
        if round % 10 == 9 || round + 1 == rounds {
            git_fsck(&convoy.data());
        }
    }
    let sum = acked.iter().map(|n| n.load(Ordering::SeqCst)).sum();
    assert_eq!(convoy.stop(), Some(0), "{}", convoy.log());
    git_fsck(&convoy.data());
    let found = fsck(&convoy.data()).unwrap();
    assert_eq!(found.damage, []);
    (sum, restarts)
}

/// The number that a file's answer holds.
fn value_of(file: &Value) -> u64 {
    let content = file["content"].as_str().map(str::to_owned).unwrap_or_else(|| file.to_string());
    content.trim().trim_matches('"').parse().unwrap_or_else(|_| panic!("no number in {file}"))
}

#[test]
fn a_server_killed_at_random_points_loses_nothing_and_leaves_nothing_half_done() {
    let rounds = if std::env::var_os("CONVOY_LONG").is_some() { 1000 } else { 100 };
    // Two side by side, for two cores: most of a round is the start.
    let results: Vec<_> = std::thread::scope(|scope| {
        let loops = [0, 1].map(|n| {
            scope.spawn(move || {
                let mut random = Random::new("kill");
                random.0 ^= n << 50;
                kill_loop(rounds / 2, random)
            })
        });
        loops.map(|one| one.join().unwrap()).into()
    });
    let mut restarts: Vec<Duration> = results.iter().flat_map(|(_, times)| times.clone()).collect();
    restarts.sort();
    let acked: u64 = results.iter().map(|(sum, _)| sum).sum();
    eprintln!(
        "{rounds} kills, {acked} acknowledged commits, 0 lost; ready after {:?} (median), {:?} (longest)",
        restarts[restarts.len() / 2],
        restarts[restarts.len() - 1]
    );
}

#[test]
fn a_failed_sync_is_never_acknowledged_and_ends_the_server_with_a_reason() {
    let client = client();
    for fails in ["1", "2", "4", "9", "1+", "3+"] {
        let faults = Faults::new();
        let mut convoy = faults.under(setup()).start();
        assert_eq!(write(&client, &convoy.url(), 0, 1).0, 200);
        faults.set("sync-fails", fails);
        let (mut acked, mut tried) = (1, 1);
        let code = wait_for("the server to end", || {
            tried += 1;
            if write(&client, &convoy.url(), 0, tried).0 == 200 {
                acked = tried;
            }
            convoy.ended().ok_or_else(|| format!("{tried} tried"))
        });
        assert_eq!(code, 1, "{}", convoy.log());
        // What it said last is read by a thread of its own.
        wait_for(&format!("its last words, {fails}"), || {
            let log = convoy.log();
            let last = log.lines().last().unwrap_or_default();
            if last.contains("the journal can't be written any more") { Ok(()) } else { Err(log) }
        });
        faults.clear("sync-fails");
        let store = Store::open(&convoy.data(), StoreOptions::default()).unwrap();
        let (a, b) = written(&store, 0);
        assert_eq!(a, b, "{fails}");
        assert!((acked..=tried).contains(&a), "{fails}: {a} is not in {acked}..={tried}");
        drop(store);
        git_fsck(&convoy.data());
        convoy.start_again();
        assert_eq!(write(&client, &convoy.url(), 0, tried + 1).0, 200, "{fails}");
        assert_eq!(convoy.stop(), Some(0));
        Audit::verify(&convoy.data()).unwrap();
    }
}

/// Reads go on, writes are refused with 507 until there is room again.
fn fills_up(convoy: &mut Convoy, fill: impl Fn(), free: impl Fn()) {
    let client = client();
    assert_eq!(write(&client, &convoy.url(), 0, 1).0, 200);
    fill();
    let (mut tried, mut acked) = (1, 1);
    wait_for("a write to be refused", || {
        tried += 1;
        match write(&client, &convoy.url(), 0, tried) {
            (507, answer) => {
                assert!(answer.to_string().contains("full"), "{answer}");
                Ok(())
            }
            (200, _) => {
                acked = tried;
                Err(format!("{tried} was taken"))
            }
            other => panic!("{other:?}\n{}", convoy.log()),
        }
    });
    let read = |convoy: &Convoy| value_of(&convoy.get(&format!("{FILES}/files/w0/a")));
    assert_eq!(read(convoy), acked);
    // Many at once: what was prepared on top of what is refused is refused.
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let writers: Vec<_> = (1..9)
            .map(|writer| {
                let (client, url) = (&client, convoy.url());
                scope.spawn(move || write(client, &url, writer, 7).0)
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    assert!(statuses.iter().all(|status| *status == 507), "{statuses:?}");
    assert_eq!(read(convoy), acked);
    free();
    wait_for("a write to be taken", || {
        tried += 1;
        match write(&client, &convoy.url(), 0, tried) {
            (200, _) => Ok(()),
            (507, _) => Err("refused".to_owned()),
            other => panic!("{other:?}\n{}", convoy.log()),
        }
    });
    assert_eq!(read(convoy), tried);
    let status = convoy.stop();
    assert_eq!(status, Some(0), "{}", convoy.log());
    let found = fsck(&convoy.data()).unwrap();
    assert_eq!(found.damage, []);
    git_fsck(&convoy.data());
    let store = Store::open(&convoy.data(), StoreOptions::default()).unwrap();
    assert_eq!(written(&store, 0), (tried, tried));
    assert_eq!(written(&store, 3), (0, 0));
}

#[test]
fn a_full_disk_refuses_writes_serves_reads_and_recovers_by_itself() {
    let faults = Faults::new();
    let mut convoy = faults.under(setup()).start();
    fills_up(&mut convoy, || faults.set("full", ""), || faults.clear("full"));
}

#[test]
fn a_checkpoint_without_room_is_tried_again() {
    let faults = Faults::new();
    let setup = Convoy::with().config("repositories: [{name: mesh/config}]\n");
    let mut convoy = faults.under(setup).start();
    let client = client();
    let mut value = 0;
    // The write must be in before the disk is full, its checkpoint not.
    wait_for("a checkpoint to find no room", || {
        value += 1;
        faults.clear("full");
        let (status, answer) = write(&client, &convoy.url(), 0, value);
        faults.set("full", "");
        assert!(status == 200 || status == 507, "{status} {answer}");
        std::thread::park_timeout(Duration::from_millis(400));
        let found = convoy.log().contains("the journal keeps what has no room elsewhere");
        if found { Ok(()) } else { Err(convoy.log()) }
    });
    faults.clear("full");
    let head = convoy.get(FILES)["head"]["commit"].as_str().unwrap().to_owned();
    let refs = convoy.data().join("repositories/mesh/config.git/packed-refs");
    wait_for("the checkpoint to be written", || {
        let text = std::fs::read_to_string(&refs).unwrap_or_default();
        if text.contains(&head) { Ok(()) } else { Err(text) }
    });
    assert_eq!(convoy.stop(), Some(0), "{}", convoy.log());
    assert_eq!(fsck(&convoy.data()).unwrap().damage, []);
}

/// A small file system, where the machine lets us mount one.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={size}");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output();
        mounted.ok().filter(|done| done.status.success()).map(|_| Self(at.to_owned()))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn a_small_file_system_that_fills_up_is_survived() {
    let setup = setup();
    let data = setup.data();
    let Some(_mounted) = Tmpfs::mount(&data, "24m") else {
        eprintln!("mounting is not permitted here; the shim's disk covers it");
        return;
    };
    let mut convoy = setup.start();
    let ballast = data.join("ballast");
    let fill = || {
        use std::io::Write as _;
        let mut file = std::fs::File::create(&ballast).unwrap();
        for size in [1 << 20, 4096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    };
    fills_up(&mut convoy, fill, || std::fs::remove_file(&ballast).unwrap());
    drop(convoy);
}

#[test]
fn a_clock_that_jumps_changes_no_order() {
    let faults = Faults::new();
    let mut convoy = faults.under(setup()).start();
    let client = client();
    let mut value = 0;
    for seconds in [0, 864_000, -864_000, 1_000_000_000, 0] {
        faults.set("clock", &seconds.to_string());
        for _ in 0..3 {
            value += 1;
            assert_eq!(write(&client, &convoy.url(), 0, value).0, 200, "{seconds}");
            assert_eq!(value_of(&convoy.get(&format!("{FILES}/files/w0/a"))), value);
        }
        assert_eq!(convoy.stop(), Some(0), "{}", convoy.log());
        let entries = Audit::verify(&convoy.data()).unwrap();
        let everything = AuditQuery { limit: usize::MAX, ..AuditQuery::default() };
        let audit = Audit::read(&convoy.data()).unwrap().entries(&everything).unwrap();
        let numbers: Vec<u64> = audit.iter().map(|entry| entry.number).collect();
        assert_eq!(numbers, (1..=entries).collect::<Vec<_>>());
        let revisions: Vec<u64> = audit
            .iter()
            .filter(|entry| entry.repo.as_str() == "mesh/config" && entry.after.is_some())
            .map(|entry| entry.revision.0)
            .collect();
        assert!(revisions.is_sorted_by(|a, b| a < b), "{revisions:?}");
        convoy.start_again();
    }
}

/// A data folder of a few checkpoints, with records behind the last one.
async fn sample(dir: &Path) {
    let store = Store::open(dir, StoreOptions::default()).unwrap();
    let repo = RepoName::new("mesh/config").unwrap();
    store.create(&repo).await.unwrap();
    for n in 0..40 {
        let content = Bytes::from(format!("value {n}\n").repeat(20));
        let path = FilePath::new(&format!("folder/{}.yaml", n % 9)).unwrap();
        let author = ("Ada".to_owned(), "ada@example.com".to_owned());
        let time = Timestamp::from_second(1_700_000_000 + n).unwrap();
        let changes = vec![Change::Upsert(path, content)];
        let new = NewCommit::new(Origin::system(), author, time, format!("change {n}"), changes);
        store.commit(&repo, new).await.unwrap();
        if n % 12 == 11 {
            store.close().await.unwrap();
        }
    }
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn one_flipped_bit_is_found_in_every_kind_of_file() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path()).await;
    assert_eq!(fsck(dir.path()).unwrap().damage, []);
    let mut random = Random::new("flip");
    let mut kinds = std::collections::BTreeMap::new();
    for file in files_below(dir.path()) {
        let below = file.strip_prefix(dir.path()).unwrap().display().to_string();
        let bytes = std::fs::read(&file).unwrap();
        let is_index = below.starts_with("index");
        if below == "lock" || bytes.is_empty() {
            continue;
        }
        let length = bytes.len() as u64;
        let tries = if is_index { 4 } else { 12 };
        let mut places: Vec<u64> = (0..tries).map(|_| random.below(length)).collect();
        places.extend([0, length - 1]);
        for at in places {
            let at = usize::try_from(at).unwrap();
            let mut bad = bytes.clone();
            bad[at] ^= 1 << random.below(8);
            std::fs::write(&file, &bad).unwrap();
            let found = fsck(dir.path()).unwrap();
            let name = file.file_name().unwrap().to_str().unwrap();
            let stem = name.split('.').next().unwrap();
            let names_it = |damage: &convoy::store::Damage| {
                let text = format!("{} {}", damage.file.display(), damage.what);
                text.contains(stem) || is_index && text.contains("index")
            };
            let is_found = found.damage.iter().any(names_it);
            // An index has room that nothing is in, and promises nothing.
            assert!(is_found || is_index, "{below}, byte {at}: {:?}", found.damage);
            let remedies = found.damage.iter().all(|damage| !damage.remedy.is_empty());
            assert!(remedies, "{:?}", found.damage);
            *kinds.entry(kind_of(&below).to_owned()).or_insert(0) += 1;
        }
        std::fs::write(&file, &bytes).unwrap();
    }
    eprintln!("bits flipped: {kinds:?}");
    for kind in ["audit", "journal", "pack", "idx", "packed-refs", "HEAD", "config", "index"] {
        assert!(kinds.contains_key(kind), "{kind} is missing in {kinds:?}");
    }
    assert_eq!(fsck(dir.path()).unwrap().damage, []);
}

fn kind_of(below: &str) -> &str {
    let first = below.split('/').next().unwrap_or_default();
    match first {
        "repositories" => below.rsplit(['.', '/']).next().unwrap_or_default(),
        _ => first,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_gone_cut_or_damaged_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path()).await;
    let repo = RepoName::new("mesh/config").unwrap();
    let look = || {
        let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
        let commits = store.history(&repo, None, None, 1000).unwrap();
        commits.into_iter().map(|info| info.commit).collect::<Vec<_>>()
    };
    let before = look();
    assert_eq!(before.len(), 40);
    let index = dir.path().join("index");
    let mut random = Random::new("index");
    std::fs::remove_dir_all(&index).unwrap();
    assert_eq!(look(), before, "gone");
    for file in files_below(&index) {
        let bytes = std::fs::read(&file).unwrap();
        if bytes.is_empty() || !file.exists() {
            continue;
        }
        let cut = usize::try_from(random.below(bytes.len() as u64)).unwrap();
        std::fs::write(&file, &bytes[..cut]).unwrap();
        assert_eq!(look(), before, "{} cut to {cut}", file.display());
        if let Ok(mut bytes) = std::fs::read(&file)
            && !bytes.is_empty()
        {
            let at = usize::try_from(random.below(bytes.len() as u64)).unwrap();
            bytes[at] ^= 0x10;
            std::fs::write(&file, &bytes).unwrap();
            assert_eq!(look(), before, "{} flipped at {at}", file.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_named_by_the_command_with_exit_code_1() {
    let dir = tempfile::tempdir().unwrap();
    sample(dir.path()).await;
    let run = || {
        let mut command = Command::new(program());
        command.args(["fsck", "--data"]).arg(dir.path()).output().unwrap()
    };
    let fine = run();
    assert_eq!(fine.status.code(), Some(0), "{fine:?}");
    assert!(String::from_utf8_lossy(&fine.stdout).contains("nothing is damaged"), "{fine:?}");
    let refs = dir.path().join("repositories/mesh/config.git/packed-refs");
    let text = std::fs::read_to_string(&refs).unwrap();
    std::fs::write(&refs, text.replace("heads/main", "heads/mine")).unwrap();
    let found = run();
    assert_eq!(found.status.code(), Some(1), "{found:?}");
    let text = String::from_utf8_lossy(&found.stdout).into_owned();
    assert!(text.contains(&*refs.to_string_lossy()) && text.contains("remedy:"), "{text}");
    let error = Store::open(dir.path(), StoreOptions::default()).unwrap_err();
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(cause.contains("packed-refs"), "{error}: {cause}");
    let _ = Revision(0);
}
