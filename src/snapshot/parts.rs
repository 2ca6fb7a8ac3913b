//! A large snapshot at rest, cut into parts by its resources' names, so that a
//! revision that changes one resource stores one small part anew and shares
//! the others with the revision before.
//!
//! A protobuf message is the concatenation of its fields, so the parts put one
//! behind the other, in any order, are the snapshot's stored form (`wire`).

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::{Snapshot, wire};
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
        let all: Vec<_> = self.types.values().flat_map(|one| one.resources.values()).collect();
        let Cut::Parts(parts) = cut(all.into_iter(), |one| &one.name) else {
            return (self.to_bytes(), BTreeMap::new());
        };
        let encoded = parts.into_iter().map(|(number, resources)| {
            let len = resources.iter().map(|one| wire::entry_len(one)).sum();
            let mut bytes = BytesMut::with_capacity(len);
            resources.iter().for_each(|one| wire::put_entry(one, &mut bytes));
            (number, bytes.freeze())
        });
        (self.version_bytes(), encoded.collect())
    }
}

/// One of 64, by FNV-1a: quick, and the same for ever.
fn part(name: &ResourceName) -> u8 {
    let hash = name.0.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The upper bits are mixed best.
    (hash >> 58) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::build;
    use crate::snapshot::testing::{cluster, key};

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
    fn a_part_that_is_missing_is_noticed() {
        let (first, mut parts) = snapshot(2000, 0).to_parts();
        parts.pop_first();
        let error = Snapshot::from_bytes(key("beta"), &joined(&first, &parts)).unwrap_err();
        assert!(error.to_string().contains("is damaged"), "{error}");
    }
}
