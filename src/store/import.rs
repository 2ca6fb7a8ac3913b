//! Taking a fetched branch over. What the repository lacks is copied out of
//! the quarantine into one durable pack; then one journal record moves the
//! head over all new revisions. It fetches nothing: that is `mirror`'s.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use gix::objs::Find as _;
use tokio::sync::oneshot;

use super::Head;
use super::cache::ObjectCache;
use super::changed;
use super::commit::{self, blocking};
use super::error::{StoreError, failed};
use super::object::{self, Kind, Mode, Object, Oid};
use super::open::{Inner, Shared};
use super::pack::PackFile;
use super::record::{Act, Note, Record};
use super::repository::{Reader, Repository};
use super::writer::Message;
use crate::model::{CommitId, Fetched, FilePath, Origin, RepoName, Revision};

/// Commits of one first-parent line that are taken over at once.
const COMMITS_MAX: usize = 1_000_000;

/// Commits whose files are compared while they are taken over.
const COMPARED_MAX: usize = 256;

/// How often an import begins again because somebody committed meanwhile.
const TRIES_MAX: usize = 5;

/// What importing a fetched branch came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Import {
    /// New revisions, oldest first.
    Imported(Vec<Revision>),
    /// The head was known.
    UpToDate,
    /// The branch no longer contains what we hold as its head: a force-push
    /// or rewind. Nothing was changed.
    Diverged {
        /// Our head.
        ours: CommitId,
        /// The fetched branch's head.
        theirs: CommitId,
    },
}

/// What may be done with a branch that doesn't continue ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Diverging {
    Report,
    Adopt,
}

/// Takes a fetched branch over; returns when that is durable.
pub(crate) async fn import(
    inner: &Arc<Inner>,
    name: &RepoName,
    fetched: &Fetched,
    diverging: Diverging,
) -> Result<Import, StoreError> {
    let repo = inner.shared.repository(name)?;
    let _place = inner.room.acquire().await.map_err(failed("queueing an import"))?;
    let (worker, git_dir, theirs) = (Arc::clone(inner), fetched.git_dir.clone(), fetched.head);
    let step = blocking(move || {
        for _ in 0..TRIES_MAX {
            if let Some(step) = attempt(&worker, &repo, &git_dir, theirs, diverging)? {
                return Ok(step);
            }
        }
        let actual = repo.head().revision;
        Err(StoreError::Conflict { repo: repo.name.clone(), expected: actual, actual })
    })
    .await?;
    match step {
        Step::Sent(revisions, waiting) => {
            commit::answer(waiting).await?;
            Ok(Import::Imported(revisions))
        }
        Step::Known(waiting) => {
            commit::answer(waiting).await?;
            Ok(Import::UpToDate)
        }
        Step::Diverged { ours } => Ok(Import::Diverged { ours, theirs }),
    }
}

enum Step {
    /// The record is with the writer.
    Sent(Vec<Revision>, oneshot::Receiver<Result<Head, StoreError>>),
    /// The head is theirs already, durable when the barrier answers.
    Known(oneshot::Receiver<Result<(), StoreError>>),
    Diverged {
        ours: CommitId,
    },
}

