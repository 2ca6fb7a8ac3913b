//! The connected nodes, and what each said to what it was sent.

use axum::extract::State;
use axum::response::Html;
use serde::{Deserialize, Serialize};

use crate::model::Stage;
use crate::web::Site;
use crate::web::auth::Caller;
use crate::web::error::Fault;
use crate::web::extract::Query;
use crate::web::fleet::{self, Nodes, Wanted};

#[derive(Deserialize)]
pub(super) struct NodesQuery {
    #[serde(default)]
    stage: String,
}

#[derive(Serialize)]
struct NodesPage {
    fleet: Nodes,
    stages: Vec<Stage>,
    stage: Option<Stage>,
}

pub(super) async fn show(
    State(site): State<Site>,
    Query(query): Query<NodesQuery>,
    caller: Caller,
) -> Result<Html<String>, Fault> {
    let view = site.web.handle.view();
    let stage = match query.stage.as_str() {
        "" => None,
        stage => Some(Stage::new(stage)?),
    };
    let mut stages: Vec<_> =
        view.manifests.values().flat_map(|m| &m.stages).map(|spec| spec.name.clone()).collect();
    let mut seen = std::collections::BTreeSet::new();
    stages.retain(|stage| seen.insert(stage.clone()));
    let wanted = Wanted { stage: stage.clone(), state: None };
    let fleet = fleet::shown(&site, &wanted).await;
    site.pages.render("nodes.html", Some(&caller), NodesPage { fleet, stages, stage })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::console::pages::tests::page;
    use crate::web::fleet::tests::node;

    #[test]
    fn a_refusal_is_shown_in_envoys_words() {
        let fleet = fleet::nodes(&[node("front-1")], &Wanted::default());
        let html = page("nodes.html", NodesPage { fleet, stages: Vec::new(), stage: None });
        assert!(html.contains("bad &lt;listener&gt;") && html.contains("NACKED"), "{html}");
    }

    #[test]
    fn no_node_is_explained() {
        let fleet = fleet::nodes(&[], &Wanted::default());
        let html = page("nodes.html", NodesPage { fleet, stages: Vec::new(), stage: None });
        assert!(html.contains("convoy bootstrap"), "{html}");
    }
}
