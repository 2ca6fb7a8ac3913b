//! Another server's bare Git folder on this machine, read commit by commit:
//! one branch's first-parent line, and what each commit changed. Reads only,
//! and none of the folder's configuration or hooks. It takes nothing over;
//! the import of a whole server does, through the store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use bytes::Bytes;
use gix::objs::{Find as _, FindExt as _};
use gix::{ObjectId, odb};
use jiff::Timestamp;

use super::MirrorError;
use crate::model::{BlobId, Change, CommitId, FilePath};

/// Folders within folders.
const DEPTH_MAX: usize = 256;
/// Commits of one line.
const COMMITS_MAX: usize = 10_000_000;

/// An open folder.
pub struct Foreign {
    git_dir: PathBuf,
    objects: odb::Handle,
}

impl std::fmt::Debug for Foreign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Foreign").field("git_dir", &self.git_dir).finish_non_exhaustive()
    }
}

/// A commit as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignCommit {
    /// Who wrote it.
    pub author_name: String,
    /// Their mail address.
    pub author_email: String,
    /// When, in seconds.
    pub time: Timestamp,
    /// The message as it is.
    pub message: String,
}

/// Files of a tree by their paths, and what can't be taken over.
type Files = BTreeMap<FilePath, BlobId>;

impl Foreign {
    /// Opens a bare folder.
    ///
    /// # Errors
    /// It is no Git folder.
    pub fn open(git_dir: &Path) -> Result<Self, MirrorError> {
        let what = || format!("`{}` can't be opened as a Git folder", git_dir.display());
        if !git_dir.join("HEAD").is_file() {
            return Err(MirrorError::failed(what(), "it has no HEAD"));
        }
        let mut objects = odb::at(git_dir.join("objects"), gix::hash::Kind::Sha1)
            .map_err(|error| MirrorError::failed(what(), error))?;
        objects
            .set_pack_cache(|| Box::<gix::odb::pack::cache::lru::StaticLinkedList<64>>::default());
        Ok(Self { git_dir: git_dir.to_path_buf(), objects })
    }

