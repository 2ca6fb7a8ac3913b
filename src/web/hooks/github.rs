//! GitHub's webhook: a nudge to look at an upstream, never a source of truth.
//!
//! <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::json;
use sha2::Sha256;

use super::{GitHubHook, Hooks};
use crate::chat::Seen;
use crate::model::Secret;
use crate::telemetry::clock;

/// Redeliveries that a person asks for come later than this and count again.
const REMEMBER: Duration = Duration::from_secs(600);
const REMEMBER_MAX: usize = 10_000;

/// Every configured webhook, and the deliveries of late.
#[derive(Debug)]
pub struct GitHub {
    hooks: Vec<GitHubHook>,
    seen: Mutex<Seen<String>>,
}

impl GitHub {
    /// One entry per mirrored repository that GitHub tells us about.
    pub fn new(hooks: Vec<GitHubHook>) -> Self {
        Self { hooks, seen: Mutex::new(Seen::new(REMEMBER, REMEMBER_MAX)) }
    }

    /// The hooks whose secret made this signature. All are compared.
    fn signed(&self, signature: &[u8], body: &[u8]) -> Vec<&GitHubHook> {
        let signed = |hook: &&GitHubHook| {
            let good = hook.secrets.iter().filter(|secret| is_signed(secret, signature, body));
            good.count() > 0
        };
        self.hooks.iter().filter(signed).collect()
    }

    fn first(&self, delivery: &str) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.first(delivery.to_owned(), clock::now())
    }
}

/// As much of a payload as is used.
#[derive(Debug, Deserialize)]
struct Push {
    #[serde(rename = "ref", default)]
    reference: String,
    repository: Option<Repository>,
}

#[derive(Debug, Deserialize)]
struct Repository {
    full_name: String,
}

/// `POST /hooks/github`
pub(super) async fn receive(
    State(hooks): State<Hooks>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(signature) = header("x-hub-signature-256").and_then(parse_signature) else {
        tracing::warn!("github: a request without a sha256 signature was refused");
        return said(StatusCode::UNAUTHORIZED, "X-Hub-Signature-256 is missing or malformed");
    };
    let signed = hooks.github.signed(&signature, &body);
    if signed.is_empty() {
        tracing::warn!("github: a request with a wrong signature was refused");
        return said(StatusCode::UNAUTHORIZED, "the signature is wrong");
    }
    match header("x-github-event") {
        Some("ping") => said(StatusCode::OK, "pong"),
        Some("push") => {
            let form = header(CONTENT_TYPE.as_str())
                .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
            let delivery = header("x-github-delivery").unwrap_or_default();
            push(&hooks, &signed, delivery, &payload(&body, form))
        }
        _ => said(StatusCode::ACCEPTED, "ignored: not a push"),
    }
}

fn push(hooks: &Hooks, signed: &[&GitHubHook], delivery: &str, payload: &[u8]) -> Response {
    let push: Push = match serde_json::from_slice(payload) {
        Ok(push) => push,
        Err(error) => {
            tracing::warn!("github: a signed payload can't be read: {error}");
            return said(StatusCode::BAD_REQUEST, "the payload can't be read");
        }
    };
    let full_name = push.repository.map(|repository| repository.full_name).unwrap_or_default();
    let of_name = |hook: &&&GitHubHook| {
        hook.full_name.as_ref().is_none_or(|name| name.eq_ignore_ascii_case(&full_name))
    };
    let meant: Vec<_> = signed.iter().filter(of_name).collect();
    if meant.is_empty() {
        return said(StatusCode::ACCEPTED, "ignored: no such repository is mirrored");
    }
    let branch = push.reference.strip_prefix("refs/heads/");
    let followed: Vec<_> =
        meant.into_iter().filter(|hook| branch == Some(hook.branch.as_str())).collect();
    if followed.is_empty() {
        return said(StatusCode::ACCEPTED, "ignored: the branch is not mirrored");
    }
    if !delivery.is_empty() && !hooks.github.first(delivery) {
        return said(StatusCode::OK, "already received");
    }
    for hook in followed {
        tracing::info!(repo = %hook.repo, delivery, "github: a push was announced");
        hooks.desk.nudge(&hook.repo);
    }
    said(StatusCode::ACCEPTED, "nudged")
}

/// The JSON, which GitHub may send as the `payload` of a form.
fn payload(body: &Bytes, form: bool) -> Cow<'_, [u8]> {
    if !form {
        return Cow::Borrowed(body);
    }
    let mut fields = url::form_urlencoded::parse(body);
    let found = fields.find(|(name, _)| name == "payload");
    Cow::Owned(found.map_or_else(Vec::new, |(_, value)| value.into_owned().into_bytes()))
}

