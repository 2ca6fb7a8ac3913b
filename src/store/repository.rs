//! One repository: its Git folder, the objects that are not in the folder
//! yet, and its revisions. Whoever reads, reads through [`Reader`].

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use gix::objs::{Exists as _, Find as _};
use tokio::sync::watch;

use super::Head;
use super::cache::ObjectCache;
use super::entries::{self, Leaf};
use super::error::{StoreError, failed};
use super::files::{self, Files};
use super::hub::Watchers;
use super::index::Index;
use super::line::{Line, Source};
use super::object::{self, Commit, Kind, Mode, Object, Oid};
use super::quota::Bounds;
use super::record::{Act, Record};
use super::refs::Refs;
use super::touched::Touched;
use crate::model::{CommitId, ContentHash, FilePath, RepoName, Revision};

/// Packs that gix may know at once. Checkpoints merge packs, so that their
/// number grows with the logarithm of what the repository holds.
const PACKS_MAX: u16 = 512;

/// In larger folders, where names led is remembered.
const REMEMBERED_BYTES_MIN: usize = 1024;

const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n\
                      [gc]\n\tauto = 0\n";

/// What `HEAD` says.
pub(crate) const HEAD: &[u8] = b"ref: refs/heads/main\n";

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

/// The Git folder of `name` below the store's folder `dir`.
pub(crate) fn git_dir(dir: &Path, name: &RepoName) -> PathBuf {
    dir.join("repositories").join(name.project()).join(format!("{}.git", name.repository()))
}

/// Makes all of a repository's Git folder but its `HEAD`, durably: without
/// one it is no repository yet. `number` is that of the record that makes it,
/// and tells it from one of the same name that was purged before.
pub(crate) fn create_folder(
    files: &dyn Files,
    dir: &Path,
    name: &RepoName,
    number: u64,
) -> std::io::Result<()> {
    let git_dir = git_dir(dir, name);
    let project = dir.join("repositories").join(name.project());
    files.create_dir(&project)?;
    files.create_dir(&git_dir)?;
    for folder in ["objects", "objects/info", "objects/pack", "refs", "refs/heads", "refs/tags"] {
        files.create_dir(&git_dir.join(folder))?;
    }
    files.sync_dir(&git_dir.join("objects"))?;
    files.sync_dir(&git_dir.join("refs"))?;
    let config = config_of(&number.to_string());
    files::replace(files, &git_dir.join("config"), config.as_bytes())?;
    files::write_new(files, &git_dir.join("HEAD"), HEAD)?;
    files.sync_dir(&project)?;
    files.sync_dir(&dir.join("repositories"))
}

/// Makes a repository of what [`create_folder`] made. It takes no room, so
/// that a full disk can't leave a durable record without its folder.
pub(crate) fn finish_folder(files: &dyn Files, dir: &Path, name: &RepoName) -> std::io::Result<()> {
    files::take_new(files, &git_dir(dir, name).join("HEAD"))
}

/// A Git folder's `config`; the check tells a number whose bits changed.
fn config_of(number: &str) -> String {
    let check = ContentHash::of(number.as_bytes()).short();
    format!("{CONFIG}[convoy]\n\tnumber = {number}\n\tcheck = {check}\n")
}

/// Whether a Git folder's `config` is as [`create_folder`] writes it.
pub(crate) fn is_config(text: &str) -> bool {
    let number = text.lines().find_map(|line| line.strip_prefix("\tnumber = "));
    text == CONFIG || number.is_some_and(|number| text == config_of(number))
}

/// The number of the record that made the Git folder; 0 where it was made
/// before records had numbers.
pub(crate) fn created_by(files: &dyn Files, git_dir: &Path) -> std::io::Result<u64> {
    let config = files.read(&git_dir.join("config"))?;
    let config = String::from_utf8_lossy(&config);
    let ours = config.split_once("[convoy]").map_or("", |(_, ours)| ours);
    let number = ours.lines().find_map(|line| line.trim().strip_prefix("number = ")?.parse().ok());
    Ok(number.unwrap_or(0))
}

