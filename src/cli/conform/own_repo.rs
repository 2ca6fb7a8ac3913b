//! The repository that the suite writes to: its manifest, a file for each node
//! group, and what the server makes of a commit.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::commits::Lanes;
use crate::cli::Failure;
use crate::cli::client::Server;
use crate::model::{ContentHash, NodeGroup, RepoName, Stage};

/// How the suite's manifest begins: a repository with another one is somebody
/// else's, and left alone.
const MARK: &str = "# Written by `convoy xds conform`, which replaces everything in here.\n";
const MANIFEST: &str = "convoy.yaml";
/// Where the groups lie.
const GROUPS: &str = "groups/";
/// How long a commit may take to be served: a stage waits up to its server's
/// `ack_deadline` for nodes that are mute on purpose.
const SERVED: Duration = Duration::from_secs(180);
/// How long a repository without a pipeline is given to get one.
const PIPELINE: Duration = Duration::from_secs(10);
/// How long a promotion is given to end: what is refused then is only refused.
const ENDED: Duration = Duration::from_secs(5);
/// Between two looks at the stage.
const LOOK: Duration = Duration::from_millis(25);
/// How many problems of a bundle are told.
const MAX_PROBLEMS: usize = 3;

/// A repository of the suite's own.
pub(super) struct OwnRepo {
    server: Server,
    repo: RepoName,
    stage: Stage,
    /// What lies in it.
    written: Lanes,
    is_new: bool,
}

/// Why a commit is not served.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unserved {
    #[error("the bundle was refused: {0}")]
    Refused(String),
    #[error("{0}")]
    Broken(String),
}

impl From<Failure> for Unserved {
    fn from(failure: Failure) -> Self {
        Self::Broken(failure.to_string())
    }
}

impl OwnRepo {
    /// Makes sure that nothing in `repo` is anybody else's, and clears it.
    pub(super) async fn take_over(
        server: Server,
        repo: RepoName,
        stage: Stage,
    ) -> Result<Self, Failure> {
        let hint = "`convoy repo create PROJECT/NAME` makes an empty one for the suite";
        let foreign = |what: &str| {
            let message = format!("`{repo}` holds {what}, which the suite did not write");
            Failure::new(Failure::USAGE, message).with_hint(hint)
        };
        let listed = server.get(&format!("/repos/{repo}/files")).await;
        let listed = listed.map_err(|failure| match failure.code {
            Failure::NOT_FOUND => failure.with_hint(hint),
            _ => failure,
        })?;
        let files = listed["files"].as_array().into_iter().flatten();
        let paths: Vec<_> = files.filter_map(|file| file["path"].as_str()).collect();
        let paths: Vec<_> = paths.iter().map(|path| path.trim_start_matches('/')).collect();
        if paths.contains(&MANIFEST) {
            let bytes = server.bytes(&format!("/repos/{repo}/raw/{MANIFEST}")).await?;
            if !bytes.starts_with(MARK.as_bytes()) {
                return Err(foreign("a convoy.yaml"));
            }
        }
        let ours = |path: &str| path == MANIFEST || path.starts_with(GROUPS);
        if let Some(path) = paths.iter().find(|path| !ours(path)) {
            return Err(foreign(&format!("the file {path}")));
        }
        let groups = paths.iter().any(|path| path.starts_with(GROUPS));
        if groups && !paths.contains(&MANIFEST) {
            return Err(foreign(GROUPS));
        }
        let this = Self { server, repo, stage, written: Lanes::new(), is_new: true };
        if groups {
            let cleared = [
                json!({ "path": "/groups", "content": Value::Null }),
                this.manifest(&Lanes::new()),
            ];
            this.commit(&cleared).await?;
        }
        Ok(this)
    }

    /// Has the stage serve `lanes` and nothing else.
    pub(super) async fn serve(&mut self, lanes: &Lanes) -> Result<(), Unserved> {
        let changes = self.changes(lanes);
        if changes.is_empty() {
            return Ok(());
        }
        let revision = self.commit(&changes).await?;
        let new = lanes.keys().any(|node| !self.written.contains_key(node));
        self.written.clone_from(lanes);
        self.is_new = false;
        self.served(revision).await?;
        if new { self.ended().await } else { Ok(()) }
    }

    /// What leads from what lies there to `lanes`.
    fn changes(&self, lanes: &Lanes) -> Vec<Value> {
        let new = lanes.iter().filter(|(node, content)| self.written.get(*node) != Some(content));
        let new = new.map(|(node, content)| json!({ "path": file(node), "content": content }));
        let gone = self.written.keys().filter(|node| !lanes.contains_key(*node));
        let gone = gone.map(|node| json!({ "path": file(node), "content": Value::Null }));
        let mut changes: Vec<_> = new.chain(gone).collect();
        if self.is_new || !lanes.keys().eq(self.written.keys()) {
            changes.push(self.manifest(lanes));
        }
        changes
    }

