//! Slack's Web API, as far as Convoy speaks it.
//!
//! slack-morphism's client over hyper does the talking. Two things are ours:
//! what comes back is read with small structs (the crate's own would turn a
//! message that *was* posted into an error when Slack adds a field), and a
//! `response_url` is posted to with our own body (the crate's has no
//! `response_type`). Called by `reconcile`'s announcements through a port, and
//! by `web::hooks` for late answers. Nothing here retries what may have been
//! done already.

mod error;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use url::Url;

use super::message::{Audience, Message};
use super::view::View;
use crate::model::Secret;
use crate::retry::Backoff;
pub use error::ChatError;
use wire::{HistoryWire, Ignored, OpenedWire, PostedWire, Wire};

/// Where Slack's API is, for everybody but tests and relays.
const SLACK_API: &str = "https://slack.com/api";
/// Where Slack's response URLs lead, where the configuration names no others.
pub const RESPONSE_HOSTS: [&str; 2] = ["hooks.slack.com", "hooks.slack-gov.com"];
/// One try, from connecting to the last byte.
const TRY_TIME_MAX: Duration = Duration::from_secs(10);
/// Tries of one call; Slack's limits are per minute, longer waits are for
/// whoever called.
const TRIES_MAX: u32 = 4;
/// Longer `Retry-After`s are not slept through.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Pages of history that are looked through for one message.
const FIND_PAGES_MAX: usize = 5;
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(8) };

/// How Slack is reached.
#[derive(Debug, Clone)]
pub struct SlackConfig {
    /// The bot token, `xoxb-…`.
    pub token: Secret,
    /// The API's address; `None` for Slack itself. Plain `http` only on
    /// loopback.
    pub api_url: Option<String>,
    /// The app-level token, `xapp-…`, which opens connections in Socket Mode.
    pub app_token: Option<Secret>,
    /// The hosts that answers to commands and clicks may go to.
    pub response_hosts: Vec<String>,
}

impl SlackConfig {
    /// What is needed at least.
    pub fn new(token: Secret, api_url: Option<String>) -> Self {
        let response_hosts = RESPONSE_HOSTS.map(str::to_owned).to_vec();
        Self { token, api_url, app_token: None, response_hosts }
    }
}

/// A message to post: where, and what it is known by.
#[derive(Debug, Clone, Copy)]
pub struct Post<'a> {
    /// The channel, or a person's id.
    pub channel: &'a str,
    /// The message whose thread it belongs to.
    pub thread: Option<&'a str>,
    /// Whether the channel is to see it outside of the thread too.
    pub broadcast: bool,
    /// What the message carries unseen, so that it is found again when nobody
    /// knows whether it was posted.
    pub key: Option<&'a str>,
    /// The message.
    pub message: &'a Message,
}

/// A message that was posted: its channel and its name there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Posted {
    /// The channel's id, which may differ from the name posted to.
    pub channel: String,
    /// The message's timestamp.
    pub ts: String,
}

/// A client of Slack; cheap to clone.
#[derive(Debug, Clone)]
pub struct Slack {
    wire: Wire,
    app: Option<Wire>,
    api: Url,
    response_hosts: Arc<[String]>,
    tries_max: u32,
}

/// Whether a call may be made again when nobody knows what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeat {
    /// The same call twice is the same.
    Harmless,
    /// It would post twice: only where Slack said that it did nothing.
    OnlyIfRefused,
}

