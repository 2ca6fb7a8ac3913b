//! The app's manifest: what Slack is told when the app is made, so that it is
//! made the same everywhere. `deploy/slack/manifest.yaml` is this, for an
//! address that must be replaced.

/// How Slack's requests come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Slack calls us.
    Http,
    /// We open connections to Slack, which can't reach us.
    Socket,
}

/// The manifest for the server that people reach at `url`.
///
/// The scopes are what is used and no more: `commands` and `chat:write` for
/// commands and cards, `app_mentions:read` for mentions, `channels:history`
/// and `groups:history` to find out whether a card was posted when the answer
/// was lost (without them such a card may stand twice).
pub fn manifest(url: &str, delivery: Delivery) -> String {
    let base = url.trim_end_matches('/');
    let http = delivery == Delivery::Http;
    let line = |text: &str| if http { format!("{text}\n") } else { String::new() };
    let command = line(&format!("      url: {base}/slack/command"));
    let interactive = line(&format!("    request_url: {base}/slack/interactive"));
    let events = line(&format!("    request_url: {base}/slack/events"));
    let socket = !http;
    format!(
        "# The Slack app, as `convoy slack manifest` prints it. Paste it at\n\
         # https://api.slack.com/apps, under \"From a manifest\", with your own address.\n\
         _metadata:\n  major_version: 2\n  minor_version: 1\n\
         display_information:\n  name: Convoy\n  description: Promotion of Envoy configuration\n\
         features:\n\
         \x20 app_home:\n    home_tab_enabled: true\n    messages_tab_enabled: true\n\
         \x20   messages_tab_read_only_enabled: true\n\
         \x20 bot_user:\n    display_name: convoy\n    always_online: true\n\
         \x20 shortcuts:\n    - name: Promote config\n      type: global\n\
         \x20     callback_id: promote_open\n      description: Open the promotion form\n\
         \x20 slash_commands:\n    - command: /convoy\n{command}\
         \x20     description: Promote Envoy configuration\n\
         \x20     usage_hint: \"help | status | promote BUNDLE to STAGE\"\n\
         \x20     should_escape: true\n\
         oauth_config:\n  scopes:\n    bot:\n      - app_mentions:read\n      - channels:history\n\
         \x20     - chat:write\n      - commands\n      - groups:history\n\
         settings:\n\
         \x20 event_subscriptions:\n{events}    bot_events:\n      - app_home_opened\n\
         \x20     - app_mention\n\
         \x20 interactivity:\n    is_enabled: true\n{interactive}\
         \x20 org_deploy_enabled: false\n  socket_mode_enabled: {socket}\n\
         \x20 token_rotation_enabled: false\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::SHORTCUT;

    #[test]
    fn it_is_yaml_that_names_each_endpoint_once() {
        let http = manifest("https://convoy.example.com/", Delivery::Http);
        let yaml: serde_json::Value = serde_yaml::from_str(&http).unwrap();
        let url = |path: &str| yaml.pointer(path).and_then(|url| url.as_str()).unwrap();
        assert_eq!(
            url("/features/slash_commands/0/url"),
            "https://convoy.example.com/slack/command"
        );
        assert_eq!(
            url("/settings/interactivity/request_url"),
            "https://convoy.example.com/slack/interactive"
        );
        assert_eq!(
            url("/settings/event_subscriptions/request_url"),
            "https://convoy.example.com/slack/events"
        );
        assert_eq!(yaml["settings"]["socket_mode_enabled"], false);
        assert_eq!(yaml["features"]["shortcuts"][0]["callback_id"], SHORTCUT);
        assert!(url("/display_information/description").len() <= 140);
    }

    #[test]
    fn with_socket_mode_no_address_is_named() {
        let socket = manifest("https://convoy.example.com", Delivery::Socket);
        let yaml: serde_json::Value = serde_yaml::from_str(&socket).unwrap();
        assert_eq!(yaml["settings"]["socket_mode_enabled"], true);
        assert!(!socket.contains("convoy.example.com"), "{socket}");
    }
}
