//! A message for Slack, within Slack's limits by construction.
//!
//! Block Kit is slack-morphism's; the limits are not in its types, so blocks
//! are only made here. Every message has a plain text beside its blocks: it is
//! what notifications and screen readers show.

use serde_json::{Value, json};
use slack_morphism::prelude::{
    SlackActionBlockElement, SlackActionsBlock, SlackBlock, SlackBlockButtonElement,
    SlackBlockButtonStyle, SlackBlockConfirmItem, SlackBlockMarkDownText, SlackBlockPlainText,
    SlackContextBlock, SlackContextBlockElement, SlackHeaderBlock, SlackSectionBlock,
};

use super::text::{cut, joined};

/// Slack's limits, <https://docs.slack.dev/reference/block-kit/blocks>.
pub(super) const HEADER_MAX: usize = 150;
/// A section's text.
pub(super) const SECTION_MAX: usize = 3_000;
const CONTEXT_TEXT_MAX: usize = 2_000;
const CONTEXT_MAX: usize = 10;
const BUTTON_MAX: usize = 75;
const VALUE_MAX: usize = 2_000;
const ACTION_ID_MAX: usize = 255;
const ACTIONS_MAX: usize = 25;
const CONFIRM_TITLE_MAX: usize = 100;
const CONFIRM_TEXT_MAX: usize = 300;
const CONFIRM_BUTTON_MAX: usize = 30;
const BLOCKS_MAX: usize = 50;
/// Slack takes 40,000 and advises 4,000.
const TEXT_MAX: usize = 4_000;

/// A message: blocks, and the same in plain words.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// What is shown where blocks can't be; escaped.
    pub text: String,
    /// What is shown in the channel.
    pub blocks: Vec<SlackBlock>,
}

/// Who sees an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Only the person who asked.
    Caller,
    /// The channel.
    Channel,
}

impl Message {
    /// A message within the limits: what is too much is cut at the end.
    pub fn new(text: &str, mut blocks: Vec<SlackBlock>) -> Self {
        if blocks.len() > BLOCKS_MAX {
            blocks.truncate(BLOCKS_MAX - 1);
            blocks.push(context(&["… the rest is left out".into()]));
        }
        Self { text: cut(text, TEXT_MAX), blocks }
    }

    /// A message of one section, with the same text as its plain form.
    pub fn plain(text: &str) -> Self {
        Self::new(text, vec![section(text)])
    }

    /// The message with a further section of `lines`, as many as fit.
    #[must_use]
    pub fn with(mut self, lines: &[String]) -> Self {
        if lines.is_empty() {
            return self;
        }
        let more = joined(lines, "\n", SECTION_MAX);
        self.blocks.push(section(&more));
        Self::new(&format!("{}\n{more}", self.text), self.blocks)
    }

    /// The answer to a command, or the body for a `response_url`. Never takes
    /// the place of the message it answers.
    pub fn answer(&self, audience: Audience) -> Value {
        let response_type = match audience {
            Audience::Caller => "ephemeral",
            Audience::Channel => "in_channel",
        };
        json!({
            "response_type": response_type,
            "replace_original": false,
            "text": self.text,
            "blocks": self.blocks,
        })
    }
}

/// A header; plain text, so nothing in it is markup.
pub fn header(text: &str) -> SlackBlock {
    SlackHeaderBlock::new(plain(text, HEADER_MAX).into()).into()
}

/// A paragraph in Slack's markup.
pub fn section(markup: &str) -> SlackBlock {
    SlackSectionBlock::new().with_text(markup_text(markup, SECTION_MAX).into()).into()
}

/// Small print.
pub(super) fn context(lines: &[String]) -> SlackBlock {
    let lines = lines.iter().filter(|line| !line.is_empty()).take(CONTEXT_MAX);
    let element =
        |line: &String| SlackContextBlockElement::from(markup_text(line, CONTEXT_TEXT_MAX));
    SlackContextBlock::new(lines.map(element).collect()).into()
}

/// A row of buttons.
pub(super) fn actions(buttons: Vec<SlackBlockButtonElement>) -> SlackBlock {
    let elements = buttons.into_iter().take(ACTIONS_MAX).map(SlackActionBlockElement::from);
    SlackActionsBlock::new(elements.collect()).into()
}

