//! When mirrors run, and that none holds up another.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::bed::{Bed, IN, OUT, Wanted, files, mirror};
use crate::harness::convoy::wait_for;
use crate::harness::oneshot;
use crate::harness::upstream::{ADA, Upstream};
use convoy::govern::MirrorDocument;
use convoy::mirror::Limits;
use convoy::mirroring::{MirrorState, Outcome};
use convoy::model::Origin;

fn every_second(id: &str, url: &str) -> MirrorDocument {
    MirrorDocument { every_s: Some(1), ..mirror(id, IN, url) }
}

fn state(bed: &Bed, id: &str) -> MirrorState {
    let states = bed.mirroring.states();
    states.into_iter().find(|state| state.id == id).expect("there is such a mirror")
}

fn seconds(seconds: u64) -> Wanted {
    let limits = Limits { time_max: Duration::from_secs(seconds), ..Limits::default() };
    Wanted { limits, ..Wanted::default() }
}

/// Waits on a thread of its own, so that the mirrors go on.
async fn until(what: &'static str, bed: &std::sync::Arc<Bed>, is: fn(&Bed) -> bool) {
    let bed = bed.clone();
    let waiting = tokio::task::spawn_blocking(move || {
        wait_for(what, || {
            if is(&bed) { Ok(()) } else { Err(format!("{:?}", bed.mirroring.states())) }
        });
    });
    waiting.await.unwrap();
}

#[tokio::test]
async fn a_mirror_runs_by_itself_from_the_moment_it_is_written() {
    let upstream = Upstream::start();
    upstream.commit(&[("a", "1")], "One", ADA);
    let bed = std::sync::Arc::new(Bed::start().await);
    bed.put(every_second("up", upstream.url())).await;
    until("the first look", &bed, |bed| bed.files() == files(&[("a", "1")])).await;
    upstream.commit(&[("a", "2")], "Two", ADA);
    until("the next look", &bed, |bed| bed.files() == files(&[("a", "2")])).await;
    assert!(bed.brought.load(Ordering::Relaxed) >= 2);

    let off = MirrorDocument { enabled: false, ..every_second("up", upstream.url()) };
    bed.put(off).await;
    until("it to be off", &bed, |bed| {
        let state = state(bed, "up");
        !state.running && state.next_at.is_none()
    })
    .await;
    upstream.commit(&[("a", "3")], "Three", ADA);
    // It still runs when it is told to.
    bed.brings("up").await;
    assert_eq!(bed.files(), files(&[("a", "3")]));
    bed.govern.remove_mirror(&Origin::system(), "mesh", "up").await.unwrap();
    assert!(bed.mirroring.run("mesh", "up").await.is_none());
    assert!(bed.mirroring.states().is_empty());
}

#[tokio::test]
async fn those_that_hang_or_fail_hold_up_nobody() {
    let hanging = Upstream::with().hang().start();
    let down = {
        let mut upstream = Upstream::start();
        upstream.stop();
        upstream
    };
    let good = Upstream::start();
    good.commit(&[("a", "1")], "One", ADA);
    let bed = std::sync::Arc::new(Bed::with(seconds(30)).await);
    // More than run at once by far, all of them waiting for an answer.
    for n in 0..12 {
        bed.put(every_second(&format!("hang{n}"), hanging.url())).await;
    }
    bed.put(every_second("down", down.url())).await;
    bed.put(MirrorDocument { local_folder: "g".into(), ..every_second("good", good.url()) }).await;
    until("the good one", &bed, |bed| bed.files() == files(&[("g/a", "1")])).await;
    good.commit(&[("a", "2")], "Two", ADA);
    until("the good one again", &bed, |bed| bed.files() == files(&[("g/a", "2")])).await;
    until("the one that is down", &bed, |bed| state(bed, "down").failures >= 2).await;
    assert!(state(&bed, "hang0").running && state(&bed, "hang0").last.is_none());
    let down = state(&bed, "down");
    assert!(down.failing_since.is_some() && down.in_step_at.is_none());
    assert!(matches!(down.last.unwrap().outcome, Outcome::Failed { .. }));
}

#[tokio::test]
async fn a_remote_that_hangs_is_given_up_in_time() {
    let bed = std::sync::Arc::new(Bed::with(seconds(1)).await);
    let mut silent = Upstream::with().hang().start();
    bed.put(mirror("silent", IN, silent.url())).await;
    let error = bed.fails("silent").await;
    assert!(error.contains("no answer within 1 s"), "{error}");
    silent.stop();
    let stalled = Upstream::with().hang_after(2000).start();
    let noise: Vec<_> = (0..400).map(|n| (format!("f{n}"), format!("{n}{}", n * 7919))).collect();
    let noise: Vec<_> = noise.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    stalled.commit(&noise, "Many", ADA);
    bed.put(mirror("stalled", IN, stalled.url())).await;
    bed.fails("stalled").await;
    bed.edit(&[("a", Some("1"))]).await;
    bed.put(mirror("out", OUT, stalled.url())).await;
    bed.fails("out").await;
    // A thread that did not notice in time is left behind, and cleans up after itself.
    until("nothing to be left", &bed, |bed| bed.leftovers() == 0).await;
}

#[tokio::test]
async fn answers_that_are_no_gits_are_failures() {
    let bed = Bed::start().await;
    for (id, answer) in [
        ("teapot", "HTTP/1.1 418 Teapot\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
        ("gone", "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
        ("page", "HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>"),
    ] {
        let (url, _asked) = oneshot::answer(answer);
        bed.put(mirror(id, IN, &format!("{url}/conf.git"))).await;
        let error = bed.fails(id).await;
        assert!(error.contains("can't be reached"), "{id}: {error}");
    }
}

#[tokio::test]
async fn two_who_ask_at_once_share_a_run_or_get_one_each() {
    let upstream = Upstream::start();
    upstream.commit(&[("a", "1")], "One", ADA);
    let bed = Bed::start().await;
    bed.put(mirror("up", IN, upstream.url())).await;
    let (one, two, three) = tokio::join!(bed.run("up"), bed.run("up"), bed.run("up"));
    for run in [one, two, three] {
        assert!(!matches!(run.outcome, Outcome::Failed { .. }), "{run:?}");
    }
    assert_eq!(bed.head().0, 2);
}
