//! The index: the commits of every repository's revisions, in sled, so that
//! opening needn't walk histories. Nothing in it is believed unless it agrees
//! with the refs, and deleting its folder loses nothing.
//!
//! sled never calls fsync, so nothing that was promised may rest here.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};

use super::error::{StoreError, failed};
use super::line::Line;
use super::refs::Refs;
use super::touched::Files;
use super::touched_batch;
use crate::model::{CommitId, ContentHash, RepoName};

/// Commits in one value: small enough to rewrite at each checkpoint, large
/// enough that a hundred thousand revisions are a few dozen keys.
const CHUNK_COMMITS: usize = 1024;

/// Batches of changed files up to this many bytes are written again with what
/// comes next, so that many small checkpoints leave few batches.
const SMALL_BATCH_BYTES: usize = 32 << 10;
const BATCH_REVISIONS_MAX: usize = 1024;

/// How long a lock of our own is waited for: two seconds in all.
const LOCK_TRIES: usize = 100;
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

/// What sled may keep in memory.
const CACHE_BYTES: u64 = 16 << 20;

/// The sled database.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    db: sled::Db,
    revisions: sled::Tree,
    /// Which files revisions changed, in batches by their first revision.
    touched: sled::Tree,
    /// What was hashed already, so that a checkpoint costs by what is new.
    hashed: Arc<Mutex<HashMap<RepoName, Hashed>>>,
}

/// The commits of one repository that are in the index.
#[derive(Debug)]
struct Hashed {
    count: usize,
    last: CommitId,
    ids: Sha256,
}

impl Index {
    /// Opens the index in `folder`; one that can't be opened is replaced by
    /// an empty one.
    pub(crate) fn open(folder: &Path) -> Result<Self, StoreError> {
        let what = || format!("opening the index `{}`", folder.display());
        match Self::open_patiently(folder) {
            Ok(index) => return Ok(index),
            // Somebody else has it: what is in it is not ours to remove.
            Err(sled::Error::Io(error)) if is_lock(&error) => return Err(failed(what())(error)),
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "index is damaged; rebuilding it");
            }
        }
        std::fs::remove_dir_all(folder).map_err(failed(what()))?;
        Self::try_open(folder).map_err(failed(what()))
    }

    /// Opens the index, waiting a moment for one that was closed just now:
    /// sled writes behind, and holds its lock until that is done.
    fn open_patiently(folder: &Path) -> sled::Result<Self> {
        for _ in 0..LOCK_TRIES {
            match Self::try_open(folder) {
                Err(sled::Error::Io(error)) if is_lock(&error) => std::thread::sleep(LOCK_PAUSE),
                opened => return opened,
            }
        }
        Self::try_open(folder)
    }

    fn try_open(folder: &Path) -> sled::Result<Self> {
        let open = || {
            let db = sled::Config::new().path(folder).cache_capacity(CACHE_BYTES).open()?;
            let revisions = db.open_tree("revisions")?;
            let touched = db.open_tree("touched")?;
            Ok(Self { db, revisions, touched, hashed: Arc::default() })
        };
        // sled panics on some kinds of damage.
        catch_unwind(AssertUnwindSafe(open))
            .unwrap_or_else(|_| Err(sled::Error::ReportableBug("panicked on open".into())))
    }

    /// Opens an index that is looked at and not used: a damaged one is an
    /// error, also where only reading tells.
    pub(crate) fn open_as_is(folder: &Path) -> Result<Self, StoreError> {
        let what = || format!("opening the index `{}`", folder.display());
        let index = Self::try_open(folder).map_err(failed(what()))?;
        for name in index.db.tree_names() {
            let tree = index.db.open_tree(name).map_err(failed(what()))?;
            for pair in &tree {
                pair.map_err(failed(what()))?;
            }
        }
        Ok(index)
    }

    /// Whether it has other commits than `commits` as the revisions of a
    /// repository. It may have fewer: it is written behind.
    pub(crate) fn contradicts(&self, repo: &RepoName, commits: &[CommitId]) -> bool {
        let chunks = self.revisions.scan_prefix(prefix(repo)).flatten();
        let mut chunks = chunks.filter_map(|(key, value)| {
            let number = key.get(prefix(repo).len()..)?.first_chunk::<4>()?;
            Some((u32::from_be_bytes(*number) as usize * CHUNK_COMMITS, value))
        });
        chunks.any(|(from, value)| {
            let recorded = value.as_chunks::<20>().0.iter().map(|id| CommitId(*id));
            !recorded.eq(commits.iter().skip(from).take(value.len() / 20).copied())
        })
    }

    /// The database, for caches of others.
    pub(crate) fn db(&self) -> sled::Db {
        self.db.clone()
    }

    /// The revisions of a repository whose refs are `refs`, if they were
    /// recorded for exactly these refs.
    pub(crate) fn load(&self, repo: &RepoName, refs: &Refs) -> Option<Line> {
        let seal = self.revisions.get(key(repo, None)).ok()??;
        let mut commits = Vec::new();
        for chunk in self.revisions.scan_prefix(prefix(repo)) {
            let (key, value) = chunk.ok()?;
            if key.len() > prefix(repo).len() {
                commits.extend(value.as_chunks::<20>().0.iter().map(|id| CommitId(*id)));
            }
        }
        let line = refs.line(commits);
        let (_, ids) = self.hash(repo, &line);
        let holds = *seal == *seal_of(ids, refs);
        if !holds {
            self.hashed().remove(repo);
        }
        holds.then_some(line)
    }

    /// Records the revisions of a repository. A failure costs a walk at the
    /// next start and nothing else.
    pub(crate) fn save(&self, repo: &RepoName, line: &Line, refs: &Refs) {
        if let Err(error) = self.try_save(repo, line, refs) {
            self.hashed().remove(repo);
            tracing::warn!(repo = %repo, %error, "revisions were not indexed");
        }
    }

    fn try_save(&self, repo: &RepoName, line: &Line, refs: &Refs) -> sled::Result<()> {
        let (known, ids) = self.hash(repo, line);
        let chunks = (0_u32..).zip(line.commits().chunks(CHUNK_COMMITS));
        // What was recorded or read before is there already.
        for (number, commits) in chunks.skip(known / CHUNK_COMMITS) {
            let value: Vec<u8> = commits.iter().flat_map(|commit| commit.0).collect();
            self.revisions.insert(key(repo, Some(number)), value)?;
        }
        self.revisions.insert(key(repo, None), seal_of(ids, refs))?;
        Ok(())
    }

    /// How many of a repository's commits were hashed before, and the hash
    /// with the others.
    fn hash(&self, repo: &RepoName, line: &Line) -> (usize, Sha256) {
        let commits = line.commits();
        let mut all = self.hashed();
        let before = all.remove(repo).filter(|have| {
            have.count.checked_sub(1).is_some_and(|last| commits.get(last) == Some(&have.last))
        });
        let (known, mut ids) = before.map_or_else(Default::default, |have| (have.count, have.ids));
        commits[known..].iter().for_each(|commit| ids.update(commit.0));
        if let Some(last) = commits.last() {
            let have = Hashed { count: commits.len(), last: *last, ids: ids.clone() };
            all.insert(repo.clone(), have);
        }
        (known, ids)
    }

    fn hashed(&self) -> MutexGuard<'_, HashMap<RepoName, Hashed>> {
        self.hashed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the commits that a batch of revisions follows from.
