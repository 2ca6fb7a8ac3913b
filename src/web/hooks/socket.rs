//! Slack's requests as Socket Mode delivers them: the same values, the same
//! door. They come over a connection that we opened, so nothing is verified,
//! and an answer follows by itself: the envelope is acknowledged already.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::door::{Door, Refused, body, respond};
use super::replies::FORM_PATIENCE;
use super::{Hooks, SlackHooks};
use crate::chat::{Delivery, Envelope, FormError, Incoming, Interaction, Listener, SlashCommand};

/// Takes envelopes.
#[derive(Clone)]
pub struct SocketHooks {
    hooks: Hooks,
    slack: Arc<SlackHooks>,
}

impl SocketHooks {
    /// `None` where Slack is not configured.
    pub fn new(hooks: &Hooks) -> Option<Self> {
        Some(Self { hooks: hooks.clone(), slack: hooks.slack.clone()? })
    }

    /// Slack may send an envelope again that it has no acknowledgement of: the
    /// key of what is in it is the same then.
    fn door(&self) -> Door {
        let delivery = Delivery::First;
        Door { hooks: self.hooks.clone(), slack: self.slack.clone(), delivery }
    }

    async fn handle(&self, envelope: Envelope) -> Result<(), Refused> {
        let (door, payload) = (self.door(), envelope.payload);
        match envelope.kind.as_str() {
            "slash_commands" => {
                let command = SlashCommand::read(&payload).map_err(Refused::Malformed)?;
                let url = command.response_url.clone();
                let slot = door.command(command)?;
                // Nobody waits: the answer goes to the `response_url`, by the
                // task or, where that was faster than this, by us.
                if let Some(reply) = slot.wait(Duration::ZERO).await {
                    respond(&self.slack, &url, &reply).await;
                }
            }
            "interactive" => {
                let interaction = Interaction::read(payload).map_err(Refused::Malformed)?;
                if let Some(slot) = door.interaction(interaction)? {
                    slot.wait(Duration::ZERO).await;
                }
            }
            "events_api" => {
                let incoming = Incoming::read(&payload).map_err(Refused::Malformed)?;
                door.event(incoming)?;
            }
            kind => tracing::debug!(kind, "slack: an envelope of no use was acknowledged"),
        }
        Ok(())
    }

    async fn form(&self, envelope: Envelope) -> Result<Option<Value>, Refused> {
        let interaction = Interaction::read(envelope.payload).map_err(Refused::Malformed)?;
        let Some(slot) = self.door().interaction(interaction)? else { return Ok(None) };
        let reply = slot.wait(FORM_PATIENCE).await;
        Ok(reply.and_then(|reply| body(Some(reply))))
    }
}

impl std::fmt::Debug for SocketHooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SocketHooks").finish_non_exhaustive()
    }
}

impl Listener for SocketHooks {
    fn take(&self, envelope: Envelope) {
        let (this, tasks) = (self.clone(), self.hooks.tasks.clone());
        tasks.spawn("slack-envelope", async move {
            if let Err(refused) = this.handle(envelope).await {
                warn(&refused);
            }
        });
    }

    fn take_form(&self, envelope: Envelope) -> BoxFuture<'static, Option<Value>> {
        let this = self.clone();
        Box::pin(async move {
            this.form(envelope).await.unwrap_or_else(|refused| {
                warn(&refused);
                None
            })
        })
    }
}

fn warn(refused: &Refused) {
    match refused {
        Refused::Malformed(FormError::Missing(field)) => {
            tracing::warn!(field, "slack: an envelope lacks a field");
        }
        refused => tracing::warn!("slack: an envelope was not carried out: {refused:?}"),
    }
}
