//! One mirror in and one out, between the same two places.

use super::bed::{Bed, IN, OUT, files, mirror, repo};
use crate::harness::upstream::{ADA, Upstream};
use convoy::govern::MirrorDocument;

async fn pair(bed: &Bed, upstream: &Upstream, folder: &str) {
    for (id, direction) in [("in", IN), ("out", OUT)] {
        let folder = folder.to_owned();
        let one = mirror(id, direction, upstream.url());
        let one = MirrorDocument { local_folder: folder.clone(), remote_folder: folder, ..one };
        bed.put(one).await;
    }
}

/// Runs both until neither has anything to bring.
async fn settle(bed: &Bed) {
    for _ in 0..4 {
        let ran = [bed.run("in").await.outcome, bed.run("out").await.outcome];
        if ran.iter().all(|outcome| matches!(outcome, convoy::mirroring::Outcome::UpToDate)) {
            return;
        }
    }
    panic!("they don't settle: {:?}", bed.mirroring.states());
}

#[tokio::test]
async fn edits_on_either_side_settle_and_none_is_lost() {
    for folder in ["", "conf"] {
        let at =
            |name: &str| if folder.is_empty() { name.into() } else { format!("{folder}/{name}") };
        let upstream = Upstream::start();
        upstream.commit(&[(&at("a"), "1")], "One", ADA);
        let bed = Bed::start().await;
        pair(&bed, &upstream, folder).await;
        settle(&bed).await;
        let revision = bed.head();
        settle(&bed).await;
        assert_eq!(bed.head(), revision);

        // Whichever runs first must not take the other's work away.
        bed.edit(&[(&at("b"), Some("ours"))]).await;
        bed.is_up_to_date("in").await;
        bed.brings("out").await;
        settle(&bed).await;
        upstream.pull();
        upstream.commit(&[(&at("c"), "theirs")], "Two", ADA);
        bed.is_up_to_date("out").await;
        bed.brings("in").await;
        settle(&bed).await;
        let (a, b, c) = (at("a"), at("b"), at("c"));
        assert_eq!(bed.files(), files(&[(&a, "1"), (&b, "ours"), (&c, "theirs")]), "{folder}");
        let listed = upstream.git(&["ls-tree", "-r", "--name-only", "main"]);
        assert_eq!(listed, [a, b, c].join("\n"));
    }
}

#[tokio::test]
async fn after_a_restart_the_remote_goes_first() {
    let upstream = Upstream::start();
    upstream.commit(&[("a", "1")], "One", ADA);
    let mut bed = Bed::start().await;
    pair(&bed, &upstream, "").await;
    settle(&bed).await;
    bed.edit(&[("b", Some("ours"))]).await;
    bed.brings("out").await;
    upstream.pull();
    upstream.commit(&[("c", "theirs")], "Two", ADA);
    bed.restart_mirrors();
    let error = bed.fails("out").await;
    assert!(error.contains("has not brought yet"), "{error}");
    bed.brings("in").await;
    settle(&bed).await;
    assert_eq!(bed.files(), files(&[("a", "1"), ("b", "ours"), ("c", "theirs")]));
}

#[tokio::test]
async fn a_repository_that_went_out_whole_comes_back_in() {
    let upstream = Upstream::start();
    let bed = Bed::start().await;
    bed.edit(&[("a", Some("1"))]).await;
    pair(&bed, &upstream, "").await;
    bed.brings("out").await;
    assert_eq!(Some(upstream.head("main")), bed.store.head(&repo()).unwrap().commit);
    settle(&bed).await;
    bed.edit(&[("a", Some("2"))]).await;
    bed.is_up_to_date("in").await;
    bed.brings("out").await;
    settle(&bed).await;
    assert_eq!(bed.files(), files(&[("a", "2")]));
    assert_eq!(Some(upstream.head("main")), bed.store.head(&repo()).unwrap().commit);
}
