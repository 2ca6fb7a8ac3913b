//! Edits: what a set of changes would come to, and saving them. A repository
//! that follows an upstream is never written directly: its edits become a
//! branch of the upstream, and come back as commits like everybody else's.

mod change;

use std::sync::Arc;

use serde::Serialize;

use super::Site;
use super::auth::Caller;
use super::error::Fault;
use crate::access::{Reach, Right};
use crate::content::Patterns;
use crate::hosting::{Intent, Opened};
use crate::mirror::{self, Proposal, Upstream};
use crate::model::{
    CommitId, ContentHash, Effect, FilePath, FileState, Finding, MANIFEST_PATH, Origin, Person,
    Precondition, Problem, RepoName, Revision, SourceTree, Stage,
};
use crate::reconcile::{self, Assessment};
use crate::store::{Head, NewCommit, Store, StoreError, TreeAt};
use crate::telemetry::clock;

pub(crate) use change::{ChangeIn, as_changes};

/// How often a commit is tried whose paths were checked at a head that moved.
const TRIES_MAX: usize = 5;
/// One commit changes no more files than these.
const CHANGES_MAX: usize = 1000;
/// The longest commit message.
const MESSAGE_BYTES_MAX: usize = 8 << 10;

/// What a tree with changes comes to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Verdict {
    /// The revision that the changes were laid upon.
    pub(crate) revision: Revision,
    /// Whether a push of it would make an eligible bundle.
    pub(crate) ok: bool,
    pub(crate) problems: Vec<Problem>,
    pub(crate) findings: Vec<Finding>,
    /// The stages that were rendered, in promotion order.
    pub(crate) stages: Vec<Stage>,
}

/// What saving came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "saved")]
pub(crate) enum Saved {
    /// A commit of ours.
    Committed { revision: Revision, commit: Option<CommitId> },
    /// A branch of the upstream.
    Proposed(Box<Proposed>),
}

/// An edit that is a branch of the upstream now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Proposed {
    pub(crate) branch: String,
    pub(crate) commit: CommitId,
    /// The page that makes a pull request of it by hand.
    pub(crate) compare_url: Option<String>,
    /// The pull request that it is.
    pub(crate) pull: Option<Opened>,
    /// Whether it becomes one without anybody's doing, now or later.
    pub(crate) opens_by_itself: bool,
    /// Why GitHub makes none of it.
    pub(crate) refused: Option<String>,
    /// The head by now, where the edit stands on an older one. It is never
    /// forced onto it: whoever merges it merges both.
    pub(crate) moved_to: Option<Revision>,
}

/// An edit to save.
#[derive(Debug, Clone)]
pub(crate) struct Edit {
    pub(crate) repo: RepoName,
    /// What the author looked at.
    pub(crate) base: Revision,
    pub(crate) changes: Vec<ChangeIn>,
    /// Whether files that others changed meanwhile are merged by line.
    pub(crate) merge: bool,
    pub(crate) message: String,
}

/// What `changes` on top of `revision` (the head if `None`) come to, by the
/// same function as a push.
pub(crate) async fn verdict(
    site: &Site,
    repo: &RepoName,
    revision: Option<Revision>,
    changes: Vec<ChangeIn>,
) -> Result<Verdict, Fault> {
    check_count(&changes)?;
    let revision = match revision {
        Some(revision) => revision,
        None => site.web.store.head(repo)?.revision,
    };
    let Ok(permit) = site.heavy.clone().acquire_owned().await else {
        return Err(Fault::busy("convoy is stopping"));
    };
    let (store, renderer, repo) = (site.web.store.clone(), site.web.renderer.clone(), repo.clone());
    let work = move || {
        let _permit = permit;
        let TreeAt { mut source, mut skipped } = store.tree(&repo, revision)?;
        let effects = store.preview(&repo, revision, &as_changes(&changes))?;
        let is_touched = |file: &FilePath| effects.iter().any(|effect| effect.path == *file);
        skipped.retain(|problem| !is_touched(&problem.place.file));
        let had = source.files.keys().any(|path| path.as_str() == MANIFEST_PATH);
        apply(&mut source, effects);
        Ok(Verdict::of(revision, reconcile::assess_next(&renderer, had, &source, &skipped)))
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| Fault::internal(&error))?
}

