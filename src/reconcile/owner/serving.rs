//! Serves what the pointers say, and shows everything to everybody else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{
    BundleId, GroupRule, Manifest, NodeGroup, NodeRule, RepoName, SnapshotKey, Stage,
};
use crate::promote::{Candidate, Effect, StageSlot, State};
use crate::reconcile::bundle::Bundle;
use crate::reconcile::fleet::standing;
use crate::reconcile::view::{MirrorView, View};
use crate::snapshot::{Cohort, Route, Routing, Trial};
use crate::telemetry::chain;
use crate::xds::{Issue, Offer, Release};

use super::{Mirror, Owner};

/// What everybody is served, and what is tried on a part.
type ToServe = (Option<Arc<Bundle>>, Option<(Arc<Cohort>, Arc<Bundle>)>);

impl Owner {
    /// Serves a step that was decided, unless the stage has moved on since: an
    /// old step never overtakes a newer one.
    pub(super) async fn serve_step(&mut self, step: &Effect) {
        let Effect::Serve { repo, stage, bundle, epoch, step, .. } = step else { return };
        let slot = self.state.slot(repo, stage);
        if !is_current(&slot, bundle, (*epoch, *step)) {
            tracing::warn!(repo = %repo, stage = %stage, epoch, step, now = slot.epoch,
                "a step that is over is not served");
            return;
        }
        self.publish(repo, stage).await;
    }

    /// Serves what the stage's slot says, to whom it says, and who belongs to
    /// the stage. It follows from the slot alone, so a restart serves the same.
    pub(super) async fn publish(&mut self, repo: &RepoName, stage: &Stage) {
        let name = (repo.clone(), stage.clone());
        let (base, tried) = match self.to_serve(repo, stage).await {
            Ok(bundles) => bundles,
            Err(detail) => {
                // What is served stays, nobody's answer counts, and each tick
                // tries again.
                tracing::error!(repo = %repo, stage = %stage, detail,
                    "the stage's bundle can't be read");
                self.unserved.insert(name);
                return;
            }
        };
        self.unserved.remove(&name);
        let offers = self.offers(stage, base.as_deref(), tried.as_ref());
        let groups: BTreeSet<_> = offers.keys().cloned().collect();
        let key = |group| SnapshotKey { repo: repo.clone(), stage: stage.clone(), group };
        for (group, offer) in offers {
            self.parts.hub.serve(&key(group), offer);
        }
        self.routing = Arc::new(routing(&self.state));
        self.parts.hub.route(self.routing.clone());
        let before = self.served.insert(name, groups.clone()).unwrap_or_default();
        for group in before.difference(&groups).cloned() {
            self.parts.hub.withdraw(&key(group));
        }
    }

    /// What each group is served: the base, and the candidate to its cohort.
    fn offers(
        &self,
        stage: &Stage,
        base: Option<&Bundle>,
        tried: Option<&(Arc<Cohort>, Arc<Bundle>)>,
    ) -> BTreeMap<NodeGroup, Offer> {
        let mut offers: BTreeMap<NodeGroup, Offer> = BTreeMap::new();
        for snapshot in base.into_iter().flat_map(|bundle| bundle.stage(stage)) {
            let release = base.and_then(|bundle| self.release(bundle));
            let offer = offers.entry(snapshot.key.group.clone()).or_default();
            offer.base = Some(Issue { snapshot: snapshot.clone(), release });
        }
        let Some((cohort, bundle)) = tried else { return offers };
        for snapshot in bundle.stage(stage) {
            let issue = Issue { snapshot: snapshot.clone(), release: self.release(bundle) };
            let offer = offers.entry(snapshot.key.group.clone()).or_default();
            offer.trial = Some((cohort.clone(), issue));
        }
        offers
    }

    fn release(&self, bundle: &Bundle) -> Option<Release> {
        let record = self.state.bundles.get(&bundle.id)?;
        Some(Release {
            bundle: record.id.clone(),
            revision: record.commit.revision,
            committed_at: record.commit.time,
        })
    }

    /// Tells the hub what the stage's nodes took before what is served now: a
    /// node that starts gets it while they refuse that.
    pub(super) async fn vouch(&self, repo: &RepoName, stage: &Stage) {
        let slot = self.state.slot(repo, stage);
        let good = [&slot.last_good, &slot.before_last_good].into_iter().flatten();
        let Some(id) = good.clone().find(|id| slot.current.as_ref() != Some(id)) else { return };
        let Some(bundle) = self.content(&self.state, id).await else { return };
        bundle.stage(stage).for_each(|snapshot| self.parts.hub.vouch(snapshot.clone()));
    }

    /// What the stage's slot points at: for everybody, and for whom else.
    async fn to_serve(&self, repo: &RepoName, stage: &Stage) -> Result<ToServe, String> {
        let slot = self.state.slot(repo, stage);
        let base = match &slot.current {
            Some(id) => Some(self.recorded(id).await?),
            None => None,
        };
        let tried = match slot.candidate {
            Some(Candidate { bundle, subset, .. }) => {
                let cohort = Cohort::new(repo.clone(), stage.clone(), subset);
                Some((Arc::new(cohort), self.recorded(&bundle).await?))
            }
            None => None,
        };
        Ok((base, tried))
    }

