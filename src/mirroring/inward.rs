//! From a remote to (a folder of) a repository: one commit with what differs.

use bytes::Bytes;

use super::changes::Changes;
use super::error::RunError;
use super::rules::Rules;
use super::run::{Done, Env};
use super::synced::{Pair, Point};
use super::{Outcome, words};
use crate::govern::{MirrorDirection, MirrorDocument};
use crate::mirror::{self, Listing, MirrorError, Objects, Upstream};
use crate::model::{
    Change, CommitId, CommitInfo, FilePath, FileState, Precondition, RepoName, Revision,
};
use crate::store::{Head, NewCommit, Store, StoreError};
use crate::telemetry::clock;

/// Bytes of the files that one commit may write.
const CONTENT_BYTES_MAX: usize = 256 << 20;
/// Files whose last author is looked up, to say what is replaced.
const REPLACED_MAX: usize = 20;

/// Brings the remote's folder over.
pub(super) async fn bring(
    env: &Env,
    mirror: &MirrorDocument,
    upstream: &Upstream,
) -> Result<Done, RunError> {
    let (url, branch) = (mirror.url.clone(), mirror.branch.clone());
    let at = mirror::head(upstream).await?.ok_or(MirrorError::NoBranch { url, branch })?;
    let newest = newest(&env.store, &mirror.local, &mirror.local_folder)?;
    if is_in_step(env, mirror, at, newest.as_ref()) {
        return Ok(Done::up_to_date());
    }
    let fetched = mirror::fetch_tip(upstream, &env.cache(mirror), &[], &env.quarantine()).await?;
    let at = fetched.fetched.head;
    let theirs = Objects::open(&fetched.fetched.git_dir)?;
    env.store.flush(&mirror.local).await?;
    let head = env.store.head(&mirror.local)?;
    let task = Task {
        mirror: mirror.clone(),
        rules: Rules::new(&mirror.ignore)?,
        at,
        head,
        ours: env.store.git_dir(&mirror.local),
        theirs,
    };
    let prepared = tokio::task::spawn_blocking(move || task.prepare()).await;
    let prepared = prepared.map_err(|_| RunError::refused("comparing ended unexpectedly"))??;
    // Kept until the contents are read.
    drop(fetched);
    commit(env, mirror, at, head, prepared).await
}

/// The newest revision that changed a folder.
pub(super) fn newest(
    store: &Store,
    repo: &RepoName,
    folder: &str,
) -> Result<Option<CommitInfo>, RunError> {
    let head = store.head(repo)?;
    if head.revision == Revision(0) {
        return Ok(None);
    }
    if folder.is_empty() {
        return Ok(Some(store.info(repo, head.revision)?));
    }
    let folder = FilePath::new(folder).map_err(|error| RunError::refused(error.to_string()))?;
    Ok(store.history(repo, Some(head.revision), Some(&folder), 1)?.into_iter().next())
}

/// Whether another mirror goes the other way between the same places.
pub(super) fn is_paired(env: &Env, mirror: &MirrorDocument) -> bool {
    let registry = env.govern.registry();
    let pair = Pair::of(mirror);
    registry.mirrors.values().any(|other| {
        other.enabled && other.direction != mirror.direction && Pair::of(other) == pair
    })
}

/// Whether there is nothing to bring, as far as can be told without a fetch.
fn is_in_step(
    env: &Env,
    mirror: &MirrorDocument,
    at: CommitId,
    newest: Option<&CommitInfo>,
) -> bool {
    debug_assert_eq!(mirror.direction, MirrorDirection::RemoteToLocal);
    let pair = Pair::of(mirror);
    let paired = is_paired(env, mirror);
    let newest_revision = newest.map(|info| info.revision).unwrap_or_default();
    if let Some(point) = env.synced.get(&pair).filter(|point| point.remote == at) {
        // Where a mirror goes out too, what is new here is for it to bring.
        return paired || newest_revision <= point.local;
    }
    if newest.and_then(|info| words::brought(info, mirror)) == Some(at) {
        env.synced.set(&pair, Point { remote: at, local: newest_revision });
        return true;
    }
    let whole = mirror.local_folder.is_empty() && mirror.remote_folder.is_empty();
    // The branch holds revisions of ours and nothing else.
    whole && paired && env.store.revision_of(&mirror.local, &at).is_some()
}

/// What is compared, and read.
struct Task {
    mirror: MirrorDocument,
    rules: Rules,
    at: CommitId,
    head: Head,
    ours: std::path::PathBuf,
    theirs: Objects,
}

/// What to commit.
struct Prepared {
    /// By their paths within the repository; `None` removes.
    files: Vec<(FilePath, Option<Bytes>)>,
    /// The files among them that are there.
    there: Vec<FilePath>,
    skipped: Vec<String>,
}

