//! A model client. It says what may be said, believes what it is told, and
//! complains: of what comes unasked, twice, or in answer to a refusal; at
//! rest, of whatever differs from what it asked for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::super::super::*;
use super::super::script::{Kind, body};
use super::steps::{Item, Step, TTL, Talk, World, snapshot};
use crate::snapshot::Served;

/// After that long without an answer, something newer may come.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many turns a conversation may need to come to rest.
const TURNS: usize = 400;

type Wrong = Result<(), String>;

/// Says `what` is wrong where something is.
fn want(holds: bool, what: impl FnOnce() -> String) -> Wrong {
    if holds { Ok(()) } else { Err(what()) }
}

/// One type at the client.
#[derive(Debug, Default)]
struct Side {
    begun: bool,
    /// What it asks for, and what of that the session knows.
    asked: Asked,
    known: Asked,
    has: BTreeMap<String, Held>,
    /// Versions that it was told, whatever it did with them.
    told: BTreeMap<String, String>,
    /// What may come although it was told.
    may: BTreeSet<String>,
    refused: BTreeMap<String, String>,
    /// All of a full response that was refused, while that is the last word.
    refused_all: Option<BTreeMap<String, String>>,
    /// Names asked for that were neither found nor said to be missing.
    waits: BTreeSet<String>,
    /// Gone, but the client refused to hear of it; and whatever was in
    /// removals that it refused.
    lingers: BTreeSet<String>,
    unheard: BTreeSet<String>,
    open: VecDeque<Open>,
    /// Of the last response that came, and of the last that was answered.
    last: String,
    nonce: String,
    version: String,
}

#[derive(Debug)]
struct Open {
    outgoing: Outgoing,
    at: Duration,
    beats: bool,
    /// What is absent from it is gone.
    full: bool,
}

#[derive(Debug, Clone)]
struct Held {
    version: String,
    aliases: BTreeSet<String>,
    /// When it goes by itself.
    until: Option<Duration>,
}

/// A subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Asked {
    names: BTreeSet<String>,
    wildcard: bool,
    /// Whether the wildcard was never said.
    legacy: bool,
    /// Whether a name was ever said.
    named: bool,
}

