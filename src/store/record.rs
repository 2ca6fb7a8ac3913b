//! What the journal holds: records, and the frames that carry them.
//!
//! One frame is what one fdatasync made durable, with one checksum over all
//! of its records. That is what tells a torn tail from damage: the next frame
//! is only written once this one is durable, so a bad frame that a good one
//! follows was good once.
//!
//! ```text
//! frame  = "CVY2" | length u32 | sequence u64 | sha256[..16] of (magic, sequence, body) | body
//! body   = stamp | count u32 | count × (length u32 | record) | 0xA5
//! stamp  = number u64 | milliseconds since 1970 i64 | the audit entry before, hash
//! record = length u32 | meta, JSON | count u32 | count × commit id | objects as a Git pack
//! ```
//!
//! A crash leaves the last frame short, or with pieces that never reached the
//! disk. A piece is what of the frame lies in one sector of the disk, and one
//! that was not written reads as zeros. None that was written does: the first
//! begins with the magic, the last ends with 0xA5, those between hold JSON,
//! hashes and compressed objects. So a frame of full length that is not as it
//! was written, and lacks no piece, was durable once and changed later: that
//! is damage, and not to be taken for what nobody was promised.
//!
//! Frames that begin with "CVYF" were written before there was an audit log:
//! they have no stamp, and the magic is not in their checksum.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::{StoreError, failed};
use crate::model::{CommitId, ContentHash, Origin, RepoName};

const MAGIC: &[u8; 4] = b"CVY2";
const MAGIC_UNSTAMPED: &[u8; 4] = b"CVYF";
const HEADER_BYTES: usize = 32;

/// Ends a frame, so that its last piece on disk is never all zeros. More than
/// one bit is set: one that flips leaves it so.
const END: u8 = 0xA5;

/// What a disk writes whole or not at all; those with larger sectors write
/// several of these at once.
const SECTOR_BYTES: usize = 512;

/// Longer summaries are cut.
const SUMMARY_CHARS_MAX: usize = 200;

/// What a record does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Act {
    /// Makes a repository.
    Create,
    /// Adds a commit whose objects the record carries.
    Commit,
    /// Moves the head over commits that are in the Git folder already.
    Head,
    /// Removes a repository with all its history.
    Purge,
}

/// On whose behalf a record was written, and in a line what for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) origin: Origin,
    pub(crate) summary: String,
}

impl Note {
    /// The note of a write by `origin` with this message.
    pub(crate) fn new(origin: &Origin, message: &str) -> Self {
        let first = message.lines().next().unwrap_or_default().trim();
        let summary = first.chars().take(SUMMARY_CHARS_MAX).collect();
        Self { origin: origin.clone(), summary }
    }
}

impl Default for Note {
    fn default() -> Self {
        Self::new(&Origin::system(), "")
    }
}

/// What a frame says of its records: the number of the first (the others
/// follow), when they were made durable, and the hash of the audit entry
/// before them, so that the journal vouches for the end of the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) number: u64,
    pub(crate) time: Timestamp,
    pub(crate) previous: ContentHash,
}

/// One durable fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) act: Act,
    pub(crate) repo: RepoName,
    /// The head before.
    pub(crate) old: Option<CommitId>,
    /// The revision of the first of `commits`.
    pub(crate) first: u64,
    /// Whether `commits` begin a first-parent line of their own rather than
    /// continue the one that ended at `old`.
    pub(crate) begins: bool,
    /// One for each new revision; the last is the new head.
    pub(crate) commits: Vec<CommitId>,
    /// The objects that the commits need and the repository lacked.
    pub(crate) pack: Vec<u8>,
    pub(crate) note: Note,
}

#[derive(Serialize, Deserialize)]
struct Meta {
    act: Act,
    repo: RepoName,
    old: Option<CommitId>,
    first: u64,
    begins: bool,
    #[serde(default)]
    note: Note,
}

impl Record {
    /// The record that makes a repository.
    pub(crate) fn create(repo: &RepoName, by: &Origin) -> Self {
        Self {
            act: Act::Create,
            repo: repo.clone(),
            old: None,
            first: 0,
            begins: false,
            commits: Vec::new(),
            pack: Vec::new(),
            note: Note::new(by, "create the repository"),
        }
    }

