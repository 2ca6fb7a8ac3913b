//! Opening a store: the lock, the replay of the journal, the repositories,
//! and the writer's thread. What all handles share lives here.
//!
//! ```text
//! DIR/lock            held while the store is open
//! DIR/journal/        what is durable and not yet in the Git folders
//! DIR/repositories/   <project>/<repository>.git, bare
//! DIR/index/          sled; may be deleted while stopped
//! ```

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::StoreOptions;
use super::cache::{CACHE_BYTES_MAX, ObjectCache};
use super::error::{StoreError, failed};
use super::files::Files;
use super::hub::Hub;
use super::index::Index;
use super::journal::{Journal, Replay};
use super::pack;
use super::record::{Act, Record};
use super::repository::{Reader, Repositories, Repository};
use super::writer::{self, Message, Writer};
use crate::model::RepoName;

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
    /// Wakes those who wait for what is committed.
    pub(crate) hub: Hub,
    /// Set when the disk failed; reads go on, writes don't.
    pub(crate) halted: AtomicBool,
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
    thread: Option<JoinHandle<()>>,
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
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the writer was reported when it happened.
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
    for folder in ["repositories", "journal"] {
        files.create_dir(&dir.join(folder)).map_err(failed(what()))?;
    }
    files.sync_dir(dir).map_err(failed(what()))?;
    let shared = Arc::new(Shared {
        dir: dir.to_owned(),
        options,
        tuning,
        files,
        index: index(&dir.join("index"))?,
        cache: ObjectCache::new(CACHE_BYTES_MAX),
        hub: Hub::default(),
        halted: AtomicBool::new(false),
        temporaries: AtomicU64::new(0),
        repositories: RwLock::default(),
    });
    open_repositories(&shared)?;
    let writer = recover(&shared)?;
    let (queue, waiting) = mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("convoy-journal".into())
        .spawn(move || writer.run(&waiting))
        .map_err(failed(what()))?;
    let room = Arc::new(Semaphore::new(WRITES_MAX));
    Ok(Inner { shared, room, queue: Some(queue), thread: Some(thread), _lock: lock })
}

fn lock(dir: &Path) -> Result<File, StoreError> {
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
    let root = shared.dir.join("repositories");
    let list = |folder: &Path| {
        let what = failed(format!("listing `{}`", folder.display()));
        shared.files.list(folder).map_err(what)
    };
    for project in list(&root)? {
        let folder = root.join(&project);
        if !folder.is_dir() {
            continue;
        }
        for entry in list(&folder)? {
            let name = entry.strip_suffix(".git").map(|repo| format!("{project}/{repo}"));
            let name = name.and_then(|name| RepoName::try_from(name).ok());
            // Without a HEAD its record is still in the journal.
            if let Some(name) = name.filter(|_| folder.join(&entry).join("HEAD").is_file()) {
                let repo = Repository::open(&*shared.files, &shared.dir, &name, &shared.index)?;
                shared.insert(repo);
            }
        }
    }
    Ok(())
}

/// Replays the journal into the Git folders and begins an empty one.
fn recover(shared: &Arc<Shared>) -> Result<Writer, StoreError> {
    let folder = shared.dir.join("journal");
    let replay = Journal::replay(&*shared.files, &folder)?;
    if replay.torn_bytes > 0 {
        tracing::warn!(bytes = replay.torn_bytes, "dropped a torn journal tail");
    }
    let mut pending = writer::AllPending::new();
    for record in &replay.records {
        replay_one(shared, record, &mut pending)?;
    }
    super::checkpoint::write(shared, &pending)?;
    if !replay.records.is_empty() {
        tracing::info!(records = replay.records.len(), "replayed the journal");
    }
    begin(shared, &folder, &replay)
}

fn begin(shared: &Arc<Shared>, folder: &Path, replay: &Replay) -> Result<Writer, StoreError> {
    let mut journal = Journal::begin(Arc::clone(&shared.files), folder, replay)?;
    let state = RepoName::state();
    if shared.repository(&state).is_err() {
        journal.append(&[Record::create(&state).encode()?])?;
        writer::make(shared, &state)?;
    }
    Ok(Writer::new(Arc::clone(shared), journal))
}

fn replay_one(
    shared: &Shared,
    record: &Record,
    pending: &mut writer::AllPending,
) -> Result<(), StoreError> {
    if record.act == Act::Create {
        return writer::make(shared, &record.repo).map(drop);
    }
    let repo = shared.repository(&record.repo)?;
    let mut objects = if record.pack.is_empty() { Vec::new() } else { pack::decode(&record.pack)? };
    let presence = repo.presence();
    objects.retain(|(id, _)| !presence.has(id));
    repo.lend(&objects);
    let head = writer::apply(&repo, record, Vec::new())?;
    *repo.prepare() = head;
    repo.watch.send_replace(head);
    let entry = pending
        .entry(repo.name.clone())
        .or_insert_with(|| writer::Pending { repo: Arc::clone(&repo), objects: Vec::new() });
    entry.objects.extend(objects);
    Ok(())
}
