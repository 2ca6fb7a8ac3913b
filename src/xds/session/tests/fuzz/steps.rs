//! What may happen in a conversation, and worlds to talk about.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::script::{Kind, cla, eds_cluster, host, rds_listener, route_to, thing, wrapped};
use super::Random;
use crate::model::Resource;
use crate::snapshot::Snapshot;
use crate::xds::features::Features;

/// How long what has a time to live lives, in seconds.
pub(super) const TTL: u64 = 10;

/// One resource of a world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) kind: Kind,
    pub(super) name: &'static str,
    pub(super) version: i64,
    pub(super) ttl: bool,
    pub(super) alias: Option<&'static str>,
    /// Which one it names, of the kind that it names.
    pub(super) to: usize,
}

pub(super) type World = Vec<Item>;

/// One thing that happens.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Publish(World),
    Withdraw,
    /// The client asks for more names, or as one that knows no names.
    Subscribe(Kind, Vec<&'static str>),
    Unsubscribe(Kind, Vec<&'static str>),
    /// The client takes the oldest response that it did not answer.
    Accept(Kind),
    /// It refuses that, but for removals where the flag says so.
    Refuse(Kind, bool),
    /// It answers something that nobody remembers, and asks for a name.
    Stale(Kind, &'static str),
    /// Milliseconds.
    Wait(u64),
    Return,
}

/// Steps, and before them who talks.
#[derive(Debug, Clone)]
pub(super) enum Talk {
    Knows(Features),
    Step(Step),
}

impl Item {
    pub(super) fn new(kind: Kind, name: &'static str) -> Self {
        Self { kind, name, version: 1, ttl: false, alias: None, to: 0 }
    }

    fn resource(&self) -> Arc<Resource> {
        let Self { kind, name, version, to, .. } = *self;
        let plain = match kind {
            Kind::Clusters => eds_cluster(name, version),
            Kind::Endpoints => cla(name, version),
            Kind::Listeners => rds_listener(name, ["r0", "r1", "r2"][to % 3], version),
            Kind::Routes => route_to(name, ["c0", "c1", "c2"][to % 3], version),
            Kind::VirtualHosts => host(name, self.domains(), version),
            kind => thing(kind, name, version),
        };
        let aliases: Vec<_> = self.alias.into_iter().collect();
        wrapped(&plain, self.ttl.then_some(TTL), &aliases)
    }

    /// The hosts that a virtual host serves.
    pub(super) fn domains(&self) -> &'static [&'static str] {
        [&["h0"] as &[&str], &["h0", "h1"], &["h2"]][self.to % 3]
    }
}

pub(super) fn snapshot(world: &World) -> Arc<Snapshot> {
    super::super::script::snapshot(world.iter().map(Item::resource))
}

/// The names that resources of a kind may have.
pub(super) fn names(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Clusters => {
            &["c0", "c1", "c2", "xdstp://a/C/x/1", "xdstp://a/C/x/2?p=1&q=2", "xdstp://a/C/y/1"]
        }
        Kind::Endpoints => &["c0", "c1", "c2", "xdstp://a/C/x/1"],
        Kind::Listeners => &["l0", "l1"],
        Kind::Routes => &["r0", "r1", "r2"],
        Kind::VirtualHosts => &["r0/v0", "r0/v1", "r1/v0"],
        Kind::Runtime => &["t0", "t1", "t2"],
        _ => &["s0", "s1"],
    }
}

/// The other names that they may have.
fn aliases(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Clusters | Kind::Routes | Kind::Runtime => &["al0", "al1"],
        Kind::VirtualHosts => &["r0/al0"],
        _ => &[],
    }
}

/// The names that a client may ask for beside them: other names of resources,
/// collections, parameters in another order.
fn more(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Clusters => {
            &["*", "none", "al0", "al1", "xdstp://a/C/x/*", "xdstp://a/C/x/2?q=2&p=1"]
        }
        Kind::Routes | Kind::Runtime => &["*", "none", "al0", "al1"],
        Kind::VirtualHosts => &["*", "r2/v0", "r0/h0", "r0/h1", "r1/h2", "r0/al0"],
        _ => &["*", "none"],
    }
}

/// A conversation, about virtual `hosts` too where the protocol has them.
pub(super) fn talk(random: &mut Random, hosts: bool) -> Vec<Talk> {
    let ttl = random.once_in(2);
    let features =
        Features { ttl, wrapped: ttl, errors: random.once_in(3), drains: random.once_in(3) };
    let mut talk = vec![Talk::Knows(features)];
    // Few types at once meet more often.
    let mut kinds = Kind::ALL.to_vec();
    kinds.retain(|kind| *kind != Kind::VirtualHosts || hosts);
    while kinds.len() > 1 && !random.once_in(4) {
        kinds.remove(random.below(kinds.len()));
    }
    let mut world = World::new();
    let length = 5 + random.below(60);
    for _ in 0..length {
        talk.push(Talk::Step(step(random, &kinds, &mut world)));
    }
    talk
}

fn step(random: &mut Random, kinds: &[Kind], world: &mut World) -> Step {
    let kind = *random.pick(kinds);
    match random.below(24) {
        0..6 => {
            change(random, kinds, world);
            Step::Publish(world.clone())
        }
        6 => Step::Withdraw,
        7..11 => Step::Subscribe(kind, asked(random, kind)),
        11 | 12 => Step::Unsubscribe(kind, asked(random, kind)),
        13..19 => Step::Accept(kind),
        19 => Step::Refuse(kind, random.once_in(2)),
        20 => Step::Stale(kind, ask(random, kind)),
        21 => Step::Wait(1 + random.next() % 40_000),
        22 => Step::Wait(1 + random.next() % 3_000),
        _ => Step::Return,
    }
}

fn asked(random: &mut Random, kind: Kind) -> Vec<&'static str> {
    (0..random.below(3)).map(|_| ask(random, kind)).collect()
}

fn ask(random: &mut Random, kind: Kind) -> &'static str {
    let all = [names(kind), more(kind)].concat();
    random.pick::<&str>(&all)
}

fn change(random: &mut Random, kinds: &[Kind], world: &mut World) {
    for _ in 0..1 + random.below(4) {
        let kind = *random.pick(kinds);
        let name = *random.pick(names(kind));
        let found = world.iter().position(|one| (one.kind, one.name) == (kind, name));
        match found {
            Some(at) if random.once_in(3) => drop(world.remove(at)),
            Some(at) => vary(random, &mut world[at]),
            None => {
                world.push(Item::new(kind, name));
                world.last_mut().into_iter().for_each(|one| vary(random, one));
            }
        }
    }
    tell_apart(world);
}

/// Two resources with one alias are a mistake that never gets this far.
fn tell_apart(world: &mut World) {
    let mut seen = BTreeSet::new();
    for one in world {
        one.alias = one.alias.filter(|alias| seen.insert((one.kind, *alias)));
    }
}

fn vary(random: &mut Random, item: &mut Item) {
    item.version = 1 + item.version % 3;
    item.to = random.below(3);
    item.ttl = item.kind != Kind::VirtualHosts && random.once_in(6);
    let aliases = aliases(item.kind);
    item.alias = None;
    if !aliases.is_empty() && random.once_in(3) {
        item.alias = Some(*random.pick(aliases));
    }
}
