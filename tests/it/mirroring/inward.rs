//! From a remote to a repository.

use super::bed::{Bed, IN, OUT, Wanted, files, mirror, repo};
use crate::harness::oneshot;
use crate::harness::upstream::{ADA, Upstream};
use convoy::govern::{MirrorDocument, RepositoryStatus};
use convoy::model::{Origin, RepoName, Revision};

fn folders(url: &str) -> MirrorDocument {
    MirrorDocument {
        local_folder: "from/there".into(),
        remote_folder: "deploy".into(),
        ignore: "*.tmp\n/private/\n".into(),
        ..mirror("up", IN, url)
    }
}

#[tokio::test]
async fn a_remote_folder_becomes_ours_by_one_commit() {
    let upstream = Upstream::start();
    upstream.commit(&[("README.md", "outside")], "Outside", ADA);
    upstream.symlink("deploy/link", "../README.md");
    upstream.submodule("deploy/module");
    let at = upstream.commit(
        &[("deploy/a.yaml", "a: 1\n"), ("deploy/x/b.yaml", "b: 1\n"), ("deploy/n.tmp", "no")],
        "Deploy",
        ADA,
    );
    let bed = Bed::start().await;
    bed.edit(&[
        ("mine.txt", Some("mine")),
        ("from/there/old.yaml", Some("old")),
        ("from/there/keep.tmp", Some("kept")),
        ("from/there/private/key", Some("kept")),
    ])
    .await;
    bed.put(folders(upstream.url())).await;
    let run = bed.run("up").await;
    assert!(run.skipped.iter().any(|one| one == "link (symbolic link)"), "{run:?}");
    assert!(run.skipped.iter().any(|one| one == "module (submodule)"), "{run:?}");
    assert_eq!(
        bed.files(),
        files(&[
            ("mine.txt", "mine"),
            ("from/there/a.yaml", "a: 1\n"),
            ("from/there/x/b.yaml", "b: 1\n"),
            ("from/there/keep.tmp", "kept"),
            ("from/there/private/key", "kept"),
        ])
    );
    let info = bed.store.info(&repo(), bed.head()).unwrap();
    assert_eq!(info.author_name, "Convoy mirror");
    for part in [upstream.url(), "(main)", &format!("Mirror-Commit: {at}"), "link (symbolic link)"]
    {
        assert!(info.message.contains(part), "{part}: {}", info.message);
    }
    assert!(info.message.contains("- from/there/old.yaml (revision 2, Ann)"), "{}", info.message);

    let head = bed.head();
    bed.is_up_to_date("up").await;
    upstream.commit(&[("README.md", "outside changes")], "Outside again", ADA);
    bed.is_up_to_date("up").await;
    assert_eq!(bed.head(), head);
    upstream.commit(&[("deploy/a.yaml", "a: 2\n")], "Inside", ADA);
    let (_, _, count) = bed.brings("up").await;
    assert_eq!((bed.head(), count), (Revision(head.0 + 1), 1));
    assert_eq!(bed.leftovers(), 0);
}

#[tokio::test]
async fn a_mirror_wins_in_its_folder_and_says_what_it_replaced() {
    let upstream = Upstream::start();
    upstream.commit(&[("a", "theirs"), ("b", "b")], "One", ADA);
    let bed = Bed::start().await;
    bed.put(mirror("up", IN, upstream.url())).await;
    bed.brings("up").await;
    let edited = bed.edit(&[("a", Some("ours")), ("c", Some("new"))]).await;
    bed.brings("up").await;
    assert_eq!(bed.files(), files(&[("a", "theirs"), ("b", "b")]));
    let message = bed.store.info(&repo(), bed.head()).unwrap().message;
    for line in [format!("- a (revision {edited}, Ann)"), format!("- c (revision {edited}, Ann)")] {
        assert!(message.contains(&line), "{message}");
    }
    bed.is_up_to_date("up").await;
}

#[tokio::test]
async fn a_rewritten_branch_is_followed_by_its_tree() {
    let upstream = Upstream::start();
    for n in ["1", "2", "3"] {
        upstream.commit(&[("a", n), (&format!("f{n}"), n)], n, ADA);
    }
    let bed = Bed::start().await;
    bed.put(mirror("up", IN, upstream.url())).await;
    bed.brings("up").await;
    upstream.force_push(&[("a", "other")], "Other");
    bed.brings("up").await;
    assert_eq!(bed.files(), files(&[("a", "other"), ("f1", "1"), ("f2", "2")]));
    upstream.rewind(2);
    bed.brings("up").await;
    assert_eq!(bed.files(), files(&[("a", "1"), ("f1", "1")]));
}

