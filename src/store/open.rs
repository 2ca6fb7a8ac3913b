//! Opening a store: the lock, the replay of the journal, the repositories,
//! and the writer's thread. What all handles share lives here.
//!
//! ```text
//! DIR/lock            held while the store is open
//! DIR/journal/        what is durable and not yet in the Git folders
//! DIR/audit/          who changed what, as lines of JSON
//! DIR/repositories/   <project>/<repository>.git, bare
//! DIR/index/          sled; may be deleted while stopped
//! ```

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Semaphore, watch};

use super::StoreOptions;
use super::audit::{AuditLog, AuditQuery};
use super::cache::{CACHE_BYTES_MAX, ObjectCache};
use super::error::{StoreError, failed};
use super::files::Files;
use super::hashed::Hashed;
use super::hold::Hold;
use super::hub::Hub;
use super::index::Index;
use super::journal::{Journal, Replay, Replayed};
use super::pack::memory;
use super::packer;
use super::record::{Act, Record, Stamp};
use super::repository::{self, Reader, Repositories, Repository};
use super::writer::{self, Message, Writer};
use crate::model::RepoName;
use crate::telemetry::clock;

/// Writes that may wait for the journal at once; more wait for their turn.
const WRITES_MAX: usize = 4096;

/// When checkpoints are written beside the journal's length.
#[derive(Debug, Clone)]
pub(crate) struct Tuning {
    /// After no write came for so long: people look with stock `git`.
    pub(crate) checkpoint_idle: Duration,
    /// At the latest so long after a write.
    pub(crate) checkpoint_age: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { checkpoint_idle: Duration::from_millis(250), checkpoint_age: Duration::from_secs(5) }
    }
}

/// What all handles and the writer share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) dir: PathBuf,
    pub(crate) options: StoreOptions,
    pub(crate) tuning: Tuning,
    pub(crate) files: Arc<dyn Files>,
    pub(crate) index: Index,
    pub(crate) cache: ObjectCache,
    pub(crate) hashed: Hashed,
    pub(crate) audit: Arc<AuditLog>,
    /// Wakes those who wait for what is committed.
    pub(crate) hub: Hub,
    /// Set when the disk failed; reads go on, writes don't.
    pub(crate) halted: AtomicBool,
    /// Why, once it is.
    pub(crate) halt: watch::Sender<Option<String>>,
    /// Set when nobody holds the store any more.
    pub(crate) closing: AtomicBool,
    /// Taken while files that others may be copying are cut or removed.
    pub(crate) hold: Hold,
    /// Numbers temporary files.
    pub(crate) temporaries: AtomicU64,
    repositories: RwLock<Repositories>,
}

impl Shared {
    /// An open repository.
    pub(crate) fn repository(&self, name: &RepoName) -> Result<Arc<Repository>, StoreError> {
        let repositories = self.repositories.read().unwrap_or_else(PoisonError::into_inner);
        repositories.get(name).cloned().ok_or_else(|| StoreError::NoRepository(name.clone()))
    }

    /// Every repository's name, sorted.
    pub(crate) fn names(&self) -> Vec<RepoName> {
        let repositories = self.repositories.read().unwrap_or_else(PoisonError::into_inner);
        repositories.keys().cloned().collect()
    }

    /// Adds a repository, unless it is there; returns the one that is there.
    pub(crate) fn insert(&self, repo: Repository) -> Arc<Repository> {
        let mut repositories = self.repositories.write().unwrap_or_else(PoisonError::into_inner);
        let entry = repositories.entry(repo.name.clone());
        Arc::clone(entry.or_insert_with(|| Arc::new(repo)))
    }

    /// Takes a purged repository out.
    pub(crate) fn remove(&self, name: &RepoName) {
        self.repositories.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Reads objects of `repo`.
    pub(crate) fn reader<'r>(&'r self, repo: &'r Repository) -> Reader<'r> {
        repo.reader(&self.cache)
    }

    /// Fails if nothing can be written any more.
    pub(crate) fn check_running(&self) -> Result<(), StoreError> {
        if self.halted.load(Ordering::Acquire) { Err(StoreError::Halted) } else { Ok(()) }
    }
}

/// What ends with the last handle.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    /// Bounds what waits in the queue.
    pub(crate) room: Arc<Semaphore>,
    queue: Option<Sender<Message>>,
    /// The writer, then the packer, which ends when the writer has.
    threads: Vec<JoinHandle<()>>,
    _lock: File,
}

