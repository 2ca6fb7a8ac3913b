//! What Slack sends, cut down to what is used here, whichever way it came.
//!
//! Over HTTP a command is a form, a click a form with JSON in it, an event
//! JSON; in Socket Mode all are JSON. Both are read into the same values.
//!
//! Not slack-morphism's event types: those are closed enums that refuse a
//! whole request for one unknown type or missing field. Called only with a
//! body that `ingress` has verified, or from a connection that Slack opened.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use url::form_urlencoded;

/// Who sent something. Only ids: names can be changed by their owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user id.
    pub user: String,
    /// The workspace's id.
    pub team: Option<String>,
    /// The enterprise's id, in an Enterprise Grid.
    pub enterprise: Option<String>,
}

impl Caller {
    /// What names them for good: within the enterprise if there is one, else
    /// within the workspace.
    pub fn key(&self) -> String {
        match self.enterprise.as_ref().or(self.team.as_ref()) {
            Some(scope) => format!("{scope}/{}", self.user),
            None => self.user.clone(),
        }
    }
}

/// A slash command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlashCommand {
    /// The command's own name, `/convoy`.
    pub command: String,
    /// What was typed behind it.
    pub text: String,
    /// Who typed it.
    pub caller: Caller,
    /// Where.
    pub channel: String,
    /// Where a later answer goes.
    pub response_url: String,
    /// Names this one use of the command, and opens one form.
    pub trigger_id: String,
}

/// What a person did to a message, a form or the app itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interaction {
    /// A button was pressed.
    Click(Click),
    /// A form was sent.
    Submit(Submission),
    /// A shortcut was chosen.
    Shortcut(Shortcut),
    /// Something that nothing of ours asks for; acknowledged, ignored.
    Other(String),
}

/// A button that was pressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Click {
    /// Who pressed it.
    pub caller: Caller,
    /// The channel of the message; empty on a home page.
    pub channel: String,
    /// The message's timestamp, its name within the channel.
    pub message_ts: String,
    /// Which button.
    pub action_id: String,
    /// When, as Slack counts; with the rest it names this one click.
    pub action_ts: String,
    /// The button's value.
    pub value: String,
    /// Where an answer to the person goes.
    pub response_url: Option<String>,
    /// Opens one form, within three seconds.
    pub trigger_id: String,
}

/// A form that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Who sent it.
    pub caller: Caller,
    /// The form's name.
    pub view: String,
    /// With the name, which state of it was sent.
    pub hash: String,
    /// Which form it is.
    pub callback_id: String,
    /// What we put into it.
    pub metadata: String,
    /// What was filled in, by the block's id.
    pub values: BTreeMap<String, String>,
}

/// A shortcut that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortcut {
    /// Who chose it.
    pub caller: Caller,
    /// Which.
    pub callback_id: String,
    /// When, as Slack counts.
    pub action_ts: String,
    /// Opens one form, within three seconds.
    pub trigger_id: String,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// Slack wants to see the challenge again.
    UrlVerification(String),
    /// Somebody opened the app's home page.
    HomeOpened {
        /// Who.
        caller: Caller,
        /// The event's name.
        event: String,
    },
    /// Somebody mentioned the app.
    Mention(Mention),
    /// Anything else, by its type.
    Other(String),
}

/// A message that mentions the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// Who wrote it.
    pub caller: Caller,
    /// The event's name.
    pub event: String,
    /// What was written behind the mention.
    pub text: String,
    /// Where.
    pub channel: String,
    /// The thread to answer in: the message's own, or the one it is in.
    pub thread: String,
    /// Whether it was written in a thread.
    pub threaded: bool,
}

/// Why a verified body can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// A field that is needed is not there.
    #[error("the field `{0}` is missing")]
    Missing(&'static str),
    /// The JSON is broken.
    #[error("the field `{field}` can't be read: {detail}")]
    Malformed {
        /// Which.
        field: &'static str,
        /// What the parser says.
        detail: String,
    },
}

/// Whether Slack only checks the certificate (`ssl_check=1`). Such a request
/// asks for nothing and is answered before its signature is looked at.
pub fn is_ssl_check(body: &[u8]) -> bool {
    field(body, "ssl_check").is_some_and(|value| value == "1")
}

impl SlashCommand {
    /// Reads the form.
    ///
    /// # Errors
    /// A field that is needed is missing.
    pub fn parse(body: &[u8]) -> Result<Self, FormError> {
        Self::of(|name| field(body, name))
    }

    /// Reads the same fields from JSON.
    ///
    /// # Errors
    /// As above.
    pub fn read(payload: &Value) -> Result<Self, FormError> {
        Self::of(|name| payload[name].as_str().map(str::to_owned))
    }

