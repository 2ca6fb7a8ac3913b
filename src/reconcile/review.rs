//! A pull request, rendered without becoming a revision: its head is fetched
//! into quarantine, assessed as a push would be, and held against the newest
//! revision that it contains. Nothing of it is kept or recorded.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Assessment, assess, assess_next};
use crate::githost::{Difference, Review, StageReview};
use crate::mirror::{self, MirrorError, Objects, Quarantine, Upstream};
use crate::model::{
    CommitId, MANIFEST_PATH, NodeGroup, Place, RepoName, Revision, SnapshotKey, Stage,
};
use crate::render::Renderer;
use crate::snapshot::{self, ResourceDiff, Snapshot};
use crate::store::{Store, StoreError, TreeAt};

/// More differing resources than these of one stage are counted, not shown.
const SHOWN_MAX: usize = 100;
/// Fields of one resource that are told in words.
const SENTENCES_MAX: usize = 12;
/// A longer difference of one resource is cut.
const TEXT_CHARS_MAX: usize = 16 << 10;

/// What reviewing needs; cheap to clone.
#[derive(Debug, Clone)]
pub struct Reviewing {
    /// Our revisions.
    pub store: Store,
    /// The renderer that pushes go through.
    pub renderer: Arc<Renderer>,
    /// Where heads are fetched to.
    pub quarantine: PathBuf,
    /// Larger files are told of and not read, as in the store.
    pub file_bytes_max: u64,
}

/// Why a head was not reviewed.
#[derive(Debug, thiserror::Error)]
pub enum ReviewFailure {
    /// It could not be fetched, or is over the limits.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// What it stands on can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The work was interrupted.
    #[error("the review was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
}

impl ReviewFailure {
    /// Whether trying again may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Mirror(error) => error.is_transient(),
            Self::Store(_) | Self::Interrupted(_) => true,
        }
    }
}

/// Reviews what `reference` of the upstream is at.
///
/// # Errors
/// See [`ReviewFailure`].
pub async fn review(
    tools: &Reviewing,
    repo: &RepoName,
    upstream: &Upstream,
    reference: &str,
) -> Result<Review, ReviewFailure> {
    let fetched = fetch(tools, repo, upstream, reference).await?;
    let (tools, repo) = (tools.clone(), repo.clone());
    let work = tokio::task::spawn_blocking(move || look(&tools, &repo, &fetched));
    work.await?
}

/// A head that is ours already is fetched whole: it is small news.
async fn fetch(
    tools: &Reviewing,
    repo: &RepoName,
    upstream: &Upstream,
    reference: &str,
) -> Result<Quarantine, ReviewFailure> {
    let (known, have) = (tools.store.git_dir(repo), tools.store.head(repo)?.commit);
    let fetch =
        |have| mirror::fetch_reference(upstream, reference, &known, have, &tools.quarantine);
    match fetch(have).await? {
        Some(fetched) => Ok(fetched),
        None => fetch(None).await?.ok_or_else(|| {
            let (url, branch) = (upstream.url.clone(), reference.to_owned());
            MirrorError::NoBranch { url, branch }.into()
        }),
    }
}

/// Blocking.
fn look(tools: &Reviewing, repo: &RepoName, fetched: &Quarantine) -> Result<Review, ReviewFailure> {
    let head = fetched.fetched.head;
    let objects = Objects::open(&fetched.fetched.git_dir)?;
    let source = objects.source(head, tools.file_bytes_max)?;
    let revision_of = |commit: &CommitId| tools.store.revision_of(repo, commit);
    let base = objects.stands_on(head, &revision_of)?;
    let before = base.map(|(revision, _)| tools.store.tree(repo, revision)).transpose()?;
    let had = before.as_ref().is_some_and(|tree| tree.source.get(MANIFEST_PATH).is_some());
    let after = assess_next(&tools.renderer, had, &source.tree, &source.skipped);
    Ok(told(tools, (head, base), before, after))
}

