//! A pack on disk, read by its index: entries as they stand, to be copied or
//! checked. Whoever wants objects reads them through gix.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::{OFS_DELTA, REF_DELTA, parse_distance, parse_header};
use crate::store::object::Oid;

/// An entry's header takes at most this: size, and a base's id or distance.
const HEADER_BYTES_MAX: usize = 40;

/// A pack that is open.
#[derive(Debug)]
pub(crate) struct StoredPack {
    file: File,
    /// By offset.
    entries: Vec<Entry>,
    by_offset: HashMap<u64, usize>,
}

/// Where an object stands in a pack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) id: Oid,
    pub(crate) offset: u64,
    pub(crate) crc: u32,
    /// Where the next begins.
    pub(crate) end: u64,
}

/// An entry's header, read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    /// The number of the kind, or of the kind of delta.
    pub(crate) kind: u8,
    /// Bytes of the object, or of the delta.
    pub(crate) size: u64,
    /// What a delta tells by.
    pub(crate) base: Option<Oid>,
    /// Bytes of the header.
    pub(crate) used: usize,
}

impl StoredPack {
    /// Opens the pack at `path`, whose index is in `index`; `None` where the
    /// index isn't understood.
    pub(crate) fn open(path: &Path, index: &[u8]) -> io::Result<Option<Self>> {
        let file = File::open(path)?;
        let end = file.metadata()?.len().saturating_sub(20);
        let Some(mut entries) = parse_index(index) else { return Ok(None) };
        entries.sort_unstable_by_key(|entry| entry.offset);
        let ends = entries.iter().skip(1).map(|entry| entry.offset).chain([end]);
        let ends: Vec<u64> = ends.collect();
        for (entry, end) in entries.iter_mut().zip(ends) {
            entry.end = end;
        }
        let by_offset = entries.iter().enumerate().map(|(at, entry)| (entry.offset, at)).collect();
        Ok(Some(Self { file, entries, by_offset }))
    }

    /// Every entry, by offset.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// An entry's header.
    pub(crate) fn head(&self, entry: &Entry) -> io::Result<Head> {
        let length = (entry.end - entry.offset).min(HEADER_BYTES_MAX as u64);
        let bytes = self.bytes(entry.offset, length)?;
        let bad = || io::Error::other(format!("a bad entry at byte {}", entry.offset));
        let (kind, size, mut used) = parse_header(&bytes).ok_or_else(bad)?;
        let rest = &bytes[used..];
        let base = match kind {
            OFS_DELTA => {
                let (distance, took) = parse_distance(rest).ok_or_else(bad)?;
                used += took;
                let offset = entry.offset.checked_sub(distance).ok_or_else(bad)?;
                let at = self.by_offset.get(&offset).ok_or_else(bad)?;
                Some(self.entries[*at].id)
            }
            REF_DELTA => {
                used += 20;
                Some(*rest.first_chunk::<20>().ok_or_else(bad)?)
            }
            _ => None,
        };
        Ok(Head { kind, size, base, used })
    }

    /// An entry as it stands.
    pub(crate) fn raw(&self, entry: &Entry) -> io::Result<Vec<u8>> {
        self.bytes(entry.offset, entry.end.saturating_sub(entry.offset))
    }

    fn bytes(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

/// Entries of a pack index, version 2, sorted by id; their ends are not known
/// from it.
pub(crate) fn parse_index(index: &[u8]) -> Option<Vec<Entry>> {
    let body = index.strip_prefix(b"\xfftOc\0\0\0\x02")?;
    let count = u32::from_be_bytes(*body.get(1020..)?.first_chunk()?) as usize;
    let ids = body.get(1024..)?.get(..count.checked_mul(20)?)?;
    let crcs = body.get(1024 + count * 20..)?.get(..count * 4)?;
    let offsets = body.get(1024 + count * 24..)?.get(..count * 4)?;
    let far = body.get(1024 + count * 28..)?;
    let mut entries = Vec::with_capacity(count);
    for at in 0..count {
        let id = *ids.get(at * 20..)?.first_chunk::<20>()?;
        let crc = u32::from_be_bytes(*crcs.get(at * 4..)?.first_chunk()?);
        let near = u32::from_be_bytes(*offsets.get(at * 4..)?.first_chunk()?);
        let offset = if near >> 31 == 0 {
            u64::from(near)
        } else {
            let at = (near & 0x7fff_ffff) as usize;
            u64::from_be_bytes(*far.get(at.checked_mul(8)?..)?.first_chunk()?)
        };
        entries.push(Entry { id, offset, crc, end: 0 });
    }
    Some(entries)
}
