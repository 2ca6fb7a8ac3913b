//! Who did something, and by which way it reached us.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Person;

/// The way an act reached us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// A Slack command or button.
    Slack,
    /// The console in a browser.
    Web,
    /// The JSON API with a token.
    Api,
    /// The command line.
    Cli,
    /// A commit on an upstream.
    Git,
    /// Convoy itself, following a rule that the manifest gives.
    System,
}

/// Who acted, and by which way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Actor {
    /// The person; `None` where Convoy acted by itself.
    pub person: Option<Person>,
    /// The way.
    pub via: Via,
}

impl Actor {
    /// Convoy itself.
    pub fn system() -> Self {
        Self { person: None, via: Via::System }
    }

    /// `person`, by `via`.
    pub fn person(person: Person, via: Via) -> Self {
        Self { person: Some(person), via }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.person {
            Some(person) => write!(f, "{person}"),
            None => f.write_str("convoy"),
        }
    }
}
