//! What an entry of the audit log did to each file, read from Git and from
//! the journal of a store that may be open elsewhere.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use gix::objs::Find as _;
use serde::Serialize;

use super::{AuditEntry, log};
use crate::model::{CommitId, RepoName};
use crate::store::error::{StoreError, failed};
use crate::store::object::{self, Kind, Mode, Object, Oid};
use crate::store::pack::memory;
use crate::store::repository;

/// Files of one entry beyond this are not listed.
const FILES_MAX: usize = 10_000;

/// What an entry did to one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditDetail {
    /// The file.
    pub path: String,
    /// Its text before, in Convoy's own repositories; else Git's name of its
    /// content. `None`: it was not there.
    pub before: Option<String>,
    /// The same of its content after.
    pub after: Option<String>,
}

/// What `entry` did; see [`super::Audit::details`].
pub(super) fn details(dir: &Path, entry: &AuditEntry) -> Result<Vec<AuditDetail>, StoreError> {
    let mut objects = Objects::open(dir, &entry.repo)?;
    let from = entry.before.map(|commit| objects.tree_of(commit)).transpose()?;
    let to = entry.after.map(|commit| objects.tree_of(commit)).transpose()?;
    let mut found = Vec::new();
    let mut open = vec![(String::new(), from, to)];
    while let Some((folder, from, to)) = open.pop() {
        let (before, after) = (objects.entries(from)?, objects.entries(to)?);
        let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
        for name in names {
            let (old, new) = (before.get(name).copied(), after.get(name).copied());
            if old == new || found.len() >= FILES_MAX {
                continue;
            }
            let path = format!("{folder}{}", String::from_utf8_lossy(name));
            let tree = |at: Option<(Mode, Oid)>| at.filter(|(mode, _)| *mode == Mode::Folder);
            let file = |at: Option<(Mode, Oid)>| at.filter(|(mode, _)| *mode != Mode::Folder);
            if tree(old).or(tree(new)).is_some() {
                let (old, new) = (tree(old).map(|t| t.1), tree(new).map(|t| t.1));
                open.push((format!("{path}/"), old, new));
            }
            if file(old).or(file(new)).is_some() {
                let before = file(old).map(|file| objects.shown(file.1)).transpose()?;
                let after = file(new).map(|file| objects.shown(file.1)).transpose()?;
                found.push(AuditDetail { path, before, after });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Objects of one repository.
struct Objects {
    with_text: bool,
    journaled: HashMap<Oid, Object>,
    git: gix::odb::Handle,
    buffer: Vec<u8>,
}

impl Objects {
    fn open(dir: &Path, repo: &RepoName) -> Result<Self, StoreError> {
        // The journal first: what leaves it is in Git by then.
        let replay = log::journal(dir)?;
        let folder = repository::git_dir(dir, repo).join("objects");
        let what = failed(format!("opening `{}`", folder.display()));
        let git = gix::odb::at(folder, gix::hash::Kind::Sha1).map_err(what)?;
        let (with_text, journaled) = (repo.is_internal(), HashMap::new());
        let mut objects = Self { with_text, journaled, git, buffer: Vec::new() };
        for replayed in replay.records.iter().filter(|replayed| replayed.record.repo == *repo) {
            let pack = &replayed.record.pack;
            let read = memory::decode(pack, &mut |id| objects.object(id))?;
            objects.journaled.extend(read.objects);
        }
        Ok(objects)
    }

    fn object(&mut self, id: &Oid) -> Result<Object, StoreError> {
        if let Some(object) = self.journaled.get(id) {
            return Ok(object.clone());
        }
        let what = || format!("reading object {}", CommitId(*id));
        let found = self.git.try_find(&gix::ObjectId::Sha1(*id), &mut self.buffer);
        let found = found.map_err(|error| StoreError::damaged(what(), error))?;
        let data = found.ok_or_else(|| StoreError::damaged(what(), "it is not there"))?;
        let kind = Kind::from(data.kind);
        Ok(Object { kind, data: bytes::Bytes::copy_from_slice(data.data) })
    }

    fn tree_of(&mut self, commit: CommitId) -> Result<Oid, StoreError> {
        object::tree_of(&self.object(&commit.0)?.data)
    }

    fn entries(&mut self, tree: Option<Oid>) -> Result<BTreeMap<Vec<u8>, (Mode, Oid)>, StoreError> {
        let Some(tree) = tree else { return Ok(BTreeMap::new()) };
        let entries = object::parse_tree(&self.object(&tree)?.data)?;
        Ok(entries.into_iter().map(|entry| (entry.name, (entry.mode, entry.id))).collect())
    }

    fn shown(&mut self, id: Oid) -> Result<String, StoreError> {
        if !self.with_text {
            return Ok(CommitId(id).to_string());
        }
        Ok(String::from_utf8_lossy(&self.object(&id)?.data).into_owned())
    }
}
