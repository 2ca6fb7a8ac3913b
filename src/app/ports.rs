//! What plugs one room into another's port.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::chat::{self, Links, Posted, Slack};
use crate::model::{ContentHash, PromotionId};
use crate::reconcile::{Announcer, CardRef, View};
use crate::smoke::{Listeners, Listening};
use crate::snapshot::Snapshot;
use crate::xds::{Private, listen_private};

/// Private xDS listeners for smoke runs, by `xds`.
#[derive(Debug, Clone, Copy)]
pub struct PrivateListeners;

impl Listeners for PrivateListeners {
    fn listen(
        &self,
        snapshot: Arc<Snapshot>,
        on: TcpListener,
    ) -> std::io::Result<Box<dyn Listening>> {
        Ok(Box::new(PrivateXds(listen_private(snapshot, on)?)))
    }
}

struct PrivateXds(Private);

impl Listening for PrivateXds {
    fn address(&self) -> SocketAddr {
        self.0.address()
    }

    fn refusals(&self) -> Vec<(String, String)> {
        self.0.refusals()
    }
}

/// Promotion cards in a Slack channel, by `chat`.
#[derive(Debug)]
pub(super) struct Cards {
    slack: Slack,
    channel: String,
    links: Links,
}

impl Cards {
    pub(super) fn new(slack: Slack, channel: String, links: Links) -> Self {
        Self { slack, channel, links }
    }

    fn message(&self, view: &View, id: &PromotionId) -> Option<chat::Message> {
        let promotion = view.state.promotions.get(id)?;
        Some(chat::card(promotion, &view.state, &self.links))
    }
}

impl Announcer for Cards {
    fn content(&self, view: &View, id: &PromotionId) -> ContentHash {
        let message = self.message(view, id).map(|message| message.answer(chat::Audience::Channel));
        ContentHash::of(message.unwrap_or_default().to_string().as_bytes())
    }

    fn show<'a>(
        &'a self,
        view: &'a View,
        id: &'a PromotionId,
        at: Option<&'a CardRef>,
    ) -> Pin<Box<dyn Future<Output = Result<CardRef, String>> + Send + 'a>> {
        Box::pin(async move {
            let message = self.message(view, id).ok_or("the promotion is gone")?;
            let posted = match at {
                None => self.slack.post(&self.channel, &message).await,
                Some(card) => {
                    let posted = Posted { channel: card.channel.clone(), ts: card.ts.clone() };
                    match self.slack.update(&posted, &message).await {
                        // Deleted, or too old to be changed: a new one stands in.
                        Err(error) if error.is_gone() => {
                            self.slack.post(&self.channel, &message).await
                        }
                        answer => answer,
                    }
                }
            };
            let posted = posted.map_err(|error| error.to_string())?;
            Ok(CardRef { channel: posted.channel, ts: posted.ts })
        })
    }
}
