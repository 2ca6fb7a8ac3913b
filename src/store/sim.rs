//! Files that log every operation, and the states that a crash after any of
//! them may leave. For tests.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::Head;
use super::files::{Files, RealFiles};
use crate::model::RepoName;

/// What was done, with paths below the store's folder.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    CreateDir(PathBuf),
    Append(PathBuf, Vec<u8>),
    Sync(PathBuf),
    Rename(PathBuf, PathBuf),
    RenameDir(PathBuf, PathBuf),
    Remove(PathBuf),
    RemoveDir(PathBuf),
    Truncate(PathBuf, u64),
    SyncDir(PathBuf),
    /// Not an operation: from here on the test relies on this head.
    Acknowledged(RepoName, Head),
    /// Not an operation: what was acknowledged of it before is gone.
    Purged(RepoName),
}

/// Real files, with a log.
#[derive(Debug)]
pub(crate) struct SimFiles {
    root: PathBuf,
    real: RealFiles,
    log: Mutex<Vec<Op>>,
    pub(crate) syncs: AtomicUsize,
    /// While set, syncs fail.
    pub(crate) broken: AtomicBool,
    /// The appends that find no room, counted from the first.
    pub(crate) full: Mutex<std::ops::Range<usize>>,
    /// The sync that fails, counted from the first.
    pub(crate) failing: AtomicUsize,
    appends: AtomicUsize,
    asked: AtomicUsize,
    /// While held, syncs wait.
    pub(crate) gate: Mutex<()>,
}

impl SimFiles {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            real: RealFiles::default(),
            log: Mutex::default(),
            syncs: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
            full: Mutex::default(),
            failing: AtomicUsize::new(usize::MAX),
            appends: AtomicUsize::new(0),
            asked: AtomicUsize::new(0),
            gate: Mutex::default(),
        }
    }

    pub(crate) fn note(&self, op: Op) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(op);
    }

    pub(crate) fn log(&self) -> Vec<Op> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many appends and syncs there were.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.appends.load(Ordering::SeqCst), self.asked.load(Ordering::SeqCst))
    }

    fn below(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).unwrap().to_owned()
    }

    fn check(&self) -> io::Result<()> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let failing = asked == self.failing.load(Ordering::SeqCst);
        if failing || self.broken.load(Ordering::SeqCst) {
            Err(io::Error::other("the disk is broken"))
        } else {
            Ok(())
        }
    }
}

impl Files for SimFiles {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.real.create_dir(path)?;
        self.note(Op::CreateDir(self.below(path)));
        Ok(())
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let append = self.appends.fetch_add(1, Ordering::SeqCst);
        let full = self.full.lock().unwrap_or_else(PoisonError::into_inner).contains(&append);
        if full {
            let half = &bytes[..bytes.len() / 2];
            self.real.append(path, half)?;
            self.note(Op::Append(self.below(path), half.to_vec()));
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.real.append(path, bytes)?;
        self.note(Op::Append(self.below(path), bytes.to_vec()));
        Ok(())
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        drop(self.gate.lock().unwrap_or_else(PoisonError::into_inner));
        self.check()?;
        self.syncs.fetch_add(1, Ordering::SeqCst);
        self.note(Op::Sync(self.below(path)));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.real.rename(from, to)?;
        self.note(Op::Rename(self.below(from), self.below(to)));
        Ok(())
    }

    fn rename_dir(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.real.rename_dir(from, to)?;
        self.note(Op::RenameDir(self.below(from), self.below(to)));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.real.remove(path)?;
        self.note(Op::Remove(self.below(path)));
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.real.remove_dir(path)?;
        self.note(Op::RemoveDir(self.below(path)));
        Ok(())
    }

    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        self.real.truncate(path, length)?;
        self.note(Op::Truncate(self.below(path), length));
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.check()?;
        self.note(Op::SyncDir(self.below(path)));
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.real.read(path)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        self.real.len(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.real.list(path)
    }
}

/// What a crash does with what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Nothing is lost: the process was killed.
    None,
    /// All of it, names and content.
    All,
    /// Names stay, content goes: a file is renamed before it is written.
    Content,
    /// Names stay, content is cut in the middle and its last byte is wrong.
    Torn,
    /// Names and lengths stay, and of the sectors of what was not synced only
    /// the even ones, or only the odd ones, reached the disk.
    EvenSectors,
    OddSectors,
    /// Names that were not synced stay but for those of packs: a folder's
    /// names needn't reach the disk in the order they were made.
    Packs,
}

pub(crate) const LOSSES: [Loss; 7] = [
    Loss::None,
    Loss::All,
    Loss::Content,
    Loss::Torn,
    Loss::EvenSectors,
    Loss::OddSectors,
    Loss::Packs,
];

#[derive(Debug, Default, Clone)]
struct Node {
    content: Vec<u8>,
    synced: usize,
}

type Names = BTreeMap<PathBuf, usize>;

/// A disk, as far as `ops` tell.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    nodes: Vec<Node>,
    live: Names,
    durable: Names,
    dirs: BTreeSet<PathBuf>,
    durable_dirs: BTreeSet<PathBuf>,
    /// Folders that were moved or removed, their parents not synced yet.
    moves: Vec<(PathBuf, Option<PathBuf>)>,
}

