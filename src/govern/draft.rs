//! One write: documents read as of a revision of `@convoy/state`, changed, and
//! committed on the condition that none of them was changed meanwhile. Others
//! write other documents of the repository all the time; they don't matter.
//!
//! A write that has begun is finished, also when whoever asked goes away:
//! what is durable must be in the registry too.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::GovernError;
use super::registry::Inner;
use crate::model::{Change, FilePath, FileState, Origin, Precondition, RepoName, Revision};
use crate::store::{NewCommit, Store, StoreError};
use crate::telemetry::clock;

/// Tries before a document counts as too busy. Each lost try means that
/// somebody else's write went through.
const TRIES_MAX: usize = 64;

/// Documents as they were read, and as they shall be.
pub(super) struct Draft<'a> {
    store: &'a Store,
    revision: Revision,
    /// The moment of the write, for stamps.
    pub(super) now: Timestamp,
    /// Read or written: the text that was there, and what it becomes.
    touched: BTreeMap<String, Touched>,
}

struct Touched {
    before: Option<Bytes>,
    after: Option<Bytes>,
}

impl Draft<'_> {
    /// A document as it is.
    pub(super) fn get<T: DeserializeOwned>(
        &mut self,
        path: &str,
    ) -> Result<Option<T>, GovernError> {
        let bytes = self.touch(path)?.after.clone();
        let parse = |bytes: Bytes| {
            serde_json::from_slice(&bytes)
                .map_err(|source| GovernError::Damaged { path: path.to_owned(), source })
        };
        bytes.map(parse).transpose()
    }

    /// Writes a document.
    pub(super) fn put(&mut self, path: &str, document: &impl Serialize) -> Result<(), GovernError> {
        let damaged = |source| GovernError::Damaged { path: path.to_owned(), source };
        let mut text = serde_json::to_string_pretty(document).map_err(damaged)?;
        text.push('\n');
        self.touch(path)?.after = Some(text.into());
        Ok(())
    }

    /// Removes a document; no harm if it is not there.
    pub(super) fn remove(&mut self, path: &str) -> Result<(), GovernError> {
        self.touch(path)?.after = None;
        Ok(())
    }

    fn touch(&mut self, path: &str) -> Result<&mut Touched, GovernError> {
        if !self.touched.contains_key(path) {
            let before = read(self.store, self.revision, path)?;
            let touched = Touched { after: before.clone(), before };
            self.touched.insert(path.to_owned(), touched);
        }
        self.touched.get_mut(path).ok_or_else(|| GovernError::Busy(path.to_owned()))
    }

    fn changes(&self) -> Result<Vec<Change>, GovernError> {
        let changed = self.touched.iter().filter(|(_, touched)| touched.before != touched.after);
        let change = |(path, touched): (&String, &Touched)| {
            let path = FilePath::new(path)?;
            Ok(match &touched.after {
                Some(bytes) => Change::Upsert(path, bytes.clone()),
                None => Change::Remove(path),
            })
        };
        changed.map(change).collect()
    }

    fn require(&self) -> Result<Vec<Precondition>, GovernError> {
        let state = FileState::AsOf(self.revision);
        let paths = self.touched.keys();
        paths.map(|path| Ok(Precondition { path: FilePath::new(path)?, state })).collect()
    }
}

fn read(store: &Store, revision: Revision, path: &str) -> Result<Option<Bytes>, GovernError> {
    if revision == Revision::default() {
        return Ok(None);
    }
    match store.read(&RepoName::state(), revision, &FilePath::new(path)?) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(StoreError::NoFile { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Changes documents by `work`, which is repeated if somebody was faster, and
/// takes them into the registry. Where nothing changes, nothing is written.
pub(super) async fn write<R>(
    inner: &Inner,
    by: &Origin,
    message: &str,
    work: impl Fn(&mut Draft<'_>) -> Result<R, GovernError>,
) -> Result<R, GovernError> {
    let state = RepoName::state();
    // Never closed, so never refused; without it the tries decide.
    let _turn = inner.turn.acquire().await;
    for _ in 0..TRIES_MAX {
        let revision = inner.store.head(&state)?.revision;
        let now = clock::now();
        let mut draft = Draft { store: &inner.store, revision, now, touched: BTreeMap::new() };
        let result = work(&mut draft)?;
        let changes = draft.changes()?;
        if changes.is_empty() {
            return Ok(result);
        }
        let new = NewCommit {
            require: draft.require()?,
            ..NewCommit::new(by.clone(), author_of(by), now, message, changes.clone())
        };
        match inner.store.commit(&state, new).await {
            Ok(head) => {
                inner.take(&changes, head.revision)?;
                return Ok(result);
            }
            Err(StoreError::Stale { .. } | StoreError::Unfit(_) | StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(GovernError::Busy(message.to_owned()))
}

/// The name and mail address that an act of governing is committed with.
pub(super) fn author_of(by: &Origin) -> (String, String) {
    (by.name.clone(), format!("{}@convoy.invalid", by.name))
}

/// Runs a write to its end, whether or not the caller waits for it.
pub(super) async fn finish<R: Send + 'static>(
    inner: &Arc<Inner>,
    by: &Origin,
    work: impl AsyncFnOnce(&Arc<Inner>, &Origin) -> Result<R, GovernError> + Send + 'static,
) -> Result<R, GovernError> {
    let busy = || GovernError::Busy("@convoy/state".into());
    let place = inner.room.clone().acquire_owned().await.map_err(|_| busy())?;
    let runtime = tokio::runtime::Handle::current();
    let (inner, by) = (inner.clone(), by.clone());
    let run = move || {
        let _place = place;
        runtime.block_on(work(&inner, &by))
    };
    tokio::task::spawn_blocking(run).await.map_err(|_| busy())?
}
