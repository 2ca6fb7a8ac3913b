//! What differs between two rendered outputs: of two stages, two bundles, one
//! of each, or what nodes are served at this moment; and between the sources of
//! both. Nothing is rendered here. What the sides mean is `compare/sides`, the
//! files are `compare/sources`.

mod sides;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

pub(crate) use self::sides::{Side, sides};
pub(crate) use self::sources::Sources;
use super::Site;
use super::error::Fault;
use crate::model::{NodeGroup, Place, RepoName, SnapshotKey, Stage};
use crate::reconcile::Bundle;
use crate::schema::Schema;
use crate::snapshot::{self, ResourceChange, ResourceDiff, Snapshot};

/// More differing resources than these are counted, not shown.
const CHANGES_SHOWN_MAX: usize = 500;
/// How many fields of one resource are told.
const FIELDS_SHOWN_MAX: usize = 20;
/// A longer diff of one resource is cut.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// Two sides and what differs between them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Comparison {
    pub(crate) from: Side,
    pub(crate) to: Side,
    pub(crate) added: usize,
    pub(crate) changed: usize,
    pub(crate) removed: usize,
    /// Whether there is more than is shown.
    pub(crate) cut: bool,
    /// The node groups in which something differs.
    pub(crate) groups: Vec<GroupChanges>,
    /// The files that differ, where both sides have a revision.
    pub(crate) source: Option<Sources>,
}

/// What differs for one node group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct GroupChanges {
    pub(crate) group: NodeGroup,
    /// How many nodes that are connected now are served this.
    pub(crate) nodes: usize,
    pub(crate) changes: Vec<Change>,
}

/// One resource that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Change {
    pub(crate) type_url: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) change: ResourceChange,
    /// What changes, a line for each field: `cluster a: connect_timeout: 1s → 3s`.
    pub(crate) sentences: Vec<String>,
    /// What an Envoy that takes it does.
    pub(crate) impact: String,
    /// Whether connections are lost or requests may fail.
    pub(crate) disturbs: bool,
    pub(crate) text: String,
    /// Where it is written on the newer side, or on the older if it goes.
    pub(crate) place: Option<Place>,
}

/// Compares two sides.
pub(crate) async fn compare(
    site: &Site,
    repo: &RepoName,
    from: Side,
    to: Side,
) -> Result<Comparison, Fault> {
    let revision = |side: &Side| {
        let view = site.web.handle.view();
        view.state.bundles.get(side.bundle.as_ref()?).map(|bundle| bundle.commit.revision)
    };
    let revisions = revision(&from).zip(revision(&to));
    let nodes = connected(site, repo, &to.stage);
    let (older, newer) = (content(site, repo, from).await?, content(site, repo, to).await?);
    let Ok(permit) = site.heavy.clone().acquire_owned().await else {
        return Err(Fault::busy("convoy is stopping"));
    };
    let (schema, store) = (site.web.renderer.schema().clone(), site.web.store.clone());
    let repo = repo.clone();
    let work = move || {
        let _permit = permit;
        let source = revisions.map(|(from, to)| sources::between(&store, &repo, from, to));
        let source = source.transpose()?;
        Ok(Comparison { source, ..differences(&schema, &older, &newer, &nodes) })
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| Fault::internal(&error))?
}

/// How many nodes of a stage are connected, by group.
fn connected(site: &Site, repo: &RepoName, stage: &Stage) -> BTreeMap<NodeGroup, usize> {
    let tally = site.web.hub.tally().into_iter();
    let of_stage = tally.filter(|(key, _)| key.repo == *repo && key.stage == *stage);
    of_stage.map(|(key, tally)| (key.group, tally.nodes)).collect()
}

/// What a side is made of.
struct Content {
    side: Side,
    bundle: Option<Arc<Bundle>>,
    snapshots: BTreeMap<NodeGroup, Arc<Snapshot>>,
}

async fn content(site: &Site, repo: &RepoName, side: Side) -> Result<Content, Fault> {
    let bundle = match &side.bundle {
        Some(id) => Some(site.web.handle.bundle(id).await?),
        None => None,
    };
    let of_stage = bundle.iter().flat_map(|bundle| bundle.stage(&side.stage));
    let mut snapshots: BTreeMap<_, _> =
        of_stage.map(|one| (one.key.group.clone(), one.clone())).collect();
    if side.as_served {
        let key = |group: &NodeGroup| SnapshotKey {
            repo: repo.clone(),
            stage: side.stage.clone(),
            group: group.clone(),
        };
        snapshots = snapshots
            .into_keys()
            .filter_map(|group| Some((group.clone(), site.web.hub.snapshot(&key(&group))?)))
            .collect();
    }
    Ok(Content { side, bundle, snapshots })
}

fn differences(
    schema: &Schema,
    older: &Content,
    newer: &Content,
    nodes: &BTreeMap<NodeGroup, usize>,
) -> Comparison {
    let (old, new) = (&older.snapshots, &newer.snapshots);
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let mut comparison = Comparison {
        from: older.side.clone(),
        to: newer.side.clone(),
        added: 0,
        changed: 0,
        removed: 0,
        cut: false,
        groups: Vec::new(),
        source: None,
    };
    let mut shown = 0;
    for group in names {
        let (old, new) = (old.get(group).map(Arc::as_ref), new.get(group).map(Arc::as_ref));
        let mut changes = Vec::new();
        for diff in snapshot::diff(schema, old, new) {
            comparison.count(diff.change);
            if shown == CHANGES_SHOWN_MAX {
                comparison.cut = true;
                continue;
            }
            shown += 1;
            let (newer, older) = (newer.bundle.as_deref(), older.bundle.as_deref());
            let place = place_of(&diff, newer).or_else(|| place_of(&diff, older));
            changes.push(change(schema, diff, old, new, place));
        }
        if !changes.is_empty() {
            let nodes = nodes.get(group).copied().unwrap_or(0);
            comparison.groups.push(GroupChanges { group: group.clone(), nodes, changes });
        }
    }
    comparison
}

impl Comparison {
    fn count(&mut self, change: ResourceChange) {
        match change {
            ResourceChange::Added => self.added += 1,
            ResourceChange::Changed => self.changed += 1,
            ResourceChange::Removed => self.removed += 1,
        }
    }
}

fn place_of(diff: &ResourceDiff, bundle: Option<&Bundle>) -> Option<Place> {
    bundle?.places.get(&(diff.type_url.clone(), diff.name.clone())).cloned()
}

fn change(
    schema: &Schema,
    diff: ResourceDiff,
    old: Option<&Snapshot>,
    new: Option<&Snapshot>,
    place: Option<Place>,
) -> Change {
    let text = snapshot::masked_diff(schema, &diff, old, new);
    let message = diff.type_url.message();
    Change {
        kind: message.rsplit('.').next().unwrap_or(message).into(),
        type_url: diff.type_url.to_string(),
        name: diff.name.to_string(),
        change: diff.change,
        sentences: snapshot::masked_sentences(&diff, FIELDS_SHOWN_MAX),
        impact: diff.impact.to_string(),
        disturbs: diff.impact.disturbs(),
        text: cut(text),
        place,
    }
}

fn cut(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        let end = (0..=TEXT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push_str("\n … the rest is not shown\n");
    }
    text
}
