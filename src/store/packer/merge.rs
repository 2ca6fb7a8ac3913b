//! Merging packs of one repository into one, entry by entry: what stands in
//! them is copied as it is, deltas as deltas. A tree or file that stands there
//! whole, and came to be from another one of the merged packs, becomes a delta.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use crate::model::CommitId;
use crate::store::cache::ObjectCache;
use crate::store::files::Files;
use crate::store::lineage;
use crate::store::object::{Kind, Oid};
use crate::store::open::Shared;
use crate::store::pack::stored::{Entry, StoredPack};
use crate::store::pack::{DELTA_BYTES_MIN, PackFile, inflate};
use crate::store::repository::{Reader, Repository};

/// Packs above this are left as they are, and no more is merged at once.
const MERGE_BYTES_MAX: u64 = 1 << 30;

/// Fewer packs than this are not worth merging.
const PACKS_FEW: usize = 4;

/// Objects that are kept while deltas are made.
const CACHE_BYTES: usize = 32 << 20;

/// A larger object is copied as it is.
const DELTA_BYTES_MAX: u64 = 16 << 20;

/// Merges what is worth merging; breaks off when `is_over`.
pub(super) fn merge(
    shared: &Shared,
    repo: &Repository,
    is_over: &dyn Fn() -> bool,
) -> io::Result<()> {
    let folder = repo.git_dir.join("objects/pack");
    let chosen = choose(&*shared.files, &folder)?;
    if chosen.len() < 2 {
        return Ok(());
    }
    let mut packs = Vec::with_capacity(chosen.len());
    for name in &chosen {
        let index = fs::read(folder.join(format!("{name}.idx")))?;
        match StoredPack::open(&folder.join(format!("{name}.pack")), &index)? {
            Some(pack) => packs.push(pack),
            None => return Ok(()),
        }
    }
    let cache = ObjectCache::new(CACHE_BYTES);
    let merging = Merging::plan(packs, repo.reader(&cache), is_over)?;
    let unique = shared.temporaries.fetch_add(1, Ordering::Relaxed);
    let mut out = PackFile::begin(&*shared.files, &folder, unique, merging.plan.len())?;
    let name = merging.copy(&mut out).and_then(|()| out.finish())?;
    replace(shared, repo, &folder, &name, &chosen)
}

/// Removes packs that are in another one now.
fn replace(
    shared: &Shared,
    repo: &Repository,
    folder: &Path,
    name: &str,
    old: &[String],
) -> io::Result<()> {
    // Somebody copies the folder: the old packs stay until the next merge.
    let Some(_held) = shared.hold.try_take()? else { return Ok(()) };
    repo.reopen_git().map_err(io::Error::other)?;
    for old in old.iter().filter(|old| *old != name) {
        // The index first: without it no reader takes the pack up.
        for ending in ["idx", "rev", "bitmap", "pack"] {
            let path = folder.join(format!("{old}.{ending}"));
            if shared.files.len(&path).is_ok() {
                shared.files.remove(&path)?;
            }
        }
    }
    repo.reopen_git().map_err(io::Error::other)
}

/// The packs that are about as large as all the smaller ones together, oldest
/// first.
fn choose(files: &dyn Files, folder: &Path) -> io::Result<Vec<String>> {
    let names = files.list(folder)?;
    let has = |name: &str| names.binary_search_by(|have| have.as_str().cmp(name)).is_ok();
    let mut packs = Vec::new();
    if has("multi-pack-index") {
        // It names packs; somebody else takes care of them.
        return Ok(Vec::new());
    }
    for name in names.iter().filter_map(|name| name.strip_suffix(".idx")) {
        let others = ["keep", "promisor", "mtimes"];
        if !has(&format!("{name}.pack")) || others.iter().any(|end| has(&format!("{name}.{end}"))) {
            continue;
        }
        // An index is 1072 bytes and 28 for each object.
        let count = files.len(&folder.join(format!("{name}.idx")))?.saturating_sub(1072) / 28;
        let bytes = files.len(&folder.join(format!("{name}.pack")))?;
        packs.push((count, bytes, name));
    }
    if packs.len() < PACKS_FEW {
        return Ok(Vec::new());
    }
    packs.sort_unstable();
    let (mut objects, mut size) = (0_u64, 0_u64);
    let mut chosen: Vec<(SystemTime, String)> = Vec::new();
    for (count, bytes, name) in packs {
        if !chosen.is_empty() && count > objects.saturating_mul(2) || size + bytes > MERGE_BYTES_MAX
        {
            break;
        }
        (objects, size) = (objects + count, size + bytes);
        let made = fs::metadata(folder.join(format!("{name}.pack")))?.modified()?;
        chosen.push((made, name.to_owned()));
    }
    chosen.sort();
    Ok(chosen.into_iter().map(|(_, name)| name).collect())
}

