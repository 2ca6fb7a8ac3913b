//! The one thread that owns the journal: it appends what writers prepared,
//! makes it durable, and only then applies it and answers.
//!
//! Everybody who waits when it comes back from the disk goes into the next
//! frame, so that one fdatasync serves them all. It runs until every handle
//! on the store is gone, and never decides whether a write is allowed: that
//! was settled under the repository's own lock, when it was prepared.
//!
//! A full disk refuses the frame that had no room and everything prepared on
//! top of it; the next write tries again. A failed sync halts: what is on disk
//! is not known any more, and only a restart reads it.

mod admit;
mod apply;
mod write;

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
use super::object::{Objects, Oid};
use super::open::Shared;
use super::packer::Packer;
use super::record::{Act, Record, Stamp};
use super::repository::Repository;
use crate::model::{Origin, RepoName};
use crate::telemetry::clock;

use admit::Admitted;
use apply::lay_out;
pub(crate) use apply::{apply, make, unmake};
pub(crate) use write::{AllPending, Message, Pending, Write};

/// Writes that one frame carries at most, in number and in bytes.
const FRAME_WRITES_MAX: usize = 1024;
const FRAME_BYTES_MAX: usize = 32 << 20;

/// How long after a checkpoint that found no room the next one is tried.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// While checkpoints find no room, writes are taken until so many times the
/// journal's usual length waits.
const PENDING_MAX: u64 = 4;

/// How long a checkpoint that is due waits for somebody who copies the folder,
/// and how often it looks.
const HELD_MAX: Duration = Duration::from_secs(10);
const HELD_AGAIN: Duration = Duration::from_millis(20);

/// Where an answer goes. Nobody may be waiting any more; that is fine.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// The thread's state.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    journal: Journal,
    pending: AllPending,
    pending_bytes: usize,
    /// When the oldest pending record came.
    since: Option<Instant>,
    /// When a checkpoint may be tried again that found no room.
    retry: Option<Instant>,
    /// Since when one that is due waits for somebody who copies the folder.
    held: Option<Instant>,
    /// Merges packs beside the writer; `None` while opening.
    packer: Option<Packer>,
}

impl Writer {
    /// A writer on a journal that holds nothing.
    pub(crate) fn new(shared: Arc<Shared>, journal: Journal) -> Self {
        Self {
            shared,
            journal,
            pending: AllPending::new(),
            pending_bytes: 0,
            since: None,
            retry: None,
            held: None,
            packer: None,
        }
    }

