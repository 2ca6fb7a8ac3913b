//! The audit log of an open store: what is on disk, and behind it what the
//! journal holds and no checkpoint wrote yet. The writer stages and flushes;
//! anybody reads.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::segment::{self, SEGMENT_BYTES_MAX, Segment};
use super::{AuditEntry, AuditQuery, BEGIN};
use crate::model::{CommitId, ContentHash, Origin, RepoName, Revision};
use crate::store::error::{StoreError, failed};
use crate::store::files::{Files, RealFiles};
use crate::store::journal::{Journal, Replay};
use crate::store::record::{Record, Stamp};

/// The log.
#[derive(Debug)]
pub(crate) struct AuditLog {
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    segments: Vec<Segment>,
    /// The length of the newest file.
    bytes: u64,
    /// The newest entry of all: its number and hash.
    head: (u64, ContentHash),
    /// Whether the newest entry on disk only says where the log began.
    begins: bool,
    /// Sealed entries that are not on disk, with their lines. As long as the
    /// journal, which is bounded.
    pending: VecDeque<(AuditEntry, String)>,
}

impl AuditLog {
    /// Opens the log in `folder`, and cuts off lines that a crash tore: the
    /// journal, of which `replay` was read, still has their records.
    pub(crate) fn open(
        files: &dyn Files,
        folder: &Path,
        replay: &Replay,
    ) -> Result<Self, StoreError> {
        let what = || format!("opening the audit log `{}`", folder.display());
        let (log, torn) = Self::look(folder, replay)?;
        if let (Some(segment), true) = (log.state().segments.last(), torn > 0) {
            let length = files.len(&segment.path).map_err(failed(what()))?;
            let keep = length.saturating_sub(torn);
            files.truncate(&segment.path, keep).map_err(failed(what()))?;
            files.sync(&segment.path).map_err(failed(what()))?;
        }
        Ok(log)
    }

