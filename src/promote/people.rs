//! What promotion must know of people and nodes: told to it, not recorded by it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::{Person, Voter};

/// Who there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People {
    /// Who is in which team.
    pub teams: BTreeMap<String, BTreeSet<Person>>,
    /// Everybody whose word counts; `None`: nobody told, and nobody is taken
    /// out.
    pub active: Option<BTreeSet<Person>>,
    /// Who may skip gates in an emergency.
    pub breakglass: BTreeSet<Person>,
    /// Open development mode: where nobody has that role, everybody has.
    pub open: bool,
}

impl People {
    /// Whether somebody is still there.
    pub fn is_active(&self, person: &Person) -> bool {
        self.active.as_ref().is_none_or(|active| active.contains(person))
    }

    /// Whether somebody may skip gates in an emergency.
    pub fn may_break_glass(&self, person: &Person) -> bool {
        let anybody = self.open && self.breakglass.is_empty();
        self.is_active(person) && (anybody || self.breakglass.contains(person))
    }

    /// Whether a voter means somebody.
    pub fn means(&self, voter: &Voter, person: &Person) -> bool {
        match voter {
            Voter::Person(one) => one == person,
            Voter::Team(team) => self.teams.get(team).is_some_and(|team| team.contains(person)),
        }
    }
}

/// How the nodes of a stage stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetFacts {
    /// Connected.
    pub nodes: usize,
    /// Took all they were sent.
    pub acked: usize,
    /// Refuse something.
    pub nacked: usize,
}
