//! The identity provider as a server: what it says of itself, and trading a
//! code for claims that its signature vouches for.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::SignedDuration;
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreJwsSigningAlgorithm, CoreProviderMetadata,
    CoreTokenResponse,
};
use openidconnect::{
    AsyncHttpClient, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IssuerUrl, Nonce, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, Scope, TokenResponse as _,
};
use serde_json::Value;
use tokio::time::Instant;

use crate::config::OidcConfig;
use crate::model::Secret;
use crate::telemetry::clock;

/// One request to the provider.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What one answer of the provider may hold.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// What the provider says of itself is asked anew after so long.
const METADATA_MAX: Duration = Duration::from_secs(3600);
/// How far its clock may be from ours.
const SKEW: SignedDuration = SignedDuration::from_secs(60);
/// How old an id token may be that was just asked for.
const TOKEN_AGE_MAX: SignedDuration = SignedDuration::from_secs(600);

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Why the provider could not be asked, or is not believed.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The configuration can't be used.
    #[error("auth.oidc: {0}")]
    Config(String),
    /// It does not answer, or not as a provider does.
    #[error("the identity provider does not answer: {0}")]
    Unavailable(String),
    /// What it sent is wrong.
    #[error("the identity provider's answer is refused: {0}")]
    Refused(String),
}

impl ProviderError {
    /// Whether trying again may help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// A login under way, as the browser keeps it.
pub(super) struct Begun {
    pub(super) state: String,
    pub(super) nonce: String,
    pub(super) verifier: String,
}

#[derive(Debug)]
pub(super) struct Provider {
    http: Http,
    issuer: IssuerUrl,
    id: ClientId,
    secret: Secret,
    scopes: Vec<String>,
    redirect: RedirectUrl,
    known: Mutex<Option<(Instant, Client)>>,
}

/// What a verified id token says.
#[derive(Debug)]
pub(crate) struct Claims(Value);

impl Claims {
    /// A claim that is a text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0[name].as_str()
    }

    /// A claim that is a list of texts.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let items = self.0[name].as_array().into_iter().flatten();
        items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
    }

    /// The mail address, if the provider says that it is theirs.
    pub(crate) fn verified_mail(&self) -> Option<&str> {
        self.text("email").filter(|_| self.0["email_verified"] == true)
    }
}

impl Provider {
    pub(super) fn new(
        config: &OidcConfig,
        secret: Secret,
        redirect: &str,
    ) -> Result<Self, ProviderError> {
        let bad = |error: &dyn std::fmt::Display| ProviderError::Config(error.to_string());
        // What we are led to elsewhere is not the provider.
        let mut http =
            reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
        if let Some(path) = &config.ca_file {
            let pem = std::fs::read(path)
                .map_err(|error| bad(&format!("{}: {error}", path.display())))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem);
            let certificates = certificates.map_err(|error| bad(&error))?;
            http = http.tls_certs_only(certificates);
        }
        Ok(Self {
            http: Http(http.build().map_err(|error| bad(&error))?),
            issuer: IssuerUrl::new(config.issuer.clone()).map_err(|error| bad(&error))?,
            id: ClientId::new(config.client_id.clone()),
            secret,
            scopes: config.scopes.clone(),
            redirect: RedirectUrl::new(redirect.to_owned()).map_err(|error| bad(&error))?,
            known: Mutex::default(),
        })
    }

    pub(super) fn issuer(&self) -> &str {
        self.issuer.as_str()
    }

    /// The address to log in at, and what binds its answer to this login.
    pub(super) async fn begin(&self) -> Result<(String, Begun), ProviderError> {
        let client = self.client(false).await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let scopes = self.scopes.iter().cloned().map(Scope::new);
        let (url, state, nonce) = client
            .authorize_url(flow, CsrfToken::new_random, Nonce::new_random)
            .add_scopes(scopes)
            .set_pkce_challenge(challenge)
            .url();
        let begun = Begun {
            state: state.secret().clone(),
            nonce: nonce.secret().clone(),
            verifier: verifier.secret().clone(),
        };
        Ok((url.to_string(), begun))
    }

    /// Trades the code for what the provider vouches for.
    pub(super) async fn finish(
        &self,
        code: String,
        nonce: String,
        verifier: String,
    ) -> Result<Claims, ProviderError> {
        let client = self.client(false).await?;
        let request = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|error| ProviderError::Unavailable(error.to_string()))?
            .set_pkce_verifier(PkceCodeVerifier::new(verifier));
        let answer = request.request_async(&self.http).await.map_err(|error| match error {
            openidconnect::RequestTokenError::Request(error) => {
                ProviderError::Unavailable(error.to_string())
            }
            error => ProviderError::Refused(error.to_string()),
        })?;
        let nonce = Nonce::new(nonce);
        match verify(&client, &answer, &nonce) {
            // It may have a new key since we asked for its keys.
            Err(_) => verify(&self.client(true).await?, &answer, &nonce),
            claims => claims,
        }
    }

    async fn client(&self, anew: bool) -> Result<Client, ProviderError> {
        if !anew && let Some(client) = self.remembered() {
            return Ok(client);
        }
        let metadata = CoreProviderMetadata::discover_async(self.issuer.clone(), &self.http).await;
        let metadata = metadata
            .map_err(|error| ProviderError::Unavailable(crate::telemetry::chain(&error)))?;
        let secret = ClientSecret::new(self.secret.expose().to_owned());
        let client = CoreClient::from_provider_metadata(metadata, self.id.clone(), Some(secret))
            .set_redirect_uri(self.redirect.clone());
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), client.clone()));
        Ok(client)
    }

    fn remembered(&self) -> Option<Client> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, client) = known.as_ref()?;
        (at.elapsed() < METADATA_MAX).then(|| client.clone())
    }
}

