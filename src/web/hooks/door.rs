//! What Slack sends, carried out once, whichever way it came.
//!
//! HTTP and Socket Mode read the same values out of what they get and hand
//! them in here. Each request has a key of its own; the same key again gets
//! the same answer and is not carried out a second time. The work is done by a
//! task, so that whoever hangs up stops nothing half-way.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use super::replies::{Claim, Reply, Slot};
use super::talk::Talk;
use super::{Hooks, SlackHooks, click, converse, events, fill};
use crate::chat::{
    self, Audience, Click, Delivery, FormError, Incoming, Interaction, Mention, Message, Post,
    Shortcut, SlashCommand, Submission,
};
use crate::model::ContentHash;

/// Why a request is not carried out.
#[derive(Debug)]
pub(super) enum Refused {
    /// Slack is not configured.
    NoSlack,
    /// It is not Slack's, or not new.
    Unauthorized(&'static str),
    /// Too much at once. Slack shows an error; the person tries again.
    Busy,
    /// It is Slack's and can't be read.
    Malformed(FormError),
}

/// Slack's side of the house, and how it was delivered.
pub(super) struct Door {
    pub(super) hooks: Hooks,
    pub(super) slack: Arc<SlackHooks>,
    /// Whether the very same signed request was seen before.
    pub(super) delivery: Delivery,
}

impl Door {
    /// Takes a command. The answer that comes too late for whoever waits goes
    /// to the `response_url`.
    pub(super) fn command(&self, command: SlashCommand) -> Result<Slot, Refused> {
        let team = command.caller.team.as_deref().unwrap_or_default();
        let key = key(&["command", team, &command.caller.user, &command.trigger_id]);
        let trace = trace(&key);
        self.run(key, move |hooks, slack, slot| async move {
            let talk = Talk {
                channel: &command.channel,
                trigger: &command.trigger_id,
                command: &command.command,
                ..Talk::new(&hooks, &slack, &command.caller, &trace)
            };
            let reply = converse::answer(&talk, &command.text).await;
            if slot.settle(reply.clone()) {
                respond(&slack, &command.response_url, &reply).await;
            }
        })
    }

    /// Takes what a person did to a message, a form or the app.
    pub(super) fn interaction(&self, interaction: Interaction) -> Result<Option<Slot>, Refused> {
        match interaction {
            Interaction::Click(click) => self.click(click).map(Some),
            Interaction::Submit(submission) => self.submission(submission).map(Some),
            Interaction::Shortcut(shortcut) => self.shortcut(shortcut).map(Some),
            Interaction::Other(kind) => {
                tracing::debug!(kind, "slack: an interaction of no use was acknowledged");
                Ok(None)
            }
        }
    }

    /// Slack shows nothing of the HTTP answer to a click, so the answer always
    /// goes another way.
    fn click(&self, click: Click) -> Result<Slot, Refused> {
        // The workspace is no part of the key: in a shared channel it differs.
        let Click { channel, message_ts, action_id, action_ts, caller, .. } = &click;
        let key = key(&["click", channel, message_ts, action_id, action_ts, &caller.user]);
        let trace = trace(&key);
        self.run(key, move |hooks, slack, slot| async move {
            let talk = Talk {
                channel: &click.channel,
                trigger: &click.trigger_id,
                ..Talk::new(&hooks, &slack, &click.caller, &trace)
            };
            let said = click::answer(&talk, &click).await;
            slot.settle(Reply::Nothing);
            let Some(said) = said else { return };
            let url = click.response_url.as_deref().unwrap_or_default();
            match (url.is_empty(), said.instead) {
                (false, true) => instead(&slack, url, &said.message).await,
                (false, false) => respond(&slack, url, &Reply::to_caller(said.message)).await,
                (true, _) => talk.tell(&said.message).await,
            }
        })
    }

    fn submission(&self, sent: Submission) -> Result<Slot, Refused> {
        let key = key(&["form", &sent.view, &sent.hash, &sent.caller.user]);
        let trace = trace(&key);
        self.run(key, move |hooks, slack, slot| async move {
            let channel = chat::About::parse(&sent.metadata).unwrap_or_default().channel;
            let talk =
                Talk { channel: &channel, ..Talk::new(&hooks, &slack, &sent.caller, &trace) };
            let (reply, said) = fill::answer(&talk, &sent).await;
            let closes = matches!(reply, Reply::Form(None));
            // What a form can't be told any more, and what was done.
            if slot.settle(reply) || closes {
                talk.tell(&said).await;
            }
        })
    }

    fn shortcut(&self, chosen: Shortcut) -> Result<Slot, Refused> {
        let key = key(&["shortcut", &chosen.action_ts, &chosen.trigger_id, &chosen.caller.user]);
        let trace = trace(&key);
        self.run(key, move |hooks, slack, slot| async move {
            let talk = Talk {
                trigger: &chosen.trigger_id,
                ..Talk::new(&hooks, &slack, &chosen.caller, &trace)
            };
            let said = fill::open_promote(&talk, &chosen.callback_id).await;
            slot.settle(Reply::Nothing);
            if let Some(said) = said {
                talk.tell(&said).await;
            }
        })
    }