/// A button.
pub(super) fn button(
    action_id: &str,
    label: &str,
    value: &str,
    style: Option<SlackBlockButtonStyle>,
    confirm: Option<SlackBlockConfirmItem>,
) -> SlackBlockButtonElement {
    SlackBlockButtonElement::new(plain(label, BUTTON_MAX).into())
        .with_action_id(cut(action_id, ACTION_ID_MAX).into())
        .with_value(cut(value, VALUE_MAX))
        .opt_style(style)
        .opt_confirm(confirm)
}

/// The question that comes before a button's effect.
pub(super) fn confirm(title: &str, text: &str, yes: &str, style: &str) -> SlackBlockConfirmItem {
    SlackBlockConfirmItem::new(
        plain(title, CONFIRM_TITLE_MAX).into(),
        plain(text, CONFIRM_TEXT_MAX).into(),
        plain(yes, CONFIRM_BUTTON_MAX).into(),
        plain("Back", CONFIRM_BUTTON_MAX).into(),
    )
    .with_style(style.into())
}

fn plain(text: &str, most: usize) -> SlackBlockPlainText {
    SlackBlockPlainText::new(cut(text, most))
}

/// `verbatim`: Slack links nothing by itself, so foreign text stays text.
fn markup_text(markup: &str, most: usize) -> SlackBlockMarkDownText {
    // An empty text is refused by Slack.
    let markup = if markup.is_empty() { "–" } else { markup };
    SlackBlockMarkDownText::new(cut(markup, most)).with_verbatim(true)
}

/// Checks every limit, everywhere within `message`; what tests call.
#[cfg(test)]
pub(crate) fn assert_within_limits(message: &Message) {
    assert!(!message.text.is_empty(), "the plain text is missing");
    assert!(message.text.len() <= TEXT_MAX * 4 && message.blocks.len() <= BLOCKS_MAX);
    let blocks = serde_json::to_value(&message.blocks).unwrap();
    for block in blocks.as_array().unwrap() {
        walk(block);
    }
}

#[cfg(test)]
pub(super) fn walk(value: &Value) {
    let within = |path: &str, most: usize| {
        if let Some(text) = value.pointer(path).and_then(Value::as_str) {
            let units: usize = text.chars().map(char::len_utf16).sum();
            assert!((1..=most).contains(&units), "{path} has {units} of {most}: {text}");
        }
    };
    match value["type"].as_str() {
        Some("header") => within("/text/text", 150),
        Some("section") => within("/text/text", 3000),
        Some("button") => {
            within("/text/text", 75);
            within("/value", 2000);
            within("/action_id", 255);
            within("/confirm/title/text", 100);
            within("/confirm/text/text", 300);
            within("/confirm/confirm/text", 30);
            within("/confirm/deny/text", 30);
        }
        Some("input") => {
            within("/label/text", 2000);
            within("/hint/text", 2000);
            within("/block_id", 255);
        }
        Some("plain_text_input") => {
            within("/placeholder/text", 150);
            within("/initial_value", 3000);
        }
        Some("static_select") => {
            let options = value["options"].as_array().unwrap();
            assert!((1..=100).contains(&options.len()));
            for option in options {
                let text = |path: &str| option.pointer(path).and_then(Value::as_str).unwrap();
                assert!((1..=75).contains(&super::text::length(text("/text/text"))));
                assert!((1..=150).contains(&super::text::length(text("/value"))));
            }
        }
        Some("context") => assert!((1..=10).contains(&value["elements"].as_array().unwrap().len())),
        Some("actions") => assert!((1..=25).contains(&value["elements"].as_array().unwrap().len())),
        _ => {}
    }
    for inner in value.as_object().into_iter().flat_map(|object| object.values()) {
        match inner {
            Value::Array(items) => items.iter().for_each(walk),
            inner => walk(inner),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_kept_by_cutting() {
        let long = "<&😀 ".repeat(5_000);
        let question = confirm(&long, &long, &long, "danger");
        let press = || button(&long, &long, &long, None, Some(question.clone()));
        let blocks = vec![
            header(&long),
            section(&long),
            section(""),
            context(&vec![long.clone(); 30]),
            actions((0..40).map(|_| press()).collect()),
        ];
        let blocks = blocks.into_iter().cycle().take(80).collect();
        let message = Message::new(&long, blocks);
        assert_eq!(message.blocks.len(), 50);
        assert_within_limits(&message);
    }

    #[test]
    fn an_answer_never_replaces_what_it_answers() {
        let answer = Message::plain("done").answer(Audience::Caller);
        assert_eq!(answer["replace_original"], false);
        assert_eq!(answer["response_type"], "ephemeral");
        assert_eq!(Message::plain("x").answer(Audience::Channel)["response_type"], "in_channel");
    }
}
