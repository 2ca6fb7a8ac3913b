//! Objects that were read lately, so that reading revision n + 1 after n
//! touches the disk only for what changed. Bounded in bytes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::object::{Object, Oid};

/// What both generations may hold together.
pub(crate) const CACHE_BYTES_MAX: usize = 64 << 20;

/// Two generations: what is used moves to the young one; when that is full it
/// becomes the old one, and the old one is dropped. As good as a list in order
/// of use here, with no bookkeeping on reads.
#[derive(Debug)]
pub(crate) struct ObjectCache {
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
    /// A cache of at most `bytes_max`.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { generation_bytes_max: bytes_max / 2, generations: Mutex::default() }
    }

    /// The object, if it was used lately.
    pub(crate) fn get(&self, id: &Oid) -> Option<Object> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(object) = generations.young.get(id) {
            return Some(object.clone());
        }
        let object = generations.old.remove(id)?;
        generations.put(*id, object.clone(), self.generation_bytes_max);
        Some(object)
    }

    /// Remembers an object, unless it would fill a quarter of the cache.
    pub(crate) fn put(&self, id: Oid, object: &Object) {
        if object.data.len() <= self.generation_bytes_max / 2 {
            let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
            generations.put(id, object.clone(), self.generation_bytes_max);
        }
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

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let cache = ObjectCache::new(20_000);
        let object = Object { kind: Kind::Blob, data: vec![0; 840].into() };
        for n in 0..100_u8 {
            cache.put([n; 20], &object);
            assert!(cache.get(&[0; 20]).is_some(), "the first is used after {n}");
        }
        let kept = (0..100_u8).filter(|n| cache.get(&[*n; 20]).is_some()).count();
        assert!((2..=20).contains(&kept), "{kept}");
    }

    #[test]
    fn one_large_object_does_not_flush_the_cache() {
        let cache = ObjectCache::new(1000);
        cache.put([1; 20], &Object { kind: Kind::Blob, data: vec![0; 400].into() });
        assert!(cache.get(&[1; 20]).is_none());
    }
}
