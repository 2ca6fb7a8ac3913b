//! What Slack sends, cut down to what is used here.
//!
//! Not slack-morphism's event types: those are closed enums that refuse a
//! whole request for one unknown type or missing field. Called only with a
//! body that `ingress` has verified.

use serde::Deserialize;
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
    /// Names this one use of the command.
    pub trigger_id: String,
}

/// What a person did to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interaction {
    /// A button was pressed.
    Click(Click),
    /// Something that no message of ours asks for; acknowledged, ignored.
    Other(String),
}

/// A button that was pressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Click {
    /// Who pressed it.
    pub caller: Caller,
    /// The channel of the message.
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
}

/// What the events endpoint is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// Slack wants to see the challenge again.
    UrlVerification(String),
    /// Anything else, by its type.
    Other(String),
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
        let need = |name| field(body, name).ok_or(FormError::Missing(name));
        Ok(Self {
            command: need("command")?,
            text: need("text")?,
            caller: Caller {
                user: need("user_id")?,
                team: Some(need("team_id")?),
                enterprise: field(body, "enterprise_id"),
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
    #[serde(rename = "type")]
    kind: String,
    user: Option<Id>,
    team: Option<Id>,
    enterprise: Option<Id>,
    channel: Option<Id>,
    container: Option<Container>,
    message: Option<Ts>,
    #[serde(default)]
    actions: Vec<Action>,
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
}

#[derive(Deserialize)]
struct Action {
    action_id: String,
    #[serde(default)]
    action_ts: String,
    #[serde(default)]
    value: String,
}

impl Interaction {
    /// Reads the form's `payload`.
    ///
    /// # Errors
    /// There is none, it is not JSON, or a click lacks who and where.
    pub fn parse(body: &[u8]) -> Result<Self, FormError> {
        let text = field(body, "payload").ok_or(FormError::Missing("payload"))?;
        let malformed = |error: serde_json::Error| FormError::Malformed {
            field: "payload",
            detail: error.to_string(),
        };
        let value: serde_json::Value = serde_json::from_str(&text).map_err(malformed)?;
        let kind = value["type"].as_str().unwrap_or("").to_owned();
        if kind != "block_actions" {
            return Ok(Self::Other(kind));
        }
        click(serde_json::from_value(value).map_err(malformed)?)
    }
}

fn click(payload: Payload) -> Result<Interaction, FormError> {
    let Some(action) = payload.actions.into_iter().next() else {
        return Ok(Interaction::Other(payload.kind));
    };
    let id = |id: Option<Id>| id.map(|id| id.id);
    let container = payload.container.unwrap_or(Container { message_ts: None, channel_id: None });
    let message_ts = container.message_ts.or(payload.message.map(|message| message.ts));
    Ok(Interaction::Click(Click {
        caller: Caller {
            user: id(payload.user).ok_or(FormError::Missing("user"))?,
            team: id(payload.team),
            enterprise: id(payload.enterprise),
        },
        channel: id(payload.channel).or(container.channel_id).unwrap_or_default(),
        message_ts: message_ts.unwrap_or_default(),
        action_id: action.action_id,
        action_ts: action.action_ts,
        value: action.value,
        response_url: payload.response_url,
    }))
}

impl Incoming {
    /// Reads an event's JSON.
    ///
    /// # Errors
    /// It is not JSON, or a challenge is missing.
    pub fn parse(body: &[u8]) -> Result<Self, FormError> {
        let malformed = |error: serde_json::Error| FormError::Malformed {
            field: "body",
            detail: error.to_string(),
        };
        let value: serde_json::Value = serde_json::from_slice(body).map_err(malformed)?;
        let kind = value["type"].as_str().unwrap_or("").to_owned();
        if kind != "url_verification" {
            return Ok(Self::Other(kind));
        }
        let challenge = value["challenge"].as_str().ok_or(FormError::Missing("challenge"))?;
        Ok(Self::UrlVerification(challenge.to_owned()))
    }
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
        for kind in ["view_submission", "shortcut", "something_new"] {
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
    fn the_challenge_is_found() {
        let body = br#"{"type":"url_verification","challenge":"3eZbrw","token":"x"}"#;
        assert_eq!(Incoming::parse(body), Ok(Incoming::UrlVerification("3eZbrw".into())));
    }
}