impl Slack {
    /// A client; nothing is sent yet.
    ///
    /// # Errors
    /// The address is not one, or is plain HTTP to another machine; or the
    /// machine's root certificates can't be read.
    pub fn new(config: &SlackConfig) -> Result<Self, ChatError> {
        let text = config.api_url.as_deref().unwrap_or(SLACK_API).trim_end_matches('/');
        let refuse = |rule| ChatError::BadAddress { address: text.to_owned(), rule };
        let api = Url::parse(text).map_err(|_| refuse("it is not a URL"))?;
        let wire = |secret: &Secret| match api.scheme() {
            "https" => Wire::https(text, secret),
            "http" if is_loopback(&api) => Ok(Wire::loopback(text, secret)),
            "http" => Err(refuse("plain http leads to this machine only")),
            _ => Err(refuse("it must begin with https://")),
        };
        let app = config.app_token.as_ref().map(wire).transpose()?;
        let response_hosts = config.response_hosts.clone().into();
        Ok(Self { wire: wire(&config.token)?, app, api, response_hosts, tries_max: TRIES_MAX })
    }

    /// The same without second tries: for who keeps what is to be sent, and
    /// would rather send something newer later.
    #[must_use]
    pub fn impatient(&self) -> Self {
        Self { tries_max: 1, ..self.clone() }
    }

    /// Posts to a channel the bot is a member of (`#name`, name or id).
    ///
    /// # Errors
    /// Slack refused, or could not be reached. [`ChatError::is_open`] says
    /// that it may have been posted nevertheless: see [`Slack::find`].
    pub async fn post(&self, post: Post<'_>) -> Result<Posted, ChatError> {
        let body = wire::post(&post);
        self.posted("chat.postMessage", &body, Repeat::OnlyIfRefused).await
    }

    /// Looks for a message of ours that was posted with `key` at `since` or
    /// later, in the channel or in a thread of it.
    ///
    /// # Errors
    /// Slack could not be asked; without the right to read history it says
    /// `missing_scope`.
    pub async fn find(
        &self,
        channel: &str,
        thread: Option<&str>,
        key: &str,
        since: jiff::Timestamp,
    ) -> Result<Option<Posted>, ChatError> {
        let method =
            if thread.is_some() { "conversations.replies" } else { "conversations.history" };
        let mut cursor = String::new();
        for _ in 0..FIND_PAGES_MAX {
            let query = wire::look(channel, thread, since, &cursor);
            let once = || self.wire.get::<HistoryWire>(method, &query);
            let page = self.tries(method, Repeat::Harmless, once).await?;
            if let Some(ts) = page.named(key) {
                return Ok(Some(Posted { channel: channel.to_owned(), ts }));
            }
            match page.next() {
                Some(next) => cursor = next,
                None => break,
            }
        }
        Ok(None)
    }

    /// Opens a form; the trigger is good for three seconds, and once.
    ///
    /// # Errors
    /// Slack refused, or could not be reached.
    pub async fn open(&self, trigger_id: &str, view: &View) -> Result<(), ChatError> {
        let (method, body) = ("views.open", wire::open(trigger_id, view));
        // A second try would come too late, and find the trigger used.
        self.once(method, || self.wire.call::<_, Ignored>(method, &body)).await.map(|_| ())
    }

    /// Shows a home page to one person.
    ///
    /// # Errors
    /// Slack refused, or could not be reached.
    pub async fn publish(&self, user: &str, view: &View) -> Result<(), ChatError> {
        let (method, body) = ("views.publish", wire::publish(user, view));
        let once = || self.wire.call::<_, Ignored>(method, &body);
        self.tries(method, Repeat::Harmless, once).await.map(|_| ())
    }

    /// Where the next connection of Socket Mode leads. The address carries a
    /// ticket: it is as secret as a token.
    ///
    /// # Errors
    /// There is no app-level token, Slack refused, or could not be reached.
    pub async fn connection(&self) -> Result<Url, ChatError> {
        let method = "apps.connections.open";
        let Some(app) = &self.app else {
            return Err(ChatError::Refused { method, code: "no app-level token".into() });
        };
        let body = serde_json::json!({});
        let opened: OpenedWire = self.once(method, || app.call(method, &body)).await?;
        let unfit = || ChatError::Unreachable { method, detail: "no address came".into() };
        let url = Url::parse(&opened.url).map_err(|_| unfit())?;
        let plain = url.scheme() == "ws" && is_loopback(&self.api) && is_loopback(&url);
        if url.scheme() == "wss" || plain { Ok(url) } else { Err(unfit()) }
    }

