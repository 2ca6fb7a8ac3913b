//! The one thread that owns the journal: it appends what writers prepared,
//! makes it durable, and only then applies it and answers.
//!
//! Everybody who waits when it comes back from the disk goes into the next
//! frame, so that one fdatasync serves them all. It runs until every handle
//! on the store is gone, and never decides whether a write is allowed: that
//! was settled under the repository's own lock, when it was prepared.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Head;
use super::checkpoint;
use super::error::StoreError;
use super::journal::Journal;
use super::object::Objects;
use super::open::Shared;
use super::record::{Act, Record};
use super::repository::{self, Repository};
use crate::model::{FilePath, RepoName};

/// Writes that one frame carries at most, in number and in bytes.
const FRAME_WRITES_MAX: usize = 1024;
const FRAME_BYTES_MAX: usize = 32 << 20;

/// Where an answer goes. Nobody may be waiting any more; that is fine.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// A prepared write.
#[derive(Debug)]
pub(crate) struct Write {
    /// `None` where the record is what makes the repository.
    pub(crate) repo: Option<Arc<Repository>>,
    pub(crate) record: Record,
    /// `record` as it goes to disk.
    pub(crate) encoded: Vec<u8>,
    pub(crate) objects: Objects,
    /// The files that each new revision changed against the one before it,
    /// exactly; empty where nobody looked.
    pub(crate) touched: Vec<Vec<FilePath>>,
    pub(crate) done: Answer<Head>,
}

/// What the thread is asked.
#[derive(Debug)]
pub(crate) enum Message {
    /// Make it durable.
    Write(Write),
    /// Answer when everything before is durable.
    Barrier(Answer<()>),
    /// Write a checkpoint.
    Checkpoint(Answer<()>),
}

/// What a repository was given since the last checkpoint.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) repo: Arc<Repository>,
    pub(crate) objects: Objects,
}

/// Everything since the last checkpoint.
pub(crate) type AllPending = BTreeMap<RepoName, Pending>;

/// The thread's state.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) journal: Journal,
    pub(crate) pending: AllPending,
    pending_bytes: usize,
    /// When the oldest pending record came.
    since: Option<Instant>,
}

impl Writer {
    /// A writer on a journal that holds nothing.
    pub(crate) fn new(shared: Arc<Shared>, journal: Journal) -> Self {
        Self { shared, journal, pending: AllPending::new(), pending_bytes: 0, since: None }
    }

