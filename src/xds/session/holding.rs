//! What the client at the other end holds of one type, as far as we can know.
//!
//! Kept as a pointer to the type's snapshot that was sent last, plus the
//! exceptions from it, so that a stream in step costs a pointer whatever the
//! number of resources. Compares itself with what the client should hold;
//! knows no protocol, no nonce, no order.

mod compare;
mod lack;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) use self::lack::{Hold, Lack};
use super::subscription::{Change, Subscription};
use crate::model::ResourceName;
use crate::snapshot::{Served, TypeSnapshot};

/// The client's side of one type.
#[derive(Debug, Default)]
pub(super) struct Holding {
    /// What was compared with last; where nothing else is said, the client
    /// holds what it asks for of this.
    base: Option<Arc<TypeSnapshot>>,
    /// Where the client differs from `base`.
    except: BTreeMap<ResourceName, Exception>,
    /// Held by the client, gone from `base`: removals that wait.
    kept: BTreeMap<ResourceName, Arc<Served>>,
    /// Which removals are not to be told for now, for reasons outside the type.
    pub(super) hold: Hold,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Exception {
    /// It has this version.
    Has(Arc<str>),
    /// It must be told, whatever it has; whether that may be something.
    Owed { held: bool },
    /// It has none, though `base` does.
    Lacks,
    /// It refused this version; what it has instead is its own affair.
    Refused(Arc<str>),
    /// It refused the message that removed it, so it may have it still.
    Lingers,
}

impl Holding {
    /// Takes in what a message changed in the subscription.
    pub(super) fn subscribed(&mut self, change: &Change, subscription: &Subscription) {
        if change.everything {
            // What it asked for by name before is owed to it still, and what it
            // has by name is told again, or that it is gone.
            let names = subscription.names.iter();
            let held: Vec<_> = names.filter(|name| self.may_have(name)).cloned().collect();
            self.except.retain(|_, one| matches!(one, Exception::Owed { .. }));
            (self.base, self.kept) = (None, BTreeMap::new());
            held.iter().for_each(|name| self.owe_again(name));
        }
        if change.not_everything {
            self.except.retain(|name, _| subscription.covers(name));
            self.kept.retain(|name, _| subscription.covers(name));
        }
        for name in &change.dropped {
            if subscription.wildcard {
                // The client may think it gone, so it must hear of it.
                self.owe(name);
            } else {
                self.forget(name);
            }
        }
        change.added.iter().for_each(|name| self.owe(name));
    }

    /// Notes that `name` is to be sent even if its version is known.
    pub(super) fn owe(&mut self, name: &ResourceName) {
        let held = self.may_have(name);
        self.except.insert(name.clone(), Exception::Owed { held });
    }

    /// The same of a name that the client has, or will have with what is under
    /// way: if it goes, that is a removal.
    pub(super) fn owe_again(&mut self, name: &ResourceName) {
        self.except.insert(name.clone(), Exception::Owed { held: true });
    }

    /// Notes that the client has no `name`, though it may be in what was
    /// compared with last.
    pub(super) fn lacks(&mut self, name: &ResourceName) {
        self.except.entry(name.clone()).or_insert(Exception::Lacks);
    }

    /// Notes that what has a time to live is gone at the client.
    pub(super) fn expire(&mut self, subscription: &Subscription) {
        let expiring = self.base.iter().flat_map(|base| base.expiring());
        for one in expiring.filter(|one| subscription.covers(&one.name)) {
            self.except.entry(one.name.clone()).or_insert(Exception::Lacks);
        }
    }

    /// Takes back all that was noted about a name that is not asked for.
    pub(super) fn forget(&mut self, name: &ResourceName) {
        self.except.remove(name);
        self.kept.remove(name);
    }

    /// Whether the client may hold some version of `name`.
    pub(super) fn holds(&self, name: &ResourceName) -> bool {
        matches!(self.held(name), Held::Has(_) | Held::Refused(_) | Held::Lingers)
    }

    /// Whether the client may have something by `name`, owed or not.
    pub(super) fn may_have(&self, name: &ResourceName) -> bool {
        match self.held(name) {
            Held::Owed { held } => held,
            Held::Nothing => false,
            Held::Has(_) | Held::Refused(_) | Held::Lingers => true,
        }
    }

    /// Whether `name` is to be sent even if its version is known.
    pub(super) fn is_owed(&self, name: &ResourceName) -> bool {
        matches!(self.except.get(name), Some(Exception::Owed { .. }))
    }

    /// Whether the client holds just this of what it asks for.
    pub(super) fn is_in_step(&self, subscription: &Subscription, one: &Served) -> bool {
        subscription.covers(&one.name) && self.held(&one.name) == Held::Has(&one.version)
    }