impl Verdict {
    /// A tree without a pipeline is plain versioned configuration: nothing
    /// can be wrong with it.
    fn of(revision: Revision, assessment: Option<Assessment>) -> Self {
        let Some(assessment) = assessment else {
            let (problems, findings, stages) = Default::default();
            return Self { revision, ok: true, problems, findings, stages };
        };
        let ok = assessment.is_valid();
        let Assessment { manifest, problems, findings, .. } = assessment;
        let stages = manifest.iter().flat_map(|manifest| &manifest.stages);
        let stages = stages.map(|spec| spec.name.clone()).collect();
        Self { revision, ok, problems, findings, stages }
    }
}

/// Saves an edit of somebody who may write what it touches.
pub(crate) async fn save(
    site: &Site,
    caller: &Caller,
    by: Origin,
    edit: Edit,
) -> Result<Saved, Fault> {
    check_count(&edit.changes)?;
    if edit.changes.is_empty() {
        return Err(Fault::invalid("the commit changes nothing", "send at least one change"));
    }
    check_message(&edit.message)?;
    caller.may_change(site, &edit.repo, &as_changes(&edit.changes))?;
    match site.web.upstreams.get(&edit.repo) {
        Some(upstream) => propose(site, upstream, caller, by, edit).await,
        None => commit(site, caller, by, edit).await,
    }
}

async fn commit(site: &Site, caller: &Caller, by: Origin, edit: Edit) -> Result<Saved, Fault> {
    let author = author_of(site, &by);
    let new = NewCommit {
        require: change::require(&edit.changes, edit.base),
        merge: edit.merge,
        ..NewCommit::new(by, author, clock::now(), edit.message, as_changes(&edit.changes))
    };
    let done = match caller.reach(site, Right::Write, &edit.repo) {
        Reach::All => site.web.store.commit(&edit.repo, new).await,
        _ => commit_within(site, caller, &edit.repo, new).await?,
    };
    let head = done.map_err(|error| explain(&site.web.store, error))?;
    site.web.handle.nudge(&edit.repo);
    Ok(Saved::Committed { revision: head.revision, commit: head.commit })
}

/// Commits for somebody who may write some paths only: what the changes touch
/// is looked at, and the head must still be the same when they are made.
async fn commit_within(
    site: &Site,
    caller: &Caller,
    repo: &RepoName,
    new: NewCommit,
) -> Result<Result<Head, StoreError>, Fault> {
    let mut tries = 0;
    loop {
        tries += 1;
        let head = site.web.store.head(repo)?.revision;
        caller.may_change(site, repo, &new.changes)?;
        let pinned = NewCommit { expected: Some(head), ..new.clone() };
        match site.web.store.commit(repo, pinned).await {
            Err(StoreError::Conflict { .. }) if tries < TRIES_MAX => {}
            done => return Ok(done),
        }
    }
}

async fn propose(
    site: &Site,
    upstream: &Upstream,
    caller: &Caller,
    by: Origin,
    edit: Edit,
) -> Result<Saved, Fault> {
    let person = by.actor.person.clone().ok_or_else(|| Fault::no_person(&by.name))?;
    let store = &site.web.store;
    let effects = store.preview(&edit.repo, edit.base, &as_changes(&edit.changes))?;
    let may = |effect: &Effect| caller.may(site, Right::Write, &edit.repo, Some(&effect.path));
    effects.iter().try_for_each(may)?;
    check_expected(store, &edit)?;
    if effects.is_empty() {
        return Err(StoreError::Empty(edit.repo).into());
    }
    let base = store.info(&edit.repo, edit.base)?.commit;
    let branch = branch_of(&person, &base, &edit.message, &effects);
    let moved_to = Some(store.head(&edit.repo)?.revision).filter(|head| *head != edit.base);
    // What is to follow is durable before anything leaves the machine.
    let intent = intent(upstream, &person, &edit, (&branch, base));
    let intent = site.web.hosting.intend(intent).await.map_err(|error| Fault::internal(&error))?;
    let proposal = Proposal {
        branch,
        base,
        effects,
        author: author_of(site, &by),
        time: intent.at,
        message: edit.message,
    };
    let git_dir = store.git_dir(&edit.repo);
    let commit = mirror::propose(upstream, &git_dir, &proposal, &site.web.work_dir).await?;
    let (hosting, branch) = (&site.web.hosting, proposal.branch);
    Ok(Saved::Proposed(Box::new(Proposed {
        compare_url: compare_url(upstream, &branch),
        pull: hosting.opened(&edit.repo, &branch).await,
        opens_by_itself: hosting.opens_pulls(&edit.repo),
        refused: hosting.refusal(&edit.repo, &branch),
        branch,
        commit,
        moved_to,
    })))
}

