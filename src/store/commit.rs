//! Making a commit: hashed, edited and chained in memory against the head
//! that will be, then handed to the writer. It waits for no disk; many
//! writers on one repository build on each other and share one fdatasync.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::edit::{self, Edit};
use super::error::{StoreError, failed};
use super::object::{self, Commit, Kind, Object, Objects, Signature};
use super::open::{Inner, Shared};
use super::pack;
use super::record::{Act, Record};
use super::repository::Repository;
use super::writer::{Message, Write};
use super::{Head, NewCommit};
use crate::model::{Change, CommitId, FilePath, Origin, RepoName, Revision};

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
    new: NewCommit,
) -> Result<Head, StoreError> {
    let repo = inner.shared.repository(name)?;
    let _place = inner.room.acquire().await.map_err(failed("queueing a commit"))?;
    let worker = Arc::clone(inner);
    let waiting = blocking(move || prepare(&worker, repo, new)).await?;
    answer(waiting).await
}

/// Makes a repository; returns when that is durable.
pub(crate) async fn create(inner: &Arc<Inner>, name: &RepoName) -> Result<(), StoreError> {
    if inner.shared.repository(name).is_ok() {
        return Ok(());
    }
    inner.shared.check_running()?;
    let _place = inner.room.acquire().await.map_err(failed("queueing a repository"))?;
    let record = Record::create(name);
    let (done, waiting) = oneshot::channel();
    let encoded = record.encode()?;
    inner.send(Message::Write(Write {
        repo: None,
        record,
        encoded,
        objects: Vec::new(),
        touched: Vec::new(),
        done,
    }))?;
    answer(waiting).await.map(drop)
}

fn prepare(inner: &Inner, repo: Arc<Repository>, new: NewCommit) -> Result<Waiting, StoreError> {
    check(&new)?;
    let (edits, mut objects) = hash(&inner.shared, &new)?;
    let mut head = repo.prepare();
    inner.shared.check_running()?;
    if let Some(expected) = new.expected
        && expected != head.revision
    {
        return Err(StoreError::Conflict {
            repo: repo.name.clone(),
            expected,
            actual: head.revision,
        });
    }
    let commit = chain(&inner.shared, &repo, *head, &new, &edits, &mut objects)?;
    let presence = repo.presence();
    objects.retain(|(id, _)| *id == commit.0 || !presence.has(id));
    let record = Record {
        act: Act::Commit,
        repo: repo.name.clone(),
        old: head.commit,
        first: head.revision.0 + 1,
        begins: head.commit.is_none(),
        commits: vec![commit],
        pack: pack::encode(&objects)?,
    };
    let next = Head { revision: Revision(record.first), commit: Some(commit) };
    repo.lend(&objects);
    let waiting = send(inner, &repo, record, objects, Vec::new())?;
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
    let encoded = record.encode()?;
    record.pack = Vec::new();
    let (done, waiting) = oneshot::channel();
    let repo = Some(Arc::clone(repo));
    inner.send(Message::Write(Write { repo, record, encoded, objects, touched, done }))?;
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

/// Turns changes into edits and blobs. Outside the repository's lock: it is
/// most of the work, and needs nothing of the head.
fn hash(shared: &Shared, new: &NewCommit) -> Result<(Vec<Edit>, Objects), StoreError> {
    let (mut edits, mut objects) = (Vec::new(), Vec::new());
    for change in &new.changes {
        match change {
            Change::Rename { .. }
            | Change::PatchJson(..)
            | Change::PatchText(..)
            | Change::Restore(_) => todo!(),
            Change::Remove(path) => edits.push(Edit::Remove(path.clone())),
            Change::Upsert(path, content) => {
                let bytes_max = shared.options.file_bytes_max;
                if content.len() as u64 > bytes_max {
                    return Err(StoreError::Limit(format!(
                        "`{path}` has {} bytes; files may have {bytes_max}",
                        content.len()
                    )));
                }
                let object = Object { kind: Kind::Blob, data: content.clone() };
                let id = object.id()?;
                edits.push(Edit::Upsert(path.clone(), id));
                objects.push((id, object));
            }
        }
    }
    Ok((edits, objects))
}

/// Makes the trees and the commit on top of `head`.
fn chain(
    shared: &Shared,
    repo: &Repository,
    head: Head,
    new: &NewCommit,
    edits: &[Edit],
    objects: &mut Objects,
) -> Result<CommitId, StoreError> {
    let mut reader = shared.reader(repo);
    let root = match head.commit {
        Some(commit) => Some(reader.commit(commit)?.tree),
        None => None,
    };
    let tree = edit::edit(&mut reader, root, edits, objects)?;
    if Some(tree) == root || root.is_none() && edits.is_empty() {
        return Err(StoreError::Empty(repo.name.clone()));
    }
    let who = |(name, email): (&str, &str)| Signature {
        name: name.into(),
        email: email.into(),
        time: new.time,
    };
    let commit = Commit {
        tree,
        parents: head.commit.into_iter().collect(),
        author: who((&new.author.0, &new.author.1)),
        committer: who(COMMITTER),
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
    let _ = (inner, name, by);
    todo!()
}

/// Removes a repository for ever.
pub(crate) async fn purge(
    inner: &Arc<Inner>,
    name: &RepoName,
    by: &Origin,
) -> Result<(), StoreError> {
    let _ = (inner, name, by);
    todo!()
}
