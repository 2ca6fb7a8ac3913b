//! What Slack tells us that happened: somebody opened the app's home page.

use std::collections::BTreeMap;

use super::talk::Talk;
use crate::chat::{self, Home, NodeCount, Offer};
use crate::promote::Promotion;
use crate::reconcile::offer_to;
use crate::telemetry::clock;

/// Publishes the person's home page as of now.
pub(super) async fn show_home(talk: &Talk<'_>) {
    let view = talk.desk.view();
    let person = talk.person();
    let nodes: BTreeMap<_, _> = view
        .fleet
        .iter()
        .map(|(place, fleet)| {
            let (nodes, acked, nacked) = (fleet.nodes, fleet.acked, fleet.nacked);
            (place.clone(), NodeCount { nodes, acked, nacked })
        })
        .collect();
    let now = clock::now();
    let may = |promotion: &Promotion| match &person {
        Some(person) => offer_to(&view.state, promotion, person, now),
        None => Offer::default(),
    };
    let page = chat::home(&Home {
        person: person.as_ref(),
        state: &view.state,
        manifests: &view.manifests,
        nodes: &nodes,
        offer: &may,
        links: &talk.slack.links,
    });
    if let Err(error) = talk.slack.client.publish(&talk.caller.user, &page).await {
        tracing::warn!(trace = talk.trace, "slack: a home page was not shown: {error}");
    }
}