impl Inner {
    /// Hands a message to the writer.
    pub(crate) fn send(&self, message: Message) -> Result<(), StoreError> {
        let queue = self.queue.as_ref().ok_or(StoreError::Halted)?;
        queue.send(message).map_err(|_| StoreError::Halted)
    }
}

impl Drop for Inner {
    /// Waits for the writer, so that the folder is free when this returns.
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
        drop(self.queue.take());
        for thread in self.threads.drain(..) {
            // A panic was reported when it happened.
            let _ = thread.join();
        }
    }
}

/// Opens the store in `dir`; `index` opens its index once the folder is ours.
pub(crate) fn open(
    dir: &Path,
    options: StoreOptions,
    tuning: Tuning,
    files: Arc<dyn Files>,
    index: impl FnOnce(&Path) -> Result<Index, StoreError>,
) -> Result<Inner, StoreError> {
    let lock = lock(dir)?;
    let what = || format!("opening the store `{}`", dir.display());
    for folder in ["repositories", "journal", "audit"] {
        files.create_dir(&dir.join(folder)).map_err(failed(what()))?;
    }
    files.sync_dir(dir).map_err(failed(what()))?;
    let replay = Journal::replay(&*files, &dir.join("journal"))?;
    let audit = Arc::new(AuditLog::open(&*files, &dir.join("audit"), &replay)?);
    let shared = Arc::new(Shared {
        dir: dir.to_owned(),
        options,
        tuning,
        files,
        index: index(&dir.join("index"))?,
        cache: ObjectCache::new(CACHE_BYTES_MAX),
        hashed: Hashed::default(),
        audit,
        hub: Hub::default(),
        halted: AtomicBool::new(false),
        halt: watch::Sender::default(),
        closing: AtomicBool::new(false),
        hold: Hold::open(dir).map_err(failed(what()))?,
        temporaries: AtomicU64::new(0),
        repositories: RwLock::default(),
    });
    open_repositories(&shared)?;
    let writer = recover(&shared, &replay)?;
    let (packer, packing) = packer::start(&shared).map_err(failed(what()))?;
    let writer = writer.with_packer(packer);
    let (queue, waiting) = mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("convoy-journal".into())
        .spawn(move || writer.run(&waiting))
        .map_err(failed(what()))?;
    let room = Arc::new(Semaphore::new(WRITES_MAX));
    Ok(Inner { shared, room, queue: Some(queue), threads: vec![thread, packing], _lock: lock })
}

/// Takes the data folder for this process.
pub(crate) fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join("lock");
    let what = || format!("opening the store `{}`", dir.display());
    std::fs::create_dir_all(dir).map_err(failed(what()))?;
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(failed(what()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::damaged(
            format!("the data folder `{}` is in use by another process", dir.display()),
            format!("`{}` is locked", path.display()),
        )),
        Err(TryLockError::Error(error)) => Err(failed(what())(error)),
    }
}

fn open_repositories(shared: &Shared) -> Result<(), StoreError> {
    repository::sweep_purged(&*shared.files, &shared.dir)?;
    for name in repository::names(&*shared.files, &shared.dir)? {
        let repo = Repository::open(&*shared.files, &shared.dir, &name, &shared.index)?;
        shared.insert(repo);
    }
    Ok(())
}

/// Replays the journal into the Git folders and begins an empty one.
fn recover(shared: &Arc<Shared>, replay: &Replay) -> Result<Writer, StoreError> {
    if let Some(torn) = &replay.torn {
        tracing::warn!(
            file = %torn.file.display(), offset = torn.offset, bytes = torn.bytes,
            "dropped a torn journal tail, which a crash left before it was acknowledged"
        );
    }
    check_begins(shared, replay)?;
    let mut replaying = Replaying::new(shared, &replay.records);
    for (at, replayed) in replay.records.iter().enumerate() {
        replaying.record(at, replayed)?;
    }
    super::checkpoint::write(shared, &mut replaying.pending)?;
    if !replay.records.is_empty() {
        tracing::info!(records = replay.records.len(), "replayed the journal");
    }
    begin(shared, replay)
}

/// Holds the journal and the audit log against each other.
fn check_begins(shared: &Shared, replay: &Replay) -> Result<(), StoreError> {
    let (number, hash) = shared.audit.head();
    match replay.begins {
        None if shared.audit.has_acts() => Err(StoreError::damaged(
            format!(
                "the journal in `{}` is empty or missing, and with it what was written after the \
                 last checkpoint; restore the folder from a backup",
                shared.dir.join("journal").display()
            ),
            "the audit log tells of records, and no journal follows them",
        )),
        Some(begins) if begins.number == number + 1 && begins.previous != hash => {
            tracing::error!("the audit log was changed; run `convoy audit verify`");
            Ok(())
        }
        _ => Ok(()),
    }
}

