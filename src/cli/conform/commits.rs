//! A driver that commits to a repository of a Convoy server, and waits until
//! its stage serves the commit.
//!
//! The repository is the suite's own. Each node that asks is a node group with
//! one file; nodes that ask while a commit is under way share the next one.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::own_repo::{OwnRepo, Unserved};
use crate::cli::Failure;
use crate::cli::client::Server;
use crate::conform::{Abilities, Change, Driver, Item, document};
use crate::model::{RepoName, Stage};
use crate::schema::Schema;
use crate::tasks::Tasks;

/// Nodes that wait for a commit; whoever comes then waits to be told.
const MAX_WAITING: usize = 64;

/// What each node is to be served, as the content of its file.
pub(super) type Lanes = BTreeMap<String, String>;

/// Commits to one repository.
pub(super) struct Commits {
    wishes: mpsc::Sender<Wish>,
    schema: Schema,
    /// Ends the commits when the driver is dropped.
    _tasks: Tasks,
}

/// What a node is to be served from now on; `None`: nothing.
struct Wish {
    node: String,
    content: Option<String>,
    done: oneshot::Sender<Result<(), String>>,
}

impl fmt::Debug for Commits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commits").finish_non_exhaustive()
    }
}

impl Commits {
    /// Takes the repository over, which must be empty or the suite's already.
    pub(super) async fn start(
        server: Server,
        repo: RepoName,
        stage: Stage,
    ) -> Result<Self, Failure> {
        let repo = OwnRepo::take_over(server, repo, stage).await?;
        let (wishes, asked) = mpsc::channel(MAX_WAITING);
        let tasks = Tasks::default();
        tasks.spawn("conformance commits", Committer::new(repo).run(asked));
        Ok(Self { wishes, schema: Schema::load(), _tasks: tasks })
    }

    async fn wish(&self, node: &str, items: &[Item]) -> Result<(), String> {
        let documents = items.iter().map(|item| document(&self.schema, item));
        let resources = documents.collect::<Result<Vec<_>, _>>()?;
        let content = Some(json!({ "resources": resources }).to_string());
        let (done, answer) = oneshot::channel();
        let wish = Wish { node: node.to_owned(), content, done };
        let ended = || "the commits have ended".to_owned();
        self.wishes.send(wish).await.map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }
}

impl Driver for Commits {
    fn abilities(&self) -> Abilities {
        // What one node refuses stops the stage for all.
        Abilities {
            refusals_shared: true,
            ttl: true,
            on_demand: true,
            collections: true,
            ..Abilities::default()
        }
    }

    fn set<'a>(&'a self, node: &'a str, items: &'a [Item]) -> Change<'a> {
        Box::pin(self.wish(node, items))
    }

    fn release(&self, node: &str) {
        // Where too many wait, the group stays, and costs a little.
        let wish = Wish { node: node.to_owned(), content: None, done: oneshot::channel().0 };
        let _ = self.wishes.try_send(wish);
    }
}

/// The one who commits.
struct Committer {
    repo: OwnRepo,
    /// What is served, or was before a bundle was refused.
    lanes: Lanes,
}

impl Committer {
    fn new(repo: OwnRepo) -> Self {
        Self { repo, lanes: Lanes::new() }
    }

    async fn run(mut self, mut asked: mpsc::Receiver<Wish>) {
        while let Some(first) = asked.recv().await {
            let mut wishes = vec![first];
            while let Ok(next) = asked.try_recv() {
                wishes.push(next);
            }
            // What is only given back waits for a commit that somebody needs.
            let (set, released): (Vec<_>, Vec<_>) =
                wishes.into_iter().partition(|wish| wish.content.is_some());
            for wish in released {
                self.lanes.remove(&wish.node);
            }
            if !set.is_empty() {
                self.grant(set).await;
            }
        }
    }

    /// Has the stage serve all of `wishes`, or, where it refuses them together,
    /// each that it takes.
    async fn grant(&mut self, wishes: Vec<Wish>) {
        let together = self.serve(&wishes).await;
        if !matches!(together, Err(Unserved::Refused(_))) || wishes.len() == 1 {
            return wishes.into_iter().for_each(|wish| tell(wish, &together));
        }
        for wish in wishes {
            let alone = self.serve(std::slice::from_ref(&wish)).await;
            tell(wish, &alone);
        }
    }

    async fn serve(&mut self, wishes: &[Wish]) -> Result<(), Unserved> {
        let mut lanes = self.lanes.clone();
        for Wish { node, content, .. } in wishes {
            lanes.extend(content.clone().map(|content| (node.clone(), content)));
        }
        self.repo.serve(&lanes).await?;
        self.lanes = lanes;
        Ok(())
    }
}

fn tell(wish: Wish, outcome: &Result<(), Unserved>) {
    // A case that ran out of time does not listen any more.
    let _ = wish.done.send(outcome.as_ref().map_err(ToString::to_string).copied());
}
