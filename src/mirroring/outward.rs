//! From (a folder of) a repository to a remote's branch: a commit on top of
//! the branch's head, pushed only if the head is still that one. Where both
//! are whole and the branch holds nothing but revisions of ours, the revisions
//! themselves are pushed, so that a clone of it equals ours.

use super::changes::Changes;
use super::error::RunError;
use super::inward::{is_paired, newest};
use super::rules::Rules;
use super::run::{Done, Env};
use super::synced::{Pair, Point};
use super::{Outcome, words};
use crate::govern::MirrorDocument;
use crate::mirror::{self, Expect, Graft, Listing, MirrorError, Objects, Upstream};
use crate::model::{CommitId, Revision};
use crate::store::Head;
use crate::telemetry::clock;

/// How far back a mirrored commit of the other way is looked for.
const LOOK_BACK_MAX: usize = 50;

/// Brings our folder over.
pub(super) async fn bring(
    env: &Env,
    mirror: &MirrorDocument,
    upstream: &Upstream,
) -> Result<Done, RunError> {
    let at = mirror::head(upstream).await?;
    let newest = newest(&env.store, &mirror.local, &mirror.local_folder)?;
    let Some(newest) = newest.map(|info| info.revision) else {
        return Err(nothing_here(mirror));
    };
    let (pair, paired) = (Pair::of(mirror), is_paired(env, mirror));
    if let Some(point) = env.synced.get(&pair) {
        // Where a mirror comes in too, what is new there is for it to bring.
        if newest <= point.local && (paired || at == Some(point.remote)) {
            return Ok(Done::up_to_date());
        }
    }
    env.store.flush(&mirror.local).await?;
    let head = env.store.head(&mirror.local)?;
    let rules = Rules::new(&mirror.ignore)?;
    if let Some(done) = push_revisions(env, mirror, upstream, &rules, head, at).await? {
        return Ok(done);
    }
    let known = env.synced.get(&pair).map(|point| point.remote);
    let outgoing = Outgoing { env, mirror, upstream, head, paired, known };
    outgoing.push_tree(at, rules).await
}

fn nothing_here(mirror: &MirrorDocument) -> RunError {
    let place = match mirror.local_folder.as_str() {
        "" => format!("`{}` holds no file", mirror.local),
        folder => format!("`{}` has no folder `{folder}`", mirror.local),
    };
    RunError::refused(format!("{place}; nothing was changed at the remote"))
}

/// Pushes the revisions as they are, where that is what a mirror comes to.
async fn push_revisions(
    env: &Env,
    mirror: &MirrorDocument,
    upstream: &Upstream,
    rules: &Rules,
    head: Head,
    at: Option<CommitId>,
) -> Result<Option<Done>, RunError> {
    let whole = mirror.local_folder.is_empty() && mirror.remote_folder.is_empty();
    let Some(commit) = head.commit.filter(|_| whole && rules.is_empty()) else { return Ok(None) };
    let point = Point { remote: commit, local: head.revision };
    if at == Some(commit) {
        env.synced.set(&Pair::of(mirror), point);
        return Ok(Some(Done::up_to_date()));
    }
    let behind = at.map(|at| env.store.revision_of(&mirror.local, &at));
    let (expect, from) = match behind {
        None => (Expect::Absent, Revision(0)),
        Some(Some(revision)) => (Expect::Behind, revision),
        Some(None) => return Ok(None),
    };
    let git_dir = env.store.git_dir(&mirror.local);
    match mirror::push(upstream, &git_dir, &mirror.branch, commit, expect).await {
        Ok(()) => {}
        // A revision that an adopted branch left behind is no ancestor.
        Err(MirrorError::Moved { .. })
            if expect == Expect::Behind && mirror::head(upstream).await? == at =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    }
    env.synced.set(&Pair::of(mirror), point);
    let files = changed(env, mirror, at, commit).await.unwrap_or_default();
    tracing::debug!(mirror = mirror.id, %from, to = %head.revision, "revisions were pushed");
    let outcome = Outcome::Brought { revision: head.revision, commit, files };
    Ok(Some(Done { outcome, skipped: Vec::new() }))
}

/// How many files a push of revisions changed.
async fn changed(
    env: &Env,
    mirror: &MirrorDocument,
    from: Option<CommitId>,
    to: CommitId,
) -> Option<usize> {
    let git_dir = env.store.git_dir(&mirror.local);
    let count = move || {
        let objects = Objects::open(&git_dir).ok()?;
        let before = from.and_then(|from| objects.list(from, "").ok()?).unwrap_or_default();
        let after = objects.list(to, "").ok()??;
        Some(Changes::between(&after, &before, &Rules::new("").ok()?).len())
    };
    tokio::task::spawn_blocking(count).await.ok()?
}

