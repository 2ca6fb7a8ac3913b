//! Who calls: tokens, which `govern` knows by their hashes, and the sessions
//! made from them or by an identity provider.
//!
//! A token comes as `Authorization: Bearer`, as the password of `Basic` (what
//! `git` sends), or, once, through the login form, which trades it for a
//! session. Nothing is remembered between two requests but the session: what
//! was revoked is over with the next one, and [`Auth::until`] tells streams.

mod caller;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::attempts::Attempts;
use super::error::Fault;
use super::oidc::Oidc;
use super::session::{Holder, Session, SessionCard, Sessions};
use crate::access::Principal;
use crate::config::Role;
use crate::govern::{Govern, Registry};
use crate::model::{ContentHash, Person};
use crate::telemetry::clock;

pub(crate) use caller::{Caller, Proof};

/// The person of open development mode, where the request names nobody else.
pub(crate) const DEV_PERSON: &str = "dev";
/// Names the person in open development mode.
const PERSON_HEADER: &str = "x-convoy-person";
/// How often a stream looks whether its session has run out; what is revoked
/// is told at once.
const LOOK: Duration = Duration::from_secs(30);

/// Why logging in is not possible.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct AuthError;

/// Tokens and sessions; cheap to clone.
#[derive(Debug, Clone)]
pub struct Auth {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    govern: Govern,
    oidc: Option<Oidc>,
    sessions: Sessions,
    attempts: Attempts,
    /// Only in open development mode: what forms carry in place of a
    /// session's token.
    open: Option<String>,
}