#[tokio::test]
async fn a_branch_or_folder_that_is_gone_takes_nothing_along() {
    let upstream = Upstream::start();
    upstream.commit(&[("deploy/a.yaml", "a: 1\n"), ("x", "x")], "One", ADA);
    let bed = Bed::start().await;
    bed.put(folders(upstream.url())).await;
    bed.brings("up").await;
    let (before, head) = (bed.files(), bed.head());
    upstream.remove("deploy/a.yaml");
    let error = bed.fails("up").await;
    assert!(
        error.contains("no folder `deploy`") && error.contains("nothing was changed"),
        "{error}"
    );
    upstream.git(&["branch", "other", "main"]);
    upstream.delete_branch("main");
    let error = bed.fails("up").await;
    assert!(error.contains("no branch `main`"), "{error}");
    assert_eq!((bed.files(), bed.head()), (before, head));
    let state = bed.mirroring.states().pop().unwrap();
    assert_eq!(state.failures, 2);
    assert!(state.failing_since.is_some() && state.in_step_at.is_some());
}

#[tokio::test]
async fn thousands_of_files_come_over_and_only_what_differs_again() {
    let upstream = Upstream::start();
    let many: Vec<_> =
        (0..3000).map(|n| (format!("d{}/f{n}.yaml", n % 50), format!("n: {n}\n"))).collect();
    let list: Vec<_> = many.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    upstream.commit(&list, "Many", ADA);
    let bed = Bed::start().await;
    bed.put(mirror("up", IN, upstream.url())).await;
    assert_eq!(bed.brings("up").await.2, 3000);
    assert_eq!(bed.files(), files(&list));
    upstream.commit(&[("d7/f7.yaml", "n: changed\n")], "One", ADA);
    assert_eq!(bed.brings("up").await.2, 1);
}

#[tokio::test]
async fn a_name_that_git_keeps_is_skipped_and_stops_nothing() {
    let upstream = Upstream::start();
    upstream.commit(&[(".gitmodules", "[submodule]\n"), ("a", "1")], "One", ADA);
    let bed = Bed::start().await;
    bed.put(mirror("up", IN, upstream.url())).await;
    let run = bed.run("up").await;
    assert_eq!(run.skipped, [".gitmodules (a name that Git keeps for itself)"]);
    assert_eq!(bed.files(), files(&[("a", "1")]));
    bed.edit(&[("a", Some("2"))]).await;
    bed.put(mirror("out", OUT, upstream.url())).await;
    bed.brings("out").await;
    let listed = upstream.git(&["ls-tree", "-r", "--name-only", "main"]);
    assert_eq!(listed, ".gitmodules\na");
}

#[tokio::test]
async fn what_was_fetched_is_not_fetched_again() {
    let upstream = Upstream::start();
    let noise = |n: usize| (0..4000).map(|i| format!("{:x}", (i * n) ^ 0x5bd1)).collect::<String>();
    let many: Vec<_> = (1..60).map(|n| (format!("f{n}"), noise(n * 7919))).collect();
    upstream.commit(
        &many.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect::<Vec<_>>(),
        "1",
        ADA,
    );
    let mut bed = Bed::start().await;
    bed.put(mirror("up", IN, upstream.url())).await;
    bed.brings("up").await;
    let first = bed.cached_bytes();
    for n in ["2", "3", "4"] {
        upstream.commit(&[("f7", n)], n, ADA);
        bed.brings("up").await;
    }
    let grown = bed.cached_bytes() - first;
    assert!(first > 100_000 && grown < 20_000, "{first} and then {grown}");
    // A cache that is damaged, cut short or gone costs a fetch and nothing else.
    for damage in ["cut", "gone", "tip"] {
        bed.damage_cache(damage);
        bed.restart_mirrors();
        upstream.commit(&[("f8", damage)], damage, ADA);
        for _ in 0..2 {
            bed.run("up").await;
        }
        assert_eq!(bed.files().get("f8").map(String::as_str), Some(damage));
        bed.is_up_to_date("up").await;
    }
}