    /// The record that removes a repository whose head is `old`.
    pub(crate) fn purge(repo: &RepoName, old: Option<CommitId>, by: &Origin) -> Self {
        let note = Note::new(by, "remove the repository for ever");
        Self { act: Act::Purge, old, note, ..Self::create(repo, by) }
    }

    /// The record as bytes.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, StoreError> {
        let meta = Meta {
            act: self.act,
            repo: self.repo.clone(),
            old: self.old,
            first: self.first,
            begins: self.begins,
            note: self.note.clone(),
        };
        let meta = serde_json::to_vec(&meta).map_err(failed("writing a journal record"))?;
        let room = meta.len() + self.commits.len() * 20 + self.pack.len() + 8;
        let mut bytes = Vec::with_capacity(room);
        put_length(&mut bytes, meta.len())?;
        bytes.extend_from_slice(&meta);
        put_length(&mut bytes, self.commits.len())?;
        self.commits.iter().for_each(|commit| bytes.extend_from_slice(&commit.0));
        bytes.extend_from_slice(&self.pack);
        Ok(bytes)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (meta, rest) = take_length(bytes)?;
        let (meta, rest) = rest.split_at_checked(meta)?;
        let meta: Meta = serde_json::from_slice(meta).ok()?;
        let (count, rest) = take_length(rest)?;
        let (commits, pack) = rest.split_at_checked(count.checked_mul(20)?)?;
        let commits =
            commits.as_chunks::<20>().0.iter().map(|id| CommitId(*id)).collect::<Vec<_>>();
        let Meta { act, repo, old, first, begins, note } = meta;
        Some(Self { act, repo, old, first, begins, commits, pack: pack.to_vec(), note })
    }
}

fn put_length(bytes: &mut Vec<u8>, length: usize) -> Result<(), StoreError> {
    let length = u32::try_from(length)
        .map_err(|_| StoreError::Limit("a commit of more than 4 GiB can't be journaled".into()))?;
    bytes.extend_from_slice(&length.to_le_bytes());
    Ok(())
}

fn take_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*length) as usize, rest))
}