/// The repositories that have a Git folder below the store's folder `dir`.
pub(crate) fn names(files: &dyn Files, dir: &Path) -> Result<Vec<RepoName>, StoreError> {
    let mut names = Vec::new();
    for (folder, project) in folders(files, dir)? {
        for entry in list(files, &folder)? {
            let name = entry.strip_suffix(".git").map(|repo| format!("{project}/{repo}"));
            let name = name.and_then(|name| RepoName::try_from(name).ok());
            // Without a HEAD its record is still in the journal.
            names.extend(name.filter(|_| folder.join(&entry).join("HEAD").is_file()));
        }
    }
    Ok(names)
}

/// The folder that a purged repository's Git folder becomes on its way out.
pub(crate) fn purged_dir(git_dir: &Path, number: u64) -> PathBuf {
    let mut purged = git_dir.as_os_str().to_owned();
    purged.push(format!(".{number}.purged"));
    purged.into()
}

/// Removes what is left of purged repositories.
pub(crate) fn sweep_purged(files: &dyn Files, dir: &Path) -> Result<(), StoreError> {
    for (folder, _) in folders(files, dir)? {
        for entry in list(files, &folder)?.iter().filter(|entry| entry.ends_with(".purged")) {
            let path = folder.join(entry);
            let what = format!("removing `{}`", path.display());
            files.remove_dir(&path).map_err(failed(what))?;
        }
    }
    Ok(())
}

/// Projects' folders, with the projects' names.
fn folders(files: &dyn Files, dir: &Path) -> Result<Vec<(PathBuf, String)>, StoreError> {
    let root = dir.join("repositories");
    let projects = list(files, &root)?.into_iter();
    let folders = projects.map(|project| (root.join(&project), project));
    Ok(folders.filter(|(folder, _)| folder.is_dir()).collect())
}

fn list(files: &dyn Files, folder: &Path) -> Result<Vec<String>, StoreError> {
    files.list(folder).map_err(failed(format!("listing `{}`", folder.display())))
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
        Reader { repo: self, cache, git: None, buffer: Vec::new() }
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
        Presence { repo: self, git }
    }

    fn borrowed(&self, id: &Oid) -> Option<Object> {
        self.overlay.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }
}

/// Tells which objects a repository has. What it says is there is there.
pub(crate) struct Presence<'r> {
    repo: &'r Repository,
    git: gix::odb::HandleArc,
}

impl Presence<'_> {
    /// Whether the folder or the overlay has the object.
    pub(crate) fn has(&self, id: &Oid) -> bool {
        self.repo.borrowed(id).is_some() || self.git.exists(&gix::ObjectId::Sha1(*id))
    }
}

/// Reads objects: from what was used lately, from the overlay, from Git.
pub(crate) struct Reader<'r> {
    pub(crate) repo: &'r Repository,
    cache: &'r ObjectCache,
    /// Made when it is first needed: most reads find all in memory.
    git: Option<gix::odb::HandleArc>,
    buffer: Vec<u8>,
}