    /// Takes an event; a challenge is answered with itself.
    pub(super) fn event(&self, incoming: Incoming) -> Result<Option<String>, Refused> {
        match incoming {
            Incoming::UrlVerification(challenge) => return Ok(Some(challenge)),
            Incoming::HomeOpened { caller, event } => {
                let key = key(&["event", &event]);
                let trace = trace(&key);
                self.run(key, move |hooks, slack, slot| async move {
                    let talk = Talk::new(&hooks, &slack, &caller, &trace);
                    events::show_home(&talk).await;
                    slot.settle(Reply::Nothing);
                })?;
            }
            Incoming::Mention(mention) => self.mention(mention)?,
            Incoming::Other(kind) => {
                tracing::debug!(kind, "slack: an event of no use was acknowledged");
            }
        }
        Ok(None)
    }

    /// A mention is answered where it was written: in its thread, to the
    /// writer alone unless the channel is to see it.
    fn mention(&self, mention: Mention) -> Result<(), Refused> {
        let key = key(&["event", &mention.event]);
        let trace = trace(&key);
        self.run(key, move |hooks, slack, slot| async move {
            let talk = Talk {
                channel: &mention.channel,
                ..Talk::new(&hooks, &slack, &mention.caller, &trace)
            };
            let reply = converse::answer(&talk, &mention.text).await;
            slot.settle(Reply::Nothing);
            let Reply::Say { message, audience } = reply else { return };
            let (channel, user) = (mention.channel.as_str(), mention.caller.user.as_str());
            let sent = match audience {
                Audience::Caller => {
                    let thread = mention.threaded.then_some(mention.thread.as_str());
                    slack.client.whisper(channel, user, thread, &message).await
                }
                Audience::Channel => {
                    let thread = Some(mention.thread.as_str());
                    let post =
                        Post { channel, thread, broadcast: false, key: None, message: &message };
                    slack.client.post(post).await.map(|_| ())
                }
            };
            if let Err(error) = sent {
                tracing::warn!(trace, "slack: an answer was not delivered: {error}");
            }
        })
        .map(|_| ())
    }

    /// Runs `work` for a key that is new; for one that is known there is the
    /// same answer.
    fn run<F, W>(&self, key: String, work: W) -> Result<Slot, Refused>
    where
        W: FnOnce(Hooks, Arc<SlackHooks>, Slot) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        // A request that was delivered before is known by its key. If it is
        // not, its answer was forgotten: it is not carried out a second time.
        if self.delivery == Delivery::Again && !self.slack.replies.knows(&key) {
            tracing::warn!("slack: a request was refused: the same was delivered before");
            return Err(Refused::Unauthorized("replayed request"));
        }
        let (slot, permit): (Slot, OwnedSemaphorePermit) = match self.slack.replies.claim(key) {
            Claim::New(slot, permit) => (slot, permit),
            Claim::Known(slot) => return Ok(slot),
            Claim::Full => return Err(Refused::Busy),
        };
        let (hooks, slack, given) = (self.hooks.clone(), self.slack.clone(), slot.clone());
        let future = work(hooks, slack, given);
        self.hooks.tasks.spawn("slack", async move {
            future.await;
            drop(permit);
        });
        Ok(slot)
    }
}

/// Each part behind its length, so that no two keys run together.
fn key(parts: &[&str]) -> String {
    parts.iter().map(|part| format!("{}:{part}", part.len())).collect()
}

/// Names a request in its answer and in the log.
fn trace(key: &str) -> String {
    let hash = ContentHash::of(key.as_bytes()).to_string();
    format!("t-{}", &hash[..6])
}

pub(super) async fn respond(slack: &SlackHooks, url: &str, reply: &Reply) {
    let Reply::Say { message, audience } = reply else { return };
    if let Err(error) = slack.client.respond(url, *audience, message).await {
        tracing::warn!("slack: an answer was not delivered: {error}");
    }
}

/// Puts the answer in the place of the message that was clicked on, so that
/// its buttons are gone.
async fn instead(slack: &SlackHooks, url: &str, message: &Message) {
    if let Err(error) = slack.client.respond_instead(url, message).await {
        tracing::warn!("slack: an answer was not delivered: {error}");
    }
}

/// A reply as HTTP and Socket Mode carry it back.
pub(super) fn body(reply: Option<Reply>) -> Option<Value> {
    match reply {
        None => Some(chat::working().answer(Audience::Caller)),
        Some(Reply::Say { message, audience }) => Some(message.answer(audience)),
        Some(Reply::Form(answer)) => answer,
        Some(Reply::Nothing) => None,
    }
}
