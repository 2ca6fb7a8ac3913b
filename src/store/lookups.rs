//! Where paths led lately: what a name in a tree, or a path in a commit,
//! stands for. Objects never change, so that nothing here is ever wrong, only
//! missing. Bounded: a fixed number of places, the newer taking the older's.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};

use super::entries::Leaf;
use super::object::Oid;

/// Locks, so that readers seldom meet.
const SHARDS: usize = 64;

/// Places behind one lock.
const PLACES: usize = 2048;

/// Longer paths are looked up each time.
const PATH_BYTES_MAX: usize = 256;

/// What is known of one path below one object.
#[derive(Debug)]
struct Known {
    of: Oid,
    path: Box<str>,
    found: Option<Leaf>,
}

/// What was looked up lately.
#[derive(Debug)]
pub(crate) struct Lookups {
    shards: Vec<Mutex<Vec<Option<Known>>>>,
}

impl Lookups {
    /// Places for what is looked up, or none at all.
    pub(crate) fn new(enabled: bool) -> Self {
        let shards = if enabled { SHARDS } else { 0 };
        Self { shards: (0..shards).map(|_| Mutex::default()).collect() }
    }

    /// What `path` below `of` stands for; `None`: not known.
    pub(crate) fn get(&self, of: &Oid, path: &str) -> Option<Option<Leaf>> {
        let (shard, place) = self.place(of, path)?;
        let places = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let known = places.get(place)?.as_ref()?;
        (known.of == *of && *known.path == *path).then_some(known.found)
    }

    /// Remembers what `path` below `of` stands for.
    pub(crate) fn put(&self, of: &Oid, path: &str, found: Option<Leaf>) {
        if path.len() > PATH_BYTES_MAX {
            return;
        }
        let Some((shard, place)) = self.place(of, path) else { return };
        let known = Known { of: *of, path: path.into(), found };
        let mut places = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if places.is_empty() {
            places.resize_with(PLACES, || None);
        }
        if let Some(place) = places.get_mut(place) {
            *place = Some(known);
        }
    }

    fn place(&self, of: &Oid, path: &str) -> Option<(&Mutex<Vec<Option<Known>>>, usize)> {
        let mut hasher = DefaultHasher::new();
        of.hash(&mut hasher);
        path.hash(&mut hasher);
        let hash = usize::try_from(hasher.finish() & 0xffff_ffff).unwrap_or(0);
        let shard = self.shards.get(hash % SHARDS)?;
        Some((shard, hash / SHARDS % PLACES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::object::Mode;

    #[test]
    fn what_is_remembered_is_exactly_what_was_found() {
        let lookups = Lookups::new(true);
        let leaf = |n: u32| {
            (!n.is_multiple_of(3)).then(|| Leaf { mode: Mode::File, id: [n.to_le_bytes()[0]; 20] })
        };
        for n in 0..100_000_u32 {
            lookups.put(&[n.to_le_bytes()[1]; 20], &format!("p{n}"), leaf(n));
        }
        let mut known = 0;
        for n in 0..100_000_u32 {
            if let Some(found) = lookups.get(&[n.to_le_bytes()[1]; 20], &format!("p{n}")) {
                assert_eq!(found, leaf(n));
                known += 1;
            }
            assert_eq!(lookups.get(&[0xee; 20], &format!("q{n}")), None);
        }
        assert!((10_000..=SHARDS * PLACES).contains(&known), "{known}");
    }

    #[test]
    fn switched_off_it_knows_nothing() {
        let lookups = Lookups::new(false);
        lookups.put(&[1; 20], "a", None);
        assert_eq!(lookups.get(&[1; 20], "a"), None);
    }
}
