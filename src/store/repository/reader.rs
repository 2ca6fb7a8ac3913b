//! Reading a repository's objects: from what was used lately, from what the
//! folder lacks yet, from Git.

use bytes::Bytes;
use gix::objs::{Exists as _, Find as _};

use super::Repository;
use crate::model::CommitId;
use crate::store::cache::ObjectCache;
use crate::store::entries::{self, Leaf};
use crate::store::error::StoreError;
use crate::store::object::{self, Commit, Kind, Mode, Object, Oid};

/// In larger folders, where names led is remembered.
const REMEMBERED_BYTES_MIN: usize = 1024;

/// Tells which objects a repository has. What it says is there is there.
pub(crate) struct Presence<'r> {
    repo: &'r Repository,
    git: gix::odb::HandleArc,
}

impl<'r> Presence<'r> {
    pub(super) fn new(repo: &'r Repository, git: gix::odb::HandleArc) -> Self {
        Self { repo, git }
    }
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

impl<'r> Reader<'r> {
    pub(super) fn new(repo: &'r Repository, cache: &'r ObjectCache) -> Self {
        Self { repo, cache, git: None, buffer: Vec::new() }
    }
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
