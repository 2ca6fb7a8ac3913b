//! Git's names of contents that were hashed lately, found by where they lie in
//! memory. Whoever commits a large content again as it is, under another path,
//! does not pay for its hash again.
//!
//! A content that is kept here can't be freed, so nothing else can come to lie
//! at its place: the same place and length are the same content. Only what
//! Convoy writes for itself is kept: of a request, a small content may be a
//! part that holds all of it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::error::StoreError;
use super::object::{Kind, Object, Oid};

/// Below this, looking it up costs as much as the hash.
const BYTES_MIN: usize = 4 << 10;
/// What the kept contents may have together.
const BYTES_MAX: usize = 16 << 20;

type Place = (usize, usize);

/// The contents, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Hashed(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    names: HashMap<Place, Oid>,
    order: VecDeque<Bytes>,
    bytes: usize,
}

impl Hashed {
    /// Git's name of a file's content.
    pub(crate) fn blob(&self, content: &Bytes) -> Result<Oid, StoreError> {
        let hash = || Object { kind: Kind::Blob, data: content.clone() }.id();
        if !(BYTES_MIN..=BYTES_MAX / 8).contains(&content.len()) {
            return hash();
        }
        if let Some(id) = self.kept().names.get(&place(content)) {
            return Ok(*id);
        }
        let id = hash()?;
        self.kept().put(content.clone(), id);
        Ok(id)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A name that got lost is found again by hashing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn put(&mut self, content: Bytes, id: Oid) {
        if self.names.insert(place(&content), id).is_some() {
            return;
        }
        self.bytes += content.len();
        self.order.push_back(content);
        while self.bytes > BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else { return };
            self.bytes -= oldest.len();
            self.names.remove(&place(&oldest));
        }
    }
}

fn place(content: &Bytes) -> Place {
    (content.as_ptr().addr(), content.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(number: usize, len: usize) -> Bytes {
        format!("{number:08}").into_bytes().repeat(len / 8).into()
    }

    #[test]
    fn a_content_has_gits_name_whether_it_is_known_or_not() {
        let hashed = Hashed::default();
        for len in [8, BYTES_MIN, 100_000, BYTES_MAX / 4] {
            let content = content(1, len);
            let id = Object { kind: Kind::Blob, data: content.clone() }.id().unwrap();
            for one in [content.clone(), content.clone(), Bytes::from(content.to_vec())] {
                assert_eq!(hashed.blob(&one).unwrap(), id, "{len}");
            }
            let part = content.slice(..len / 2);
            let id = Object { kind: Kind::Blob, data: part.clone() }.id().unwrap();
            assert_eq!(hashed.blob(&part).unwrap(), id, "the same place, and shorter: {len}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let hashed = Hashed::default();
        for number in 0..400 {
            hashed.blob(&content(number, 256 << 10)).unwrap();
        }
        let kept = hashed.kept();
        assert!(kept.bytes <= BYTES_MAX);
        assert_eq!(kept.order.len(), kept.names.len());
        assert_eq!(kept.order.iter().map(Bytes::len).sum::<usize>(), kept.bytes);
    }
}