struct Outgoing<'a> {
    env: &'a Env,
    mirror: &'a MirrorDocument,
    upstream: &'a Upstream,
    head: Head,
    paired: bool,
    /// The branch's head of when both were last in step.
    known: Option<CommitId>,
}

/// A commit that was written, if anything differs.
struct Written {
    commit: Option<(CommitId, usize)>,
    /// Of the branch's head.
    message: String,
}

impl Outgoing<'_> {
    /// Pushes our folder as it is as one commit on top of the branch.
    async fn push_tree(&self, at: Option<CommitId>, rules: Rules) -> Result<Done, RunError> {
        let ours = self.env.store.git_dir(&self.mirror.local);
        let quarantine = self.env.quarantine();
        // Either is removed when this ends.
        let (fetched, fresh);
        let (git_dir, base) = if at.is_some() {
            fetched = mirror::fetch_tip(
                self.upstream,
                &self.env.cache(self.mirror),
                &[&ours],
                &quarantine,
            )
            .await?;
            (fetched.fetched.git_dir.as_path(), Some(fetched.fetched.head))
        } else {
            fresh = mirror::fresh(&quarantine, &ours)?;
            (fresh.path(), None)
        };
        let written = self.write(git_dir, base, rules).await?;
        let pair = Pair::of(self.mirror);
        let local = self.head.revision;
        let Some((commit, files)) = written.commit else {
            if let Some(remote) = base {
                self.env.synced.set(&pair, Point { remote, local });
            }
            return Ok(Done::up_to_date());
        };
        if let Some(base) = base.filter(|base| self.paired && !self.is_ours(*base, &written)) {
            return Err(RunError::refused(format!(
                "the branch is at {base}, which the mirror that comes in has not brought yet; \
                 this one goes on after it"
            )));
        }
        let expect = base.map_or(Expect::Absent, Expect::At);
        mirror::push(self.upstream, git_dir, &self.mirror.branch, commit, expect).await?;
        self.env.synced.set(&pair, Point { remote: commit, local });
        let outcome = Outcome::Brought { revision: local, commit, files };
        Ok(Done { outcome, skipped: Vec::new() })
    }

    /// Whether the branch's head holds nothing that we have not seen.
    fn is_ours(&self, base: CommitId, written: &Written) -> bool {
        let (repo, folder) = (&self.mirror.local, &self.mirror.local_folder);
        if self.known == Some(base) || words::pushed(&written.message, repo, folder).is_some() {
            return true;
        }
        let history = self.env.store.history(repo, None, None, LOOK_BACK_MAX).unwrap_or_default();
        history.iter().any(|info| words::names(info, base))
    }

    async fn write(
        &self,
        git_dir: &std::path::Path,
        base: Option<CommitId>,
        rules: Rules,
    ) -> Result<Written, RunError> {
        let (mirror, head, git_dir) = (self.mirror.clone(), self.head, git_dir.to_path_buf());
        let now = clock::now();
        let work = move || -> Result<Written, RunError> {
            let objects = Objects::open(&git_dir)?;
            let commit = head.commit.ok_or_else(|| nothing_here(&mirror))?;
            let ours = objects.list(commit, &mirror.local_folder)?;
            let theirs = match base {
                Some(base) => objects.list(base, &mirror.remote_folder)?.unwrap_or_default(),
                None => Listing::default(),
            };
            let ours = ours.filter(|ours| !ours.files.is_empty() || theirs.files.is_empty());
            let ours = ours.ok_or_else(|| nothing_here(&mirror))?;
            let message = base.map(|base| objects.message(base)).transpose()?.unwrap_or_default();
            let changes = Changes::between(&ours, &theirs, &rules);
            if changes.is_empty() {
                return Ok(Written { commit: None, message });
            }
            let files = changes.len();
            let author = (words::AUTHOR.0.to_owned(), words::AUTHOR.1.to_owned());
            let graft = Graft {
                base,
                folder: mirror.remote_folder.clone(),
                put: changes.put,
                remove: changes.remove,
                author,
                time: now,
                message: words::outward(&mirror, head.revision, commit),
            };
            let commit = mirror::graft(&git_dir, &graft)?;
            Ok(Written { commit: Some((commit, files)), message })
        };
        let written = tokio::task::spawn_blocking(work).await;
        written.map_err(|_| RunError::refused("comparing ended unexpectedly"))?
    }
}
