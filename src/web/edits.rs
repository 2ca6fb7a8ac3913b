//! Edits: what a set of changes would come to, and saving them. A repository
//! that follows an upstream is never written directly: its edits become a
//! branch of the upstream, and come back as commits like everybody else's.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Site;
use super::error::Fault;
use crate::mirror::{self, Proposal, Upstream};
use crate::model::{
    Actor, Change, CommitId, ContentHash, FilePath, Finding, MANIFEST_PATH, Origin, Person,
    Problem, RepoName, Revision, SourceTree, Stage,
};
use crate::reconcile::{self, Assessment};
use crate::store::{NewCommit, TreeAt};
use crate::telemetry::clock;

/// One commit changes no more files than these.
const CHANGES_MAX: usize = 1000;
/// The longest commit message.
const MESSAGE_BYTES_MAX: usize = 8 << 10;

/// One change as it is sent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeIn {
    pub(crate) path: FilePath,
    /// The new content; null removes the file. Leaving it out is a mistake.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(crate) content: Option<String>,
}

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
    Proposed { branch: String, commit: CommitId, compare_url: Option<String> },
}

/// An edit to save.
#[derive(Debug, Clone)]
pub(crate) struct Edit {
    pub(crate) repo: RepoName,
    /// What the author looked at.
    pub(crate) base: Revision,
    pub(crate) changes: Vec<ChangeIn>,
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
        skipped.retain(|problem| !changes.iter().any(|change| change.path == problem.place.file));
        let had = source.files.keys().any(|path| path.as_str() == MANIFEST_PATH);
        apply(&mut source, changes)?;
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

/// Saves an edit.
pub(crate) async fn save(site: &Site, actor: &Actor, edit: Edit) -> Result<Saved, Fault> {
    check_count(&edit.changes)?;
    if edit.changes.is_empty() {
        return Err(Fault::invalid("the commit changes nothing", "send at least one change"));
    }
    if edit.message.trim().is_empty() || edit.message.len() > MESSAGE_BYTES_MAX {
        return Err(Fault::invalid(
            "the commit has no message, or one of more than 8 KiB",
            "say in a line what changes and why",
        ));
    }
    let person = actor.person.as_ref().ok_or_else(|| Fault::no_person("convoy"))?;
    let author = author_of(site, person);
    match site.web.upstreams.get(&edit.repo) {
        Some(upstream) => propose(site, upstream, person, author, edit).await,
        None => commit(site, actor, author, edit).await,
    }
}

async fn commit(
    site: &Site,
    actor: &Actor,
    author: (String, String),
    edit: Edit,
) -> Result<Saved, Fault> {
    let changes = edit.changes.into_iter().map(into_change).collect();
    let by = Origin::of(actor);
    let new = NewCommit {
        expected: Some(edit.base),
        ..NewCommit::new(by, author, clock::now(), edit.message, changes)
    };
    let head = site.web.store.commit(&edit.repo, new).await?;
    site.web.handle.nudge(&edit.repo);
    Ok(Saved::Committed { revision: head.revision, commit: head.commit })
}

async fn propose(
    site: &Site,
    upstream: &Upstream,
    person: &Person,
    author: (String, String),
    edit: Edit,
) -> Result<Saved, Fault> {
    let base = site.web.store.info(&edit.repo, edit.base)?.commit;
    let proposal = Proposal {
        branch: branch_of(person, &base, &edit),
        base,
        changes: edit.changes.into_iter().map(into_change).collect(),
        author,
        time: clock::now(),
        message: edit.message,
    };
    let git_dir = site.web.store.git_dir(&edit.repo);
    let commit = mirror::propose(upstream, &git_dir, &proposal, &site.web.work_dir).await?;
    let compare_url = compare_url(upstream, &proposal.branch);
    Ok(Saved::Proposed { branch: proposal.branch, commit, compare_url })
}

fn check_count(changes: &[ChangeIn]) -> Result<(), Fault> {
    if changes.len() > CHANGES_MAX {
        let message = format!("{} changes in one request", changes.len());
        return Err(Fault::invalid(message, "send at most 1,000"));
    }
    Ok(())
}

fn apply(tree: &mut SourceTree, changes: Vec<ChangeIn>) -> Result<(), Fault> {
    for change in changes {
        match change.content {
            Some(content) => {
                tree.files.insert(change.path, Bytes::from(content));
            }
            None if tree.files.remove(&change.path).is_some() => {}
            None => {
                let message = format!("`{}` can't be removed: it is not there", change.path);
                return Err(Fault::invalid(message, ""));
            }
        }
    }
    Ok(())
}

/// The changes as the store takes them.
pub(crate) fn as_changes(changes: &[ChangeIn]) -> Vec<Change> {
    changes.iter().cloned().map(into_change).collect()
}

fn into_change(change: ChangeIn) -> Change {
    match change.content {
        Some(content) => Change::Upsert(change.path, Bytes::from(content)),
        None => Change::Remove(change.path),
    }
}

fn author_of(site: &Site, person: &Person) -> (String, String) {
    let known = site.web.authors.get(person).cloned();
    known.unwrap_or_else(|| (person.to_string(), format!("{person}@convoy.invalid")))
}

/// The same edit on the same base gives the same branch, so that sending it
/// twice is one proposal.
fn branch_of(person: &Person, base: &CommitId, edit: &Edit) -> String {
    let base = base.to_string();
    let mut parts = vec![base.as_bytes(), edit.message.as_bytes()];
    for change in &edit.changes {
        parts.push(change.path.as_str().as_bytes());
        parts.push(if change.content.is_some() { b"+" } else { b"-" });
        parts.push(change.content.as_deref().unwrap_or("").as_bytes());
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
        let edit = |content: Option<&str>| Edit {
            repo: RepoName::new("mesh/config").expect("a name"),
            base: Revision(1),
            changes: vec![ChangeIn {
                path: FilePath::new("a").expect("a path"),
                content: content.map(Into::into),
            }],
            message: "m".into(),
        };
        let person = Person::new("ann..lock").expect("a name");
        let branch = |content| branch_of(&person, &CommitId([1; 20]), &edit(content));
        assert!(branch(Some("")).starts_with("convoy/edit/ann--lock/"));
        assert_eq!(branch(Some("x")), branch(Some("x")));
        assert_ne!(branch(Some("")), branch(None));
    }

    #[test]
    fn leaving_the_content_out_is_not_a_removal() {
        assert!(serde_json::from_str::<ChangeIn>(r#"{"path":"a"}"#).is_err());
        assert!(serde_json::from_str::<ChangeIn>(r#"{"path":"a","content":null}"#).is_ok());
        assert!(serde_json::from_str::<ChangeIn>(r#"{"path":"../a","content":""}"#).is_err());
    }

    #[test]
    fn what_is_not_there_cannot_be_removed() {
        let mut tree = SourceTree::default();
        let remove = ChangeIn { path: FilePath::new("a").expect("a path"), content: None };
        let fault = apply(&mut tree, vec![remove]).expect_err("a fault");
        assert_eq!(fault.status.as_u16(), 422);
    }

    #[test]
    fn a_tree_without_a_pipeline_has_nothing_wrong() {
        let verdict = Verdict::of(Revision(1), None);
        assert!(verdict.ok && verdict.stages.is_empty());
    }
}