impl Auth {
    /// Asks `govern` who comes with which token. With `insecure_dev`, and no
    /// token in the configuration but those of nodes, everybody is an
    /// administrator. `secure_cookie` says that people come over https.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn new(
        govern: Govern,
        oidc: Option<Oidc>,
        insecure_dev: bool,
        secure_cookie: bool,
    ) -> Result<Self, AuthError> {
        let guarded = govern.settings().tokens.iter().any(|token| token.role != Role::Node);
        let open = if insecure_dev && !guarded { Some(random_hex()?) } else { None };
        let sessions = Sessions::new(secure_cookie);
        let attempts = Attempts::default();
        Ok(Self { inner: Arc::new(Inner { govern, oidc, sessions, attempts, open }) })
    }

    /// The identity provider that people log in at.
    pub(crate) fn oidc(&self) -> Option<&Oidc> {
        self.inner.oidc.as_ref()
    }

    pub(crate) fn govern(&self) -> &Govern {
        &self.inner.govern
    }

    /// Whether everybody is an administrator.
    pub fn is_open(&self) -> bool {
        self.inner.open.is_some()
    }

    pub(crate) fn identify(&self, headers: &HeaderMap) -> Option<Caller> {
        let sent = headers.get(header::AUTHORIZATION);
        if let Some(csrf) = &self.inner.open {
            // Whatever is sent: compatible clients send `Bearer anonymous`.
            let csrf = csrf.clone();
            let proof = if sent.is_some() { Proof::Bearer } else { Proof::Open { csrf } };
            return Some(Caller::developer(dev_person(headers), proof));
        }
        if let Some(value) = sent {
            // A wrong token is not rescued by a good cookie beside it.
            let (secret, proof) = credentials(value.to_str().ok()?)?;
            let hash = ContentHash::of(secret.as_bytes());
            let principal = self.inner.govern.bearer(&hash)?;
            return Some(Caller { bearer: Some(hash), ..Caller::of(principal, proof) });
        }
        let (key, session) = self.inner.sessions.find(headers)?;
        let principal = self.holder(&session.holder)?;
        Some(Caller::of(principal, Proof::Session { key, csrf: session.csrf }))
    }

    /// What whoever a session belongs to may do now; `None`: it is over.
    fn holder(&self, holder: &Holder) -> Option<Principal> {
        match holder {
            Holder::Token(hash) => self.inner.govern.bearer(hash),
            Holder::Person(person, claimed) => {
                if !self.inner.govern.knows(person) {
                    return None;
                }
                let mut principal = self.inner.govern.person(person);
                principal.teams.extend(claimed.iter().cloned());
                Some(principal)
            }
        }
    }

    /// What a caller may do now; `None`: their token or session is over.
    pub(crate) fn still(&self, caller: &Caller) -> Option<Principal> {
        match (&caller.proof, &caller.bearer) {
            (_, Some(hash)) => self.inner.govern.bearer(hash),
            (Proof::Session { key, .. }, None) => {
                self.holder(&self.inner.sessions.peek(key)?.holder)
            }
            _ => self.is_open().then(|| caller.principal()),
        }
    }

    /// Resolves once the caller's token or session is over, or `allowed` says
    /// no: for streams, which no guard looks at again.
    pub(crate) async fn until(
        &self,
        caller: &Caller,
        allowed: impl Fn(&Registry, &Principal) -> bool + Send,
    ) {
        let (mut registry, mut sessions) = (self.inner.govern.watch(), self.inner.sessions.watch());
        loop {
            registry.mark_unchanged();
            sessions.mark_unchanged();
            let current = self.inner.govern.registry();
            let may = self.still(caller).is_some_and(|principal| allowed(&current, &principal));
            if !may {
                return;
            }
            tokio::select! {
                changed = registry.changed() => if changed.is_err() { return },
                changed = sessions.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(self.next_look(&current, caller)) => {}
            }
        }
    }

    /// Until the token ends by itself, or the next regular look.
    fn next_look(&self, registry: &Registry, caller: &Caller) -> Duration {
        let end = caller.bearer.and_then(|hash| registry.expires(&hash));
        let left = end.map(|end| end.duration_since(clock::now()).unsigned_abs());
        left.map_or(LOOK, |left| left.saturating_add(Duration::from_millis(1)).min(LOOK))
    }

    /// Trades a token, sent from `address`, for a session; gives the
    /// `Set-Cookie` value.
    pub(crate) fn log_in(&self, secret: &str, address: Option<IpAddr>) -> Result<String, Fault> {
        let attempts = &self.inner.attempts;
        if let Some(left) = attempts.wait(address) {
            return Err(Fault::too_many_logins(left));
        }
        let hash = ContentHash::of(secret.trim().as_bytes());
        let principal = self.inner.govern.bearer(&hash).filter(|known| known.role != Role::Node);
        let Some(principal) = principal else {
            attempts.failed(address);
            return Err(Fault::bad_token());
        };
        attempts.succeeded(address);
        tracing::info!(token = principal.name, "logged in");
        self.begin(Holder::Token(hash))
    }

    /// Begins the session of a person whom an identity provider vouched for,
    /// as one of these teams; gives the `Set-Cookie` value.
    pub(crate) fn log_in_person(
        &self,
        person: Person,
        teams: BTreeSet<String>,
    ) -> Result<String, Fault> {
        tracing::info!(%person, "logged in");
        self.begin(Holder::Person(person, teams))
    }

    /// Each login is a session of its own, under an id that was never seen.
    fn begin(&self, holder: Holder) -> Result<String, Fault> {
        let (id, csrf) = random_hex().and_then(|id| Ok((id, random_hex()?)))?;
        self.inner.sessions.insert(&id, Session { holder, csrf });
        Ok(self.inner.sessions.cookie(&id))
    }

    /// Ends the session that `headers` carry, if any: whoever logs in again
    /// does not leave the old one behind.
    pub(crate) fn end_old(&self, headers: &HeaderMap) {
        if let Some((key, _)) = self.inner.sessions.find(headers) {
            self.inner.sessions.remove(&key);
        }
    }

    /// Ends the caller's session; gives the `Set-Cookie` value.
    pub(crate) fn log_out(&self, caller: &Caller) -> String {
        if let Proof::Session { key, .. } = &caller.proof {
            self.inner.sessions.remove(key);
        }
        self.inner.sessions.expired_cookie()
    }

    /// The sessions of whoever calls.
    pub(crate) fn sessions(&self, caller: &Caller) -> Vec<SessionCard> {
        let mine = |holder: &Holder| self.holder(holder).is_some_and(|one| caller.is(&one));
        self.inner.sessions.cards(mine)
    }

    /// Ends one of the caller's sessions; whether it was there.
    pub(crate) fn end_session(&self, caller: &Caller, id: &str) -> bool {
        let card = self.sessions(caller).into_iter().find(|card| card.id == id);
        card.is_some_and(|card| {
            self.inner.sessions.remove(&card.key);
            true
        })
    }
}

/// 256 random bits as 64 hex digits.
pub(crate) fn random_hex() -> Result<String, AuthError> {
    let mut bytes = [0; 32];
    let provider = rustls::crypto::ring::default_provider();
    provider.secure_random.fill(&mut bytes).map_err(|_| AuthError)?;
    Ok(ContentHash(bytes).to_string())
}

/// The secret within an `Authorization` header.
fn credentials(value: &str) -> Option<(String, Proof)> {
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some((rest.trim().to_owned(), Proof::Bearer));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    let (_, password) = pair.split_once(':')?;
    Some((password.to_owned(), Proof::Basic))
}

fn dev_person(headers: &HeaderMap) -> Option<Person> {
    let named = headers.get(PERSON_HEADER).and_then(|value| value.to_str().ok());
    Person::new(named.unwrap_or(DEV_PERSON)).ok()
}

#[cfg(test)]
mod tests;
