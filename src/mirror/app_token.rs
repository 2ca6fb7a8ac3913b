//! Tokens of a GitHub App: a JSON web token signed with the App's key buys a
//! token of its installation, which is kept until shortly before its end.
//!
//! The signature (RS256) is made by the crypto provider that TLS uses; no
//! cryptography is written here. See GitHub's "Generating an installation
//! access token".

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use rustls::SignatureScheme;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;

use super::{Allow, MirrorError, detail, url};
use crate::model::{ContentHash, Secret};
use crate::telemetry::clock;

/// GitHub takes no longer than ten minutes; its clock may be behind or ahead.
const BACKDATED: SignedDuration = SignedDuration::from_secs(60);
const VALID: SignedDuration = SignedDuration::from_secs(9 * 60);
/// A token is renewed while a fetch with it can still end in time.
const RENEWED_BEFORE: SignedDuration = SignedDuration::from_secs(5 * 60);
/// From connecting to the last byte.
const CALL_MAX: Duration = Duration::from_secs(30);
/// An answer is a few hundred bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// A GitHub App, installed somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// The App's id, or its client id.
    pub id: String,
    /// The installation's number.
    pub installation: String,
    /// `https://api.github.com`, or `https://HOST/api/v3`.
    pub api_url: String,
    /// Its private key (PEM).
    pub key: Secret,
    /// What the tokens are cut to; `None`: everything that the installation
    /// may do.
    pub scope: Option<AppScope>,
}

/// Less than an installation may do: one repository, some permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppScope {
    /// The repository's name, without its owner.
    pub repository: String,
    /// Each permission with `read` or `write`.
    pub permissions: Vec<(&'static str, &'static str)>,
}

impl AppScope {
    fn body(&self) -> String {
        let permissions: serde_json::Map<_, _> =
            self.permissions.iter().map(|(name, what)| ((*name).into(), (*what).into())).collect();
        let repositories = [&self.repository];
        serde_json::json!({ "repositories": repositories, "permissions": permissions }).to_string()
    }
}

/// The tokens that are valid; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct AppTokens {
    kept: Arc<Mutex<HashMap<ContentHash, Kept>>>,
}

#[derive(Debug, Clone)]
struct Kept {
    token: Secret,
    expires: Timestamp,
}

#[derive(Deserialize)]
struct Issued {
    token: String,
    expires_at: Timestamp,
}

impl AppTokens {
    /// A valid token of an App's installation.
    ///
    /// # Errors
    /// The key is none, the API is not allowed or does not answer, or it
    /// refuses the App.
    pub async fn token(
        &self,
        app: &App,
        allow: &Allow,
        ca_file: Option<&Path>,
    ) -> Result<Secret, MirrorError> {
        let (key, now) = (app.hash(), clock::now());
        if let Some(kept) = self.find(&key).filter(|kept| kept.expires > now + RENEWED_BEFORE) {
            return Ok(kept.token);
        }
        let issued = ask(app, allow, ca_file, now).await?;
        let token = Secret::new(&issued.token);
        let kept = Kept { token: token.clone(), expires: issued.expires_at };
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, kept| kept.expires > now);
        all.insert(key, kept);
        Ok(token)
    }

    /// Forgets a token that was refused.
    pub fn forget(&self, app: &App) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(&app.hash());
    }

    fn find(&self, key: &ContentHash) -> Option<Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }
}

impl App {
    fn hash(&self) -> ContentHash {
        let parts = [&self.id, &self.installation, &self.api_url].map(|part| part.as_bytes());
        let scope = self.scope.as_ref().map(AppScope::body).unwrap_or_default();
        let own = [self.key.expose().as_bytes(), scope.as_bytes()];
        ContentHash::of_parts(parts.into_iter().chain(own))
    }

    /// What a token is asked for, for people.
    fn asked(&self) -> String {
        let scope = self.scope.iter().flat_map(|scope| &scope.permissions);
        let words: Vec<_> = scope.map(|(name, what)| format!("{name}: {what}")).collect();
        if words.is_empty() { "everything it has".into() } else { words.join(", ") }
    }

    /// Checks what goes into the API's address.
    fn call(&self) -> Result<String, MirrorError> {
        let api = self.api_url.trim_end_matches('/');
        let address = format!("{api}/app/installations/{}/access_tokens", self.installation);
        let parts = url::Parts::parse(&address)?;
        if !matches!(parts.scheme, "https" | "http") {
            return parts.refuse("a GitHub API is reached by https://");
        }
        let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !number(&self.installation) {
            return parts.refuse("an installation's id is a number");
        }
        Ok(address)
    }

