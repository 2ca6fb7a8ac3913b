//! What differs between two rendered outputs: of two stages, two bundles, or
//! one of each. Both sides come from stored bundles; nothing is rendered here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use similar::TextDiff;

use super::Site;
use super::error::Fault;
use super::mask::{Masked, masked_any};
use crate::model::{BundleId, NodeGroup, Place, RepoName, Stage};
use crate::reconcile::{Bundle, View, find_bundle};
use crate::schema::Schema;
use crate::snapshot::{self, ResourceChange, ResourceDiff, Snapshot};

/// More differing resources than these are counted, not shown.
const CHANGES_SHOWN_MAX: usize = 500;
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
}

/// One side: a bundle, rendered for a stage. No bundle: nothing is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Side {
    pub(crate) stage: Stage,
    pub(crate) bundle: Option<BundleId>,
}

/// What differs for one node group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct GroupChanges {
    pub(crate) group: NodeGroup,
    pub(crate) changes: Vec<Change>,
}

/// One resource that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Change {
    pub(crate) type_url: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) change: ResourceChange,
    pub(crate) text: String,
    /// Where it is written on the newer side, or on the older if it goes.
    pub(crate) place: Option<Place>,
}

/// What the two parameters and the optional stage mean: each is a stage, whose
/// current bundle is meant, or a bundle's id. Without `stage`, a stage's side
/// is rendered for itself and a bundle's for the other side's stage.
pub(crate) fn sides(
    view: &View,
    repo: &RepoName,
    from: &str,
    to: &str,
    stage: Option<&Stage>,
) -> Result<(Side, Side), Fault> {
    let (from, to) = (Named::parse(view, repo, from)?, Named::parse(view, repo, to)?);
    let first = || view.manifests.get(repo).and_then(|m| m.stages.first()).map(|s| s.name.clone());
    let shared = from.stage().or_else(|| to.stage()).cloned().or_else(first);
    let side = |named: Named, other: Option<Stage>| {
        let own = stage.cloned().or_else(|| named.stage().cloned()).or(other);
        let stage = own.ok_or_else(|| Fault::invalid("no stage is named", "add `stage=STAGE`"))?;
        Ok::<_, Fault>(Side { stage, bundle: named.bundle(view, repo) })
    };
    let of_to = to.stage().cloned().or_else(|| shared.clone());
    Ok((side(from, of_to)?, side(to, shared)?))
}

enum Named {
    Stage(Stage),
    Bundle(BundleId),
}

impl Named {
    fn parse(view: &View, repo: &RepoName, text: &str) -> Result<Self, Fault> {
        let stage = Stage::new(text)?;
        if view.manifests.get(repo).is_some_and(|manifest| manifest.stage(&stage).is_some()) {
            return Ok(Self::Stage(stage));
        }
        find_bundle(&view.state, repo, text).map(Self::Bundle).map_err(|_| {
            Fault::not_found(
                format!("`{text}` is neither a stage nor a bundle of `{repo}`"),
                "name a stage, a bundle (b-…), a commit, r<N> or latest; `status` lists them",
            )
        })
    }

    fn stage(&self) -> Option<&Stage> {
        match self {
            Self::Stage(stage) => Some(stage),
            Self::Bundle(_) => None,
        }
    }

    fn bundle(&self, view: &View, repo: &RepoName) -> Option<BundleId> {
        match self {
            Self::Stage(stage) => view.state.slot(repo, stage).current,
            Self::Bundle(id) => Some(id.clone()),
        }
    }
}

/// Compares two sides.
pub(crate) async fn compare(site: &Site, from: Side, to: Side) -> Result<Comparison, Fault> {
    let older = content(site, &from).await?;
    let newer = content(site, &to).await?;
    let Ok(permit) = site.heavy.clone().acquire_owned().await else {
        return Err(Fault::busy("convoy is stopping"));
    };
    let schema = site.web.renderer.schema().clone();
    let work = move || {
        let _permit = permit;
        differences(&schema, (from, older.as_deref()), (to, newer.as_deref()))
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| Fault::internal(&error))
}

async fn content(site: &Site, side: &Side) -> Result<Option<Arc<Bundle>>, Fault> {
    match &side.bundle {
        Some(id) => Ok(Some(site.web.handle.bundle(id).await?)),
        None => Ok(None),
    }
}

