//! The index: the commits of every repository's revisions, in sled, so that
//! opening needn't walk histories. Nothing in it is believed unless it agrees
//! with the refs, and deleting its folder loses nothing.
//!
//! sled never calls fsync, so nothing that was promised may rest here.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::error::{StoreError, failed};
use super::line::Line;
use super::refs::Refs;
use crate::model::{CommitId, ContentHash, RepoName};

/// Commits in one value: small enough to rewrite at each checkpoint, large
/// enough that a hundred thousand revisions are a few dozen keys.
const CHUNK_COMMITS: usize = 1024;

/// What sled may keep in memory.
const CACHE_BYTES: u64 = 16 << 20;

/// The sled database.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    db: sled::Db,
    revisions: sled::Tree,
}

impl Index {
    /// Opens the index in `folder`; one that can't be opened is replaced by
    /// an empty one.
    pub(crate) fn open(folder: &Path) -> Result<Self, StoreError> {
        let what = || format!("opening the index `{}`", folder.display());
        match Self::try_open(folder) {
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

    fn try_open(folder: &Path) -> sled::Result<Self> {
        let open = || {
            let db = sled::Config::new().path(folder).cache_capacity(CACHE_BYTES).open()?;
            let revisions = db.open_tree("revisions")?;
            Ok(Self { db, revisions })
        };
        // sled panics on some kinds of damage.
        catch_unwind(AssertUnwindSafe(open))
            .unwrap_or_else(|_| Err(sled::Error::ReportableBug("panicked on open".into())))
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
        let line = Line::new(commits, refs.begins.keys().copied().collect());
        (*seal == *seal_of(&line, refs)).then_some(line)
    }

    /// Records the revisions of a repository. A failure costs a walk at the
    /// next start and nothing else.
    pub(crate) fn save(&self, repo: &RepoName, line: &Line, refs: &Refs) {
        if let Err(error) = self.try_save(repo, line, refs) {
            tracing::warn!(repo = %repo, %error, "revisions were not indexed");
        }
    }

    fn try_save(&self, repo: &RepoName, line: &Line, refs: &Refs) -> sled::Result<()> {
        for (number, commits) in (0_u32..).zip(line.commits().chunks(CHUNK_COMMITS)) {
            let value: Vec<u8> = commits.iter().flat_map(|commit| commit.0).collect();
            let key = key(repo, Some(number));
            // All but the last chunk are usually there already.
            if self.revisions.get(&key)?.is_none_or(|have| *have != *value) {
                self.revisions.insert(key, value)?;
            }
        }
        self.revisions.insert(key(repo, None), seal_of(line, refs))?;
        Ok(())
    }
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
fn seal_of(line: &Line, refs: &Refs) -> Vec<u8> {
    let text = refs.text();
    let ids = line.commits().iter().map(|commit| commit.0.as_slice());
    ContentHash::of_parts([text.as_bytes()].into_iter().chain(ids)).0.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_damaged_index_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        drop(Index::open(&path).unwrap());
        std::fs::write(path.join("conf"), b"rubbish").unwrap();
        let index = Index::open(&path).unwrap();
        assert!(index.db().is_empty());
    }
}
