//! Socket Mode: Slack's requests over connections that we open, for places
//! that Slack can't reach.
//!
//! Each connection is asked for with the app-level token, lives until Slack
//! takes it back (`disconnect`), and is followed by the next. With several,
//! one is always open. An envelope is acknowledged before anything is done
//! about it; only a form that was sent waits for its answer, because the
//! answer travels in the acknowledgement. The `tungstenite` crates, which
//! slack-morphism links already, speak the protocol; its own listener is not
//! used, because it acknowledges nothing that it does not know.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, SplitSink};
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WireError, Message as Frame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::client::Slack;
use crate::retry::Backoff;
use crate::tasks::Tasks;

/// Slack allows ten.
pub const CONNECTIONS_MAX: usize = 10;
/// Envelopes are a few KiB; what HTTP may carry is the bound here too.
const FRAME_MAX: usize = 256 * 1024;
/// Slack sends a ping every few seconds; silence means that nobody is there.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// From the ticket to an open connection.
const CONNECT_MAX: Duration = Duration::from_secs(15);
/// Forms whose answers are awaited at once on one connection; one more is
/// acknowledged without.
const FORMS_MAX: usize = 32;
const BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(30) };

/// One request of Slack's.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// `slash_commands`, `interactive`, `events_api`.
    pub kind: String,
    /// What HTTP would have carried.
    pub payload: Value,
}

/// Who takes requests.
pub trait Listener: Send + Sync {
    /// Takes one that is acknowledged already.
    fn take(&self, envelope: Envelope);

    /// Takes a form; gives what the acknowledgement carries. It must not take
    /// longer than Slack waits.
    fn take_form(&self, envelope: Envelope) -> BoxFuture<'static, Option<Value>>;
}

/// Keeps `connections` open until the program drains.
pub fn listen(slack: &Slack, listener: &Arc<dyn Listener>, connections: usize, tasks: &Tasks) {
    for number in 0..connections.clamp(1, CONNECTIONS_MAX) {
        let line = Line { slack: slack.clone(), listener: listener.clone(), number };
        let draining = tasks.draining();
        tasks.spawn("slack-socket", async move {
            tokio::select! {
                () = line.keep() => {}
                // Dropping the connection closes it; what was acknowledged is
                // carried out by tasks of their own.
                () = draining => {}
            }
        });
    }
}

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

struct Line {
    slack: Slack,
    listener: Arc<dyn Listener>,
    number: usize,
}

/// Why a connection ended.
enum End {
    /// Slack asked for a new one.
    Asked,
    /// It broke, or was never open.
    Broken(String),
}

#[derive(Deserialize)]
struct Envelop {
    #[serde(rename = "type", default)]
    kind: String,
    envelope_id: Option<String>,
    #[serde(default)]
    payload: Value,
    #[serde(default)]
    accepts_response_payload: bool,
}