fn begin(shared: &Arc<Shared>, replay: &Replay) -> Result<Writer, StoreError> {
    let now = clock::now();
    if replay.next_number.is_none() {
        begin_audit(shared, now)?;
    }
    shared.audit.flush(&*shared.files)?;
    shared.audit.skip_to(replay.next_number.unwrap_or(0));
    let files = Arc::clone(&shared.files);
    let folder = shared.dir.join("journal");
    let journal = Journal::begin(files, &folder, replay, &shared.audit.stamp(now))?;
    let mut writer = Writer::new(Arc::clone(shared), journal);
    let state = RepoName::state();
    if shared.repository(&state).is_err() {
        writer.create(&state)?;
    }
    Ok(writer)
}

/// Says where each repository stands that was there before the audit log.
fn begin_audit(shared: &Shared, now: Timestamp) -> Result<(), StoreError> {
    let everything = AuditQuery { limit: usize::MAX, ..AuditQuery::default() };
    let begun = shared.audit.entries(&everything)?;
    for name in shared.names() {
        // A crash may have come between this and the cut of the journal.
        if begun.iter().all(|entry| entry.repo != name) {
            let head = shared.repository(&name)?.head();
            shared.audit.begin(&name, head.revision, head.commit, now)?;
        }
    }
    Ok(())
}

/// The records of a journal on their way into the repositories.
struct Replaying<'a> {
    shared: &'a Shared,
    /// Where the newest purge of each name stands.
    purges: HashMap<&'a RepoName, usize>,
    pending: writer::AllPending,
}

impl<'a> Replaying<'a> {
    fn new(shared: &'a Shared, records: &'a [Replayed]) -> Self {
        let is_purge = |(_, replayed): &(usize, &Replayed)| replayed.record.act == Act::Purge;
        let purges = records.iter().enumerate().filter(is_purge);
        let purges = purges.map(|(at, replayed)| (&replayed.record.repo, at)).collect();
        Self { shared, purges, pending: writer::AllPending::new() }
    }

    fn record(&mut self, at: usize, replayed: &Replayed) -> Result<(), StoreError> {
        let Replayed { record, stamp } = replayed;
        let purge = self.purges.get(&record.repo).copied();
        match record.act {
            // What a purge took needn't be made to be taken again, and a
            // repository of that name may be there that was made after it.
            _ if purge.is_some_and(|purge| at < purge) => {}
            Act::Purge => self.purge(record, stamp.as_ref())?,
            Act::Create => {
                let number = stamp.map_or(0, |stamp| stamp.number);
                writer::make(self.shared, &record.repo, number)?;
            }
            Act::Commit | Act::Head => self.commits(record)?,
        }
        match stamp {
            Some(stamp) => self.shared.audit.stage(record, stamp),
            None => Ok(()),
        }
    }

    fn purge(&self, record: &Record, stamp: Option<&Stamp>) -> Result<(), StoreError> {
        let Ok(repo) = self.shared.repository(&record.repo) else { return Ok(()) };
        let number = stamp.map_or(0, |stamp| stamp.number);
        let what = || format!("opening `{}`", repo.git_dir.display());
        let made = repository::created_by(&*self.shared.files, &repo.git_dir);
        if made.map_err(failed(what()))? > number {
            return Ok(());
        }
        writer::unmake(self.shared, &repo, number).map(drop)
    }

    fn commits(&mut self, record: &Record) -> Result<(), StoreError> {
        let repo = self.shared.repository(&record.repo)?;
        let mut reader = self.shared.reader(&repo);
        let read = memory::decode(&record.pack, &mut |id| reader.object(id))?;
        let mut objects = read.objects;
        let presence = repo.presence();
        objects.retain(|(id, _)| !presence.has(id));
        repo.lend(&objects);
        let head = writer::apply(&repo, record, Vec::new())?;
        *repo.prepare() = head;
        repo.watch.send_replace(head);
        let name = repo.name.clone();
        let pending = self.pending.entry(name).or_insert_with(|| writer::Pending::new(&repo));
        pending.objects.extend(objects);
        pending.descents.extend(read.descents);
        Ok(())
    }
}
