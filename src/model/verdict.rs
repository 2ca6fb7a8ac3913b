//! What a smoke run found out.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ContentHash, Stage};

/// One square of the matrix: a stage's snapshots on one Envoy version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cell {
    /// The stage.
    pub stage: Stage,
    /// The Envoy version, `major.minor.patch`.
    pub version: String,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {}", self.stage, self.version)
    }
}

/// What a cell's run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The configuration holds.
    Passed,
    /// The configuration is wrong: Envoy refused it, or a check failed.
    Failed,
    /// We could not find out: no such Envoy here, no port, no disk.
    Errored,
}

/// The result of one cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellResult {
    /// Which.
    pub cell: Cell,
    /// What it came to.
    pub outcome: Outcome,
    /// One line each: which check, what was expected, what came, and Envoy's
    /// own words. Empty when passed.
    pub reasons: Vec<String>,
    /// How long the run took, in milliseconds; 0 from the cache.
    pub took_ms: u64,
    /// How many checks ran.
    pub checks: usize,
    /// Whether the result was known from an earlier run of the same content.
    pub cached: bool,
    /// What shows it.
    #[serde(default)]
    pub proof: Proof,
}

/// What shows a result, besides its reasons.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The logs and the configuration of the run, by hash; they may have been
    /// removed since, because only so much is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<ContentHash>,
    /// Why the run was not fenced off from the machine, where it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfenced: Option<String>,
}