/// One try; `None` if the head moved meanwhile.
fn attempt(
    inner: &Inner,
    repo: &Arc<Repository>,
    git_dir: &Path,
    theirs: CommitId,
    diverging: Diverging,
) -> Result<Option<Step>, StoreError> {
    inner.shared.check_running()?;
    let head = *repo.prepare();
    if head.commit == Some(theirs) {
        let (done, waiting) = oneshot::channel();
        inner.send(Message::Barrier(done))?;
        return Ok(Some(Step::Known(waiting)));
    }
    let mut source = Source::open(repo, &inner.shared.cache, git_dir)?;
    let plan = match plan(&mut source, head, theirs)? {
        Plan::Diverged { ours } if diverging == Diverging::Report => {
            return Ok(Some(Step::Diverged { ours }));
        }
        Plan::Diverged { ours } => adoption(&mut source, ours, theirs)?,
        plan => plan,
    };
    let Plan::Take { begins, commits } = plan else { return Ok(None) };
    copy(inner, repo, &mut source, &commits)?;
    let touched = touched(&inner.shared, repo, head.commit, &commits)?;
    let mut prepared = repo.prepare();
    if *prepared != head {
        return Ok(None);
    }
    inner.shared.check_running()?;
    let first = head.revision.0 + 1;
    let last = head.revision.0 + commits.len() as u64;
    let record = Record {
        act: Act::Head,
        repo: repo.name.clone(),
        old: head.commit,
        first,
        begins,
        commits,
        pack: Vec::new(),
        note: Note::new(&Origin::system(), &format!("take over {theirs}")),
    };
    let waiting = commit::send(inner, repo, record, Vec::new(), touched)?;
    *prepared = Head { revision: Revision(last), commit: Some(theirs) };
    Ok(Some(Step::Sent((first..=last).map(Revision).collect(), waiting)))
}

/// The files that each commit changes against the revision before it, which
/// is not its parent where a line begins. Nothing where there are many: they
/// are compared when somebody asks.
fn touched(
    shared: &Shared,
    repo: &Repository,
    head: Option<CommitId>,
    commits: &[CommitId],
) -> Result<Vec<Vec<FilePath>>, StoreError> {
    if commits.len() > COMPARED_MAX {
        return Ok(Vec::new());
    }
    let mut reader = shared.reader(repo);
    let mut before = head.map(|commit| reader.root(commit)).transpose()?;
    let mut touched = Vec::with_capacity(commits.len());
    for commit in commits {
        let after = Some(reader.root(*commit)?);
        match changed::trees(shared, &mut reader, (before, after)) {
            Ok(paths) => touched.push(paths),
            Err(StoreError::Limit(_)) => break,
            Err(error) => return Err(error),
        }
        before = after;
    }
    Ok(touched)
}

enum Plan {
    /// These become revisions, oldest first.
    Take {
        begins: bool,
        commits: Vec<CommitId>,
    },
    Diverged {
        ours: CommitId,
    },
}

/// Follows their first-parent line back to our head.
fn plan(source: &mut Source<'_>, head: Head, theirs: CommitId) -> Result<Plan, StoreError> {
    let mut commits = Vec::new();
    let mut at = Some(theirs);
    while let Some(commit) = at.filter(|commit| Some(*commit) != head.commit) {
        if commits.len() == COMMITS_MAX {
            let repo = &source.repo.name;
            return Err(StoreError::Limit(format!(
                "the branch fetched for `{repo}` has more than {COMMITS_MAX} new commits"
            )));
        }
        commits.push(commit);
        at = source.commit(commit)?.parents.first().copied();
    }
    if let (None, Some(ours)) = (at, head.commit) {
        return Ok(Plan::Diverged { ours });
    }
    commits.reverse();
    Ok(Plan::Take { begins: head.commit.is_none(), commits })
}

/// What a person takes over: their commits after the fork, or their head
/// again where it is one of ours.
fn adoption(source: &mut Source<'_>, ours: CommitId, theirs: CommitId) -> Result<Plan, StoreError> {
    let mut line = HashSet::new();
    let mut at = Some(ours);
    while let Some(commit) = at {
        line.insert(commit);
        at = source.commit(commit)?.parents.first().copied();
    }
    if line.contains(&theirs) {
        return Ok(Plan::Take { begins: true, commits: vec![theirs] });
    }
    let mut commits = Vec::new();
    let mut at = Some(theirs);
    while let Some(commit) = at.filter(|commit| !line.contains(commit)) {
        commits.push(commit);
        at = source.commit(commit)?.parents.first().copied();
    }
    commits.reverse();
    Ok(Plan::Take { begins: true, commits })
}

