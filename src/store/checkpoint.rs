//! Checkpoints: what the journal holds, written into the Git folders, so that
//! stock `git` sees it and the journal can be cut.
//!
//! For each repository: its new objects as one pack, then its refs. Small
//! packs are merged on the way, each time at least doubling, so that a
//! repository with n objects has about log n packs, and each object was
//! copied about log n times.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::error::{StoreError, failed};
use super::files::Files;
use super::object::{Object, Oid};
use super::open::Shared;
use super::pack::{self, PackFile};
use super::refs::Refs;
use super::writer::{AllPending, Pending};

/// Packs above this are left to `git gc`.
const MERGE_BYTES_MAX: u64 = 64 << 20;

/// Fewer packs than this are not worth merging.
const PACKS_FEW: usize = 4;

/// Writes all that is pending, durably.
pub(crate) fn write(shared: &Shared, pending: &AllPending) -> Result<(), StoreError> {
    for (name, one) in pending {
        write_one(shared, one).map_err(failed(format!("writing a checkpoint of `{name}`")))?;
        one.repo.settle(&one.objects);
    }
    Ok(())
}

fn write_one(shared: &Shared, pending: &Pending) -> io::Result<()> {
    let repo = &pending.repo;
    if !pending.objects.is_empty() && pack_pending(shared, pending)? {
        repo.reopen_git().map_err(io::Error::other)?;
    }
    let files = &*shared.files;
    let have = Refs::read(files, &repo.git_dir)?;
    repo.with_line(|line| {
        let want = Refs::of(line, have.clone());
        if want != have {
            want.write(files, &repo.git_dir)?;
        }
        shared.index.save(&repo.name, line, &want);
        io::Result::Ok(())
    })?;
    repo.touched.save(&shared.index, repo);
    Ok(())
}

/// Writes the pending objects as a pack; `true` if older packs went into it.
fn pack_pending(shared: &Shared, pending: &Pending) -> io::Result<bool> {
    let files = &*shared.files;
    let folder = pending.repo.git_dir.join("objects/pack");
    let mut seen = HashSet::new();
    let fresh: Vec<&(Oid, Object)> =
        pending.objects.iter().filter(|(id, _)| seen.insert(*id)).collect();
    let old = mergeable(files, &folder, fresh.len() as u64)?;
    let mut copied: Vec<(Oid, &[u8])> = Vec::new();
    let mut merged = Vec::new();
    for (name, pack, index) in &old {
        if let Some(entries) = pack::entries(pack, index) {
            copied.extend(entries.into_iter().filter(|(id, _)| seen.insert(*id)));
            merged.push(name);
        }
    }
    let unique = shared.temporaries.fetch_add(1, Ordering::Relaxed);
    let mut out = PackFile::begin(files, &folder, unique, fresh.len() + copied.len())?;
    for (id, object) in fresh {
        out.add(*id, object.kind, &object.data)?;
    }
    for (id, entry) in copied {
        out.add_entry(id, entry)?;
    }
    let name = out.finish()?;
    merged.retain(|old| **old != name);
    for old in &merged {
        // The index first: without it no reader takes the pack up.
        files.remove(&folder.join(format!("{old}.idx")))?;
        files.remove(&folder.join(format!("{old}.pack")))?;
    }
    Ok(!merged.is_empty())
}

type Packed = (String, Vec<u8>, Vec<u8>);

/// The packs that are no larger than what would be written with them.
fn mergeable(files: &dyn Files, folder: &Path, fresh: u64) -> io::Result<Vec<Packed>> {
    let names = files.list(folder)?;
    let has = |name: &str| names.binary_search_by(|have| have.as_str().cmp(name)).is_ok();
    let mut packs = Vec::new();
    for name in names.iter().filter_map(|name| name.strip_suffix(".idx")) {
        let pack = format!("{name}.pack");
        if !has(&pack) || has(&format!("{name}.keep")) {
            continue;
        }
        // An index is 1072 bytes and 28 for each object.
        let count = files.len(&folder.join(format!("{name}.idx")))?.saturating_sub(1072) / 28;
        if files.len(&folder.join(pack))? <= MERGE_BYTES_MAX {
            packs.push((count, name));
        }
    }
    packs.sort_unstable();
    let (mut total, mut chosen) = (fresh, Vec::new());
    if packs.len() >= PACKS_FEW {
        for (count, name) in packs {
            if count > total.saturating_mul(2) {
                break;
            }
            total += count;
            let pack = files.read(&folder.join(format!("{name}.pack")))?;
            let index = files.read(&folder.join(format!("{name}.idx")))?;
            chosen.push((name.to_owned(), pack, index));
        }
    }
    Ok(chosen)
}
