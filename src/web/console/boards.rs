//! The board: what every stage of every pipeline serves.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Html;
use serde::{Deserialize, Serialize};

use super::options::{Options, options};
use crate::model::PromotionId;
use crate::telemetry::clock;
use crate::web::Site;
use crate::web::api::{RepoCard, repo_cards};
use crate::web::auth::Caller;
use crate::web::board::{self, BundleBrief, Pipeline};
use crate::web::error::Fault;
use crate::web::extract::Query;

#[derive(Deserialize)]
pub(super) struct BoardQuery {
    /// Any value: only the cards, for the script that keeps them fresh.
    fragment: Option<String>,
}

#[derive(Serialize)]
struct BoardPage {
    pipelines: Vec<Pipeline>,
    /// What the caller could do about each promotion that is shown.
    options: BTreeMap<PromotionId, Options>,
    /// Repositories without a pipeline.
    plain: Vec<Plain>,
}

/// A repository without a pipeline, and why it has none.
#[derive(Serialize)]
struct Plain {
    #[serde(flatten)]
    card: RepoCard,
    newest: Option<BundleBrief>,
}

pub(super) async fn show(
    State(site): State<Site>,
    Query(query): Query<BoardQuery>,
    caller: Caller,
) -> Result<Html<String>, Fault> {
    let view = site.web.handle.view();
    let plain = repo_cards(&site, &caller)?.into_iter();
    let plain = plain.filter(|card| !view.manifests.contains_key(&card.repo)).map(|card| {
        let newest = view.state.newest(&card.repo).map(BundleBrief::of);
        Plain { card, newest }
    });
    let plain = plain.collect();
    let mut pipelines = board::pipelines(&view, clock::now());
    pipelines.retain(|pipeline| caller.reads_all(&site, &pipeline.repo));
    let shown = pipelines.iter().flat_map(|pipeline| &pipeline.stages);
    let shown = shown.flat_map(|stage| &stage.open).filter_map(|card| {
        let promotion = view.state.promotions.get(&card.id)?;
        Some((card.id.clone(), options(&view, promotion, &caller)))
    });
    let page = BoardPage { options: shown.collect(), pipelines, plain };
    let name = if query.fragment.is_some() { "board_cards.html" } else { "board.html" };
    site.pages.render(name, Some(&caller), page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::View;
    use crate::web::board::tests::view;
    use crate::web::console::pages::tests::page;

    fn html(name: &str, view: &View) -> String {
        let all = view.state.promotions.keys();
        let options = all.map(|id| (id.clone(), Options::from(["approve"]))).collect();
        let pipelines = board::pipelines(view, jiff::Timestamp::UNIX_EPOCH);
        page(name, BoardPage { pipelines, options, plain: Vec::new() })
    }

    #[test]
    fn the_board_escapes_what_people_wrote() {
        let html = html("board.html", &view());
        assert!(html.contains("Change 2 &lt;script&gt;"), "{html}");
        assert!(!html.contains("<script>alert") && !html.contains("<front>"));
    }

    #[test]
    fn the_board_shows_stages_squares_and_forms() {
        let html = html("board_cards.html", &view());
        for part in [
            r#"data-stage="beta""#,
            r#"data-state="failed""#,
            r#"data-state="running""#,
            "P-7",
            r#"action="/promotions/P-7/approve""#,
            r#"action="/r/mesh/config/stages/beta/rollback""#,
            r#"name="csrf" value="c5rf""#,
        ] {
            assert!(html.contains(part), "{part} is not in\n{html}");
        }
    }

    #[test]
    fn an_empty_board_says_what_to_do() {
        let html = html("board.html", &View::default());
        assert!(html.contains("convoy.yaml"), "{html}");
    }
}
