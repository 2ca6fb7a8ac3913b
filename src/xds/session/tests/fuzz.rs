//! Long random conversations, each checked message by message against a model
//! client and compared with the snapshot at rest.
//!
//! Both protocols and every type, resources with aliases and `xdstp://` names,
//! times to live, stale nonces, late answers, refusals, returns. What is not
//! tried is said in `steps` and `order`.
//! A failing conversation is made as short as it gets and printed with its
//! seed; `CONVOY_SEED` runs that one first. `CONVOY_ROUNDS` says how many
//! conversations there are, `CONVOY_LONG` makes them many, and other ones with
//! every run.

mod client;
mod order;
mod steps;

use std::hash::{BuildHasher as _, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};

use self::client::Client;
use self::steps::{Item, Step, Talk};
use super::super::Protocol;
use super::script::Kind;
use crate::xds::features::Features;

/// How many conversations there are, as a rule and in the long form.
const ROUNDS: [u64; 2] = [200, 60_000];

/// Numbers that look random (splitmix64).
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    /// True once in `many`.
    fn once_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Runs conversations that `make` makes, each of a seed of its own, through
/// `play`, which says what is wrong.
fn rounds<T: Clone + std::fmt::Debug>(
    what: &str,
    make: impl Fn(&mut Random) -> Vec<T>,
    play: impl Fn(&[T]) -> Result<(), String>,
) {
    let long = std::env::var_os("CONVOY_LONG").is_some();
    // The short form says the same every time; the long one looks for news.
    let any = if long { RandomState::new().hash_one(what) } else { 10_000 };
    let first = env("CONVOY_SEED").unwrap_or(any);
    let count = env("CONVOY_ROUNDS").unwrap_or(ROUNDS[usize::from(long)]);
    eprintln!("{what}: CONVOY_SEED={first}, {count} rounds");
    for round in 0..count {
        let seed = first.wrapping_add(round);
        let steps = make(&mut Random(seed));
        if let Err(wrong) = tried(&play, &steps) {
            let short = shortest(steps, |steps| tried(&play, steps).is_err());
            let again = tried(&play, &short).err().unwrap_or(wrong);
            panic!("{what}: CONVOY_SEED={seed}: {again}\nafter {short:#?}");
        }
    }
}

/// What `play` says, a panic within it included.
fn tried<T>(play: &impl Fn(&[T]) -> Result<(), String>, steps: &[T]) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| play(steps))).unwrap_or_else(|_| Err("it panics".into()))
}

/// `steps` without what need not be there for `fails` to be true.
fn shortest<T: Clone>(mut steps: Vec<T>, fails: impl Fn(&[T]) -> bool) -> Vec<T> {
    let mut size = steps.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(at..(at + size).min(steps.len()));
            match fails(&fewer) {
                true => steps = fewer,
                false => at += size,
            }
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    steps
}

/// The whole conversation, and what is left of it at rest.
fn play(protocol: Protocol, talk: &[Talk]) -> Result<(), String> {
    let mut client = Client::new(protocol);
    for one in talk {
        client.step(one).map_err(|wrong| format!("{wrong}, at {one:?}"))?;
    }
    client.comes_to_rest()
}

#[test]
fn delta_conversations_hold() {
    rounds("delta", |random| steps::talk(random, true), |talk| play(Protocol::Delta, talk));
}

#[test]
fn sotw_conversations_hold() {
    rounds("sotw", |random| steps::talk(random, false), |talk| play(Protocol::Sotw, talk));
}

/// A conversation that failed once, as its shortest form.
fn regression(protocol: Protocol, steps: &[Step]) {
    let talk: Vec<_> = steps.iter().cloned().map(Talk::Step).collect();
    play(protocol, &talk).unwrap();
}

/// Found with seed 2896774071979306121: a name was left while it was under way,
/// and everything asked for before it was answered; that it is gone was never said.
#[test]
fn what_is_under_way_when_everything_is_asked_for_is_said_to_be_gone() {
    let route = |name| Item { version: 1, ..Item::new(Kind::Routes, name) };
    regression(
        Protocol::Delta,
        &[
            Step::Subscribe(Kind::Routes, vec!["r0"]),
            Step::Publish(vec![route("r0"), route("r1")]),
            Step::Unsubscribe(Kind::Routes, vec!["r0"]),
            Step::Subscribe(Kind::Routes, vec!["*"]),
            Step::Publish(vec![route("r1")]),
        ],
    );
}

/// Found with seed 16311577881982249029: the word that a host does not exist
/// was refused, and taken for a resource that the client holds.
#[test]
fn a_refused_word_that_a_host_is_missing_is_not_answered() {
    let host = Item { version: 1, ..Item::new(Kind::VirtualHosts, "r0/v0") };
    regression(
        Protocol::Delta,
        &[
            Step::Publish(vec![]),
            Step::Subscribe(Kind::VirtualHosts, vec!["r0/h0"]),
            Step::Refuse(Kind::VirtualHosts, true),
            Step::Publish(vec![host.clone()]),
            Step::Accept(Kind::VirtualHosts),
            Step::Publish(vec![Item { version: 2, ..host }]),
        ],
    );
}

/// Found with seed 6197934284922742679: what is withdrawn while the client has
/// not taken it yet goes by itself there, and nobody says so.
#[test]
fn what_has_a_time_to_live_and_is_withdrawn_is_not_removed_in_words() {
    let features = Features { ttl: true, wrapped: true, ..Features::default() };
    let secret = Item { ttl: true, ..Item::new(Kind::Secrets, "s0") };
    let steps =
        [Step::Publish(vec![secret]), Step::Subscribe(Kind::Secrets, vec!["s0"]), Step::Withdraw];
    let talk: Vec<_> = steps.into_iter().map(Talk::Step).collect();
    play(Protocol::Delta, &[vec![Talk::Knows(features)], talk].concat()).unwrap();
}

