//! Who calls: tokens of the configuration, and the sessions made from them.
//!
//! A token is known by its SHA-256 only. It comes as `Authorization: Bearer`
//! or, once, through the login form, which trades it for a session. What a
//! caller may do is the role; whom the record names is the person.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use subtle::ConstantTimeEq as _;

use super::Site;
use super::attempts::Attempts;
use super::error::Fault;
use super::session::{Session, Sessions};
use crate::access::{Principal, Reach, Right};
use crate::config::Role;
use crate::model::{Actor, ContentHash, FilePath, Origin, Person, RepoName, Via};

/// The person of open development mode, where the request names nobody else.
pub(crate) const DEV_PERSON: &str = "dev";
/// Names the person in open development mode.
const PERSON_HEADER: &str = "x-convoy-person";
/// Set to `cli` by our own command line, for the record.
const CLIENT_HEADER: &str = "x-convoy-client";

/// One token of the configuration.
#[derive(Debug, Clone)]
pub struct Token {
    /// What it is called, for logs and error texts.
    pub name: String,
    /// Whose it is; `None` for a robot, which can't promote or approve.
    pub person: Option<Person>,
    /// The SHA-256 of the secret.
    pub hash: ContentHash,
    /// What it may do.
    pub role: Role,
}

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
    tokens: Vec<Token>,
    sessions: Sessions,
    attempts: Attempts,
    /// Only in open development mode: what forms carry in place of a
    /// session's token.
    open: Option<String>,
}

/// Who calls, and how we know.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) name: String,
    pub(crate) person: Option<Person>,
    pub(crate) role: Role,
    pub(crate) proof: Proof,
}

/// How we know.
#[derive(Debug, Clone)]
pub(crate) enum Proof {
    /// A token with the request.
    Bearer,
    /// A session's cookie.
    Session { key: ContentHash, csrf: String },
    /// We don't: open development mode.
    Open { csrf: String },
}

impl Auth {
    /// Knows `tokens`. With `insecure_dev` and no token at all, everybody is
    /// an administrator. `secure_cookie` says that people come over https.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn new(
        tokens: Vec<Token>,
        insecure_dev: bool,
        secure_cookie: bool,
    ) -> Result<Self, AuthError> {
        let open = if insecure_dev && tokens.is_empty() { Some(random_hex()?) } else { None };
        let sessions = Sessions::new(secure_cookie);
        let attempts = Attempts::default();
        Ok(Self { inner: Arc::new(Inner { tokens, sessions, attempts, open }) })
    }

    /// Whether everybody is an administrator.
    pub fn is_open(&self) -> bool {
        self.inner.open.is_some()
    }

    /// The token whose secret is `secret`. Looks at every token, so that the
    /// time taken tells nothing.
    pub fn token(&self, secret: &str) -> Option<&Token> {
        let hash = ContentHash::of(secret.as_bytes());
        let same = |token: &Token| bool::from(token.hash.0.ct_eq(&hash.0));
        let tokens = self.inner.tokens.iter();
        tokens.fold(None, |found, token| if same(token) { Some(token) } else { found })
    }

    pub(crate) fn identify(&self, headers: &HeaderMap) -> Option<Caller> {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            // A wrong token is not rescued by a good cookie beside it.
            let token = self.token(bearer(value.to_str().ok()?)?)?;
            return Some(Caller::of(token, Proof::Bearer));
        }
        if let Some(csrf) = &self.inner.open {
            return Some(Caller {
                name: DEV_PERSON.into(),
                person: dev_person(headers),
                role: Role::Admin,
                proof: Proof::Open { csrf: csrf.clone() },
            });
        }
        let (key, session) = self.inner.sessions.find(headers)?;
        let token = self.inner.tokens.iter().find(|token| token.name == session.token)?;
        Some(Caller::of(token, Proof::Session { key, csrf: session.csrf }))
    }

    /// Trades a token, sent from `address`, for a session; gives the
    /// `Set-Cookie` value.
    pub(crate) fn log_in(&self, secret: &str, address: Option<IpAddr>) -> Result<String, Fault> {
        let attempts = &self.inner.attempts;
        if let Some(left) = attempts.wait(address) {
            return Err(Fault::too_many_logins(left));
        }
        let token = self.token(secret.trim()).filter(|token| token.role.covers(Role::Reader));
        let Some(token) = token else {
            attempts.failed(address);
            return Err(Fault::bad_token());
        };
        attempts.succeeded(address);
        let (id, csrf) = random_hex().and_then(|id| Ok((id, random_hex()?)))?;
        self.inner.sessions.insert(&id, Session { token: token.name.clone(), csrf });
        tracing::info!(token = token.name, "logged in");
        Ok(self.inner.sessions.cookie(&id))
    }

    /// Ends the caller's session; gives the `Set-Cookie` value.
    pub(crate) fn log_out(&self, caller: &Caller) -> String {
        if let Proof::Session { key, .. } = &caller.proof {
            self.inner.sessions.remove(key);
        }
        self.inner.sessions.expired_cookie()
    }
}

