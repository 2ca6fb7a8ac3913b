//! Git packs, written: a checkpoint and an import write one to disk with its
//! index, object by object; `packer` merges packs by copying entries. What
//! differs little from what it came to be from is told by a delta against an
//! earlier object of the same pack. The format:
//! <https://git-scm.com/docs/gitformat-pack>.
//!
//! `memory` is the pack that a journal record carries; `stored` reads packs
//! back from disk.

pub(crate) mod memory;
pub(crate) mod stored;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::delta;
use super::files::Files;
use super::object::{Kind, Oid, oid};
use crate::model::CommitId;

/// What is handed to the disk at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Objects larger than this are refused when a pack is read back: no commit
/// makes one.
const OBJECT_BYTES_MAX: u64 = 1 << 30;

/// How many deltas may have to be applied to have an object.
pub(crate) const DEPTH_MAX: u8 = 32;

/// Smaller objects are not worth a delta.
pub(crate) const DELTA_BYTES_MIN: usize = 512;

/// An entry that is told by another of the same pack, some bytes before it.
pub(crate) const OFS_DELTA: u8 = 6;
/// An entry that is told by an object that it names.
pub(crate) const REF_DELTA: u8 = 7;

/// An object's place in a pack.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) id: Oid,
    pub(crate) crc: u32,
    pub(crate) offset: u64,
}

/// A pack on its way to disk. Dropped before it is finished, it leaves nothing.
pub(crate) struct PackFile<'a> {
    files: &'a dyn Files,
    folder: PathBuf,
    temporary: Temporary<'a>,
    hasher: gix::hash::Hasher,
    deflate: Compress,
    buffer: Vec<u8>,
    written: u64,
    placed: Vec<Placed>,
    /// Where objects are, and how many deltas stand behind each.
    places: HashMap<Oid, (u64, u8)>,
}

/// Names of files that are removed unless they were renamed.
struct Temporary<'a> {
    files: &'a dyn Files,
    pack: PathBuf,
    index: PathBuf,
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        for path in [&self.pack, &self.index] {
            if self.files.len(path).is_ok() {
                // What stays is swept when the store is opened.
                let _ = self.files.remove(path);
            }
        }
    }
}

impl<'a> PackFile<'a> {
    /// Begins a pack of exactly `count` objects in `folder`.
    pub(crate) fn begin(
        files: &'a dyn Files,
        folder: &Path,
        unique: u64,
        count: usize,
    ) -> io::Result<Self> {
        // Git takes files of this name for its own leftovers and prunes them.
        let pack = folder.join(format!("tmp_pack_convoy{unique}"));
        // Not `….idx`: a reader would take it for the index of a pack.
        let index = folder.join(format!("tmp_pack_convoy{unique}_idx"));
        let mut pack = Self {
            files,
            folder: folder.to_owned(),
            temporary: Temporary { files, pack, index },
            hasher: gix::hash::hasher(gix::hash::Kind::Sha1),
            deflate: Compress::new(Compression::fast(), true),
            buffer: Vec::with_capacity(CHUNK_BYTES),
            written: 0,
            placed: Vec::with_capacity(count),
            places: HashMap::with_capacity(count),
        };
        pack.buffer.extend_from_slice(&header(count)?);
        Ok(pack)
    }

    /// Whether an object of the pack may be told by this one.
    pub(crate) fn is_base(&self, id: &Oid) -> bool {
        self.places.get(id).is_some_and(|(_, depth)| *depth < DEPTH_MAX)
    }

    /// Adds an object.
    pub(crate) fn add(&mut self, id: Oid, kind: Kind, data: &[u8]) -> io::Result<()> {
        let mut entry = entry_header(kind as u8, data.len() as u64);
        deflate(&mut self.deflate, data, &mut entry)?;
        self.add_entry(id, &entry)
    }

