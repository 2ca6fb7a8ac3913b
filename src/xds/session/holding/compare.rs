//! The comparison of what a client holds with what it should hold. Changes
//! nothing; a stream in step costs a look at two versions.

use std::sync::Arc;

use super::{Held, Hold, Holding, Lack};
use crate::model::ResourceName;
use crate::snapshot::{Batch, Difference, Served, TypeSnapshot};
use crate::xds::session::subscription::Subscription;

impl Holding {
    /// What the client lacks of `now`. What it refused goes along with a
    /// change of something else, because it may have taken nothing of that
    /// response; by itself it is never sent again. What is gone is such a
    /// change only where it `tells` of that.
    pub(in crate::xds::session) fn lack(
        &self,
        subscription: &Subscription,
        now: &Arc<TypeSnapshot>,
        tells: bool,
    ) -> Lack {
        let plain = self.except.is_empty() && self.kept.is_empty();
        let difference = match &self.base {
            Some(base) if base.is(now) && plain => return Lack::default(),
            Some(base) if !base.is(now) => now.since(base),
            None if plain && subscription.wildcard => {
                return Lack { send: now.all(), ..Lack::default() };
            }
            _ => Arc::default(),
        };
        if plain && subscription.wildcard && self.hold == Hold::Nothing {
            let gone = difference.gone.clone();
            return Lack { send: difference.changed.clone(), gone, ..Lack::default() };
        }
        self.compare(subscription, now, &difference, tells)
    }

    /// Every name by which the client may have something and that `now` has no
    /// more, whether it was told that or not.
    pub(in crate::xds::session) fn gone(
        &self,
        subscription: &Subscription,
        now: &Arc<TypeSnapshot>,
    ) -> Vec<ResourceName> {
        let moved = self.base.as_ref().filter(|base| !base.is(now));
        let difference = moved.map(|base| now.since(base)).unwrap_or_default();
        let noted = self.except.keys().chain(self.kept.keys());
        let names = noted.chain(&difference.gone).filter(|name| subscription.covers(name));
        let gone = |name: &&ResourceName| !now.resources.contains_key(*name) && self.may_have(name);
        sorted(names.filter(gone)).into_iter().cloned().collect()
    }

    /// The comparison name by name, where `difference` leads to `now`.
    fn compare(
        &self,
        subscription: &Subscription,
        now: &Arc<TypeSnapshot>,
        difference: &Difference,
        tells: bool,
    ) -> Lack {
        let mut lack = Lack::default();
        let (mut send, mut refused, mut changed) = (Vec::new(), Vec::new(), false);
        let mut lingering = Vec::new();
        for name in self.candidates(subscription, now, difference) {
            let held = self.held(name);
            match (now.resources.get(name), held) {
                (Some(new), Held::Has(version)) if *new.version == *version => {}
                (Some(new), Held::Refused(version)) if *new.version == *version => {
                    refused.push(new.clone());
                }
                (Some(new), held) => {
                    changed |= !matches!(held, Held::Owed { .. });
                    send.push(new.clone());
                }
                (None, Held::Has(_) | Held::Refused(_)) if self.hold.holds(name) => {
                    lack.held.push(name.clone());
                }
                (None, Held::Has(_) | Held::Refused(_)) => lack.gone.push(name.clone()),
                (None, Held::Lingers) if self.hold.holds(name) => {}
                (None, Held::Lingers) => lingering.push(name.clone()),
                (None, Held::Owed { held: true }) if self.hold.holds(name) => {
                    lack.unknown.push(name.clone());
                    lack.held.push(name.clone());
                }
                (None, Held::Owed { held: true }) => lack.gone.push(name.clone()),
                (None, Held::Owed { held: false }) => lack.unknown.push(name.clone()),
                (None, Held::Nothing) => {}
            }
        }
        if changed || (tells && !lack.gone.is_empty()) {
            send.append(&mut refused);
            send.sort_by(|a, b| a.name.cmp(&b.name));
            lack.gone.append(&mut lingering);
        }
        lack.send = shared(send, now, difference);
        lack
    }

    /// The names that can possibly differ, each once, sorted.
    fn candidates<'a>(
        &'a self,
        subscription: &'a Subscription,
        now: &'a TypeSnapshot,
        difference: &'a Difference,
    ) -> Vec<&'a ResourceName> {
        let noted = self.except.keys().chain(self.kept.keys());
        let Some(_) = &self.base else {
            return match subscription.wildcard {
                true => sorted(noted.chain(now.resources.keys())),
                false => subscription.names.iter().collect(),
            };
        };
        let changed = difference.changed.iter().map(|one| &one.name).chain(&difference.gone);
        sorted(noted.chain(changed).filter(|name| subscription.covers(name)))
    }
}

/// `send` as a batch, the shared one if it is what other streams lack too.
fn shared(send: Vec<Arc<Served>>, now: &TypeSnapshot, difference: &Difference) -> Batch {
    let same = |shared: &Batch| {
        shared.len() == send.len() && shared.iter().zip(&send).all(|(a, b)| Arc::ptr_eq(a, b))
    };
    if same(&difference.changed) {
        return difference.changed.clone();
    }
    // As many names as there are can only be all of them.
    if send.len() == now.resources.len() { now.all() } else { send.into() }
}

fn sorted<'a>(names: impl Iterator<Item = &'a ResourceName>) -> Vec<&'a ResourceName> {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}