    /// Reads where the log in `folder` stands, and the bytes of a torn end.
    fn look(folder: &Path, replay: &Replay) -> Result<(Self, u64), StoreError> {
        let segments = segment::segments(folder)?;
        let mut state = State {
            segments,
            bytes: 0,
            head: (0, ContentHash([0; 32])),
            begins: false,
            pending: VecDeque::new(),
        };
        let mut torn = 0;
        // The newest file may be empty, or torn in its first line.
        for segment in state.segments.iter().rev() {
            let Whole { bytes, newest, left } = whole(segment, replay)?;
            state.bytes += bytes;
            torn = torn.max(left);
            if let Some(line) = newest {
                let entry: AuditEntry = serde_json::from_str(&line).map_err(|error| {
                    let what = format!(
                        "the last line of `{}` is damaged; restore the file from a backup",
                        segment.path.display()
                    );
                    failed(what)(error)
                })?;
                state.begins = entry.act == BEGIN;
                state.head = (entry.number, entry.hash);
                break;
            }
        }
        Ok((Self { folder: folder.to_owned(), state: Mutex::new(state) }, torn))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number and the hash of the newest entry.
    pub(crate) fn head(&self) -> (u64, ContentHash) {
        self.state().head
    }

    /// Whether there is any entry but those that say where the log began.
    pub(crate) fn has_acts(&self) -> bool {
        let state = self.state();
        state.head.0 > 0 && !state.begins
    }

    /// What the frame of the next records says.
    pub(crate) fn stamp(&self, time: Timestamp) -> Stamp {
        let (number, previous) = self.head();
        Stamp { number: number + 1, time, previous }
    }

    /// Goes on behind what the journal says is next, where entries are lost:
    /// their numbers are not given again, so that the gap stays visible.
    pub(crate) fn skip_to(&self, number: u64) {
        let mut state = self.state();
        if number > state.head.0 + 1 {
            tracing::error!(
                last = state.head.0, next = number, folder = %self.folder.display(),
                "audit entries are missing; run `convoy audit verify`"
            );
            state.head.0 = number - 1;
        }
    }

    /// Takes a durable record in, unless its entry is there already.
    pub(crate) fn stage(&self, record: &Record, stamp: &Stamp) -> Result<(), StoreError> {
        let mut state = self.state();
        let (last, previous) = state.head;
        if stamp.number <= last {
            return Ok(());
        }
        if stamp.number != last + 1 {
            tracing::error!(
                after = last, found = stamp.number, folder = %self.folder.display(),
                "audit entries are missing; run `convoy audit verify`"
            );
        }
        state.push(AuditEntry::of(record, stamp.number, stamp.time, previous))
    }

    /// Says where a repository stands that was there before its audit log.
    pub(crate) fn begin(
        &self,
        repo: &RepoName,
        revision: Revision,
        head: Option<CommitId>,
        time: Timestamp,
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        let (last, previous) = state.head;
        let origin = Origin::system();
        state.push(AuditEntry {
            number: last + 1,
            time,
            origin,
            act: BEGIN.into(),
            repo: repo.clone(),
            revision,
            before: None,
            after: head,
            summary: "the audit log begins here".into(),
            previous,
            hash: ContentHash([0; 32]),
        })
    }

    /// Makes everything staged durable. Only the writer calls it.
    ///
    /// # Errors
    /// [`StoreError::Full`]: what fitted is there, the rest stays staged.
    pub(crate) fn flush(&self, files: &dyn Files) -> Result<(), StoreError> {
        let what = || format!("writing the audit log `{}`", self.folder.display());
        while let Some((segment, text, count)) = self.next_batch() {
            let is_new = files.len(&segment.path).is_err();
            let before =
                if is_new { 0 } else { files.len(&segment.path).map_err(failed(what()))? };
            if let Err(error) = files.append(&segment.path, text.as_bytes()) {
                // Half a line would be taken for a torn one, and the next
                // would be glued to it.
                let _ = files.truncate(&segment.path, before);
                return Err(failed(what())(error));
            }
            files.sync(&segment.path).map_err(|error| StoreError::damaged(what(), error))?;
            if is_new {
                files.sync_dir(&self.folder).map_err(failed(what()))?;
            }
            let mut state = self.state();
            state.begins = state.pending.get(count - 1).is_some_and(|(last, _)| last.act == BEGIN);
            state.pending.drain(..count);
            state.bytes = before + text.len() as u64;
            if state.segments.last() != Some(&segment) {
                state.segments.push(segment);
            }
        }
        Ok(())
    }

    /// Lines for one file, that file, and their number.
    fn next_batch(&self) -> Option<(Segment, String, usize)> {
        let state = self.state();
        let first = state.pending.front()?.0.number;
        let newest = state.segments.last().filter(|_| state.bytes < SEGMENT_BYTES_MAX);
        let room = newest.map_or(SEGMENT_BYTES_MAX, |_| SEGMENT_BYTES_MAX - state.bytes);
        let segment = newest.cloned().unwrap_or_else(|| Segment::new(&self.folder, first));
        let (mut text, mut count) = (String::new(), 0);
        for (_, line) in &state.pending {
            if text.len() as u64 >= room {
                break;
            }
            text.push_str(line);
            text.push('\n');
            count += 1;
        }
        Some((segment, text, count))
    }

    /// Entries that a query asks for.
    pub(crate) fn entries(&self, query: &AuditQuery) -> Result<Vec<AuditEntry>, StoreError> {
        let (segments, pending) = {
            let state = self.state();
            let pending: Vec<AuditEntry> = state.pending.iter().map(|(e, _)| e.clone()).collect();
            (state.segments.clone(), pending)
        };
        let wanted = |entry: &AuditEntry| {
            entry.number > query.after && query.repo.as_ref().is_none_or(|repo| *repo == entry.repo)
        };
        let mut found: Vec<AuditEntry> = Vec::new();
        // The last file that may hold the first entry asked for.
        let from = segments.partition_point(|segment| segment.first <= query.after + 1);
        for segment in segments.iter().skip(from.saturating_sub(1)) {
            if found.len() >= query.limit {
                break;
            }
            segment.entries(|entry| {
                if wanted(&entry) {
                    found.push(entry);
                }
                found.len() < query.limit
            })?;
        }
        // What was flushed between the two looks is in both.
        let last = found.last().map_or(query.after, |entry| entry.number);
        let room = query.limit.saturating_sub(found.len());
        found.extend(pending.into_iter().filter(|e| wanted(e) && e.number > last).take(room));
        Ok(found)
    }
}

/// What of a file is whole.
struct Whole {
    /// The length of its whole lines.
    bytes: u64,
    newest: Option<String>,
    /// The bytes behind them.
    left: u64,
}

/// Reads a file up to where a crash tore it: in a line without an end, or in
/// one of which sectors are missing while the journal has its record.
fn whole(segment: &Segment, replay: &Replay) -> Result<Whole, StoreError> {
    let (mut bytes, mut newest, mut is_torn) = (0, None, false);
    let cut = segment.lines(|number, line| {
        let entry = segment.first + number as u64 - 1;
        is_torn = segment::lacks_sectors(line) && replay.holds(entry);
        if !is_torn {
            bytes += line.len() as u64 + 1;
            newest = Some(line.to_owned());
        }
        !is_torn
    })?;
    let left = if is_torn { segment.bytes()?.saturating_sub(bytes) } else { cut as u64 };
    Ok(Whole { bytes, newest, left })
}

impl State {
    fn push(&mut self, entry: AuditEntry) -> Result<(), StoreError> {
        let (entry, line) = entry.sealed()?;
        self.head = (entry.number, entry.hash);
        self.pending.push_back((entry, line));
        Ok(())
    }
}

/// The log of a store that may be open elsewhere: the journal is read first,
/// for what leaves it goes into the files.
pub(super) fn read(dir: &Path) -> Result<AuditLog, StoreError> {
    let replay = journal(dir)?;
    let (log, _) = AuditLog::look(&dir.join("audit"), &replay)?;
    for replayed in &replay.records {
        if let Some(stamp) = &replayed.stamp {
            log.stage(&replayed.record, stamp)?;
        }
    }
    Ok(log)
}

/// What the journal of a store holds that may be open elsewhere: a file that
/// was cut away while we looked is looked for again.
pub(super) fn journal(dir: &Path) -> Result<Replay, StoreError> {
    const TRIES_MAX: usize = 10;
    let (files, folder) = (RealFiles::default(), dir.join("journal"));
    let mut tried = 0;
    loop {
        tried += 1;
        match Journal::replay(&files, &folder) {
            Err(StoreError::Failed { source, .. }) if tried < TRIES_MAX && is_gone(&*source) => {}
            done => return done,
        }
    }
}

fn is_gone(source: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    let error = source.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}
