//! A large snapshot at rest, cut into parts by its resources' names, so that a
//! revision that changes one resource stores one small part anew and shares
//! the others with the revision before.
//!
//! A protobuf message is the concatenation of its fields, so the parts put one
//! behind the other, in any order, are the snapshot's stored form (`wire`).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::{Served, Snapshot, wire};
use crate::model::ResourceName;

/// Up to so many things are stored whole: most repositories stay readable as
/// one file.
const WHOLE: usize = 256;

/// Things by the number of their part, if they are many. The number follows
/// from the name alone: a new content stays in its part.
pub fn cut<T>(
    things: impl ExactSizeIterator<Item = T>,
    name: impl Fn(&T) -> &ResourceName,
) -> Cut<T> {
    if things.len() <= WHOLE {
        return Cut::Whole(things.collect());
    }
    let mut parts: BTreeMap<u8, Vec<T>> = BTreeMap::new();
    for thing in things {
        parts.entry(part(name(&thing))).or_default().push(thing);
    }
    Cut::Parts(parts)
}

/// What [`cut`] gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Cut<T> {
    /// There are few.
    Whole(Vec<T>),
    /// There are many.
    Parts(BTreeMap<u8, Vec<T>>),
}

impl Snapshot {
    /// The stored form as a first file and the parts behind it, by number; a
    /// small snapshot has none.
    pub fn to_parts(&self) -> (Bytes, BTreeMap<u8, Bytes>) {
        self.to_parts_on(None)
    }

    /// The same as [`Snapshot::to_parts`], taking over each part that is as it
    /// was in another snapshot, whose stored parts are known.
    pub fn to_parts_on(
        &self,
        before: Option<(&Self, &BTreeMap<u8, Bytes>)>,
    ) -> (Bytes, BTreeMap<u8, Bytes>) {
        let Cut::Parts(parts) = self.cut() else { return (self.to_bytes(), BTreeMap::new()) };
        let before = before.and_then(|(before, stored)| match before.cut() {
            Cut::Parts(parts) => Some((parts, stored)),
            Cut::Whole(_) => None,
        });
        let known = |number: u8, resources: &[&Arc<Served>]| {
            let (parts, stored) = before.as_ref()?;
            let same = is_same(parts.get(&number)?, resources);
            stored.get(&number).filter(|_| same).cloned()
        };
        let encoded = parts.into_iter().map(|(number, resources)| {
            let part = known(number, &resources).unwrap_or_else(|| encoded(&resources));
            (number, part)
        });
        (self.version_bytes(), encoded.collect())
    }

    fn cut(&self) -> Cut<&Arc<Served>> {
        let all: Vec<_> = self.types.values().flat_map(|one| one.resources.values()).collect();
        cut(all.into_iter(), |one| &one.name)
    }
}

fn is_same(a: &[&Arc<Served>], b: &[&Arc<Served>]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
}

fn encoded(resources: &[&Arc<Served>]) -> Bytes {
    let len = resources.iter().map(|one| wire::entry_len(one)).sum();
    let mut bytes = BytesMut::with_capacity(len);
    resources.iter().for_each(|one| wire::put_entry(one, &mut bytes));
    bytes.freeze()
}

/// One of 64, by FNV-1a: quick, and the same for ever. Names that differ in
/// their last letters differ in its lower bits only, so it is mixed once more.
fn part(name: &ResourceName) -> u8 {
    let hash = name.0.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    (mixed >> 58) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::testing::{cluster, key};
    use crate::snapshot::{build, build_on};

    fn snapshot(count: usize, changed: usize) -> Snapshot {
        let version = |n| if n == changed { 2 } else { 1 };
        let all: Vec<_> = (0..count).map(|n| cluster(&format!("c{n}"), version(n))).collect();
        build(key("beta"), &all)
    }

    fn joined(first: &Bytes, parts: &BTreeMap<u8, Bytes>) -> Bytes {
        // In reverse: the order does not matter.
        let all = parts.values().rev().chain([first]);
        all.flat_map(|part| part.iter().copied()).collect()
    }

    #[test]
    fn the_parts_together_are_the_snapshot() {
        for count in [0, 1, WHOLE, WHOLE + 1, 2000] {
            let snapshot = snapshot(count, 0);
            let (first, parts) = snapshot.to_parts();
            assert_eq!(parts.is_empty(), count <= WHOLE, "{count}");
            let read = Snapshot::from_bytes(key("beta"), &joined(&first, &parts)).unwrap();
            assert_eq!(read, snapshot, "{count}");
        }
    }

    #[test]
    fn a_changed_resource_changes_one_part_and_the_version() {
        let ((first, before), (second, after)) =
            (snapshot(2000, 0).to_parts(), snapshot(2000, 7).to_parts());
        assert_ne!(first, second);
        let differ = |(number, part): &(&u8, &Bytes)| after.get(number) != Some(part);
        // Numbers 0 and 7 changed.
        assert!((1..=2).contains(&before.iter().filter(differ).count()));
        assert_eq!(before.len(), after.len());
    }

    #[test]
    fn parts_are_taken_over_where_they_are_the_same() {
        let all = |changed: usize| -> Vec<_> {
            let version = |n| if n == changed { 2 } else { 1 };
            (0..2000).map(|n| cluster(&format!("c{n}"), version(n))).collect()
        };
        let before = build(key("beta"), &all(0));
        let (_, stored) = before.to_parts();
        let after = build_on(Some(&before), key("beta"), &all(7));
        let plain = after.to_parts();
        let (first, parts) = after.to_parts_on(Some((&before, &stored)));
        assert_eq!((&first, &parts), (&plain.0, &plain.1));
        let taken = |(number, part): &(&u8, &Bytes)| stored[number].as_ptr() == part.as_ptr();
        assert!((62..=63).contains(&parts.iter().filter(taken).count()));
        // Of a small snapshot there is nothing to take over.
        let small = build(key("beta"), &all(0)[..5]);
        assert_eq!(after.to_parts_on(Some((&small, &BTreeMap::new()))), plain);
    }

    #[test]
    fn names_that_are_much_alike_spread_over_all_parts() {
        let (_, parts) = snapshot(2000, 0).to_parts();
        assert_eq!(parts.len(), 64);
        let largest = parts.values().map(Bytes::len).max().unwrap();
        let all: usize = parts.values().map(Bytes::len).sum();
        assert!(largest < all / 32, "{largest} of {all}");
    }

    #[test]
    fn a_part_that_is_missing_is_noticed() {
        let (first, mut parts) = snapshot(2000, 0).to_parts();
        parts.pop_first();
        let error = Snapshot::from_bytes(key("beta"), &joined(&first, &parts)).unwrap_err();
        assert!(error.to_string().contains("is damaged"), "{error}");
    }
}
