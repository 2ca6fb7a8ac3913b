//! One repository: its Git folder, the objects that are not in the folder
//! yet, and its revisions. Whoever reads, reads through [`Reader`].

mod folder;
mod reader;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::watch;

use super::Head;
use super::cache::ObjectCache;
use super::error::{StoreError, failed};
use super::files::Files;
use super::hub::Watchers;
use super::index::Index;
use super::line::{Line, Source};
use super::object::{Object, Oid};
use super::quota::Bounds;
use super::record::{Act, Record};
use super::refs::Refs;
use super::touched::Touched;
use crate::model::{CommitId, FilePath, RepoName, Revision};

pub(crate) use folder::{
    HEAD, create_folder, created_by, finish_folder, git_dir, is_config, names, purged_dir,
    sweep_purged,
};
pub(crate) use reader::{Presence, Reader};

/// Packs that gix may know at once. Checkpoints merge packs, so that their
/// number grows with the logarithm of what the repository holds.
const PACKS_MAX: u16 = 512;

/// A repository that is open.
pub(crate) struct Repository {
    pub(crate) name: RepoName,
    pub(crate) git_dir: PathBuf,
    /// Follows what is applied.
    pub(crate) watch: watch::Sender<Head>,
    git: RwLock<Arc<gix::odb::Store>>,
    /// Objects that are not in the Git folder yet.
    overlay: RwLock<HashMap<Oid, Object>>,
    /// The head that the next commit builds on: durable soon, or never.
    prepared: Mutex<Head>,
    /// Goes up when prepared heads were given up. Changes under `prepared`.
    generation: AtomicU64,
    /// Whether it is removed, or about to be. Set under `prepared`.
    gone: AtomicBool,
    line: RwLock<Line>,
    /// What it may hold and take. Locked under `prepared`.
    bounds: Mutex<Bounds>,
    /// Which files its revisions changed.
    pub(crate) touched: Touched,
    /// Who waits for it.
    pub(crate) watchers: Watchers,
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository").field("name", &self.name).finish_non_exhaustive()
    }
}

fn open_git(git_dir: &Path) -> Result<Arc<gix::odb::Store>, StoreError> {
    let options = gix::odb::store::init::Options {
        slots: gix::odb::store::init::Slots::Given(PACKS_MAX),
        ..Default::default()
    };
    let objects = git_dir.join("objects");
    let what = failed(format!("opening `{}`", objects.display()));
    gix::odb::Store::at_opts(objects, gix::hash::Kind::Sha1, &mut std::iter::empty(), options)
        .map(Arc::new)
        .map_err(what)
}

/// Removes what a crash left of packs that were being written: temporary
/// files, and an index whose pack's name was lost, for it would claim objects
/// that are not there.
fn sweep(files: &dyn Files, folder: &Path) -> std::io::Result<()> {
    let names = files.list(folder)?;
    for name in &names {
        let pack = name.strip_suffix(".idx").map(|pack| format!("{pack}.pack"));
        let is_orphan = pack.is_some_and(|pack| !names.contains(&pack));
        if is_orphan || name.starts_with("tmp_pack_convoy") {
            files.remove(&folder.join(name))?;
        }
    }
    Ok(())
}

impl Repository {
    /// Opens the Git folder of `name`, which must be there, and counts its
    /// revisions.
    pub(crate) fn open(
        files: &dyn Files,
        dir: &Path,
        name: &RepoName,
        index: &Index,
    ) -> Result<Self, StoreError> {
        let git_dir = git_dir(dir, name);
        let what = || format!("opening `{}`", git_dir.display());
        let refs = Refs::read(files, &git_dir).map_err(failed(what()))?;
        sweep(files, &git_dir.join("objects/pack")).map_err(failed(what()))?;
        let mut repository = Self {
            name: name.clone(),
            git: RwLock::new(open_git(&git_dir)?),
            git_dir,
            watch: watch::Sender::default(),
            overlay: RwLock::default(),
            prepared: Mutex::default(),
            bounds: Mutex::default(),
            generation: AtomicU64::new(0),
            gone: AtomicBool::new(false),
            line: RwLock::default(),
            touched: Touched::default(),
            watchers: Watchers::default(),
        };
        let line = match index.load(name, &refs) {
            Some(line) => line,
            None => repository.count(&refs)?,
        };
        repository.watch.send_replace(line.head());
        *repository.prepared.get_mut().unwrap_or_else(PoisonError::into_inner) = line.head();
        repository.line = RwLock::new(line);
        Ok(repository)
    }

