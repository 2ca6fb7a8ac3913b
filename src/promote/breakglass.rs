//! Skipping gates in an emergency: by few people, for an incident, one gate at a
//! time, for an hour, and looked at by a second person afterwards.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::gate::GateKind;
use crate::model::{Actor, Person};

/// What was skipped, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakGlass {
    /// The incident's id.
    pub incident: String,
    /// The gates that are skipped.
    pub skip: Vec<GateKind>,
    /// Who.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// It does not begin after.
    pub expires: Timestamp,
    /// Who looked at it afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
}

/// A second person's look at what was skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// Who.
    pub by: Person,
    /// When.
    pub at: Timestamp,
    /// What they found.
    pub note: String,
}