type CommitsOf<'c> = &'c dyn Fn(u64, usize) -> Option<Vec<CommitId>>;

impl Index {
    /// Records the files that revisions from `first` on changed, with the
    /// batch before them where both are small. A failure costs a comparison
    /// in Git later and nothing else.
    pub(crate) fn save_touched(
        &self,
        repo: &RepoName,
        first: u64,
        lists: &[Files],
        commits: CommitsOf<'_>,
    ) {
        let mut batch = (first, lists.to_vec());
        let before = first.checked_sub(1).filter(|before| *before > 0);
        if let Some((start, mut small)) =
            before.and_then(|before| self.load_small(repo, before, commits))
            && start + small.len() as u64 == first
            && small.len() + lists.len() <= BATCH_REVISIONS_MAX
        {
            small.append(&mut batch.1);
            batch = (start, small);
        }
        let Some(of) = commits(batch.0, batch.1.len()) else { return };
        let body = touched_batch::encode(&batch.1);
        let mut value = touched_seal(&of, &body).to_vec();
        value.extend_from_slice(&body);
        if let Err(error) = self.touched.insert(touched_key(repo, batch.0), value) {
            tracing::warn!(repo = %repo, %error, "changed files were not indexed");
        }
    }

    /// The batch that holds `revision`, and its first revision, if it was
    /// recorded for exactly the commits that the repository has.
    pub(crate) fn load_touched(
        &self,
        repo: &RepoName,
        revision: u64,
        commits: CommitsOf<'_>,
    ) -> Option<(u64, Vec<Files>)> {
        self.load_batch(repo, revision, usize::MAX, commits)
    }

    fn load_small(
        &self,
        repo: &RepoName,
        revision: u64,
        commits: CommitsOf<'_>,
    ) -> Option<(u64, Vec<Files>)> {
        self.load_batch(repo, revision, SMALL_BATCH_BYTES, commits)
    }

    fn load_batch(
        &self,
        repo: &RepoName,
        revision: u64,
        bytes_max: usize,
        commits: CommitsOf<'_>,
    ) -> Option<(u64, Vec<Files>)> {
        let (start, end) = (touched_key(repo, 0), touched_key(repo, revision));
        let (key, value) = self.touched.range(start..=end).next_back()?.ok()?;
        let first = u64::from_be_bytes(*key.last_chunk::<8>()?);
        let (seal, body) = value.split_first_chunk::<32>()?;
        if value.len() > bytes_max {
            return None;
        }
        let lists = touched_batch::decode(body)?;
        let of = commits(first, lists.len())?;
        let holds = first + lists.len() as u64 > revision;
        (holds && *seal == touched_seal(&of, body)).then_some((first, lists))
    }

