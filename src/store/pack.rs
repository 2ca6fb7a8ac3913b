//! Git packs without deltas, written and read back.
//!
//! Three users: a journal record carries its objects as a pack in memory, a
//! checkpoint and an import write one to disk with its index. Deltas would
//! save room in the folder, and are what `git gc` adds; here every object
//! stands alone, so packs can be merged by copying entries. The format:
//! <https://git-scm.com/docs/gitformat-pack>.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::error::{StoreError, failed};
use super::files::Files;
use super::object::{Kind, Object, Objects, Oid, oid};
use crate::model::CommitId;

/// What is handed to the disk at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Objects larger than this are refused when a journal's pack is read back: no
/// commit makes one.
const OBJECT_BYTES_MAX: u64 = 1 << 30;

/// An object's place in a pack.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) id: Oid,
    pub(crate) crc: u32,
    pub(crate) offset: u64,
}

/// A pack on its way to disk.
pub(crate) struct PackFile<'a> {
    files: &'a dyn Files,
    folder: PathBuf,
    temporary: PathBuf,
    hasher: gix::hash::Hasher,
    deflate: Compress,
    buffer: Vec<u8>,
    written: u64,
    placed: Vec<Placed>,
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
        let temporary = folder.join(format!("tmp_pack_convoy{unique}"));
        let mut pack = Self {
            files,
            folder: folder.to_owned(),
            temporary,
            hasher: gix::hash::hasher(gix::hash::Kind::Sha1),
            deflate: Compress::new(Compression::fast(), true),
            buffer: Vec::with_capacity(CHUNK_BYTES),
            written: 0,
            placed: Vec::with_capacity(count),
        };
        pack.buffer.extend_from_slice(&header(count)?);
        Ok(pack)
    }

    /// Adds an object.
    pub(crate) fn add(&mut self, id: Oid, kind: Kind, data: &[u8]) -> io::Result<()> {
        let mut entry = entry_header(kind, data.len() as u64);
        deflate(&mut self.deflate, data, &mut entry)?;
        self.add_entry(id, &entry)
    }

    /// Adds an object as another pack has it.
    pub(crate) fn add_entry(&mut self, id: Oid, entry: &[u8]) -> io::Result<()> {
        let mut crc = flate2::Crc::new();
        crc.update(entry);
        let offset = self.written + self.buffer.len() as u64;
        self.placed.push(Placed { id, crc: crc.sum(), offset });
        self.buffer.extend_from_slice(entry);
        if self.buffer.len() >= CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    /// Makes the pack and its index durable under their final names, which is
    /// returned without its ending.
    pub(crate) fn finish(mut self) -> io::Result<String> {
        self.flush()?;
        let checksum = self.hasher.clone().try_finalize().map_err(io::Error::other)?;
        self.files.append(&self.temporary, checksum.as_bytes())?;
        self.files.sync(&self.temporary)?;
        let index = index(self.placed, &oid(&checksum))?;
        // Not `….idx`: a reader would take it for the index of a pack.
        let mut temporary_index = self.temporary.clone().into_os_string();
        temporary_index.push("_idx");
        let temporary_index = PathBuf::from(temporary_index);
        self.files.append(&temporary_index, &index)?;
        self.files.sync(&temporary_index)?;
        let name = format!("pack-{}", CommitId(oid(&checksum)));
        // The index goes last: it is what makes the pack exist for a reader.
        self.files.rename(&self.temporary, &self.folder.join(format!("{name}.pack")))?;
        self.files.rename(&temporary_index, &self.folder.join(format!("{name}.idx")))?;
        self.files.sync_dir(&self.folder)?;
        Ok(name)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hasher.update(&self.buffer);
        self.files.append(&self.temporary, &self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

fn header(count: usize) -> io::Result<[u8; 12]> {
    let count = u32::try_from(count).map_err(io::Error::other)?;
    let mut header = *b"PACK\0\0\0\x02\0\0\0\0";
    header[8..].copy_from_slice(&count.to_be_bytes());
    Ok(header)
}

fn entry_header(kind: Kind, size: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(32);
    let mut byte = ((kind as u8) << 4) | (size & 0x0f) as u8;
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

/// A pack of `objects` in memory for the journal. Its entries are stored, not
/// compressed: setting up a compressor costs more than the few hundred bytes
/// of a usual commit, and the journal is short-lived.
pub(crate) fn encode(objects: &[(Oid, Object)]) -> Result<Vec<u8>, StoreError> {
    let room: usize = objects.iter().map(|(_, object)| object.data.len() + 64).sum();
    let mut pack = Vec::with_capacity(room + 32);
    pack.extend_from_slice(&header(objects.len()).map_err(failed("packing a commit"))?);
    for (_, object) in objects {
        pack.extend_from_slice(&entry_header(object.kind, object.data.len() as u64));
        store(&object.data, &mut pack);
    }
    let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
    hasher.update(&pack);
    let checksum =
        hasher.try_finalize().map_err(|error| StoreError::damaged("packing a commit", error))?;
    pack.extend_from_slice(checksum.as_bytes());
    Ok(pack)
}

/// A zlib stream of stored blocks (RFC 1950, RFC 1951 §3.2.4).
fn store(data: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x78, 0x01]);
    let blocks = data.len().div_ceil(0xffff).max(1);
    for block in 0..blocks {
        let from = block * 0xffff;
        let part = &data[from..data.len().min(from + 0xffff)];
        let size = u16::try_from(part.len()).unwrap_or(u16::MAX);
        out.push(u8::from(block + 1 == blocks));
        out.extend_from_slice(&size.to_le_bytes());
        out.extend_from_slice(&(!size).to_le_bytes());
        out.extend_from_slice(part);
    }
    out.extend_from_slice(&adler(data).to_be_bytes());
}

fn adler(data: &[u8]) -> u32 {
    let (mut a, mut b) = (1_u32, 0_u32);
    // 5552 is the longest run for which the sums can't overflow (RFC 1950).
    for run in data.chunks(5552) {
        for byte in run {
            a += u32::from(*byte);
            b += a;
        }
        a %= 65_521;
        b %= 65_521;
    }
    (b << 16) | a
}

/// Reads a pack that [`encode`] made.
pub(crate) fn decode(pack: &[u8]) -> Result<Objects, StoreError> {
    let damaged = |why: &str| StoreError::damaged("reading a journal record's objects", why);
    let body = pack.strip_prefix(b"PACK\0\0\0\x02").ok_or_else(|| damaged("no pack"))?;
    let (count, mut rest) = body.split_first_chunk::<4>().ok_or_else(|| damaged("cut short"))?;
    let count = u32::from_be_bytes(*count);
    let mut objects = Vec::new();
    for _ in 0..count {
        let (kind, size, used) = parse_header(rest).ok_or_else(|| damaged("a bad entry"))?;
        let kind = Kind::of_number(kind).ok_or_else(|| damaged("a delta"))?;
        let (data, used_data) = inflate(&rest[used..], size).ok_or_else(|| damaged("bad data"))?;
        rest = &rest[used + used_data..];
        let object = Object { kind, data };
        objects.push((object.id()?, object));
    }
    Ok(objects)
}

/// The objects that stand alone in a pack that [`encode`] made; what can't be
/// read is left out.
pub(crate) fn whole(pack: &[u8]) -> Objects {
    if pack.is_empty() { Vec::new() } else { decode(pack).unwrap_or_default() }
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

fn inflate(data: &[u8], size: u64) -> Option<(Bytes, usize)> {
    let mut out = Vec::with_capacity(usize::try_from(size).ok()? + 1);
    let mut state = Decompress::new(true);
    let status = state.decompress_vec(data, &mut out, FlushDecompress::Finish).ok()?;
    let whole = status == Status::StreamEnd && out.len() as u64 == size;
    whole.then(|| Some((out.into(), usize::try_from(state.total_in()).ok()?)))?
}

/// A pack index, version 2.
fn index(mut placed: Vec<Placed>, pack: &Oid) -> io::Result<Vec<u8>> {
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

/// Every object of a pack with its entry as it stands, to be copied into
/// another pack; `None` where the pack holds deltas or isn't understood.
pub(crate) fn entries<'p>(pack: &'p [u8], index: &[u8]) -> Option<Vec<(Oid, &'p [u8])>> {
    let body = index.strip_prefix(b"\xfftOc\0\0\0\x02")?;
    let count = u32::from_be_bytes(body.get(1020..1024)?.try_into().ok()?) as usize;
    let ids = body.get(1024..1024 + count * 20)?;
    let offsets = body.get(1024 + count * 24..1024 + count * 28)?;
    let mut placed: Vec<(usize, Oid)> = Vec::with_capacity(count);
    for (id, offset) in ids.chunks_exact(20).zip(offsets.chunks_exact(4)) {
        let offset = u32::from_be_bytes(offset.try_into().ok()?);
        placed.push(((offset >> 31 == 0).then_some(offset as usize)?, id.try_into().ok()?));
    }
    placed.sort_unstable();
    let ends = placed.iter().skip(1).map(|(offset, _)| *offset);
    let ends: Vec<usize> = ends.chain([pack.len().checked_sub(20)?]).collect();
    let mut entries = Vec::with_capacity(count);
    for ((offset, id), end) in placed.into_iter().zip(ends) {
        let entry = pack.get(offset..end)?;
        Kind::of_number((entry.first()? >> 4) & 7)?;
        entries.push((id, entry));
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(text: &[u8]) -> (Oid, Object) {
        let object = Object { kind: Kind::Blob, data: Bytes::copy_from_slice(text) };
        (object.id().unwrap(), object)
    }

    #[test]
    fn journal_packs_round_trip_at_every_block_border() {
        for size in [0, 1, 15, 16, 2047, 2048, 0xfffe, 0xffff, 0x1_0000, 0x2_0001] {
            let given = vec![blob(&vec![b'x'; size]), blob(b"second")];
            let read = decode(&encode(&given).unwrap()).unwrap();
            assert_eq!(read.len(), 2, "{size}");
            assert_eq!((read[0].0, &read[0].1.data), (given[0].0, &given[0].1.data), "{size}");
        }
    }

    #[test]
    fn a_cut_pack_is_an_error_at_every_length() {
        let pack = encode(&[blob(b"some text"), blob(b"more")]).unwrap();
        for length in 0..pack.len() - 20 {
            assert!(decode(&pack[..length]).is_err(), "{length}");
        }
    }
}
