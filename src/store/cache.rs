//! Objects that were read lately, so that reading revision n + 1 after n
//! touches the disk only for what changed; and where paths led. Bounded in
//! bytes. Readers of different objects seldom meet at one lock.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::lookups::Lookups;
use super::object::{Object, Oid};

/// What all generations may hold together.
pub(crate) const CACHE_BYTES_MAX: usize = 64 << 20;

/// Locks for small objects, which are nearly all.
const SHARDS: usize = 16;

/// Objects and lookups that were used lately. Small objects have half of the
/// room, in shards; large ones the other half, so that one of them doesn't
/// flush a shard.
#[derive(Debug)]
pub(crate) struct ObjectCache {
    small: Vec<Shard>,
    large: Shard,
    /// Where paths led.
    pub(crate) lookups: Lookups,
}

/// Two generations: what is used moves to the young one; when that is full it
/// becomes the old one, and the old one is dropped. As good as a list in order
/// of use here, with no bookkeeping on reads.
#[derive(Debug)]
struct Shard {
    generation_bytes_max: usize,
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Oid, Object>,
    young_bytes: usize,
    old: HashMap<Oid, Object>,
}

impl ObjectCache {
    /// A cache of at most `bytes_max`; 0 keeps nothing.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let half = bytes_max / 2;
        Self {
            small: (0..SHARDS).map(|_| Shard::new(half / SHARDS)).collect(),
            large: Shard::new(half),
            lookups: Lookups::new(bytes_max > 0),
        }
    }

    /// The object, if it was used lately.
    pub(crate) fn get(&self, id: &Oid) -> Option<Object> {
        self.shard(id).get(id).or_else(|| self.large.get(id))
    }

    /// Remembers an object, unless it would fill a quarter of the room for
    /// large ones.
    pub(crate) fn put(&self, id: Oid, object: &Object) {
        let small = self.shard(&id);
        if small.takes(object) {
            small.put(id, object);
        } else if self.large.takes(object) {
            self.large.put(id, object);
        }
    }

    fn shard(&self, id: &Oid) -> &Shard {
        &self.small[usize::from(id[0]) % SHARDS]
    }
}

impl Shard {
    fn new(bytes_max: usize) -> Self {
        Self { generation_bytes_max: bytes_max / 2, generations: Mutex::default() }
    }

    fn takes(&self, object: &Object) -> bool {
        object.data.len() <= self.generation_bytes_max / 4 && self.generation_bytes_max > 0
    }

    fn get(&self, id: &Oid) -> Option<Object> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(object) = generations.young.get(id) {
            return Some(object.clone());
        }
        let object = generations.old.remove(id)?;
        generations.put(*id, object.clone(), self.generation_bytes_max);
        Some(object)
    }

    fn put(&self, id: Oid, object: &Object) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.put(id, object.clone(), self.generation_bytes_max);
    }
}

impl Generations {
    fn put(&mut self, id: Oid, object: Object, bytes_max: usize) {
        // Beside its content an entry costs the map and the shared buffer.
        let bytes = object.data.len() + 160;
        if self.young_bytes + bytes > bytes_max {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        if self.young.insert(id, object).is_none() {
            self.young_bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::object::Kind;

    fn object(bytes: usize) -> Object {
        Object { kind: Kind::Blob, data: vec![0; bytes].into() }
    }

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let cache = ObjectCache::new(20_000 * 2 * SHARDS);
        let id = |n: u8| [0, n, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for n in 0..100_u8 {
            cache.put(id(n), &object(840));
            assert!(cache.get(&id(0)).is_some(), "the first is used after {n}");
        }
        let kept = (0..100_u8).filter(|n| cache.get(&id(*n)).is_some()).count();
        assert!((2..=20).contains(&kept), "{kept}");
    }

    #[test]
    fn one_large_object_does_not_flush_the_cache() {
        let cache = ObjectCache::new(32_000);
        cache.put([1; 20], &object(100));
        cache.put([2; 20], &object(1_500));
        cache.put([3; 20], &object(3_000));
        assert!(cache.get(&[1; 20]).is_some());
        assert!(cache.get(&[2; 20]).is_some());
        assert!(cache.get(&[3; 20]).is_none());
    }
}