impl Caller {
    fn of(token: &Token, proof: Proof) -> Self {
        let Token { name, person, role, .. } = token.clone();
        Self { name, person, role, proof }
    }

    /// The caller, as far as rights go.
    pub(crate) fn principal(&self) -> Principal {
        Principal {
            name: self.name.clone(),
            person: self.person.clone(),
            token: None,
            teams: BTreeSet::new(),
            role: self.role,
        }
    }

    /// Whether the caller has a right on a path, or with `None` on the whole
    /// repository, that is there.
    pub(crate) fn may(
        &self,
        site: &Site,
        right: Right,
        repo: &RepoName,
        path: Option<&FilePath>,
    ) -> Result<(), Fault> {
        let registry = site.web.govern.registry();
        let checked = registry.policy.check(&self.principal(), right, repo, path);
        checked.map_err(|missing| {
            Fault::forbidden(missing.to_string(), "ask an owner of the project to grant it")
        })
    }

    /// How far a right of the caller's reaches in a repository.
    pub(crate) fn reach(&self, site: &Site, right: Right, repo: &RepoName) -> Reach {
        site.web.govern.registry().policy.reach(&self.principal(), right, repo)
    }

    /// The caller as the record names them.
    pub(crate) fn origin(&self, headers: &HeaderMap) -> Origin {
        let via = match (&self.proof, headers.get(CLIENT_HEADER).map(|value| value.as_bytes())) {
            (Proof::Session { .. }, _) => Via::Web,
            (_, Some(b"cli")) => Via::Cli,
            _ => Via::Api,
        };
        let request = headers.get("x-request-id").and_then(|value| value.to_str().ok());
        Origin {
            actor: Actor { person: self.person.clone(), via },
            name: self.name.clone(),
            request: request.map(str::to_owned),
        }
    }

    /// What forms must carry; empty for callers that send none.
    pub(crate) fn csrf(&self) -> &str {
        match &self.proof {
            Proof::Bearer => "",
            Proof::Session { csrf, .. } | Proof::Open { csrf } => csrf,
        }
    }

    /// Whom the record names, for requests of the API.
    pub(crate) fn actor(&self, headers: &HeaderMap) -> Result<Actor, Fault> {
        let via = match (&self.proof, headers.get(CLIENT_HEADER).map(|value| value.as_bytes())) {
            (Proof::Session { .. }, _) => Via::Web,
            (_, Some(b"cli")) => Via::Cli,
            _ => Via::Api,
        };
        let person = self.person.clone().ok_or_else(|| Fault::no_person(&self.name))?;
        Ok(Actor::person(person, via))
    }

    /// Whom the record names, for the console's forms. `chosen` counts in
    /// open development mode only.
    pub(crate) fn actor_of_form(&self, chosen: Option<&str>) -> Result<Actor, Fault> {
        let chosen = chosen.map(str::trim).filter(|name| !name.is_empty());
        let person = match (&self.proof, chosen) {
            (Proof::Open { .. }, Some(name)) => Some(Person::new(name)?),
            _ => self.person.clone(),
        };
        let person = person.ok_or_else(|| Fault::no_person(&self.name))?;
        Ok(Actor::person(person, Via::Web))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Fault::unauthenticated)
    }
}