fn told(
    tools: &Reviewing,
    (head, base): (CommitId, Option<(Revision, CommitId)>),
    before: Option<TreeAt>,
    after: Option<Assessment>,
) -> Review {
    let is_pipeline = after.is_some();
    let mut review = Review {
        head,
        base,
        is_pipeline,
        problems: Vec::new(),
        findings: Vec::new(),
        stages: Vec::new(),
        cut: false,
    };
    let Some(after) = after else { return review };
    // What is broken renders to less than it means: no difference says so.
    if after.manifest.is_some() && after.problems.is_empty() {
        let before = before.and_then(|at| assess(&tools.renderer, &at.source, &at.skipped));
        let before = before.filter(|before| before.problems.is_empty());
        (review.stages, review.cut) = stages(tools, before.as_ref(), &after);
    }
    (review.problems, review.findings) = (after.problems, after.findings);
    review
}

fn stages(
    tools: &Reviewing,
    before: Option<&Assessment>,
    after: &Assessment,
) -> (Vec<StageReview>, bool) {
    let specs = after.manifest.iter().flat_map(|manifest| &manifest.stages);
    let mut cut = false;
    let stage = |spec: &crate::model::StageSpec| {
        let stage = &spec.name;
        let (old, new) = (before.map(|one| sides(one, stage)), sides(after, stage));
        let review = stage_review(tools, stage, &old.unwrap_or_default(), &new);
        cut |= review.differences.len() < review.added + review.changed + review.removed;
        review
    };
    let stages = specs.map(stage).collect();
    (stages, cut)
}

/// What a stage's groups would be served, and where it is written.
#[derive(Default)]
struct Sides {
    snapshots: BTreeMap<NodeGroup, Snapshot>,
    places: BTreeMap<(crate::model::TypeUrl, crate::model::ResourceName), Place>,
}

fn sides(assessment: &Assessment, stage: &Stage) -> Sides {
    let mut sides = Sides::default();
    let groups = assessment.outputs.get(stage).map(|output| &output.resources.groups);
    for (group, resources) in groups.into_iter().flatten() {
        // Differences are by content: whose snapshot it is says nothing.
        let key =
            SnapshotKey { repo: RepoName::state(), stage: stage.clone(), group: group.clone() };
        sides.snapshots.insert(group.clone(), snapshot::build(key, resources));
        let place = |one: &Arc<crate::model::Resource>| {
            ((one.type_url.clone(), one.name.clone()), one.place.clone())
        };
        sides.places.extend(resources.iter().map(place));
    }
    sides
}

fn stage_review(tools: &Reviewing, stage: &Stage, old: &Sides, new: &Sides) -> StageReview {
    let schema = tools.renderer.schema();
    let mut review = StageReview {
        stage: stage.clone(),
        added: 0,
        changed: 0,
        removed: 0,
        differences: Vec::new(),
    };
    let groups: std::collections::BTreeSet<_> =
        old.snapshots.keys().chain(new.snapshots.keys()).collect();
    for group in groups {
        let (before, after) = (old.snapshots.get(group), new.snapshots.get(group));
        for diff in snapshot::diff(schema, before, after) {
            review.count(diff.change);
            if review.differences.len() < SHOWN_MAX {
                let text = snapshot::masked_diff(schema, &diff, before, after);
                let place = place(&diff, new).or_else(|| place(&diff, old));
                review.differences.push(difference(group, &diff, &text, place));
            }
        }
    }
    review
}

fn place(diff: &ResourceDiff, side: &Sides) -> Option<Place> {
    side.places.get(&(diff.type_url.clone(), diff.name.clone())).cloned()
}

fn difference(
    group: &NodeGroup,
    diff: &ResourceDiff,
    text: &str,
    place: Option<Place>,
) -> Difference {
    let message = diff.type_url.message();
    Difference {
        group: group.clone(),
        kind: message.rsplit('.').next().unwrap_or(message).to_owned(),
        name: diff.name.to_string(),
        change: diff.change,
        sentences: snapshot::masked_sentences(diff, SENTENCES_MAX),
        impact: diff.impact.clone(),
        text: crate::githost::text::clip(text, TEXT_CHARS_MAX),
        place,
    }
}
