//! What differs between two revisions, by reading only folders that differ.
//!
//! A folder of ten thousand entries of which one differs is compared by its
//! bytes up to the difference and from behind it; only what lies between is
//! taken apart. Trees made elsewhere may be out of order: they are sorted.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use super::entries::{Entries, Leaf, Slot};
use super::error::StoreError;
use super::object::{Mode, Oid};
use super::open::Shared;
use super::repository::{Reader, Repository};
use super::walk::{self, child_path};
use crate::content::Patterns;
use crate::model::{BlobId, Changed, FilePath, RepoName, Revision};

/// Files that match and differ, sorted by path.
pub(crate) fn changed(
    shared: &Shared,
    repo: &RepoName,
    from: Revision,
    to: Revision,
    patterns: &Patterns,
) -> Result<Vec<Changed>, StoreError> {
    changed_in(shared, &*shared.repository(repo)?, from, to, patterns)
}

/// As [`changed`], of a repository that is at hand.
pub(crate) fn changed_in(
    shared: &Shared,
    repo: &Repository,
    from: Revision,
    to: Revision,
    patterns: &Patterns,
) -> Result<Vec<Changed>, StoreError> {
    let mut all = Vec::new();
    compare(shared, repo, from, to, patterns, |changed| {
        all.push(changed);
        ControlFlow::Continue(())
    })?;
    all.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(all)
}

/// Whether anything that matches differs between two revisions.
pub(crate) fn differs(
    shared: &Shared,
    repo: &Repository,
    from: Revision,
    to: Revision,
    patterns: &Patterns,
) -> Result<bool, StoreError> {
    let mut any = false;
    compare(shared, repo, from, to, patterns, |_| {
        any = true;
        ControlFlow::Break(())
    })?;
    Ok(any)
}

/// Every file path that differs between two revisions.
pub(crate) fn paths(
    shared: &Shared,
    repo: &Repository,
    from: Revision,
    to: Revision,
) -> Result<Vec<FilePath>, StoreError> {
    let mut reader = shared.reader(repo);
    let roots = (root(&mut reader, from)?, root(&mut reader, to)?);
    trees(shared, &mut reader, roots)
}

/// Every file path that differs between two trees.
pub(crate) fn trees(
    shared: &Shared,
    reader: &mut Reader<'_>,
    roots: (Option<Oid>, Option<Oid>),
) -> Result<Vec<FilePath>, StoreError> {
    let mut all = Vec::new();
    let comparison = Comparison { entries_max: entries_max(shared), may_hold: &|_| true };
    comparison.run(reader, roots, |path, _, _| {
        all.push(path);
        ControlFlow::Continue(())
    })?;
    Ok(all)
}

/// Files by their paths, as they are; `None` where one is gone.
pub(crate) type FilesNow = Vec<(FilePath, Option<Leaf>)>;

/// Every file that differs between two revisions, as it is in the second;
/// `None` where there is something new that is no file.
pub(crate) fn files(
    shared: &Shared,
    reader: &mut Reader<'_>,
    from: Revision,
    to: Revision,
) -> Result<Option<FilesNow>, StoreError> {
    let roots = (root(reader, from)?, root(reader, to)?);
    let mut all = Vec::new();
    let comparison = Comparison { entries_max: entries_max(shared), may_hold: &|_| true };
    let plain = comparison.run(reader, roots, |path, _, after| {
        all.push((path, after));
        ControlFlow::Continue(())
    })?;
    Ok(plain.then_some(all))
}

fn compare(
    shared: &Shared,
    repo: &Repository,
    from: Revision,
    to: Revision,
    patterns: &Patterns,
    mut tell: impl FnMut(Changed) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let mut reader = shared.reader(repo);
    let mut visit = |path: FilePath, before: Option<Leaf>, after: Option<Leaf>| {
        let blob = |leaf: Leaf| BlobId(leaf.id);
        tell(Changed { path, before: before.map(blob), after: after.map(blob) })
    };
    if let Some(path) = patterns.literal() {
        let before = file_at(&mut reader, from, &path)?;
        let after = file_at(&mut reader, to, &path)?;
        if before != after {
            let _ = visit(path, before, after);
        }
        return Ok(());
    }
    let roots = (root(&mut reader, from)?, root(&mut reader, to)?);
    let may_hold = |folder: &str| walk::may_hold(patterns, folder);
    let comparison = Comparison { entries_max: entries_max(shared), may_hold: &may_hold };
    comparison.run(&mut reader, roots, |path, before, after| {
        if patterns.matches(&path) { visit(path, before, after) } else { ControlFlow::Continue(()) }
    })?;
    Ok(())
}

/// Two trees of the most files each may differ in all of them.
fn entries_max(shared: &Shared) -> usize {
    shared.options.files_max.saturating_mul(4)
}

fn root(reader: &mut Reader<'_>, revision: Revision) -> Result<Option<Oid>, StoreError> {
    if revision == Revision(0) {
        return Ok(None);
    }
    let commit = reader.repo.commit(revision)?;
    reader.root(commit).map(Some)
}

