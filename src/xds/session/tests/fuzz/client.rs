//! A model client. It says what may be said, believes what it is told, and
//! complains: of what comes unasked, twice, or in answer to a refusal; at
//! rest, of whatever differs from what it asked for.

mod asked;
mod rest;
mod side;

use std::collections::{BTreeMap, BTreeSet};

use self::asked::{Asked, alike, reaches, targets};
use self::side::Side;
use super::super::super::*;
use super::super::script::Kind;
use super::steps::{Step, Talk, World, snapshot};

type Wrong = Result<(), String>;

/// Says `what` is wrong where something is.
fn want(holds: bool, what: impl FnOnce() -> String) -> Wrong {
    if holds { Ok(()) } else { Err(what()) }
}

pub(super) struct Client {
    session: Session,
    protocol: Protocol,
    features: Features,
    now: Duration,
    world: Option<World>,
    sides: BTreeMap<Kind, Side>,
    nonces: BTreeSet<String>,
    /// A refusal that nothing newer may ever answer: of removals, or of the
    /// word that there is nothing.
    grudge: bool,
    /// Whether there was nothing served for a time: what has a time to live
    /// goes by itself then, and nobody says so.
    withdrawn: bool,
}

impl Client {
    pub(super) fn new(protocol: Protocol) -> Self {
        let sides = Kind::ALL.into_iter().map(|kind| (kind, Side::default())).collect();
        let features = Features::default();
        let (now, world, nonces) = (Duration::ZERO, None, BTreeSet::new());
        let session = Session::new(protocol);
        let (grudge, withdrawn) = (false, false);
        Self { session, protocol, features, now, world, sides, nonces, grudge, withdrawn }
    }

    pub(super) fn step(&mut self, talk: &Talk) -> Wrong {
        let step = match talk {
            Talk::Knows(features) => {
                self.features = *features;
                self.session.introduce(*features);
                return Ok(());
            }
            Talk::Step(step) => step,
        };
        match step {
            Step::Publish(world) => self.publish(Some(world.clone())),
            Step::Withdraw => self.publish(None),
            Step::Subscribe(kind, names) => self.ask(*kind, names, &[], None),
            Step::Unsubscribe(kind, names) => self.ask(*kind, &[], names, None),
            Step::Stale(kind, name) => self.ask(*kind, &[name], &[], Some("stale")),
            Step::Accept(kind) => self.answer(*kind, None),
            Step::Refuse(kind, removals) => self.answer(*kind, Some(*removals)),
            Step::Wait(millis) => self.wait(Duration::from_millis(*millis)),
            Step::Return => self.come_back(),
        }
    }

    fn is_delta(&self) -> bool {
        self.protocol == Protocol::Delta
    }

    fn side(&mut self, kind: Kind) -> &mut Side {
        self.sides.entry(kind).or_default()
    }

    fn publish(&mut self, world: Option<World>) -> Wrong {
        let snapshot = world.as_ref().map(snapshot);
        self.withdrawn |= world.is_none();
        self.world = world;
        for (kind, side) in &mut self.sides {
            let there = |name: &str| {
                let world = self.world.iter().flatten();
                world.into_iter().any(|one| one.kind == *kind && one.name == name)
            };
            // What is gone comes again when it is back, and without anything
            // served, what has a time to live goes.
            let gone = side.told.keys().filter(|name| self.world.is_none() || !there(name));
            side.may.extend(gone.cloned().collect::<Vec<_>>());
            let targets = |asked: &str| targets(*kind, asked, self.world.as_ref());
            side.waits.retain(|name| self.world.is_none() || targets(name).is_empty());
        }
        let sent = self.session.on_snapshot(snapshot, self.now);
        self.take(sent)
    }

    fn wait(&mut self, time: Duration) -> Wrong {
        let until = self.now + time;
        let mut rings = 0;
        while let Some(at) = self.session.next_timeout().filter(|at| *at <= until) {
            rings += 1;
            want(rings < 1_000, || format!("a timer rings for ever at {at:?}"))?;
            self.now = self.now.max(at);
            let sent = self.session.on_timeout(self.now);
            self.take(sent)?;
        }
        self.now = until;
        for side in self.sides.values_mut() {
            side.keep(|_, held| held.until.is_none_or(|at| until < at));
        }
        Ok(())
    }

    /// A new stream for all that was asked for.
    fn come_back(&mut self) -> Wrong {
        self.session = Session::new(self.protocol);
        self.session.introduce(self.features);
        self.nonces.clear();
        let sent = self.session.on_snapshot(self.world.as_ref().map(snapshot), self.now);
        want(sent.is_empty(), || "something is sent that nobody asked for".into())?;
        let delta = self.is_delta();
        let mut kinds = Vec::new();
        for (kind, side) in &mut self.sides {
            // What it has by a name that stands for something else now is
            // nothing that it asks for.
            let asked = side.asked.clone();
            side.keep(|name, _| reaches(*kind, &asked, name, self.world.as_ref()));
            let versions = side.has.iter().map(|(name, one)| (name.clone(), one.version.clone()));
            let told = if delta { versions.collect() } else { BTreeMap::new() };
            let asks = side.asked.wildcard || !side.asked.names.is_empty();
            let (has, version) = (std::mem::take(&mut side.has), side.version.clone());
            let asked = match asks {
                // What is asked for is said anew, so a wildcard that was never
                // said is legacy again only if there are no names.
                true if side.asked.legacy && !side.asked.names.is_empty() => {
                    Asked { legacy: false, named: true, ..side.asked.clone() }
                }
                true => Asked { named: !side.asked.list().is_empty(), ..side.asked.clone() },
                false => Asked::default(),
            };
            let may = told.keys().chain(&asked.names).cloned().collect();
            *side = Side { asked, has, told, may, version, ..Side::default() };
            if asks {
                kinds.push(*kind);
            } else {
                side.has.clear();
                side.told.clear();
            }
        }
        for kind in kinds {
            let side = &self.sides[&kind];
            let initial = side.told.clone().into_iter().collect();
            self.say(kind, "", None, (side.asked.list(), vec![]), initial)?;
        }
        Ok(())
    }

