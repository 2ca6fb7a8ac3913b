//! One type at the model client: what it asks for, has, was told and refused.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::super::super::super::*;
use super::super::super::script::body;
use super::super::steps::{TTL, World};
use super::asked::{Asked, is_full, targets};
use super::{Kind, Wrong, want};
use crate::snapshot::Served;

/// After that long without an answer, something newer may come.
const PATIENCE: Duration = Duration::from_secs(30);

/// One type at the client.
#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) begun: bool,
    /// What it asks for, and what of that the session knows.
    pub(super) asked: Asked,
    pub(super) known: Asked,
    pub(super) has: BTreeMap<String, Held>,
    /// Versions that it was told, whatever it did with them.
    pub(super) told: BTreeMap<String, String>,
    /// What may come although it was told.
    pub(super) may: BTreeSet<String>,
    pub(super) refused: BTreeMap<String, String>,
    /// All of a full response that was refused, while that is the last word.
    pub(super) refused_all: Option<BTreeMap<String, String>>,
    /// Names asked for that were neither found nor said to be missing.
    pub(super) waits: BTreeSet<String>,
    /// Gone, but the client refused to hear of it; and whatever was in
    /// removals that it refused.
    pub(super) lingers: BTreeSet<String>,
    pub(super) unheard: BTreeSet<String>,
    pub(super) open: VecDeque<Open>,
    /// Of the last response that came, and of the last that was answered.
    pub(super) last: String,
    pub(super) nonce: String,
    pub(super) version: String,
}

#[derive(Debug)]
pub(super) struct Open {
    pub(super) outgoing: Outgoing,
    pub(super) at: Duration,
    pub(super) beats: bool,
    /// What is absent from it is gone.
    pub(super) full: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) version: String,
    pub(super) aliases: BTreeSet<String>,
    /// When it goes by itself.
    pub(super) until: Option<Duration>,
}

impl Side {
    /// Lets go of what does not fit; then its version is no version it has.
    pub(super) fn keep(&mut self, fits: impl Fn(&str, &Held) -> bool) {
        let before = self.has.len();
        self.has.retain(|name, held| fits(name, held));
        if self.has.len() < before {
            self.version.clear();
        }
    }

    /// The session learns what is asked for: all of `list`, or in the
    /// incremental protocol that much more.
    pub(super) fn learns(
        &mut self,
        kind: Kind,
        list: &[String],
        delta: bool,
        world: Option<&World>,
    ) {
        if !delta && list.is_empty() && !self.known.named {
            // Names that nobody heard of end nothing.
            self.asked = Asked { wildcard: true, legacy: true, ..Asked::default() };
        }
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
        // To ask for all hosts in so many words is more than to name none.
        let hosts = kind == Kind::VirtualHosts && before.legacy != self.known.legacy;
        if before.wildcard != self.known.wildcard || hosts {
            self.may.extend(self.told.keys().cloned());
        }
        self.refused_all = self.refused_all.take().filter(|_| before == self.known);
    }

    pub(super) fn came(
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

    pub(super) fn apply(&mut self, open: &Open, refuse: Option<bool>) {
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