/// The pull request that an edit shall become, where the upstream has them.
fn intent(
    upstream: &Upstream,
    person: &Person,
    edit: &Edit,
    (branch, base): (&str, CommitId),
) -> Intent {
    let (title, rest) = edit.message.trim().split_once('\n').unwrap_or((edit.message.trim(), ""));
    let made = format!("Proposed by {person} in Convoy, on revision {} ({base}).", edit.base);
    let body = if rest.trim().is_empty() { made } else { format!("{}\n\n{made}", rest.trim()) };
    Intent {
        repo: edit.repo.clone(),
        branch: branch.to_owned(),
        base: upstream.branch.clone(),
        made_on: edit.base,
        title: title.to_owned(),
        body,
        by: person.clone(),
        at: clock::now(),
        number: None,
        url: None,
        refused: None,
    }
}

/// A proposal stands on its base, and whoever takes it over merges it. Only
/// what was said to be expected is looked at here.
fn check_expected(store: &Store, edit: &Edit) -> Result<(), Fault> {
    let head = store.head(&edit.repo)?.revision;
    let said: Vec<_> = edit.changes.iter().filter(|one| one.expected.is_some()).cloned().collect();
    for Precondition { path, state } in change::require(&said, edit.base) {
        let now = match store.file(&edit.repo, head, &path) {
            Ok(file) => Some(file.blob),
            Err(StoreError::NoFile { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let why = match state {
            FileState::Absent => now.map(|_| "is there already".to_owned()),
            FileState::Content(blob) if now == Some(blob) => None,
            FileState::Content(blob) => Some(format!("is not {blob}")),
            FileState::AsOf(revision) => {
                let patterns = Patterns::file(&path);
                let changed = store.changed(&edit.repo, revision, head, &patterns)?;
                (!changed.is_empty()).then(|| format!("was changed after revision {revision}"))
            }
        };
        if let Some(why) = why {
            let repo = edit.repo.clone();
            return Err(explain(store, StoreError::Stale { repo, path, why, head }));
        }
    }
    Ok(())
}

/// A refusal that says who changed the file meanwhile.
fn explain(store: &Store, error: StoreError) -> Fault {
    let place = match &error {
        StoreError::Stale { repo, path, head, .. } | StoreError::Clash { repo, path, head, .. } => {
            Some((repo.clone(), path.clone(), *head))
        }
        _ => None,
    };
    let fault = Fault::from(error);
    let Some((repo, path, head)) = place else { return fault };
    match store.history(&repo, Some(head), Some(&path), 1) {
        Ok(infos) => infos.first().map_or(fault.clone(), |info| fault.clone().changed_by(info)),
        Err(_) => fault,
    }
}

/// Refuses a commit without a message, or with an essay.
pub(crate) fn check_message(message: &str) -> Result<(), Fault> {
    if message.trim().is_empty() || message.len() > MESSAGE_BYTES_MAX {
        return Err(Fault::invalid(
            "the commit has no message, or one of more than 8 KiB",
            "say in a line what changes and why",
        ));
    }
    Ok(())
}

fn check_count(changes: &[ChangeIn]) -> Result<(), Fault> {
    if changes.len() > CHANGES_MAX {
        let message = format!("{} changes in one request", changes.len());
        return Err(Fault::invalid(message, "send at most 1,000"));
    }
    Ok(())
}

fn apply(tree: &mut SourceTree, effects: Vec<Effect>) {
    for Effect { path, after, .. } in effects {
        match after {
            Some(content) => drop(tree.files.insert(path, content)),
            None => drop(tree.files.remove(&path)),
        }
    }
}

/// Whose name and mail address a commit carries.
pub(crate) fn author_of(site: &Site, by: &Origin) -> (String, String) {
    let known = by.actor.person.as_ref().and_then(|person| site.web.authors.get(person)).cloned();
    known.unwrap_or_else(|| {
        let name = by.actor.person.as_ref().map_or(by.name.clone(), ToString::to_string);
        let mail = format!("{name}@convoy.invalid");
        (name, mail)
    })
}

/// The same edit on the same base gives the same branch, so that sending it
/// twice is one proposal.
fn branch_of(person: &Person, base: &CommitId, message: &str, effects: &[Effect]) -> String {
    let base = base.to_string();
    let mut parts = vec![base.as_bytes(), message.as_bytes()];
    for Effect { path, after, .. } in effects {
        parts.push(path.as_str().as_bytes());
        parts.push(if after.is_some() { b"+" } else { b"-" });
        parts.push(after.as_deref().unwrap_or_default());
    }
    let hash = ContentHash::of_parts(parts).short();
    // Git refuses `..` and `.lock` in a branch's name.
    let person = person.as_str().replace('.', "-");
    format!("convoy/edit/{person}/{}", &hash[..8])
}

/// The page of a GitHub-like host that turns a branch into a pull request;
/// `None` where the upstream is not on the web.
fn compare_url(upstream: &Upstream, branch: &str) -> Option<String> {
    let url = upstream.url.trim_end_matches('/').trim_end_matches(".git");
    let rest = if let Some(rest) = url.strip_prefix("https://") {
        rest.to_owned()
    } else if let Some(rest) = url.strip_prefix("ssh://") {
        rest.rsplit_once('@').map_or(rest, |(_, rest)| rest).to_owned()
    } else {
        let (_, rest) = url.split_once('@').filter(|_| !url.contains("://"))?;
        rest.replacen(':', "/", 1)
    };
    let (host, path) = rest.split_once('/')?;
    let host = if url.starts_with("https://") { host } else { host.split(':').next()? };
    let ours = super::extract::encode_path(&upstream.branch);
    let path = path.trim_start_matches('/');
    Some(format!("https://{host}/{path}/compare/{ours}...{branch}?expand=1"))
}

/// What an edit form needs to know of a repository.
pub(crate) fn is_mirrored(site: &Site, repo: &RepoName) -> bool {
    let upstreams = Arc::clone(&site.web.upstreams);
    upstreams.contains_key(repo)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::Limits;

    fn upstream(url: &str) -> Upstream {
        let limits = Limits::default();
        Upstream { limits, ..Upstream::new(url, "main") }
    }

    #[test]
    fn the_compare_page_is_found_for_hosts_on_the_web() {
        let page = Some("https://ghe.example.com/mesh/config/compare/main...b?expand=1".into());
        for url in [
            "https://ghe.example.com/mesh/config.git",
            "https://ghe.example.com/mesh/config",
            "ssh://git@ghe.example.com/mesh/config.git",
            "ssh://git@ghe.example.com:22/mesh/config.git",
            "git@ghe.example.com:mesh/config.git",
        ] {
            assert_eq!(compare_url(&upstream(url), "b"), page, "{url}");
        }
        assert_eq!(compare_url(&upstream("file:///srv/config.git"), "b"), None);
        assert_eq!(compare_url(&upstream("http://127.0.0.1:1/config.git"), "b"), None);
    }

    #[test]
    fn the_same_edit_is_the_same_branch() {
        let person = Person::new("ann..lock").expect("a name");
        let branch = |after: Option<&'static str>| {
            let path = FilePath::new("a").expect("a path");
            let effect = Effect { path, before: None, after: after.map(Into::into) };
            branch_of(&person, &CommitId([1; 20]), "m", &[effect])
        };
        assert!(branch(Some("")).starts_with("convoy/edit/ann--lock/"));
        assert_eq!(branch(Some("x")), branch(Some("x")));
        assert_ne!(branch(Some("")), branch(None));
    }

    #[test]
    fn a_tree_without_a_pipeline_has_nothing_wrong() {
        let verdict = Verdict::of(Revision(1), None);
        assert!(verdict.ok && verdict.stages.is_empty());
    }
}