    /// Asks for more, or for less.
    fn ask(&mut self, kind: Kind, more: &[&str], less: &[&str], nonce: Option<&str>) -> Wrong {
        let delta = self.is_delta();
        let side = self.side(kind);
        if !side.begun && more.is_empty() && (!less.is_empty() || nonce.is_some()) {
            return Ok(());
        }
        let asked = &mut side.asked;
        if !side.begun && more.is_empty() {
            (asked.wildcard, asked.legacy) = (true, true);
        }
        asked.named |= !more.is_empty();
        for name in more {
            match *name {
                "*" => (asked.wildcard, asked.legacy) = (true, false),
                name => drop(asked.names.insert(name.to_owned())),
            }
        }
        for name in less {
            match *name {
                // A list of all names can't say that.
                "*" if !delta && asked.legacy => {}
                "*" => asked.wildcard = false,
                name => drop(asked.names.remove(name)),
            }
        }
        if !delta && asked.legacy && asked.named {
            // The first name ends it: a list of all names can't say both.
            (asked.wildcard, asked.legacy) = (false, false);
        }
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let list = asked.list();
        let nonce = nonce.map_or_else(
            || if delta { String::new() } else { side.nonce.clone() },
            ToOwned::to_owned,
        );
        let lists = if delta { (own(more), own(less)) } else { (list, vec![]) };
        self.forget(kind);
        self.say(kind, &nonce, None, lists, vec![])
    }

    /// Drops what it asks for no more.
    fn forget(&mut self, kind: Kind) {
        let world = self.world.clone();
        let side = self.side(kind);
        let asked = side.asked.clone();
        side.keep(|name, held| {
            let by_alias = held.aliases.iter().any(|alias| asked.names.contains(alias));
            let member = asked.names.iter().any(|one| alike(one).contains(&name));
            by_alias || member || reaches(kind, &asked, name, world.as_ref())
        });
    }

    fn answer(&mut self, kind: Kind, refuse: Option<bool>) -> Wrong {
        let delta = self.is_delta();
        let side = self.side(kind);
        let Some(open) = side.open.pop_front() else { return Ok(()) };
        side.nonce.clone_from(&open.outgoing.nonce);
        if !open.beats {
            side.apply(&open, refuse);
        }
        let bodied = open.outgoing.resources.iter().any(|one| !one.any.is_empty());
        let grudge = refuse.is_some() && (!bodied || !open.outgoing.removed.is_empty());
        let list = if delta { vec![] } else { side.asked.list() };
        let nonce = open.outgoing.nonce.clone();
        let error = refuse.map(|_| "no".to_owned());
        self.grudge |= grudge;
        self.forget(kind);
        self.say(kind, &nonce, error, (list, vec![]), vec![])
    }

    fn say(
        &mut self,
        kind: Kind,
        nonce: &str,
        error: Option<String>,
        (subscribe, unsubscribe): (Vec<String>, Vec<String>),
        initial: Vec<(String, String)>,
    ) -> Wrong {
        let delta = self.is_delta();
        let world = self.world.clone();
        let side = self.side(kind);
        let first = !std::mem::replace(&mut side.begun, true);
        if delta || first || nonce == side.last {
            side.learns(kind, &subscribe, delta, world.as_ref());
        }
        if kind == Kind::Routes {
            // Hosts that are meant no more and then again come again.
            let hosts = self.side(Kind::VirtualHosts);
            hosts.may.extend(hosts.told.keys().cloned());
        }
        let side = self.side(kind);
        let ask = match delta {
            true => Ask::Delta { subscribe, unsubscribe, initial },
            false => Ask::Sotw { names: subscribe, version: side.version.clone() },
        };
        let (type_url, nonce, at) = (kind.type_url(), nonce.to_owned(), Timestamp::UNIX_EPOCH);
        let request = Request { type_url, nonce, error, ask, at };
        let (_, sent) = self.session.on_request(request, self.now).map_err(|e| e.to_string())?;
        self.take(sent)
    }

    /// Takes in what came, and checks all of it that can be checked at once.
    fn take(&mut self, sent: Vec<Outgoing>) -> Wrong {
        want(sent.is_empty() || self.world.is_some(), || format!("{sent:?} out of nothing"))?;
        for outgoing in sent {
            let kind = outgoing.type_url.kind().ok_or("another type")?;
            let nonce = outgoing.nonce.clone();
            want(!nonce.is_empty() && self.nonces.insert(nonce), || "an old nonce".into())?;
            if kind == Kind::Clusters {
                let names = outgoing.resources.iter().map(|one| one.name.to_string());
                self.side(Kind::Endpoints).may.extend(names.collect::<Vec<_>>());
            }
            let (now, delta, world) = (self.now, self.is_delta(), self.world.clone());
            let side = self.side(kind);
            let wrong = side.came(kind, outgoing, now, delta, world.as_ref());
            wrong.map_err(|wrong| format!("{kind:?}: {wrong}"))?;
        }
        Ok(())
    }
}