/// Found with seed 12273521433568168673: a client that is not told of what is
/// gone was sent what it refused together with that.
#[test]
fn what_was_refused_does_not_come_again_for_a_removal_that_nobody_tells() {
    let item = |name, version| Item { version, ..Item::new(Kind::ScopedRoutes, name) };
    regression(
        Protocol::Sotw,
        &[
            Step::Subscribe(Kind::ScopedRoutes, vec!["s0", "s1"]),
            Step::Publish(vec![item("s0", 1), item("s1", 1)]),
            Step::Publish(vec![item("s0", 2), item("s1", 2)]),
            Step::Accept(Kind::ScopedRoutes),
            Step::Publish(vec![item("s0", 2)]),
            Step::Refuse(Kind::ScopedRoutes, true),
        ],
    );
}

/// Found with seed 2000030: what the client had by name was forgotten when it
/// asked for everything, so that nobody said that it was gone.
#[test]
fn what_is_gone_when_everything_is_asked_for_is_said_to_be_gone() {
    regression(
        Protocol::Delta,
        &[
            Step::Publish(vec![Item::new(Kind::Clusters, "c0")]),
            Step::Subscribe(Kind::Clusters, vec!["c0"]),
            Step::Accept(Kind::Clusters),
            Step::Publish(vec![Item { version: 2, ..Item::new(Kind::Clusters, "c0") }]),
            Step::Subscribe(Kind::Clusters, vec!["*"]),
            Step::Publish(vec![]),
        ],
    );
}

/// Found with seed 12250915623559560843: what was refused was sent once more
/// for the sake of a removal that had still to wait.
#[test]
fn what_was_refused_does_not_come_again_for_a_removal_that_waits() {
    let item = |name, version| Item { version, ..Item::new(Kind::Endpoints, name) };
    regression(
        Protocol::Delta,
        &[
            Step::Publish(vec![item("c1", 1)]),
            Step::Subscribe(Kind::Endpoints, vec![]),
            Step::Subscribe(Kind::Listeners, vec![]),
            Step::Accept(Kind::Endpoints),
            Step::Publish(vec![item("c0", 1), Item::new(Kind::Listeners, "l0")]),
            Step::Refuse(Kind::Endpoints, true),
        ],
    );
}

/// Found with seed 225: a name that stands for another host now was answered
/// twice, because the host that it stood for before had gone.
#[test]
fn a_name_that_stands_for_another_host_is_answered_once() {
    let host = |name| Item::new(Kind::VirtualHosts, name);
    let named = |name| Item { alias: Some("r0/al0"), to: 1, ..host(name) };
    regression(
        Protocol::Delta,
        &[
            Step::Publish(vec![host("r0/v0"), host("r1/v0"), named("r0/v1")]),
            Step::Subscribe(Kind::VirtualHosts, vec!["*", "r0/v0"]),
            Step::Subscribe(Kind::VirtualHosts, vec!["r0/al0"]),
            Step::Withdraw,
            Step::Accept(Kind::VirtualHosts),
            Step::Publish(vec![host("r0/v0"), named("r1/v0")]),
            Step::Accept(Kind::VirtualHosts),
        ],
    );
}

/// Who is told of the hosts of its routes, and then asks for all hosts there
/// are, is told of all of them.
#[test]
fn all_hosts_come_to_whoever_asks_for_them_in_so_many_words() {
    let hosts = ["r0/v0", "r1/v0"].map(|name| Item::new(Kind::VirtualHosts, name));
    regression(
        Protocol::Delta,
        &[
            Step::Publish(hosts.to_vec()),
            Step::Subscribe(Kind::VirtualHosts, vec![]),
            Step::Accept(Kind::VirtualHosts),
            Step::Subscribe(Kind::VirtualHosts, vec!["*"]),
        ],
    );
}

/// Found with seed 20706: the only name there ever was came with a stale nonce,
/// and an empty list still asks for everything.
#[test]
fn a_list_of_no_names_asks_for_everything_until_a_name_was_heard() {
    let item = |name| Item::new(Kind::Endpoints, name);
    regression(
        Protocol::Sotw,
        &[
            Step::Publish(vec![item("c1")]),
            Step::Subscribe(Kind::Endpoints, vec![]),
            Step::Subscribe(Kind::Endpoints, vec!["c0"]),
            Step::Unsubscribe(Kind::Endpoints, vec!["c0"]),
            Step::Publish(vec![item("c0"), item("c1")]),
            Step::Accept(Kind::Endpoints),
            Step::Publish(vec![item("c0")]),
        ],
    );
}

/// Found with seed 101013: a host of the routes, which nobody asks for by name,
/// went when everything was asked for, and nobody said that it was gone.
#[test]
fn a_host_that_went_when_all_hosts_are_asked_for_is_said_to_be_gone() {
    regression(
        Protocol::Delta,
        &[
            Step::Subscribe(Kind::VirtualHosts, vec![]),
            Step::Publish(vec![Item::new(Kind::VirtualHosts, "r0/v1")]),
            Step::Withdraw,
            Step::Subscribe(Kind::VirtualHosts, vec!["r1/v0", "*"]),
            Step::Publish(vec![]),
        ],
    );
}
