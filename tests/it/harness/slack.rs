//! A stand-in for Slack's Web API, and the requests that Slack would send.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use super::convoy::Convoy;
use super::process::Beside;

/// Signs what the stand-in sends.
pub(crate) const SIGNING_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
/// What Convoy shows the stand-in.
pub(crate) const BOT_TOKEN: &str = "xoxb-test";

/// The stand-in at work.
pub(crate) struct FakeSlack {
    port: u16,
    _running: Beside,
}

impl FakeSlack {
    /// Starts it.
    pub(crate) fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/fake_slack.py");
        let mut command = Command::new("python3");
        command.args([script, "--port", "0", "--token", BOT_TOKEN]).stdout(Stdio::piped());
        let mut running = Beside::start(&mut command);
        let port = running.listening_port();
        Self { port, _running: running }
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Every call that came, oldest first.
    pub(crate) fn log(&self) -> Vec<Value> {
        let log = self.exchange("GET", "/_log", &Value::Null);
        log.as_array().cloned().unwrap_or_default()
    }

    /// Lets calls fail.
    pub(crate) fn fail(&self, failure: &Value) {
        self.exchange("POST", "/_fail", failure);
    }

    /// A plain exchange with the stand-in itself, by no client of ours.
    pub(crate) fn exchange(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the stand-in runs");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        )
        .expect("the stand-in listens");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the stand-in answers");
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body);
        serde_json::from_str(body.expect("an HTTP answer")).expect("JSON")
    }

    /// Sends a slash command; gives status and answer.
    pub(crate) fn command(&self, convoy: &Convoy, user: &str, text: &str) -> (u16, Value) {
        let trigger = format!("{:x}", hash(&format!("{user}{text}{}", now())));
        let body = form(&[
            ("command", "/convoy"),
            ("text", text),
            ("user_id", user),
            ("user_name", user),
            ("team_id", "T0MESH"),
            ("channel_id", "C0MESH"),
            ("trigger_id", &trigger),
            ("response_url", &format!("{}/response/1", self.url())),
        ]);
        self.signed(convoy, "/slack/command", &body, now())
    }

    /// Clicks a button of a card.
    pub(crate) fn click(
        &self,
        convoy: &Convoy,
        user: &str,
        action: &str,
        value: &str,
        action_ts: &str,
    ) -> (u16, Value) {
        let payload = serde_json::json!({
            "type": "block_actions",
            "user": {"id": user},
            "team": {"id": "T0MESH"},
            "channel": {"id": "C0MESH"},
            "container": {"type": "message", "message_ts": "1.1", "channel_id": "C0MESH"},
            "message": {"ts": "1.1"},
            "response_url": format!("{}/response/2", self.url()),
            "trigger_id": "t",
            "actions": [{"type": "button", "action_id": action, "block_id": "b", "value": value,
                         "action_ts": action_ts}],
        });
        let body = form(&[("payload", &payload.to_string())]);
        self.signed(convoy, "/slack/interactive", &body, now())
    }

    /// Sends a body signed for `timestamp`.
    pub(crate) fn signed(
        &self,
        convoy: &Convoy,
        path: &str,
        body: &str,
        timestamp: i64,
    ) -> (u16, Value) {
        self.raw(convoy, path, body, &timestamp.to_string(), &sign(timestamp, body))
    }

    /// Sends a body with whatever signature.
    pub(crate) fn raw(
        &self,
        convoy: &Convoy,
        path: &str,
        body: &str,
        timestamp: &str,
        signature: &str,
    ) -> (u16, Value) {
        let request = http()
            .post(format!("{}{path}", convoy.url()))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("x-slack-request-timestamp", timestamp)
            .header("x-slack-signature", signature)
            .body(body.to_owned());
        let answer = request.send().expect("the server answers");
        let status = answer.status().as_u16();
        let text = answer.text().expect("the answer is text");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}

/// Slack's signature of a body.
pub(crate) fn sign(timestamp: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SIGNING_SECRET.as_bytes()).expect("any key fits");
    mac.update(format!("v0:{timestamp}:{body}").as_bytes());
    let bytes = mac.finalize().into_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("v0={hex}")
}

/// The wall clock in seconds.
#[allow(clippy::disallowed_methods, reason = "signatures carry the wall clock")]
pub(crate) fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(now.unwrap_or_default().as_secs()).unwrap_or(0)
}

/// A form's body.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let field = |(name, value): &(&str, &str)| format!("{name}={}", escape(value));
    fields.iter().map(field).collect::<Vec<_>>().join("&")
}

fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn hash(text: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

fn http() -> reqwest::blocking::Client {
    convoy::app::choose_crypto();
    let client = reqwest::blocking::Client::builder().timeout(Duration::from_secs(20));
    client.build().expect("a client can be made")
}