/// Puts encoded records into one frame.
pub(crate) fn frame(
    sequence: u64,
    stamp: &Stamp,
    records: &[Vec<u8>],
) -> Result<Vec<u8>, StoreError> {
    let room: usize = records.iter().map(|record| record.len() + 4).sum();
    let mut body = Vec::with_capacity(room + 53);
    body.extend_from_slice(&stamp.number.to_le_bytes());
    body.extend_from_slice(&stamp.time.as_millisecond().to_le_bytes());
    body.extend_from_slice(&stamp.previous.0);
    put_length(&mut body, records.len())?;
    for record in records {
        put_length(&mut body, record.len())?;
        body.extend_from_slice(record);
    }
    body.push(END);
    let mut bytes = Vec::with_capacity(body.len() + HEADER_BYTES);
    bytes.extend_from_slice(MAGIC);
    put_length(&mut bytes, body.len())?;
    bytes.extend_from_slice(&sequence.to_le_bytes());
    bytes.extend_from_slice(&checksum(MAGIC, sequence, &body));
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

fn checksum(domain: &[u8], sequence: u64, body: &[u8]) -> [u8; 16] {
    let mut hasher = Sha256::new();
    hasher.update(domain);
    hasher.update(sequence.to_le_bytes());
    hasher.update(body);
    let whole: [u8; 32] = hasher.finalize().into();
    let mut half = [0; 16];
    half.copy_from_slice(&whole[..16]);
    half
}

/// A frame that was read back whole.
pub(crate) struct Frame {
    pub(crate) sequence: u64,
    /// `None` in a frame from before there was an audit log.
    pub(crate) stamp: Option<Stamp>,
    pub(crate) records: Vec<Record>,
    /// The bytes it took.
    pub(crate) length: usize,
}

/// Reads the frame that `bytes` begin with; `None` if it isn't whole.
pub(crate) fn read_frame(bytes: &[u8]) -> Option<Frame> {
    let (magic, rest) = bytes.split_first_chunk::<4>()?;
    let domain: &[u8] = match magic {
        MAGIC => MAGIC,
        MAGIC_UNSTAMPED => &[],
        _ => return None,
    };
    let (length, rest) = take_length(rest)?;
    let (sequence, rest) = rest.split_first_chunk::<8>()?;
    let sequence = u64::from_le_bytes(*sequence);
    let (sum, rest) = rest.split_first_chunk::<16>()?;
    let body = rest.get(..length)?;
    if *sum != checksum(domain, sequence, body) {
        return None;
    }
    let (stamp, body) = if domain.is_empty() {
        (None, body)
    } else {
        take_stamp(body).map(|(s, b)| (Some(s), b))?
    };
    let (count, mut rest) = take_length(body)?;
    let mut records = Vec::new();
    for _ in 0..count {
        let (length, after) = take_length(rest)?;
        let (record, after) = after.split_at_checked(length)?;
        records.push(Record::decode(record)?);
        rest = after;
    }
    Some(Frame { sequence, stamp, records, length: HEADER_BYTES + length })
}

fn take_stamp(body: &[u8]) -> Option<(Stamp, &[u8])> {
    let (number, rest) = body.split_first_chunk::<8>()?;
    let (time, rest) = rest.split_first_chunk::<8>()?;
    let (previous, rest) = rest.split_first_chunk::<32>()?;
    let time = Timestamp::from_millisecond(i64::from_le_bytes(*time)).ok()?;
    let number = u64::from_le_bytes(*number);
    Some((Stamp { number, time, previous: ContentHash(*previous) }, rest))
}

/// Whether bytes at `offset` of a file, up to its end, that hold no whole frame
/// are what a crash leaves of one that was being appended: cut short, or with
/// pieces missing. Whatever else they are, they were not left so by a crash.
pub(crate) fn is_torn(bytes: &[u8], offset: usize) -> bool {
    if pieces(bytes, offset).any(|piece| piece.iter().all(|byte| *byte == 0)) {
        return true;
    }
    let Some((magic, rest)) = bytes.split_first_chunk::<4>() else {
        return is_magic_cut(bytes);
    };
    let domain: &[u8] = match magic {
        MAGIC => MAGIC,
        MAGIC_UNSTAMPED => &[],
        _ => return false,
    };
    let header = || {
        let (length, rest) = take_length(rest)?;
        let (sequence, rest) = rest.split_first_chunk::<8>()?;
        let (sum, body) = rest.split_first_chunk::<16>()?;
        Some((length, u64::from_le_bytes(*sequence), *sum, body))
    };
    header().is_none_or(|(length, sequence, sum, body)| {
        // A body that is whole has a length that is wrong.
        body.len() < length && sum != checksum(domain, sequence, body)
    })
}

/// What of the bytes lies in each sector.
fn pieces(bytes: &[u8], offset: usize) -> impl Iterator<Item = &[u8]> {
    let first = (SECTOR_BYTES - offset % SECTOR_BYTES).min(bytes.len());
    let (first, rest) = bytes.split_at(first);
    std::iter::once(first).chain(rest.chunks(SECTOR_BYTES))
}

fn is_magic_cut(bytes: &[u8]) -> bool {
    MAGIC.starts_with(bytes) || MAGIC_UNSTAMPED.starts_with(bytes)
}

/// Whether a file that begins so may be from before there was an audit log:
/// then it was made empty.
pub(crate) fn may_be_unstamped(bytes: &[u8]) -> bool {
    bytes.iter().zip(MAGIC_UNSTAMPED).all(|(byte, expect)| byte == expect)
}

/// Where the next whole frame begins within `bytes`, if there is one.
pub(crate) fn find_frame(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(MAGIC.len())
        .enumerate()
        .filter(|(_, window)| window == MAGIC || window == MAGIC_UNSTAMPED)
        .map(|(at, _)| at)
        .find(|at| read_frame(&bytes[*at..]).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(n: u8) -> Record {
        Record {
            act: Act::Commit,
            repo: RepoName::state(),
            old: Some(CommitId([n; 20])),
            first: u64::from(n),
            begins: n == 1,
            commits: vec![CommitId([n + 1; 20]), CommitId([n + 2; 20])],
            pack: vec![n; 100],
            note: Note::new(&Origin::system(), "a summary\nand more"),
        }
    }

    fn stamp() -> Stamp {
        let time = Timestamp::from_millisecond(1_700_000_000_123).unwrap();
        Stamp { number: 7, time, previous: ContentHash([3; 32]) }
    }

    /// A frame as it was written before there was an audit log.
    fn unstamped(sequence: u64) -> Vec<u8> {
        let meta = br#"{"act":"create","repo":"a/b","old":null,"first":0,"begins":false}"#;
        let record =
            [&u32::try_from(meta.len()).unwrap().to_le_bytes()[..], meta, &[0; 4]].concat();
        let length = u32::try_from(record.len()).unwrap().to_le_bytes();
        let body = [&1_u32.to_le_bytes()[..], &length, &record].concat();
        let length = u32::try_from(body.len()).unwrap().to_le_bytes();
        let sum = checksum(&[], sequence, &body);
        [b"CVYF", &length[..], &sequence.to_le_bytes(), &sum, &body].concat()
    }

    #[test]
    fn frames_from_before_the_audit_log_are_read() {
        let read = read_frame(&unstamped(9)).unwrap();
        assert_eq!((read.sequence, read.stamp), (9, None));
        assert_eq!(read.records[0].note, Note::default());
        assert_eq!(read.records[0].repo, RepoName::new("a/b").unwrap());
    }

    #[test]
    fn frames_round_trip() {
        let records = [record(1), record(7)];
        let encoded: Vec<_> = records.iter().map(|r| r.encode().unwrap()).collect();
        let bytes = frame(42, &stamp(), &encoded).unwrap();
        let read = read_frame(&bytes).unwrap();
        assert_eq!((read.sequence, read.length), (42, bytes.len()));
        assert_eq!((read.stamp, read.records), (Some(stamp()), records.to_vec()));
    }

    #[test]
    fn any_changed_or_missing_byte_is_noticed() {
        let bytes = frame(1, &stamp(), &[record(3).encode().unwrap()]).unwrap();
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 0x40;
            assert!(read_frame(&bad).is_none(), "byte {at}");
            assert!(read_frame(&bytes[..at]).is_none(), "length {at}");
        }
    }

    #[test]
    fn a_frame_that_lacks_a_piece_is_torn_and_one_with_a_flipped_bit_is_not() {
        let large = Record { pack: (0..3000_u32).map(|n| (n % 251) as u8).collect(), ..record(1) };
        let small = Record::create(&RepoName::state(), &Origin::system());
        for (record, offset) in [(&large, 0), (&large, 100), (&large, 511), (&small, 300)] {
            let whole = frame(1, &stamp(), &[record.encode().unwrap()]).unwrap();
            for at in 0..whole.len() {
                for bit in [1, 0x80] {
                    let mut bad = whole.clone();
                    bad[at] ^= bit;
                    assert!(!is_torn(&bad, offset), "byte {at} at {offset}");
                }
                assert!(is_torn(&whole[..at], offset), "cut to {at} at {offset}");
            }
            let mut at = 0;
            for length in pieces(&whole, offset).map(<[u8]>::len).collect::<Vec<_>>() {
                let mut bad = whole.clone();
                bad[at..at + length].fill(0);
                assert!(is_torn(&bad, offset), "piece at {at} of {offset}");
                at += length;
            }
        }
    }

    #[test]
    fn the_next_frame_is_found_behind_rubbish() {
        let mut bytes = b"rubbish CVYF more".to_vec();
        let at = bytes.len();
        bytes.extend(frame(1, &stamp(), &[record(3).encode().unwrap()]).unwrap());
        assert_eq!(find_frame(&bytes), Some(at));
        assert_eq!(find_frame(b"CVYF and nothing"), None);
    }
}
