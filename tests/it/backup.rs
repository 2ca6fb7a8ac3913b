//! Backups made while others write, restored, and judged by what was
//! acknowledged before they began.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use convoy::model::{Change, FilePath, Origin, RepoName};
use convoy::store::{
    Audit, NewCommit, Store, StoreError, StoreOptions, backup_folder, fsck, restore,
};
use jiff::Timestamp;

use super::harness::convoy::{Ends, program};
use super::harness::process;

const WRITERS: usize = 4;

fn repo(writer: usize) -> RepoName {
    RepoName::new(&format!("mesh/r{}", writer % 3)).unwrap()
}

fn commit(writer: usize, value: u64) -> NewCommit {
    let path = FilePath::new(&format!("w{writer}")).unwrap();
    let changes = vec![Change::Upsert(path, Bytes::from(value.to_string()))];
    let author = ("Ada".to_owned(), "ada@example.com".to_owned());
    let time = Timestamp::from_second(1_700_000_000).unwrap();
    NewCommit::new(Origin::system(), author, time, format!("write {value}"), changes)
}

fn value(store: &Store, writer: usize) -> u64 {
    let repo = repo(writer);
    let head = store.head(&repo).unwrap().revision;
    let path = FilePath::new(&format!("w{writer}")).unwrap();
    let read = store.read(&repo, head, &path);
    read.map_or(0, |bytes| std::str::from_utf8(&bytes).unwrap().parse().unwrap())
}

#[test]
fn a_backup_made_while_others_write_has_all_that_was_acknowledged_before() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let options = StoreOptions { checkpoint_bytes: 6000, ..StoreOptions::default() };
    let store = Store::open(&data, options).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for writer in 0..WRITERS {
        runtime.block_on(store.create(&repo(writer))).unwrap();
    }
    let acked: Vec<AtomicU64> = (0..WRITERS).map(|_| AtomicU64::new(0)).collect();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (store, acked, over) = (&store, &acked[writer], &over);
            let runtime = &runtime;
            scope.spawn(move || {
                for value in 1.. {
                    if over.load(Ordering::SeqCst) {
                        break;
                    }
                    runtime.block_on(store.commit(&repo(writer), commit(writer, value))).unwrap();
                    acked.store(value, Ordering::SeqCst);
                }
            });
        }
        let _over = Ends(&over);
        for round in 0..6 {
            let before: Vec<u64> = acked.iter().map(|n| n.load(Ordering::SeqCst)).collect();
            let to = dir.path().join(format!("backup{round}"));
            // By the store itself, and as another process would.
            let summary = match round % 2 {
                0 => runtime.block_on(store.backup(&to)).unwrap(),
                _ => backup_folder(&data, &to, false).unwrap(),
            };
            assert_eq!(summary.repositories, 4);
            check(&to, &before, round);
        }
    });
}

fn check(backup: &Path, before: &[u64], round: usize) {
    let found = fsck(backup).unwrap();
    assert_eq!((found.repositories, found.damage), (4, vec![]), "round {round}");
    Audit::verify(backup).unwrap();
    let to = backup.with_extension("restored");
    let summary = restore(backup, &to).unwrap();
    let store = Store::open(&to, StoreOptions::default()).unwrap();
    for (writer, before) in before.iter().enumerate() {
        let value = value(&store, writer);
        assert!(
            value >= *before,
            "round {round}: writer {writer} had {before}, backup has {value}"
        );
    }
    let revisions: u64 =
        store.repositories().iter().map(|repo| store.head(repo).unwrap().revision.0).sum();
    assert_eq!(summary.revisions, revisions);
    for repo in store.repositories() {
        process::git(&store.git_dir(&repo), &["fsck", "--strict", "--no-dangling"]);
    }
}

#[tokio::test]
async fn folders_with_something_in_them_and_damaged_backups_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (data, backup) = (dir.path().join("data"), dir.path().join("backup"));
    let store = Store::open(&data, StoreOptions::default()).unwrap();
    store.create(&repo(0)).await.unwrap();
    store.commit(&repo(0), commit(0, 1)).await.unwrap();
    let refused = store.backup(&data).await.unwrap_err();
    assert!(refused.to_string().contains("is not empty"), "{refused}");
    store.backup(&backup).await.unwrap();
    let refused = restore(&backup, &data).unwrap_err();
    assert!(refused.to_string().contains("is not empty"), "{refused}");
    let refused = backup_folder(&dir.path().join("nothing"), &dir.path().join("x"), false);
    assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    let refs = backup.join("repositories/mesh/r0.git/packed-refs");
    let text = std::fs::read_to_string(&refs).unwrap();
    std::fs::write(&refs, text.replace("main", "moan")).unwrap();
    let refused = restore(&backup, &dir.path().join("fresh")).unwrap_err();
    assert!(refused.to_string().contains("packed-refs"), "{refused}");
}

#[tokio::test]
async fn the_commands_back_up_and_restore_a_folder_that_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let store = Store::open(&data, StoreOptions::default()).unwrap();
    store.create(&repo(0)).await.unwrap();
    store.commit(&repo(0), commit(0, 41)).await.unwrap();
    std::fs::create_dir(data.join("secrets")).unwrap();
    std::fs::write(data.join("secrets/key"), "hush").unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(program());
        let done = command.current_dir(dir.path()).args(arguments).output().unwrap();
        assert_eq!(done.status.code(), Some(0), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    };
    let text = run(&["backup", "--data", "data", "--to", "plain"]);
    assert_eq!(text, "backed up 2 repositories, 1 revisions\n");
    assert!(!dir.path().join("plain/secrets").exists());
    run(&["backup", "--data", "data", "--to", "whole", "--with-secrets"]);
    assert_eq!(std::fs::read_to_string(dir.path().join("whole/secrets/key")).unwrap(), "hush");
    run(&["restore", "whole", "--data", "again"]);
    let again = Store::open(&dir.path().join("again"), StoreOptions::default()).unwrap();
    assert_eq!(value(&again, 0), 41);
}
