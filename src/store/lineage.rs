//! Which object came to be from which: by the paths of two trees, the older
//! object of the same name. What comes of it is a hint for deltas: a wrong
//! one costs room, never content.

use std::collections::HashMap;

use super::delta;
use super::object::{self, Object, Objects, Oid};
use super::open::Shared;
use super::pack::DELTA_BYTES_MIN;
use super::pack::memory::Told;
use super::record::Record;
use super::repository::Repository;

/// Files below this go into the journal as they are: reading what they came
/// to be from would cost more than writing them.
const BLOB_BYTES_MIN: usize = 16 << 10;

/// A name that is longer makes no hint.
const NAME_BYTES_MAX: usize = 4096;

/// How deep folders are followed.
const DEPTH_MAX: usize = 128;

/// An object, and what it came to be from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Descent {
    pub(crate) id: Oid,
    pub(crate) from: Oid,
    pub(crate) is_tree: bool,
}

/// What a commit's objects came to be from.
#[derive(Debug, Default)]
pub(crate) struct Lineage {
    /// Those that its record tells by deltas.
    pub(crate) told: HashMap<Oid, Told>,
    /// All that is known: the object, and what it came to be from.
    pub(crate) descents: Vec<(Oid, Oid)>,
}

/// The lineage of the objects of a commit's record. Nothing where it can't be
/// told, or where it isn't worth it.
pub(crate) fn of(
    shared: &Shared,
    repo: &Repository,
    record: &Record,
    objects: &Objects,
) -> Lineage {
    let mut lineage = Lineage::default();
    let fresh: HashMap<Oid, &Object> = objects.iter().map(|(id, o)| (*id, o)).collect();
    let is_worth_it = fresh.values().any(|object| object.data.len() >= DELTA_BYTES_MIN);
    let (Some(old), Some(new)) = (record.old, record.commits.last()) else { return lineage };
    let mut reader = shared.reader(repo);
    let to = fresh.get(&new.0).and_then(|commit| object::tree_of(&commit.data).ok());
    let (Some(to), true) = (to, is_worth_it) else { return lineage };
    let Ok(from) = reader.root(old) else { return lineage };
    let mut read = |id: &Oid| match fresh.get(id) {
        Some(object) => Some(object.data.clone()),
        None => Some(reader.object(id).ok()?.data),
    };
    for descent in descents(from, to, &mut read, &|id| fresh.contains_key(id)) {
        let Some(object) = fresh.get(&descent.id) else { continue };
        let bytes_min = if descent.is_tree { DELTA_BYTES_MIN } else { BLOB_BYTES_MIN };
        if object.data.len() < DELTA_BYTES_MIN {
            continue;
        }
        lineage.descents.push((descent.id, descent.from));
        if object.data.len() >= bytes_min
            && let Some(base) = read(&descent.from)
            && let Some(delta) = delta::make(&base, &object.data)
        {
            lineage.told.insert(descent.id, Told { base: descent.from, delta });
        }
    }
    lineage
}

/// Walks two trees side by side. `read` gives a tree's bytes; `follow` tells
/// whether a tree is worth looking into.
pub(crate) fn descents(
    from: Oid,
    to: Oid,
    read: &mut dyn FnMut(&Oid) -> Option<bytes::Bytes>,
    follow: &dyn Fn(&Oid) -> bool,
) -> Vec<Descent> {
    let mut found = Vec::new();
    let mut open = vec![(from, to, 0)];
    while let Some((from, to, depth)) = open.pop() {
        if from == to || depth > DEPTH_MAX || !follow(&to) {
            continue;
        }
        found.push(Descent { id: to, from, is_tree: true });
        let (Some(old), Some(new)) = (read(&from), read(&to)) else { continue };
        for (old, new) in changed(&old, &new) {
            if new.is_folder {
                open.push((old.id, new.id, depth + 1));
            } else {
                found.push(Descent { id: new.id, from: old.id, is_tree: false });
            }
        }
    }
    found
}

/// An entry of a tree, as it stands there.
#[derive(Debug, Clone, Copy)]
struct Raw<'t> {
    name: &'t [u8],
    id: Oid,
    is_folder: bool,
    /// The bytes from its beginning to the next entry.
    length: usize,
}

