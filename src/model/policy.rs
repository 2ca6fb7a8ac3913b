//! What a stage asks besides smoke runs and time: whose approvals, how the
//! nodes of the stage before stand, what is measured.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Person;

/// So many people out of some.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Quorum {
    /// How many.
    pub count: usize,
    /// Out of whom.
    pub from: Voters,
}

/// Whose approvals count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Voters {
    /// Everybody's.
    Anyone,
    /// Those of the owners of each file that the promotion changes.
    Owners,
    /// Those of any of these.
    Of(Vec<Voter>),
}

/// A person, or all of a team.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Voter {
    /// One person.
    Person(Person),
    /// Whoever is in the team now.
    Team(String),
}

impl fmt::Display for Voter {
    /// As the manifest writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(person) => write!(f, "{person}"),
            Self::Team(team) => write!(f, "team:{team}"),
        }
    }
}

/// Who owns which files of the repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerRule {
    /// Globs over paths; one must match.
    pub paths: Vec<String>,
    /// The owners. Empty: nobody, although an earlier rule says so.
    pub from: Vec<Voter>,
}

/// How the nodes of the stage before must stand: none refuses what it is
/// served, and so many have taken it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetRule {
    /// At least this share of the connected nodes, in percent.
    pub acked_percent: u32,
}

/// One query and the bounds of its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricRule {
    /// What it is called; once in a stage.
    pub name: String,
    /// The query; `${stage}`, `${repo}`, `${bundle}` and `${nodes}` are filled
    /// in by whoever asks.
    pub query: String,
    /// A query for what to compare with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// The answer may be no larger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<Number>,
    /// The answer may be no smaller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Number>,
    /// The answer may be at most so many times the baseline's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most_times_baseline: Option<Number>,
    /// What to do while no answer can be judged.
    #[serde(default)]
    pub inconclusive: OnInconclusive,
}

/// What to do while nothing can be said: no data, too little of it, or nobody
/// to ask. Never is that a failure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnInconclusive {
    /// Ask again.
    #[default]
    Wait,
    /// Pause, until a person goes on.
    Pause,
}

/// A finite decimal number, kept as it was written so that it can be compared
/// exactly with itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Number(String);

impl Number {
    /// A number; `None` where it is none, or not finite.
    pub fn new(text: &str) -> Option<Self> {
        let number: f64 = text.parse().ok()?;
        number.is_finite().then(|| Self(text.to_owned()))
    }

    /// Its value.
    pub fn value(&self) -> f64 {
        self.0.parse().unwrap_or(f64::NAN)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Number {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::new(&text).ok_or_else(|| format!("`{text}` is not a finite number"))
    }
}

impl From<Number> for String {
    fn from(number: Number) -> Self {
        number.0
    }
}