impl Task {
    fn prepare(self) -> Result<Prepared, RunError> {
        let mirror = &self.mirror;
        let theirs = self.theirs.list(self.at, &mirror.remote_folder)?.ok_or_else(|| {
            RunError::refused(format!(
                "branch `{}` of {} has no folder `{}`; nothing was changed here",
                mirror.branch, mirror.url, mirror.remote_folder
            ))
        })?;
        let ours = match self.head.commit {
            Some(commit) => Objects::open(&self.ours)?.list(commit, &mirror.local_folder)?,
            None => None,
        };
        let ours = ours.unwrap_or_default();
        let changes = Changes::between(&theirs, &ours, &self.rules);
        let mut skipped = theirs.skipped;
        let kept = changes.kept.iter();
        skipped.extend(kept.map(|path| format!("{path} (a name that Git keeps for itself)")));
        self.read(&changes, &ours, skipped)
    }

    fn read(
        &self,
        changes: &Changes,
        ours: &Listing,
        skipped: Vec<String>,
    ) -> Result<Prepared, RunError> {
        let place = |path: &FilePath| within(&self.mirror.local_folder, path);
        let mut files = Vec::with_capacity(changes.len());
        for path in &changes.remove {
            files.push((place(path)?, None));
        }
        let mut bytes = 0;
        for (path, file) in &changes.put {
            let content = self.theirs.blob(&file.blob)?;
            bytes += content.len();
            if bytes > CONTENT_BYTES_MAX {
                return Err(RunError::refused(format!(
                    "more than {CONTENT_BYTES_MAX} bytes of files differ; mirror a folder of it, \
                     or ignore the large ones"
                )));
            }
            files.push((place(path)?, Some(content)));
        }
        let put = changes.put.keys().filter(|path| ours.files.contains_key(*path));
        let there: Result<Vec<_>, _> = changes.remove.iter().chain(put).map(place).collect();
        let mut there = there?;
        there.sort_unstable();
        Ok(Prepared { files, there, skipped })
    }
}

fn within(folder: &str, path: &FilePath) -> Result<FilePath, RunError> {
    let text = if folder.is_empty() { path.to_string() } else { format!("{folder}/{path}") };
    FilePath::new(&text).map_err(|error| RunError::refused(error.to_string()))
}

async fn commit(
    env: &Env,
    mirror: &MirrorDocument,
    at: CommitId,
    base: Head,
    prepared: Prepared,
) -> Result<Done, RunError> {
    let Prepared { files, there, skipped } = prepared;
    let pair = Pair::of(mirror);
    if files.is_empty() {
        env.synced.set(&pair, Point { remote: at, local: base.revision });
        return Ok(Done { outcome: Outcome::UpToDate, skipped });
    }
    let (count, replaced) = (files.len(), replaced(&env.store, mirror, base.revision, &there));
    // What somebody writes between the look and the commit is looked at again
    // first, so that the message can say what is replaced.
    let state = |path: &FilePath| match there.binary_search(path) {
        Ok(_) => FileState::AsOf(base.revision),
        Err(_) => FileState::Absent,
    };
    let require = files.iter().map(|(path, _)| path);
    let require =
        require.map(|path| Precondition { state: state(path), path: path.clone() }).collect();
    let changes = files.into_iter().map(|(path, content)| match content {
        Some(content) => Change::Upsert(path, content),
        None => Change::Remove(path),
    });
    let message = words::inward(mirror, at, &replaced, &skipped);
    let author = (words::AUTHOR.0.to_owned(), words::AUTHOR.1.to_owned());
    let new = NewCommit {
        require,
        ..NewCommit::new(words::origin(mirror), author, clock::now(), message, changes.collect())
    };
    let head = match env.store.commit(&mirror.local, new).await {
        Ok(head) => head,
        Err(StoreError::Empty(_)) => return Ok(Done { outcome: Outcome::UpToDate, skipped }),
        Err(error) => return Err(error.into()),
    };
    env.synced.set(&pair, Point { remote: at, local: head.revision });
    (env.brought)(&mirror.local);
    let outcome = Outcome::Brought { revision: head.revision, commit: at, files: count };
    Ok(Done { outcome, skipped })
}

/// The files among `there` that a person wrote last, for the message.
fn replaced(
    store: &Store,
    mirror: &MirrorDocument,
    base: Revision,
    there: &[FilePath],
) -> Vec<String> {
    let last = |path: &FilePath| {
        let history = store.history(&mirror.local, Some(base), Some(path), 1).ok()?;
        let info = history.into_iter().next().filter(|info| !words::is_mirrors(info))?;
        Some(format!("{path} (revision {}, {})", info.revision, info.author_name))
    };
    there.iter().take(REPLACED_MAX).filter_map(last).collect()
}