/// 256 random bits as 64 hex digits.
pub(crate) fn random_hex() -> Result<String, AuthError> {
    let mut bytes = [0; 32];
    let provider = rustls::crypto::ring::default_provider();
    provider.secure_random.fill(&mut bytes).map_err(|_| AuthError)?;
    Ok(ContentHash(bytes).to_string())
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

fn dev_person(headers: &HeaderMap) -> Option<Person> {
    let named = headers.get(PERSON_HEADER).and_then(|value| value.to_str().ok());
    Person::new(named.unwrap_or(DEV_PERSON)).ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn auth() -> Auth {
        let token = |name: &str, role| Token {
            name: name.into(),
            person: Person::new(name).ok(),
            hash: ContentHash::of(format!("secret-{name}").as_bytes()),
            role,
        };
        let tokens = vec![token("ann", Role::Operator), token("envoy", Role::Node)];
        Auth::new(tokens, false, true).expect("random numbers")
    }

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(
            header::HeaderName::from_static(name),
            HeaderValue::from_str(value).expect("a header value"),
        )])
    }

    #[test]
    fn a_bearer_token_names_its_caller() {
        let caller = auth().identify(&headers("authorization", "bearer secret-ann"));
        assert_eq!(caller.map(|c| (c.name, c.role)), Some(("ann".into(), Role::Operator)));
        for wrong in ["Bearer secret-bob", "Basic secret-ann", "secret-ann", "Bearer "] {
            assert!(auth().identify(&headers("authorization", wrong)).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_session_lasts_until_logout() {
        let auth = auth();
        let cookie = auth.log_in("secret-ann", None).expect("a session");
        assert!(cookie.starts_with("__Host-convoy="), "{cookie}");
        for part in ["; HttpOnly", "; SameSite=Strict", "; Secure", "; Path=/"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        let sent = headers("cookie", cookie.split(';').next().expect("a pair"));
        let caller = auth.identify(&sent).expect("the caller");
        assert_eq!(caller.csrf().len(), 64);
        auth.log_out(&caller);
        assert!(auth.identify(&sent).is_none());
    }

    #[test]
    fn each_login_is_a_new_session() {
        let auth = auth();
        assert_ne!(auth.log_in("secret-ann", None).ok(), auth.log_in("secret-ann", None).ok());
    }

    #[test]
    fn a_node_cannot_log_in() {
        assert!(auth().log_in("secret-envoy", None).is_err());
        assert!(auth().log_in("", None).is_err());
    }

    #[test]
    fn a_wrong_token_is_not_rescued_by_a_cookie() {
        let auth = auth();
        let cookie = auth.log_in("secret-ann", None).expect("a session");
        let mut sent = headers("cookie", cookie.split(';').next().expect("a pair"));
        sent.extend(headers("authorization", "Bearer nonsense"));
        assert!(auth.identify(&sent).is_none());
    }

    #[test]
    fn tokens_close_development_mode() {
        let open = Auth::new(Vec::new(), true, false).expect("random numbers");
        let caller = open.identify(&headers("x-convoy-person", "bea")).expect("anybody");
        assert_eq!((caller.person, caller.role), (Person::new("bea").ok(), Role::Admin));
        let tokens = auth().inner.tokens.clone();
        let closed = Auth::new(tokens, true, false).expect("random numbers");
        assert!(!closed.is_open() && closed.identify(&HeaderMap::new()).is_none());
    }

    #[test]
    fn only_development_mode_lets_a_form_choose_the_person() {
        let open = Auth::new(Vec::new(), true, false).expect("random numbers");
        let caller = open.identify(&HeaderMap::new()).expect("anybody");
        let actor = caller.actor_of_form(Some("bea")).expect("a person");
        assert_eq!(actor.person, Person::new("bea").ok());
        let ann = auth().identify(&headers("authorization", "Bearer secret-ann")).expect("ann");
        let actor = ann.actor_of_form(Some("bea")).expect("a person");
        assert_eq!(actor.person, Person::new("ann").ok());
    }
}
