//! Sessions of the console: in memory, bounded, gone with the process.
//!
//! A session is found by the hash of its id, so that neither memory dumps of
//! the map nor lookup times give ids away. Times are monotonic.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::model::{ContentHash, Person};
use crate::telemetry::clock;

/// A session that was not used for so long is over.
const IDLE_MAX: Duration = Duration::from_secs(8 * 3600);
/// A session is over after so long in any case.
const AGE_MAX: Duration = Duration::from_secs(24 * 3600);
/// With more sessions the one that rested longest goes.
const SESSIONS_MAX: usize = 10_000;

/// Whom a session belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    /// Whoever came with the token that has this hash.
    Token(ContentHash),
    /// A person, and the teams that the identity provider told.
    Person(Person, BTreeSet<String>),
}

/// What a session stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    /// Whom it belongs to.
    pub(crate) holder: Holder,
    /// What its forms must carry.
    pub(crate) csrf: String,
}

/// A session as its owner may see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SessionCard {
    /// The beginning of the key; it opens nothing.
    pub(crate) id: String,
    #[serde(skip)]
    pub(crate) key: ContentHash,
    pub(crate) began: Timestamp,
    /// How long it has not been used.
    pub(crate) idle_s: u64,
}

#[derive(Debug)]
struct Kept {
    session: Session,
    /// For show; what counts is monotonic.
    at: Timestamp,
    began: Instant,
    used: Instant,
}

impl Kept {
    fn is_over(&self, now: Instant) -> bool {
        now - self.used > IDLE_MAX || now - self.began > AGE_MAX
    }
}

/// Every session.
#[derive(Debug)]
pub(crate) struct Sessions {
    by_key: Mutex<HashMap<ContentHash, Kept>>,
    secure: bool,
    /// How many sessions were ended, for streams that hang on one.
    ended: watch::Sender<u64>,
}

impl Sessions {
    /// No session. `secure`: cookies go over https only.
    pub(crate) fn new(secure: bool) -> Self {
        Self { by_key: Mutex::default(), secure, ended: watch::Sender::new(0) }
    }

    /// Tells when sessions are ended.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.ended.subscribe()
    }

    /// Begins a session under `id`.
    pub(crate) fn insert(&self, id: &str, session: Session) {
        let now = Instant::now();
        let mut by_key = self.lock();
        if by_key.len() >= SESSIONS_MAX {
            make_room(&mut by_key, now);
        }
        let kept = Kept { session, at: clock::now(), began: now, used: now };
        by_key.insert(ContentHash::of(id.as_bytes()), kept);
    }

    /// The session whose cookie `headers` carry.
    pub(crate) fn find(&self, headers: &HeaderMap) -> Option<(ContentHash, Session)> {
        let key = ContentHash::of(cookie_value(headers, self.cookie_name())?.as_bytes());
        let now = Instant::now();
        let mut by_key = self.lock();
        let kept = by_key.get_mut(&key)?;
        if kept.is_over(now) {
            by_key.remove(&key);
            return None;
        }
        kept.used = now;
        Some((key, kept.session.clone()))
    }

    /// A session that is not over; looking is not using.
    pub(crate) fn peek(&self, key: &ContentHash) -> Option<Session> {
        let by_key = self.lock();
        let kept = by_key.get(key).filter(|kept| !kept.is_over(Instant::now()))?;
        Some(kept.session.clone())
    }

    /// The sessions that `mine` says yes to, newest first.
    pub(crate) fn cards(&self, mine: impl Fn(&Holder) -> bool) -> Vec<SessionCard> {
        let (now, by_key) = (Instant::now(), self.lock());
        let live = by_key.iter().filter(|(_, kept)| !kept.is_over(now));
        let mut cards: Vec<_> = live
            .filter(|(_, kept)| mine(&kept.session.holder))
            .map(|(key, kept)| SessionCard {
                id: key.short(),
                key: *key,
                began: kept.at,
                idle_s: (now - kept.used).as_secs(),
            })
            .collect();
        cards.sort_by_key(|card| std::cmp::Reverse(card.began));
        cards
    }

    /// Ends a session.
    pub(crate) fn remove(&self, key: &ContentHash) {
        self.lock().remove(key);
        self.ended.send_modify(|count| *count += 1);
    }

    /// The `Set-Cookie` value that hands out `id`.
    pub(crate) fn cookie(&self, id: &str) -> String {
        self.set_cookie(id, AGE_MAX.as_secs())
    }

    /// The `Set-Cookie` value that takes it back.
    pub(crate) fn expired_cookie(&self) -> String {
        self.set_cookie("", 0)
    }

    fn set_cookie(&self, value: &str, max_age_seconds: u64) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        let name = self.cookie_name();
        format!(
            "{name}={value}; Path=/; Max-Age={max_age_seconds}; HttpOnly; SameSite=Strict{secure}"
        )
    }

    /// Browsers take the `__Host-` prefix over https only.
    fn cookie_name(&self) -> &'static str {
        if self.secure { "__Host-convoy" } else { "convoy" }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ContentHash, Kept>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_room(by_key: &mut HashMap<ContentHash, Kept>, now: Instant) {
    by_key.retain(|_, kept| !kept.is_over(now));
    while by_key.len() >= SESSIONS_MAX {
        let Some(key) = by_key.iter().min_by_key(|(_, kept)| kept.used).map(|(key, _)| *key) else {
            return;
        };
        by_key.remove(&key);
    }
}

/// The value of a cookie.
pub(crate) fn cookie_value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let values = headers.get_all(header::COOKIE).into_iter();
    let pairs = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(n, _)| *n == name).map(|(_, v)| v)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn session() -> Session {
        Session { holder: Holder::Token(ContentHash([7; 32])), csrf: "c".into() }
    }

    fn sent(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static(value))])
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_session_ends() {
        let sessions = Sessions::new(false);
        sessions.insert("id", session());
        tokio::time::advance(IDLE_MAX).await;
        assert!(sessions.find(&sent("a=b; convoy=id")).is_some());
        tokio::time::advance(IDLE_MAX + Duration::from_secs(1)).await;
        assert!(sessions.find(&sent("convoy=id")).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_session_ends_after_a_day() {
        let sessions = Sessions::new(false);
        sessions.insert("id", session());
        for _ in 0..24 {
            tokio::time::advance(Duration::from_secs(3600)).await;
            assert!(sessions.find(&sent("convoy=id")).is_some());
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(sessions.find(&sent("convoy=id")).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_resting_session_makes_room() {
        let sessions = Sessions::new(false);
        sessions.insert("first", session());
        for n in 1..SESSIONS_MAX {
            sessions.insert(&format!("s{n}"), session());
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        sessions.insert("last", session());
        assert_eq!(sessions.lock().len(), SESSIONS_MAX);
        assert!(sessions.find(&sent("convoy=last")).is_some());
    }

    #[tokio::test]
    async fn plain_http_has_a_plain_cookie() {
        let sessions = Sessions::new(false);
        assert!(sessions.cookie("id").starts_with("convoy=id; "));
        assert!(!sessions.cookie("id").contains("Secure"));
        assert!(sessions.expired_cookie().contains("Max-Age=0"));
        sessions.insert("id", session());
        assert!(sessions.find(&sent("__Host-convoy=id")).is_none());
    }
}