/// What goes into a merged pack, in its order.
struct Merging<'a> {
    packs: Vec<StoredPack>,
    plan: Vec<(usize, Entry)>,
    /// What stands whole came to be from what.
    descents: HashMap<Oid, Oid>,
    reader: Reader<'a>,
    is_over: &'a dyn Fn() -> bool,
}

impl<'a> Merging<'a> {
    fn plan(
        packs: Vec<StoredPack>,
        reader: Reader<'a>,
        is_over: &'a dyn Fn() -> bool,
    ) -> io::Result<Self> {
        let mut seen = HashSet::new();
        let mut plan = Vec::new();
        for (number, pack) in packs.iter().enumerate() {
            let fresh = pack.entries().iter().filter(|entry| seen.insert(entry.id));
            plan.extend(fresh.map(|entry| (number, *entry)));
        }
        let mut merging = Self { packs, plan, descents: HashMap::new(), reader, is_over };
        merging.trace()?;
        Ok(merging)
    }

    fn check(&self) -> io::Result<()> {
        if (self.is_over)() { Err(io::Error::other("broken off")) } else { Ok(()) }
    }

    /// Finds what came to be from what, by the commits and their parents.
    fn trace(&mut self) -> io::Result<()> {
        let (mut commits, mut whole) = (Vec::new(), HashSet::new());
        for (number, entry) in &self.plan {
            let head = self.packs[*number].head(entry)?;
            if head.kind == Kind::Commit as u8 {
                commits.push(entry.id);
            } else if head.base.is_none() {
                whole.insert(entry.id);
            }
        }
        for id in commits {
            self.check()?;
            let Ok(commit) = self.reader.commit(CommitId(id)) else { continue };
            let Some(parent) = commit.parents.first() else { continue };
            let Ok(from) = self.reader.root(*parent) else { continue };
            let reader = &mut self.reader;
            let mut read = |id: &Oid| Some(reader.object(id).ok()?.data);
            let found = lineage::descents(from, commit.tree, &mut read, &|id| whole.contains(id));
            let found = found.into_iter().filter(|descent| whole.contains(&descent.id));
            self.descents.extend(found.map(|descent| (descent.id, descent.from)));
        }
        Ok(())
    }

    fn copy(mut self, out: &mut PackFile<'_>) -> io::Result<()> {
        for (number, entry) in std::mem::take(&mut self.plan) {
            self.check()?;
            self.copy_one(out, number, &entry)?;
        }
        Ok(())
    }

    fn copy_one(&mut self, out: &mut PackFile<'_>, number: usize, entry: &Entry) -> io::Result<()> {
        let head = self.packs[number].head(entry)?;
        let raw = self.packs[number].raw(entry)?;
        let Some(kind) = Kind::of_number(head.kind) else {
            return match head.base.filter(|base| out.is_base(base)) {
                Some(base) => out.add_delta(entry.id, &base, head.size, &raw[head.used..]),
                // Its base is elsewhere, or stands on too many deltas.
                None => {
                    let object = self.reader.object(&entry.id).map_err(io::Error::other)?;
                    out.add(entry.id, object.kind, &object.data)
                }
            };
        };
        let may_be_told = (DELTA_BYTES_MIN as u64..=DELTA_BYTES_MAX).contains(&head.size);
        let base = self.descents.get(&entry.id).filter(|base| may_be_told && out.is_base(base));
        let Some(base) = base.copied() else { return out.add_entry(entry.id, &raw) };
        let bad = || io::Error::other(format!("a bad entry at byte {}", entry.offset));
        let (data, _) = inflate(&raw[head.used..], head.size).ok_or_else(bad)?;
        let from = self.reader.object(&base).map_err(io::Error::other)?;
        out.add_against(entry.id, kind, &data, (&base, &from.data))
    }
}
