//! The conditions of a promotion.

use serde::{Deserialize, Serialize};

/// Which condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GateKind {
    /// The bundle has no problems.
    Valid,
    /// Every cell of the stage's matrix passed.
    Matrix,
    /// The bundle succeeded in the stage before.
    Verified,
    /// It was there for long enough.
    Soak,
    /// Enough people said yes to this very plan.
    Approvals,
    /// No other promotion of the stage is applying, and no hold keeps it.
    Free,
}

/// One condition of one promotion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// Which.
    pub kind: GateKind,
    /// Whether it holds.
    pub open: bool,
    /// What it found, one sentence.
    pub detail: String,
}