fn file_at(
    reader: &mut Reader<'_>,
    revision: Revision,
    path: &FilePath,
) -> Result<Option<Leaf>, StoreError> {
    if revision == Revision(0) {
        return Ok(None);
    }
    let commit = reader.repo.commit(revision)?;
    Ok(reader.at(commit, path.as_str())?.filter(|leaf| leaf.mode.is_file()))
}

/// How two trees are compared.
struct Comparison<'c> {
    /// Entries that may differ; a tree that unfolds without end has more.
    entries_max: usize,
    /// Folders for which it says no are not read.
    may_hold: &'c dyn Fn(&str) -> bool,
}

/// One name that stands for something else in one of two folders.
type Difference<'t> = (&'t [u8], Option<Leaf>, Option<Leaf>);

impl Comparison<'_> {
    /// Visits every file that differs. False where there is something else in
    /// `after` that was not in `before`: a link, a submodule, a name that no
    /// path may have.
    fn run(
        &self,
        reader: &mut Reader<'_>,
        (before, after): (Option<Oid>, Option<Oid>),
        mut visit: impl FnMut(FilePath, Option<Leaf>, Option<Leaf>) -> ControlFlow<()>,
    ) -> Result<bool, StoreError> {
        let mut plain = true;
        let mut open = Vec::new();
        if before != after {
            open.push((String::new(), before, after));
        }
        let mut seen = 0;
        while let Some((folder, before, after)) = open.pop() {
            let mut data = |id: Option<Oid>| match id {
                Some(id) => reader.object(&id).map(|object| object.data),
                None => Ok(bytes::Bytes::new()),
            };
            let (before, after) = (data(before)?, data(after)?);
            let found = differences(&before, &after)?;
            seen += found.len();
            if seen > self.entries_max {
                let repo = &reader.repo.name;
                return Err(StoreError::Limit(format!(
                    "two revisions of `{repo}` differ in more than {} entries",
                    self.entries_max
                )));
            }
            for (name, before, after) in found {
                let Some(path) = child_path(&folder, name) else {
                    plain = false;
                    continue;
                };
                plain &= after.is_none_or(|leaf| leaf.mode == Mode::Folder || leaf.mode.is_file());
                let folders = (below(before), below(after));
                if (folders.0.is_some() || folders.1.is_some()) && (self.may_hold)(path.as_str()) {
                    open.push((path.as_str().to_owned(), folders.0, folders.1));
                }
                let (before, after) = (file(before), file(after));
                if before != after && visit(path, before, after).is_break() {
                    return Ok(plain);
                }
            }
        }
        Ok(plain)
    }
}

fn below(leaf: Option<Leaf>) -> Option<Oid> {
    leaf.filter(|leaf| leaf.mode == Mode::Folder).map(|leaf| leaf.id)
}

fn file(leaf: Option<Leaf>) -> Option<Leaf> {
    leaf.filter(|leaf| leaf.mode.is_file())
}

/// The names that two folders don't agree about. A file and a folder of one
/// name are two names: Git sorts them apart.
fn differences<'t>(before: &'t [u8], after: &'t [u8]) -> Result<Vec<Difference<'t>>, StoreError> {
    let (before, after) = unlike(before, after)?;
    if let Some(found) = merge(Sorted::Stored(before.clone()), Sorted::Stored(after.clone()))? {
        return Ok(found);
    }
    let found = merge(sorted(before)?, sorted(after)?)?;
    found.ok_or_else(|| StoreError::damaged("comparing two trees", "they can't be sorted"))
}

/// Both folders behind the entries that they begin with alike.
fn unlike<'t>(before: &'t [u8], after: &'t [u8]) -> Result<(Entries<'t>, Entries<'t>), StoreError> {
    let alike = alike(before, after);
    let mut entries = Entries::of(before);
    let mut start = 0;
    while entries.step()?.is_some() {
        let end = before.len() - entries.rest.len();
        if end > alike {
            break;
        }
        start = end;
    }
    Ok((Entries::of(&before[start..]), Entries::of(&after[start..])))
}

/// How many bytes two texts begin with alike, a block at a time.
fn alike(a: &[u8], b: &[u8]) -> usize {
    const BLOCK: usize = 256;
    let blocks = a.chunks_exact(BLOCK).zip(b.chunks_exact(BLOCK)).take_while(|(a, b)| a == b);
    let start = blocks.count() * BLOCK;
    start + a[start..].iter().zip(&b[start..]).take_while(|(a, b)| a == b).count()
}

/// A folder's entries in Git's order.
enum Sorted<'t> {
    /// As they are stored.
    Stored(Entries<'t>),
    Mended(std::vec::IntoIter<Slot<'t>>),
}

impl<'t> Sorted<'t> {
    fn step(&mut self) -> Result<Option<Slot<'t>>, StoreError> {
        match self {
            Self::Stored(entries) => entries.step(),
            Self::Mended(slots) => Ok(slots.next()),
        }
    }

    /// Whether both have only the same left.
    fn is_alike(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Stored(a), Self::Stored(b)) => a.rest == b.rest,
            _ => false,
        }
    }
}