/// `sha256=` and 64 hex digits. SHA-1 signatures are not looked at.
fn parse_signature(text: &str) -> Option<[u8; 32]> {
    let hex = text.strip_prefix("sha256=")?;
    hex.parse().ok().map(|crate::model::ContentHash(bytes)| bytes)
}

/// In constant time. An empty secret signs nothing.
fn is_signed(secret: &Secret, signature: &[u8], body: &[u8]) -> bool {
    let mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes());
    !secret.is_empty()
        && mac.is_ok_and(|mac| mac.chain_update(body).verify_slice(signature).is_ok())
}

fn said(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "status": text }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::hooks::testing::{App, Counter, GITHUB_SECRET};

    const VECTOR: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn sign(body: &str) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(GITHUB_SECRET.as_bytes()).unwrap();
        let bytes: [u8; 32] = mac.chain_update(body).finalize().into_bytes().into();
        format!("sha256={}", crate::model::ContentHash(bytes))
    }

    fn body(reference: &str, full_name: &str) -> String {
        json!({"ref": reference, "after": "0", "repository": {"full_name": full_name}}).to_string()
    }

    async fn deliver(app: &App, event: &str, delivery: &str, body: &str) -> (u16, String) {
        let signature = sign(body);
        let headers = [
            ("x-hub-signature-256", signature.as_str()),
            ("x-github-event", event),
            ("x-github-delivery", delivery),
        ];
        let (status, answer) = app.post("/hooks/github", &headers, body).await;
        (status, answer["status"].as_str().unwrap_or("").to_owned())
    }

    #[test]
    fn githubs_own_vector_is_accepted_and_nothing_near_it() {
        let secret = Secret::new("It's a Secret to Everybody");
        let signature = parse_signature(VECTOR).unwrap();
        assert!(is_signed(&secret, &signature, b"Hello, World!"));
        assert!(!is_signed(&secret, &signature, b"Hello, World?"));
        assert!(!is_signed(&Secret::new(""), &signature, b"Hello, World!"));
        for odd in ["", "sha256=", "sha1=757107ea0eb2509fc211221cce984b8a37570b6d", &VECTOR[..70]] {
            assert!(parse_signature(odd).is_none(), "{odd}");
        }
    }

    #[tokio::test]
    async fn a_push_to_the_mirrored_branch_nudges_once_per_delivery() {
        let app = App::start(Counter::new(Vec::new()));
        let push = body("refs/heads/main", "Acme/mesh");
        assert_eq!(deliver(&app, "push", "1", &push).await, (202, "nudged".into()));
        assert_eq!(deliver(&app, "push", "1", &push).await, (200, "already received".into()));
        assert_eq!(deliver(&app, "push", "2", &push).await.0, 202);
        assert_eq!(app.desk.nudges(), 2);
    }

    #[tokio::test]
    async fn what_concerns_nobody_is_accepted_and_ignored() {
        let app = App::start(Counter::new(Vec::new()));
        let main = body("refs/heads/main", "acme/mesh");
        let table = [
            ("ping", r#"{"zen":"x"}"#.to_owned(), 200, "pong"),
            ("push", body("refs/heads/topic", "acme/mesh"), 202, "branch"),
            ("push", body("refs/tags/main", "acme/mesh"), 202, "branch"),
            ("push", body("refs/heads/main", "acme/other"), 202, "repository"),
            ("issues", main, 202, "not a push"),
            ("push", "{".to_owned(), 400, "can't be read"),
        ];
        for (event, body, status, part) in table {
            let (code, said) = deliver(&app, event, "", &body).await;
            assert!(code == status && said.contains(part), "{event} {body}: {code} {said}");
        }
        assert_eq!(app.desk.nudges(), 0);
    }

    #[tokio::test]
    async fn forged_requests_nudge_nobody() {
        let app = App::start(Counter::new(Vec::new()));
        let push = body("refs/heads/main", "acme/mesh");
        let other = sign("another body");
        for headers in [
            vec![("x-github-event", "push")],
            vec![("x-github-event", "push"), ("x-hub-signature", "sha1=abc")],
            vec![("x-github-event", "push"), ("x-hub-signature-256", other.as_str())],
        ] {
            assert_eq!(app.post("/hooks/github", &headers, &push).await.0, 401);
        }
        assert_eq!(app.desk.nudges(), 0);
    }

    #[tokio::test]
    async fn a_payload_in_a_form_is_understood() {
        let app = App::start(Counter::new(Vec::new()));
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        let form = form.append_pair("payload", &body("refs/heads/main", "acme/mesh")).finish();
        let signature = sign(&form);
        let headers = [
            ("x-hub-signature-256", signature.as_str()),
            ("x-github-event", "push"),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        assert_eq!(app.post("/hooks/github", &headers, &form).await.0, 202);
        assert_eq!(app.desk.nudges(), 1);
    }
}
