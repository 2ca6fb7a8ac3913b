//! The calls: who we are, how long one may take, what an answer means.
//!
//! Every body is bounded, no redirect is followed (it would carry the token
//! to a host that nobody agreed to), and a token stands in no error. A `GET`
//! whose answer GitHub still has is asked for by its ETag, which costs none of
//! the quota. Nothing is tried again here but a token that was refused: when
//! to try again is `hosting`'s.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::credential::Credential;
use super::limit::{Pace, Said};
use super::{HostError, text};
use crate::model::Secret;
use crate::telemetry::{chain, clock};

/// From connecting to the last byte.
const CALL_MAX: Duration = Duration::from_secs(30);
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// A page of a hundred long comments is below this.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Answers that are kept for their ETag, and how long each may be.
const KEPT_MAX: usize = 128;
const KEPT_BYTES_MAX: usize = 512 << 10;
/// What GitHub says is quoted up to here.
const SAID_MAX: usize = 300;
/// Pages of one list, of a hundred each.
const PAGES_MAX: usize = 10;
pub(super) const PER_PAGE: usize = 100;
/// The version of the REST API that the bodies are written for.
const API_VERSION: &str = "2022-11-28";

/// Where a repository is, and who we are there.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `https://api.github.com`, or `https://HOST/api/v3`.
    pub api_url: String,
    /// GitHub's name of the repository, `owner/name`.
    pub full_name: String,
    /// Certificates (PEM) to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Whose token it is.
    pub credential: Arc<dyn Credential>,
}

/// One repository on GitHub; cheap to clone.
#[derive(Debug, Clone)]
pub struct GitHub {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    http: reqwest::Client,
    settings: Settings,
    kept: Mutex<HashMap<String, Kept>>,
    pace: Mutex<Pace>,
    limited: Mutex<Option<Timestamp>>,
}

#[derive(Debug, Clone)]
struct Kept {
    etag: String,
    body: Arc<[u8]>,
}

