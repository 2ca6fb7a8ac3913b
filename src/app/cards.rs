//! Promotion cards in Slack channels, by `chat`, for `reconcile`'s outbox.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::chat::{self, ChatError, Links, Post, Posted, Reminders, Slack};
use crate::govern::Govern;
use crate::model::{ContentHash, PromotionId};
use crate::promote::{Promotion, Status};
use crate::reconcile::{Announcer, CardRef, Showing, Told, Trouble, View, offer};

/// Where cards are shown, and how people are reminded.
#[derive(Debug)]
pub(super) struct Cards {
    pub(super) slack: Slack,
    pub(super) home: String,
    /// Where what needs a person is shown too.
    pub(super) alarms: Option<String>,
    pub(super) links: Links,
    pub(super) reminders: Reminders,
    /// Who there is: for what channels hear of.
    pub(super) govern: Govern,
}

impl Cards {
    fn message(&self, showing: Showing<'_>) -> Option<chat::Message> {
        let state = &showing.view.state;
        let promotion = state.promotions.get(showing.id)?;
        let offer = offer(state, promotion, showing.now);
        Some(chat::card(promotion, state, &offer, &self.links, showing.changes))
    }

    fn note(&self, showing: Showing<'_>, key: &str) -> Option<chat::Message> {
        let mut notes = self.all(showing).into_iter();
        notes.find(|note| note.key == key).map(|note| note.message)
    }

    fn all(&self, showing: Showing<'_>) -> Vec<chat::Note> {
        let promotion = showing.view.state.promotions.get(showing.id);
        let Some(promotion) = promotion else { return Vec::new() };
        // Approvers are reminded in one place.
        let none = Reminders::default();
        let reminders = if showing.room == self.home { &self.reminders } else { &none };
        chat::notes(promotion, reminders, showing.now)
    }
}

/// Whether a channel that hears of `events` is told of the promotion now.
fn hears(events: &BTreeSet<String>, promotion: &Promotion) -> bool {
    let mut words = vec!["asked"];
    if promotion.applied_at.is_some() {
        words.push("applying");
    }
    if promotion.status.is_terminal() {
        words.push("ended");
    }
    if matches!(promotion.status, Status::Failed | Status::RolledBack | Status::Stuck) {
        words.push("failed");
    }
    words.iter().any(|word| events.contains(*word))
}

impl Announcer for Cards {
    fn rooms(&self, view: &View, id: &PromotionId) -> BTreeSet<String> {
        let mut rooms = BTreeSet::from([self.home.clone()]);
        let Some(promotion) = view.state.promotions.get(id) else { return rooms };
        if promotion.breakglass.is_some() || promotion.status == Status::Stuck {
            rooms.extend(self.alarms.clone());
        }
        for (channel, document) in &self.govern.registry().channels {
            let of_repo = document.hears.get(&promotion.repo);
            let events = of_repo.and_then(|stages| stages.get(&promotion.stage));
            if events.is_some_and(|events| hears(events, promotion)) {
                rooms.insert(channel.clone());
            }
        }
        rooms
    }

    fn home(&self) -> &str {
        &self.home
    }

    fn content(&self, showing: Showing<'_>) -> ContentHash {
        let message = self.message(showing);
        let message = message.map(|message| message.answer(chat::Audience::Channel));
        ContentHash::of(message.unwrap_or_default().to_string().as_bytes())
    }

    fn notes(&self, showing: Showing<'_>) -> Vec<String> {
        self.all(showing).into_iter().map(|note| note.key).collect()
    }

    fn post<'a>(
        &'a self,
        showing: Showing<'a>,
        thread: Option<&'a str>,
        key: &'a str,
    ) -> Told<'a, CardRef> {
        Box::pin(async move {
            let message = self.message(showing).ok_or_else(gone)?;
            let key = Some(key);
            // In the thread of a deleted message alone nobody would see it.
            let (channel, broadcast) = (showing.room, thread.is_some());
            let post = Post { channel, thread, broadcast, key, message: &message };
            let posted = self.slack.post(post).await.map_err(|error| trouble(&error))?;
            let thread = thread.map(str::to_owned);
            Ok(CardRef { channel: posted.channel, ts: posted.ts, thread })
        })
    }

    fn edit<'a>(&'a self, showing: Showing<'a>, at: &'a CardRef) -> Told<'a, ()> {
        Box::pin(async move {
            let message = self.message(showing).ok_or_else(gone)?;
            let posted = Posted { channel: at.channel.clone(), ts: at.ts.clone() };
            match self.slack.update(&posted, &message).await {
                Ok(_) => Ok(()),
                // Deleted, or too old to be changed.
                Err(error) if error.is_gone() => Err(Trouble::Gone),
                // An edit may be made twice, so it is simply made again.
                Err(error) => Err(Trouble::NotNow(error.retry_after(), error.to_string())),
            }
        })
    }

    fn tell<'a>(
        &'a self,
        showing: Showing<'a>,
        note: &'a str,
        at: &'a CardRef,
        key: &'a str,
    ) -> Told<'a, ()> {
        Box::pin(async move {
            let message = self.note(showing, note).ok_or_else(gone)?;
            let (channel, thread) = (at.channel.as_str(), Some(at.root()));
            let post =
                Post { channel, thread, broadcast: false, key: Some(key), message: &message };
            self.slack.post(post).await.map(|_| ()).map_err(|error| trouble(&error))
        })
    }

    fn find<'a>(
        &'a self,
        room: &'a str,
        thread: Option<&'a str>,
        key: &'a str,
        since: Timestamp,
    ) -> Told<'a, Option<CardRef>> {
        Box::pin(async move {
            match self.slack.find(room, thread, key, since).await {
                Ok(found) => Ok(found.map(|posted| CardRef {
                    channel: posted.channel,
                    ts: posted.ts,
                    thread: None,
                })),
                Err(error) if error.is_transient() => {
                    Err(Trouble::NotNow(error.retry_after(), error.to_string()))
                }
                Err(error) => {
                    tracing::warn!("slack: what was posted can't be looked up: {error}");
                    Err(Trouble::Blind)
                }
            }
        })
    }
}

fn gone() -> Trouble {
    Trouble::NotNow(None, "the promotion is gone".into())
}

fn trouble(error: &ChatError) -> Trouble {
    match error.is_open() {
        true => Trouble::Unsure(error.to_string()),
        false => Trouble::NotNow(error.retry_after(), error.to_string()),
    }
}
