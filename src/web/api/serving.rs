//! What is served, and to whom.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::model::{ContentHash, NodeGroup, SnapshotKey, Stage};
use crate::schema::Schema;
use crate::snapshot::{Served, Snapshot};
use crate::web::Site;
use crate::web::error::Fault;
use crate::web::extract::{Answer, Path, Query, repo_name};
use crate::web::fleet::{self, Nodes};
use crate::web::mask::masked_any;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NodesQuery {
    stage: Option<Stage>,
}

pub(super) async fn nodes(
    State(site): State<Site>,
    Query(query): Query<NodesQuery>,
) -> Answer<Nodes> {
    Answer(fleet::nodes(&site.web.hub.nodes(), query.stage.as_ref()))
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
