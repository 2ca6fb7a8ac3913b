//! The outbox of cards: one per promotion, edited in place, never twice.
//!
//! A card that could not be shown is tried again until it stands; what is
//! shown is always the newest state, so many changes become one edit.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::View;
use super::event::Event;
use super::record::CardRecord;
use crate::model::{ContentHash, PromotionId};
use crate::retry::Backoff;

/// Where a card stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardRef {
    /// The channel.
    pub channel: String,
    /// The message's name within it.
    pub ts: String,
}

/// What shows cards to people; `app` plugs `chat` in.
pub trait Announcer: Send + Sync + std::fmt::Debug {
    /// A hash of what the promotion's card would show now.
    fn content(&self, view: &View, id: &PromotionId) -> ContentHash;

    /// Shows the card: posts it, or edits the one that stands at `at`.
    fn show<'a>(
        &'a self,
        view: &'a View,
        id: &'a PromotionId,
        at: Option<&'a CardRef>,
    ) -> Pin<Box<dyn Future<Output = Result<CardRef, String>> + Send + 'a>>;
}

/// Between two cards; Slack takes about one message a second in a channel.
const PACE: Duration = Duration::from_millis(1000);
const BACKOFF: Backoff =
    Backoff { first: Duration::from_secs(2), longest: Duration::from_secs(120) };

/// Shows cards until the program stops.
pub(super) async fn run(
    announcer: Arc<dyn Announcer>,
    mut wanted: mpsc::Receiver<PromotionId>,
    view: watch::Receiver<Arc<View>>,
    mut shown: BTreeMap<PromotionId, CardRecord>,
    events: mpsc::Sender<Event>,
) {
    let mut due: BTreeMap<PromotionId, (Instant, u32)> = BTreeMap::new();
    loop {
        let next = due.values().map(|(at, _)| *at).min();
        tokio::select! {
            id = wanted.recv() => match id {
                Some(id) => { due.entry(id).or_insert((Instant::now(), 0)); }
                None => return,
            },
            () = sleep_until(next) => {
                let ready = due.iter().find(|(_, (at, _))| *at <= Instant::now());
                let Some((id, failures)) = ready.map(|(id, (_, failures))| (id.clone(), *failures))
                    else { continue };
                due.remove(&id);
                let now = view.borrow().clone();
                match show(announcer.as_ref(), &now, &id, &mut shown, &events).await {
                    Ok(true) => tokio::time::sleep(PACE).await,
                    Ok(false) => {}
                    Err(error) => {
                        let wait = BACKOFF.wait(failures + 1, 0.0);
                        tracing::warn!(promotion = %id, error, wait_s = wait.as_secs(),
                            "a card could not be shown");
                        due.insert(id, (Instant::now() + wait, failures + 1));
                    }
                }
            }
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Whether anything had to be shown.
async fn show(
    announcer: &dyn Announcer,
    view: &View,
    id: &PromotionId,
    shown: &mut BTreeMap<PromotionId, CardRecord>,
    events: &mpsc::Sender<Event>,
) -> Result<bool, String> {
    if !view.state.promotions.contains_key(id) {
        // Forgotten meanwhile: its card stays as it is.
        shown.remove(id);
        return Ok(false);
    }
    let content = announcer.content(view, id);
    let standing = shown.get(id);
    if standing.is_some_and(|record| record.content == content) {
        return Ok(false);
    }
    let card = announcer.show(view, id, standing.map(|record| &record.card)).await?;
    shown.insert(id.clone(), CardRecord { card: card.clone(), content });
    // A full or closed queue means that the process ends; the record is then
    // made again from what a later start shows.
    let _ = events.send(Event::Shown { promotion: id.clone(), card, content }).await;
    Ok(true)
}