    /// Takes a client's word that it has `versions` from an earlier stream.
    /// Where `now` is known, only what differs from it is noted, so that a
    /// thousand clients that come back in step cost a pointer each.
    pub(super) fn resume(
        &mut self,
        versions: impl IntoIterator<Item = (String, String)>,
        subscription: &Subscription,
        now: Option<&Arc<TypeSnapshot>>,
    ) {
        let mut same = Vec::new();
        for (name, version) in versions {
            let known = now.and_then(|now| now.resources.get(name.as_str()));
            let equal = known.filter(|one| *one.version == *version);
            if let Some(one) = equal.filter(|one| subscription.covers(&one.name)) {
                self.except.remove(&one.name);
                same.push(&one.name);
                continue;
            }
            let name = ResourceName(name.into());
            if subscription.covers(&name) {
                self.except.insert(name, Exception::Has(version.into()));
            }
        }
        let Some(now) = now else { return };
        if subscription.wildcard && same.len() < now.resources.len() {
            same.sort_unstable();
            let missing = now.resources.keys().filter(|name| same.binary_search(name).is_err());
            for name in missing {
                self.except.entry(name.clone()).or_insert(Exception::Lacks);
            }
        }
        self.base = Some(now.clone());
    }

    /// Takes a client's word that it has all of a state of this `version`:
    /// of `now`, of what was served `earlier`, or of `now` with what a client
    /// holds on to of that. False where it is none of these.
    pub(super) fn resume_all(
        &mut self,
        version: &str,
        now: &Arc<TypeSnapshot>,
        earlier: Option<&Arc<TypeSnapshot>>,
    ) -> bool {
        let known = [Some(now), earlier].into_iter().flatten();
        if let Some(known) = known.into_iter().find(|one| *one.version == *version) {
            *self = Self { base: Some(known.clone()), ..Self::default() };
            return true;
        }
        let Some(earlier) = earlier else { return false };
        let gone = now.since(earlier);
        let gone = gone.gone.iter().filter_map(|name| earlier.resources.get_key_value(name));
        let kept = gone.map(|(name, one)| (name.clone(), one.clone())).collect();
        let all_kept = *now.with(&kept).version == *version;
        if all_kept {
            *self = Self { base: Some(now.clone()), kept, ..Self::default() };
        }
        all_kept
    }

    /// Takes it that the client has what it asks for by name of what was
    /// served `earlier` and is not there `now`. What is there it is sent.
    pub(super) fn resume_gone(
        &mut self,
        subscription: &Subscription,
        now: &Arc<TypeSnapshot>,
        earlier: &Arc<TypeSnapshot>,
    ) {
        let names = subscription.names.iter();
        for name in names.filter(|name| !now.resources.contains_key(*name)) {
            if let Some(one) = earlier.resources.get(name) {
                self.except.remove(name);
                self.kept.insert(name.clone(), one.clone());
            }
        }
    }

    /// Notes that the client refused `resources`.
    pub(super) fn refused(&mut self, resources: &[Arc<Served>], subscription: &Subscription) {
        // What has no content said that there is nothing: that can't be held.
        let resources = resources.iter().filter(|one| !one.any.is_empty());
        for one in resources.filter(|one| subscription.covers(&one.name)) {
            let refused = Exception::Refused(one.version.clone());
            self.except.entry(one.name.clone()).or_insert(refused);
        }
    }

    /// Notes that the client refused `resources` of a response that was
    /// followed by others. Gives how many of them still stand: what was sent
    /// in a newer version since, or once more, was not refused by that.
    pub(super) fn refused_late(
        &mut self,
        resources: &[Arc<Served>],
        subscription: &Subscription,
        under_way: impl Fn(&ResourceName) -> bool,
    ) -> usize {
        let stands = |one: &&Arc<Served>| {
            self.held(&one.name) == Held::Has(&one.version) && !under_way(&one.name)
        };
        let standing: Vec<_> = resources.iter().filter(stands).cloned().collect();
        self.refused(&standing, subscription);
        standing.len()
    }

    /// Notes that the client refused the message that removed `names`.
    pub(super) fn lingers(&mut self, names: &[ResourceName], subscription: &Subscription) {
        for name in names.iter().filter(|name| subscription.covers(name)) {
            self.except.entry(name.clone()).or_insert(Exception::Lingers);
        }
    }

    /// Whether something must be told whatever the versions say.
    pub(super) fn owes(&self) -> bool {
        self.except.values().any(|one| matches!(one, Exception::Owed { .. }))
    }

