//! Making a commit: hashed, edited and chained in memory against the head
//! that will be, then handed to the writer. It waits for no disk; many
//! writers on one repository build on each other and share one fdatasync.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::edit::{self, Edit, Edited, Editor};
use super::error::{StoreError, failed};
use super::lineage::{self, Lineage};
use super::object::{self, Commit, Kind, Object, Objects, Oid, Signature};
use super::open::Inner;
use super::pack::memory;
use super::record::{Act, Note, Record};
use super::repository::Repository;
use super::require::Requirements;
use super::writer::{Message, Write};
use super::{Head, NewCommit};
use crate::model::{Change, CommitId, FilePath, Markup, Origin, RepoName, Revision};

/// Who commits on behalf of an author.
pub(crate) const COMMITTER: (&str, &str) = ("Convoy", "convoy@localhost");

type Waiting = oneshot::Receiver<Result<Head, StoreError>>;

/// Runs blocking work beside the caller's task.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(failed("running a write"))?
}

/// Waits for the writer's answer.
pub(crate) async fn answer<T>(
    waiting: oneshot::Receiver<Result<T, StoreError>>,
) -> Result<T, StoreError> {
    // A writer that is gone has halted.
    waiting.await.map_err(|_| StoreError::Halted)?
}

/// Makes a commit; returns when it is durable.
pub(crate) async fn commit(
    inner: &Arc<Inner>,
    name: &RepoName,
    mut new: NewCommit,
) -> Result<Head, StoreError> {
    let repo = inner.shared.repository(name)?;
    let place = Arc::clone(&inner.room).acquire_owned().await;
    let place = place.map_err(failed("queueing a commit"))?;
    let own = name.is_internal();
    let edits = match weight(&new) > HASHED_AT_ONCE {
        // Beside others, not in turn with them.
        true => {
            let (worker, changes) = (Arc::clone(inner), std::mem::take(&mut new.changes));
            Some(blocking(move || edit::hash(&worker.shared, &changes, own)).await?)
        }
        false => None,
    };
    let (told, prepared) = oneshot::channel();
    if let Some(shift) = repo.turns.push(Turn { inner: Arc::clone(inner), place, new, edits, told })
    {
        // It answers to each of them; dropped unrun, it lets all of them go.
        let work = move || shift.work(|turn| turn.take(&repo));
        drop(tokio::task::spawn_blocking(work));
    }
    let (waiting, _place) = prepared.await.map_err(failed("running a write"))?;
    answer(waiting?).await
}

/// Contents up to this size are hashed while others wait.
const HASHED_AT_ONCE: usize = 64 << 10;

fn weight(new: &NewCommit) -> usize {
    let bytes = |change: &Change| match change {
        Change::Upsert(_, content) => content.len(),
        _ => 0,
    };
    new.changes.iter().map(bytes).sum()
}

/// A commit that waits to be prepared.
#[derive(Debug)]
pub(crate) struct Turn {
    inner: Arc<Inner>,
    /// Among all that may wait; kept until the commit is durable.
    place: OwnedSemaphorePermit,
    new: NewCommit,
    /// Its changes, where they were hashed already.
    edits: Option<Vec<Edit>>,
    told: oneshot::Sender<(Result<Waiting, StoreError>, OwnedSemaphorePermit)>,
}

impl Turn {
    fn take(self, repo: &Arc<Repository>) {
        let Self { inner, place, new, edits, told } = self;
        let prepared = prepare(&inner, repo, new, edits);
        // Whoever has the answer may close the store and open it again.
        drop(inner);
        // Nobody may be waiting any more; what was begun is done.
        let _ = told.send((prepared, place));
    }
}

/// Makes a repository; returns when that is durable.
pub(crate) async fn create(inner: &Arc<Inner>, name: &RepoName) -> Result<(), StoreError> {
    create_by(inner, name, &Origin::system()).await
}

fn prepare(
    inner: &Inner,
    repo: &Arc<Repository>,
    new: NewCommit,
    edits: Option<Vec<Edit>>,
) -> Result<Waiting, StoreError> {
    check(&new)?;
    let shared = &inner.shared;
    let mut edits =
        edits.map_or_else(|| edit::hash(shared, &new.changes, repo.name.is_internal()), Ok)?;
    let mut head = repo.prepare();
    shared.check_running()?;
    repo.check_there()?;
    if let Some(expected) = new.expected
        && expected != head.revision
    {
        return Err(StoreError::Conflict {
            repo: repo.name.clone(),
            expected,
            actual: head.revision,
        });
    }
    let mut bounds = repo.bounds();
    bounds.check_rate(&repo.name)?;
    Requirements::new(shared, repo, *head, new.merge).check(&new.require, &mut edits)?;
    let root = head.commit.map(|commit| shared.reader(repo).root(commit)).transpose()?;
    let mut editor = Editor::new(shared, repo, root)?;
    edits.into_iter().try_for_each(|edit| editor.apply(edit))?;
    let usage = bounds.check(shared, repo, head.commit, &mut editor)?;
    let Edited { tree, touched, mut objects } = editor.finish()?;
    let same = root.map_or(touched.is_empty(), |root| root == tree);
    if same && !new.allow_empty {
        return Err(StoreError::Empty(repo.name.clone()));
    }
    let commit = chain(tree, *head, &new, &mut objects)?;
    let presence = repo.presence();
    objects.retain(|(id, _)| *id == commit.0 || !presence.has(id));
    let record = Record {
        act: Act::Commit,
        repo: repo.name.clone(),
        old: head.commit,
        first: head.revision.0 + 1,
        begins: head.commit.is_none(),
        commits: vec![commit],
        // `send` packs what is left of the objects.
        pack: Vec::new(),
        note: Note::new(&new.by, &new.message),
    };
    let next = Head { revision: Revision(record.first), commit: Some(commit) };
    let touched = touched.into_iter().map(|touch| touch.path).collect();
    let waiting = send(inner, repo, record, objects, vec![touched])?;
    bounds.took(commit, usage);
    *head = next;
    Ok(waiting)
}

