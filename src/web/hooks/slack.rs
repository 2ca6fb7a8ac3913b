//! Slack's three endpoints over HTTP: verify, parse, acknowledge at once.
//!
//! An answer that is there soon goes along with the acknowledgement; any other
//! follows. What is done is in `door`, the same for Socket Mode.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::door::{Door, Refused, body};
use super::replies::{FORM_PATIENCE, PATIENCE};
use super::{Hooks, SlackHooks};
use crate::chat::{self, Delivery, Incoming, Ingress, Interaction, SlashCommand};
use crate::telemetry::clock;

/// Tells Slack that delivering the same again is of no use.
const NO_RETRY: HeaderName = HeaderName::from_static("x-slack-no-retry");
/// Says why Slack delivers again.
const RETRY_REASON: &str = "x-slack-retry-reason";

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Self::NoSlack => (StatusCode::NOT_FOUND, "slack is not configured".to_owned()),
            Self::Unauthorized(error) => (StatusCode::UNAUTHORIZED, error.to_owned()),
            Self::Busy => {
                tracing::warn!("slack: a request was refused: too many are at work");
                let error = "too many requests are at work".to_owned();
                // The one refusal that a second delivery may help.
                return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "error": error })))
                    .into_response();
            }
            Self::Malformed(error) => {
                tracing::warn!("slack: a signed request can't be read: {error}");
                (StatusCode::BAD_REQUEST, error.to_string())
            }
        };
        let no_retry = [(NO_RETRY, HeaderValue::from_static("1"))];
        (status, no_retry, Json(json!({ "error": error }))).into_response()
    }
}