    fn manifest(&self, lanes: &Lanes) -> Value {
        let group = |node: &String| json!({ "name": group(node), "nodes": { "id": glob(node) } });
        let groups: Vec<_> = lanes.keys().map(group).collect();
        let stages = json!([{ "name": self.stage, "auto": true }]);
        let content = format!("{MARK}{}\n", json!({ "stages": stages, "groups": groups }));
        json!({ "path": format!("/{MANIFEST}"), "content": content })
    }

    async fn commit(&self, changes: &[Value]) -> Result<u64, Failure> {
        let body = json!({
            "base_revision": -1,
            "changes": changes,
            "message": "Have what the conformance suite needs",
        });
        let path = format!("/repos/{}/commits", self.repo);
        let answer = self.server.post(&path, &body).await?;
        let revision = answer["revision"].as_u64();
        let taken = || Failure::new(Failure::FAILED, format!("the commit was not taken: {answer}"));
        revision.ok_or_else(taken)
    }

    /// The stage on the board; null before the first bundle is made.
    async fn board(&self) -> Result<Value, Failure> {
        match self.server.get(&format!("/repos/{}/board", self.repo)).await {
            Err(failure) if failure.code == Failure::NOT_FOUND => Ok(Value::Null),
            board => board,
        }
    }

    /// Gives the promotion that brought the stage a new node's group time to
    /// end: as long as it has not, a refusal would take it back.
    async fn ended(&self) -> Result<(), Unserved> {
        let deadline = Instant::now() + ENDED;
        while Instant::now() < deadline {
            let board = self.board().await?;
            let open = stage(&board, self.stage.as_str())["open"].as_array().map_or(0, Vec::len);
            if open == 0 {
                break;
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits until the stage serves `revision`.
    async fn served(&self, revision: u64) -> Result<(), Unserved> {
        let began = Instant::now();
        loop {
            let board = self.board().await?;
            if live(&board, self.stage.as_str()) >= revision {
                return Ok(());
            }
            if board.is_null() && began.elapsed() > PIPELINE {
                let text = format!(
                    "`{}` has no pipeline: the configuration of the server has to name it under \
                     `repositories`",
                    self.repo
                );
                return Err(Unserved::Broken(text));
            }
            self.refused(&board, revision).await?;
            if let Some(reason) = stage(&board, self.stage.as_str())["hold"]["reason"].as_str() {
                let (repo, stage) = (&self.repo, &self.stage);
                let text = format!(
                    "stage `{stage}` of `{repo}` is held: {reason}; end it with `convoy unpin \
                     {stage} --repo {repo}`"
                );
                return Err(Unserved::Broken(text));
            }
            if began.elapsed() > SERVED {
                let (repo, stage) = (&self.repo, &self.stage);
                let text = format!(
                    "stage `{stage}` of `{repo}` does not serve revision {revision} after \
                     {SERVED:?}: is it frozen or held?"
                );
                return Err(Unserved::Broken(text));
            }
            sleep(LOOK).await;
        }
    }

    /// An error where the bundle of `revision` will never be served.
    async fn refused(&self, board: &Value, revision: u64) -> Result<(), Unserved> {
        let newest = &board["newest"];
        let is_ours = newest["revision"].as_u64() == Some(revision);
        if !is_ours || newest["status"] != "rejected" {
            return Ok(());
        }
        let id = newest["id"].as_str().unwrap_or_default();
        let bundle = self.server.get(&format!("/bundles/{id}")).await?;
        let bundle = &bundle["bundle"];
        let listed = |key: &str| bundle[key].as_array().cloned().unwrap_or_default();
        let errors = listed("findings").into_iter().filter(|one| one["severity"] == "error");
        let errors = errors.map(|finding| finding["problem"].clone());
        let texts = listed("problems").into_iter().chain(errors).map(|problem| {
            let part = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            format!("{}: {}", part(&problem["place"]["file"]), part(&problem["message"]))
        });
        Err(Unserved::Refused(texts.take(MAX_PROBLEMS).collect::<Vec<_>>().join("; ")))
    }
}

fn stage<'a>(board: &'a Value, name: &str) -> &'a Value {
    let mut stages = board["stages"].as_array().into_iter().flatten();
    stages.find(|one| one["stage"] == name).unwrap_or(&Value::Null)
}

/// The revision that the stage serves.
fn live(board: &Value, name: &str) -> u64 {
    stage(board, name)["live"]["revision"].as_u64().unwrap_or(0)
}

/// What the group of a node is called.
fn group(node: &str) -> String {
    let hashed = || format!("node-{:.12}", ContentHash::of(node.as_bytes()).to_string());
    NodeGroup::new(node).map_or_else(|_| hashed(), |group| group.to_string())
}

/// The file of a node's group.
fn file(node: &str) -> String {
    format!("/{GROUPS}{}/resources.yaml", group(node))
}

/// A glob that only `node` matches.
fn glob(node: &str) -> String {
    let special = |c: char| "*?[]{}\\".contains(c);
    node.chars().map(|c| if special(c) { '?' } else { c }).collect()
}
