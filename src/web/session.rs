//! Sessions of the console: in memory, bounded, gone with the process.
//!
//! A session is found by the hash of its id, so that neither memory dumps of
//! the map nor lookup times give ids away. Times are monotonic.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use tokio::time::Instant;

use crate::model::ContentHash;

/// A session that was not used for so long is over.
const IDLE_MAX: Duration = Duration::from_secs(8 * 3600);
/// A session is over after so long in any case.
const AGE_MAX: Duration = Duration::from_secs(24 * 3600);
/// With more sessions the one that rested longest goes.
const SESSIONS_MAX: usize = 10_000;

/// What a session stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    /// The name of the token it was traded for.
    pub(crate) token: String,
    /// What its forms must carry.
    pub(crate) csrf: String,
}

#[derive(Debug)]
struct Kept {
    session: Session,
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
}

impl Sessions {
    /// No session. `secure`: cookies go over https only.
    pub(crate) fn new(secure: bool) -> Self {
        Self { by_key: Mutex::default(), secure }
    }

    /// Begins a session under `id`.
    pub(crate) fn insert(&self, id: &str, session: Session) {
        let now = Instant::now();
        let mut by_key = self.lock();
        if by_key.len() >= SESSIONS_MAX {
            make_room(&mut by_key, now);
        }
        by_key.insert(ContentHash::of(id.as_bytes()), Kept { session, began: now, used: now });
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

    /// Ends a session.
    pub(crate) fn remove(&self, key: &ContentHash) {
        self.lock().remove(key);
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

fn cookie_value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let values = headers.get_all(header::COOKIE).into_iter();
    let pairs = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(n, _)| *n == name).map(|(_, v)| v)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn session() -> Session {
        Session { token: "ann".into(), csrf: "c".into() }
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