#[tokio::test]
async fn odd_names_and_bytes_come_over_as_they_are() {
    let upstream = Upstream::start();
    let odd = [
        ("a b/ü 🚚.txt", "x"),
        ("back\\slash", "y"),
        ("c:olon", "z\r\n"),
        (".hidden", ""),
        ("-dash", "\u{feff}bom"),
    ];
    // The names go through fast-import quoted where it asks for it.
    let odd: Vec<_> = odd.iter().filter(|(path, _)| !path.starts_with('"')).copied().collect();
    upstream.commit(&odd, "Odd", ADA);
    let bed = Bed::start().await;
    bed.put(mirror("up", IN, upstream.url())).await;
    bed.brings("up").await;
    assert_eq!(bed.files(), files(&odd));
}

#[tokio::test]
async fn what_a_mirror_may_not_write_is_refused() {
    let upstream = Upstream::start();
    upstream.commit(&[("a", "1")], "One", ADA);
    let other = RepoName::new("mesh/followed").unwrap();
    let bed = Bed::with(Wanted { followed: vec![other.clone()], ..Wanted::default() }).await;
    let by = Origin::system();
    bed.govern.create_repository(&by, &other).await.unwrap();
    let followed = MirrorDocument { local: other, ..mirror("followed", IN, upstream.url()) };
    assert!(bed.mirroring.check(&followed, None).is_err());
    bed.put(followed).await;
    let error = bed.fails("followed").await;
    assert!(error.contains("follows an upstream"), "{error}");

    bed.put(mirror("up", IN, upstream.url())).await;
    bed.govern.set_status(&by, &repo(), RepositoryStatus::ReadOnly).await.unwrap();
    assert!(bed.fails("up").await.contains("read-only"));
    bed.govern.set_status(&by, &repo(), RepositoryStatus::Active).await.unwrap();
    bed.brings("up").await;
    bed.govern.remove_repository(&by, &repo()).await.unwrap();
    assert!(bed.fails("up").await.contains("no repository"));
    let internal = MirrorDocument { local: RepoName::state(), ..mirror("own", IN, upstream.url()) };
    let error = bed.mirroring.check(&internal, None).expect_err("refused");
    assert!(error.contains("Convoy's own"), "{error}");
}

#[tokio::test]
async fn remotes_that_are_not_allowed_are_not_even_called() {
    let upstream = Upstream::start();
    upstream.commit(&[("a", "1")], "One", ADA);
    let bed = Bed::with(Wanted { strict: true, ..Wanted::default() }).await;
    for (id, url) in [
        ("http", upstream.url().to_owned()),
        ("name", upstream.url().replace("127.0.0.1", "localhost")),
        ("file", upstream.file_url()),
        ("ext", "ext::sh -c id".into()),
        ("dash", "ssh://-oProxyCommand=id/x".into()),
        ("user", "https://u:hunter2@127.0.0.1/x".into()),
    ] {
        bed.put(mirror(id, IN, &url)).await;
        let error = bed.fails(id).await;
        assert!(error.contains("can't be an upstream") && !error.contains("hunter2"), "{error}");
    }
    assert_eq!(upstream.access_log(), "");
    let allow = vec![upstream.url().replace("/conf.git", "/")];
    let listed = Bed::with(Wanted { strict: true, allow, ..Wanted::default() }).await;
    listed.put(mirror("up", IN, upstream.url())).await;
    listed.brings("up").await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let upstream = Upstream::start();
    upstream.commit(&[("a", "1")], "One", ADA);
    let answer = format!(
        "HTTP/1.1 302 Found\r\nlocation: {}/info/refs?service=git-upload-pack\r\n\
         content-length: 0\r\nconnection: close\r\n\r\n",
        upstream.url()
    );
    let (url, _asked) = oneshot::answer(answer);
    let bed = Bed::start().await;
    bed.put(mirror("up", IN, &format!("{url}/conf.git"))).await;
    bed.fails("up").await;
    assert_eq!(upstream.access_log(), "");
}

#[tokio::test]
async fn after_a_restart_nothing_is_fetched_that_is_here() {
    let upstream = Upstream::start();
    upstream.commit(&[("a", "1")], "One", ADA);
    let mut bed = Bed::start().await;
    bed.put(mirror("up", IN, upstream.url())).await;
    bed.brings("up").await;
    let asked = || upstream.access_log().matches("POST").count();
    let before = asked();
    bed.restart_mirrors();
    let head = bed.head();
    bed.is_up_to_date("up").await;
    assert_eq!(bed.head(), head);
    // One question for the branch's head, and no pack.
    assert_eq!(asked(), before + 1, "{}", upstream.access_log());
}
