//! From a repository to a remote.

use std::os::unix::fs::PermissionsExt as _;

use super::bed::{Bed, OUT, mirror, repo};
use crate::harness::process::git;
use crate::harness::upstream::{ADA, Upstream};
use convoy::govern::MirrorDocument;

fn folders(url: &str) -> MirrorDocument {
    MirrorDocument {
        local_folder: "public".into(),
        remote_folder: "conf".into(),
        ignore: "*.tmp\n".into(),
        ..mirror("out", OUT, url)
    }
}

#[tokio::test]
async fn our_folder_is_placed_on_top_of_the_branch() {
    let upstream = Upstream::start();
    upstream.commit(&[("README.md", "theirs"), ("conf/gone", "x"), ("conf/t.tmp", "t")], "1", ADA);
    upstream.symlink("conf/link", "../README.md");
    let base = upstream.executable("conf/run.sh", "old");
    let bed = Bed::start().await;
    bed.edit(&[
        ("secret", Some("not for there")),
        ("public/a/b.yaml", Some("b: 1\n")),
        ("public/run.sh", Some("new")),
        ("public/n.tmp", Some("no")),
    ])
    .await;
    bed.put(folders(upstream.url())).await;
    let (revision, commit, count) = bed.brings("out").await;
    assert_eq!((revision, count), (bed.head(), 3));
    assert_eq!(upstream.head("main"), commit);
    assert_eq!(upstream.git(&["rev-parse", "main^"]), base.to_string());
    let listed = upstream.git(&["ls-tree", "-r", "--format=%(objectmode) %(path)", "main"]);
    let expected = "100644 README.md\n100644 conf/a/b.yaml\n120000 conf/link\n100755 conf/run.sh\n\
                    100644 conf/t.tmp";
    assert_eq!(listed, expected);
    let message = upstream.git(&["log", "-1", "--format=%B", "main"]);
    assert!(message.contains(&format!("Convoy-Revision: {revision}")), "{message}");
    git(&upstream.git_dir(), &["fsck", "--strict"]);

    bed.is_up_to_date("out").await;
    bed.edit(&[("secret", Some("changed"))]).await;
    bed.is_up_to_date("out").await;
    assert_eq!(upstream.head("main"), commit);
    bed.edit(&[("public/a/b.yaml", Some("b: 2\n"))]).await;
    bed.brings("out").await;
    assert_eq!(upstream.git(&["show", "main:conf/a/b.yaml"]), "b: 2");
    assert_eq!(bed.leftovers(), 0);
}

#[tokio::test]
async fn a_whole_repository_arrives_revision_by_revision() {
    let upstream = Upstream::start();
    let bed = Bed::start().await;
    bed.edit(&[("a", Some("1"))]).await;
    bed.edit(&[("a", Some("2")), ("b", Some("1"))]).await;
    bed.put(mirror("out", OUT, upstream.url())).await;
    let (_, commit, _) = bed.brings("out").await;
    assert_eq!(Some(commit), bed.store.head(&repo()).unwrap().commit);
    assert_eq!(upstream.head("main"), commit);
    assert_eq!(upstream.git(&["rev-list", "--count", "main"]), bed.head().to_string());
    bed.is_up_to_date("out").await;
    bed.edit(&[("b", None)]).await;
    let (_, commit, count) = bed.brings("out").await;
    assert_eq!((upstream.head("main"), count), (commit, 1));
    assert_eq!(upstream.git(&["rev-list", "--count", "main"]), bed.head().to_string());
}

#[tokio::test]
async fn a_new_branch_is_made_for_a_folder() {
    let upstream = Upstream::start();
    let bed = Bed::start().await;
    bed.edit(&[("public/a", Some("1")), ("other", Some("x"))]).await;
    bed.put(folders(&upstream.file_url())).await;
    bed.brings("out").await;
    assert_eq!(upstream.git(&["ls-tree", "-r", "--name-only", "main"]), "conf/a");
    assert_eq!(upstream.git(&["rev-list", "--count", "main"]), "1");
}