    /// Whether the client refused something that still stands.
    pub(super) fn has_refusals(&self) -> bool {
        self.except.values().any(|one| matches!(one, Exception::Refused(_)))
    }

    /// Every name of which something is known.
    pub(super) fn names(&self) -> impl Iterator<Item = &ResourceName> {
        self.except.keys().chain(self.kept.keys())
    }

    /// The version of `name` that the client holds, as far as can be known,
    /// and the one that it refused.
    pub(super) fn versions(&self, name: &ResourceName) -> (Option<Arc<str>>, Option<Arc<str>>) {
        match self.except.get(name) {
            Some(Exception::Has(version)) => (Some(version.clone()), None),
            Some(Exception::Refused(version)) => (None, Some(version.clone())),
            Some(Exception::Owed { .. } | Exception::Lacks | Exception::Lingers) => (None, None),
            None => (self.known(name).map(|served| served.version.clone()), None),
        }
    }

    /// What the client holds by `name`, where its content is known.
    pub(super) fn content(&self, name: &ResourceName) -> Option<&Arc<Served>> {
        match self.except.get(name) {
            None => self.known(name),
            Some(Exception::Has(version)) => self.known(name).filter(|one| one.version == *version),
            Some(_) => None,
        }
    }

    /// Whether it is known without looking that the client lacks nothing of
    /// `now`.
    pub(super) fn rests(&self, now: &Arc<TypeSnapshot>) -> bool {
        let plain = self.except.is_empty() && self.kept.is_empty() && self.hold == Hold::Nothing;
        plain && self.base.as_ref().is_some_and(|base| base.is(now))
    }

    /// What was compared with last.
    pub(super) fn base(&self) -> Option<&Arc<TypeSnapshot>> {
        self.base.as_ref()
    }

    /// The resources that the client still holds and that are to go.
    pub(super) fn kept(&self) -> &BTreeMap<ResourceName, Arc<Served>> {
        &self.kept
    }

    /// Notes that the client was sent what it lacked of `now`: all of it, or
    /// all but the removals.
    pub(super) fn sent(&mut self, lack: &Lack, now: Arc<TypeSnapshot>, removals: bool) {
        let (told, waiting) = match removals {
            true => (lack.gone.as_slice(), &[][..]),
            false => (&[][..], lack.gone.as_slice()),
        };
        for name in told {
            self.kept.remove(name);
            self.except.remove(name);
        }
        waiting.iter().chain(&lack.held).for_each(|name| self.keep(name));
        if !self.except.is_empty() || !self.kept.is_empty() {
            for name in lack.send.iter().map(|one| &one.name).chain(lack.missing()) {
                self.except.remove(name);
                self.kept.remove(name);
            }
        }
        // A version the client told of needs no note once `now` has it too.
        self.except.retain(|name, exception| match (exception, now.resources.get(name)) {
            (Exception::Has(version), Some(new)) => *new.version != **version,
            (Exception::Lacks, None) => false,
            _ => true,
        });
        self.kept.retain(|name, _| !now.resources.contains_key(name));
        self.base = Some(now);
    }

    /// Holds on to what the client has by `name`. What we know only by its
    /// word stays an exception.
    fn keep(&mut self, name: &ResourceName) {
        let noted = self.except.get(name);
        let sent = match noted {
            Some(Exception::Refused(_)) => return,
            Some(Exception::Has(version)) => self.known(name).filter(|one| one.version == *version),
            _ => self.known(name),
        };
        match (sent.cloned(), noted) {
            (Some(sent), _) => {
                self.kept.insert(name.clone(), sent);
                self.except.remove(name);
            }
            // It was told that there is nothing, and has something.
            (None, Some(Exception::Owed { .. })) => {
                self.except.insert(name.clone(), Exception::Has(Arc::default()));
            }
            (None, _) => {}
        }
    }

    fn held(&self, name: &ResourceName) -> Held<'_> {
        match self.except.get(name) {
            Some(Exception::Has(version)) => Held::Has(version),
            Some(Exception::Owed { held }) => Held::Owed { held: *held },
            Some(Exception::Lacks) => Held::Nothing,
            Some(Exception::Lingers) => Held::Lingers,
            Some(Exception::Refused(version)) => Held::Refused(version),
            None => match self.known(name) {
                Some(served) => Held::Has(&served.version),
                None => Held::Nothing,
            },
        }
    }

    fn known(&self, name: &ResourceName) -> Option<&Arc<Served>> {
        let base = || self.base.as_ref().and_then(|base| base.resources.get(name));
        self.kept.get(name).or_else(base)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Held<'a> {
    Has(&'a str),
    Refused(&'a str),
    Owed { held: bool },
    Nothing,
    Lingers,
}
