//! Slack's three endpoints: verify, parse, answer within three seconds.
//!
//! A request is carried out by a task of its own, so that a client that hangs
//! up does not stop it half-way; the endpoint waits for it as long as Slack
//! waits for the endpoint.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::replies::{Claim, Reply, Slot};
use super::{Hooks, SlackHooks, click, converse};
use crate::chat::{
    self, Audience, Click, Delivery, FormError, Incoming, Ingress, Interaction, SlashCommand,
};
use crate::telemetry::clock;

/// Why a request is not carried out.
#[derive(Debug)]
pub(super) enum Refused {
    /// Slack is not configured.
    NoSlack,
    /// It is not Slack's, or not new.
    Unauthorized(&'static str),
    /// Too much at once. Slack shows an error; the person tries again.
    Busy,
    /// It is Slack's and can't be read.
    Malformed(FormError),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, error) = match self {
            Self::NoSlack => (StatusCode::NOT_FOUND, "slack is not configured".to_owned()),
            Self::Unauthorized(error) => (StatusCode::UNAUTHORIZED, error.to_owned()),
            Self::Busy => {
                tracing::warn!("slack: a request was refused: too many are at work");
                (StatusCode::SERVICE_UNAVAILABLE, "too many requests are at work".to_owned())
            }
            Self::Malformed(error) => {
                tracing::warn!("slack: a signed request can't be read: {error}");
                (StatusCode::BAD_REQUEST, error.to_string())
            }
        };
        (status, Json(json!({ "error": error }))).into_response()
    }
}

/// `POST /slack/command`
pub(super) async fn command(
    State(hooks): State<Hooks>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refused> {
    let slack = hooks.slack.clone().ok_or(Refused::NoSlack)?;
    if chat::is_ssl_check(&body) {
        return Ok(StatusCode::OK.into_response());
    }
    let delivery = verify(&slack, &headers, &body)?;
    let command = SlashCommand::parse(&body).map_err(Refused::Malformed)?;
    let team = command.caller.team.as_deref().unwrap_or_default();
    let key = key(&["command", team, &command.caller.user, &command.trigger_id]);
    let slot = match claim(&slack, key, delivery)? {
        Claim::New(slot, permit) => {
            run_command(&hooks, slack, command, slot.clone(), permit);
            slot
        }
        Claim::Known(slot) => slot,
        Claim::Full => return Err(Refused::Busy),
    };
    let reply = slot.wait().await;
    let reply =
        reply.unwrap_or_else(|| Reply { message: chat::working(), audience: Audience::Caller });
    Ok(Json(reply.message.answer(reply.audience)).into_response())
}

fn run_command(
    hooks: &Hooks,
    slack: Arc<SlackHooks>,
    command: SlashCommand,
    slot: Slot,
    permit: OwnedSemaphorePermit,
) {
    let desk = hooks.desk.clone();
    hooks.tasks.spawn("slack-command", async move {
        let reply = converse::answer(desk.as_ref(), &slack, &command).await;
        if slot.settle(reply.clone()) {
            respond(&slack, &command.response_url, &reply).await;
        }
        drop(permit);
    });
}

/// `POST /slack/interactive`
pub(super) async fn interactive(
    State(hooks): State<Hooks>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Refused> {
    let slack = hooks.slack.clone().ok_or(Refused::NoSlack)?;
    if chat::is_ssl_check(&body) {
        return Ok(StatusCode::OK);
    }
    let delivery = verify(&slack, &headers, &body)?;
    let click = match Interaction::parse(&body).map_err(Refused::Malformed)? {
        Interaction::Click(click) => click,
        Interaction::Other(kind) => {
            tracing::debug!(kind, "slack: an interaction of no use was acknowledged");
            return Ok(StatusCode::OK);
        }
    };
    // The workspace is no part of the key: in a shared channel it differs.
    let Click { channel, message_ts, action_id, action_ts, caller, .. } = &click;
    let key = key(&["click", channel, message_ts, action_id, action_ts, &caller.user]);
    let slot = match claim(&slack, key, delivery)? {
        Claim::New(slot, permit) => {
            run_click(&hooks, slack, click, slot.clone(), permit);
            slot
        }
        Claim::Known(slot) => slot,
        Claim::Full => return Err(Refused::Busy),
    };
    // Acknowledged once it is durable or refused, so that a crash in between
    // shows as an error to the clicker.
    slot.wait().await;
    Ok(StatusCode::OK)
}

/// Slack shows nothing of the HTTP answer to a click, so the answer always
/// goes to the `response_url`.
fn run_click(
    hooks: &Hooks,
    slack: Arc<SlackHooks>,
    click: Click,
    slot: Slot,
    permit: OwnedSemaphorePermit,
) {
    let desk = hooks.desk.clone();
    hooks.tasks.spawn("slack-click", async move {
        let message = click::answer(desk.as_ref(), &slack, &click).await;
        let said = message.clone().unwrap_or_else(|| chat::Message::plain("nothing to do"));
        let reply = Reply { message: said, audience: Audience::Caller };
        slot.settle(reply.clone());
        if let (Some(_), Some(url)) = (message, &click.response_url) {
            respond(&slack, url, &reply).await;
        }
        drop(permit);
    });
}

/// `POST /slack/events`
pub(super) async fn events(
    State(hooks): State<Hooks>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refused> {
    let slack = hooks.slack.clone().ok_or(Refused::NoSlack)?;
    verify(&slack, &headers, &body)?;
    Ok(match Incoming::parse(&body).map_err(Refused::Malformed)? {
        Incoming::UrlVerification(challenge) => {
            Json(json!({ "challenge": challenge })).into_response()
        }
        Incoming::Other(_) => StatusCode::OK.into_response(),
    })
}

fn verify(slack: &SlackHooks, headers: &HeaderMap, body: &[u8]) -> Result<Delivery, Refused> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (timestamp, signature) = (header(Ingress::TIMESTAMP), header(Ingress::SIGNATURE));
    slack.ingress.verify(timestamp, signature, body, clock::now()).map_err(|refusal| {
        tracing::warn!("slack: a request was refused: {refusal}");
        Refused::Unauthorized("invalid request")
    })
}

/// A request that was delivered before is known by its key. If it is not, its
/// answer was forgotten: it is not carried out a second time.
fn claim(slack: &SlackHooks, key: String, delivery: Delivery) -> Result<Claim, Refused> {
    if delivery == Delivery::Again && !slack.replies.knows(&key) {
        tracing::warn!("slack: a request was refused: the same was delivered before");
        return Err(Refused::Unauthorized("replayed request"));
    }
    Ok(slack.replies.claim(key))
}

/// Each part behind its length, so that no two keys run together.
fn key(parts: &[&str]) -> String {
    parts.iter().map(|part| format!("{}:{part}", part.len())).collect()
}

async fn respond(slack: &SlackHooks, url: &str, reply: &Reply) {
    if let Err(error) = slack.client.respond(url, reply.audience, &reply.message).await {
        tracing::warn!("slack: an answer was not delivered: {error}");
    }
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
        let body = command_form("U1", "promote beta to canary", "t1");
        let first = app.slack("/slack/command", &body).await;
        let again = app.slack("/slack/command", &body).await;
        assert_eq!(first, again);
        assert_eq!(app.desk.acts().len(), 1);
        app.slack("/slack/command", &command_form("U1", "promote beta to canary", "t2")).await;
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
        let other = "payload=%7B%22type%22%3A%22shortcut%22%7D";
        assert_eq!(app.slack("/slack/interactive", other).await.0, 200);
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