fn differences(
    schema: &Schema,
    (from, older): (Side, Option<&Bundle>),
    (to, newer): (Side, Option<&Bundle>),
) -> Comparison {
    let (old, new) = (by_group(older, &from.stage), by_group(newer, &to.stage));
    let names: BTreeSet<_> = old.keys().chain(new.keys()).copied().collect();
    let mut comparison =
        Comparison { from, to, added: 0, changed: 0, removed: 0, cut: false, groups: Vec::new() };
    let mut shown = 0;
    for group in names {
        let (old, new) = (old.get(group).copied(), new.get(group).copied());
        let mut changes = Vec::new();
        for diff in snapshot::diff(schema, old, new) {
            comparison.count(diff.change);
            if shown == CHANGES_SHOWN_MAX {
                comparison.cut = true;
                continue;
            }
            shown += 1;
            let place = place_of(&diff, newer).or_else(|| place_of(&diff, older));
            changes.push(change(schema, diff, old, new, place));
        }
        if !changes.is_empty() {
            comparison.groups.push(GroupChanges { group: group.clone(), changes });
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

fn by_group<'a>(
    bundle: Option<&'a Bundle>,
    stage: &Stage,
) -> BTreeMap<&'a NodeGroup, &'a Snapshot> {
    let all = bundle.into_iter().flat_map(|bundle| &bundle.snapshots);
    let of_stage = all.filter(|((its, _), _)| its == stage);
    of_stage.map(|((_, group), snapshot)| (group, snapshot.as_ref())).collect()
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
    let side = |snapshot: Option<&Snapshot>| {
        let served = snapshot?.types.get(&diff.type_url)?.resources.get(&diff.name)?;
        masked_any(schema, &served.any)
    };
    let text = text_of(&diff, side(old), side(new));
    let message = diff.type_url.message();
    Change {
        kind: message.rsplit('.').next().unwrap_or(message).into(),
        type_url: diff.type_url.to_string(),
        name: diff.name.to_string(),
        change: diff.change,
        text: cut(text),
        place,
    }
}

/// The diff as it was made, or, where a side hides something, of the masked
/// texts.
fn text_of(diff: &ResourceDiff, old: Option<Masked>, new: Option<Masked>) -> String {
    let hides = [&old, &new].into_iter().flatten().any(|side| side.hidden);
    if !hides {
        return diff.text.clone();
    }
    let yaml = |side: Option<Masked>| side.map(|side| side.yaml).unwrap_or_default();
    let (old, new) = (yaml(old), yaml(new));
    if old == new {
        return " only hidden values differ\n".into();
    }
    TextDiff::from_lines(&old, &new).unified_diff().context_radius(3).to_string()
}

fn cut(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        let end = (0..=TEXT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push_str("\n … the rest is not shown\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ResourceKind, ResourceName};
    use crate::web::board::tests::{repo, stage, view};

    fn check(from: &str, to: &str, at: Option<&str>) -> Result<[(String, Option<u64>); 2], Fault> {
        let view = view();
        let at = at.map(stage);
        let (from, to) = sides(&view, &repo(), from, to, at.as_ref())?;
        let told = |side: Side| {
            let revision = side.bundle.map(|id| view.state.bundles[&id].commit.revision.0);
            (side.stage.to_string(), revision)
        };
        Ok([told(from), told(to)])
    }

    #[test]
    fn a_stage_means_what_it_serves_rendered_for_itself() {
        let sides = check("release", "beta", None);
        assert_eq!(sides, Ok([("release".into(), Some(1)), ("beta".into(), Some(2))]));
    }

    #[test]
    fn a_stage_parameter_renders_both_sides_for_it() {
        let sides = check("release", "beta", Some("release"));
        assert_eq!(sides, Ok([("release".into(), Some(1)), ("release".into(), Some(2))]));
    }

    #[test]
    fn a_bundle_is_rendered_for_the_other_sides_stage() {
        let view = view();
        let id = |revision: u64| {
            let mut bundles = view.state.bundles.values();
            bundles.find(|b| b.commit.revision.0 == revision).expect("a bundle").id.to_string()
        };
        let sides = check("release", &id(2), None);
        assert_eq!(sides, Ok([("release".into(), Some(1)), ("release".into(), Some(2))]));
        let sides = check(&id(1), "release", None);
        assert_eq!(sides, Ok([("release".into(), Some(1)), ("release".into(), Some(1))]));
        let sides = check(&id(1), &id(2), None);
        assert_eq!(sides, Ok([("beta".into(), Some(1)), ("beta".into(), Some(2))]));
    }

    #[test]
    fn an_unknown_side_is_named() {
        let fault = check("beta", "nowhere", None).expect_err("a fault");
        assert!(fault.message.contains("`nowhere`") && fault.status.as_u16() == 404);
    }

    #[test]
    fn secrets_do_not_reach_the_diff() {
        let diff = ResourceDiff {
            type_url: ResourceKind::Secrets.type_url(),
            name: ResourceName("key".into()),
            change: ResourceChange::Changed,
            text: "-inline_string: hunter1\n+inline_string: hunter2\n".into(),
            fields: Vec::new(),
            more_fields: 0,
            impact: snapshot::Impact::InPlace,
        };
        let side = |yaml: &str| Some(Masked { yaml: yaml.into(), hidden: true });
        let same = text_of(&diff, side("key: [hidden]\n"), side("key: [hidden]\n"));
        assert_eq!(same, " only hidden values differ\n");
        let new = text_of(&diff, None, side("key: [hidden]\n"));
        assert!(new.contains("+key: [hidden]") && !new.contains("hunter"), "{new}");
    }
}
