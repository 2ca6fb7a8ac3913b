//! Proving the audit log: each line's own hash, its link to the line before,
//! each repository's heads from entry to entry, and that Git and the journal
//! hold the history that the entries tell. Reads only.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use gix::objs::Find as _;

use super::segment::{self, Segment};
use super::{AuditEntry, AuditFault, BEGIN, log, parse};
use crate::model::{CommitId, ContentHash, RepoName, Revision};
use crate::store::files::RealFiles;
use crate::store::journal::Replay;
use crate::store::object::{self, Oid};
use crate::store::pack::memory;
use crate::store::record::Act;
use crate::store::refs::Refs;
use crate::store::repository;

/// Faults beyond this are not listed: they follow from the first.
const FAULTS_MAX: usize = 100;

/// While a server writes, a checkpoint may come between two looks. What is
/// really broken stays so.
const TRIES_MAX: usize = 8;
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(150);

/// Proves the log in `dir`; see [`super::Audit::verify`].
pub(super) fn verify(dir: &Path) -> Result<u64, Vec<AuditFault>> {
    let mut tried = 1;
    loop {
        match attempt(dir) {
            Err(_) if tried < TRIES_MAX && is_in_use(dir) => std::thread::sleep(TRY_AGAIN_AFTER),
            done => return done,
        }
        tried += 1;
    }
}

/// Whether somebody has the store open.
fn is_in_use(dir: &Path) -> bool {
    let lock = std::fs::File::open(dir.join("lock"));
    let held = lock.map(|lock| lock.try_lock_shared());
    matches!(held, Ok(Err(std::fs::TryLockError::WouldBlock)))
}

/// Looks once, at a store that nobody else writes to.
pub(crate) fn attempt(dir: &Path) -> Result<u64, Vec<AuditFault>> {
    // The journal first: what leaves it is in the files by then.
    let fault = |error: &dyn std::fmt::Display| vec![AuditFault::new(dir, 0, error.to_string())];
    let replay = log::journal(dir).map_err(|error| fault(&error))?;
    let segments = segment::segments(&dir.join("audit")).map_err(|error| fault(&error))?;
    let mut proof = Proof::new(dir, &replay);
    proof.find_purges(&segments);
    for segment in &segments {
        proof.walk(segment);
    }
    proof.walk_journal();
    proof.compare_heads();
    if proof.faults.is_empty() { Ok(proof.last.0) } else { Err(proof.faults) }
}

impl AuditFault {
    fn new(file: &Path, line: usize, rule: impl Into<String>) -> Self {
        Self { file: file.display().to_string(), line, rule: rule.into() }
    }
}

/// Where a repository stands, as far as entries were read.
#[derive(Debug, Clone, Default)]
struct Standing {
    there: bool,
    revision: Revision,
    head: Option<CommitId>,
    /// The head that the files tell, before the journal's records.
    on_disk: Option<CommitId>,
    place: (PathBuf, usize),
}

struct Proof<'a> {
    dir: &'a Path,
    replay: &'a Replay,
    last: (u64, ContentHash),
    place: (PathBuf, usize),
    repos: BTreeMap<RepoName, Standing>,
    /// The newest purge of each name: commits before it are gone.
    purged: HashMap<RepoName, u64>,
    /// Commits that only the journal has, with their first parents.
    journaled: HashMap<Oid, Option<CommitId>>,
    git: HashMap<RepoName, Option<gix::odb::Handle>>,
    faults: Vec<AuditFault>,
}

impl<'a> Proof<'a> {
    fn new(dir: &'a Path, replay: &'a Replay) -> Self {
        let mut journaled = HashMap::new();
        for replayed in &replay.records {
            for (id, object) in memory::whole(&replayed.record.pack).unwrap_or_default() {
                if let Ok(commit) = object::parse_commit(&object.data) {
                    journaled.insert(id, commit.parents.first().copied());
                }
            }
        }
        Self {
            dir,
            replay,
            last: (0, ContentHash([0; 32])),
            place: (dir.join("audit"), 0),
            repos: BTreeMap::new(),
            purged: HashMap::new(),
            journaled,
            git: HashMap::new(),
            faults: Vec::new(),
        }
    }

