//! One HTTP exchange with Slack, through slack-morphism's client.

use serde::{Deserialize, Serialize};
use slack_morphism::errors::SlackClientError;
use slack_morphism::prelude::{
    ClientResult, SlackApiChatPostEphemeralRequest, SlackApiChatPostMessageRequest,
    SlackApiChatUpdateRequest, SlackApiToken, SlackApiTokenType, SlackClient,
    SlackClientApiCallContext, SlackClientHttpConnector, SlackClientHyperConnector,
    SlackClientHyperHttpsConnector, SlackMessageContent,
};
use url::Url;

use super::{ChatError, Posted};
use crate::chat::message::Message;
use crate::model::Secret;

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

fn content(message: &Message) -> SlackMessageContent {
    SlackMessageContent::new().with_text(message.text.clone()).with_blocks(message.blocks.clone())
}

/// Links are not unfolded and nothing is linked that we did not link.
pub(super) fn post(channel: &str, message: &Message) -> SlackApiChatPostMessageRequest {
    SlackApiChatPostMessageRequest::new(channel.to_owned().into(), content(message))
        .with_parse("none".into())
        .with_unfurl_links(false)
        .with_unfurl_media(false)
}

pub(super) fn update(posted: &Posted, message: &Message) -> SlackApiChatUpdateRequest {
    let (channel, ts) = (posted.channel.clone().into(), posted.ts.clone().into());
    SlackApiChatUpdateRequest::new(channel, content(message), ts).with_parse("none".into())
}

pub(super) fn whisper(
    channel: &str,
    user: &str,
    message: &Message,
) -> SlackApiChatPostEphemeralRequest {
    let (channel, user) = (channel.to_owned().into(), user.to_owned().into());
    SlackApiChatPostEphemeralRequest::new(channel, user, content(message)).with_parse("none".into())
}
