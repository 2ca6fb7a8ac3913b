//! Checking one Git folder: the files that name what is there, each pack and
//! its index byte by byte, each object's hash, and that the refs lead to whole
//! histories.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use gix::objs::Find as _;

use super::{Fsck, RESTORE};
use crate::model::CommitId;
use crate::store::files::RealFiles;
use crate::store::object::{self, Kind, Mode, Object, Oid};
use crate::store::pack::stored::StoredPack;
use crate::store::refs::Refs;
use crate::store::repository;

/// Damage beyond this in one repository is not listed.
const DAMAGE_MAX: usize = 50;

/// Checks the Git folder `git_dir`.
pub(super) fn check(found: &mut Fsck, git_dir: &Path) {
    let before = found.damage.len();
    check_names(found, git_dir);
    let packs = git_dir.join("objects/pack");
    let mut ids = Vec::new();
    match fs::read_dir(&packs) {
        Ok(entries) => {
            let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
            let is_index = |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "idx");
            for index in paths.filter(is_index) {
                if let Err(error) = check_pack(found, &index, &mut ids) {
                    found.damaged(&index, error.to_string(), RESTORE);
                }
            }
        }
        Err(error) => found.damaged(&packs, error.to_string(), RESTORE),
    }
    if let Err(error) = check_objects(found, git_dir, &ids) {
        found.damaged(git_dir, error.to_string(), RESTORE);
    }
    found.damage.truncate(before + DAMAGE_MAX);
}

fn check_names(found: &mut Fsck, git_dir: &Path) {
    let head = git_dir.join("HEAD");
    if fs::read(&head).ok().as_deref() != Some(repository::HEAD) {
        found.damaged(&head, "it doesn't name the branch `main`", "write `ref: refs/heads/main`");
    }
    let config = git_dir.join("config");
    let text = fs::read_to_string(&config).unwrap_or_default();
    if !repository::is_config(&text) {
        found.damaged(&config, "it is not as it was written", RESTORE);
    }
}

/// Checks a pack and its index, and collects what they hold, in the order in
/// which it is read best.
fn check_pack(found: &mut Fsck, index: &Path, ids: &mut Vec<Oid>) -> io::Result<()> {
    let pack = index.with_extension("pack");
    let bytes = fs::read(index)?;
    let Some((body, trailer)) = bytes.split_last_chunk::<20>() else {
        found.damaged(index, "it is cut short", RESTORE);
        return Ok(());
    };
    if sha1(body)? != *trailer {
        found.damaged(
            index,
            "its checksum does not fit what is in it",
            "remove it and run `git index-pack` on its pack",
        );
        return Ok(());
    }
    let named: Option<Oid> = body.last_chunk::<20>().copied();
    let sum = pack_checksum(&pack)?;
    if sum.is_none() || sum != named {
        found.damaged(&pack, "its checksum does not fit what is in it", RESTORE);
    }
    let Some(stored) = StoredPack::open(&pack, &bytes)? else {
        found.damaged(index, "it is no index of version 2", RESTORE);
        return Ok(());
    };
    for entry in stored.entries() {
        let mut crc = flate2::Crc::new();
        crc.update(&stored.raw(entry)?);
        if crc.sum() != entry.crc {
            let what = format!("object {} at byte {} is damaged", CommitId(entry.id), entry.offset);
            found.damaged(&pack, what, RESTORE);
        }
        ids.push(entry.id);
    }
    Ok(())
}

fn sha1(bytes: &[u8]) -> io::Result<Oid> {
    let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
    hasher.update(bytes);
    hasher.try_finalize().map(|id| object::oid(&id)).map_err(io::Error::other)
}

/// The checksum that a pack ends with, if it is that of the pack.
fn pack_checksum(pack: &Path) -> io::Result<Option<Oid>> {
    let mut file = fs::File::open(pack)?;
    let Some(mut left) = file.metadata()?.len().checked_sub(20) else { return Ok(None) };
    let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
    let mut buffer = vec![0; 1 << 20];
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        file.read_exact(&mut buffer[..part])?;
        hasher.update(&buffer[..part]);
        left -= part as u64;
    }
    let mut trailer = [0; 20];
    file.read_exact(&mut trailer)?;
    let sum = hasher.try_finalize().map(|id| object::oid(&id)).map_err(io::Error::other)?;
    Ok((sum == trailer).then_some(trailer))
}