    /// Adds an object by what it came to be from, where the pack has that and
    /// the delta is short; else as it is.
    pub(crate) fn add_against(
        &mut self,
        id: Oid,
        kind: Kind,
        data: &[u8],
        base: (&Oid, &[u8]),
    ) -> io::Result<()> {
        let is_worth_it = data.len() >= DELTA_BYTES_MIN && self.is_base(base.0);
        match is_worth_it.then(|| delta::make(base.1, data)).flatten() {
            Some(delta) => {
                let mut packed = Vec::new();
                deflate(&mut self.deflate, &delta, &mut packed)?;
                self.add_delta(id, base.0, delta.len() as u64, &packed)
            }
            None => self.add(id, kind, data),
        }
    }

    /// Adds a delta of `size` bytes, packed, against an object that
    /// [`Self::is_base`].
    pub(crate) fn add_delta(
        &mut self,
        id: Oid,
        base: &Oid,
        size: u64,
        packed: &[u8],
    ) -> io::Result<()> {
        let missing = || io::Error::other("a delta without its base");
        let (offset, depth) = self.places.get(base).copied().ok_or_else(missing)?;
        let here = self.written + self.buffer.len() as u64;
        let mut entry = entry_header(OFS_DELTA, size);
        put_distance(&mut entry, here - offset);
        entry.extend_from_slice(packed);
        self.place(id, &entry, depth + 1)
    }

    /// Adds an object that stands alone as another pack has it.
    pub(crate) fn add_entry(&mut self, id: Oid, entry: &[u8]) -> io::Result<()> {
        self.place(id, entry, 0)
    }