    /// Forgets a repository that was removed.
    pub(crate) fn forget(&self, repo: &RepoName) {
        self.hashed().remove(repo);
        for tree in [&self.revisions, &self.touched] {
            for key in tree.scan_prefix(prefix(repo)).keys().flatten() {
                let _ = tree.remove(key);
            }
        }
    }
}

fn touched_key(repo: &RepoName, first: u64) -> Vec<u8> {
    let mut key = prefix(repo);
    key.extend(first.to_be_bytes());
    key
}

/// What ties recorded files to the commits that they follow from.
fn touched_seal(commits: &[CommitId], body: &[u8]) -> [u8; 32] {
    let ids = commits.iter().map(|commit| commit.0.as_slice());
    ContentHash::of_parts(ids.chain([body])).0
}

fn is_lock(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::WouldBlock || error.to_string().contains("lock")
}

fn prefix(repo: &RepoName) -> Vec<u8> {
    let mut key = repo.as_str().as_bytes().to_vec();
    key.push(0);
    key
}

fn key(repo: &RepoName, chunk: Option<u32>) -> Vec<u8> {
    let mut key = prefix(repo);
    key.extend(chunk.map(u32::to_be_bytes).into_iter().flatten());
    key
}

/// What ties recorded revisions to the refs they were recorded for.
fn seal_of(ids: Sha256, refs: &Refs) -> Vec<u8> {
    ids.chain_update(refs.text()).finalize().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FilePath;

    fn line(count: u32) -> Line {
        let id = |n: u32| {
            let mut id = [0; 20];
            id[..4].copy_from_slice(&n.to_be_bytes());
            CommitId(id)
        };
        Line::new((0..count).map(id).collect(), vec![1])
    }

    #[test]
    fn revisions_are_believed_only_for_the_refs_they_were_recorded_for() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open(folder.path()).unwrap();
        let repo = RepoName::new("mesh/config").unwrap();
        for count in [1, 1023, 1024, 1025, 3000] {
            let line = line(count);
            let refs = Refs::of(&line, Refs::default());
            assert!(index.load(&repo, &refs).is_none(), "{count}");
            index.save(&repo, &line, &refs);
            let read = index.load(&repo, &refs).unwrap();
            assert_eq!(read.commits(), line.commits());
        }
        assert!(index.load(&RepoName::new("mesh/conf").unwrap(), &Refs::default()).is_none());
    }

    #[test]
    fn another_line_of_the_same_name_is_hashed_anew() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open(folder.path()).unwrap();
        let repo = RepoName::new("mesh/config").unwrap();
        let check = |line: &Line| {
            let refs = Refs::of(line, Refs::default());
            index.save(&repo, line, &refs);
            assert_eq!(
                index.load(&repo, &refs).map(|read| read.commits().to_vec()),
                Some(line.commits().to_vec())
            );
        };
        check(&line(2000));
        let other =
            |count: u8| Line::new((0..count).map(|n| CommitId([n + 1; 20])).collect(), vec![1]);
        index.forget(&repo);
        check(&other(5));
        check(&other(90));
        index.forget(&repo);
        assert!(index.load(&repo, &Refs::of(&other(90), Refs::default())).is_none());
    }

    #[test]
    fn changed_files_are_believed_only_for_the_commits_they_were_recorded_for() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open(folder.path()).unwrap();
        let repo = RepoName::new("mesh/config").unwrap();
        let path = |n: u64| FilePath::new(&format!("f{n}")).unwrap();
        let files = |n: u64| -> Files { Some([path(n)].into()) };
        let of = |salt: u64| {
            move |first: u64, count: usize| {
                let id = |n: u64| {
                    let mut id = [0; 20];
                    id[..8].copy_from_slice(&(n + salt).to_be_bytes());
                    CommitId(id)
                };
                Some((first - 1..first + count as u64).map(id).collect::<Vec<_>>())
            }
        };
        // One by one, as small checkpoints save them: few batches are left.
        for n in 1..=3000 {
            index.save_touched(&repo, n, &[files(n)], &of(0));
        }
        assert!(index.touched.len() <= 6, "{}", index.touched.len());
        for n in [1, 2, 1023, 1024, 1025, 3000] {
            let (first, lists) = index.load_touched(&repo, n, &of(0)).unwrap();
            assert_eq!(lists[usize::try_from(n - first).unwrap()], files(n));
            assert!(index.load_touched(&repo, n, &of(7)).is_none());
        }
        assert!(index.load_touched(&repo, 3001, &of(0)).is_none());
        for key in index.touched.iter().keys().flatten() {
            let mut value = index.touched.get(&key).unwrap().unwrap().to_vec();
            *value.last_mut().unwrap() ^= 1;
            index.touched.insert(key, value).unwrap();
        }
        assert!((1..=3000).all(|n| index.load_touched(&repo, n, &of(0)).is_none()));
        index.forget(&repo);
        assert!(index.touched.is_empty());
    }

    #[test]
    fn a_damaged_index_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        drop(Index::open(&path).unwrap());
        std::fs::write(path.join("conf"), b"rubbish").unwrap();
        let index = Index::open(&path).unwrap();
        assert!(index.db().is_empty());
    }
}
