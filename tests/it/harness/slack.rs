//! A stand-in for Slack's Web API, and the requests that Slack would send.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use super::convoy::{Convoy, wait_for};
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

    /// Sends a slash command over HTTP; gives status and answer, also one that
    /// came later.
    pub(crate) fn command(&self, convoy: &Convoy, user: &str, text: &str) -> (u16, Value) {
        let (fields, path) = self.command_fields(user, text);
        let pairs: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let (status, answer) = self.signed(convoy, "/slack/command", &form(&pairs), now());
        let late = answer["text"].as_str().is_some_and(|text| text.contains("Working on it"));
        (status, if late { self.answered(&path) } else { answer })
    }

    /// Says something in another channel, over HTTP.
    pub(crate) fn say_in(&self, convoy: &Convoy, channel: &str, user: &str, text: &str) -> Value {
        let (mut fields, path) = self.command_fields(user, text);
        for (name, value) in &mut fields {
            if name == "channel_id" {
                channel.clone_into(value);
            }
        }
        let pairs: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let (_, answer) = self.signed(convoy, "/slack/command", &form(&pairs), now());
        let late = answer["text"].as_str().is_some_and(|text| text.contains("Working on it"));
        if late { self.answered(&path) } else { answer }
    }

    fn command_fields(&self, user: &str, text: &str) -> (Vec<(String, String)>, String) {
        let path = format!("/response/{}", unique());
        let response_url = format!("{}{path}", self.url());
        let trigger = unique();
        let fields = [
            ("command", "/convoy"),
            ("text", text),
            ("user_id", user),
            ("user_name", user),
            ("team_id", "T0MESH"),
            ("channel_id", "C0MESH"),
            ("trigger_id", trigger.as_str()),
            ("response_url", response_url.as_str()),
        ];
        (fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(), path)
    }

    /// What was posted to a `response_url`, once it is there.
    pub(crate) fn answered(&self, path: &str) -> Value {
        wait_for(&format!("an answer at {path}"), || {
            let log = self.log();
            let found = log.iter().find(|call| call["body"]["path"] == path);
            found.map(|call| call["body"].clone()).ok_or_else(|| format!("{log:?}"))
        })
    }

    /// Clicks a button of a card; gives status and answer.
    pub(crate) fn click(
        &self,
        convoy: &Convoy,
        user: &str,
        action: &str,
        value: &str,
        action_ts: &str,
    ) -> (u16, Value) {
        let (payload, _) = self.click_payload(user, action, value, action_ts);
        self.signed(
            convoy,
            "/slack/interactive",
            &form(&[("payload", &payload.to_string())]),
            now(),
        )
    }

    fn click_payload(
        &self,
        user: &str,
        action: &str,
        value: &str,
        action_ts: &str,
    ) -> (Value, String) {
        let path = format!("/response/{}", unique());
        let payload = serde_json::json!({
            "type": "block_actions",
            "user": {"id": user},
            "team": {"id": "T0MESH"},
            "channel": {"id": "C0MESH"},
            "container": {"type": "message", "message_ts": "1.1", "channel_id": "C0MESH"},
            "message": {"ts": "1.1"},
            "response_url": format!("{}{path}", self.url()),
            "trigger_id": unique(),
            "actions": [{"type": "button", "action_id": action, "block_id": "b", "value": value,
                         "action_ts": action_ts}],
        });
        (payload, path)
    }

    /// Says something, whichever way Slack delivers it; gives the answer.
    pub(crate) fn say(&self, convoy: &Convoy, way: Way, user: &str, text: &str) -> Value {
        if way == Way::Http {
            let (status, answer) = self.command(convoy, user, text);
            assert_eq!(status, 200, "{answer}");
            return answer;
        }
        let (fields, path) = self.command_fields(user, text);
        let payload: serde_json::Map<_, _> =
            fields.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
        self.envelope("slash_commands", Value::Object(payload));
        self.answered(&path)
    }

    /// Presses a button; gives what the presser is told.
    pub(crate) fn press(
        &self,
        convoy: &Convoy,
        way: Way,
        user: &str,
        (action, value): (&str, &str),
    ) -> Value {
        let path = self.touch(convoy, way, user, (action, value));
        self.answered(&path)
    }

    /// Presses a button that opens a form; gives the form.
    pub(crate) fn opens(
        &self,
        convoy: &Convoy,
        way: Way,
        user: &str,
        (action, value): (&str, &str),
    ) -> Value {
        let before = self.views("views.open").len();
        self.touch(convoy, way, user, (action, value));
        self.next_view("views.open", before)
    }

    fn touch(
        &self,
        convoy: &Convoy,
        way: Way,
        user: &str,
        (action, value): (&str, &str),
    ) -> String {
        let (payload, path) = self.click_payload(user, action, value, &unique());
        self.interact(convoy, way, payload);
        path
    }

    /// Every form or page that was shown.
    fn views(&self, method: &str) -> Vec<Value> {
        let log = self.log().into_iter().filter(|call| call["method"] == method);
        log.map(|call| call["body"]["view"].clone()).collect()
    }

    fn next_view(&self, method: &str, before: usize) -> Value {
        wait_for("a view", || {
            self.views(method).get(before).cloned().ok_or_else(|| format!("{:?}", self.log()))
        })
    }

    /// Fills in a form and sends it; gives what it is told (`Null`: it closes).
    pub(crate) fn submit(
        &self,
        convoy: &Convoy,
        way: Way,
        user: &str,
        view: &Value,
        values: &[(&str, &str)],
    ) -> Value {
        let mut filled = serde_json::Map::new();
        for (name, value) in values {
            let typed = serde_json::json!({"type": "plain_text_input", "value": value});
            let chosen = serde_json::json!({
                "type": "static_select", "selected_option": {"value": value},
            });
            let is_choice = view.to_string().contains("static_select") && *name != "reason";
            let input = if is_choice { chosen } else { typed };
            filled.insert((*name).to_owned(), serde_json::json!({ "input": input }));
        }
        let payload = serde_json::json!({
            "type": "view_submission",
            "user": {"id": user},
            "team": {"id": "T0MESH"},
            "trigger_id": unique(),
            "view": {
                "id": format!("V{}", unique()), "hash": unique(), "type": "modal",
                "callback_id": view["callback_id"], "private_metadata": view["private_metadata"],
                "state": {"values": filled},
            },
        });
        self.interact(convoy, way, payload)
    }

    /// Chooses a shortcut; gives the form.
    pub(crate) fn shortcut(&self, convoy: &Convoy, way: Way, user: &str, name: &str) -> Value {
        let before = self.views("views.open").len();
        let payload = serde_json::json!({
            "type": "shortcut", "callback_id": name, "user": {"id": user},
            "team": {"id": "T0MESH"}, "action_ts": unique(), "trigger_id": unique(),
        });
        self.interact(convoy, way, payload);
        self.next_view("views.open", before)
    }

    fn interact(&self, convoy: &Convoy, way: Way, payload: Value) -> Value {
        match way {
            Way::Http => {
                let body = form(&[("payload", &payload.to_string())]);
                let (status, answer) = self.signed(convoy, "/slack/interactive", &body, now());
                assert_eq!(status, 200, "{answer}");
                if answer == "" { Value::Null } else { answer }
            }
            Way::Socket => self.envelope("interactive", payload)["payload"].clone(),
        }
    }

    /// Tells of an event.
    pub(crate) fn event(&self, convoy: &Convoy, way: Way, id: &str, event: &Value) {
        let payload = serde_json::json!({
            "type": "event_callback", "event_id": id, "team_id": "T0MESH", "event": event,
        });
        match way {
            Way::Http => {
                let (status, answer) =
                    self.signed(convoy, "/slack/events", &payload.to_string(), now());
                assert_eq!(status, 200, "{answer}");
            }
            Way::Socket => {
                self.envelope("events_api", payload);
            }
        }
    }

    /// Sends an envelope over Socket Mode; gives its acknowledgement.
    pub(crate) fn envelope(&self, kind: &str, payload: Value) -> Value {
        let envelope = serde_json::json!({
            "envelope_id": unique(), "type": kind, "payload": payload,
            "accepts_response_payload": true,
        });
        wait_for("a connection", || {
            let answer = self.exchange("POST", "/_socket", &envelope);
            if answer["error"] == "no connection" { Err(answer.to_string()) } else { Ok(answer) }
        })
    }

    /// The home page that was shown last, once one more was.
    pub(crate) fn next_home(&self, before: usize) -> Value {
        self.next_view("views.publish", before)
    }

    /// How many home pages were shown.
    pub(crate) fn homes(&self) -> usize {
        self.views("views.publish").len()
    }

    /// What stands in a channel: the messages outside of threads, and those in
    /// one.
    pub(crate) fn channel(&self, channel: &str) -> (Vec<Value>, Vec<Value>) {
        let shown = self.exchange("GET", "/_messages", &Value::Null);
        let all = shown[channel].as_array().cloned().unwrap_or_default();
        all.into_iter().partition(|message| message["thread_ts"].is_null())
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

/// How Slack delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// It calls us.
    Http,
    /// Over a connection that we opened.
    Socket,
}

/// What the buttons of a preview carry.
pub(crate) fn confirming(preview: &Value) -> String {
    let text = preview.to_string();
    let at = text.find("\"c1.").unwrap_or_else(|| panic!("no preview: {text}"));
    text[at + 1..].split('"').next().unwrap_or_default().to_owned()
}

/// A name that was not used before.
pub(crate) fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!(
        "{:x}{}x{count}",
        hash(&format!("{:?}", std::thread::current().id())),
        std::process::id()
    )
}

/// Slack's signature of a body.
pub(crate) fn sign(timestamp: i64, body: &str) -> String {
    sign_with(SIGNING_SECRET, timestamp, body)
}

/// The same with another secret.
pub(crate) fn sign_with(secret: &str, timestamp: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key fits");
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