/// `POST /slack/command`
pub(super) async fn command(
    State(hooks): State<Hooks>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response, Refused> {
    if is_check(&hooks, &bytes)? {
        return Ok(StatusCode::OK.into_response());
    }
    let door = verified(hooks, &headers, &bytes)?;
    let command = SlashCommand::parse(&bytes).map_err(Refused::Malformed)?;
    let slot = door.command(command)?;
    // A form that was opened instead says nothing here.
    Ok(match body(slot.wait(PATIENCE).await) {
        Some(answer) => Json(answer).into_response(),
        None => StatusCode::OK.into_response(),
    })
}

/// `POST /slack/interactive`
pub(super) async fn interactive(
    State(hooks): State<Hooks>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response, Refused> {
    if is_check(&hooks, &bytes)? {
        return Ok(StatusCode::OK.into_response());
    }
    let door = verified(hooks, &headers, &bytes)?;
    let interaction = Interaction::parse(&bytes).map_err(Refused::Malformed)?;
    let is_form = matches!(interaction, Interaction::Submit(_));
    let Some(slot) = door.interaction(interaction)? else {
        return Ok(StatusCode::OK.into_response());
    };
    let reply = slot.wait(if is_form { FORM_PATIENCE } else { PATIENCE }).await;
    Ok(match reply.filter(|_| is_form).and_then(|reply| body(Some(reply))) {
        Some(answer) => Json(answer).into_response(),
        None => StatusCode::OK.into_response(),
    })
}

/// `POST /slack/events`
pub(super) async fn events(
    State(hooks): State<Hooks>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response, Refused> {
    let door = verified(hooks, &headers, &bytes)?;
    if let Some(reason) = headers.get(RETRY_REASON).and_then(|value| value.to_str().ok()) {
        tracing::info!(reason, "slack: an event was delivered again");
    }
    let incoming = Incoming::parse(&bytes).map_err(Refused::Malformed)?;
    Ok(match door.event(incoming)? {
        Some(challenge) => Json(json!({ "challenge": challenge })).into_response(),
        None => StatusCode::OK.into_response(),
    })
}

/// Whether Slack only checks the certificate.
fn is_check(hooks: &Hooks, body: &[u8]) -> Result<bool, Refused> {
    hooks.slack.as_ref().ok_or(Refused::NoSlack)?;
    Ok(chat::is_ssl_check(body))
}

fn verified(hooks: Hooks, headers: &HeaderMap, body: &[u8]) -> Result<Door, Refused> {
    let slack = hooks.slack.clone().ok_or(Refused::NoSlack)?;
    let delivery = verify(&slack, headers, body)?;
    Ok(Door { hooks, slack, delivery })
}

fn verify(slack: &Arc<SlackHooks>, headers: &HeaderMap, body: &[u8]) -> Result<Delivery, Refused> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (timestamp, signature) = (header(Ingress::TIMESTAMP), header(Ingress::SIGNATURE));
    slack.ingress.verify(timestamp, signature, body, clock::now()).map_err(|refusal| {
        tracing::warn!("slack: a request was refused: {refusal}");
        Refused::Unauthorized("invalid request")
    })
}

#[cfg(test)]
mod tests {
    use crate::chat::samples;
    use crate::web::hooks::testing::{App, Counter, command_form, payload_form};

    const STATUS: &str = "status";

    #[tokio::test]
    async fn a_signed_command_is_answered_in_the_response() {
        let app = App::start(Counter::new(Vec::new()));
        let (status, answer) = app.slack("/slack/command", &command_form("U1", STATUS, "t1")).await;
        assert_eq!(status, 200);
        assert_eq!(answer["response_type"], "ephemeral");
        assert!(answer["text"].as_str().unwrap().contains("canary serves b-old"));
    }

    #[tokio::test]
    async fn what_is_not_slacks_is_refused_at_every_endpoint() {
        let app = App::start(Counter::new(Vec::new()));
        let body = command_form("U1", "promote beta to canary", "t1");
        for path in ["/slack/command", "/slack/interactive", "/slack/events"] {
            let (status, answer) = app.post(path, &[], &body).await;
            assert_eq!((status, answer["error"].as_str()), (401, Some("invalid request")));
            let old = app.signed(&body, -301);
            let headers: Vec<_> = old.iter().map(|(n, v)| (*n, v.as_str())).collect();
            assert_eq!(app.post(path, &headers, &body).await.0, 401, "{path}");
        }
        assert!(app.desk.acts().is_empty());
    }

    #[tokio::test]
    async fn a_replayed_command_gets_the_same_answer_and_is_done_once() {
        let app = App::start(Counter::new(Vec::new()));
        let body = command_form("U1", "reject P-1 no", "t1");
        let first = app.slack("/slack/command", &body).await;
        let again = app.slack("/slack/command", &body).await;
        assert_eq!(first, again);
        assert_eq!(app.desk.acts().len(), 1);
        app.slack("/slack/command", &command_form("U1", "reject P-1 no", "t2")).await;
        assert_eq!(app.desk.acts().len(), 2);
    }

    #[tokio::test]
    async fn a_double_click_is_one_act() {
        let app = App::start(Counter::new(vec![samples::promotion(142, "canary")]));
        let body = payload_form("U1", "approve", "v1.P-142.abababababab", "9.9");
        for _ in 0..2 {
            assert_eq!(app.slack("/slack/interactive", &body).await.0, 200);
        }
        assert_eq!(app.desk.acts().len(), 1);
    }

    #[tokio::test]
    async fn ssl_check_challenge_and_unknown_interactions_are_acknowledged() {
        let app = App::start(Counter::new(Vec::new()));
        assert_eq!(app.post("/slack/command", &[], "ssl_check=1&token=x").await.0, 200);
        let challenge = r#"{"type":"url_verification","challenge":"3eZbrw"}"#;
        let (status, answer) = app.slack("/slack/events", challenge).await;
        assert_eq!((status, answer["challenge"].as_str()), (200, Some("3eZbrw")));
        let other = "payload=%7B%22type%22%3A%22dialog_cancellation%22%7D";
        assert_eq!(app.slack("/slack/interactive", other).await.0, 200);
    }

    #[tokio::test]
    async fn two_hundred_clicks_with_one_key_are_one_act() {
        let app = App::start(Counter::new(vec![samples::promotion(142, "canary")]));
        let body = payload_form("U1", "approve", "v1.P-142.abababababab", "9.9");
        let clicks = (0..200).map(|_| app.slack("/slack/interactive", &body));
        let answers = futures_util::future::join_all(clicks).await;
        assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
        assert_eq!(app.desk.acts().len(), 1);
    }

    #[tokio::test]
    async fn an_event_that_comes_again_is_acknowledged_and_passed_over() {
        let app = App::start(Counter::new(Vec::new()));
        let event = r#"{"type":"event_callback","event_id":"Ev1","team_id":"T1",
            "event":{"type":"app_home_opened","user":"U1","tab":"home"}}"#;
        for _ in 0..2 {
            assert_eq!(app.slack("/slack/events", event).await.0, 200);
        }
        let broken = r#"{"type":"event_callback","event":{"type":"app_home_opened"}}"#;
        assert_eq!(app.slack("/slack/events", broken).await.0, 400);
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_is_not_read() {
        let app = App::start(Counter::new(Vec::new()));
        let body = "x".repeat(super::super::SLACK_BODY_MAX + 1);
        assert_eq!(app.slack("/slack/command", &body).await.0, 413);
    }

    #[tokio::test]
    async fn a_signed_body_without_its_fields_is_a_bad_request() {
        let app = App::start(Counter::new(Vec::new()));
        let (status, answer) = app.slack("/slack/command", "command=%2Fconvoy").await;
        assert_eq!((status, answer["error"].as_str()), (400, Some("the field `text` is missing")));
    }
}
