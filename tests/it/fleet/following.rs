//! Whoever follows: a page that looks when an event tells it to, and a script
//! that waits for a share of the nodes.

use std::io::{BufRead as _, BufReader};
use std::sync::mpsc::{Receiver, channel};

use super::{Bed, PATIENCE};
use crate::harness::api::Asker;

/// A page of the console: it looks once for each event, and never of itself.
struct Page<'a> {
    bed: &'a Bed,
    events: Receiver<()>,
}

impl<'a> Page<'a> {
    fn open(bed: &'a Bed) -> Self {
        let body = Asker::of(&bed.convoy).open("/events", &[]);
        let (sender, events) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(body).lines().map_while(Result::ok) {
                if line.starts_with("data:") && sender.send(()).is_err() {
                    return;
                }
            }
        });
        Self { bed, events }
    }

    /// The state of a node that it sees now.
    fn look(&self, id: &str) -> String {
        let found = self.bed.convoy.try_get(&format!("/api/v1/nodes/{id}"));
        let state = found.map(|card| card["node"]["state"].as_str().map(str::to_owned));
        state.ok().flatten().unwrap_or_else(|| "gone".to_owned())
    }

    /// Follows events until a node is in a state.
    fn follow(&self, id: &str, expected: &str) {
        let mut seen = Vec::new();
        while seen.last().map(String::as_str) != Some(expected) {
            let event = self.events.recv_timeout(PATIENCE);
            assert!(event.is_ok(), "no event shows {id} {expected}: it was {seen:?}");
            seen.push(self.look(id));
        }
    }
}

#[test]
fn a_page_that_follows_events_sees_nodes_join_take_refuse_and_leave() {
    let bed = Bed::start();
    let first = bed.push(1);
    bed.convoy.wait_served("beta", &first);
    let page = Page::open(&bed);
    let mut good = bed.join("good");
    page.follow("good", "never_acked");
    good.take();
    page.follow("good", "synced");
    let mut picky = bed.join("picky");
    page.follow("picky", "never_acked");
    let refused = picky.next();
    picky.answer(&refused, Some("Error adding/updating cluster(s) api: no"));
    page.follow("picky", "nacked");
    drop(picky);
    page.follow("picky", "gone");
}

#[test]
fn ninety_five_percent_of_twenty_are_nineteen() {
    let bed = Bed::start();
    let first = bed.push(1);
    bed.convoy.wait_served("beta", &first);
    let mut nodes: Vec<_> = (0..20).map(|number| bed.join(&format!("edge-{number}"))).collect();
    nodes.iter_mut().for_each(|node| assert_eq!(node.take(), 1));
    bed.push(2);
    let (most, late) = nodes.split_at_mut(18);
    most.iter_mut().for_each(|node| assert_eq!(node.take(), 2));
    let wait = |ready: &str, patience: &str| {
        let arguments = ["--stage", "beta", "--revision", "2", "--ready", ready];
        let ended = bed.run("wait", &[&arguments[..], &["--timeout", patience]].concat());
        let said = [ended.stdout, ended.stderr].concat();
        (ended.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    let (code, said) = wait("90%", "20s");
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = wait("95%", "300ms");
    assert_eq!(code, Some(7), "{said}");
    assert!(said.contains("edge-18") && said.contains("edge-19"), "{said}");
    assert!(!said.contains("edge-17"), "{said}");
    assert_eq!(late[0].take(), 2);
    let (code, said) = wait("95%", "20s");
    assert_eq!(code, Some(0), "{said}");
    // One lags still, which is what the share is for.
    let (code, said) = wait("100%", "300ms");
    assert_eq!(code, Some(7), "{said}");
    assert!(said.contains("edge-19") && !said.contains("edge-18"), "{said}");
}