    /// The web token that proves the App, valid for some minutes.
    fn proof(&self, now: Timestamp) -> Result<String, MirrorError> {
        let claims = serde_json::json!({
            "iat": (now - BACKDATED).as_second(),
            "exp": (now + VALID).as_second(),
            "iss": self.id,
        });
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let head = encode(r#"{"alg":"RS256","typ":"JWT"}"#);
        let signed = format!("{head}.{}", encode(&claims.to_string()));
        let signature = self.sign(signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, MirrorError> {
        // What the parser says may repeat some of the key.
        let no_key = || {
            let what = format!("the private key of GitHub App `{}` can't be used", self.id);
            MirrorError::failed(what, "it must be an RSA key in PEM form, as GitHub gives it out")
        };
        let der = PrivateKeyDer::from_pem_slice(self.key.expose().as_bytes());
        let key = rustls::crypto::ring::sign::any_supported_type(&der.map_err(|_| no_key())?);
        let signer = key.map_err(|_| no_key())?.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]);
        signer.and_then(|signer| signer.sign(message).ok()).ok_or_else(no_key)
    }
}

async fn ask(
    app: &App,
    allow: &Allow,
    ca_file: Option<&Path>,
    now: Timestamp,
) -> Result<Issued, MirrorError> {
    let address = app.call()?;
    let client = client(&address, allow, ca_file).await?;
    let proof = app.proof(now)?;
    let unreachable = |detail: &str| MirrorError::Unreachable {
        url: address.clone(),
        detail: detail::clean(&detail.replace(&proof, "…"), None),
    };
    let broken = |error: reqwest::Error| unreachable(&crate::telemetry::chain(&error));
    let request = client
        .post(&address)
        .bearer_auth(&proof)
        .header("accept", "application/vnd.github+json")
        .header("x-github-api-version", "2022-11-28");
    let request = match &app.scope {
        Some(scope) => request.header("content-type", "application/json").body(scope.body()),
        None => request.header("content-length", "0"),
    };
    let mut answer = request.send().await.map_err(broken)?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(broken)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(unreachable("its answer is far too long for a token"));
        }
    }
    match answer.status().as_u16() {
        201 => serde_json::from_slice(&body)
            .map_err(|_| unreachable("its answer holds no token; is it GitHub's API?")),
        401 | 403 | 404 => Err(MirrorError::Unauthorized { url: address.clone() }),
        422 => Err(MirrorError::failed(
            format!("{address} gives no token for what is to be written"),
            format!("the installation has no right to it; grant it: {}", app.asked()),
        )),
        status => Err(unreachable(&format!("it answered {status}"))),
    }
}

async fn client(
    address: &str,
    allow: &Allow,
    ca_file: Option<&Path>,
) -> Result<reqwest::Client, MirrorError> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: Box<dyn std::error::Error + Send + Sync>| MirrorError::failed(what, error)
    };
    let pin = allow.pin(address).await?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut client = reqwest::Client::builder()
        .timeout(CALL_MAX)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("convoy/", env!("CARGO_PKG_VERSION")));
    if let Some(file) = ca_file {
        let unread = failed("the mirrors' certificates could not be read");
        let pem = std::fs::read(file).map_err(|error| unread.clone()(error.into()))?;
        let read = reqwest::Certificate::from_pem_bundle(&pem);
        client = client.tls_certs_merge(read.map_err(|error| unread(error.into()))?);
    }
    if url::is_loopback(address) {
        client = client.no_proxy();
    }
    if let Some(((host, _), ip)) = url::authority(address).zip(pin) {
        client = client.resolve(host, std::net::SocketAddr::new(ip, 0));
    }
    client.build().map_err(|error| failed("no HTTP client could be made")(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(key: &str) -> App {
        App {
            id: "17".into(),
            installation: "42".into(),
            api_url: "https://api.github.com/".into(),
            key: Secret::new(key),
            scope: None,
        }
    }

    #[test]
    fn a_token_is_cut_to_one_repository_and_some_permissions() {
        let permissions = vec![("statuses", "write"), ("metadata", "read")];
        let scope = AppScope { repository: "mesh".into(), permissions };
        let expected =
            r#"{"repositories":["mesh"],"permissions":{"statuses":"write","metadata":"read"}}"#;
        assert_eq!(scope.body(), expected);
        let cut = App { scope: Some(scope), ..app("") };
        assert_ne!(cut.hash(), app("").hash());
    }

    #[test]
    fn the_address_is_the_installations_and_nothing_elses() {
        let address = app("").call().unwrap();
        assert_eq!(address, "https://api.github.com/app/installations/42/access_tokens");
        for installation in ["", "4/../5", "42?x", "-1", "a"] {
            let sly = App { installation: installation.into(), ..app("") };
            assert!(sly.call().is_err(), "{installation:?}");
        }
        for api_url in ["ssh://host", "file:///x", "http://10.0.0.1", "https://u:p@host"] {
            assert!(App { api_url: api_url.into(), ..app("") }.call().is_err(), "{api_url}");
        }
    }

    #[test]
    fn a_key_that_is_none_is_refused_without_repeating_it() {
        let key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----";
        for key in ["canary", key] {
            let error = app(key).proof(clock::now()).expect_err("no key");
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("RSA") && !shown.contains("canary"), "{shown}");
        }
    }
}