    /// Replaces a message.
    ///
    /// # Errors
    /// Slack refused or could not be reached; [`ChatError::is_gone`] says
    /// that the message can't be changed any more and a new one is needed.
    pub async fn update(&self, posted: &Posted, message: &Message) -> Result<Posted, ChatError> {
        let body = wire::update(posted, message);
        self.posted("chat.update", &body, Repeat::Harmless).await
    }

    /// Shows a message to one person.
    ///
    /// # Errors
    /// Slack refused, or could not be reached.
    pub async fn whisper(
        &self,
        channel: &str,
        user: &str,
        thread: Option<&str>,
        message: &Message,
    ) -> Result<(), ChatError> {
        let body = wire::whisper(channel, user, thread, message);
        let method = "chat.postEphemeral";
        let once = || self.wire.call::<_, Ignored>(method, &body);
        self.tries(method, Repeat::OnlyIfRefused, once).await.map(|_| ())
    }

    /// Answers a command or click later than its request. The address comes
    /// with the request, so only Slack's own hosts are posted to: whoever had
    /// the signing secret could otherwise make Convoy call any host.
    ///
    /// # Errors
    /// The address is not Slack's, Slack refused, or could not be reached.
    pub async fn respond(
        &self,
        response_url: &str,
        audience: Audience,
        message: &Message,
    ) -> Result<(), ChatError> {
        self.answer(response_url, message.answer(audience)).await
    }

    /// The same in the place of the message that was acted on.
    ///
    /// # Errors
    /// As of [`Slack::respond`].
    pub async fn respond_instead(
        &self,
        response_url: &str,
        message: &Message,
    ) -> Result<(), ChatError> {
        let mut body = message.answer(Audience::Caller);
        body["replace_original"] = serde_json::json!(true);
        self.answer(response_url, body).await
    }

    async fn answer(&self, response_url: &str, body: serde_json::Value) -> Result<(), ChatError> {
        let method = "response_url";
        let url = Url::parse(response_url).ok().filter(|url| self.is_slacks(url));
        let url = url.ok_or(ChatError::ForeignResponseUrl)?;
        let once = || self.wire.post_to(url.clone(), &body);
        self.tries(method, Repeat::OnlyIfRefused, once).await.map(|_| ())
    }

    fn is_slacks(&self, url: &Url) -> bool {
        let listed = |host: &str| self.response_hosts.iter().any(|known| known == host);
        let slack = url.scheme() == "https"
            && url.host_str().is_some_and(listed)
            && url.port_or_known_default() == Some(443);
        let no_login = url.username().is_empty() && url.password().is_none();
        no_login && (slack || url.origin() == self.api.origin())
    }

    async fn posted(
        &self,
        method: &'static str,
        body: &(impl Serialize + Send + Sync),
        repeat: Repeat,
    ) -> Result<Posted, ChatError> {
        let once = || self.wire.call::<_, PostedWire>(method, body);
        let PostedWire { channel, ts } = self.tries(method, repeat, once).await?;
        Ok(Posted { channel, ts })
    }

    async fn once<T, F>(&self, method: &'static str, once: impl Fn() -> F) -> Result<T, ChatError>
    where
        F: Future<Output = Result<T, slack_morphism::errors::SlackClientError>>,
    {
        match tokio::time::timeout(TRY_TIME_MAX, once()).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(ChatError::from_client(method, &error)),
            Err(_) => Err(ChatError::TimedOut { method }),
        }
    }

