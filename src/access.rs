//! Who may do what: rights, grants, and the one function that decides. Pure;
//! default deny. Kept as documents by `govern`, asked by `web` and `rpc`.
//!
//! A right is looked for in this order, and the first that covers it counts:
//! the caller's role everywhere, what they are in the project (owner: admin;
//! member: what the repository gives members), what is granted to them or to
//! a team of theirs on the repository or some of its paths, what the
//! repository gives to guests.

mod nodes;
mod policy;

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::content::Patterns;
use crate::model::{FilePath, Person, RepoName, Role};

pub use nodes::{
    Bound, CertificateName, NamePattern, NamePatternError, NodeGrant, NodeScope, Outside, Scope,
    ScopeError,
};
pub use policy::{Grant, Policy, ProjectPolicy, RepositoryPolicy};

/// What may be done with a repository, or some paths of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Right {
    /// Get, list, watch, search, compare.
    Read,
    /// Commit.
    Write,
    /// Remove, restore, grant, mirror.
    Admin,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        })
    }
}

/// What somebody is in a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ProjectRole {
    /// What each repository gives its members; makes repositories.
    Member,
    /// Everything within the project.
    Owner,
}

/// Who a grant is for. Written `person:ann`, `team:sre`, `token:ci`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Subject {
    /// A person, however they come.
    Person(Person),
    /// Everybody of a team.
    Team(String),
    /// A service's token.
    Token(String),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(person) => write!(f, "person:{person}"),
            Self::Team(team) => write!(f, "team:{team}"),
            Self::Token(token) => write!(f, "token:{token}"),
        }
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.to_string()
    }
}

/// Why a text names no subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names nobody; write person:NAME, team:NAME or token:NAME")]
pub struct SubjectError(pub String);

impl TryFrom<String> for Subject {
    type Error = SubjectError;

    fn try_from(text: String) -> Result<Self, SubjectError> {
        let refuse = || SubjectError(text.clone());
        let (kind, name) = text.split_once(':').ok_or_else(refuse)?;
        // A team's and a token's name follow the rule of a person's.
        let person = Person::new(name).map_err(|_| refuse())?;
        match kind {
            "person" => Ok(Self::Person(person)),
            "team" => Ok(Self::Team(name.into())),
            "token" => Ok(Self::Token(name.into())),
            _ => Err(refuse()),
        }
    }
}

/// Whoever calls, as far as rights go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The token's or the person's name, for logs and error texts.
    pub name: String,
    /// Whose behalf it is; `None` for a service.
    pub person: Option<Person>,
    /// The token by which they came, where it was one.
    pub token: Option<String>,
    /// The teams that the person is in.
    pub teams: BTreeSet<String>,
    /// What they may do everywhere.
    pub role: Role,
}

/// A right that is missing; the text names it, where, and who can give it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{who}` lacks the right `{right}` on {place}")]
pub struct Missing {
    /// Who asked.
    pub who: String,
    /// What they lack.
    pub right: Right,
    /// Where: `mesh`, `mesh/config` or `mesh/config:/values/a.yaml`.
    pub place: String,
}

/// How far a right reaches within a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Every path.
    All,
    /// What these match.
    Some(Vec<Patterns>),
    /// Nothing.
    Nothing,
}

impl Reach {
    /// Whether a path is within reach.
    pub fn covers(&self, path: &FilePath) -> bool {
        match self {
            Self::All => true,
            Self::Some(patterns) => patterns.iter().any(|patterns| patterns.matches(path)),
            Self::Nothing => false,
        }
    }

    /// What is within reach as one pattern, for walks and histories; `None`:
    /// nothing is.
    pub fn patterns(&self) -> Option<Patterns> {
        match self {
            Self::All => Some(Patterns::all()),
            Self::Some(patterns) => {
                let texts: Vec<_> = patterns.iter().map(Patterns::as_str).collect();
                Patterns::new(&texts.join(",")).ok()
            }
            Self::Nothing => None,
        }
    }
}

impl Policy {
    /// Whether somebody has a right on a path, or with `None` on the whole
    /// repository.
    ///
    /// # Errors
    /// What is missing.
    pub fn check(
        &self,
        who: &Principal,
        right: Right,
        repo: &RepoName,
        path: Option<&FilePath>,
    ) -> Result<(), Missing> {
        let reach = self.reach(who, right, repo);
        let ok = match path {
            Some(path) => reach.covers(path),
            None => reach == Reach::All,
        };
        let place = match path {
            Some(path) => format!("{repo}:/{path}"),
            None => repo.to_string(),
        };
        if ok { Ok(()) } else { Err(Missing { who: who.name.clone(), right, place }) }
    }
}
