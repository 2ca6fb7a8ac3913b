//! What is known of a card, as it lies in `@convoy/state`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::CardRef;
use crate::model::ContentHash;

/// What is known of one card, as it is recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::reconcile) struct CardRecord {
    /// The channel it belongs into.
    #[serde(default)]
    pub(in crate::reconcile) room: String,
    /// Where it stands; `None`: nowhere so far.
    #[serde(default)]
    pub(in crate::reconcile) card: Option<CardRef>,
    /// What it shows.
    #[serde(default)]
    pub(in crate::reconcile) content: Option<ContentHash>,
    /// What was about to be posted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::reconcile) trying: Option<Try>,
    /// What the thread says already.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(in crate::reconcile) told: BTreeSet<String>,
}

/// A message that is about to be posted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::reconcile) struct Try {
    /// What it carries unseen.
    pub(in crate::reconcile) key: String,
    /// The note; `None`: the card itself.
    pub(in crate::reconcile) note: Option<String>,
    /// What the card shows, if it is the card.
    #[serde(default)]
    pub(in crate::reconcile) content: Option<ContentHash>,
    /// Since when.
    pub(in crate::reconcile) since: Timestamp,
    /// That it was certainly not posted so far.
    #[serde(skip)]
    pub(in crate::reconcile) untouched: bool,
}

impl CardRecord {
    /// What the record says, for its commit.
    pub(in crate::reconcile) fn words(&self) -> String {
        match (&self.trying, &self.card) {
            (Some(Try { note: Some(note), .. }), _) => {
                format!("its card's thread is to say {note}")
            }
            (Some(_), _) => format!("its card is about to be shown in {}", self.room),
            (None, Some(card)) => format!("its card stands in {}", card.channel),
            (None, None) => format!("it has no card in {}", self.room),
        }
    }
}
