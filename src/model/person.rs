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

/// An actor as the record names them: whoever a token belongs to, the token
/// itself where it belongs to no person, and the request by which it came.
/// A commit carries it as the header `convoy-origin`, the audit log repeats it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Who, and by which way.
    #[serde(flatten)]
    pub actor: Actor,
    /// The token's or person's name, as people read it.
    pub name: String,
    /// The request's id, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

impl Origin {
    /// An actor without a token or request of its own.
    pub fn of(actor: &Actor) -> Self {
        Self { name: actor.to_string(), actor: actor.clone(), request: None }
    }

    /// Convoy itself.
    pub fn system() -> Self {
        Self::of(&Actor::system())
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