impl Asked {
    fn is_for(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    /// As a list of all names.
    fn list(&self) -> Vec<String> {
        let star = (self.wildcard && !self.legacy).then(|| "*".to_owned());
        star.into_iter().chain(self.names.iter().cloned()).collect()
    }
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

    /// Answers all there is until nothing more comes, after everything that is
    /// served has changed; then compares.
    pub(super) fn comes_to_rest(&mut self) -> Wrong {
        let mut world = self.world.clone().unwrap_or_default();
        for one in &mut world {
            one.version += 10;
            one.ttl = false;
        }
        self.publish(Some(world.clone()))?;
        for turn in 0.. {
            want(turn < TURNS, || "it does not come to rest".into())?;
            let open: Vec<_> =
                self.sides.iter().filter(|(_, side)| !side.open.is_empty()).collect();
            let open: Vec<_> = open.into_iter().map(|(kind, _)| *kind).collect();
            for kind in &open {
                self.answer(*kind, None)?;
            }
            let unheard = self.unheard_lists();
            for kind in &unheard {
                self.ask(*kind, &[], &[], None)?;
            }
            match self.session.next_timeout() {
                _ if !open.is_empty() || !unheard.is_empty() => {}
                Some(at) => self.wait(at.saturating_sub(self.now))?,
                None => break,
            }
        }
        self.rests(&world)?;
        let sent = self.session.on_snapshot(Some(snapshot(&world)), self.now);
        want(sent.is_empty(), || format!("a repeat: {sent:?}"))
    }

    /// Types whose last list of names had a stale nonce, with nothing left to
    /// answer that would say it again.
    fn unheard_lists(&self) -> Vec<Kind> {
        let unheard = |side: &Side| {
            side.begun && side.open.is_empty() && side.asked.list() != side.known.list()
        };
        self.sides.iter().filter(|(_, side)| unheard(side)).map(|(kind, _)| *kind).collect()
    }

    fn rests(&self, world: &World) -> Wrong {
        let begun = self.sides.values().any(|side| side.begun);
        want(!begun || self.grudge || self.session.is_in_step(), || {
            format!("not in step: {:?}", self.session.statuses())
        })?;
        let routes = &self.sides[&Kind::Routes];
        for (kind, side) in &self.sides {
            let hosts = *kind == Kind::VirtualHosts;
            let implied = |name: &str| {
                let route = name.rsplit_once('/').map_or("", |(route, _)| route);
                // Its legacy wildcard is for the routes that are asked for.
                !routes.begun || reaches(Kind::Routes, &routes.known, route, Some(world))
            };
            let mut expected = BTreeSet::new();
            for one in world.iter().filter(|one| one.kind == *kind) {
                let all =
                    side.asked.wildcard && !(hosts && side.asked.legacy && !implied(one.name));
                if all {
                    expected.insert(one.name.to_owned());
                }
            }
            for asked in &side.asked.names {
                expected.extend(targets(*kind, asked, Some(world)));
            }
            self.side_rests(*kind, side, world, &expected)
                .map_err(|wrong| format!("{kind:?}: {wrong}"))?;
        }
        Ok(())
    }

    fn side_rests(
        &self,
        kind: Kind,
        side: &Side,
        world: &World,
        expected: &BTreeSet<String>,
    ) -> Wrong {
        let served = snapshot(world);
        let versions = |name: &str| {
            let of_kind = served.types.get(&kind.type_url());
            of_kind.and_then(|one| one.resources.get(name)).map(|one| one.version.to_string())
        };
        for name in expected {
            let has = side.has.get(name).map(|held| held.version.clone());
            want(has == versions(name), || format!("{name} is {has:?} and not as served"))?;
        }
        // Partial states of the world say nothing of what is gone, and the
        // hosts of routes that were left are nobody's any more.
        let legacy_hosts = kind == Kind::VirtualHosts && side.asked.legacy;
        let told_gone = (self.is_delta() || is_full(kind, &side.asked)) && !legacy_hosts;
        for (name, held) in side.has.iter().filter(|_| told_gone) {
            let lingers = side.lingers.contains(name);
            let fades = self.withdrawn && held.until.is_some() && versions(name).is_none();
            let same = versions(name).as_ref() == Some(&held.version);
            want(lingers || fades || same, || format!("{name} is held and gone or old"))?;
        }
        let tells = self.is_delta() || self.features.errors;
        want(!tells || side.waits.is_empty(), || format!("{:?} wait", side.waits))?;
        // What is remembered of a client in step is next to nothing.
        let turn = Turn::Of(kind);
        let Some(channel) = self.session.channels.get(&turn) else { return Ok(()) };
        let noted: Vec<_> =
            channel.holding.names().filter(|name| !side.unheard.contains(&*name.0)).collect();
        want(noted.is_empty(), || format!("{noted:?} are still noted"))
    }
}

impl Side {
    /// Lets go of what does not fit; then its version is no version it has.
    fn keep(&mut self, fits: impl Fn(&str, &Held) -> bool) {
        let before = self.has.len();
        self.has.retain(|name, held| fits(name, held));
        if self.has.len() < before {
            self.version.clear();
        }
    }

    /// The session learns what is asked for: all of `list`, or in the
    /// incremental protocol that much more.
    fn learns(&mut self, kind: Kind, list: &[String], delta: bool, world: Option<&World>) {
        let before = std::mem::replace(&mut self.known, self.asked.clone());
        let fresh = list.iter().filter(|name| delta || !before.names.contains(*name));
        for name in fresh.filter(|name| *name != "*" && self.known.names.contains(*name)) {
            let there = targets(kind, name, world);
            // A state of the world that is asked for whole says it by absence.
            let said = delta || !self.known.wildcard;
            if there.is_empty() && said && !before.names.contains(name) {
                self.waits.insert(name.clone());
            }
            self.may.extend(there);
            self.may.insert(name.clone());
        }
        for name in before.names.difference(&self.known.names) {
            self.waits.remove(name);
            // It may think them gone, so they come again.
            self.may.insert(name.clone());
            self.may.extend(self.told.keys().cloned());
        }
        if before.wildcard != self.known.wildcard {
            self.may.extend(self.told.keys().cloned());
        }
        self.refused_all = self.refused_all.take().filter(|_| before == self.known);
    }