/// The commits of all revisions, oldest first; `None` where the history is
/// damaged.
pub(super) fn line(git_dir: &Path, refs: &Refs) -> Option<Vec<CommitId>> {
    let git = gix::odb::at(git_dir.join("objects"), gix::hash::Kind::Sha1).ok()?;
    let mut reading = Reading { git, buffer: Vec::new() };
    let mut commits = Vec::new();
    let nexts = refs.begins.keys().skip(1).map(|next| Some(*next)).chain([None]);
    for (begin, next) in refs.begins.values().zip(nexts) {
        let end = next.map_or(refs.main, |next| refs.ends.get(&(next - 1)).copied())?;
        let mut segment = vec![end];
        while segment.last() != Some(begin) {
            let commit = object::parse_commit(&reading.object(&segment.last()?.0)?.data).ok()?;
            segment.push(*commit.parents.first()?);
        }
        commits.extend(segment.into_iter().rev());
    }
    Some(commits)
}

/// Reads every object and everything that the refs lead to.
fn check_objects(found: &mut Fsck, git_dir: &Path, ids: &[Oid]) -> io::Result<()> {
    let mut git = gix::odb::at(git_dir.join("objects"), gix::hash::Kind::Sha1)?;
    git.set_pack_cache(|| Box::<gix::odb::pack::cache::lru::StaticLinkedList<64>>::default());
    let mut reading = Reading { git, buffer: Vec::new() };
    for id in ids {
        found.objects += 1;
        let name = CommitId(*id);
        match reading.object(id) {
            Some(object) if object.id().ok() == Some(*id) => {}
            Some(_) => found.damaged(git_dir, format!("object {name} has another hash"), RESTORE),
            None => found.damaged(git_dir, format!("object {name} can't be read"), RESTORE),
        }
    }
    let path = git_dir.join("packed-refs");
    match Refs::read(&RealFiles::default(), git_dir) {
        Ok(refs) => {
            for what in reading.histories(&refs) {
                found.damaged(&path, what, RESTORE);
            }
        }
        Err(error) => found.damaged(&path, error.to_string(), RESTORE),
    }
    Ok(())
}

struct Reading {
    git: gix::odb::Handle,
    buffer: Vec<u8>,
}

impl Reading {
    fn object(&mut self, id: &Oid) -> Option<Object> {
        let data = self.git.try_find(&gix::ObjectId::Sha1(*id), &mut self.buffer).ok()??;
        let data = (Kind::from(data.kind), bytes::Bytes::copy_from_slice(data.data));
        Some(Object { kind: data.0, data: data.1 })
    }

    /// What is missing from the histories that the refs name.
    fn histories(&mut self, refs: &Refs) -> Vec<String> {
        let mut missing = Vec::new();
        let ends = refs.ends.iter().map(|(at, commit)| (Some(*at), *commit));
        let mut seen = HashSet::new();
        let mut lines = HashSet::new();
        for (at, end) in ends.chain(refs.main.map(|main| (None, main))) {
            let mut open = vec![end.0];
            while let Some(id) = open.pop() {
                if seen.insert(id) {
                    lines.insert(id);
                    self.reach(&id, &mut open, &mut seen, &mut missing);
                }
            }
            if missing.len() > DAMAGE_MAX {
                break;
            }
            let of = at.map_or("main".to_owned(), |at| format!("revision {at}"));
            if !lines.contains(&end.0) {
                missing.push(format!("{of} names {end}, which is not there"));
            }
        }
        for (at, begin) in refs.begins.iter().filter(|(_, begin)| !lines.contains(&begin.0)) {
            missing.push(format!("revision {at} begins with {begin}, which nothing leads to"));
        }
        if refs.main.is_none() && !refs.begins.is_empty() {
            missing.push("it names no head".into());
        }
        missing
    }

    /// Everything that a commit needs.
    fn reach(
        &mut self,
        id: &Oid,
        commits: &mut Vec<Oid>,
        seen: &mut HashSet<Oid>,
        missing: &mut Vec<String>,
    ) {
        let lacks = |id: &Oid| format!("object {}, which is needed, is not there", CommitId(*id));
        let Some(commit) = self.object(id).and_then(|o| object::parse_commit(&o.data).ok()) else {
            missing.push(lacks(id));
            return;
        };
        commits.extend(commit.parents.iter().map(|parent| parent.0));
        let mut trees = vec![commit.tree];
        while let Some(id) = trees.pop() {
            if !seen.insert(id) {
                continue;
            }
            let entries = self.object(&id).and_then(|o| object::parse_tree(&o.data).ok());
            let Some(entries) = entries else {
                missing.push(lacks(&id));
                continue;
            };
            for entry in entries {
                match entry.mode {
                    Mode::Folder => trees.push(entry.id),
                    Mode::Submodule => {}
                    _ if !seen.insert(entry.id) => {}
                    _ if self.has(&entry.id) => {}
                    _ => missing.push(lacks(&entry.id)),
                }
            }
        }
    }

    fn has(&self, id: &Oid) -> bool {
        gix::objs::Exists::exists(&self.git, &gix::ObjectId::Sha1(*id))
    }
}
