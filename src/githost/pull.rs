//! Pull requests: those that wait, and the one that an edit becomes.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{GitHub, HostError, text};
use crate::model::CommitId;

/// GitHub takes 256 characters.
const TITLE_MAX: usize = 250;
const BODY_MAX: usize = 60_000;

/// A pull request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Pull {
    /// Its number.
    pub number: u64,
    /// Its page.
    pub html_url: String,
    /// `open` or `closed`.
    pub state: String,
    /// What it brings.
    pub head: End,
    /// What it goes to.
    pub base: End,
    /// When it was merged, if it was.
    #[serde(default)]
    pub merged_at: Option<String>,
}

/// One end of a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct End {
    /// The branch.
    #[serde(rename = "ref")]
    pub branch: String,
    /// The commit.
    #[serde(deserialize_with = "commit")]
    pub sha: CommitId,
}

fn commit<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<CommitId, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| serde::de::Error::custom("a SHA has 40 hexadecimal digits"))
}

/// A pull request that shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPull {
    /// Its title.
    pub title: String,
    /// Below it, Markdown.
    pub body: String,
    /// The branch that it brings, of the same repository.
    pub head: String,
    /// The branch that it goes to.
    pub base: String,
}

impl Pull {
    /// Whether it waits.
    pub fn is_open(&self) -> bool {
        self.state == "open"
    }
}

impl GitHub {
    /// The newest pull requests that wait to go to `base`, up to `most`.
    ///
    /// # Errors
    /// See [`HostError`].
    pub async fn open_pulls(&self, base: &str, most: usize) -> Result<Vec<Pull>, HostError> {
        let base: String = url::form_urlencoded::byte_serialize(base.as_bytes()).collect();
        let most = most.clamp(1, super::client::PER_PAGE);
        let order = "sort=created&direction=desc";
        self.get(&format!("/pulls?state=open&base={base}&{order}&per_page={most}")).await
    }

    /// The pull request of a branch, whatever became of it.
    ///
    /// # Errors
    /// See [`HostError`].
    pub async fn pull_of(&self, branch: &str, base: &str) -> Result<Option<Pull>, HostError> {
        let encode = |text: &str| -> String {
            url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
        };
        let head = encode(&format!("{}:{branch}", self.owner()));
        let base = encode(base);
        let all: Vec<Pull> =
            self.get(&format!("/pulls?head={head}&base={base}&state=all&per_page=10")).await?;
        // Where `head` is not understood, GitHub gives every pull request.
        let mut ours = all.into_iter().filter(|pull| pull.head.branch == branch);
        let first = ours.next();
        let open = first.iter().cloned().chain(ours).find(Pull::is_open);
        Ok(open.or(first))
    }

    /// The pull request of a branch: the one that is there, or a new one.
    ///
    /// # Errors
    /// See [`HostError`].
    pub async fn ensure_pull(&self, new: &NewPull) -> Result<Pull, HostError> {
        if let Some(pull) = self.pull_of(&new.head, &new.base).await? {
            return Ok(pull);
        }
        let body = json!({
            "title": text::line(&new.title, TITLE_MAX),
            "body": text::clip(&new.body, BODY_MAX),
            "head": new.head,
            "base": new.base,
            "maintainer_can_modify": true,
        });
        let refused = match self.post::<Pull>("/pulls", &body).await {
            Err(error) if error.refusal().is_some() => error,
            made => return made,
        };
        // Somebody was faster, or our own call whose answer was lost.
        self.pull_of(&new.head, &new.base).await?.ok_or(refused)
    }

    /// The commit that a branch is at; `None` where there is no such branch.
    ///
    /// # Errors
    /// See [`HostError`].
    pub async fn branch(&self, branch: &str) -> Result<Option<CommitId>, HostError> {
        let path = format!("/git/ref/heads/{branch}");
        match self.get::<Value>(&path).await {
            Ok(found) => Ok(found["object"]["sha"].as_str().and_then(|sha| sha.parse().ok())),
            Err(error) if error.is_gone() => Ok(None),
            Err(error) => Err(error),
        }
    }
}