/// An answer as it came.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl GitHub {
    /// A client; nothing is sent yet.
    ///
    /// # Errors
    /// The certificates can't be read, or the address is none.
    pub fn new(settings: Settings) -> Result<Self, String> {
        let parsed = url::Url::parse(&settings.api_url)
            .map_err(|error| format!("`{}` is no URL: {error}", settings.api_url))?;
        // The first TLS client panics in a process without a provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = reqwest::Client::builder()
            .timeout(CALL_MAX)
            .connect_timeout(CONNECT_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("convoy/", env!("CARGO_PKG_VERSION")));
        if let Some(file) = &settings.ca_file {
            let unread = |error: String| format!("{} can't be read: {error}", file.display());
            let pem = std::fs::read(file).map_err(|error| unread(error.to_string()))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem);
            client = client.tls_certs_merge(certificates.map_err(|e| unread(e.to_string()))?);
        }
        if matches!(parsed.host_str(), Some("127.0.0.1" | "localhost" | "[::1]")) {
            client = client.no_proxy();
        }
        let http = client.build().map_err(|error| chain(&error))?;
        let shared = Shared {
            http,
            settings,
            kept: Mutex::default(),
            pace: Mutex::default(),
            limited: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// GitHub's name of the repository.
    pub fn full_name(&self) -> &str {
        &self.shared.settings.full_name
    }

    /// Who owns the repository there.
    pub fn owner(&self) -> &str {
        self.full_name().split('/').next().unwrap_or("")
    }

    /// Whose token it is.
    pub fn credential(&self) -> &dyn Credential {
        self.shared.settings.credential.as_ref()
    }

    /// `GET /repos/OWNER/NAME` + `path`.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, HostError> {
        self.call(Method::GET, path, None).await
    }

    /// Every page of a list, up to a thousand entries.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        of: impl Fn(Value) -> Value,
    ) -> Result<Vec<T>, HostError> {
        let mut all = Vec::new();
        let separator = if path.contains('?') { '&' } else { '?' };
        for page in 1..=PAGES_MAX {
            let path = format!("{path}{separator}per_page={PER_PAGE}&page={page}");
            let answer: Value = self.get(&path).await?;
            let entries: Vec<T> = self.parse(&Method::GET, &path, of(answer))?;
            let full = entries.len() == PER_PAGE;
            all.extend(entries);
            if !full {
                break;
            }
        }
        Ok(all)
    }

    /// `POST`, which makes something.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<T, HostError> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// `PATCH`, which changes something.
    pub(super) async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<T, HostError> {
        self.call(Method::PATCH, path, Some(body)).await
    }

    /// A call, and a second one where the token was refused and there is
    /// another.
    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, HostError> {
        let shown = shown(&method, path);
        self.admit(&shown, &method).await?;
        let mut answer = self.send(&method, path, body).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            self.credential().refused();
            answer = self.send(&method, path, body).await?;
        }
        let body = self.judge(&method, path, answer)?;
        let value = serde_json::from_slice(&body)
            .map_err(|_| unreachable(&shown, "its answer is not what GitHub's API gives"))?;
        self.parse(&method, path, value)
    }

    fn parse<T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        value: Value,
    ) -> Result<T, HostError> {
        serde_json::from_value(value).map_err(|error| {
            unreachable(&shown(method, path), &format!("its answer can't be read: {error}"))
        })
    }

    /// Waits for a place among the changes; refuses while GitHub takes none.
    async fn admit(&self, shown: &str, method: &Method) -> Result<(), HostError> {
        let now = clock::now();
        let limited = *lock(&self.shared.limited);
        if let Some(until) = limited.filter(|until| *until > now) {
            let wait = until.duration_since(now).unsigned_abs();
            return Err(HostError::Limited { call: shown.into(), wait });
        }
        if method == Method::GET {
            return Ok(());
        }
        loop {
            let wait = lock(&self.shared.pace).take(clock::now());
            if wait.is_zero() {
                return Ok(());
            }
            tokio::time::sleep(wait).await;
        }
    }

    async fn send(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, HostError> {
        let token = self.credential().token().await?;
        let address = self.address(path);
        let mut request = self
            .shared
            .http
            .request(method.clone(), &address)
            .bearer_auth(token.expose())
            .header("accept", "application/vnd.github+json")
            .header("x-github-api-version", API_VERSION);
        if let Some(kept) = self.kept(method, path) {
            request = request.header("if-none-match", kept.etag);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let shown = shown(method, path);
        let broken = |error: reqwest::Error| unreachable(&shown, &hide(&chain(&error), &token));
        let mut answer = request.send().await.map_err(broken)?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(broken)? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES_MAX {
                return Err(unreachable(&shown, "its answer is too long"));
            }
        }
        Ok(Answer { status: answer.status(), headers: answer.headers().clone(), body })
    }

    fn address(&self, path: &str) -> String {
        let Settings { api_url, full_name, .. } = &self.shared.settings;
        let api = api_url.trim_end_matches('/');
        match path.strip_prefix('~') {
            // What belongs to no repository.
            Some(path) => format!("{api}{path}"),
            None => format!("{api}/repos/{full_name}{path}"),
        }
    }

    /// What an answer means; gives the body of a success.
    fn judge(&self, method: &Method, path: &str, answer: Answer) -> Result<Vec<u8>, HostError> {
        let Answer { status, headers, body } = answer;
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let call = shown(method, path);
        if status == StatusCode::NOT_MODIFIED {
            let kept = self.kept(method, path);
            return kept
                .map(|kept| kept.body.to_vec())
                .ok_or_else(|| unreachable(&call, "it says that nothing changed, unasked"));
        }
        if status.is_success() {
            self.keep(method, path, header("etag"), &body);
            return Ok(body);
        }
        let message = message(&body);
        let said = Said {
            retry_after: header("retry-after"),
            remaining: header("x-ratelimit-remaining"),
            reset: header("x-ratelimit-reset"),
            message: &message,
        };
        let now = clock::now();
        if let Some(wait) = said.wait(status.as_u16(), now) {
            *lock(&self.shared.limited) = Some(now + wait);
            return Err(HostError::Limited { call, wait });
        }
        let detail = text::line(&message, SAID_MAX);
        Err(match status.as_u16() {
            401 => HostError::Unauthorized { call },
            403 | 451 => HostError::Forbidden { call, detail },
            404 => HostError::NotFound { call },
            301 | 302 | 307 | 308 => HostError::Moved { call },
            408 | 500..=599 => unreachable(&call, &format!("it answered {status} {detail}")),
            status => HostError::Refused { call, status, detail },
        })
    }

    fn kept(&self, method: &Method, path: &str) -> Option<Kept> {
        (method == Method::GET).then(|| lock(&self.shared.kept).get(path).cloned()).flatten()
    }

    fn keep(&self, method: &Method, path: &str, etag: Option<&str>, body: &[u8]) {
        let Some(etag) = etag.filter(|_| method == Method::GET && body.len() <= KEPT_BYTES_MAX)
        else {
            return;
        };
        let mut kept = lock(&self.shared.kept);
        if kept.len() >= KEPT_MAX && !kept.contains_key(path) {
            // Whatever is asked for again is kept again.
            kept.clear();
        }
        kept.insert(path.to_owned(), Kept { etag: etag.to_owned(), body: body.into() });
    }
}

/// The call as people see it: without its query.
fn shown(method: &Method, path: &str) -> String {
    let path = path.trim_start_matches('~').split('?').next().unwrap_or("");
    format!("{method} {}", if path.is_empty() { "repository" } else { path })
}

fn unreachable(call: &str, detail: &str) -> HostError {
    HostError::Unreachable { call: call.to_owned(), detail: text::line(detail, SAID_MAX) }
}

/// What GitHub says of a refusal: its message, and those of the fields.
fn message(body: &[u8]) -> String {
    let Ok(said) = serde_json::from_slice::<Value>(body) else { return String::new() };
    let mut parts: Vec<String> = said["message"].as_str().map(str::to_owned).into_iter().collect();
    for error in said["errors"].as_array().into_iter().flatten().take(5) {
        let field = |name: &str| error[name].as_str().unwrap_or("").to_owned();
        let text = match error.as_str() {
            Some(text) => text.to_owned(),
            None => [field("field"), field("code"), field("message")].join(" "),
        };
        parts.push(text.trim().to_owned());
    }
    parts.join("; ")
}

fn hide(text: &str, token: &Secret) -> String {
    text.replace(token.expose(), "…")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_with_the_fields_that_github_names() {
        let body = br#"{"message":"Validation Failed","errors":[
            {"resource":"PullRequest","code":"custom","message":"A pull request already exists"},
            {"field":"head","code":"invalid"}, "plain"]}"#;
        assert_eq!(
            message(body),
            "Validation Failed; custom A pull request already exists; head invalid; plain"
        );
        assert_eq!(message(b"<html>"), "");
    }

    #[test]
    fn a_call_is_shown_without_its_query() {
        assert_eq!(shown(&Method::GET, "/pulls?head=a:b"), "GET /pulls");
        assert_eq!(shown(&Method::GET, "~/user"), "GET /user");
    }
}
