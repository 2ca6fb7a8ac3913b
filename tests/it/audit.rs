//! The audit log: what it tells, that it survives restarts, and that no line
//! of it can be changed, removed or cut off unnoticed.

use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use convoy::model::{Actor, Change, FilePath, Origin, Person, RepoName, Via};
use convoy::store::{Audit, AuditEntry, AuditQuery, NewCommit, Store, StoreError, StoreOptions};
use jiff::Timestamp;

use super::harness::convoy::{Ends, program};

fn ann() -> Origin {
    let person: Person = serde_json::from_value(serde_json::json!("ann")).unwrap();
    Origin { request: Some("r-7".into()), ..Origin::of(&Actor::person(person, Via::Api)) }
}

fn commit(file: &str, content: &str) -> NewCommit {
    let change =
        Change::Upsert(FilePath::new(file).unwrap(), Bytes::copy_from_slice(content.as_bytes()));
    let author = ("Ada".to_owned(), "ada@example.com".to_owned());
    let time = Timestamp::from_second(1_700_000_000).unwrap();
    NewCommit::new(ann(), author, time, format!("write {file}\n\nwith a body"), vec![change])
}

fn everything() -> AuditQuery {
    AuditQuery { limit: usize::MAX, ..AuditQuery::default() }
}

/// Makes, fills and purges; gives what the log tells.
async fn story(dir: &Path) -> Vec<AuditEntry> {
    let store = Store::open(dir, StoreOptions::default()).unwrap();
    let (kept, passing) =
        (RepoName::new("mesh/kept").unwrap(), RepoName::new("mesh/passing").unwrap());
    store.create_by(&kept, &ann()).await.unwrap();
    for n in 0..6 {
        store.commit(&kept, commit("a", &format!("{n}"))).await.unwrap();
    }
    store.close().await.unwrap();
    store.create_by(&passing, &ann()).await.unwrap();
    store.commit(&passing, commit("b", "1")).await.unwrap();
    store.purge(&passing, &ann()).await.unwrap();
    assert!(matches!(store.head(&passing), Err(StoreError::NoRepository(_))));
    store.create_by(&passing, &ann()).await.unwrap();
    store.commit(&passing, commit("b", "2")).await.unwrap();
    store.commit(&RepoName::state(), commit("s.json", "{}")).await.unwrap();
    store.audit().entries(&everything()).unwrap()
}

#[tokio::test]
async fn every_change_of_state_is_told_with_who_and_whence() {
    let dir = tempfile::tempdir().unwrap();
    let told = story(dir.path()).await;
    let acts: Vec<_> =
        told.iter().map(|e| format!("{} {} {}", e.act, e.repo, e.revision.0)).collect();
    let mut expect = vec!["create @convoy/state 0".to_owned(), "create mesh/kept 0".into()];
    expect.extend((1..7).map(|n| format!("commit mesh/kept {n}")));
    expect.extend(
        ["create mesh/passing 0", "commit mesh/passing 1", "purge mesh/passing 0"]
            .map(str::to_owned),
    );
    expect.extend(["create mesh/passing 0", "commit mesh/passing 1"].map(str::to_owned));
    expect.push("commit @convoy/state 1".into());
    assert_eq!(acts, expect);
    assert_eq!(told[3].before, told[2].after);
    assert_eq!(told[2].summary, "write a");
    assert_eq!(told[2].origin, ann());
    for _ in 0..2 {
        assert_eq!(Audit::verify(dir.path()), Ok(told.len() as u64));
        let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
        assert_eq!(store.audit().entries(&everything()).unwrap(), told, "the same after a restart");
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn entries_are_found_by_number_and_repository() {
    let dir = tempfile::tempdir().unwrap();
    let told = story(dir.path()).await;
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let repo = Some(RepoName::new("mesh/kept").unwrap());
    let query = AuditQuery { after: 4, limit: 2, repo: repo.clone() };
    let numbers: Vec<_> =
        store.audit().entries(&query).unwrap().iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, [5, 6]);
    let (count, hash) = store.audit().head().unwrap();
    assert_eq!((count, hash), (told.len() as u64, told.last().unwrap().hash));
    store.commit(&RepoName::new("mesh/kept").unwrap(), commit("new", "1")).await.unwrap();
    let query = AuditQuery { after: count, limit: 10, repo };
    assert_eq!(store.audit().entries(&query).unwrap().len(), 1, "before any checkpoint");
}

/// The log's one file.
fn log(dir: &Path) -> std::path::PathBuf {
    let mut files: Vec<_> =
        std::fs::read_dir(dir.join("audit")).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
    files.remove(0)
}

#[tokio::test]
async fn no_line_is_changed_removed_swapped_or_cut_unnoticed() {
    let dir = tempfile::tempdir().unwrap();
    let told = story(dir.path()).await;
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    store.close().await.unwrap();
    drop(store);
    let path = log(dir.path());
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), told.len());
    let join = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let refused = |what: &str, changed: String| {
        std::fs::write(&path, changed).unwrap();
        let faults = Audit::verify(dir.path()).expect_err(what);
        assert!(
            faults[0].file.contains("audit") || faults[0].file.contains("repositories"),
            "{what}"
        );
        assert!(!faults[0].rule.is_empty());
        faults
    };
    for at in 0..lines.len() {
        let mut without = lines.clone();
        without.remove(at);
        refused(&format!("without line {}", at + 1), join(&without));
    }
    for keep in 0..lines.len() {
        refused(&format!("cut behind line {keep}"), join(&lines[..keep]));
    }
    let changed = text.replacen("\"name\":\"ann\"", "\"name\":\"bob\"", 1);
    assert_ne!(changed, text);
    let faults = refused("another name", changed);
    assert_eq!(faults[0].line, 2, "{}", faults[0]);
    let mut swapped = lines.clone();
    swapped.swap(3, 4);
    refused("two swapped", join(&swapped));
    let mut twice = lines.clone();
    twice.insert(3, lines[3]);
    refused("one twice", join(&twice));
    std::fs::write(&path, &text).unwrap();
    assert_eq!(Audit::verify(dir.path()), Ok(told.len() as u64));
}

