//! What must be so once the model client answered everything: it has what it
//! asked for as it is served, and next to nothing is remembered of it.

use std::collections::BTreeSet;

use super::super::super::super::*;
use super::super::steps::{World, snapshot};
use super::asked::{is_full, reaches, targets};
use super::side::Side;
use super::{Client, Kind, Wrong, want};

/// How many turns a conversation may need to come to rest.
const TURNS: usize = 400;

impl Client {
    /// Answers all there is until nothing more comes, after everything that is
    /// served has changed; then compares.
    pub(in super::super) fn comes_to_rest(&mut self) -> Wrong {
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