    fn place(&mut self, id: Oid, entry: &[u8], depth: u8) -> io::Result<()> {
        let mut crc = flate2::Crc::new();
        crc.update(entry);
        let offset = self.written + self.buffer.len() as u64;
        self.placed.push(Placed { id, crc: crc.sum(), offset });
        self.places.insert(id, (offset, depth));
        self.buffer.extend_from_slice(entry);
        if self.buffer.len() >= CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    /// Makes the pack and its index durable under their final names, which is
    /// returned without its ending.
    pub(crate) fn finish(mut self) -> io::Result<String> {
        self.flush()?;
        let checksum = self.hasher.clone().try_finalize().map_err(io::Error::other)?;
        let Temporary { pack, index, .. } = &self.temporary;
        self.files.append(pack, checksum.as_bytes())?;
        self.files.sync(pack)?;
        let bytes = make_index(std::mem::take(&mut self.placed), &oid(&checksum))?;
        self.files.append(index, &bytes)?;
        self.files.sync(index)?;
        let name = format!("pack-{}", CommitId(oid(&checksum)));
        // The index goes last: it is what makes the pack exist for a reader.
        self.files.rename(pack, &self.folder.join(format!("{name}.pack")))?;
        self.files.rename(index, &self.folder.join(format!("{name}.idx")))?;
        self.files.sync_dir(&self.folder)?;
        Ok(name)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hasher.update(&self.buffer);
        self.files.append(&self.temporary.pack, &self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// How far back a delta's base begins, as the format writes it.
fn put_distance(out: &mut Vec<u8>, mut distance: u64) {
    let mut bytes = vec![(distance & 0x7f) as u8];
    while distance > 0x7f {
        distance = (distance >> 7) - 1;
        bytes.push((distance & 0x7f) as u8 | 0x80);
    }
    out.extend(bytes.iter().rev());
}

/// Reads what [`put_distance`] wrote, and the bytes it took.
pub(crate) fn parse_distance(entry: &[u8]) -> Option<(u64, usize)> {
    let mut distance = 0_u64;
    for (used, byte) in entry.iter().enumerate() {
        if used > 0 {
            distance = distance.checked_add(1)?;
        }
        distance = distance.checked_mul(128)? | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((distance, used + 1));
        }
    }
    None
}

fn header(count: usize) -> io::Result<[u8; 12]> {
    let count = u32::try_from(count).map_err(io::Error::other)?;
    let mut header = *b"PACK\0\0\0\x02\0\0\0\0";
    header[8..].copy_from_slice(&count.to_be_bytes());
    Ok(header)
}

fn entry_header(kind: u8, size: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(32);
    let mut byte = (kind << 4) | (size & 0x0f) as u8;
    let mut rest = size >> 4;
    while rest > 0 {
        bytes.push(byte | 0x80);
        byte = (rest & 0x7f) as u8;
        rest >>= 7;
    }
    bytes.push(byte);
    bytes
}

fn deflate(state: &mut Compress, data: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    state.reset();
    out.reserve(data.len() / 2 + 64);
    loop {
        let done = usize::try_from(state.total_in()).map_err(io::Error::other)?;
        match state.compress_vec(&data[done..], out, FlushCompress::Finish)? {
            Status::StreamEnd => return Ok(()),
            Status::Ok | Status::BufError => out.reserve(out.capacity().max(CHUNK_BYTES / 16)),
        }
    }
}

/// The bytes of a zlib stream that should come to `size`, and those that it
/// took.
pub(crate) fn inflate(data: &[u8], size: u64) -> Option<(Bytes, usize)> {
    let mut out = Vec::with_capacity(usize::try_from(size).ok()? + 1);
    let mut state = Decompress::new(true);
    let status = state.decompress_vec(data, &mut out, FlushDecompress::Finish).ok()?;
    let whole = status == Status::StreamEnd && out.len() as u64 == size;
    whole.then(|| Some((out.into(), usize::try_from(state.total_in()).ok()?)))?
}

/// The kind's number, the size, and the bytes that an entry's header took.
pub(crate) fn parse_header(entry: &[u8]) -> Option<(u8, u64, usize)> {
    let first = *entry.first()?;
    let kind = (first >> 4) & 7;
    let mut size = u64::from(first & 0x0f);
    let mut used = 1;
    let mut more = first & 0x80 != 0;
    while more {
        let byte = *entry.get(used)?;
        let shift = 4 + 7 * (used - 1);
        size |= u64::from(byte & 0x7f).checked_shl(u32::try_from(shift).ok()?)?;
        more = byte & 0x80 != 0;
        used += 1;
    }
    (size <= OBJECT_BYTES_MAX).then_some((kind, size, used))
}

/// A pack index, version 2.
fn make_index(mut placed: Vec<Placed>, pack: &Oid) -> io::Result<Vec<u8>> {
    placed.sort_unstable_by_key(|object| object.id);
    let mut bytes = Vec::with_capacity(placed.len() * 28 + 1072);
    bytes.extend_from_slice(b"\xfftOc\0\0\0\x02");
    let mut below = 0;
    for first in 0..=255_u8 {
        below += placed[below..].partition_point(|object| object.id[0] <= first);
        bytes.extend_from_slice(&u32::try_from(below).map_err(io::Error::other)?.to_be_bytes());
    }
    placed.iter().for_each(|object| bytes.extend_from_slice(&object.id));
    placed.iter().for_each(|object| bytes.extend_from_slice(&object.crc.to_be_bytes()));
    let mut far: Vec<u64> = Vec::new();
    for object in &placed {
        let near = u32::try_from(object.offset).ok().filter(|offset| offset >> 31 == 0);
        let word = near.unwrap_or_else(|| {
            far.push(object.offset);
            // At most 2^32 objects stand in a pack, so this can't wrap.
            0x8000_0000 | u32::try_from(far.len() - 1).unwrap_or(u32::MAX)
        });
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    far.iter().for_each(|offset| bytes.extend_from_slice(&offset.to_be_bytes()));
    bytes.extend_from_slice(pack);
    let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
    hasher.update(&bytes);
    let checksum = hasher.try_finalize().map_err(io::Error::other)?;
    bytes.extend_from_slice(checksum.as_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_round_trip() {
        for distance in [1, 127, 128, 129, 16_511, 16_512, 1 << 31, u64::MAX >> 1] {
            let mut bytes = Vec::new();
            put_distance(&mut bytes, distance);
            let used = bytes.len();
            bytes.push(0xff);
            assert_eq!(parse_distance(&bytes), Some((distance, used)));
        }
    }
}
