//! A deployment per promotion, and how it goes, for the pages of GitHub that
//! show environments. It gates nothing: GitHub's own rules for environments
//! know no plan and no quorum.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::status::DESCRIPTION_MAX;
use super::{GitHub, HostError, text};
use crate::model::{CommitId, PromotionId};

/// How a deployment stands, in GitHub's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentState {
    /// Waits for its gates.
    Queued,
    /// Not started, also GitHub's first word.
    Pending,
    /// Nodes take it.
    InProgress,
    /// Every node has it.
    Success,
    /// It was refused or went back.
    Failure,
    /// It could not be carried out.
    Error,
    /// It never began, or something else is there by now.
    Inactive,
}

/// A deployment that shall be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deployment {
    /// The promotion; GitHub's `payload` carries it.
    pub promotion: PromotionId,
    /// What is deployed.
    pub commit: CommitId,
    /// The stage.
    pub environment: String,
    /// Whether people depend on the stage: nothing comes after it.
    pub is_production: bool,
    /// What it is, for people.
    pub description: String,
    /// How it stands.
    pub state: DeploymentState,
    /// Why.
    pub state_description: String,
    /// The promotion's page.
    pub log_url: String,
    /// The stage's page.
    pub environment_url: String,
}

#[derive(Debug, Deserialize)]
struct Standing {
    id: u64,
    #[serde(default)]
    payload: Value,
}

#[derive(Debug, Deserialize)]
struct StandingStatus {
    state: DeploymentState,
    #[serde(default)]
    description: Option<String>,
}

impl Deployment {
    /// Without `auto_merge: false` GitHub would merge the default branch into
    /// what is deployed, and without `required_contexts` wait for every check.
    fn create(&self) -> Value {
        json!({
            "ref": self.commit.to_string(),
            "environment": self.environment,
            "auto_merge": false,
            "required_contexts": [],
            "payload": { "promotion": self.promotion.as_str() },
            "description": text::line(&self.description, DESCRIPTION_MAX),
            "transient_environment": false,
            "production_environment": self.is_production,
        })
    }

    fn status(&self) -> Value {
        json!({
            "state": self.state,
            "description": self.told(),
            "log_url": self.log_url,
            "environment_url": self.environment_url,
            "auto_inactive": true,
        })
    }

    fn told(&self) -> String {
        text::line(&self.state_description, DESCRIPTION_MAX)
    }
}

impl Standing {
    /// GitHub gives the payload back as it was sent, or as a text of it.
    fn is_of(&self, promotion: &PromotionId) -> bool {
        let text = self.payload.as_str().and_then(|text| serde_json::from_str(text).ok());
        let payload: &Value = text.as_ref().unwrap_or(&self.payload);
        payload["promotion"] == promotion.as_str()
    }
}

impl GitHub {
    /// Brings a deployment to where it shall be: makes it where it is not
    /// there, and adds a status where the newest says something else. Gives
    /// its id; `None` where there is none and nothing to say.
    ///
    /// # Errors
    /// See [`HostError`].
    pub async fn set_deployment(
        &self,
        known: Option<u64>,
        wanted: &Deployment,
    ) -> Result<Option<u64>, HostError> {
        if let Some(id) = known {
            match self.follow(id, wanted).await {
                // Somebody removed it.
                Err(error) if error.is_gone() => {}
                done => return done.map(|()| Some(id)),
            }
        }
        let id = match self.find_deployment(wanted).await? {
            Some(id) => id,
            // What never began and was never spoken of needs no word.
            None if wanted.state == DeploymentState::Inactive => return Ok(None),
            None => self.post::<Standing>("/deployments", &wanted.create()).await?.id,
        };
        self.follow(id, wanted).await.map(|()| Some(id))
    }

    /// Adds a status where the newest says something else.
    async fn follow(&self, id: u64, wanted: &Deployment) -> Result<(), HostError> {
        let path = format!("/deployments/{id}/statuses");
        let newest: Vec<StandingStatus> = self.get(&format!("{path}?per_page=1")).await?;
        let says_it = newest.first().is_some_and(|status| {
            status.state == wanted.state && status.description.as_deref() == Some(&wanted.told())
        });
        if says_it {
            return Ok(());
        }
        self.post::<Value>(&path, &wanted.status()).await.map(drop)
    }

    async fn find_deployment(&self, wanted: &Deployment) -> Result<Option<u64>, HostError> {
        let environment: String =
            url::form_urlencoded::byte_serialize(wanted.environment.as_bytes()).collect();
        let path = format!("/deployments?sha={}&environment={environment}", wanted.commit);
        let all: Vec<Standing> = self.list(&path, |page| page).await?;
        Ok(all.iter().find(|one| one.is_of(&wanted.promotion)).map(|one| one.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_known_as_an_object_and_as_a_text() {
        let id = PromotionId::numbered(7);
        for (payload, ours) in [
            (json!({"promotion": "P-7"}), true),
            (json!("{\"promotion\":\"P-7\"}"), true),
            (json!({"promotion": "P-70"}), false),
            (json!(""), false),
            (json!(null), false),
        ] {
            assert_eq!(Standing { id: 1, payload: payload.clone() }.is_of(&id), ours, "{payload}");
        }
    }
}