    fn came(
        &mut self,
        kind: Kind,
        outgoing: Outgoing,
        now: Duration,
        delta: bool,
        world: Option<&World>,
    ) -> Wrong {
        let all: BTreeSet<_> = outgoing.resources.iter().map(|one| &one.name).collect();
        want(all.len() == outgoing.resources.len(), || "a name twice".into())?;
        let gone: BTreeSet<_> = outgoing.removed.iter().collect();
        want(gone.len() == outgoing.removed.len(), || "a name is removed twice".into())?;
        want(all.is_disjoint(&gone), || "a name is sent and removed".into())?;
        want(delta || gone.is_empty(), || "a removal in words".into())?;
        let empty = |one: &&Arc<Served>| one.any.is_empty() || body(one).is_none();
        let beats = kind != Kind::VirtualHosts
            && !all.is_empty()
            && outgoing.resources.iter().all(|one| empty(&one));
        for one in outgoing.resources.iter().filter(|one| one.wrapping.ttl.is_some()) {
            let held = self.has.get_mut(&*one.name.0);
            held.into_iter().for_each(|held| held.until = Some(now + Duration::from_secs(TTL)));
        }
        if !beats {
            let waits = self.open.iter().filter(|open| !open.beats);
            let early = waits.filter(|open| now < open.at + PATIENCE).count();
            want(early == 0, || "two responses under way".into())?;
            self.check_news(&outgoing, delta, world)?;
        }
        let full = !delta && is_full(kind, &self.known);
        self.last.clone_from(&outgoing.nonce);
        self.open.push_back(Open { outgoing, at: now, beats, full });
        Ok(())
    }

    /// Nothing comes that was told, unless there is a reason.
    fn check_news(&mut self, outgoing: &Outgoing, delta: bool, world: Option<&World>) -> Wrong {
        let ttl = world.into_iter().flatten().any(|one| one.ttl);
        let kind = outgoing.type_url.kind().ok_or("another type")?;
        let full = !delta && is_full(kind, &self.known);
        let version = |one: &Arc<Served>| (one.name.to_string(), one.version.to_string());
        let content: BTreeMap<_, _> = outgoing.resources.iter().map(version).collect();
        if full {
            let again = self.refused_all.take().is_some_and(|refused| refused == content);
            let may = content.keys().any(|name| self.may.contains(name));
            want(!again || ttl || may, || "all of what was refused, again".into())?;
            self.told = content;
        } else {
            let bodied = outgoing.resources.iter().filter(|one| !one.any.is_empty());
            let gone = !outgoing.removed.is_empty() || !outgoing.missing.is_empty();
            let (mut news, mut refused) = (gone, None);
            for (name, version) in bodied.map(version) {
                let may = self.may.remove(&name);
                let told = self.told.get(&name) == Some(&version);
                let was_refused = self.refused.get(&name) == Some(&version);
                want(!told || may || was_refused, || format!("{name} again, unasked"))?;
                match told && was_refused && !may {
                    true => refused = Some(name.clone()),
                    false => news = true,
                }
                self.told.insert(name, version);
            }
            want(news || refused.is_none(), || format!("{refused:?} again, although refused"))?;
        }
        for name in outgoing.removed.iter().map(|name| &*name.0) {
            let told = self.told.remove(name).is_some() | self.may.remove(name);
            let known = told || self.waits.contains(name) || self.unheard.contains(name);
            want(known, || format!("{name} is removed, unasked"))?;
        }
        // A host is answered under its own name, without content.
        let bodiless = outgoing.resources.iter().filter(|one| one.any.is_empty());
        let missing = outgoing.removed.iter().chain(&outgoing.missing);
        for name in missing.chain(bodiless.map(|one| &one.name)) {
            self.waits.remove(&*name.0);
        }
        Ok(())
    }