fn sorted(mut entries: Entries<'_>) -> Result<Sorted<'_>, StoreError> {
    let mut slots = Vec::new();
    while let Some(slot) = entries.step()? {
        slots.push(slot);
    }
    slots.sort_by(order);
    slots.dedup_by(|b, a| order(a, b).is_eq());
    Ok(Sorted::Mended(slots.into_iter()))
}

fn order(a: &Slot<'_>, b: &Slot<'_>) -> Ordering {
    let shared = a.name.len().min(b.name.len());
    a.name[..shared].cmp(&b.name[..shared]).then_with(|| a.order().cmp(b.order()))
}

/// Goes through both side by side; `None` if one of them is out of order.
fn merge<'t>(
    mut before: Sorted<'t>,
    mut after: Sorted<'t>,
) -> Result<Option<Vec<Difference<'t>>>, StoreError> {
    let mut found = Vec::new();
    let (mut old, mut new) = (before.step()?, after.step()?);
    let mut last: Option<Slot<'t>> = None;
    let mut differed = false;
    loop {
        if differed && old == new && before.is_alike(&after) {
            return Ok(Some(found));
        }
        let side = match (&old, &new) {
            (None, None) => return Ok(Some(found)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => order(old, new),
        };
        let (left, right) = (old.filter(|_| side.is_le()), new.filter(|_| side.is_ge()));
        let Some(slot) = left.or(right) else { return Ok(Some(found)) };
        if last.is_some_and(|last| order(&last, &slot).is_ge()) {
            return Ok(None);
        }
        last = Some(slot);
        let (was, is) = (left.map(|slot| slot.leaf()), right.map(|slot| slot.leaf()));
        differed = was != is;
        if differed {
            found.push((slot.name, was, is));
        }
        if side.is_le() {
            old = before.step()?;
        }
        if side.is_ge() {
            new = after.step()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Names = BTreeMap<(Vec<u8>, bool), Leaf>;

    /// A tree's bytes with the entries in the order given.
    fn encode<'t>(entries: impl Iterator<Item = (&'t (Vec<u8>, bool), &'t Leaf)>) -> Vec<u8> {
        let mut data = Vec::new();
        for ((name, _), leaf) in entries {
            let octal: &[u8] = if leaf.mode == Mode::Folder { b"40000" } else { b"100644" };
            data.extend_from_slice(&[octal, b" ", name, b"\0", &leaf.id].concat());
        }
        data
    }

    fn names() -> impl Strategy<Value = Names> {
        let name = prop::collection::vec(prop::sample::select(b"ab.-0".to_vec()), 1..4);
        let entry = (name, any::<bool>(), 0..2_u8);
        prop::collection::vec(entry, 0..40).prop_map(|entries| {
            let leaf = |(name, is_folder, id): (Vec<u8>, bool, u8)| {
                let mode = if is_folder { Mode::Folder } else { Mode::File };
                ((name, is_folder), Leaf { mode, id: [id; 20] })
            };
            entries.into_iter().map(leaf).collect()
        })
    }

    fn in_gits_order(names: &Names) -> Vec<u8> {
        let mut entries: Vec<_> = names.iter().collect();
        let key = |(name, is_folder): &(Vec<u8>, bool)| {
            [name.as_slice(), if *is_folder { b"/" } else { b"\0" }].concat()
        };
        entries.sort_by_key(|(name, _)| key(name));
        encode(entries.into_iter())
    }

    proptest! {
        #[test]
        fn differences_are_those_of_the_entries_in_any_order(before in names(), after in names()) {
            let mut expect = Vec::new();
            for name in before.keys().chain(after.keys().filter(|key| !before.contains_key(*key))) {
                let (was, is) = (before.get(name).copied(), after.get(name).copied());
                if was != is {
                    expect.push((name.0.clone(), was, is));
                }
            }
            let order = |found: &(Vec<u8>, Option<Leaf>, Option<Leaf>)| {
                let leaf = found.1.or(found.2);
                (found.0.clone(), leaf.is_some_and(|leaf| leaf.mode == Mode::Folder))
            };
            expect.sort_by_key(order);
            // As Git sorts them, and as somebody else did.
            let backwards = |names: &Names| encode(names.iter().rev());
            for (a, b) in [
                (in_gits_order(&before), in_gits_order(&after)),
                (backwards(&before), in_gits_order(&after)),
                (backwards(&before), backwards(&after)),
            ] {
                let found = differences(&a, &b).unwrap();
                let mut found: Vec<_> =
                    found.into_iter().map(|(name, was, is)| (name.to_vec(), was, is)).collect();
                found.sort_by_key(order);
                prop_assert_eq!(&found, &expect);
            }
        }
    }
}
