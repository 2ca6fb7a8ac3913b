//! Searching the content of a revision's files, within bounds. It reads and
//! scans: whoever calls runs it where blocking is fine.

use super::error::StoreError;
use super::open::Shared;
use super::repository::Reader;
use super::walk::{self, Met, Walk};
use super::{FileHits, SearchResult};
use crate::content::{Patterns, Scan};
use crate::model::{FilePath, RepoName, Revision};

/// Files that one search reads.
const FILES_MAX: usize = 20_000;

/// Bytes that one search reads.
const BYTES_MAX: u64 = 128 << 20;

/// Lines that one search finds, and those of one file.
const HITS_MAX: usize = 1000;
const FILE_HITS_MAX: usize = 100;

/// A NUL among so many first bytes makes a file binary, as for Git.
const BINARY_PREFIX: usize = 8000;

/// What may still be read and found.
struct Left {
    files: usize,
    bytes: u64,
    hits: usize,
}

/// Lines that match, in files that match and may be read.
pub(crate) fn search(
    shared: &Shared,
    repo: &RepoName,
    revision: Revision,
    patterns: &Patterns,
    scan: &Scan,
    admit: &dyn Fn(&FilePath) -> bool,
) -> Result<SearchResult, StoreError> {
    let repo = shared.repository(repo)?;
    let mut result = SearchResult::default();
    let mut left = Left { files: FILES_MAX, bytes: BYTES_MAX, hits: HITS_MAX };
    let may_hold = |folder: &str| walk::may_hold(patterns, folder);
    Walk { may_hold: &may_hold, ..Walk::of(shared, &repo, revision) }.run(|reader, met| {
        let Met::File(path, leaf) = met else { return Ok(()) };
        if !patterns.matches(&path) || !admit(&path) {
            return Ok(());
        }
        let Some(text) = left.text(reader, &leaf.id, &mut result, shared.options.file_bytes_max)?
        else {
            return Ok(());
        };
        let hits_max = left.hits.min(FILE_HITS_MAX);
        let mut hits = scan.lines(&text, hits_max + 1);
        result.truncated |= hits.len() > hits_max;
        hits.truncate(hits_max);
        left.hits -= hits.len();
        if !hits.is_empty() {
            result.files.push(FileHits { path, hits });
        }
        Ok(())
    })?;
    Ok(result)
}

impl Left {
    /// A file's text; `None` if it is none, or a bound is reached.
    fn text(
        &mut self,
        reader: &mut Reader<'_>,
        id: &super::object::Oid,
        result: &mut SearchResult,
        bytes_max: u64,
    ) -> Result<Option<String>, StoreError> {
        if self.hits == 0 || self.files == 0 {
            result.truncated = true;
            return Ok(None);
        }
        let bytes = reader.size(id)?;
        if bytes > self.bytes || bytes > bytes_max {
            result.truncated = true;
            return Ok(None);
        }
        self.files -= 1;
        self.bytes -= bytes;
        let data = reader.object(id)?.data;
        let is_binary = data[..data.len().min(BINARY_PREFIX)].contains(&0);
        Ok(if is_binary { None } else { String::from_utf8(data.into()).ok() })
    }
}
