//! Who there is, as promotion wants to know it.

use std::collections::BTreeSet;

use crate::govern::Govern;
use crate::model::{Person, Role};
use crate::promote::People;

/// The team whose members may skip gates in an emergency; where there is none,
/// administrators may.
const BREAKGLASS: &str = "breakglass";

/// Everybody who is known now: by the configuration, by a document, or by a
/// token that is good. In open development mode there is nobody to be known.
pub(super) fn people(govern: &Govern, open: bool) -> People {
    let registry = govern.registry();
    let settings = govern.settings();
    let configured = settings.people.iter().map(|one| one.name.clone());
    let tokens = settings.tokens.iter().filter_map(|token| token.person.clone());
    let issued = registry.tokens.values().filter(|token| token.revoked.is_none());
    let issued = issued.filter_map(|token| token.person.clone());
    let documents = registry.people.keys().cloned();
    let active: BTreeSet<Person> =
        configured.chain(tokens).chain(issued).chain(documents).collect();
    let teams = registry.teams.values();
    let teams = teams.map(|team| (team.name.clone(), team.members.clone())).collect();
    let breakglass = match registry.teams.get(BREAKGLASS) {
        Some(team) => team.members.clone(),
        None => {
            let is_admin = |person: &&Person| govern.person(person).role == Role::Admin;
            active.iter().filter(is_admin).cloned().collect()
        }
    };
    People { teams, active: (!open).then_some(active), breakglass, open }
}
