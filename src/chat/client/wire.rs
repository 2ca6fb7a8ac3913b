//! One HTTP exchange with Slack, through slack-morphism's client.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use slack_morphism::errors::SlackClientError;
use slack_morphism::prelude::{
    ClientResult, SlackApiToken, SlackApiTokenType, SlackClient, SlackClientApiCallContext,
    SlackClientHttpConnector, SlackClientHyperConnector, SlackClientHyperHttpsConnector,
};
use url::Url;

use super::{ChatError, Post, Posted};
use crate::chat::message::Message;
use crate::chat::view::View;
use crate::model::Secret;

/// Marks what our messages carry unseen.
const EVENT_TYPE: &str = "convoy_message";

type LoopbackConnector =
    SlackClientHyperConnector<hyper_util::client::legacy::connect::HttpConnector>;

/// The client and its token. TLS and plain loopback are different types.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    client: Client,
    token: SlackApiToken,
}

#[derive(Debug, Clone)]
enum Client {
    Https(SlackClient<SlackClientHyperHttpsConnector>),
    Loopback(SlackClient<LoopbackConnector>),
}

/// What a post or an edit answers, as far as it is used.
#[derive(Debug, Deserialize)]
pub(super) struct PostedWire {
    pub(super) channel: String,
    pub(super) ts: String,
}

/// Where a connection leads.
#[derive(Debug, Deserialize)]
pub(super) struct OpenedWire {
    pub(super) url: String,
}

/// One page of messages.
#[derive(Debug, Deserialize)]
pub(super) struct HistoryWire {
    #[serde(default)]
    messages: Vec<Value>,
    #[serde(default)]
    response_metadata: Value,
}

impl HistoryWire {
    /// The message that carries `key`.
    pub(super) fn named(&self, key: &str) -> Option<String> {
        let carries = |message: &&Value| {
            let metadata = &message["metadata"];
            metadata["event_type"] == EVENT_TYPE && metadata["event_payload"]["key"] == key
        };
        self.messages.iter().find(carries)?["ts"].as_str().map(str::to_owned)
    }

    /// The next page.
    pub(super) fn next(&self) -> Option<String> {
        let cursor = self.response_metadata["next_cursor"].as_str();
        cursor.filter(|cursor| !cursor.is_empty()).map(str::to_owned)
    }
}

/// An answer of which nothing is used.
#[derive(Debug, Deserialize)]
pub(super) struct Ignored {}

impl Wire {
    pub(super) fn https(api_url: &str, secret: &Secret) -> Result<Self, ChatError> {
        let connector = SlackClientHyperConnector::new().map_err(ChatError::Roots)?;
        let client = SlackClient::new(connector.with_slack_api_url(api_url));
        Ok(Self { client: Client::Https(client), token: token(secret) })
    }

    /// The crate's own connector refuses plain HTTP; this one is chosen only
    /// after the address was seen to be loopback.
    pub(super) fn loopback(api_url: &str, secret: &Secret) -> Self {
        let connector = hyper_util::client::legacy::connect::HttpConnector::new();
        let connector = LoopbackConnector::with_connector(connector);
        let client = SlackClient::new(connector.with_slack_api_url(api_url));
        Self { client: Client::Loopback(client), token: token(secret) }
    }

    /// Calls a method of the Web API.
    pub(super) async fn call<Q, A>(&self, method: &str, body: &Q) -> Result<A, SlackClientError>
    where
        Q: Serialize + Send + Sync,
        A: for<'de> Deserialize<'de> + Send,
    {
        match &self.client {
            Client::Https(client) => call(client, &self.token, method, body).await,
            Client::Loopback(client) => call(client, &self.token, method, body).await,
        }
    }

