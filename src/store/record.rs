//! What the journal holds: records, and the frames that carry them.
//!
//! One frame is what one fdatasync made durable, with one checksum over all
//! of its records. That is what tells a torn tail from damage: the next frame
//! is only written once this one is durable, so a bad frame that a good one
//! follows was good once.
//!
//! ```text
//! frame  = "CVYF" | length u32 | sequence u64 | sha256[..16] of (sequence, body) | body
//! body   = count u32 | count × (length u32 | record)
//! record = length u32 | meta, JSON | count u32 | count × commit id | objects as a Git pack
//! ```

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::{StoreError, failed};
use crate::model::{CommitId, RepoName};

const MAGIC: &[u8; 4] = b"CVYF";
const HEADER_BYTES: usize = 32;

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
}

#[derive(Serialize, Deserialize)]
struct Meta {
    act: Act,
    repo: RepoName,
    old: Option<CommitId>,
    first: u64,
    begins: bool,
}

impl Record {
    /// The record that makes a repository.
    pub(crate) fn create(repo: &RepoName) -> Self {
        Self {
            act: Act::Create,
            repo: repo.clone(),
            old: None,
            first: 0,
            begins: false,
            commits: Vec::new(),
            pack: Vec::new(),
        }
    }

    /// The record as bytes.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, StoreError> {
        let meta = Meta {
            act: self.act,
            repo: self.repo.clone(),
            old: self.old,
            first: self.first,
            begins: self.begins,
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
        let Meta { act, repo, old, first, begins } = meta;
        Some(Self { act, repo, old, first, begins, commits, pack: pack.to_vec() })
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
pub(crate) fn frame(sequence: u64, records: &[Vec<u8>]) -> Result<Vec<u8>, StoreError> {
    let room: usize = records.iter().map(|record| record.len() + 4).sum();
    let mut body = Vec::with_capacity(room + 4);
    put_length(&mut body, records.len())?;
    for record in records {
        put_length(&mut body, record.len())?;
        body.extend_from_slice(record);
    }
    let mut bytes = Vec::with_capacity(body.len() + HEADER_BYTES);
    bytes.extend_from_slice(MAGIC);
    put_length(&mut bytes, body.len())?;
    bytes.extend_from_slice(&sequence.to_le_bytes());
    bytes.extend_from_slice(&checksum(sequence, &body));
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

fn checksum(sequence: u64, body: &[u8]) -> [u8; 16] {
    let mut hasher = Sha256::new();
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
    pub(crate) records: Vec<Record>,
    /// The bytes it took.
    pub(crate) length: usize,
}

/// Reads the frame that `bytes` begin with; `None` if it isn't whole.
pub(crate) fn read_frame(bytes: &[u8]) -> Option<Frame> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (length, rest) = take_length(rest)?;
    let (sequence, rest) = rest.split_first_chunk::<8>()?;
    let sequence = u64::from_le_bytes(*sequence);
    let (sum, rest) = rest.split_first_chunk::<16>()?;
    let body = rest.get(..length)?;
    if *sum != checksum(sequence, body) {
        return None;
    }
    let (count, mut rest) = take_length(body)?;
    let mut records = Vec::new();
    for _ in 0..count {
        let (length, after) = take_length(rest)?;
        let (record, after) = after.split_at_checked(length)?;
        records.push(Record::decode(record)?);
        rest = after;
    }
    Some(Frame { sequence, records, length: HEADER_BYTES + length })
}

/// Where the next whole frame begins within `bytes`, if there is one.
pub(crate) fn find_frame(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(MAGIC.len())
        .enumerate()
        .filter(|(_, window)| window == MAGIC)
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
        }
    }

    #[test]
    fn frames_round_trip() {
        let records = [record(1), record(7)];
        let encoded: Vec<_> = records.iter().map(|r| r.encode().unwrap()).collect();
        let bytes = frame(42, &encoded).unwrap();
        let read = read_frame(&bytes).unwrap();
        assert_eq!((read.sequence, read.length), (42, bytes.len()));
        assert_eq!(read.records, records);
    }

    #[test]
    fn any_changed_or_missing_byte_is_noticed() {
        let bytes = frame(1, &[record(3).encode().unwrap()]).unwrap();
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 0x40;
            assert!(read_frame(&bad).is_none(), "byte {at}");
            assert!(read_frame(&bytes[..at]).is_none(), "length {at}");
        }
    }

    #[test]
    fn the_next_frame_is_found_behind_rubbish() {
        let mut bytes = b"rubbish CVYF more".to_vec();
        let at = bytes.len();
        bytes.extend(frame(1, &[record(3).encode().unwrap()]).unwrap());
        assert_eq!(find_frame(&bytes), Some(at));
        assert_eq!(find_frame(b"CVYF and nothing"), None);
    }
}
