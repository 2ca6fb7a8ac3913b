//! Logging people in by an identity provider (OpenID Connect): authorization
//! code with PKCE. What binds the answer to the browser that asked (state,
//! nonce, verifier) lies in a short-lived cookie of that browser alone.
//!
//! ```text
//! GET /login/oidc ─▶ provider (state, nonce, challenge) ─▶ GET /login/oidc/callback
//!                                                             │ code + verifier
//!                              session ◀─ person ◀─ id token ◀┘ verified
//! ```
//!
//! Not here: who the person is to us (`govern`), the session (`auth`), the
//! pages (`console::login`). What the provider says is looked up when it is
//! needed first: its being down stops logins, not Convoy.

mod provider;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::auth::Auth;
use super::error::Fault;
use super::extract::safe_next;
use super::session::cookie_value;
use crate::access::Subject;
use crate::config::{OidcConfig, Role};
use crate::govern::{GovernError, PersonDocument, Stamp};
use crate::model::{Actor, Origin, Person, Secret, Via};
use crate::telemetry::{chain, clock};

pub(crate) use provider::Claims;
use provider::Provider;
pub use provider::ProviderError;

/// How long somebody may take at the provider, in seconds.
const LOGIN_MAX_S: u64 = 600;
/// Longer values are none of ours.
const PARAMETER_BYTES_MAX: usize = 4096;
/// Teams that a provider may claim for one person.
const TEAMS_MAX: usize = 200;

/// The identity provider, and who we are to it; cheap to clone.
#[derive(Debug, Clone)]
pub struct Oidc {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    provider: Provider,
    label: String,
    person_claim: String,
    teams_claim: Option<String>,
    secure: bool,
}

/// What the browser keeps until it comes back.
#[derive(Debug, Serialize, Deserialize)]
struct Begun {
    state: String,
    nonce: String,
    verifier: String,
    next: String,
    /// Seconds since 1970.
    at: i64,
}

/// What the provider sends back.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Answer {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

/// Somebody who logged in.
pub(crate) struct LoggedIn {
    /// The session's `Set-Cookie` value.
    pub(crate) cookie: String,
    /// Where they wanted to go.
    pub(crate) next: String,
}

