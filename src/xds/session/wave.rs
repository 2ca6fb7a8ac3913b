//! Removals of suppliers that wait until the client took the users that no
//! longer name what goes.
//!
//! Users may change faster than a client answers, and then they are never all
//! in step. So removals go in waves: what is gone when a wave begins goes once
//! every user has been in step with what was served then, or with something
//! newer, or left that unanswered for too long; what goes meanwhile makes the
//! next wave. A user that is refused keeps everything where it is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::channel::Removals;
use super::order::{Role, Turn};
use super::{Offer, Outgoing, Session};
use crate::model::ResourceName;

/// What goes together.
#[derive(Debug)]
pub(super) struct Wave {
    /// Since which offer all of it is gone.
    since: u64,
    names: BTreeMap<Turn, BTreeSet<ResourceName>>,
}

impl Session {
    /// Has a wave that users hold up begin, unless one is on its way.
    pub(super) fn begin_wave(&mut self, offer: &Offer) {
        if self.wave.is_some() {
            return;
        }
        let suppliers = self.channels.iter().filter(|(turn, _)| turn.role() == Role::Supplier);
        let gone = suppliers.map(|(turn, channel)| {
            (turn.clone(), BTreeSet::from_iter(channel.lack(offer.of(&channel.type_url)).gone))
        });
        let names: BTreeMap<_, _> = gone.filter(|(_, names)| !names.is_empty()).collect();
        self.wave = (!names.is_empty()).then_some(Wave { since: offer.number, names });
    }

    /// Whether every user took what was served when the wave began.
    pub(super) fn is_ripe(&self, offer: &Offer) -> bool {
        let Some(wave) = &self.wave else { return false };
        self.users().all(|channel| {
            !channel.holding.has_refusals()
                && (channel.has_reached(wave.since) || channel.is_idle(offer.of(&channel.type_url)))
        })
    }

    /// Notes which users are in step, for a wave that others hold up.
    pub(super) fn note_idle(&mut self, offer: &Offer) {
        if self.wave.is_none() {
            return;
        }
        for (_, channel) in self.channels.iter_mut().filter(|(turn, _)| turn.role() == Role::User) {
            if channel.is_idle(offer.of(&channel.type_url)) {
                channel.arrive(offer.number);
            }
        }
    }

    /// What is served again by `offer` is gone no more: if it goes once more,
    /// that is another removal.
    pub(super) fn thin_wave(&mut self, offer: &Offer) {
        let Some(wave) = &mut self.wave else { return };
        for (turn, names) in &mut wave.names {
            let Some(channel) = self.channels.get(turn) else { continue };
            let current = offer.of(&channel.type_url);
            names.retain(|name| !current.resources.contains_key(name));
        }
        wave.names.retain(|_, names| !names.is_empty());
        self.wave.take_if(|wave| wave.names.is_empty());
    }

    /// Sends what a supplier lacks, with those removals alone that the wave
    /// brings. True where there are such.
    pub(super) fn send_wave(
        &mut self,
        turn: &Turn,
        offer: &Offer,
        removals: Removals,
        now: Duration,
        out: &mut Vec<Outgoing>,
    ) -> bool {
        let names = self.wave.as_ref().and_then(|wave| wave.names.get(turn)).cloned();
        let Some((names, channel)) = names.zip(self.channels.get_mut(turn)) else { return false };
        let mut later = channel.lack(offer.of(&channel.type_url)).gone;
        later.retain(|name| !names.contains(name));
        let hold = channel.holding.hold.clone();
        later.iter().for_each(|name| channel.holding.hold.add(name));
        self.send(turn, offer, removals, now, out);
        let Some(channel) = self.channels.get_mut(turn) else { return true };
        channel.holding.hold = hold;
        let left = channel.lack(offer.of(&channel.type_url)).gone;
        if let Some(wave) = &mut self.wave
            && !left.iter().any(|name| names.contains(name))
        {
            wave.names.remove(turn);
        }
        self.wave.take_if(|wave| wave.names.is_empty());
        true
    }
}