#[tokio::test]
async fn an_end_rewritten_with_right_hashes_is_noticed() {
    use convoy::model::ContentHash;
    let dir = tempfile::tempdir().unwrap();
    story(dir.path()).await;
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    store.close().await.unwrap();
    drop(store);
    let path = log(dir.path());
    let text = std::fs::read_to_string(&path).unwrap();
    let (rest, last) = text.trim_end().rsplit_once('\n').unwrap();
    let forged = last.replace("\"name\":\"ann\"", "\"name\":\"eve\"");
    let (open, _) = forged.rsplit_once(",\"hash\":").unwrap();
    let hash = ContentHash::of(format!("{open}}}").as_bytes());
    std::fs::write(&path, format!("{rest}\n{open},\"hash\":\"{hash}\"}}\n")).unwrap();
    let faults = Audit::verify(dir.path()).unwrap_err();
    assert!(faults[0].rule.contains("the journal vouches"), "{}", faults[0]);
}

#[test]
fn the_chain_is_proved_while_the_store_is_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { checkpoint_bytes: 4000, ..StoreOptions::default() };
    let store = Store::open(dir.path(), options).unwrap();
    let repo = RepoName::new("mesh/busy").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(store.create(&repo)).unwrap();
    let (done, path) = (std::sync::atomic::AtomicBool::new(false), dir.path());
    std::thread::scope(|scope| {
        let proof = scope.spawn(|| {
            let mut proved = 0;
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                let entries = Audit::verify(path).unwrap();
                assert!(entries >= proved);
                proved = entries;
            }
        });
        let over = Ends(&done);
        for n in 0..150 {
            runtime.block_on(store.commit(&repo, commit("a", &format!("{n}")))).unwrap();
        }
        drop(over);
        proof.join().unwrap();
    });
}

#[tokio::test]
async fn the_command_proves_and_prints_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let told = story(dir.path()).await;
    let run = |arguments: &[&str]| {
        let mut command = Command::new(program());
        let done =
            command.arg("audit").args(arguments).arg("--data").arg(dir.path()).output().unwrap();
        (done.status.code(), String::from_utf8(done.stdout).unwrap())
    };
    let (code, text) = run(&["verify"]);
    assert_eq!((code, &*text), (Some(0), &*format!("{} entries, all proved\n", told.len())));
    let (code, text) = run(&["export", "--after", "3"]);
    assert_eq!(code, Some(0));
    let printed: Vec<AuditEntry> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(printed, told[3..]);
    let (_, text) = run(&["export", "--repo", "@convoy/state", "--details"]);
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let expect = serde_json::json!([{"path": "s.json", "before": null, "after": "{}"}]);
    assert_eq!(last["details"], expect);
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    store.close().await.unwrap();
    let path = log(dir.path());
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("write a", "wrote a", 1)).unwrap();
    let (code, text) = run(&["verify"]);
    assert_eq!(code, Some(1));
    assert!(text.starts_with(&format!("{}:3: ", path.display())), "{text}");
}