    fn apply(&mut self, open: &Open, refuse: Option<bool>) {
        let (outgoing, full) = (&open.outgoing, open.full);
        let bodied: Vec<_> = outgoing.resources.iter().filter(|one| !one.any.is_empty()).collect();
        match refuse {
            Some(removals) => {
                for one in &bodied {
                    self.refused.insert(one.name.to_string(), one.version.to_string());
                }
                if full {
                    let version =
                        |one: &&Arc<Served>| (one.name.to_string(), one.version.to_string());
                    self.refused_all =
                        self.open.is_empty().then(|| bodied.iter().map(version).collect());
                }
                if full {
                    // It did not hear of what is absent.
                    let there = |name: &String| bodied.iter().any(|one| *one.name.0 == **name);
                    let absent = self.has.keys().filter(|name| !there(name));
                    self.lingers.extend(absent.cloned());
                }
                self.unheard.extend(outgoing.removed.iter().map(ToString::to_string));
                for name in &outgoing.removed {
                    match removals {
                        true => drop(self.has.remove(&*name.0)),
                        false if self.has.contains_key(&*name.0) => {
                            self.lingers.insert(name.to_string());
                        }
                        false => {}
                    }
                }
            }
            None => {
                self.version = outgoing.version.to_string();
                if full {
                    let there = |name: &str| bodied.iter().any(|one| &*one.name.0 == name);
                    self.has.retain(|name, _| there(name));
                    self.lingers.clear();
                }
                for name in &outgoing.removed {
                    self.has.remove(&*name.0);
                    self.lingers.remove(&*name.0);
                }
                for one in bodied {
                    let held = Held {
                        version: one.version.to_string(),
                        aliases: one.wrapping.aliases.iter().map(ToString::to_string).collect(),
                        until: one.wrapping.ttl.map(|ttl| open.at + ttl),
                    };
                    self.lingers.remove(&*one.name.0);
                    self.refused.remove(&*one.name.0);
                    self.has.insert(one.name.to_string(), held);
                }
            }
        }
    }
}

/// Whether what is absent from a state of the world of that kind is gone. The
/// legacy wildcard of virtual hosts stands for some of them, by name.
fn is_full(kind: Kind, asked: &Asked) -> bool {
    let whole = asked.wildcard && !(kind == Kind::VirtualHosts && asked.legacy);
    matches!(kind, Kind::Clusters | Kind::Listeners) || whole
}

/// Whether a subscription reaches `name`.
fn reaches(kind: Kind, asked: &Asked, name: &str, world: Option<&World>) -> bool {
    asked.is_for(name) || asked.names.iter().any(|one| targets(kind, one, world).contains(name))
}

/// The resources that an `xdstp` name is for without being their name.
fn alike(asked: &str) -> &'static [&'static str] {
    match asked {
        "xdstp://a/C/x/*" => &["xdstp://a/C/x/1"],
        "xdstp://a/C/x/2?q=2&p=1" => &["xdstp://a/C/x/2?p=1&q=2"],
        _ => &[],
    }
}

/// What `asked` stands for in `world`: the resource of that name, the first
/// that has it for an alias, the virtual host that serves it, the same name
/// with its parameters in another order, or the members of a collection.
fn targets(kind: Kind, asked: &str, world: Option<&World>) -> BTreeSet<String> {
    let of_kind = || world.into_iter().flatten().filter(|one| one.kind == kind);
    let first = |fits: &dyn Fn(&&Item) -> bool| of_kind().filter(fits).map(|one| one.name).min();
    let host = |one: &&Item| {
        let (route, host) = asked.rsplit_once('/').unwrap_or_default();
        let own = one.name.rsplit_once('/').is_some_and(|(own, _)| own == route);
        kind == Kind::VirtualHosts && own && one.domains().contains(&host)
    };
    let single = first(&|one| one.name == asked)
        .or_else(|| first(&|one| one.alias == Some(asked)))
        .or_else(|| first(&host));
    if let Some(name) = single {
        return BTreeSet::from([name.to_owned()]);
    }
    of_kind()
        .filter(|one| alike(asked).contains(&one.name))
        .map(|one| one.name.to_owned())
        .collect()
}
