//! What was typed and waits for its yes: by the same person, for ten minutes,
//! once. Kept in memory: after a restart the command is typed again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::chat::Verb;
use crate::model::Person;
use crate::reconcile::Command;
use crate::web::auth::random_hex;

/// How long a preview may be confirmed.
pub(super) const VALID: Duration = Duration::from_secs(600);
/// Previews that wait at once; the oldest gives way.
const WAITING_MAX: usize = 500;
/// Marks our tokens.
const PREFIX: &str = "c1.";

/// A command that waits, whose it is, and since when.
#[derive(Debug, Clone, PartialEq)]
struct Waiting {
    caller: String,
    act: Act,
    at: Timestamp,
}

/// What is done on yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Act {
    /// The verb, for the words of a refusal.
    pub(super) verb: Verb,
    /// What is asked of the reconciler.
    pub(super) command: Command,
    /// Who set what it takes away, and is told.
    pub(super) tells: Option<Person>,
}

/// Everything that waits.
#[derive(Debug, Default)]
pub struct Previews {
    waiting: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_token: BTreeMap<String, Waiting>,
    order: VecDeque<String>,
}

/// Why nothing is done on a yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It was confirmed, left, or forgotten.
    Gone,
    /// Ten minutes are over.
    Old,
    /// Somebody else's.
    Another,
}

impl Unfit {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Gone => "this preview was confirmed or left before, or Convoy was restarted",
            Self::Old => "this preview is older than 10 minutes",
            Self::Another => "only the person who typed the command can confirm it",
        }
    }
}

impl Previews {
    /// Keeps an act; gives the token by which it is confirmed.
    pub(super) fn keep(&self, caller: String, act: Act, now: Timestamp) -> Option<String> {
        let token = format!("{PREFIX}{}", &random_hex().ok()?[..24]);
        let mut kept = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        kept.by_token.insert(token.clone(), Waiting { caller, act, at: now });
        kept.order.push_back(token.clone());
        if kept.order.len() > WAITING_MAX
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.by_token.remove(&oldest);
        }
        Some(token)
    }

    /// Takes the act that a token names, for the one who typed it: whoever
    /// comes second finds it gone.
    pub(super) fn take(&self, token: &str, caller: &str, now: Timestamp) -> Result<Act, Unfit> {
        let mut kept = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = kept.by_token.get(token).ok_or(Unfit::Gone)?;
        if waiting.caller != caller {
            return Err(Unfit::Another);
        }
        let old = now.duration_since(waiting.at).unsigned_abs() > VALID;
        let taken = kept.by_token.remove(token);
        kept.order.retain(|kept| kept != token);
        match taken {
            Some(waiting) if !old => Ok(waiting.act),
            Some(_) => Err(Unfit::Old),
            None => Err(Unfit::Gone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::samples;

    fn act() -> Act {
        Act { verb: Verb::Adopt, command: Command::Adopt { repo: samples::repo() }, tells: None }
    }

    #[test]
    fn the_same_person_confirms_once_within_ten_minutes() {
        let previews = Previews::default();
        let keep = || previews.keep("T1/U1".into(), act(), samples::at(0)).unwrap();
        let token = keep();
        let take = |token: &str, caller, second| previews.take(token, caller, samples::at(second));
        assert_eq!(take(&token, "T1/U2", 1), Err(Unfit::Another));
        assert_eq!(take(&token, "T1/U1", 600), Ok(act()));
        assert_eq!(take(&token, "T1/U1", 600), Err(Unfit::Gone));
        let late = keep();
        assert_ne!(late, token);
        assert_eq!(take(&late, "T1/U1", 601), Err(Unfit::Old));
        assert_eq!(take("c1.forged", "T1/U1", 0), Err(Unfit::Gone));
    }

    #[test]
    fn a_flood_makes_the_oldest_give_way() {
        let previews = Previews::default();
        let keep = || previews.keep("T1/U1".into(), act(), samples::at(0)).unwrap();
        let first = keep();
        (1..WAITING_MAX).for_each(|_| drop(keep()));
        let last = keep();
        assert_eq!(previews.take(&first, "T1/U1", samples::at(1)), Err(Unfit::Gone));
        assert!(previews.take(&last, "T1/U1", samples::at(1)).is_ok());
    }
}
