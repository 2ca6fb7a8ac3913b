//! What the outbox needs of whoever shows cards, and what comes of showing one.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{ContentHash, PromotionId};
use crate::reconcile::View;
use crate::snapshot::Summary;

/// Where a card stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardRef {
    /// The channel.
    pub channel: String,
    /// The message's name within it.
    pub ts: String,
    /// The thread, where it is not the message's own: the first card was
    /// deleted, and this one stands in its thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
}

impl CardRef {
    /// The thread in which things are told.
    pub fn root(&self) -> &str {
        self.thread.as_deref().unwrap_or(&self.ts)
    }
}

/// Why something was not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It was not; later it may be, after this time where one is known.
    NotNow(Option<Duration>, String),
    /// Nobody knows whether it was.
    Unsure(String),
    /// The message can't be edited any more.
    Gone,
    /// What was posted can't be looked up here.
    Blind,
}

/// One promotion in one channel, as of now.
#[derive(Debug, Clone, Copy)]
pub struct Showing<'a> {
    /// Everything that is known.
    pub view: &'a View,
    /// The promotion.
    pub id: &'a PromotionId,
    /// The channel.
    pub room: &'a str,
    /// Now.
    pub now: Timestamp,
    /// What it would change, while it waits and where that is known.
    pub changes: Option<&'a Summary>,
}

/// An answer that takes its time.
pub type Told<'a, T> = Pin<Box<dyn Future<Output = Result<T, Trouble>> + Send + 'a>>;

/// What shows cards to people; `app` plugs `chat` in.
pub trait Announcer: Send + Sync + std::fmt::Debug {
    /// The channels that the promotion belongs into now.
    fn rooms(&self, view: &View, id: &PromotionId) -> BTreeSet<String>;

    /// The channel of cards that were recorded without one.
    fn home(&self) -> &str;

    /// A hash of what the card would show now.
    fn content(&self, showing: Showing<'_>) -> ContentHash;

    /// The keys of what the thread should say by now, oldest first.
    fn notes(&self, showing: Showing<'_>) -> Vec<String>;

    /// Posts the card, in `thread` where an earlier one was deleted.
    fn post<'a>(
        &'a self,
        showing: Showing<'a>,
        thread: Option<&'a str>,
        key: &'a str,
    ) -> Told<'a, CardRef>;

    /// Edits the card.
    fn edit<'a>(&'a self, showing: Showing<'a>, at: &'a CardRef) -> Told<'a, ()>;

    /// Posts a note into the card's thread.
    fn tell<'a>(
        &'a self,
        showing: Showing<'a>,
        note: &'a str,
        at: &'a CardRef,
        key: &'a str,
    ) -> Told<'a, ()>;

    /// Looks for a message that was posted with `key` since a moment.
    fn find<'a>(
        &'a self,
        room: &'a str,
        thread: Option<&'a str>,
        key: &'a str,
        since: Timestamp,
    ) -> Told<'a, Option<CardRef>>;
}
