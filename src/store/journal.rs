//! The journal: one file of frames, appended and synced by one thread.
//!
//! It knows neither repositories nor Git. `writer` appends, `open` replays,
//! `checkpoint` cuts. A file is named by the sequence of its first frame;
//! there is more than one only if a crash came between the two steps of a cut.
//! That first frame holds no records: it says which number comes next, so that
//! numbers go on across restarts, and that a file begins as it should.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{StoreError, failed, is_full};
use super::files::{self, Files};
use super::record::{self, Record, Stamp};

/// The file that frames are appended to.
#[derive(Debug)]
pub(crate) struct Journal {
    files: Arc<dyn Files>,
    folder: PathBuf,
    current: PathBuf,
    sequence: u64,
    /// The file's length, and how much of it is its first frame.
    bytes: u64,
    first_bytes: u64,
}

/// A record as it was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replayed {
    pub(crate) record: Record,
    /// Its own number and time, and the audit entry before the first record
    /// of its frame; `None` from before there was an audit log.
    pub(crate) stamp: Option<Stamp>,
}

/// A tail that no frame is whole in: a crash tore it before it was
/// acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Torn {
    pub(crate) file: PathBuf,
    pub(crate) offset: usize,
    pub(crate) bytes: usize,
}

/// What a journal held when it was opened.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// Whole records, oldest first.
    pub(crate) records: Vec<Replayed>,
    /// A torn tail that was dropped.
    pub(crate) torn: Option<Torn>,
    /// What the first frame said that has a stamp.
    pub(crate) begins: Option<Stamp>,
    /// The number of the next record, where a frame said so.
    pub(crate) next_number: Option<u64>,
    next_sequence: u64,
}

impl Replay {
    /// Whether the record of this number, and all after it, are still here:
    /// then nothing rests yet on their having reached another file.
    pub(crate) fn holds(&self, number: u64) -> bool {
        self.begins.is_some_and(|begins| begins.number <= number)
    }

    fn take(&mut self, frame: record::Frame) {
        self.next_sequence = frame.sequence + 1;
        if let Some(stamp) = frame.stamp {
            self.begins.get_or_insert(stamp);
            self.next_number = Some(stamp.number + frame.records.len() as u64);
        }
        let numbers = frame.stamp.map_or(0, |stamp| stamp.number)..;
        let replayed = frame.records.into_iter().zip(numbers).map(|(record, number)| Replayed {
            record,
            stamp: frame.stamp.map(|stamp| Stamp { number, ..stamp }),
        });
        self.records.extend(replayed);
    }
}

impl Journal {
    /// Reads what the journal in `folder` holds.
    ///
    /// # Errors
    /// A frame is damaged that was durable once.
    pub(crate) fn replay(files: &dyn Files, folder: &Path) -> Result<Replay, StoreError> {
        let mut replay = Replay { next_sequence: 1, ..Replay::default() };
        let segments = segments(files, folder)?;
        for path in &segments {
            let bytes =
                files.read(path).map_err(failed(format!("reading `{}`", path.display())))?;
            let mut at = 0;
            while let Some(frame) = record::read_frame(&bytes[at..]) {
                if let Some(torn) = &replay.torn {
                    return Err(damage(&torn.file, torn.offset, "later records are whole"));
                }
                if replay.next_sequence > 1 && frame.sequence != replay.next_sequence {
                    return Err(damage(path, at, "records before it are missing"));
                }
                at += frame.length;
                replay.take(frame);
            }
            if record::find_frame(&bytes[at..]).is_some() {
                return Err(damage(path, at, "later records are whole"));
            }
            // A file is made whole before those that it replaces go.
            if at == 0 && segments.len() == 1 && !record::may_be_unstamped(&bytes) {
                return Err(damage(path, at, "its first frame is not whole"));
            }
            if at < bytes.len() {
                if !record::is_torn(&bytes[at..], at) {
                    return Err(changed(path, at));
                }
                let bytes = bytes.len() - at;
                replay.torn = Some(Torn { file: path.clone(), offset: at, bytes });
            }
        }
        Ok(replay)
    }

    /// Begins a fresh file behind what was replayed and removes the old ones:
    /// their records must be durable elsewhere.
    pub(crate) fn begin(
        files: Arc<dyn Files>,
        folder: &Path,
        replay: &Replay,
        stamp: &Stamp,
    ) -> Result<Self, StoreError> {
        let mut journal = Self {
            files,
            folder: folder.to_owned(),
            current: PathBuf::new(),
            sequence: replay.next_sequence.max(1),
            bytes: 0,
            first_bytes: 0,
        };
        journal.cut(stamp)?;
        Ok(journal)
    }