fn parse(bytes: &[u8]) -> Option<Raw<'_>> {
    let space = bytes.iter().take(8).position(|byte| *byte == b' ')?;
    let rest = &bytes[space + 1..];
    let nul = rest.iter().position(|byte| *byte == 0)?;
    let id = *rest.get(nul + 1..)?.first_chunk::<20>()?;
    let is_folder = bytes.starts_with(b"4");
    Some(Raw { name: &rest[..nul], id, is_folder, length: space + 1 + nul + 1 + 20 })
}

/// Entries of one name and kind that differ. What is equal at both ends of
/// the two trees is passed over at once: a tree of ten thousand entries is
/// not read entry by entry because one of them changed.
fn changed<'t>(old: &'t [u8], new: &'t [u8]) -> Vec<(Raw<'t>, Raw<'t>)> {
    let start = boundary(new, delta::common_prefix(old, new));
    let suffix = delta::common_suffix(&old[start..], &new[start..]);
    let (mut old_at, mut new_at) = (start, start);
    let mut pairs = Vec::new();
    while old_at < old.len() - suffix && new_at < new.len() - suffix {
        let (Some(a), Some(b)) = (parse(&old[old_at..]), parse(&new[new_at..])) else { break };
        match order(&a, &b) {
            std::cmp::Ordering::Less => old_at += a.length,
            std::cmp::Ordering::Greater => new_at += b.length,
            std::cmp::Ordering::Equal => {
                if a.id != b.id && a.is_folder == b.is_folder {
                    pairs.push((a, b));
                }
                old_at += a.length;
                new_at += b.length;
            }
        }
    }
    pairs
}

/// Git's order of entries: folders as if their names ended in a slash.
fn order(a: &Raw<'_>, b: &Raw<'_>) -> std::cmp::Ordering {
    let end = |raw: &Raw<'_>| raw.is_folder.then_some(b'/');
    a.name.iter().copied().chain(end(a)).cmp(b.name.iter().copied().chain(end(b)))
}

/// Where the entry begins that `at` lies in, as far as can be told from a
/// mode before it: a name may look like one, and then the hint is lost.
fn boundary(tree: &[u8], at: usize) -> usize {
    const MODES: [&[u8]; 5] = [b"100644 ", b"40000 ", b"100755 ", b"120000 ", b"160000 "];
    let lowest = at.saturating_sub(NAME_BYTES_MAX);
    let begins = |from: &usize| MODES.iter().any(|mode| tree[*from..].starts_with(mode));
    // An entry that ends right before it has nothing in common to lose.
    (lowest..=at.min(tree.len())).rev().find(begins).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bytes::Bytes;

    use super::*;
    use crate::store::object::{Entry, Mode, encode_tree};

    fn id(n: u32) -> Oid {
        let mut id = [0; 20];
        id[..4].copy_from_slice(&n.to_be_bytes());
        id
    }

    fn entry(name: String, mode: Mode, n: u32) -> Entry {
        Entry { mode, name: name.into(), id: id(n) }
    }

    #[test]
    fn objects_descend_from_those_that_stood_at_their_paths() {
        let leaves = |changed: u32| {
            let leaf =
                |n| entry(format!("leaf-{n}"), Mode::File, if n == changed { 9999 } else { n });
            encode_tree((0..500).map(leaf).collect())
        };
        let root = |folder: u32| {
            let mut all: Vec<_> =
                (1000..1200).map(|n| entry(format!("f{n}"), Mode::File, n)).collect();
            all.push(entry("f1100.d".into(), Mode::Folder, folder));
            encode_tree(all)
        };
        let trees: HashMap<Oid, Bytes> =
            [(id(1), root(3)), (id(2), root(4)), (id(3), leaves(u32::MAX)), (id(4), leaves(250))]
                .into();
        let found = descents(id(1), id(2), &mut |id| trees.get(id).cloned(), &|_| true);
        let expect = [(2, 1, true), (4, 3, true), (9999, 250, false)];
        let expect =
            expect.map(|(to, from, is_tree)| Descent { id: id(to), from: id(from), is_tree });
        assert_eq!(found, expect);
    }

    #[test]
    fn added_and_removed_entries_descend_from_nothing() {
        let tree = |range: std::ops::Range<u32>| {
            encode_tree(range.map(|n| entry(format!("{n:05}"), Mode::File, n)).collect())
        };
        let trees: HashMap<Oid, Bytes> = [(id(1), tree(0..900)), (id(2), tree(1..901))].into();
        let found = descents(id(1), id(2), &mut |id| trees.get(id).cloned(), &|_| true);
        assert_eq!(found, [Descent { id: id(2), from: id(1), is_tree: true }]);
    }
}
