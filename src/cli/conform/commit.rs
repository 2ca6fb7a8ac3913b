//! A driver that commits to a repository of a Convoy server, and waits until
//! the stage serves the commit.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::cli::client::Server;
use crate::conform::{Abilities, Change, Driver, Item, document};
use crate::model::RepoName;
use crate::schema::Schema;

/// What the suite writes.
const FILE: &str = "resources/conform.yaml";
/// How long a commit may take to be served.
const SERVED: Duration = Duration::from_secs(60);
/// Between two looks at the stage.
const LOOK: Duration = Duration::from_millis(50);

/// Commits to one repository.
pub(super) struct Commits {
    server: Server,
    repo: RepoName,
    stage: String,
    schema: Schema,
    /// What the file holds, where we wrote it.
    written: Mutex<Option<String>>,
}

impl fmt::Debug for Commits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commits").field("repo", &self.repo).field("stage", &self.stage).finish()
    }
}

impl Commits {
    pub(super) fn new(server: Server, repo: RepoName, stage: String) -> Self {
        Self { server, repo, stage, schema: Schema::load(), written: Mutex::default() }
    }

    async fn commit(&self, items: &[Item]) -> Result<(), String> {
        let documents = items.iter().map(|item| document(&self.schema, item));
        let resources = documents.collect::<Result<Vec<_>, _>>()?;
        let content = json!({ "resources": resources }).to_string();
        let mut written = self.written.lock().await;
        if written.as_ref() == Some(&content) {
            return Ok(());
        }
        let body = json!({
            "base_revision": -1,
            "changes": [{ "path": FILE, "content": content }],
            "message": "Have what the conformance suite needs",
        });
        let path = format!("/repos/{}/commits", self.repo);
        let answer = self.server.post(&path, &body).await.map_err(|failure| failure.to_string())?;
        let revision = answer["revision"].as_u64();
        let revision = revision.ok_or_else(|| format!("the commit was not taken: {answer}"))?;
        self.served(revision).await?;
        *written = Some(content);
        Ok(())
    }

    /// Waits until the stage serves `revision`.
    async fn served(&self, revision: u64) -> Result<(), String> {
        let deadline = Instant::now() + SERVED;
        let path = format!("/repos/{}/board", self.repo);
        loop {
            let board = self.server.get(&path).await.map_err(|failure| failure.to_string())?;
            let stages = board["stages"].as_array().cloned().unwrap_or_default();
            let stage = stages.iter().find(|one| one["stage"] == self.stage.as_str());
            // The stage may be as new as the commit.
            if stage.and_then(live).is_some_and(|live| live >= revision) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "no stage `{}` serves revision {revision} after {SERVED:?}: is it the first \
                     stage, with `auto: true`, and is the bundle valid?",
                    self.stage
                ));
            }
            sleep(LOOK).await;
        }
    }
}

fn live(stage: &Value) -> Option<u64> {
    stage["live"]["revision"].as_u64()
}

impl Driver for Commits {
    fn abilities(&self) -> Abilities {
        Abilities { shared: true, ttl: true, on_demand: true, collections: true }
    }

    fn set<'a>(&'a self, _: &'a str, items: &'a [Item]) -> Change<'a> {
        Box::pin(self.commit(items))
    }
}