    fn of(field: impl Fn(&str) -> Option<String>) -> Result<Self, FormError> {
        let need = |name| field(name).ok_or(FormError::Missing(name));
        Ok(Self {
            command: need("command")?,
            text: need("text")?,
            caller: Caller {
                user: need("user_id")?,
                team: Some(need("team_id")?),
                enterprise: field("enterprise_id").filter(|id| !id.is_empty()),
            },
            channel: need("channel_id")?,
            response_url: need("response_url")?,
            trigger_id: need("trigger_id")?,
        })
    }
}

/// The first field named `name`.
fn field(body: &[u8], name: &str) -> Option<String> {
    let mut fields = form_urlencoded::parse(body);
    fields.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

#[derive(Deserialize)]
struct Payload {
    user: Option<Id>,
    team: Option<Id>,
    enterprise: Option<Id>,
    channel: Option<Id>,
    container: Option<Container>,
    message: Option<Ts>,
    #[serde(default)]
    actions: Vec<Action>,
    view: Option<View>,
    #[serde(default)]
    callback_id: String,
    #[serde(default)]
    action_ts: String,
    #[serde(default)]
    trigger_id: String,
    response_url: Option<String>,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

#[derive(Deserialize)]
struct Ts {
    ts: String,
}

#[derive(Deserialize)]
struct Container {
    message_ts: Option<String>,
    channel_id: Option<String>,
    view_id: Option<String>,
}

#[derive(Deserialize)]
struct Action {
    #[serde(default)]
    action_id: String,
    #[serde(default)]
    action_ts: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
struct View {
    id: String,
    #[serde(default)]
    hash: String,
    #[serde(default)]
    callback_id: String,
    #[serde(default)]
    private_metadata: String,
    #[serde(default)]
    state: ViewState,
}

#[derive(Default, Deserialize)]
struct ViewState {
    #[serde(default)]
    values: BTreeMap<String, BTreeMap<String, Value>>,
}

fn malformed(field: &'static str) -> impl Fn(serde_json::Error) -> FormError {
    move |error| FormError::Malformed { field, detail: error.to_string() }
}

impl Interaction {
    /// Reads the form's `payload`.
    ///
    /// # Errors
    /// There is none, it is not JSON, or a click lacks who and where.
    pub fn parse(body: &[u8]) -> Result<Self, FormError> {
        let text = field(body, "payload").ok_or(FormError::Missing("payload"))?;
        Self::read(serde_json::from_str(&text).map_err(malformed("payload"))?)
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// As above.
    pub fn read(value: Value) -> Result<Self, FormError> {
        let kind = value["type"].as_str().unwrap_or("").to_owned();
        let read = match kind.as_str() {
            "block_actions" => click,
            "view_submission" => submission,
            "shortcut" => shortcut,
            _ => return Ok(Self::Other(kind)),
        };
        let payload = serde_json::from_value(value).map_err(malformed("payload"))?;
        read(payload)?.map_or(Ok(Self::Other(kind)), Ok)
    }
}

impl Payload {
    fn caller(&mut self) -> Result<Caller, FormError> {
        let id = |id: Option<Id>| id.map(|id| id.id);
        Ok(Caller {
            user: id(self.user.take()).ok_or(FormError::Missing("user"))?,
            team: id(self.team.take()),
            enterprise: id(self.enterprise.take()),
        })
    }
}

fn click(mut payload: Payload) -> Result<Option<Interaction>, FormError> {
    let Some(action) = payload.actions.pop() else { return Ok(None) };
    let caller = payload.caller()?;
    let (mut message_ts, mut channel) = (None, payload.channel.map(|channel| channel.id));
    if let Some(container) = payload.container {
        // A home page has no message: its own name stands for it.
        message_ts = container.message_ts.or(container.view_id);
        channel = channel.or(container.channel_id);
    }
    Ok(Some(Interaction::Click(Click {
        caller,
        channel: channel.unwrap_or_default(),
        message_ts: message_ts.or(payload.message.map(|message| message.ts)).unwrap_or_default(),
        action_id: action.action_id,
        action_ts: action.action_ts,
        value: action.value,
        response_url: payload.response_url,
        trigger_id: payload.trigger_id,
    })))
}

fn submission(mut payload: Payload) -> Result<Option<Interaction>, FormError> {
    let caller = payload.caller()?;
    let view = payload.view.ok_or(FormError::Missing("view"))?;
    let filled = view.state.values.into_iter().filter_map(|(block, inputs)| {
        let input = inputs.into_values().next()?;
        let chosen = input["selected_option"]["value"].as_str();
        let text = input["value"].as_str().or(chosen)?.to_owned();
        Some((block, text))
    });
    Ok(Some(Interaction::Submit(Submission {
        caller,
        values: filled.collect(),
        view: view.id,
        hash: view.hash,
        callback_id: view.callback_id,
        metadata: view.private_metadata,
    })))
}

fn shortcut(mut payload: Payload) -> Result<Option<Interaction>, FormError> {
    Ok(Some(Interaction::Shortcut(Shortcut {
        caller: payload.caller()?,
        callback_id: payload.callback_id,
        action_ts: payload.action_ts,
        trigger_id: payload.trigger_id,
    })))
}

impl Incoming {
    /// Reads an event's JSON.
    ///
    /// # Errors
    /// It is not JSON, or a challenge is missing.
    pub fn parse(body: &[u8]) -> Result<Self, FormError> {
        Self::read(&serde_json::from_slice(body).map_err(malformed("body"))?)
    }

    /// Reads an event.
    ///
    /// # Errors
    /// A challenge, or who did what, is missing.
    pub fn read(value: &Value) -> Result<Self, FormError> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let kind = value["type"].as_str().unwrap_or("");
        if kind == "url_verification" {
            let challenge = text(&value["challenge"]).ok_or(FormError::Missing("challenge"))?;
            return Ok(Self::UrlVerification(challenge));
        }
        let event = &value["event"];
        let of = event["type"].as_str().unwrap_or("");
        // What bots write, ours or another, is no request.
        let ours = !matches!(of, "app_home_opened" | "app_mention") || !event["bot_id"].is_null();
        if kind != "event_callback" || ours {
            return Ok(Self::Other(if of.is_empty() { kind } else { of }.to_owned()));
        }
        let grid = &value["authorizations"][0]["enterprise_id"];
        let caller = Caller {
            user: text(&event["user"]).ok_or(FormError::Missing("user"))?,
            team: text(&value["team_id"]),
            enterprise: text(&value["enterprise_id"]).or_else(|| text(grid)),
        };
        let name = text(&value["event_id"]).ok_or(FormError::Missing("event_id"))?;
        if of == "app_home_opened" {
            return Ok(match event["tab"].as_str() {
                None | Some("home") => Self::HomeOpened { caller, event: name },
                Some(tab) => Self::Other(format!("{of} {tab}")),
            });
        }
        let ts = text(&event["ts"]).ok_or(FormError::Missing("ts"))?;
        let thread = text(&event["thread_ts"]);
        Ok(Self::Mention(Mention {
            caller,
            event: name,
            text: behind_mention(event["text"].as_str().unwrap_or("")).to_owned(),
            channel: text(&event["channel"]).ok_or(FormError::Missing("channel"))?,
            threaded: thread.is_some(),
            thread: thread.unwrap_or(ts),
        }))
    }
}

/// What stands behind the first mention; all of it where there is none.
fn behind_mention(text: &str) -> &str {
    let behind = text.find("<@").and_then(|at| text[at..].split_once('>'));
    behind.map_or(text, |(_, rest)| rest).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "token=x&team_id=T1&channel_id=C1&user_id=U1&command=%2Fconvoy\
        &text=promote+b-1+to+canary&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2F1\
        &trigger_id=1.2.3";

    fn payload(json: &serde_json::Value) -> Result<Interaction, FormError> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("payload", &json.to_string());
        Interaction::parse(form.finish().as_bytes())
    }

    #[test]
    fn a_command_needs_only_the_fields_that_are_used() {
        let command = SlashCommand::parse(FORM.as_bytes()).unwrap();
        assert_eq!(command.text, "promote b-1 to canary");
        assert_eq!(command.caller.enterprise, None);
        assert_eq!(command.response_url, "https://hooks.slack.com/commands/1");
    }

    #[test]
    fn a_missing_field_is_named() {
        for name in ["command", "text", "user_id", "team_id", "channel_id", "trigger_id"] {
            let without = FORM.replace(&format!("{name}="), "other=");
            assert_eq!(SlashCommand::parse(without.as_bytes()), Err(FormError::Missing(name)));
        }
    }

    #[test]
    fn ssl_check_is_told_from_a_command() {
        assert!(is_ssl_check(b"ssl_check=1&token=abc"));
        assert!(!is_ssl_check(b"ssl_check=0"));
        assert!(!is_ssl_check(b"text=ssl_check%3D1"));
    }

    #[test]
    fn a_click_is_read_with_unknown_fields_around_it() {
        let click = payload(&serde_json::json!({
            "type": "block_actions", "user": {"id": "U1", "shiny": [1]}, "team": null,
            "container": {"type": "message", "message_ts": "1.2", "channel_id": "C1"},
            "actions": [{"type": "button", "action_id": "approve", "value": "v1.P-1.abc", "action_ts": "3.4"}],
            "state": {"values": {}}, "is_enterprise_install": false,
        }));
        let Ok(Interaction::Click(click)) = click else { panic!("{click:?}") };
        assert_eq!((click.channel.as_str(), click.message_ts.as_str()), ("C1", "1.2"));
        assert_eq!((click.action_id.as_str(), click.action_ts.as_str()), ("approve", "3.4"));
        assert_eq!(click.caller.team, None);
    }

    #[test]
    fn unknown_interactions_are_no_error() {
        for kind in ["message_action", "something_new"] {
            let read = payload(&serde_json::json!({"type": kind, "user": 7}));
            assert_eq!(read, Ok(Interaction::Other(kind.into())));
        }
        let empty = payload(&serde_json::json!({"type": "block_actions", "actions": []}));
        assert_eq!(empty, Ok(Interaction::Other("block_actions".into())));
    }

    #[test]
    fn broken_json_is_an_error_and_no_panic() {
        let deep = "[".repeat(100_000);
        for text in ["{", "", "\u{0}", &deep] {
            assert!(Incoming::parse(text.as_bytes()).is_err());
        }
        assert!(Interaction::parse(b"payload=%7B").is_err());
        assert!(Interaction::parse(b"nothing=here").is_err());
    }

    #[test]
    fn a_command_reads_the_same_from_a_form_and_from_json() {
        let fields: serde_json::Map<_, _> = form_urlencoded::parse(FORM.as_bytes())
            .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
            .collect();
        let json = SlashCommand::read(&Value::Object(fields));
        assert_eq!(json, SlashCommand::parse(FORM.as_bytes()));
    }

    #[test]
    fn a_form_gives_what_was_filled_in_by_block() {
        let sent = payload(&serde_json::json!({
            "type": "view_submission", "user": {"id": "U1"}, "team": {"id": "T1"},
            "enterprise": {"id": "E1"},
            "view": {"id": "V1", "hash": "1.h", "callback_id": "reject_reason",
                "private_metadata": "m", "state": {"values": {
                    "reason": {"a": {"type": "plain_text_input", "value": "too slow"}},
                    "empty": {"a": {"type": "plain_text_input", "value": null}},
                    "stage": {"a": {"type": "static_select",
                        "selected_option": {"value": "canary", "text": {}}}},
            }}},
        }));
        let Ok(Interaction::Submit(sent)) = sent else { panic!("{sent:?}") };
        let filled: Vec<_> = sent.values.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(filled, [("reason", "too slow"), ("stage", "canary")]);
        assert_eq!((sent.view.as_str(), sent.hash.as_str()), ("V1", "1.h"));
        assert_eq!(sent.caller.key(), "E1/U1");
    }

    #[test]
    fn events_say_who_wants_what() {
        let event = |event: Value| {
            Incoming::read(&serde_json::json!({
                "type": "event_callback", "event_id": "Ev1", "team_id": "T1",
                "authorizations": [{"enterprise_id": "E1"}], "event": event,
            }))
        };
        let caller =
            Caller { user: "U1".into(), team: Some("T1".into()), enterprise: Some("E1".into()) };
        let home = serde_json::json!({"type": "app_home_opened", "user": "U1", "tab": "home"});
        let opened = Incoming::HomeOpened { caller: caller.clone(), event: "Ev1".into() };
        assert_eq!(event(home), Ok(opened));
        let mention = serde_json::json!({
            "type": "app_mention", "user": "U1", "channel": "C1", "ts": "2.1",
            "thread_ts": "1.1", "text": "hey <@U0BOT> status canary",
        });
        let Ok(Incoming::Mention(said)) = event(mention) else { panic!("no mention") };
        assert_eq!((said.text.as_str(), said.thread.as_str()), ("status canary", "1.1"));
        assert_eq!(said.caller, caller);
        let bot = serde_json::json!({"type": "app_mention", "user": "U0BOT", "bot_id": "B1"});
        assert_eq!(event(bot), Ok(Incoming::Other("app_mention".into())));
        let other = serde_json::json!({"type": "reaction_added"});
        assert_eq!(event(other), Ok(Incoming::Other("reaction_added".into())));
    }

    #[test]
    fn the_challenge_is_found() {
        let body = br#"{"type":"url_verification","challenge":"3eZbrw","token":"x"}"#;
        assert_eq!(Incoming::parse(body), Ok(Incoming::UrlVerification("3eZbrw".into())));
    }
}