    /// Works until every sender is gone.
    pub(crate) fn run(mut self, queue: &Receiver<Message>) {
        loop {
            let first = match queue.recv_timeout(self.patience()) {
                Ok(first) => Some(first),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            match first {
                Some(first) => self.serve(gather(first, queue)),
                None => self.checkpoint_or_halt(),
            }
            if self.is_checkpoint_due() {
                self.checkpoint_or_halt();
            }
        }
    }

    fn patience(&self) -> Duration {
        const FOREVER: Duration = Duration::from_secs(3600);
        if self.pending.is_empty() || self.is_halted() {
            FOREVER
        } else {
            self.shared.tuning.checkpoint_idle
        }
    }

    fn is_halted(&self) -> bool {
        self.shared.halted.load(Ordering::Acquire)
    }

    fn is_checkpoint_due(&self) -> bool {
        let bytes_max = self.shared.options.checkpoint_bytes;
        self.journal.bytes() >= bytes_max
            || self.pending_bytes as u64 >= bytes_max.saturating_mul(2)
            || self.since.is_some_and(|at| at.elapsed() >= self.shared.tuning.checkpoint_age)
    }

    fn serve(&mut self, messages: Vec<Message>) {
        let (mut writes, mut barriers, mut checkpoints) = (Vec::new(), Vec::new(), Vec::new());
        for message in messages {
            match message {
                Message::Write(write) => writes.push(write),
                Message::Barrier(done) => barriers.push(done),
                Message::Checkpoint(done) => checkpoints.push(done),
            }
        }
        if !writes.is_empty() {
            self.write(writes);
        }
        let halted = self.is_halted();
        for done in barriers {
            let _ = done.send(if halted { Err(StoreError::Halted) } else { Ok(()) });
        }
        for done in checkpoints {
            self.checkpoint_or_halt();
            let _ = done.send(if self.is_halted() { Err(StoreError::Halted) } else { Ok(()) });
        }
    }

    fn write(&mut self, mut writes: Vec<Write>) {
        let records: Vec<Vec<u8>> =
            writes.iter_mut().map(|write| std::mem::take(&mut write.encoded)).collect();
        let written =
            if self.is_halted() { Err(StoreError::Halted) } else { self.journal.append(&records) };
        if let Err(error) = written {
            self.halt(&error);
            writes.into_iter().for_each(|write| {
                let _ = write.done.send(Err(StoreError::Halted));
            });
            return;
        }
        self.since.get_or_insert_with(Instant::now);
        for write in writes {
            self.apply(write);
        }
    }

    /// Applies a durable write, answers it, tells watchers.
    fn apply(&mut self, write: Write) {
        let Write { repo, record, objects, touched, done, .. } = write;
        let applied = match repo {
            Some(repo) => {
                self.apply_commits(&repo, &record, objects, touched).map(|head| (repo, head))
            }
            None => make(&self.shared, &record.repo).map(|repo| {
                let head = repo.head();
                (repo, head)
            }),
        };
        match applied {
            Ok((repo, head)) => {
                let _ = done.send(Ok(head));
                if record.act != Act::Create {
                    repo.watch.send_replace(head);
                    self.shared.hub.tell(&repo, record.first);
                }
            }
            Err(error) => {
                self.halt(&error);
                let _ = done.send(Err(StoreError::Halted));
            }
        }
    }

    fn apply_commits(
        &mut self,
        repo: &Arc<Repository>,
        record: &Record,
        objects: Objects,
        touched: Vec<Vec<FilePath>>,
    ) -> Result<Head, StoreError> {
        let head = apply(repo, record, touched)?;
        self.remember(repo, objects);
        Ok(head)
    }

    /// Keeps what the next checkpoint has to write.
    pub(crate) fn remember(&mut self, repo: &Arc<Repository>, objects: Objects) {
        self.pending_bytes += objects.iter().map(|(_, object)| object.data.len()).sum::<usize>();
        let pending = self
            .pending
            .entry(repo.name.clone())
            .or_insert_with(|| Pending { repo: Arc::clone(repo), objects: Vec::new() });
        pending.objects.extend(objects);
    }

    fn checkpoint_or_halt(&mut self) {
        if self.is_halted() {
            return;
        }
        if let Err(error) = self.checkpoint() {
            self.halt(&error);
        }
    }

    /// Writes everything pending into the Git folders, then cuts the journal.
    pub(crate) fn checkpoint(&mut self) -> Result<(), StoreError> {
        checkpoint::write(&self.shared, &self.pending)?;
        if self.journal.bytes() > 0 {
            self.journal.cut()?;
        }
        self.pending.clear();
        self.pending_bytes = 0;
        self.since = None;
        Ok(())
    }

    fn halt(&self, error: &StoreError) {
        if !self.shared.halted.swap(true, Ordering::AcqRel) {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            tracing::error!(%error, cause, "the store takes no more writes; restart to recover");
        }
    }
}

/// The first message and whoever waits behind it, up to the bounds of a frame.
fn gather(first: Message, queue: &Receiver<Message>) -> Vec<Message> {
    let size = |message: &Message| match message {
        Message::Write(write) => write.encoded.len(),
        _ => 0,
    };
    let mut bytes = size(&first);
    let mut messages = vec![first];
    while messages.len() < FRAME_WRITES_MAX && bytes < FRAME_BYTES_MAX {
        let Ok(next) = queue.try_recv() else { break };
        bytes += size(&next);
        messages.push(next);
    }
    messages
}

/// Applies a durable record's revisions.
pub(crate) fn apply(
    repo: &Repository,
    record: &Record,
    touched: Vec<Vec<FilePath>>,
) -> Result<Head, StoreError> {
    repo.apply(record.first, record.begins, &record.commits, touched).ok_or_else(|| {
        let what = format!("applying revision {} of `{}`", record.first, record.repo);
        StoreError::damaged(what, "the record contradicts the repository")
    })
}

/// Makes a repository whose record is durable; no harm if it is there.
pub(crate) fn make(shared: &Shared, name: &RepoName) -> Result<Arc<Repository>, StoreError> {
    if let Ok(repo) = shared.repository(name) {
        return Ok(repo);
    }
    repository::create_folder(&*shared.files, &shared.dir, name)
        .map_err(super::error::failed(format!("making the folder of `{name}`")))?;
    let repo = Repository::open(&*shared.files, &shared.dir, name, &shared.index)?;
    Ok(shared.insert(repo))
}
