//! Serves what the pointers say, and shows everything to everybody else.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{Manifest, RepoName, SnapshotKey, Stage};
use crate::promote::State;
use crate::reconcile::bundle::Bundle;
use crate::reconcile::fleet::standing;
use crate::reconcile::view::{MirrorView, View};
use crate::snapshot::{Route, Routing};
use crate::telemetry::chain;
use crate::xds::Release;

use super::{Mirror, Owner};

impl Owner {
    /// Serves what the stage's pointer says, and who belongs to the stage.
    pub(super) async fn publish(&mut self, repo: &RepoName, stage: &Stage) {
        let name = (repo.clone(), stage.clone());
        let bundle = match self.pointed_at(repo, stage).await {
            Ok(bundle) => bundle,
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
        let record = bundle.as_ref().and_then(|bundle| self.state.bundles.get(&bundle.id));
        let release = record.map(|record| Release {
            bundle: record.id.clone(),
            revision: record.commit.revision,
            committed_at: record.commit.time,
        });
        let mut groups = BTreeSet::new();
        for snapshot in bundle.iter().flat_map(|bundle| bundle.stage(stage)) {
            groups.insert(snapshot.key.group.clone());
            self.parts.hub.release(snapshot.clone(), release.clone());
        }
        self.routing = Arc::new(routing(&self.state));
        self.parts.hub.route(self.routing.clone());
        let before = self.served.insert(name, groups.clone()).unwrap_or_default();
        for group in before.difference(&groups).cloned() {
            let key = SnapshotKey { repo: repo.clone(), stage: stage.clone(), group };
            self.parts.hub.withdraw(&key);
        }
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

    /// What the stage's pointer points at; `None`: at nothing.
    pub(super) async fn pointed_at(
        &self,
        repo: &RepoName,
        stage: &Stage,
    ) -> Result<Option<Arc<Bundle>>, String> {
        let Some(id) = self.state.slot(repo, stage).current else { return Ok(None) };
        let record = self.state.bundles.get(&id).ok_or_else(|| format!("{id} is not known"))?;
        self.records.bundle(record).await.map(Some).map_err(|error| chain(&error))
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

/// The rules for nodes, each stage's from the bundle that is active in it.
fn routing(state: &State) -> Routing {
    let mut routes = Vec::new();
    for repo in state.repos() {
        let Some(newest) = state.newest_eligible(&repo) else { continue };
        let ordered = newest.manifest.stages.iter().map(|spec| spec.name.clone());
        let slots =
            state.slots.keys().filter(|(of, _)| *of == repo).map(|(_, stage)| stage.clone());
        let mut stages: Vec<Stage> = ordered.collect();
        stages.extend(slots);
        let mut seen = BTreeSet::new();
        for stage in stages.into_iter().filter(|stage| seen.insert(stage.clone())) {
            let current = state.slot(&repo, &stage).current;
            let Some(bundle) = current.and_then(|id| state.bundles.get(&id)) else { continue };
            let Some(spec) = bundle.manifest.stage(&stage) else { continue };
            routes.push(Route {
                repo: repo.clone(),
                stage,
                nodes: spec.nodes.clone(),
                groups: bundle.manifest.groups.clone(),
            });
        }
    }
    Routing::new(routes)
}