    async fn recorded(&self, id: &BundleId) -> Result<Arc<Bundle>, String> {
        let record = self.state.bundles.get(id).ok_or_else(|| format!("{id} is not known"))?;
        self.records.bundle(record).await.map_err(|error| chain(&error))
    }

    pub(super) fn show(&self) {
        let manifests = |repo: &RepoName| -> Option<(RepoName, Manifest)> {
            let newest = self.state.newest_eligible(repo)?;
            Some((repo.clone(), newest.manifest.clone()))
        };
        let view = View {
            state: self.state.clone(),
            manifests: self.state.repos().iter().filter_map(manifests).collect(),
            mirrors: self
                .mirrors
                .iter()
                .filter_map(|(repo, m)| self.mirror_view(repo, m))
                .collect(),
            running: self.runs.running(),
            fleet: standing(&self.parts.hub),
        };
        // Whoever follows is told of news only, not of every tick.
        self.view.send_if_modified(|shown| {
            let news = !shown.shows_the_same(&view);
            if news {
                *shown = Arc::new(view);
            }
            news
        });
    }

    pub(super) fn mirror_view(
        &self,
        repo: &RepoName,
        mirror: &Mirror,
    ) -> Option<(RepoName, MirrorView)> {
        let upstream = mirror.repository.upstream.as_ref()?;
        let view = MirrorView {
            url: upstream.url.clone(),
            branch: upstream.branch.clone(),
            revision: self.parts.store.head(repo).unwrap_or_default().revision,
            state: mirror.state.clone(),
            checked_at: mirror.checked_at,
        };
        Some((repo.clone(), view))
    }
}

/// Whether what was decided to be served is what the slot says now.
fn is_current(slot: &StageSlot, bundle: &BundleId, point: (u64, u32)) -> bool {
    let serves = slot.candidate.as_ref().map(|candidate| &candidate.bundle);
    (slot.epoch, slot.step) == point && serves == Some(bundle)
}

/// The rules for nodes, each stage's from the bundle that is active in it, and
/// from the one that is tried for those whom it is tried on.
fn routing(state: &State) -> Routing {
    let (mut routes, mut trials) = (Vec::new(), Vec::new());
    for repo in state.repos() {
        let Some(newest) = state.newest_eligible(&repo) else { continue };
        let ordered = newest.manifest.stages.iter().map(|spec| spec.name.clone());
        let slots =
            state.slots.keys().filter(|(of, _)| *of == repo).map(|(_, stage)| stage.clone());
        let mut stages: Vec<Stage> = ordered.collect();
        stages.extend(slots);
        let mut seen = BTreeSet::new();
        for stage in stages.into_iter().filter(|stage| seen.insert(stage.clone())) {
            let slot = state.slot(&repo, &stage);
            let rules = slot.current.as_ref().and_then(|id| rules_of(state, id, &stage));
            let tried = slot.candidate.as_ref().and_then(|tried| {
                let (nodes, groups) = rules_of(state, &tried.bundle, &stage)?;
                let of = tried.subset.clone();
                let cohort = Arc::new(Cohort::new(repo.clone(), stage.clone(), of));
                Some(Trial { repo: repo.clone(), stage: stage.clone(), cohort, nodes, groups })
            });
            if rules.is_none() && tried.is_none() {
                continue;
            }
            // Without a bundle of its own, nobody but the cohort is of the stage.
            let (nodes, groups) = rules.unwrap_or_default();
            routes.push(Route { repo: repo.clone(), stage, nodes, groups });
            trials.extend(tried);
        }
    }
    Routing::trying(routes, trials)
}

/// Which nodes are of a stage, and of which group, as a bundle says it.
fn rules_of(
    state: &State,
    id: &BundleId,
    stage: &Stage,
) -> Option<(Vec<NodeRule>, Vec<GroupRule>)> {
    let bundle = state.bundles.get(id)?;
    let spec = bundle.manifest.stage(stage)?;
    Some((spec.nodes.clone(), bundle.manifest.groups.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ContentHash, PromotionId, Subset};

    #[test]
    fn a_step_is_served_only_while_the_slot_says_so() {
        let bundle = |n: u8| BundleId::of(&ContentHash::of(&[n]));
        let repo = RepoName::new("mesh/config").unwrap();
        let mut slot = StageSlot::empty(&repo, &Stage::new("release").unwrap());
        assert!(!is_current(&slot, &bundle(1), (0, 0)), "nothing is tried");
        let promotion = PromotionId::numbered(1);
        slot.candidate =
            Some(Candidate { bundle: bundle(1), subset: Subset::default(), promotion });
        (slot.epoch, slot.step) = (7, 2);
        assert!(is_current(&slot, &bundle(1), (7, 2)));
        for (of, point) in [(1, (7, 1)), (1, (6, 2)), (1, (8, 2)), (2, (7, 2))] {
            assert!(!is_current(&slot, &bundle(of), point), "{of} {point:?}");
        }
    }
}