fn move_below(names: &mut Names, dirs: &mut BTreeSet<PathBuf>, from: &Path, to: &Path) {
    let moved = |path: &Path| match path.strip_prefix(from) {
        Ok(rest) if rest.as_os_str().is_empty() => to.to_owned(),
        Ok(rest) => to.join(rest),
        Err(_) => path.to_owned(),
    };
    *names = std::mem::take(names).into_iter().map(|(path, at)| (moved(&path), at)).collect();
    *dirs = std::mem::take(dirs).iter().map(|path| moved(path)).collect();
}

impl Disk {
    pub(crate) fn after(ops: &[Op]) -> Self {
        let mut disk = Self::default();
        ops.iter().for_each(|op| disk.apply(op));
        disk
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::CreateDir(path) => {
                self.dirs.insert(path.clone());
            }
            Op::Append(path, bytes) => {
                let fresh = self.nodes.len();
                let at = *self.live.entry(path.clone()).or_insert(fresh);
                if at == fresh {
                    self.nodes.push(Node::default());
                }
                self.nodes[at].content.extend_from_slice(bytes);
            }
            Op::Sync(path) => {
                let node = &mut self.nodes[self.live[path]];
                node.synced = node.content.len();
            }
            Op::Rename(from, to) => {
                let at = self.live.remove(from).unwrap();
                self.live.insert(to.clone(), at);
            }
            Op::RenameDir(from, to) => {
                move_below(&mut self.live, &mut self.dirs, from, to);
                self.moves.push((from.clone(), Some(to.clone())));
            }
            Op::Remove(path) => {
                self.live.remove(path).unwrap();
            }
            Op::RemoveDir(path) => {
                self.live.retain(|name, _| !name.starts_with(path));
                self.dirs.retain(|name| !name.starts_with(path));
                self.moves.push((path.clone(), None));
            }
            Op::Truncate(path, length) => {
                let node = &mut self.nodes[self.live[path]];
                node.content.truncate(usize::try_from(*length).unwrap());
                node.synced = node.synced.min(node.content.len());
            }
            Op::SyncDir(folder) => {
                let within = |path: &Path| path.parent() == Some(folder);
                let (done, open) = self.moves.drain(..).partition(|(from, _)| within(from));
                self.moves = open;
                let done: Vec<(PathBuf, Option<PathBuf>)> = done;
                for (from, to) in done {
                    match to {
                        Some(to) => {
                            move_below(&mut self.durable, &mut self.durable_dirs, &from, &to);
                        }
                        None => {
                            self.durable.retain(|name, _| !name.starts_with(&from));
                            self.durable_dirs.retain(|name| !name.starts_with(&from));
                        }
                    }
                }
                self.durable.retain(|path, _| !within(path));
                let live = self.live.iter().filter(|(path, _)| within(path));
                self.durable.extend(live.map(|(path, at)| (path.clone(), *at)));
                self.durable_dirs.extend(self.dirs.iter().filter(|path| within(path)).cloned());
            }
            Op::Acknowledged(..) | Op::Purged(_) => {}
        }
    }

    /// What a crash leaves.
    pub(crate) fn left(&self, loss: Loss) -> Left {
        let (names, dirs) = match loss {
            Loss::All => (&self.durable, &self.durable_dirs),
            _ => (&self.live, &self.dirs),
        };
        let mut left = Left { dirs: dirs.iter().cloned().collect(), files: Vec::new() };
        for (path, at) in names {
            let is_pack = path.extension().is_some_and(|ending| ending == "pack");
            if loss == Loss::Packs && is_pack && self.durable.get(path) != Some(at) {
                continue;
            }
            let node = &self.nodes[*at];
            let content = match loss {
                Loss::None | Loss::Packs => node.content.clone(),
                Loss::All | Loss::Content => node.content[..node.synced].to_vec(),
                Loss::Torn => torn(node),
                Loss::EvenSectors => with_sectors(node, 0),
                Loss::OddSectors => with_sectors(node, 1),
            };
            left.files.push((path.clone(), content));
        }
        left
    }
}

/// Folders and files, below the store's folder.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Left {
    dirs: Vec<PathBuf>,
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Left {
    /// Writes them into `root`.
    pub(crate) fn write(&self, root: &Path) {
        for dir in &self.dirs {
            // A folder whose parent was lost is lost with it.
            let _ = std::fs::create_dir(root.join(dir));
        }
        for (path, content) in &self.files {
            if root.join(path).parent().is_some_and(Path::is_dir) {
                std::fs::write(root.join(path), content).unwrap();
            }
        }
    }
}

fn torn(node: &Node) -> Vec<u8> {
    let unsynced = node.content.len() - node.synced;
    let mut content = node.content[..node.synced + unsynced.div_ceil(2)].to_vec();
    if unsynced > 0
        && let Some(last) = content.last_mut()
    {
        *last ^= 0x55;
    }
    content
}

/// The whole length, with zeros in every sector that did not reach the disk.
fn with_sectors(node: &Node, kept: usize) -> Vec<u8> {
    const SECTOR_BYTES: usize = 512;
    let mut content = node.content.clone();
    for (at, byte) in content.iter_mut().enumerate().skip(node.synced) {
        if at / SECTOR_BYTES % 2 != kept {
            *byte = 0;
        }
    }
    content
}
