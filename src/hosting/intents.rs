//! Edits that shall become pull requests, as documents of `@convoy/state`:
//!
//! ```text
//! pulls/<project>/<repository>/<hash of the branch>.json
//! ```
//!
//! One is written before its branch is pushed. If the process ends between
//! the two, or before GitHub was told, the keeper finds the document and goes
//! on: what was pushed gets its pull request, what was not is left alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::githost::Pull;
use crate::model::{
    Actor, Change, ContentHash, FilePath, Origin, PathError, Person, RepoName, Revision, Via,
};
use crate::store::{NewCommit, Store, StoreError};
use crate::telemetry::clock;

/// Documents that are kept per repository; the oldest that are done go.
const KEPT_MAX: usize = 200;
const FOLDER: &str = "pulls";

/// An edit that shall become a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Our repository.
    pub repo: RepoName,
    /// The branch, which is named after the edit: the same edit is the same
    /// branch.
    pub branch: String,
    /// Where it shall go.
    pub base: String,
    /// The revision that it was made on.
    pub made_on: Revision,
    /// What the edit's commit says first.
    pub title: String,
    /// What stands in the pull request.
    pub body: String,
    /// Whose edit it is.
    pub by: Person,
    /// When it was saved first; the commit carries it, so that saving it
    /// again gives the same commit.
    pub at: Timestamp,
    /// The pull request's number, once it is there.
    #[serde(default)]
    pub number: Option<u64>,
    /// Its page.
    #[serde(default)]
    pub url: Option<String>,
    /// Why GitHub makes none of it.
    #[serde(default)]
    pub refused: Option<String>,
}

impl Intent {
    fn is_done(&self) -> bool {
        self.number.is_some() || self.refused.is_some()
    }
}

/// Why an intent was not recorded or read back.
#[derive(Debug, thiserror::Error)]
pub enum IntentError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A name that can't be a path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// What is there is no intent.
    #[error("`{path}` in @convoy/state is damaged")]
    Damaged {
        /// The document.
        path: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The store's index, where what was written is remembered.
    #[error("the index can't be opened: {0}")]
    Index(String),
}

impl IntentError {
    pub(super) fn index(error: impl std::fmt::Display) -> Self {
        Self::Index(error.to_string())
    }
}

type Key = (RepoName, String);

/// All of them; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Intents {
    store: Store,
    all: Arc<Mutex<BTreeMap<Key, Intent>>>,
    /// Told of each change; counts the tries that failed.
    news: watch::Sender<u64>,
}

impl Intents {
    /// Reads them back.
    pub(super) fn load(store: Store) -> Result<Self, IntentError> {
        let state = RepoName::state();
        let revision = match store.head(&state) {
            Ok(head) => head.revision,
            Err(StoreError::NoRepository(_)) => Revision(0),
            Err(error) => return Err(error.into()),
        };
        let mut all = BTreeMap::new();
        let files = match revision {
            Revision(0) => Vec::new(),
            revision => store.list(&state, revision, FOLDER)?,
        };
        for (path, _) in files {
            let bytes = store.read(&state, revision, &path)?;
            let damaged = |source| IntentError::Damaged { path: path.to_string(), source };
            let intent: Intent = serde_json::from_slice(&bytes).map_err(damaged)?;
            all.insert((intent.repo.clone(), intent.branch.clone()), intent);
        }
        Ok(Self { store, all: Arc::new(Mutex::new(all)), news: watch::Sender::new(0) })
    }

    /// Told of each that changed, and how many tries have failed.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// A try failed; there will be another.
    pub(super) fn failed(&self) {
        self.news.send_modify(|failures| *failures += 1);
    }

    pub(super) fn get(&self, repo: &RepoName, branch: &str) -> Option<Intent> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&(repo.clone(), branch.to_owned())).cloned()
    }

    /// Those of a repository that have no pull request yet.
    pub(super) fn open(&self, repo: &RepoName) -> Vec<Intent> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().filter(|one| &one.repo == repo && !one.is_done()).cloned().collect()
    }

    /// Records one, unless it is there.
    pub(super) async fn put(&self, intent: Intent) -> Result<Intent, IntentError> {
        if let Some(known) = self.get(&intent.repo, &intent.branch) {
            if known.refused.is_none() {
                return Ok(known);
            }
            // What GitHub refused before is tried again when a person asks.
            let again = Intent { refused: None, ..known };
            self.write(&again, "is asked for again").await?;
            return Ok(again);
        }
        self.write(&intent, "shall become a pull request").await?;
        Ok(intent)
    }

    /// Records what became of one.
    pub(super) async fn done(&self, intent: Intent, pull: &Pull) -> Result<(), IntentError> {
        let (number, url) = (Some(pull.number), Some(pull.html_url.clone()));
        let done = Intent { number, url, refused: None, ..intent };
        self.write(&done, &format!("is pull request {}", pull.number)).await
    }

    /// Records that GitHub makes no pull request of one.
    pub(super) async fn refuse(&self, intent: Intent, why: &str) -> Result<(), IntentError> {
        let refused = Intent { refused: Some(why.to_owned()), ..intent };
        self.write(&refused, "is no pull request").await
    }

    /// Forgets one whose branch was never pushed.
    pub(super) async fn drop(&self, intent: &Intent) -> Result<(), IntentError> {
        let message = format!("{}: {} was never pushed", intent.repo, intent.branch);
        self.commit(intent, vec![Change::Remove(path_of(intent)?)], &message).await?;
        let key = (intent.repo.clone(), intent.branch.clone());
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        self.news.send_modify(|_| ());
        Ok(())
    }

    async fn write(&self, intent: &Intent, what: &str) -> Result<(), IntentError> {
        let mut text = serde_json::to_string_pretty(intent)
            .map_err(|source| IntentError::Damaged { path: intent.branch.clone(), source })?;
        text.push('\n');
        let mut changes = vec![Change::Upsert(path_of(intent)?, text.into())];
        let old = self.outlived(&intent.repo);
        for one in &old {
            changes.push(Change::Remove(path_of(one)?));
        }
        let message = format!("{}: {} {what}", intent.repo, intent.branch);
        self.commit(intent, changes, &message).await?;
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        for one in old {
            all.remove(&(one.repo, one.branch));
        }
        all.insert((intent.repo.clone(), intent.branch.clone()), intent.clone());
        drop(all);
        self.news.send_modify(|_| ());
        Ok(())
    }

    /// Those that are done and have to make room.
    fn outlived(&self, repo: &RepoName) -> Vec<Intent> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let of_repo = all.values().filter(|one| &one.repo == repo);
        let mut done: Vec<Intent> = of_repo.filter(|one| one.is_done()).cloned().collect();
        done.sort_by_key(|intent| std::cmp::Reverse(intent.at));
        done.into_iter().skip(KEPT_MAX).collect()
    }

    async fn commit(
        &self,
        intent: &Intent,
        changes: Vec<Change>,
        message: &str,
    ) -> Result<(), IntentError> {
        let actor = Actor::person(intent.by.clone(), Via::Web);
        let author = (intent.by.to_string(), format!("{}@convoy.invalid", intent.by));
        let new = NewCommit::new(Origin::of(&actor), author, clock::now(), message, changes);
        match self.store.commit(&RepoName::state(), new).await {
            Ok(_) | Err(StoreError::Empty(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn path_of(intent: &Intent) -> Result<FilePath, PathError> {
    let hash = ContentHash::of(intent.branch.as_bytes()).short();
    FilePath::new(&format!("{FOLDER}/{}/{hash}.json", intent.repo))
}
