//! Commit statuses: one line per thing that was proved about a commit.
//!
//! GitHub keeps at most a thousand per commit and context, so one is written
//! only where the newest says something else.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::client::PER_PAGE;
use super::{GitHub, HostError, text};
use crate::model::CommitId;

/// Bytes of a description that GitHub shows.
pub(super) const DESCRIPTION_MAX: usize = 140;
/// A context is a short label.
const CONTEXT_MAX: usize = 200;

/// What a status says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StatusState {
    /// Under way.
    Pending,
    /// It holds.
    Success,
    /// It does not.
    Failure,
    /// It could not be found out.
    Error,
}

/// A commit status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// What it is about, as in `convoy/render`.
    pub context: String,
    /// What it says.
    pub state: StatusState,
    /// One line for people.
    #[serde(default)]
    pub description: Option<String>,
    /// Where there is more to see.
    #[serde(default)]
    pub target_url: Option<String>,
}

impl Status {
    /// A status with its texts cut to what GitHub takes.
    pub fn new(context: &str, state: StatusState, description: &str, target_url: String) -> Self {
        Self {
            context: text::line(context, CONTEXT_MAX),
            state,
            description: Some(text::line(description, DESCRIPTION_MAX)),
            target_url: Some(target_url),
        }
    }
}

impl GitHub {
    /// The newest status of each context.
    ///
    /// # Errors
    /// See [`HostError`].
    pub async fn statuses(&self, commit: &CommitId) -> Result<Vec<Status>, HostError> {
        #[derive(Deserialize)]
        struct Combined {
            statuses: Vec<Status>,
        }
        let path = format!("/commits/{commit}/status?per_page={PER_PAGE}");
        let combined: Combined = self.get(&path).await?;
        Ok(combined.statuses)
    }

    /// Writes a status.
    ///
    /// # Errors
    /// See [`HostError`].
    pub async fn set_status(&self, commit: &CommitId, status: &Status) -> Result<(), HostError> {
        let path = format!("/statuses/{commit}");
        self.post::<serde_json::Value>(&path, &json!(status)).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_fits_and_stays_on_its_line() {
        let long = format!("beta\n{}", "x".repeat(200));
        let status = Status::new("convoy/render", StatusState::Failure, &long, "https://x".into());
        let described = status.description.clone().unwrap();
        assert_eq!(described.chars().count(), DESCRIPTION_MAX);
        assert!(described.starts_with("beta xxx"));
        assert_eq!(json!(status)["state"], "failure");
    }
}
