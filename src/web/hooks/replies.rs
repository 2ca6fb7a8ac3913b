//! What was answered to which request, so that the same request gets the same
//! answer, and is carried out once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use serde_json::Value;

use crate::chat::{Audience, Message};

/// Slack gives up after 3 s; this leaves room for the way. For forms, whose
/// answer can't be given later.
pub(super) const FORM_PATIENCE: Duration = Duration::from_millis(2_500);
/// For everything else: whoever waits longer is told so, and gets the answer
/// when it is there.
pub(super) const PATIENCE: Duration = Duration::from_millis(150);
/// Requests that are remembered, with a few KiB of answer each. At a few a
/// minute this is hours, and a repeated delivery comes within minutes.
const REMEMBER_MAX: usize = 5_000;

/// Requests at work at once, late answers included. People type a few a
/// minute; more than this is a flood or a reconciler that hangs.
const AT_WORK_MAX: usize = 256;

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reply {
    /// Something is said.
    Say {
        /// What.
        message: Message,
        /// To whom.
        audience: Audience,
    },
    /// What a form is told: what is wrong in it; `None` closes it.
    Form(Option<Value>),
    /// Nothing is said here.
    Nothing,
}

impl Reply {
    /// Says something to the caller alone.
    pub(super) fn to_caller(message: Message) -> Self {
        Self::Say { message, audience: Audience::Caller }
    }
}

/// The requests of late, by key. The lock is never held across an await.
#[derive(Debug)]
pub struct Replies {
    known: Mutex<Known>,
    at_work: Arc<Semaphore>,
}

impl Default for Replies {
    fn default() -> Self {
        Self { known: Mutex::default(), at_work: Arc::new(Semaphore::new(AT_WORK_MAX)) }
    }
}

#[derive(Debug, Default)]
struct Known {
    slots: BTreeMap<String, Slot>,
    order: VecDeque<String>,
}

/// One request's answer, which many may wait for.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    answer: watch::Sender<Answer>,
}

#[derive(Debug, Clone, Default)]
enum Answer {
    #[default]
    Awaited,
    /// Nobody waits any more: it must be delivered another way.
    Late,
    Ready(Box<Reply>),
}

/// What claiming a key gave.
pub(super) enum Claim {
    /// The request is new: carry it out, then [`Slot::settle`]. The permit
    /// goes along until the answer is delivered.
    New(Slot, OwnedSemaphorePermit),
    /// It came before; wait for the same answer.
    Known(Slot),
    /// Too many are at work; nothing was remembered of this one.
    Full,
}

impl Replies {
    /// Claims `key` for one request.
    pub(super) fn claim(&self, key: String) -> Claim {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = known.slots.get(&key) {
            return Claim::Known(slot.clone());
        }
        let Ok(permit) = self.at_work.clone().try_acquire_owned() else { return Claim::Full };
        let slot = Slot { answer: watch::Sender::new(Answer::Awaited) };
        known.slots.insert(key.clone(), slot.clone());
        known.order.push_back(key);
        if known.order.len() > REMEMBER_MAX
            && let Some(oldest) = known.order.pop_front()
        {
            known.slots.remove(&oldest);
        }
        Claim::New(slot, permit)
    }

    /// Whether `key` was claimed.
    pub(super) fn knows(&self, key: &str) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).slots.contains_key(key)
    }
}

impl Slot {
    /// The answer, if it comes while Slack waits. `None`: whoever carries the
    /// request out is told, in the same moment, to deliver it later.
    pub(super) async fn wait(&self, patience: Duration) -> Option<Reply> {
        let mut answer = self.answer.subscribe();
        let ready = answer.wait_for(|answer| matches!(answer, Answer::Ready(_)));
        let _ = tokio::time::timeout(patience, ready).await;
        let mut reply = None;
        self.answer.send_if_modified(|answer| {
            match answer {
                Answer::Ready(ready) => reply = Some((**ready).clone()),
                _ => *answer = Answer::Late,
            }
            false
        });
        reply
    }

    /// Sets the answer; true if somebody stopped waiting for it before.
    pub(super) fn settle(&self, reply: Reply) -> bool {
        let mut late = false;
        self.answer.send_modify(|answer| {
            late = matches!(answer, Answer::Late);
            *answer = Answer::Ready(Box::new(reply));
        });
        late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> Reply {
        Reply::to_caller(Message::plain(text))
    }

    fn new(replies: &Replies, key: &str) -> Slot {
        match replies.claim(key.into()) {
            Claim::New(slot, _) => slot,
            _ => panic!("{key} is not new"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_request_gets_the_same_answer() {
        let replies = Replies::default();
        let slot = new(&replies, "a");
        let Claim::Known(again) = replies.claim("a".into()) else { panic!("it is new") };
        assert!(!slot.settle(reply("done")));
        assert_eq!(slot.wait(PATIENCE).await, Some(reply("done")));
        assert_eq!(again.wait(PATIENCE).await, Some(reply("done")));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_comes_too_late_is_known_to_be_late() {
        let replies = Replies::default();
        let slot = new(&replies, "a");
        assert_eq!(slot.wait(PATIENCE).await, None);
        assert!(slot.settle(reply("done")));
        let Claim::Known(again) = replies.claim("a".into()) else { panic!("it is new") };
        assert_eq!(again.wait(PATIENCE).await, Some(reply("done")));
    }

    #[test]
    fn a_flood_is_turned_away_and_what_was_is_still_known() {
        let replies = Replies::default();
        let claims: Vec<_> = (0..AT_WORK_MAX).map(|n| replies.claim(n.to_string())).collect();
        assert!(matches!(replies.claim("more".into()), Claim::Full));
        assert!(matches!(replies.claim("0".into()), Claim::Known(_)));
        drop(claims);
        assert!(matches!(replies.claim("more".into()), Claim::New(..)));
    }

    #[test]
    fn the_oldest_requests_are_forgotten() {
        let replies = Replies::default();
        for n in 0..=REMEMBER_MAX {
            new(&replies, &n.to_string());
        }
        assert!(!replies.knows("0") && replies.knows("1"));
    }
}