impl Oidc {
    /// Makes the client; nothing is asked of the provider yet.
    ///
    /// # Errors
    /// The certificates can't be read, or an address is none.
    pub fn new(config: &OidcConfig, secret: Secret, base_url: &str) -> Result<Self, ProviderError> {
        let inner = Inner {
            provider: Provider::new(config, secret, &format!("{base_url}/login/oidc/callback"))?,
            label: config.name.clone(),
            person_claim: config.person_claim.clone(),
            teams_claim: config.teams_claim.clone(),
            secure: base_url.starts_with("https://"),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What people call the provider.
    pub(crate) fn label(&self) -> &str {
        &self.inner.label
    }

    /// Begins a login: where to send the browser, and the cookie it keeps.
    pub(crate) async fn begin(&self, next: &str) -> Result<(String, String), Fault> {
        let begun = self.inner.provider.begin().await;
        let (url, begun) = begun.map_err(|error| unavailable(&error))?;
        let kept = Begun {
            state: begun.state,
            nonce: begun.nonce,
            verifier: begun.verifier,
            next: safe_next(next).to_owned(),
            at: clock::now().as_second(),
        };
        let text = serde_json::to_string(&kept).map_err(|error| Fault::internal(&error))?;
        Ok((url, self.cookie(&URL_SAFE_NO_PAD.encode(text), LOGIN_MAX_S)))
    }

    /// Takes the provider's answer, and logs whoever it names in.
    pub(crate) async fn finish(
        &self,
        auth: &Auth,
        headers: &HeaderMap,
        answer: Answer,
    ) -> Result<LoggedIn, Fault> {
        let begun = self.begun(headers)?;
        let state = answer.state.as_deref().unwrap_or("");
        if !bool::from(state.as_bytes().ct_eq(begun.state.as_bytes())) {
            return Err(another());
        }
        if answer.iss.as_deref().is_some_and(|issuer| issuer != self.inner.provider.issuer()) {
            return Err(Fault::not_logged_in("the answer is from another identity provider"));
        }
        let code = match (&answer.error, answer.code) {
            (None, Some(code)) if code.len() <= PARAMETER_BYTES_MAX => code,
            (Some(error), _) => return Err(Fault::not_logged_in(refusal(error))),
            _ => return Err(Fault::not_logged_in("the identity provider sent no code")),
        };
        let claims = self.inner.provider.finish(code, begun.nonce, begun.verifier).await;
        let claims = claims.map_err(|error| match error.is_transient() {
            true => unavailable(&error),
            false => {
                tracing::warn!(error = %chain(&error), "a login was refused");
                Fault::not_logged_in("what the identity provider sent can't be trusted")
            }
        })?;
        let person = self.person(auth, &claims).await?;
        auth.end_old(headers);
        let cookie = auth.log_in_person(person, self.teams(&claims))?;
        Ok(LoggedIn { cookie, next: safe_next(&begun.next).to_owned() })
    }

    /// The `Set-Cookie` value that takes the login's cookie back.
    pub(crate) fn forget(&self) -> String {
        self.cookie("", 0)
    }

    fn begun(&self, headers: &HeaderMap) -> Result<Begun, Fault> {
        let value = cookie_value(headers, self.cookie_name()).ok_or_else(another)?;
        let bytes = URL_SAFE_NO_PAD.decode(value).map_err(|_| another())?;
        let begun: Begun = serde_json::from_slice(&bytes).map_err(|_| another())?;
        let age = clock::now().as_second().saturating_sub(begun.at);
        let fresh = u64::try_from(age).is_ok_and(|age| age <= LOGIN_MAX_S);
        if fresh { Ok(begun) } else { Err(another()) }
    }

    /// Lax, since the browser comes back from another site.
    fn cookie(&self, value: &str, max_age_s: u64) -> String {
        let secure = if self.inner.secure { "; Secure" } else { "" };
        let name = self.cookie_name();
        format!("{name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{secure}")
    }

    fn cookie_name(&self) -> &'static str {
        if self.inner.secure { "__Host-convoy-login" } else { "convoy-login" }
    }

    /// Who it is to us: the claim that names people, else a mail address that
    /// the provider verified and that somebody is known by. Whoever comes for
    /// the first time gets a document, and may do what is granted to them.
    async fn person(&self, auth: &Auth, claims: &Claims) -> Result<Person, Fault> {
        let govern = auth.govern();
        let mail = claims.verified_mail();
        let named = claims.text(&self.inner.person_claim).and_then(|name| Person::new(name).ok());
        let known = || mail.and_then(|mail| govern.person_by_mail(mail));
        let Some(person) = named.or_else(known) else {
            let claim = &self.inner.person_claim;
            return Err(Fault::not_logged_in(format!(
                "the identity provider names nobody that Convoy knows: its `{claim}` is no \
                 person's name, and its mail address is nobody's"
            )));
        };
        if govern.knows(&person) {
            return Ok(person);
        }
        let free = mail.filter(|mail| govern.person_by_mail(mail).is_none());
        let document = PersonDocument {
            name: person.clone(),
            emails: free.map(str::to_lowercase).into_iter().collect(),
            role: Role::Guest,
            created: Stamp { by: person.to_string(), at: clock::now() },
        };
        let by = Origin::of(&Actor::person(person.clone(), Via::Web));
        match govern.put_person(&by, document.clone()).await {
            // An address that is none of ours to keep.
            Err(GovernError::Invalid(_)) => {
                let document = PersonDocument { emails: BTreeSet::new(), ..document };
                govern.put_person(&by, document).await?;
            }
            other => other?,
        }
        Ok(person)
    }

    /// The teams that the provider claims, of those that could be ours.
    fn teams(&self, claims: &Claims) -> BTreeSet<String> {
        let Some(claim) = &self.inner.teams_claim else { return BTreeSet::new() };
        let is_name = |team: &String| Subject::try_from(format!("team:{team}")).is_ok();
        claims.list(claim).into_iter().filter(is_name).take(TEAMS_MAX).collect()
    }
}

fn another() -> Fault {
    Fault::not_logged_in("this login was not begun in this browser, or took too long")
}

fn unavailable(error: &ProviderError) -> Fault {
    tracing::warn!(error = %chain(error), "the identity provider can't be asked");
    Fault::busy("the identity provider does not answer")
}

/// The provider's own words are not shown: anybody could put them there.
fn refusal(error: &str) -> &'static str {
    match error {
        "access_denied" => "the identity provider says that you may not, or you declined",
        "login_required" | "interaction_required" | "consent_required" => {
            "the identity provider wants you to log in to it first"
        }
        "temporarily_unavailable" | "server_error" => "the identity provider has a problem",
        _ => "the identity provider refused the login",
    }
}