    /// The bytes of records in the file.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes - self.first_bytes
    }

    /// Appends one frame and makes it durable.
    ///
    /// # Errors
    /// [`StoreError::Full`]: there was no room, and the file is as it was.
    /// Others: what is in the file is not known any more.
    pub(crate) fn append(&mut self, stamp: &Stamp, records: &[Vec<u8>]) -> Result<(), StoreError> {
        let what = || format!("writing `{}`", self.current.display());
        let frame = record::frame(self.sequence, stamp, records)?;
        if let Err(error) = self.files.append(&self.current, &frame) {
            if is_full(&error) {
                // A failed sync says that the cut may not last; then what
                // follows must not be acknowledged either.
                let cut = self.files.truncate(&self.current, self.bytes);
                cut.and_then(|()| self.files.sync(&self.current)).map_err(|error| {
                    StoreError::damaged(format!("cutting `{}`", self.current.display()), error)
                })?;
            }
            return Err(failed(what())(error));
        }
        // Never `Full`: after a failed sync nobody knows what is on disk.
        self.files.sync(&self.current).map_err(|error| StoreError::damaged(what(), error))?;
        self.bytes += frame.len() as u64;
        self.sequence += 1;
        Ok(())
    }

    /// Begins a fresh file and removes the old ones. `stamp` is that of the
    /// next record.
    ///
    /// # Errors
    /// [`StoreError::Full`]: there was no room, and all is as it was.
    pub(crate) fn cut(&mut self, stamp: &Stamp) -> Result<(), StoreError> {
        let first = record::frame(self.sequence, stamp, &[])?;
        let what = failed(format!("cutting the journal in `{}`", self.folder.display()));
        self.cut_files(&first).map_err(what)
    }

    fn cut_files(&mut self, first: &[u8]) -> io::Result<()> {
        let fresh = self.folder.join(format!("{:020}.journal", self.sequence));
        let old: Vec<String> = self.files.list(&self.folder)?;
        let is_fresh = |name: &String| fresh.ends_with(name);
        // A file of that name holds nothing whole: its first frame would have
        // moved the sequence on. It is replaced, so that a file of a journal
        // never begins with half a frame.
        files::replace(&*self.files, &fresh, first)?;
        for name in old.iter().filter(|name| !is_fresh(name) && name.ends_with(".journal")) {
            self.files.remove(&self.folder.join(name))?;
        }
        self.files.sync_dir(&self.folder)?;
        self.current = fresh;
        self.first_bytes = first.len() as u64;
        self.bytes = self.first_bytes;
        self.sequence += 1;
        Ok(())
    }
}

fn segments(files: &dyn Files, folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let names = files.list(folder).map_err(failed(format!("listing `{}`", folder.display())))?;
    Ok(names
        .into_iter()
        .filter(|name| name.ends_with(".journal"))
        .map(|name| folder.join(name))
        .collect())
}

fn damage(path: &Path, offset: usize, why: &str) -> StoreError {
    StoreError::damaged(
        format!(
            "the journal `{}` is damaged at byte {offset}; restore the folder from a backup",
            path.display()
        ),
        why,
    )
}

