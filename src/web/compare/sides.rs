//! What the two sides of a comparison mean: a stage, what its nodes are served
//! at this moment, or a bundle.

use serde::Serialize;

use crate::model::{BundleId, RepoName, Stage};
use crate::reconcile::{View, find_bundle};
use crate::web::error::Fault;

/// What stands before a stage whose nodes' snapshots are meant.
const SERVED: &str = "served:";

/// One side: a bundle, rendered for a stage. No bundle: nothing is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Side {
    pub(crate) stage: Stage,
    pub(crate) bundle: Option<BundleId>,
    /// Whether the snapshots are meant that nodes are served at this moment,
    /// rather than what is recorded as the stage's.
    pub(crate) as_served: bool,
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
        let (bundle, as_served) = (named.bundle(view, repo), matches!(named, Named::Served(_)));
        Ok::<_, Fault>(Side { stage, bundle, as_served })
    };
    let of_to = to.stage().cloned().or_else(|| shared.clone());
    Ok((side(from, of_to)?, side(to, shared)?))
}

enum Named {
    Stage(Stage),
    Served(Stage),
    Bundle(BundleId),
}

impl Named {
    fn parse(view: &View, repo: &RepoName, text: &str) -> Result<Self, Fault> {
        let served = text.strip_prefix(SERVED);
        let stage = Stage::new(served.unwrap_or(text))?;
        if view.manifests.get(repo).is_some_and(|manifest| manifest.stage(&stage).is_some()) {
            return Ok(if served.is_some() { Self::Served(stage) } else { Self::Stage(stage) });
        }
        find_bundle(&view.state, repo, text).map(Self::Bundle).map_err(|_| {
            Fault::not_found(
                format!("`{text}` is neither a stage nor a bundle of `{repo}`"),
                "name a stage, served:STAGE, a bundle (b-…), a commit, r<N> or latest; `status` \
                 lists them",
            )
        })
    }

    fn stage(&self) -> Option<&Stage> {
        match self {
            Self::Stage(stage) | Self::Served(stage) => Some(stage),
            Self::Bundle(_) => None,
        }
    }

    fn bundle(&self, view: &View, repo: &RepoName) -> Option<BundleId> {
        match self {
            Self::Stage(stage) | Self::Served(stage) => view.state.slot(repo, stage).current,
            Self::Bundle(id) => Some(id.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn what_nodes_are_served_can_be_a_side() {
        let view = view();
        let (from, to) = sides(&view, &repo(), "served:release", "release", None).unwrap();
        assert_eq!((from.as_served, to.as_served), (true, false));
        assert_eq!((&from.stage, &from.bundle), (&to.stage, &to.bundle));
        assert!(sides(&view, &repo(), "served:nowhere", "release", None).is_err());
    }
}