impl Line {
    async fn keep(&self) {
        let mut failures = 0;
        loop {
            let mut greeted = false;
            match self.connection(&mut greeted).await {
                End::Asked => failures = 0,
                End::Broken(detail) => {
                    failures = if greeted { 1 } else { failures + 1 };
                    let wait = BACKOFF.wait(failures, 0.0);
                    let (connection, wait_ms) = (self.number, wait.as_millis() as u64);
                    tracing::warn!(connection, wait_ms, "slack: a connection ended: {detail}");
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    async fn connection(&self, greeted: &mut bool) -> End {
        let stream = match tokio::time::timeout(CONNECT_MAX, self.connect()).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(detail)) => return End::Broken(detail),
            Err(_) => return End::Broken("it could not be opened in time".into()),
        };
        match self.serve(stream, greeted).await {
            Ok(()) => End::Asked,
            Err(detail) => End::Broken(detail),
        }
    }

    async fn connect(&self) -> Result<Stream, String> {
        let url = self.slack.connection().await.map_err(|error| error.to_string())?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(FRAME_MAX))
            .max_frame_size(Some(FRAME_MAX));
        let opened =
            tokio_tungstenite::connect_async_with_config(url.as_str(), Some(config), true).await;
        // The address carries a ticket, so no error is printed with it.
        opened.map(|(stream, _)| stream).map_err(|error| plain(&error))
    }

    /// Takes requests until Slack wants a new connection.
    async fn serve(&self, stream: Stream, greeted: &mut bool) -> Result<(), String> {
        let (mut sink, mut frames) = stream.split();
        let mut forms: FuturesUnordered<BoxFuture<'static, (String, Option<Value>)>> =
            FuturesUnordered::new();
        loop {
            tokio::select! {
                frame = tokio::time::timeout(SILENCE_MAX, frames.next()) => {
                    let frame = frame.map_err(|_| "nothing was heard for too long".to_owned())?;
                    let frame = frame.ok_or("it was closed")?.map_err(|error| plain(&error))?;
                    let Frame::Text(text) = frame else { continue };
                    let Some(envelop) = read(&text) else { continue };
                    match envelop.kind.as_str() {
                        "hello" => *greeted = true,
                        "disconnect" => {
                            // What waits for an answer gets it on this one still.
                            finish(&mut sink, forms).await?;
                            return Ok(());
                        }
                        _ => self.envelope(envelop, &mut sink, &mut forms).await?,
                    }
                }
                Some((id, answer)) = forms.next(), if !forms.is_empty() => {
                    acknowledge(&mut sink, &id, answer).await?;
                }
            }
        }
    }

    async fn envelope(
        &self,
        envelop: Envelop,
        sink: &mut SplitSink<Stream, Frame>,
        forms: &mut FuturesUnordered<BoxFuture<'static, (String, Option<Value>)>>,
    ) -> Result<(), String> {
        let Some(id) = envelop.envelope_id else { return Ok(()) };
        let is_form = envelop.payload["type"] == "view_submission";
        let waits = is_form && envelop.accepts_response_payload && forms.len() < FORMS_MAX;
        let envelope = Envelope { kind: envelop.kind, payload: envelop.payload };
        if waits {
            let answer = self.listener.take_form(envelope);
            forms.push(Box::pin(async move { (id, answer.await) }));
            return Ok(());
        }
        acknowledge(sink, &id, None).await?;
        self.listener.take(envelope);
        Ok(())
    }
}

/// What is not JSON, or no envelope, is passed over: there is no id to answer.
fn read(text: &str) -> Option<Envelop> {
    let read = serde_json::from_str(text);
    read.inspect_err(|error| tracing::warn!("slack: a frame can't be read: {error}")).ok()
}

async fn finish(
    sink: &mut SplitSink<Stream, Frame>,
    mut forms: FuturesUnordered<BoxFuture<'static, (String, Option<Value>)>>,
) -> Result<(), String> {
    while let Some((id, answer)) = forms.next().await {
        acknowledge(sink, &id, answer).await?;
    }
    let _ = sink.close().await;
    Ok(())
}

async fn acknowledge(
    sink: &mut SplitSink<Stream, Frame>,
    id: &str,
    payload: Option<Value>,
) -> Result<(), String> {
    let mut answer = json!({ "envelope_id": id });
    if let Some(payload) = payload {
        answer["payload"] = payload;
    }
    sink.send(Frame::text(answer.to_string())).await.map_err(|error| plain(&error))
}

/// An error without the address or the bytes that it may carry.
fn plain(error: &WireError) -> String {
    match error {
        WireError::Http(response) => format!("it was refused with status {}", response.status()),
        WireError::Io(error) => error.to_string(),
        WireError::Tls(error) => error.to_string(),
        WireError::ConnectionClosed | WireError::AlreadyClosed => "it was closed".into(),
        WireError::Capacity(error) => error.to_string(),
        WireError::Protocol(error) => error.to_string(),
        _ => "it failed".into(),
    }
}