    /// Counts revisions from Git alone.
    fn count(&self, refs: &Refs) -> Result<Line, StoreError> {
        let cache = ObjectCache::new(0);
        let mut reader = self.reader(&cache);
        let mut commits = Vec::new();
        let nexts = refs.begins.keys().skip(1).map(|next| Some(*next)).chain([None]);
        for ((first, begin), next) in refs.begins.iter().zip(nexts) {
            let end = match next {
                Some(next) => refs.ends.get(&(next - 1)).copied(),
                None => refs.main,
            };
            let what = || format!("counting the revisions of `{}`", self.name);
            let end = end.ok_or_else(|| StoreError::damaged(what(), "a ref is missing"))?;
            let segment = reader.first_parents(end, |commit| commit == *begin)?;
            if segment.last() != Some(begin) || *first != commits.len() as u64 + 1 {
                return Err(StoreError::damaged(what(), "the refs contradict the commits"));
            }
            commits.extend(segment.into_iter().rev());
        }
        Ok(refs.line(commits))
    }

    /// Reads objects of this repository.
    pub(crate) fn reader<'r>(&'r self, cache: &'r ObjectCache) -> Reader<'r> {
        Reader::new(self, cache)
    }

    fn handle(&self) -> gix::odb::HandleArc {
        let git = self.git.read().unwrap_or_else(PoisonError::into_inner);
        gix::odb::Cache::from(git.to_handle_arc())
    }

    /// Forgets what gix knows of the folder, after packs were removed from it.
    pub(crate) fn reopen_git(&self) -> Result<(), StoreError> {
        let fresh = open_git(&self.git_dir)?;
        *self.git.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Where the repository stands.
    pub(crate) fn head(&self) -> Head {
        self.with_line(Line::head)
    }

    /// Looks at the revisions.
    pub(crate) fn with_line<T>(&self, look: impl FnOnce(&Line) -> T) -> T {
        look(&self.line.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The commit of a revision.
    pub(crate) fn commit(&self, revision: Revision) -> Result<CommitId, StoreError> {
        self.with_line(|line| line.commit(revision))
            .ok_or_else(|| StoreError::NoRevision { repo: self.name.clone(), revision })
    }

    /// The head that the next write builds on, held still.
    pub(crate) fn prepare(&self) -> MutexGuard<'_, Head> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the repository may hold and take, held still.
    pub(crate) fn bounds(&self) -> MutexGuard<'_, Bounds> {
        self.bounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which run of prepared heads it is; ask while holding [`Self::prepare`].
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Gives up what was prepared and can't be made durable: the next commit
    /// builds on what is. `lent` is all that the folder lacks of it; nothing
    /// else may be found in the overlay, or a later record would leave it out.
    pub(crate) fn give_up_prepared(&self, lent: &[(Oid, Object)]) {
        let mut prepared = self.prepare();
        *prepared = self.head();
        self.generation.fetch_add(1, Ordering::AcqRel);
        let mut overlay = self.overlay.write().unwrap_or_else(PoisonError::into_inner);
        *overlay = lent.iter().cloned().collect();
    }

    /// Whether it is removed; what was read of it before stays readable to
    /// whoever holds it, as far as the folder is still there.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Marks it as removed, or not; the caller holds [`Self::prepare`], or is
    /// the writer.
    pub(crate) fn set_gone(&self, gone: bool) {
        self.gone.store(gone, Ordering::Release);
    }

    /// Fails if it is removed.
    pub(crate) fn check_there(&self) -> Result<(), StoreError> {
        if self.is_gone() { Err(StoreError::NoRepository(self.name.clone())) } else { Ok(()) }
    }

    /// Lets objects be read before the folder has them.
    pub(crate) fn lend(&self, objects: &[(Oid, Object)]) {
        let mut overlay = self.overlay.write().unwrap_or_else(PoisonError::into_inner);
        overlay.extend(objects.iter().cloned());
    }

    /// The folder has them now.
    pub(crate) fn settle(&self, objects: &[(Oid, Object)]) {
        let mut overlay = self.overlay.write().unwrap_or_else(PoisonError::into_inner);
        objects.iter().for_each(|(id, _)| {
            overlay.remove(id);
        });
        overlay.shrink_to_fit();
    }

    /// Adds durable revisions and the files that each of them touched, as far
    /// as that is known (else nothing); `None` if they contradict what is there.
    /// Watchers are told apart, after the writer was answered.
    pub(crate) fn apply(&self, record: &Record, touched: Vec<Vec<FilePath>>) -> Option<Head> {
        // Whoever sees a revision finds what it touched.
        self.touched.extend(record.first, touched);
        let source = match record.act {
            Act::Head => Source::Elsewhere,
            _ => Source::Here,
        };
        let mut line = self.line.write().unwrap_or_else(PoisonError::into_inner);
        let fits = line.extend(record.first, record.begins, &record.commits, source);
        fits.then(|| line.head())
    }

    /// Tells what the folder or the overlay has, as of now: what comes later
    /// may be missed.
    pub(crate) fn presence(&self) -> Presence<'_> {
        let mut git = self.handle();
        // A miss is the usual answer, and looking for packs again at each
        // would cost more than packing an object twice.
        git.refresh_never();
        Presence::new(self, git)
    }

    fn borrowed(&self, id: &Oid) -> Option<Object> {
        self.overlay.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }
}

/// The repositories by name.
pub(crate) type Repositories = BTreeMap<RepoName, Arc<Repository>>;
