//! The pack that a journal record carries. Its entries are stored, not
//! compressed: setting up a compressor costs more than the few hundred bytes
//! of a usual commit, and the journal is short-lived. A large tree that a
//! commit changed in an entry goes in as a delta against what the repository
//! has already.

use std::collections::HashMap;

use super::{OBJECT_BYTES_MAX, REF_DELTA, entry_header, header, inflate, parse_header};
use crate::store::delta;
use crate::store::error::{StoreError, failed};
use crate::store::object::{Kind, Object, Objects, Oid};

/// What tells an object by what it came to be from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) base: Oid,
    pub(crate) delta: Vec<u8>,
}

/// A pack of `objects`; those that `told` names go in as deltas.
pub(crate) fn encode(
    objects: &[(Oid, Object)],
    told: &HashMap<Oid, Told>,
) -> Result<Vec<u8>, StoreError> {
    let size = |(id, object): &(Oid, Object)| {
        told.get(id).map_or(object.data.len(), |told| told.delta.len()) + 64
    };
    let mut pack = Vec::with_capacity(objects.iter().map(size).sum::<usize>() + 32);
    pack.extend_from_slice(&header(objects.len()).map_err(failed("packing a commit"))?);
    for (id, object) in objects {
        match told.get(id) {
            Some(Told { base, delta }) => {
                pack.extend_from_slice(&entry_header(REF_DELTA, delta.len() as u64));
                pack.extend_from_slice(base);
                store(delta, &mut pack);
            }
            None => {
                let length = object.data.len() as u64;
                pack.extend_from_slice(&entry_header(object.kind as u8, length));
                store(&object.data, &mut pack);
            }
        }
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

/// Objects that were read back, and which of them came to be from which.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    pub(crate) objects: Objects,
    pub(crate) descents: Vec<(Oid, Oid)>,
}

/// Reads a pack that [`encode`] made. `base` gives an object that a delta
/// tells by, where the pack hasn't had it.
pub(crate) fn decode(
    pack: &[u8],
    base: &mut dyn FnMut(&Oid) -> Result<Object, StoreError>,
) -> Result<Decoded, StoreError> {
    let mut read = Decoded::default();
    for entry in entries(pack)? {
        let object = match entry {
            Stored::Whole(object) => object,
            Stored::Told(Told { base: from, delta }) => {
                let have = read.objects.iter().find(|(id, _)| *id == from);
                let from_object = match have {
                    Some((_, object)) => object.clone(),
                    None => base(&from)?,
                };
                let data = delta::apply(&from_object.data, &delta, OBJECT_BYTES_MAX)
                    .ok_or_else(|| damaged("a delta that doesn't fit its base"))?;
                let object = Object { kind: from_object.kind, data: data.into() };
                read.descents.push((object.id()?, from));
                object
            }
        };
        read.objects.push((object.id()?, object));
    }
    Ok(read)
}

/// The objects that stand alone in a pack that [`encode`] made.
pub(crate) fn whole(pack: &[u8]) -> Result<Objects, StoreError> {
    let mut objects = Vec::new();
    for entry in entries(pack)? {
        if let Stored::Whole(object) = entry {
            objects.push((object.id()?, object));
        }
    }
    Ok(objects)
}

enum Stored {
    Whole(Object),
    Told(Told),
}

fn damaged(why: &str) -> StoreError {
    StoreError::damaged("reading a journal record's objects", why)
}

fn entries(pack: &[u8]) -> Result<Vec<Stored>, StoreError> {
    if pack.is_empty() {
        return Ok(Vec::new());
    }
    let body = pack.strip_prefix(b"PACK\0\0\0\x02").ok_or_else(|| damaged("no pack"))?;
    let (count, mut rest) = body.split_first_chunk::<4>().ok_or_else(|| damaged("cut short"))?;
    let mut entries = Vec::new();
    for _ in 0..u32::from_be_bytes(*count) {
        let (kind, size, used) = parse_header(rest).ok_or_else(|| damaged("a bad entry"))?;
        rest = &rest[used..];
        let base = if kind == REF_DELTA {
            let (base, after) =
                rest.split_first_chunk::<20>().ok_or_else(|| damaged("cut short"))?;
            rest = after;
            Some(*base)
        } else {
            None
        };
        let (data, used) = inflate(rest, size).ok_or_else(|| damaged("bad data"))?;
        rest = &rest[used..];
        entries.push(match base {
            Some(base) => Stored::Told(Told { base, delta: data.to_vec() }),
            None => {
                let kind = Kind::of_number(kind).ok_or_else(|| damaged("an unknown kind"))?;
                Stored::Whole(Object { kind, data })
            }
        });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn blob(text: &[u8]) -> (Oid, Object) {
        let object = Object { kind: Kind::Blob, data: Bytes::copy_from_slice(text) };
        (object.id().unwrap(), object)
    }

    fn none(_: &Oid) -> Result<Object, StoreError> {
        Err(damaged("no base"))
    }

    #[test]
    fn a_delta_is_applied_to_its_base() {
        let (old, new) = (blob(&[b'x'; 5000]), blob(&[&[b'x'; 4000][..], b"y"].concat()));
        let delta = delta::make(&old.1.data, &new.1.data).unwrap();
        let told = HashMap::from([(new.0, Told { base: old.0, delta })]);
        let pack = encode(std::slice::from_ref(&new), &told).unwrap();
        assert!(pack.len() < 200, "{}", pack.len());
        let read = decode(&pack, &mut |_| Ok(old.1.clone())).unwrap();
        assert_eq!((read.objects[0].0, &read.objects[0].1.data), (new.0, &new.1.data));
        assert_eq!(read.descents, [(new.0, old.0)]);
        assert!(decode(&pack, &mut none).is_err());
        assert!(whole(&pack).unwrap().is_empty());
        let both = encode(&[old.clone(), new.clone()], &told).unwrap();
        assert_eq!(decode(&both, &mut none).unwrap().objects.len(), 2);
    }

    #[test]
    fn journal_packs_round_trip_at_every_block_border() {
        for size in [0, 1, 15, 16, 2047, 2048, 0xfffe, 0xffff, 0x1_0000, 0x2_0001] {
            let given = vec![blob(&vec![b'x'; size]), blob(b"second")];
            let pack = encode(&given, &HashMap::new()).unwrap();
            let read = decode(&pack, &mut none).unwrap().objects;
            assert_eq!(read.len(), 2, "{size}");
            assert_eq!((read[0].0, &read[0].1.data), (given[0].0, &given[0].1.data), "{size}");
        }
    }

    #[test]
    fn a_cut_pack_is_an_error_at_every_length() {
        let pack = encode(&[blob(b"some text"), blob(b"more")], &HashMap::new()).unwrap();
        for length in 1..pack.len() - 20 {
            assert!(decode(&pack[..length], &mut none).is_err(), "{length}");
        }
    }
}
