//! What a line would do, shown to the person who typed it before it is done.

use slack_morphism::prelude::SlackBlockButtonStyle;

use super::message::{self, Message};
use super::text::{clean, joined};

/// The button that says: do it.
pub const CONFIRM: &str = "confirm";
/// The button that says: don't.
pub const DISMISS: &str = "dismiss";

/// A command that waits for its yes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preview {
    /// What will be done, one sentence in Slack's markup.
    pub title: String,
    /// What follows from it, each a line in Slack's markup.
    pub lines: Vec<String>,
    /// What changes with it, each a line in Slack's markup.
    pub changes: Vec<String>,
    /// Whether it is the unsafe direction.
    pub danger: bool,
}

/// The preview. `token` names it; `None`: it is only looked at.
pub fn preview(preview: &Preview, token: Option<&str>) -> Message {
    let Preview { title, lines, changes, danger } = preview;
    let mut all = vec![format!(":mag: *Not done yet*: {title}")];
    all.extend(lines.iter().cloned());
    let text = joined(&all, "\n", message::SECTION_MAX);
    let Message { text, mut blocks } = Message::plain(&text).with(changes);
    let Some(token) = token else {
        blocks.push(message::context(&["Looked at only; nothing waits for a yes".into()]));
        return Message::new(&text, blocks);
    };
    let style = match danger {
        true => SlackBlockButtonStyle::Danger,
        false => SlackBlockButtonStyle::Primary,
    };
    let question = danger.then(|| message::confirm("Do it?", &plain(title), "Do it", "danger"));
    blocks.push(message::actions(vec![
        message::button(CONFIRM, "Do it", token, Some(style), question),
        message::button(DISMISS, "Leave it", token, None, None),
    ]));
    blocks.push(message::context(&["Only you can confirm this, within 10 minutes".into()]));
    Message::new(&text, blocks)
}

/// Markup as a confirmation shows it, which knows none.
fn plain(markup: &str) -> String {
    let text = markup.replace(['*', '`'], "");
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// A preview that is not there any more, or was another's.
pub fn no_preview(why: &str) -> Message {
    Message::plain(&format!(
        ":no_entry: *Not done*: {}\n*How to go on*: type the command again and confirm what it \
         shows",
        clean(why, 200)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Audience;
    use crate::chat::message::assert_within_limits;

    #[test]
    fn a_preview_asks_and_a_dry_run_does_not() {
        let shown = Preview {
            title: "`canary` goes back to `b-1`".into(),
            lines: vec!["it is held there".into(); 300],
            changes: vec!["cluster a: x: 1 → 2".into(); 300],
            danger: true,
        };
        let asked = preview(&shown, Some("c1.abc"));
        assert_within_limits(&asked);
        let json = asked.answer(Audience::Caller).to_string();
        assert!(json.contains("\"confirm\"") && json.contains("c1.abc"), "{json}");
        let looked = preview(&shown, None);
        assert_within_limits(&looked);
        assert!(!looked.answer(Audience::Caller).to_string().contains("\"button\""));
    }
}
