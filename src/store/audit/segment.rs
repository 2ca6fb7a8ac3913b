//! The files of the audit log: lines of JSON, in files named by the number of
//! their first entry. Only reading; `log` appends.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use super::AuditEntry;
use crate::store::error::{StoreError, failed};

/// A file that has reached this is not appended to any more.
pub(super) const SEGMENT_BYTES_MAX: u64 = 8 << 20;

/// A line above this is none of ours: names and summaries are bounded.
const LINE_BYTES_MAX: usize = 64 << 10;

/// Whether sectors of a line never reached the disk: they read as zeros, which
/// JSON has none of.
pub(super) fn lacks_sectors(line: &str) -> bool {
    line.contains('\0')
}

/// One file, and the number of its first entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) first: u64,
    pub(super) path: PathBuf,
}

impl Segment {
    pub(super) fn new(folder: &Path, first: u64) -> Self {
        Self { first, path: folder.join(format!("{first:020}.jsonl")) }
    }

    /// Its length.
    pub(super) fn bytes(&self) -> Result<u64, StoreError> {
        let what = || format!("reading `{}`", self.path.display());
        Ok(std::fs::metadata(&self.path).map_err(failed(what()))?.len())
    }

    /// Visits whole lines in order, with their number from 1, until `visit`
    /// says that it has enough. Gives the bytes of a last line that is not
    /// whole: it is being appended, or a crash cut it off.
    pub(super) fn lines(
        &self,
        mut visit: impl FnMut(usize, &str) -> bool,
    ) -> Result<usize, StoreError> {
        let what = || format!("reading `{}`", self.path.display());
        let file = File::open(&self.path).map_err(failed(what()))?;
        let mut reader = BufReader::new(file);
        let mut bytes = Vec::new();
        for number in 1.. {
            bytes.clear();
            let mut bounded = std::io::Read::take(&mut reader, LINE_BYTES_MAX as u64);
            bounded.read_until(b'\n', &mut bytes).map_err(failed(what()))?;
            if bytes.last() != Some(&b'\n') && bytes.len() < LINE_BYTES_MAX {
                return Ok(bytes.len());
            }
            let line = String::from_utf8_lossy(&bytes);
            if !visit(number, line.trim_end_matches('\n')) {
                return Ok(0);
            }
        }
        Ok(0)
    }

    /// Entries in order, as [`Self::lines`]; a line that is none is an error.
    pub(super) fn entries(
        &self,
        mut visit: impl FnMut(AuditEntry) -> bool,
    ) -> Result<(), StoreError> {
        let mut bad = None;
        self.lines(|number, line| match super::parse(line) {
            Some(entry) => visit(entry),
            None => {
                bad = Some(number);
                false
            }
        })?;
        match bad {
            None => Ok(()),
            Some(number) => Err(StoreError::damaged(
                format!(
                    "`{}` is damaged at line {number}; run `convoy audit verify`",
                    self.path.display()
                ),
                "it is no entry of the audit log, or not the one that was written",
            )),
        }
    }
}

/// The files in `folder`, oldest first; a folder that is not there has none.
pub(super) fn segments(folder: &Path) -> Result<Vec<Segment>, StoreError> {
    let what = || format!("listing `{}`", folder.display());
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(what())(error)),
    };
    let mut segments = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed(what()))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(first) = name.strip_suffix(".jsonl").and_then(|first| first.parse().ok()) {
            segments.push(Segment { first, path });
        }
    }
    segments.sort_by_key(|segment| segment.first);
    Ok(segments)
}
