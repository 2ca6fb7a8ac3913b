//! The journal: one file of frames, appended and synced by one thread.
//!
//! It knows neither repositories nor Git. `writer` appends, `open` replays,
//! `checkpoint` cuts. A file is named by the sequence of its first frame;
//! there is more than one only if a crash came between the two steps of a cut.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{StoreError, failed};
use super::files::Files;
use super::record::{self, Record};

/// The file that frames are appended to.
#[derive(Debug)]
pub(crate) struct Journal {
    files: Arc<dyn Files>,
    folder: PathBuf,
    current: PathBuf,
    sequence: u64,
    bytes: u64,
}

/// What a journal held when it was opened.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// Whole records, oldest first.
    pub(crate) records: Vec<Record>,
    /// The bytes of a torn tail that were dropped.
    pub(crate) torn_bytes: usize,
    next_sequence: u64,
}

impl Journal {
    /// Reads what the journal in `folder` holds.
    ///
    /// # Errors
    /// A frame is damaged that was durable once.
    pub(crate) fn replay(files: &dyn Files, folder: &Path) -> Result<Replay, StoreError> {
        let mut replay = Replay { next_sequence: 1, ..Replay::default() };
        let mut torn: Option<(PathBuf, usize)> = None;
        for path in segments(files, folder)? {
            let bytes =
                files.read(&path).map_err(failed(format!("reading `{}`", path.display())))?;
            let mut at = 0;
            while let Some(frame) = record::read_frame(&bytes[at..]) {
                if let Some((file, offset)) = torn {
                    return Err(damage(&file, offset, "later records are whole"));
                }
                if !replay.records.is_empty() && frame.sequence != replay.next_sequence {
                    return Err(damage(&path, at, "records before it are missing"));
                }
                replay.next_sequence = frame.sequence + 1;
                replay.records.extend(frame.records);
                at += frame.length;
            }
            if record::find_frame(&bytes[at..]).is_some() {
                return Err(damage(&path, at, "later records are whole"));
            }
            if at < bytes.len() {
                replay.torn_bytes += bytes.len() - at;
                torn = Some((path, at));
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
    ) -> Result<Self, StoreError> {
        let mut journal = Self {
            files,
            folder: folder.to_owned(),
            current: PathBuf::new(),
            sequence: replay.next_sequence.max(1),
            bytes: 0,
        };
        journal.cut()?;
        Ok(journal)
    }

    /// The length of the file in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends one frame and makes it durable.
    pub(crate) fn append(&mut self, records: &[Vec<u8>]) -> Result<(), StoreError> {
        let what = || format!("writing `{}`", self.current.display());
        let frame = record::frame(self.sequence, records)?;
        self.files.append(&self.current, &frame).map_err(failed(what()))?;
        self.files.sync(&self.current).map_err(failed(what()))?;
        self.bytes += frame.len() as u64;
        self.sequence += 1;
        Ok(())
    }

    /// Begins a fresh file and removes the old ones.
    pub(crate) fn cut(&mut self) -> Result<(), StoreError> {
        let what = failed(format!("cutting the journal in `{}`", self.folder.display()));
        self.cut_files().map_err(what)
    }

    fn cut_files(&mut self) -> std::io::Result<()> {
        let fresh = self.folder.join(format!("{:020}.journal", self.sequence));
        let old: Vec<String> = self.files.list(&self.folder)?;
        let is_fresh = |name: &String| fresh.ends_with(name);
        // A file of that name holds nothing whole: its first frame would have
        // moved the sequence on.
        if old.iter().any(is_fresh) {
            self.files.remove(&fresh)?;
        }
        self.files.append(&fresh, b"")?;
        self.files.sync(&fresh)?;
        self.files.sync_dir(&self.folder)?;
        for name in old.iter().filter(|name| !is_fresh(name) && name.ends_with(".journal")) {
            self.files.remove(&self.folder.join(name))?;
        }
        self.files.sync_dir(&self.folder)?;
        self.current = fresh;
        self.bytes = 0;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RepoName;
    use crate::store::files::RealFiles;
    use crate::store::record::Act;

    fn record(first: u64) -> Record {
        Record {
            act: Act::Head,
            repo: RepoName::state(),
            old: None,
            first,
            begins: false,
            commits: Vec::new(),
            pack: Vec::new(),
        }
    }

    /// A journal of three frames, and where each of them ends.
    fn written(folder: &Path) -> (PathBuf, Vec<usize>) {
        let files: Arc<dyn Files> = Arc::new(RealFiles::default());
        let mut journal = Journal::begin(files, folder, &Replay::default()).unwrap();
        let mut ends = Vec::new();
        for n in 1..=3 {
            journal.append(&[record(n).encode().unwrap()]).unwrap();
            ends.push(usize::try_from(journal.bytes()).unwrap());
        }
        (journal.current, ends)
    }

    fn firsts(folder: &Path) -> Result<(Vec<u64>, usize), StoreError> {
        let replay = Journal::replay(&RealFiles::default(), folder)?;
        Ok((replay.records.iter().map(|r| r.first).collect(), replay.torn_bytes))
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
        for at in [0, ends[0] - 1, ends[0], ends[0] + 9, ends[1] - 1] {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            std::fs::write(&path, bad).unwrap();
            let frame = if at < ends[0] { 0 } else { ends[0] };
            let text = firsts(folder.path()).unwrap_err().to_string();
            assert!(text.contains(&format!("damaged at byte {frame};")), "{text}");
            assert!(text.contains(&*path.to_string_lossy()), "{text}");
        }
    }

    #[test]
    fn a_cut_leaves_one_empty_file_and_the_sequence_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let files: Arc<dyn Files> = Arc::new(RealFiles::default());
        let mut journal = Journal::begin(files, folder.path(), &Replay::default()).unwrap();
        journal.append(&[record(1).encode().unwrap()]).unwrap();
        journal.cut().unwrap();
        assert_eq!(firsts(folder.path()).unwrap(), (vec![], 0));
        journal.append(&[record(2).encode().unwrap()]).unwrap();
        assert_eq!(firsts(folder.path()).unwrap(), (vec![2], 0));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
