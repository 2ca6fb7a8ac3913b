//! What is served, and to whom.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::model::{ContentHash, NodeGroup, NodeId, SnapshotKey, Stage};
use crate::schema::Schema;
use crate::snapshot::{Served, Snapshot, masked_any};
use crate::web::Site;
use crate::web::error::Fault;
use crate::web::extract::{Answer, Path, Query, repo_name};
use crate::web::fleet::{self, NodeCard, Nodes, Wanted, node_card};
use crate::xds::{ClusterLoad, ResourceState, ResourceStatus};

/// More resources of one node than these are counted, not shown.
const RESOURCES_SHOWN_MAX: usize = 10_000;

pub(super) async fn nodes(State(site): State<Site>, Query(wanted): Query<Wanted>) -> Answer<Nodes> {
    Answer(fleet::shown(&site, &wanted).await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeQuery {
    all: Option<u8>,
}

#[derive(Serialize)]
pub(super) struct OneNode {
    node: NodeCard,
    /// How many it asks for or holds.
    resources_total: usize,
    /// How many are in each state.
    resources_by_state: BTreeMap<ResourceState, usize>,
    /// Those in which it differs from what is served; all, if asked for.
    resources: Vec<ResourceStatus>,
}

pub(super) async fn node(
    State(site): State<Site>,
    Path(id): Path<String>,
    Query(query): Query<NodeQuery>,
) -> Result<Answer<OneNode>, Fault> {
    let id = NodeId(id.into());
    let status = site.web.hub.node(&id).ok_or_else(|| {
        Fault::not_found(format!("no node `{id}` is connected"), "`convoy nodes` lists them")
    })?;
    let mut card = [node_card(&status)];
    fleet::attribute(&site, &mut card).await;
    let [node] = card;
    let mut resources = site.web.hub.resources(&id);
    let resources_total = resources.len();
    let mut resources_by_state = BTreeMap::new();
    for one in &resources {
        *resources_by_state.entry(one.state).or_default() += 1;
    }
    let all = query.all.is_some_and(|all| all != 0);
    resources.retain(|one| all || one.state != ResourceState::Synced);
    resources.truncate(RESOURCES_SHOWN_MAX);
    Ok(Answer(OneNode { node, resources_total, resources_by_state, resources }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LoadsQuery {
    stage: Option<Stage>,
}

#[derive(Serialize)]
pub(super) struct ClusterLoads {
    loads: Vec<ClusterLoad>,
    /// Reported sums that were not kept, because there are too many.
    refused: u64,
}

pub(super) async fn loads(
    State(site): State<Site>,
    Query(query): Query<LoadsQuery>,
) -> Answer<ClusterLoads> {
    let mut loads = site.web.hub.cluster_loads();
    loads.retain(|one| query.stage.is_none() || one.stage == query.stage);
    Answer(ClusterLoads { loads, refused: site.web.hub.loads_refused() })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SnapshotQuery {
    yaml: Option<u8>,
}

#[derive(Serialize)]
pub(super) struct SnapshotCard {
    key: SnapshotKey,
    version: ContentHash,
    types: Vec<TypeLine>,
}

#[derive(Serialize)]
struct TypeLine {
    type_url: String,
    version: Arc<str>,
    resources: Vec<ResourceLine>,
}

#[derive(Serialize)]
struct ResourceLine {
    name: String,
    version: Arc<str>,
    /// The resource with its secrets hidden, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    yaml: Option<String>,
}

pub(super) async fn snapshot(
    State(site): State<Site>,
    Path((project, repo, stage, group)): Path<(String, String, String, String)>,
    Query(query): Query<SnapshotQuery>,
) -> Result<Answer<SnapshotCard>, Fault> {
    let key = SnapshotKey {
        repo: repo_name(&project, &repo)?,
        stage: Stage::new(&stage)?,
        group: NodeGroup::new(&group)?,
    };
    let snapshot = site.web.hub.snapshot(&key).ok_or_else(|| {
        let hint = "the board shows what each stage serves";
        Fault::not_found(format!("nothing is served for {key}"), hint)
    })?;
    let schema = site.web.renderer.schema().clone();
    let with_yaml = query.yaml.is_some_and(|yaml| yaml != 0);
    let work = move || card(&snapshot, with_yaml.then_some(&schema));
    let card = tokio::task::spawn_blocking(work).await.map_err(|error| Fault::internal(&error))?;
    Ok(Answer(card))
}

fn card(snapshot: &Snapshot, schema: Option<&Schema>) -> SnapshotCard {
    let line = |served: &Arc<Served>| ResourceLine {
        name: served.name.to_string(),
        version: served.version.clone(),
        yaml: schema.and_then(|schema| masked_any(schema, &served.any)).map(|masked| masked.yaml),
    };
    let types = snapshot.types.iter().map(|(type_url, of_type)| TypeLine {
        type_url: type_url.to_string(),
        version: of_type.version.clone(),
        resources: of_type.resources.values().map(line).collect(),
    });
    SnapshotCard { key: snapshot.key.clone(), version: snapshot.version, types: types.collect() }
}
