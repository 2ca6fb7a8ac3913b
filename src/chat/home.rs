//! The app's home page: what waits for the person, and the board.

use super::board::{NodeCount, board};
use super::card::{Decide, Offer, button, standing};
use super::links::{Links, link};
use super::message;
use super::text::clean;
use super::view::View;
use crate::model::{Manifest, Person, RepoName, Stage};
use crate::promote::{Promotion, State};
use std::collections::BTreeMap;

/// Promotions that are shown; the console has all.
const WAITING_MAX: usize = 15;
/// Pipelines whose board is shown.
const BOARDS_MAX: usize = 5;

/// What the page is made from.
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations, reason = "it carries a question")]
pub struct Home<'a> {
    /// Whose page it is; `None`: nobody that Convoy knows.
    pub person: Option<&'a Person>,
    /// Everything that is known.
    pub state: &'a State,
    /// The pipelines.
    pub manifests: &'a BTreeMap<RepoName, Manifest>,
    /// How the nodes of each stage stand.
    pub nodes: &'a BTreeMap<(RepoName, Stage), NodeCount>,
    /// What the person could do about a promotion, by the guard that decides.
    pub offer: &'a dyn Fn(&Promotion) -> Offer,
    /// Addresses of console pages.
    pub links: &'a Links,
}

/// The page.
pub fn home(home: &Home<'_>) -> View {
    let Home { person, state, manifests, nodes, links, .. } = home;
    let mut blocks = vec![message::header("Waiting for you")];
    let waiting = waiting(home);
    match (person, waiting.is_empty()) {
        (None, _) => blocks.push(message::section(
            "Your Slack user is linked to nobody. Use `/convoy link` to say who you are; until \
             then you can only look.",
        )),
        (_, true) => blocks.push(message::section("Nothing waits for your yes.")),
        _ => {}
    }
    for (promotion, offer) in waiting.iter().take(WAITING_MAX) {
        let page = link(&links.promotion(&promotion.id), promotion.id.as_str());
        let (repo, stage, bundle) = (&promotion.repo, &promotion.stage, &promotion.bundle);
        let who = clean(&promotion.requested_by.to_string(), 64);
        blocks.push(message::section(&format!(
            "{page} · *{repo}* · {stage} ← `{bundle}` · asked for by {who}\n{}",
            standing(promotion)
        )));
        blocks.extend(button::row(promotion, offer));
    }
    if waiting.len() > WAITING_MAX {
        let more = format!(
            "… and {} more: {}",
            waiting.len() - WAITING_MAX,
            link(&links.board(), "Board")
        );
        blocks.push(message::section(&more));
    }
    blocks.push(message::header("Stages"));
    for (repo, manifest) in manifests.iter().take(BOARDS_MAX) {
        let of_repo = nodes.iter().filter(|((of, _), _)| of == repo);
        let of_repo = of_repo.map(|((_, stage), count)| (stage.clone(), *count)).collect();
        blocks.extend(board(repo, manifest, None, state, &of_repo, &[], links).blocks);
    }
    View::home(&blocks)
}

/// The promotions that the person could say yes to.
fn waiting<'a>(home: &Home<'a>) -> Vec<(&'a Promotion, Offer)> {
    if home.person.is_none() {
        return Vec::new();
    }
    let offered = |promotion: &'a Promotion| {
        let offer = (home.offer)(promotion);
        offer.0.contains(&Decide::Approve).then_some((promotion, offer))
    };
    let mut waiting: Vec<_> = home.state.promotions.values().filter_map(offered).collect();
    waiting.sort_by_key(|(promotion, _)| promotion.requested_at);
    waiting
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::samples;
    use crate::chat::view::assert_view_within_limits;

    fn show(person: Option<&Person>, can: bool, promotions: Vec<Promotion>) -> String {
        let (state, nodes) = (samples::state(promotions), BTreeMap::new());
        let manifests = BTreeMap::from([(samples::repo(), samples::manifest())]);
        let view = home(&Home {
            person,
            state: &state,
            manifests: &manifests,
            nodes: &nodes,
            offer: &|_| if can { Offer::of(|_| true) } else { Offer::default() },
            links: &Links::new("https://convoy.example.com"),
        });
        assert_view_within_limits(&view);
        view.json().to_string()
    }

    #[test]
    fn the_page_shows_what_waits_for_the_person_and_the_board() {
        let kim = Person::new("kim").unwrap();
        let one = samples::promotion(142, "canary");
        let shown = show(Some(&kim), true, vec![one.clone()]);
        assert!(shown.contains("P-142") && shown.contains("\"approve\""), "{shown}");
        assert!(show(Some(&kim), false, vec![one.clone()]).contains("Nothing waits"));
        let stranger = show(None, true, vec![one]);
        assert!(stranger.contains("link") && !stranger.contains("\"approve\""), "{stranger}");
        let many = (1..200).map(|n| samples::promotion(n, "canary")).collect();
        assert!(show(Some(&kim), true, many).contains("184 more"));
    }
}