    /// Hands small packs to `packer` from now on.
    pub(crate) fn with_packer(mut self, packer: Packer) -> Self {
        self.packer = Some(packer);
        self
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
                None => self.checkpoint_when_free(),
            }
            if self.is_checkpoint_due() {
                self.checkpoint_when_free();
            }
        }
    }

    fn patience(&self) -> Duration {
        const FOREVER: Duration = Duration::from_secs(3600);
        if self.is_halted() || self.since.is_none() {
            return FOREVER;
        }
        if self.held.is_some() {
            return HELD_AGAIN;
        }
        match self.retry {
            Some(at) => at.saturating_duration_since(Instant::now()),
            None => self.shared.tuning.checkpoint_idle,
        }
    }

    fn is_halted(&self) -> bool {
        self.shared.halted.load(Ordering::Acquire)
    }

    fn is_checkpoint_due(&self) -> bool {
        if self.retry.is_some_and(|at| at > Instant::now()) {
            return false;
        }
        let bytes_max = self.shared.options.checkpoint_bytes;
        self.journal.bytes() >= bytes_max
            || self.pending_bytes as u64 >= bytes_max.saturating_mul(2)
            || self.since.is_some_and(|at| at.elapsed() >= self.shared.tuning.checkpoint_age)
    }

    fn serve(&mut self, messages: Vec<Message>) {
        let (mut writes, mut barriers, mut checkpoints) = (Vec::new(), Vec::new(), Vec::new());
        for message in messages {
            match message {
                Message::Write(write) => writes.push(*write),
                Message::Barrier(done) => barriers.push(done),
                Message::Checkpoint(done) => checkpoints.push(done),
                #[cfg(test)]
                Message::Packed(done) => {
                    if let Some(packer) = &self.packer {
                        packer.answer(done);
                    }
                }
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
            let _ = done.send(self.checkpoint_or_halt());
        }
    }

    fn write(&mut self, writes: Vec<Write>) {
        if self.is_halted() {
            return writes.into_iter().for_each(|write| write.answer(Err(StoreError::Halted)));
        }
        let stamp = self.shared.audit.stamp(clock::now());
        let Admitted { mut writes, twins } = self.admit(writes, stamp.number);
        if writes.is_empty() {
            return;
        }
        let records: Vec<Vec<u8>> =
            writes.iter_mut().map(|write| std::mem::take(&mut write.encoded)).collect();
        match self.append(&stamp, &records) {
            Ok(()) => {}
            Err(StoreError::Full) => {
                writes.extend(twins);
                return self.refuse(writes);
            }
            Err(error) => {
                self.halt(&error);
                let all = writes.into_iter().chain(twins);
                return all.for_each(|write| write.answer(Err(StoreError::Halted)));
            }
        }
        self.since.get_or_insert_with(Instant::now);
        for (write, number) in writes.into_iter().zip(stamp.number..) {
            self.apply(write, &Stamp { number, ..stamp });
        }
        twins.into_iter().for_each(|twin| twin.answer(Ok(Head::default())));
    }

    fn append(&mut self, stamp: &Stamp, records: &[Vec<u8>]) -> Result<(), StoreError> {
        let bytes_max = self.shared.options.checkpoint_bytes.saturating_mul(PENDING_MAX);
        if self.retry.is_some() && self.pending_bytes as u64 >= bytes_max {
            return Err(StoreError::Full);
        }
        self.journal.append(stamp, records)
    }

    /// Makes a repository while opening.
    pub(crate) fn create(&mut self, name: &RepoName) -> Result<(), StoreError> {
        let stamp = self.shared.audit.stamp(clock::now());
        let record = Record::create(name, &Origin::system());
        lay_out(&self.shared, name, stamp.number)?;
        self.journal.append(&stamp, &[record.encode()?])?;
        self.since.get_or_insert_with(Instant::now);
        make(&self.shared, name, stamp.number)?;
        self.shared.audit.stage(&record, &stamp)
    }

    /// Applies a durable write, answers it, tells watchers.
    fn apply(&mut self, write: Write, stamp: &Stamp) {
        let Write { repo, record, objects, descents, touched, done, .. } = write;
        let staged = self.shared.audit.stage(&record, stamp);
        let applied = staged.and_then(|()| match (&repo, record.act) {
            (Some(repo), Act::Purge) => self.remove(repo, stamp.number),
            (Some(repo), _) => {
                apply(repo, &record, touched).inspect(|_| self.remember(repo, objects, descents))
            }
            (None, _) => make(&self.shared, &record.repo, stamp.number).map(|repo| repo.head()),
        });
        match applied {
            Ok(head) => {
                let _ = done.send(Ok(head));
                if let Some(repo) = repo {
                    repo.watch.send_replace(head);
                    match record.act {
                        Act::Purge => repo.watchers.retire(),
                        _ => self.shared.hub.tell(&repo, record.first),
                    }
                }
            }
            Err(error) => {
                self.halt(&error);
                let _ = done.send(Err(StoreError::Halted));
            }
        }
    }

    fn remove(&mut self, repo: &Arc<Repository>, number: u64) -> Result<Head, StoreError> {
        self.pending.remove(&repo.name);
        self.count_pending();
        let folder = unmake(&self.shared, repo, number)?;
        if let Some(packer) = &self.packer {
            packer.remove(folder);
        }
        Ok(Head::default())
    }

    fn count_pending(&mut self) {
        let objects = self.pending.values().flat_map(|pending| &pending.objects);
        self.pending_bytes = objects.map(|(_, object)| object.data.len()).sum();
    }

    /// Keeps what the next checkpoint has to write.
    fn remember(&mut self, repo: &Arc<Repository>, objects: Objects, descents: Vec<(Oid, Oid)>) {
        self.pending_bytes += objects.iter().map(|(_, object)| object.data.len()).sum::<usize>();
        let name = repo.name.clone();
        let pending = self.pending.entry(name).or_insert_with(|| Pending::new(repo));
        pending.objects.extend(objects);
        pending.descents.extend(descents);
    }

    /// Leaves the journal alone while somebody copies it, but not for ever:
    /// what is pending is in memory.
    fn checkpoint_when_free(&mut self) {
        let shared = Arc::clone(&self.shared);
        let held = shared.hold.try_take().unwrap_or_else(|error| {
            tracing::warn!(%error, "a backup that runs now may have to begin again");
            None
        });
        let since = self.held.get_or_insert_with(Instant::now);
        if held.is_some() || since.elapsed() >= HELD_MAX {
            self.held = None;
            drop(self.checkpoint_or_halt());
        }
    }

    fn checkpoint_or_halt(&mut self) -> Result<(), StoreError> {
        if self.is_halted() {
            return Err(StoreError::Halted);
        }
        match self.checkpoint() {
            Ok(()) => Ok(()),
            Err(StoreError::Full) => {
                if self.retry.is_none() {
                    tracing::warn!(
                        "the disk is full; the journal keeps what has no room elsewhere"
                    );
                }
                self.retry = Some(Instant::now() + RETRY_AFTER);
                self.count_pending();
                Err(StoreError::Full)
            }
            Err(error) => {
                self.halt(&error);
                Err(StoreError::Halted)
            }
        }
    }

    /// Writes everything pending into the Git folders, then cuts the journal.
    fn checkpoint(&mut self) -> Result<(), StoreError> {
        let written: Vec<_> =
            self.pending.values().map(|pending| Arc::clone(&pending.repo)).collect();
        checkpoint::write(&self.shared, &mut self.pending)?;
        self.shared.audit.flush(&*self.shared.files)?;
        if self.journal.bytes() > 0 {
            self.journal.cut(&self.shared.audit.stamp(clock::now()))?;
        }
        self.pending_bytes = 0;
        (self.since, self.retry) = (None, None);
        if let Some(packer) = &self.packer {
            written.into_iter().for_each(|repo| packer.look_at(repo));
        }
        Ok(())
    }

    fn halt(&self, error: &StoreError) {
        if !self.shared.halted.swap(true, Ordering::AcqRel) {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            tracing::error!(%error, cause, "the store takes no more writes; restart to recover");
            let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
            self.shared.halt.send_replace(Some(format!("{error}{cause}")));
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