    fn failed(
        &self,
        what: impl std::fmt::Display,
        why: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> MirrorError {
        MirrorError::failed(format!("reading {what} in `{}`", self.git_dir.display()), why)
    }

    /// A branch's commits along the first parents, oldest first; none where
    /// there is no such branch.
    ///
    /// # Errors
    /// What is there can't be read.
    pub fn line(&self, branch: &str) -> Result<Vec<CommitId>, MirrorError> {
        let mut line = Vec::new();
        let mut at = self.head(branch)?;
        let mut buffer = Vec::new();
        while let Some(id) = at {
            if line.len() == COMMITS_MAX {
                return Err(self.failed(branch, "it has too many commits"));
            }
            line.push(id);
            let commit = self.objects.find_commit(&git(&id.0), &mut buffer);
            let commit = commit.map_err(|error| self.failed(id, error))?;
            at = commit.parents().next().map(|parent| CommitId(raw(&parent)));
        }
        line.reverse();
        Ok(line)
    }

    /// The branch's newest commit, from its own file or the packed ones.
    fn head(&self, branch: &str) -> Result<Option<CommitId>, MirrorError> {
        let name = format!("refs/heads/{branch}");
        let read = |path: PathBuf| match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(&name, error)),
        };
        let loose = read(self.git_dir.join(&name))?;
        let packed = || {
            let packed = read(self.git_dir.join("packed-refs"))?.unwrap_or_default();
            let mut lines = packed.lines().filter_map(|line| line.split_once(' '));
            Ok(lines.find(|(_, of)| *of == name).map(|(id, _)| id.to_owned()))
        };
        let found = match loose {
            Some(id) => Some(id),
            None => packed()?,
        };
        let parse =
            |id: String| CommitId::from_str(id.trim()).map_err(|error| self.failed(&name, error));
        found.map(parse).transpose()
    }

    /// A commit.
    ///
    /// # Errors
    /// It can't be read.
    pub fn commit(&self, id: &CommitId) -> Result<ForeignCommit, MirrorError> {
        let mut buffer = Vec::new();
        let commit = self.objects.find_commit(&git(&id.0), &mut buffer);
        let commit = commit.map_err(|error| self.failed(id, error))?;
        let author = commit.author().map_err(|error| self.failed(id, error))?;
        let time = Timestamp::from_second(author.seconds());
        Ok(ForeignCommit {
            author_name: author.name.to_string(),
            author_email: author.email.to_string(),
            time: time.map_err(|error| self.failed(id, error))?,
            message: commit.message.to_string(),
        })
    }

    /// What a commit changed against the one before it (`None`: nothing was
    /// there). Removals come first.
    ///
    /// # Errors
    /// Something can't be read, or a name can't be kept.
    pub fn changes(
        &self,
        before: Option<&CommitId>,
        after: &CommitId,
    ) -> Result<Vec<Change>, MirrorError> {
        let mut differing = Differing::default();
        let old = before.map(|id| self.root(id)).transpose()?;
        self.compare(old, Some(self.root(after)?), "", 0, &mut differing)?;
        let mut changes: Vec<Change> = differing.removed.into_iter().map(Change::Remove).collect();
        for (path, blob) in differing.written {
            changes.push(Change::Upsert(path, self.blob(&blob)?));
        }
        Ok(changes)
    }

    /// Every file of a commit, by Git's name of its content.
    ///
    /// # Errors
    /// Something can't be read, or a name can't be kept.
    pub fn files(&self, at: &CommitId) -> Result<Files, MirrorError> {
        let mut differing = Differing::default();
        self.compare(None, Some(self.root(at)?), "", 0, &mut differing)?;
        Ok(differing.written)
    }

    /// One file of a commit.
    ///
    /// # Errors
    /// Something can't be read.
    pub fn file(&self, at: &CommitId, path: &FilePath) -> Result<Option<Bytes>, MirrorError> {
        let files = self.files(at)?;
        files.get(path).map(|blob| self.blob(blob)).transpose()
    }

    fn root(&self, commit: &CommitId) -> Result<ObjectId, MirrorError> {
        let mut buffer = Vec::new();
        let found = self.objects.find_commit(&git(&commit.0), &mut buffer);
        Ok(found.map_err(|error| self.failed(commit, error))?.tree())
    }

    fn blob(&self, id: &BlobId) -> Result<Bytes, MirrorError> {
        let mut buffer = Vec::new();
        let found = self.objects.try_find(&git(&id.0), &mut buffer);
        match found.map_err(|error| self.failed(id, error))? {
            Some(data) => Ok(Bytes::copy_from_slice(data.data)),
            None => Err(self.failed(id, "it is not there")),
        }
    }

    fn compare(
        &self,
        old: Option<ObjectId>,
        new: Option<ObjectId>,
        prefix: &str,
        depth: usize,
        differing: &mut Differing,
    ) -> Result<(), MirrorError> {
        if old == new {
            return Ok(());
        }
        if depth > DEPTH_MAX {
            return Err(self.failed(prefix, "its folders are too deep"));
        }
        let (old, new) = (self.entries(old)?, self.entries(new)?);
        for (name, (is_folder, id)) in &old {
            if new.get(name) == Some(&(*is_folder, *id)) {
                continue;
            }
            let path = joined(prefix, name);
            match (is_folder, new.get(name)) {
                // What is a folder in both is looked into below.
                (true, Some((true, _))) => {}
                (true, _) => self.compare(Some(*id), None, &path, depth + 1, differing)?,
                (false, Some((false, _))) => {}
                (false, _) => {
                    differing.removed.push(self.path(&path)?);
                }
            }
        }
        for (name, (is_folder, id)) in &new {
            let before = old.get(name);
            if before == Some(&(*is_folder, *id)) {
                continue;
            }
            let path = joined(prefix, name);
            if *is_folder {
                let before = before.filter(|(is_folder, _)| *is_folder).map(|(_, id)| *id);
                self.compare(before, Some(*id), &path, depth + 1, differing)?;
            } else {
                differing.written.insert(self.path(&path)?, BlobId(raw(id)));
            }
        }
        Ok(())
    }

    fn path(&self, text: &str) -> Result<FilePath, MirrorError> {
        FilePath::new(text).map_err(|error| self.failed(text, error))
    }

    /// A tree's entries by name, with whether each is a folder.
    fn entries(
        &self,
        tree: Option<ObjectId>,
    ) -> Result<BTreeMap<String, (bool, ObjectId)>, MirrorError> {
        let Some(tree) = tree else { return Ok(BTreeMap::new()) };
        let mut buffer = Vec::new();
        let found = self.objects.find_tree_iter(&tree, &mut buffer);
        let mut entries = BTreeMap::new();
        for entry in found.map_err(|error| self.failed(tree, error))? {
            let entry = entry.map_err(|error| self.failed(tree, error))?;
            let name = std::str::from_utf8(entry.filename);
            let name = name.map_err(|error| self.failed(tree, error))?;
            if !entry.mode.is_tree() && !entry.mode.is_blob() {
                let what = format!("`{name}` in {tree}");
                return Err(self.failed(what, "it is neither a file nor a folder"));
            }
            entries.insert(name.to_owned(), (entry.mode.is_tree(), entry.oid.to_owned()));
        }
        Ok(entries)
    }
}

/// What differs between two trees.
#[derive(Default)]
struct Differing {
    removed: Vec<FilePath>,
    written: Files,
}

fn joined(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") }
}

fn git(id: &[u8; 20]) -> ObjectId {
    ObjectId::Sha1(*id)
}

fn raw(id: &gix::oid) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes.copy_from_slice(&id.as_bytes()[..20]);
    bytes
}
