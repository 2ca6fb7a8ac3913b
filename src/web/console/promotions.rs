//! A promotion's page: conditions, votes, matrix, what happened when.

use axum::extract::State;
use axum::response::Html;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::options::{Options, options};
use crate::model::PromotionId;
use crate::promote::Promotion;
use crate::web::Site;
use crate::web::api::{LISTED_MAX, no_promotion};
use crate::web::auth::Caller;
use crate::web::board::PromotionCard;
use crate::web::error::Fault;
use crate::web::extract::{Path, Query};

#[derive(Deserialize)]
pub(super) struct Said {
    said: Option<String>,
}

#[derive(Serialize)]
struct PromotionPage {
    card: PromotionCard,
    timeline: Vec<Moment>,
    /// What the caller could do about it.
    options: Options,
    /// What the form before this page came to.
    said: Option<&'static str>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Moment {
    at: Timestamp,
    what: String,
    note: String,
}

pub(super) async fn show(
    State(site): State<Site>,
    Path(id): Path<String>,
    Query(query): Query<Said>,
    caller: Caller,
) -> Result<Html<String>, Fault> {
    let (id, view) = (PromotionId::new(&id)?, site.web.handle.view());
    let found = view.state.promotions.get(&id);
    let found = found.filter(|promotion| caller.reads_all(&site, &promotion.repo));
    let promotion = found.ok_or_else(|| no_promotion(&id))?;
    let page = PromotionPage {
        card: PromotionCard::of(&view, promotion),
        timeline: timeline(promotion),
        options: options(&view, promotion, &caller),
        said: query.said.as_deref().and_then(sentence),
    };
    site.pages.render("promotion.html", Some(&caller), page)
}

#[derive(Serialize)]
struct PromotionsPage {
    cards: Vec<PromotionCard>,
}

pub(super) async fn list(State(site): State<Site>, caller: Caller) -> Result<Html<String>, Fault> {
    let view = site.web.handle.view();
    let all = view.state.promotions.values();
    let mut found: Vec<_> =
        all.filter(|promotion| caller.reads_all(&site, &promotion.repo)).collect();
    found.sort_by_key(|promotion| std::cmp::Reverse(promotion.id.number()));
    let found = found.into_iter().take(LISTED_MAX);
    let cards = found.map(|promotion| PromotionCard::of(&view, promotion)).collect();
    site.pages.render("promotions.html", Some(&caller), PromotionsPage { cards })
}

/// Only these sentences are shown, whatever the address says.
fn sentence(said: &str) -> Option<&'static str> {
    match said {
        "requested" => Some("The promotion was requested."),
        "approved" => Some("Your approval was recorded."),
        "rejected" => Some("The promotion was rejected."),
        "cancelled" => Some("The promotion was cancelled."),
        "rollback" => Some("The rollback was requested."),
        "already" => Some("This had been done before; nothing changed."),
        _ => None,
    }
}

fn timeline(promotion: &Promotion) -> Vec<Moment> {
    let mut moments = vec![Moment {
        at: promotion.requested_at,
        what: format!("requested by {}", promotion.requested_by),
        note: promotion.reason.clone(),
    }];
    for approval in &promotion.approvals {
        let counts = approval.plan == promotion.plan.digest;
        let which = if counts { "" } else { " (for an earlier plan)" };
        let what = format!("approved by {}{which}", approval.by);
        moments.push(Moment { at: approval.at, what, note: approval.note.clone() });
    }
    if let Some(at) = promotion.applied_at {
        let what = format!("{} was activated in {}", promotion.bundle, promotion.stage);
        moments.push(Moment { at, what, note: String::new() });
    }
    if let Some(ending) = &promotion.ending {
        let what = format!("{} by {}", promotion.status.word(), ending.by);
        moments.push(Moment { at: ending.at, what, note: ending.reason.clone() });
    }
    moments.sort_by_key(|moment| moment.at);
    moments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::board::tests::view;
    use crate::web::console::pages::tests::page;

    #[test]
    fn the_page_shows_gates_votes_and_the_plan() {
        let view = view();
        let promotion = view.state.promotions.values().next().expect("a promotion");
        let card = PromotionCard::of(&view, promotion);
        let plan = card.plan.to_string();
        let html = page(
            "promotion.html",
            PromotionPage {
                card,
                timeline: timeline(promotion),
                options: ["reject"].into(),
                said: None,
            },
        );
        for part in ["Smoke matrix", "1 failed", "looks &lt;good&gt;", "ship &amp; see", &plan] {
            assert!(html.contains(part), "{part} is not in\n{html}");
        }
        assert!(html.contains("/P-7/reject") && !html.contains("/P-7/approve"), "{html}");
    }

    #[test]
    fn the_timeline_tells_votes_for_earlier_plans_apart() {
        let view = view();
        let promotion = view.state.promotions.values().next().expect("a promotion");
        let told: Vec<_> = timeline(promotion).into_iter().map(|moment| moment.what).collect();
        assert_eq!(
            told,
            ["requested by ann", "approved by bea (for an earlier plan)", "approved by bea"]
        );
    }

    #[test]
    fn the_address_cannot_put_words_on_the_page() {
        assert_eq!(sentence("you were hacked"), None);
    }
}