    fn fault(&mut self, rule: impl Into<String>) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(AuditFault::new(&self.place.0, self.place.1, rule));
        }
    }

    fn find_purges(&mut self, segments: &[Segment]) {
        for segment in segments {
            let _ = segment.lines(|_, line| {
                if line.contains("\"act\":\"purge\"")
                    && let Some(entry) = parse(line)
                {
                    self.purged.insert(entry.repo, entry.number);
                }
                true
            });
        }
        for replayed in &self.replay.records {
            if let (Act::Purge, Some(stamp)) = (replayed.record.act, &replayed.stamp) {
                self.purged.insert(replayed.record.repo.clone(), stamp.number);
            }
        }
    }

    fn walk(&mut self, segment: &Segment) {
        self.place = (segment.path.clone(), 0);
        if segment.first != self.last.0 + 1 {
            self.fault(format!(
                "the file begins with entry {}, the one before ends with {}: a file is missing; \
                 restore it from a backup",
                segment.first, self.last.0
            ));
        }
        let read = segment.lines(|number, line| {
            self.place.1 = number;
            match parse(line) {
                Some(entry) => self.entry(&entry),
                // A crash left it so; the journal has the record.
                None if self.is_torn(line) => return false,
                None => self.fault(
                    "the line is no entry, or not as it was written: its hash does not fit; \
                     restore the file from a backup",
                ),
            }
            true
        });
        if let Err(error) = read {
            self.fault(error.to_string());
        }
    }

    fn is_torn(&self, line: &str) -> bool {
        segment::lacks_sectors(line) && self.replay.holds(self.last.0 + 1)
    }

    fn entry(&mut self, entry: &AuditEntry) {
        let (last, hash) = self.last;
        if entry.number != last + 1 {
            self.fault(format!(
                "entry {} follows entry {last}: numbers have no gaps; lines were removed or added",
                entry.number
            ));
        } else if entry.previous != hash {
            self.fault("`previous` is not the hash of the line before: one of the two was changed");
        }
        self.vouch(entry);
        self.follow(entry);
        self.look_up(entry);
        self.last = (entry.number, entry.hash);
    }

    /// The journal names the entry before its first record.
    fn vouch(&mut self, entry: &AuditEntry) {
        let begins = self.replay.begins.filter(|begins| begins.number == entry.number + 1);
        if begins.is_some_and(|begins| begins.previous != entry.hash) {
            self.fault("the journal vouches for another hash of this entry: the end was rewritten");
        }
    }

    /// What the entry says of its repository follows from the one before.
    fn follow(&mut self, entry: &AuditEntry) {
        let was = self.repos.get(&entry.repo).cloned().unwrap_or_default();
        let (number, repo) = (entry.number, &entry.repo);
        let begins = matches!(&*entry.act, "create" | BEGIN);
        if begins == was.there {
            let verb = if begins { "there already" } else { "not there" };
            self.fault(format!("entry {number}: `{repo}` is {verb} by the entries before"));
        } else if entry.before != was.head {
            self.fault(format!(
                "entry {number}: `before` is not `after` of `{repo}`'s entry before: \
                 an entry between them is missing"
            ));
        }
        let fits = match &*entry.act {
            "commit" => entry.revision.0 == was.revision.0 + 1,
            "import" | "adopt" => entry.revision > was.revision,
            _ => true,
        };
        if !fits {
            self.fault(format!(
                "entry {number}: revision {} of `{repo}` does not follow revision {}",
                entry.revision, was.revision
            ));
        }
        let standing = Standing {
            there: entry.act != "purge",
            revision: entry.revision,
            head: entry.after,
            on_disk: entry.after,
            place: self.place.clone(),
        };
        self.repos.insert(repo.clone(), standing);
    }

    /// The commit is there, and continues what it should.
    fn look_up(&mut self, entry: &AuditEntry) {
        let Some(after) = entry.after else { return };
        if self.purged.get(&entry.repo).is_some_and(|number| *number > entry.number) {
            return;
        }
        let parent = match self.journaled.get(&after.0) {
            Some(parent) => Some(*parent),
            None => self.parent_in_git(&entry.repo, after),
        };
        match parent {
            None => self.fault(format!(
                "entry {}: commit {after} is not in `{}`; restore the repository from a backup",
                entry.number, entry.repo
            )),
            Some(parent) if entry.act == "commit" && parent != entry.before => self.fault(format!(
                "entry {}: commit {after} does not continue `before`",
                entry.number
            )),
            Some(_) => {}
        }
    }

    fn parent_in_git(&mut self, repo: &RepoName, commit: CommitId) -> Option<Option<CommitId>> {
        let dir = self.dir;
        let open = || {
            let objects = repository::git_dir(dir, repo).join("objects");
            gix::odb::at(objects, gix::hash::Kind::Sha1).ok()
        };
        let git = self.git.entry(repo.clone()).or_insert_with(open).as_ref()?;
        let mut buffer = Vec::new();
        let found = git.try_find(&gix::ObjectId::Sha1(commit.0), &mut buffer).ok()??;
        Some(object::parse_commit(found.data).ok()?.parents.first().copied())
    }

    fn walk_journal(&mut self) {
        let end = std::mem::replace(&mut self.place, (self.dir.join("journal"), 0));
        if let Some(begins) = self.replay.begins
            && begins.number > self.last.0 + 1
        {
            self.place = end;
            self.fault(format!(
                "the entries after {} up to {} are missing: the end was cut off; restore the \
                 folder from a backup",
                self.last.0,
                begins.number - 1
            ));
        }
        let on_disk: HashMap<RepoName, Option<CommitId>> =
            self.repos.iter().map(|(name, standing)| (name.clone(), standing.head)).collect();
        for replayed in &self.replay.records {
            let Some(stamp) = replayed.stamp.filter(|stamp| stamp.number > self.last.0) else {
                continue;
            };
            let entry = AuditEntry::of(&replayed.record, stamp.number, stamp.time, self.last.1);
            match entry.sealed() {
                Ok((entry, _)) => self.entry(&entry),
                Err(error) => self.fault(error.to_string()),
            }
        }
        for (name, standing) in &mut self.repos {
            standing.on_disk = on_disk.get(name).copied().flatten();
        }
    }

    /// Git's heads are the ones that the entries end with.
    fn compare_heads(&mut self) {
        let mut folders = match repository::names(&RealFiles::default(), self.dir) {
            Ok(names) => names,
            Err(error) => return self.fault(error.to_string()),
        };
        folders.sort();
        for (name, standing) in self.repos.clone() {
            self.place = standing.place.clone();
            let is_there = folders.binary_search(&name).is_ok();
            // A record in the journal may still have to be applied.
            let may_differ = self.replay.records.iter().any(|r| r.record.repo == name);
            if is_there != standing.there && !may_differ {
                let verb = if is_there { "is there, but purged" } else { "is not there" };
                self.fault(format!("`{name}` {verb} by the last entry about it"));
            } else if is_there && standing.there {
                self.compare_head(&name, &standing, may_differ);
            }
        }
        self.place = (self.dir.join("audit"), 0);
        for name in folders.iter().filter(|name| !self.repos.contains_key(name)) {
            self.faults.push(AuditFault::new(
                &repository::git_dir(self.dir, name),
                0,
                format!("no entry tells of `{name}`: entries are missing"),
            ));
        }
    }

    fn compare_head(&mut self, name: &RepoName, standing: &Standing, journaled: bool) {
        let git_dir = repository::git_dir(self.dir, name);
        let main = match Refs::read(&RealFiles::default(), &git_dir) {
            Ok(refs) => refs.main,
            Err(error) => return self.fault(format!("reading the refs of `{name}`: {error}")),
        };
        let in_journal = || {
            let records = self.replay.records.iter().map(|replayed| &replayed.record);
            let mut of_repo = records.filter(|record| record.repo == *name);
            of_repo.any(|record| record.old == main || record.commits.last().copied() == main)
        };
        if main != standing.head && main != standing.on_disk && !(journaled && in_journal()) {
            let shown =
                |commit: Option<CommitId>| commit.map_or("nothing".into(), |c| c.to_string());
            self.fault(format!(
                "`{name}` ends with {} in Git, but with {} by its last entry: later entries are \
                 missing, or Git was changed by hand",
                shown(main),
                shown(standing.head)
            ));
        }
    }
}