/// The last frame is all there and not as it was written. Whether it was
/// acknowledged nobody knows, so nobody but a person may give it up.
fn changed(path: &Path, offset: usize) -> StoreError {
    let file = path.display();
    StoreError::damaged(
        format!(
            "the journal `{file}` is damaged at byte {offset}: its last frame is all there and \
             not as it was written; `convoy fsck` checks the rest. Restore the folder from a \
             backup, or give the frame up and with it what it may have acknowledged: \
             truncate -s {offset} '{file}'"
        ),
        "the frame's checksum does not fit",
    )
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::{ContentHash, RepoName};
    use crate::store::files::RealFiles;
    use crate::store::record::{Act, Note};

    fn record(first: u64) -> Record {
        Record {
            act: Act::Head,
            repo: RepoName::state(),
            old: None,
            first,
            begins: false,
            commits: Vec::new(),
            pack: Vec::new(),
            note: Note::default(),
        }
    }

    fn stamp(number: u64) -> Stamp {
        let time = Timestamp::from_second(1_700_000_000).unwrap();
        Stamp { number, time, previous: ContentHash([0; 32]) }
    }

    fn begin(folder: &Path) -> Journal {
        let files: Arc<dyn Files> = Arc::new(RealFiles::default());
        Journal::begin(files, folder, &Replay::default(), &stamp(1)).unwrap()
    }

    /// A journal of three frames behind the first, and where each of them ends.
    fn written(folder: &Path) -> (PathBuf, Vec<usize>) {
        let mut journal = begin(folder);
        let mut ends = Vec::new();
        for n in 1..=3 {
            journal.append(&stamp(n), &[record(n).encode().unwrap()]).unwrap();
            ends.push(usize::try_from(journal.bytes).unwrap());
        }
        (journal.current, ends)
    }

    fn firsts(folder: &Path) -> Result<(Vec<u64>, usize), StoreError> {
        let replay = Journal::replay(&RealFiles::default(), folder)?;
        let torn_bytes = replay.torn.map_or(0, |torn| torn.bytes);
        Ok((replay.records.iter().map(|r| r.record.first).collect(), torn_bytes))
    }

    #[test]
    fn a_torn_tail_is_dropped_at_every_length() {
        let folder = tempfile::tempdir().unwrap();
        let (path, ends) = written(folder.path());
        let bytes = std::fs::read(&path).unwrap();
        for length in ends[1]..bytes.len() {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert_eq!(firsts(folder.path()).unwrap(), (vec![1, 2], length - ends[1]));
        }
    }

    #[test]
    fn damage_before_whole_records_names_file_and_offset() {
        let folder = tempfile::tempdir().unwrap();
        let (path, ends) = written(folder.path());
        let bytes = std::fs::read(&path).unwrap();
        let first = record::read_frame(&bytes).unwrap().length;
        for at in [0, 9, first, ends[0] - 1, ends[0], ends[0] + 9, ends[1] - 1] {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            std::fs::write(&path, bad).unwrap();
            let frame = [0, first, ends[0]].into_iter().rfind(|frame| *frame <= at).unwrap();
            let text = firsts(folder.path()).unwrap_err().to_string();
            assert!(text.contains(&format!("damaged at byte {frame};")), "{text}");
            assert!(text.contains(&*path.to_string_lossy()), "{text}");
        }
    }

    #[test]
    fn a_bit_that_flips_in_the_last_frame_is_damage_and_no_torn_tail() {
        let folder = tempfile::tempdir().unwrap();
        let (path, ends) = written(folder.path());
        let bytes = std::fs::read(&path).unwrap();
        for at in ends[1]..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            std::fs::write(&path, bad).unwrap();
            let text = firsts(folder.path()).unwrap_err().to_string();
            let remedy = format!("truncate -s {} '{}'", ends[1], path.display());
            assert!(text.contains(&format!("damaged at byte {}:", ends[1])), "{at}: {text}");
            assert!(text.contains("convoy fsck") && text.ends_with(&remedy), "{at}: {text}");
        }
        // The remedy is one.
        std::fs::write(&path, &bytes[..ends[1]]).unwrap();
        assert_eq!(firsts(folder.path()).unwrap(), (vec![1, 2], 0));
    }

    #[test]
    fn a_last_frame_of_which_a_sector_never_reached_the_disk_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let (path, ends) = written(folder.path());
        let large = Record { pack: vec![7; 3000], ..record(4) };
        let large = record::frame(5, &stamp(4), &[large.encode().unwrap()]).unwrap();
        let bytes = [std::fs::read(&path).unwrap(), large].concat();
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(firsts(folder.path()).unwrap(), (vec![1, 2, 3, 4], 0));
        for sector in ends[2] / 512..bytes.len().div_ceil(512) {
            let mut bad = bytes.clone();
            let piece = (sector * 512).max(ends[2])..((sector + 1) * 512).min(bytes.len());
            bad[piece].fill(0);
            std::fs::write(&path, bad).unwrap();
            let torn = bytes.len() - ends[2];
            assert_eq!(firsts(folder.path()).unwrap(), (vec![1, 2, 3], torn), "sector {sector}");
        }
    }

    #[test]
    fn a_file_whose_first_frame_is_damaged_is_not_taken_for_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = begin(folder.path()).current;
        let bytes = std::fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            std::fs::write(&path, bad).unwrap();
            let text = firsts(folder.path()).unwrap_err().to_string();
            assert!(text.contains("damaged at byte 0;"), "{at}: {text}");
        }
    }

    #[test]
    fn a_cut_leaves_one_file_and_sequence_and_numbers_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = begin(folder.path());
        journal.append(&stamp(1), &[record(1).encode().unwrap()]).unwrap();
        journal.cut(&stamp(2)).unwrap();
        assert_eq!(firsts(folder.path()).unwrap(), (vec![], 0));
        let replay = Journal::replay(&RealFiles::default(), folder.path()).unwrap();
        assert_eq!(replay.next_number, Some(2));
        journal.append(&stamp(2), &[record(2).encode().unwrap()]).unwrap();
        assert_eq!(firsts(folder.path()).unwrap(), (vec![2], 0));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