/// Hands a prepared record to the writer. The caller holds the repository's
/// prepared head, so that records stand in the queue in their order.
pub(crate) fn send(
    inner: &Inner,
    repo: &Arc<Repository>,
    mut record: Record,
    objects: Objects,
    touched: Vec<Vec<FilePath>>,
) -> Result<Waiting, StoreError> {
    repo.check_there()?;
    let Lineage { told, descents } = lineage::of(&inner.shared, repo, &record, &objects);
    if !objects.is_empty() {
        record.pack = memory::encode(&objects, &told)?;
    }
    let encoded = record.encode()?;
    record.pack = Vec::new();
    // Only now, that nothing can be refused any more: what is found among
    // the lent objects is left out of later records.
    repo.lend(&objects);
    let (done, waiting) = oneshot::channel();
    let generation = repo.generation();
    let repo = Some(Arc::clone(repo));
    let write = Write { repo, record, encoded, objects, descents, touched, generation, done };
    inner.send(Message::Write(Box::new(write)))?;
    Ok(waiting)
}

fn check(new: &NewCommit) -> Result<(), StoreError> {
    if new.message.contains('\0') {
        return Err(StoreError::Invalid("the commit message holds a NUL".into()));
    }
    if new.time.as_second() < 0 {
        return Err(StoreError::Invalid("the commit's time lies before 1970".into()));
    }
    Ok(())
}

/// Makes the commit on top of `head`.
fn chain(
    tree: Oid,
    head: Head,
    new: &NewCommit,
    objects: &mut Objects,
) -> Result<CommitId, StoreError> {
    let who = |(name, email): (&str, &str)| Signature {
        name: name.into(),
        email: email.into(),
        time: new.time,
    };
    let origin = serde_json::to_string(&new.by).map_err(failed("writing who commits"))?;
    let mut extra = vec![(object::ORIGIN.to_owned(), origin)];
    if new.markup == Markup::Markdown {
        extra.push((object::MARKUP.to_owned(), "MARKDOWN".to_owned()));
    }
    let commit = Commit {
        tree,
        parents: head.commit.into_iter().collect(),
        author: who((&new.author.0, &new.author.1)),
        committer: who(COMMITTER),
        extra,
        message: new.message.clone(),
    };
    let object = Object { kind: Kind::Commit, data: object::encode_commit(&commit) };
    let id = object.id()?;
    objects.push((id, object));
    Ok(CommitId(id))
}

/// Makes a repository on somebody's behalf.
pub(crate) async fn create_by(
    inner: &Arc<Inner>,
    name: &RepoName,
    by: &Origin,
) -> Result<(), StoreError> {
    if inner.shared.repository(name).is_ok() {
        return Ok(());
    }
    inner.shared.check_running()?;
    let _place = inner.room.acquire().await.map_err(failed("queueing a repository"))?;
    let record = Record::create(name, by);
    let (done, waiting) = oneshot::channel();
    let (encoded, objects) = (record.encode()?, Vec::new());
    let touched = Vec::new();
    let descents = Vec::new();
    let write =
        Write { repo: None, record, encoded, objects, descents, touched, generation: 0, done };
    inner.send(Message::Write(Box::new(write)))?;
    answer(waiting).await.map(drop)
}

/// Removes a repository for ever.
pub(crate) async fn purge(
    inner: &Arc<Inner>,
    name: &RepoName,
    by: &Origin,
) -> Result<(), StoreError> {
    let repo = inner.shared.repository(name)?;
    if name.is_internal() {
        return Err(StoreError::Invalid(format!("`{name}` is Convoy's own and stays")));
    }
    let _place = inner.room.acquire().await.map_err(failed("queueing a removal"))?;
    let waiting = {
        let head = repo.prepare();
        inner.shared.check_running()?;
        let record = Record::purge(name, head.commit, by);
        let waiting = send(inner, &repo, record, Vec::new(), Vec::new())?;
        // From here on nobody builds on it; the writer undoes this if the
        // removal is refused.
        repo.set_gone(true);
        waiting
    };
    answer(waiting).await.map(drop)
}