    /// Asks a method of the Web API that only reads.
    pub(super) async fn get<A>(
        &self,
        method: &str,
        query: &Vec<(&'static str, Option<String>)>,
    ) -> Result<A, SlackClientError>
    where
        A: for<'de> Deserialize<'de> + Send,
    {
        match &self.client {
            Client::Https(client) => get(client, &self.token, method, query).await,
            Client::Loopback(client) => get(client, &self.token, method, query).await,
        }
    }

    /// Posts `body` to an address, without the token.
    pub(super) async fn post_to(
        &self,
        url: Url,
        body: &serde_json::Value,
    ) -> Result<Ignored, SlackClientError> {
        match &self.client {
            Client::Https(client) => post_to(client, url, body).await,
            Client::Loopback(client) => post_to(client, url, body).await,
        }
    }
}

fn token(secret: &Secret) -> SlackApiToken {
    SlackApiToken::new(secret.expose().to_owned().into()).with_token_type(SlackApiTokenType::Bot)
}

async fn call<C, Q, A>(
    client: &SlackClient<C>,
    token: &SlackApiToken,
    method: &str,
    body: &Q,
) -> ClientResult<A>
where
    C: SlackClientHttpConnector + Send + Sync,
    Q: Serialize + Send + Sync,
    A: for<'de> Deserialize<'de> + Send,
{
    client.open_session(token).http_session_api.http_post(method, body, None).await
}

async fn get<C, A>(
    client: &SlackClient<C>,
    token: &SlackApiToken,
    method: &str,
    query: &Vec<(&'static str, Option<String>)>,
) -> ClientResult<A>
where
    C: SlackClientHttpConnector + Send + Sync,
    A: for<'de> Deserialize<'de> + Send,
{
    let session = client.open_session(token);
    session.http_session_api.http_get(method, query, None).await
}

async fn post_to<C>(
    client: &SlackClient<C>,
    url: Url,
    body: &serde_json::Value,
) -> ClientResult<Ignored>
where
    C: SlackClientHttpConnector + Send + Sync,
{
    let span = tracing::debug_span!("slack response_url");
    let context = SlackClientApiCallContext {
        rate_control_params: None,
        token: None,
        tracing_span: &span,
        // Whoever knows the address may answer in our name.
        is_sensitive_url: true,
    };
    client.http_api.connector.http_post_uri(url, body, context).await
}

/// Links are not unfolded and nothing is linked that we did not link.
pub(super) fn post(post: &Post<'_>) -> Value {
    let mut body = json!({
        "channel": post.channel,
        "text": post.message.text,
        "blocks": post.message.blocks,
        "parse": "none",
        "unfurl_links": false,
        "unfurl_media": false,
    });
    if let Some(thread) = post.thread {
        body["thread_ts"] = json!(thread);
        body["reply_broadcast"] = json!(post.broadcast);
    }
    if let Some(key) = post.key {
        body["metadata"] = json!({ "event_type": EVENT_TYPE, "event_payload": { "key": key } });
    }
    body
}

pub(super) fn update(posted: &Posted, message: &Message) -> Value {
    json!({
        "channel": posted.channel,
        "ts": posted.ts,
        "text": message.text,
        "blocks": message.blocks,
        "parse": "none",
    })
}

pub(super) fn whisper(channel: &str, user: &str, thread: Option<&str>, message: &Message) -> Value {
    let mut body = json!({
        "channel": channel,
        "user": user,
        "text": message.text,
        "blocks": message.blocks,
        "parse": "none",
    });
    if let Some(thread) = thread {
        body["thread_ts"] = json!(thread);
    }
    body
}

pub(super) fn open(trigger_id: &str, view: &View) -> Value {
    json!({ "trigger_id": trigger_id, "view": view.json() })
}

pub(super) fn publish(user: &str, view: &View) -> Value {
    json!({ "user_id": user, "view": view.json() })
}

/// The query for one page of a channel's or a thread's messages.
pub(super) fn look(
    channel: &str,
    thread: Option<&str>,
    since: jiff::Timestamp,
    cursor: &str,
) -> Vec<(&'static str, Option<String>)> {
    let mut query = vec![
        ("channel", Some(channel.to_owned())),
        ("include_all_metadata", Some("true".to_owned())),
        ("oldest", Some(format!("{}.000000", since.as_second()))),
        ("limit", Some("200".to_owned())),
    ];
    if let Some(thread) = thread {
        query.push(("ts", Some(thread.to_owned())));
    }
    if !cursor.is_empty() {
        query.push(("cursor", Some(cursor.to_owned())));
    }
    query
}