impl Reader<'_> {
    /// An object that must be there.
    pub(crate) fn object(&mut self, id: &Oid) -> Result<Object, StoreError> {
        if let Some(object) = self.remembered(id) {
            return Ok(object);
        }
        let object = match self.in_git(id) {
            Ok(Some(object)) => object,
            // Between the two looks a checkpoint may have moved it, or the
            // packer merged the pack it was in.
            _ => self.look_again(id)?,
        };
        self.cache.put(*id, &object);
        Ok(object)
    }

    /// Looks with what the packer opened last, then with the folder as it is.
    fn look_again(&mut self, id: &Oid) -> Result<Object, StoreError> {
        self.git = None;
        if let Ok(Some(object)) = self.in_git(id) {
            return Ok(object);
        }
        self.repo.reopen_git()?;
        self.git = None;
        self.in_git(id)?.or_else(|| self.repo.borrowed(id)).ok_or_else(|| self.missing(id))
    }

    /// An object, if it is in memory.
    pub(crate) fn remembered(&self, id: &Oid) -> Option<Object> {
        self.cache.get(id).or_else(|| self.repo.borrowed(id))
    }

    /// Whether this repository has an object, whatever the cache, which all
    /// repositories share, may hold.
    pub(crate) fn owns(&mut self, id: &Oid) -> bool {
        let git = self.git.get_or_insert_with(|| self.repo.handle());
        let name = gix::ObjectId::Sha1(*id);
        if self.repo.borrowed(id).is_some() || git.exists(&name) {
            return true;
        }
        // A checkpoint may have moved it between the two looks.
        self.repo.handle().exists(&name)
    }

    fn missing(&self, id: &Oid) -> StoreError {
        let what = format!("reading object {} of `{}`", CommitId(*id), self.repo.name);
        StoreError::damaged(what, "it is not there")
    }

    fn in_git(&mut self, id: &Oid) -> Result<Option<Object>, StoreError> {
        let git = self.git.get_or_insert_with(|| self.repo.handle());
        let found = git.try_find(&gix::ObjectId::Sha1(*id), &mut self.buffer);
        let found = found.map_err(|error| {
            let what = format!("reading object {} of `{}`", CommitId(*id), self.repo.name);
            StoreError::damaged(what, error)
        })?;
        Ok(found.map(|data| Object {
            kind: Kind::from(data.kind),
            data: Bytes::copy_from_slice(data.data),
        }))
    }

    /// The size of an object, without reading it where Git can tell.
    pub(crate) fn size(&mut self, id: &Oid) -> Result<u64, StoreError> {
        if let Some(object) = self.remembered(id) {
            return Ok(object.data.len() as u64);
        }
        let git = self.git.get_or_insert_with(|| self.repo.handle());
        match gix::odb::Header::try_header(git, &gix::ObjectId::Sha1(*id)) {
            Ok(Some(header)) => Ok(header.size()),
            _ => Ok(self.object(id)?.data.len() as u64),
        }
    }

    /// A commit.
    pub(crate) fn commit(&mut self, id: CommitId) -> Result<Commit, StoreError> {
        object::parse_commit(&self.object(&id.0)?.data)
    }

    /// The root tree of a commit.
    pub(crate) fn root(&mut self, commit: CommitId) -> Result<Oid, StoreError> {
        // A path has no empty part: the empty one stands for the root.
        if let Some(Some(root)) = self.cache.lookups.get(&commit.0, "") {
            return Ok(root.id);
        }
        let id = object::tree_of(&self.object(&commit.0)?.data)?;
        self.cache.lookups.put(&commit.0, "", Some(Leaf { mode: Mode::Folder, id }));
        Ok(id)
    }

    /// What `path` stands for in a commit.
    pub(crate) fn at(&mut self, commit: CommitId, path: &str) -> Result<Option<Leaf>, StoreError> {
        if let Some(found) = self.cache.lookups.get(&commit.0, path) {
            return Ok(found);
        }
        let root = self.root(commit)?;
        let found = self.entry(&root, path)?;
        self.cache.lookups.put(&commit.0, path, found);
        Ok(found)
    }

    /// What `path` below the tree `root` stands for.
    pub(crate) fn entry(&mut self, root: &Oid, path: &str) -> Result<Option<Leaf>, StoreError> {
        let mut folder = *root;
        let mut rest = path;
        loop {
            let (name, after) = match rest.split_once('/') {
                Some((name, after)) => (name, Some(after)),
                None => (rest, None),
            };
            let found = self.child(&folder, name)?;
            match (found, after) {
                (found, None) => return Ok(found),
                (Some(Leaf { mode: Mode::Folder, id }), Some(after)) => {
                    (folder, rest) = (id, after)
                }
                _ => return Ok(None),
            }
        }
    }

    fn child(&mut self, folder: &Oid, name: &str) -> Result<Option<Leaf>, StoreError> {
        if let Some(found) = self.cache.lookups.get(folder, name) {
            return Ok(found);
        }
        let data = self.object(folder)?.data;
        let found = entries::find(&data, name.as_bytes())?;
        // A small folder is read as quickly as remembered.
        if data.len() > REMEMBERED_BYTES_MIN {
            self.cache.lookups.put(folder, name, found);
        }
        Ok(found)
    }

    /// The first-parent line from `from` back to the commit that is `last`,
    /// or to a commit without parents, newest first.
    pub(crate) fn first_parents(
        &mut self,
        from: CommitId,
        last: impl Fn(CommitId) -> bool,
    ) -> Result<Vec<CommitId>, StoreError> {
        let mut line = vec![from];
        let mut at = from;
        while !last(at) {
            match self.commit(at)?.parents.first() {
                Some(parent) => at = *parent,
                None => break,
            }
            line.push(at);
        }
        Ok(line)
    }
}

/// The repositories by name.
pub(crate) type Repositories = BTreeMap<RepoName, Arc<Repository>>;