/// The quarantine, and behind it what we have ourselves.
struct Source<'r> {
    repo: &'r Repository,
    quarantine: gix::odb::Handle,
    ours: Reader<'r>,
    buffer: Vec<u8>,
}

impl<'r> Source<'r> {
    fn open(
        repo: &'r Repository,
        cache: &'r ObjectCache,
        git_dir: &Path,
    ) -> Result<Self, StoreError> {
        let objects = git_dir.join("objects");
        let what = format!("opening the fetched objects in `{}`", objects.display());
        let mut quarantine = gix::odb::at(objects, gix::hash::Kind::Sha1).map_err(failed(what))?;
        // Fetched packs hold deltas; commits and trees share their bases.
        quarantine
            .set_pack_cache(|| Box::<gix::odb::pack::cache::lru::StaticLinkedList<64>>::default());
        Ok(Self { repo, quarantine, ours: repo.reader(cache), buffer: Vec::new() })
    }

    fn object(&mut self, id: &Oid) -> Result<Object, StoreError> {
        let found = self.quarantine.try_find(&gix::ObjectId::Sha1(*id), &mut self.buffer);
        let what = || format!("reading fetched object {} for `{}`", CommitId(*id), self.repo.name);
        match found.map_err(|error| StoreError::damaged(what(), error))? {
            Some(data) => Ok(Object {
                kind: Kind::from(data.kind),
                data: bytes::Bytes::copy_from_slice(data.data),
            }),
            // What was committed here, where the quarantine doesn't reach us.
            None => self
                .ours
                .object(id)
                .map_err(|_| StoreError::damaged(what(), "the fetch left it out")),
        }
    }

    fn commit(&mut self, id: CommitId) -> Result<object::Commit, StoreError> {
        object::parse_commit(&self.object(&id.0)?.data)
    }

    /// Everything below `heads` that the repository lacks. What it has, it has
    /// whole: packs appear at once, and records carry all they need.
    fn missing(&mut self, heads: &[CommitId]) -> Result<Vec<Oid>, StoreError> {
        let presence = self.repo.presence();
        let mut seen = HashSet::new();
        let mut missing = Vec::new();
        let mut commits: Vec<Oid> = heads.iter().rev().map(|commit| commit.0).collect();
        while let Some(id) = commits.pop() {
            if presence.has(&id) || !seen.insert(id) {
                continue;
            }
            missing.push(id);
            let commit = self.commit(CommitId(id))?;
            commits.extend(commit.parents.iter().map(|parent| parent.0));
            let mut trees = vec![commit.tree];
            while let Some(id) = trees.pop() {
                if presence.has(&id) || !seen.insert(id) {
                    continue;
                }
                missing.push(id);
                for entry in object::parse_tree(&self.object(&id)?.data)? {
                    match entry.mode {
                        Mode::Folder => trees.push(entry.id),
                        // A submodule's commit is in another repository.
                        Mode::Submodule => {}
                        _ if presence.has(&entry.id) || !seen.insert(entry.id) => {}
                        _ => missing.push(entry.id),
                    }
                }
            }
        }
        Ok(missing)
    }
}

/// Copies what `commits` need into the repository's folder, durably.
fn copy(
    inner: &Inner,
    repo: &Repository,
    source: &mut Source<'_>,
    commits: &[CommitId],
) -> Result<(), StoreError> {
    let missing = source.missing(commits)?;
    if missing.is_empty() {
        return Ok(());
    }
    let shared = &inner.shared;
    let what = || format!("writing fetched objects to `{}`", repo.git_dir.display());
    let folder = repo.git_dir.join("objects/pack");
    let unique = shared.temporaries.fetch_add(1, Ordering::Relaxed);
    let mut pack =
        PackFile::begin(&*shared.files, &folder, unique, missing.len()).map_err(failed(what()))?;
    for id in missing {
        let object = source.object(&id)?;
        pack.add(id, object.kind, &object.data).map_err(failed(what()))?;
    }
    pack.finish().map_err(failed(what()))?;
    Ok(())
}