    /// Calls `once` until it succeeds, is refused for good, or was tried
    /// as often as it may be.
    async fn tries<T, F>(
        &self,
        method: &'static str,
        repeat: Repeat,
        once: impl Fn() -> F,
    ) -> Result<T, ChatError>
    where
        F: Future<Output = Result<T, slack_morphism::errors::SlackClientError>>,
    {
        let mut tries = 0;
        loop {
            tries += 1;
            let error = match self.once(method, &once).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let Some(wait) = wait(&error, repeat, tries, self.tries_max) else { return Err(error) };
            tracing::warn!(
                method,
                tries,
                wait_ms = wait.as_millis() as u64,
                "slack: {error}; trying again"
            );
            tokio::time::sleep(wait).await;
        }
    }
}

/// How long to wait before the next try; `None` to give up.
fn wait(error: &ChatError, repeat: Repeat, tries: u32, most: u32) -> Option<Duration> {
    if tries >= most {
        return None;
    }
    match error {
        ChatError::RateLimited { retry_after, .. } => {
            let asked = retry_after.unwrap_or_else(|| BACKOFF.wait(tries, 0.0));
            (asked <= WAIT_MAX).then_some(asked)
        }
        error if error.is_transient() && repeat == Repeat::Harmless => {
            Some(BACKOFF.wait(tries, 0.0))
        }
        _ => None,
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slack(api_url: Option<&str>) -> Result<Slack, ChatError> {
        let api_url = api_url.map(str::to_owned);
        Slack::new(&SlackConfig::new(Secret::new("xoxb-secret"), api_url))
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for good in ["http://127.0.0.1:9/api", "http://[::1]:9/api", "http://localhost:9/api/"] {
            assert!(slack(Some(good)).is_ok(), "{good}");
        }
        for bad in
            ["http://slack.com/api", "ftp://127.0.0.1", "slack", "http://127.0.0.1.evil.example/"]
        {
            assert!(matches!(slack(Some(bad)), Err(ChatError::BadAddress { .. })), "{bad}");
        }
    }

    #[test]
    fn only_slacks_own_hosts_are_answered() {
        let slack = slack(Some("http://127.0.0.1:9/api")).unwrap();
        let table = [
            ("https://hooks.slack.com/commands/T1/2/x", true),
            ("http://127.0.0.1:9/response/1", true),
            ("http://hooks.slack.com/commands/T1/2/x", false),
            ("https://hooks.slack.com:8443/x", false),
            ("https://hooks.slack.com.evil.example/x", false),
            ("https://hooks.slack.com@evil.example/x", false),
            ("https://user:pass@hooks.slack.com/x", false),
            ("http://127.0.0.1:10/response/1", false),
            ("http://169.254.169.254/latest/meta-data", false),
        ];
        for (address, good) in table {
            assert_eq!(slack.is_slacks(&Url::parse(address).unwrap()), good, "{address}");
        }
    }

    #[test]
    fn a_token_does_not_show_when_printed() {
        let slack = slack(Some("http://127.0.0.1:9/api")).unwrap();
        assert!(!format!("{slack:?}").contains("xoxb"), "{slack:?}");
    }

    #[test]
    fn what_may_have_been_posted_is_not_posted_again() {
        let lost = ChatError::TimedOut { method: "chat.postMessage" };
        assert_eq!(wait(&lost, Repeat::OnlyIfRefused, 1, TRIES_MAX), None);
        assert_eq!(wait(&lost, Repeat::Harmless, 2, TRIES_MAX), Some(Duration::from_secs(2)));
        assert_eq!(wait(&lost, Repeat::Harmless, TRIES_MAX, TRIES_MAX), None);
        let limited = |seconds| ChatError::RateLimited {
            method: "chat.postMessage",
            retry_after: Some(Duration::from_secs(seconds)),
        };
        assert_eq!(
            wait(&limited(3), Repeat::OnlyIfRefused, 1, TRIES_MAX),
            Some(Duration::from_secs(3))
        );
        assert_eq!(wait(&limited(3_600), Repeat::OnlyIfRefused, 1, TRIES_MAX), None);
    }
}