/// Checks the id token: signature by a key of the provider, issuer, audience,
/// nonce, and that it was made just now and has not ended.
fn verify(
    client: &Client,
    answer: &CoreTokenResponse,
    nonce: &Nonce,
) -> Result<Claims, ProviderError> {
    let refuse = |why: String| ProviderError::Refused(why);
    let token = answer.id_token().ok_or_else(|| refuse("there is no id token".into()))?;
    // Only keys that the provider publishes: `none` and HMAC are not among them.
    let algorithms = [
        CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
        CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
        CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
        CoreJwsSigningAlgorithm::RsaSsaPssSha256,
        CoreJwsSigningAlgorithm::EcdsaP256Sha256,
        CoreJwsSigningAlgorithm::EcdsaP384Sha384,
        CoreJwsSigningAlgorithm::EdDsa,
    ];
    let now = clock::now();
    let (early, late) = (SystemTime::from(now - SKEW), SystemTime::from(now + SKEW));
    let oldest = SystemTime::from(now - TOKEN_AGE_MAX);
    let verifier = client
        .id_token_verifier()
        .set_allowed_algs(algorithms)
        .set_time_fn(move || early.into())
        .set_issue_time_verifier_fn(move |issued| {
            let issued = SystemTime::from(issued);
            let ok = (oldest..=late).contains(&issued);
            if ok { Ok(()) } else { Err("it was not made just now".into()) }
        });
    token.claims(&verifier, nonce).map_err(|error| refuse(error.to_string()))?;
    // Verified above; read again for the claims that no standard names.
    let text = token.to_string();
    let payload = text.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims = payload.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    claims.map(Claims).ok_or_else(|| refuse("its claims can't be read".into()))
}

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct HttpError(String);

/// Our client, as `openidconnect` asks for one.
#[derive(Debug)]
struct Http(reqwest::Client);

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(send(self.0.clone(), request))
    }
}

async fn send(http: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, HttpError> {
    let failed = |error: reqwest::Error| HttpError(crate::telemetry::chain(&error));
    let request = reqwest::Request::try_from(request).map_err(failed)?;
    let mut answer = http.execute(request).await.map_err(failed)?;
    let mut filled = http::Response::builder().status(answer.status());
    if let Some(headers) = filled.headers_mut() {
        *headers = answer.headers().clone();
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(HttpError("the answer is too long".into()));
        }
        body.extend_from_slice(&chunk);
    }
    filled.body(body).map_err(|error| HttpError(error.to_string()))
}