#[tokio::test]
async fn nothing_here_removes_nothing_there() {
    let upstream = Upstream::start();
    let at = upstream.commit(&[("conf/a", "1")], "One", ADA);
    let bed = Bed::start().await;
    bed.edit(&[("elsewhere", Some("1"))]).await;
    bed.put(folders(upstream.url())).await;
    let error = bed.fails("out").await;
    assert!(error.contains("no folder `public`"), "{error}");
    assert_eq!(upstream.head("main"), at);
}

#[tokio::test]
async fn a_remote_that_moves_while_we_push_is_looked_at_again() {
    let upstream = Upstream::start();
    upstream.commit(&[("conf/a", "1")], "One", ADA);
    let bare = upstream.git_dir();
    // Somebody else's commit, there but not on the branch yet.
    let theirs = upstream.commit(&[("theirs", "kept")], "Two", ADA);
    upstream.git(&["branch", "side", &theirs.to_string()]);
    upstream.rewind(1);
    // The first push finds the branch as it was; while it is received, they win.
    let hook = bare.join("hooks/pre-receive");
    std::fs::create_dir_all(bare.join("hooks")).unwrap();
    let script = format!(
        "#!/bin/sh\nunset GIT_QUARANTINE_PATH\nif mkdir \"$GIT_DIR/raced\" 2>/dev/null; then git \
         update-ref refs/heads/main {theirs}; fi\n"
    );
    std::fs::write(&hook, script).unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    let bed = Bed::start().await;
    bed.edit(&[("public/a", Some("2"))]).await;
    bed.put(folders(&upstream.file_url())).await;
    let (_, commit, _) = bed.brings("out").await;
    assert!(bare.join("raced").exists());
    assert_eq!(upstream.head("main"), commit);
    assert_eq!(upstream.git(&["rev-parse", "main^"]), theirs.to_string());
    assert_eq!(upstream.git(&["show", "main:theirs"]), "kept");
    assert_eq!(upstream.git(&["show", "main:conf/a"]), "2");
}

#[tokio::test]
async fn a_push_that_the_remote_forbids_is_told_in_its_words() {
    let upstream = Upstream::start();
    let at = upstream.commit(&[("conf/a", "1")], "One", ADA);
    let hook = upstream.git_dir().join("hooks/pre-receive");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, "#!/bin/sh\necho 'main is protected' >&2\nexit 1\n").unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    let bed = Bed::start().await;
    bed.edit(&[("public/a", Some("2"))]).await;
    bed.put(folders(upstream.url())).await;
    let error = bed.fails("out").await;
    assert!(error.contains("main is protected"), "{error}");
    assert_eq!(upstream.head("main"), at);
}

#[tokio::test]
async fn what_others_pushed_is_never_rewritten() {
    let upstream = Upstream::start();
    let bed = Bed::start().await;
    bed.edit(&[("a", Some("1"))]).await;
    bed.put(mirror("out", OUT, upstream.url())).await;
    bed.brings("out").await;
    // The mirror wins by a commit on top, not by a rewrite.
    let scratch = tempfile::tempdir().unwrap();
    let work = scratch.path().join("w").display().to_string();
    crate::harness::process::run("git", &["clone", "-q", &upstream.file_url(), &work]);
    let shell = format!(
        "cd {work} && echo theirs > t && git add t && git -c user.name=x -c user.email=x@y \
         commit -qm theirs && git push -q origin main"
    );
    crate::harness::process::run("sh", &["-c", &shell]);
    let theirs = upstream.head("main");
    bed.edit(&[("a", Some("2"))]).await;
    bed.brings("out").await;
    assert_eq!(upstream.git(&["rev-parse", "main^"]), theirs.to_string());
    assert_eq!(upstream.git(&["ls-tree", "-r", "--name-only", "main"]), "a");
}
