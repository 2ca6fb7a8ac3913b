//! Checkpoints: what the journal holds, written into the Git folders, so that
//! stock `git` sees it and the journal can be cut.
//!
//! For each repository: its new objects as one small pack, then its refs.
//! Versions of one tree or file that came since the last checkpoint are told
//! by deltas, so that a folder of ten thousand files is written once.
//! `packer` merges small packs, beside the writer and not in its way.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::atomic::Ordering;

use super::error::{StoreError, failed};
use super::object::{Object, Oid};
use super::open::Shared;
use super::pack::PackFile;
use super::refs::Refs;
use super::writer::{AllPending, Pending};

/// Writes all that is pending, durably. What is written is taken out, so that
/// a full disk leaves the rest.
pub(crate) fn write(shared: &Shared, pending: &mut AllPending) -> Result<(), StoreError> {
    while let Some(entry) = pending.first_entry() {
        let name = entry.key();
        write_one(shared, entry.get())
            .map_err(failed(format!("writing a checkpoint of `{name}`")))?;
        let one = entry.remove();
        one.repo.settle(&one.objects);
    }
    Ok(())
}

fn write_one(shared: &Shared, pending: &Pending) -> io::Result<()> {
    let repo = &pending.repo;
    if !pending.objects.is_empty() {
        write_pack(shared, pending)?;
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

fn write_pack(shared: &Shared, pending: &Pending) -> io::Result<()> {
    let folder = pending.repo.git_dir.join("objects/pack");
    let mut seen = HashSet::new();
    let fresh: Vec<&(Oid, Object)> =
        pending.objects.iter().filter(|(id, _)| seen.insert(*id)).collect();
    let unique = shared.temporaries.fetch_add(1, Ordering::Relaxed);
    let mut out = PackFile::begin(&*shared.files, &folder, unique, fresh.len())?;
    let by_id: HashMap<Oid, &Object> = fresh.iter().map(|(id, object)| (*id, object)).collect();
    for (id, object) in fresh {
        let base = pending.descents.get(id).and_then(|base| Some((base, by_id.get(base)?)));
        match base {
            Some((base, from)) if out.is_base(base) => {
                out.add_against(*id, object.kind, &object.data, (base, &from.data))?;
            }
            _ => out.add(*id, object.kind, &object.data)?,
        }
    }
    out.finish().map(drop)
}
