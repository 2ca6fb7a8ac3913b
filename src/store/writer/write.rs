//! What the writer is handed, and what it keeps for the next checkpoint.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Answer;
use crate::model::{FilePath, RepoName};
use crate::store::Head;
use crate::store::error::StoreError;
use crate::store::object::{Objects, Oid};
use crate::store::record::Record;
use crate::store::repository::Repository;

/// A prepared write.
#[derive(Debug)]
pub(crate) struct Write {
    /// `None` where the record is what makes the repository.
    pub(crate) repo: Option<Arc<Repository>>,
    pub(crate) record: Record,
    /// `record` as it goes to disk.
    pub(crate) encoded: Vec<u8>,
    pub(crate) objects: Objects,
    /// Which of them came to be from which, as a hint.
    pub(crate) descents: Vec<(Oid, Oid)>,
    /// The run of prepared heads that it builds on.
    pub(crate) generation: u64,
    /// The files that each new revision changed against the one before it,
    /// exactly; empty where nobody looked.
    pub(crate) touched: Vec<Vec<FilePath>>,
    pub(crate) done: Answer<Head>,
}

impl Write {
    pub(super) fn answer(self, answer: Result<Head, StoreError>) {
        let _ = self.done.send(answer);
    }
}

/// What the thread is asked.
#[derive(Debug)]
pub(crate) enum Message {
    /// Make it durable.
    Write(Box<Write>),
    /// Answer when everything before is durable.
    Barrier(Answer<()>),
    /// Write a checkpoint.
    Checkpoint(Answer<()>),
    /// Answer when the packer did everything before.
    #[cfg(test)]
    Packed(Answer<()>),
}

/// What a repository was given since the last checkpoint.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) repo: Arc<Repository>,
    pub(crate) objects: Objects,
    /// Which objects came to be from which, as a hint.
    pub(crate) descents: HashMap<Oid, Oid>,
}

impl Pending {
    /// Nothing yet.
    pub(crate) fn new(repo: &Arc<Repository>) -> Self {
        Self { repo: Arc::clone(repo), objects: Vec::new(), descents: HashMap::new() }
    }
}

/// Everything since the last checkpoint.
pub(crate) type AllPending = BTreeMap<RepoName, Pending>;
