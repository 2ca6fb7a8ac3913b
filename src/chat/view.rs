//! Forms and home pages: what Slack calls views, within Slack's limits.
//!
//! Pure. A form carries, in its metadata, what it is about; that grants
//! nothing: who may do what is asked when it comes back.

use serde_json::{Value, json};
use slack_morphism::prelude::SlackBlock;

use super::text::cut;

/// Slack's limits of views, <https://docs.slack.dev/reference/views>.
const TITLE_MAX: usize = 24;
const LABEL_MAX: usize = 2_000;
const HINT_MAX: usize = 2_000;
const PLACEHOLDER_MAX: usize = 150;
const METADATA_MAX: usize = 3_000;
const BLOCKS_MAX: usize = 100;
const OPTIONS_MAX: usize = 100;
const OPTION_MAX: usize = 75;
const OPTION_VALUE_MAX: usize = 150;
/// What people write in a form is no longer.
const WORDS_MAX: usize = 1_000;
/// The one input of a block; its block's id says which it is.
const INPUT: &str = "input";

/// A form or a home page.
#[derive(Debug, Clone, PartialEq)]
pub struct View(Value);

impl View {
    /// A form: its title, the word on its button, and what it is about.
    pub fn form(
        callback_id: &str,
        title: &str,
        send: &str,
        about: &str,
        blocks: Vec<Value>,
    ) -> Self {
        let blocks: Vec<_> = blocks.into_iter().take(BLOCKS_MAX).collect();
        Self(json!({
            "type": "modal",
            "callback_id": callback_id,
            "title": plain(title, TITLE_MAX),
            "submit": plain(send, TITLE_MAX),
            "close": plain("Back", TITLE_MAX),
            "private_metadata": cut(about, METADATA_MAX),
            "blocks": blocks,
        }))
    }

    /// A home page.
    pub fn home(blocks: &[SlackBlock]) -> Self {
        let mut blocks: Vec<_> = blocks.iter().map(block).collect();
        blocks.truncate(BLOCKS_MAX);
        Self(json!({ "type": "home", "blocks": blocks }))
    }

    /// As Slack takes it.
    pub fn json(&self) -> &Value {
        &self.0
    }
}

/// A message's block within a view.
pub(super) fn block(block: &SlackBlock) -> Value {
    serde_json::to_value(block).unwrap_or_default()
}

/// A line or several to write.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a> {
    /// The block's id: the name under which it comes back.
    pub(super) name: &'a str,
    /// What stands above it.
    pub(super) label: &'a str,
    /// What stands below it.
    pub(super) hint: &'a str,
    /// What stands in it before anything is written.
    pub(super) placeholder: &'a str,
    /// What is written in it already.
    pub(super) filled: &'a str,
    /// Whether it may be left empty.
    pub(super) optional: bool,
    /// Whether it has several lines.
    pub(super) lines: bool,
}

impl Input<'_> {
    /// An input that must be filled in.
    pub(super) const NEEDED: Self = Self {
        name: "",
        label: "",
        hint: "",
        placeholder: "",
        filled: "",
        optional: false,
        lines: false,
    };

    pub(super) fn block(&self) -> Value {
        let mut element = json!({
            "type": "plain_text_input",
            "action_id": INPUT,
            "multiline": self.lines,
            "max_length": WORDS_MAX,
        });
        if !self.placeholder.is_empty() {
            element["placeholder"] = plain(self.placeholder, PLACEHOLDER_MAX);
        }
        if !self.filled.is_empty() {
            element["initial_value"] = json!(cut(self.filled, WORDS_MAX));
        }
        input(self.name, self.label, self.hint, self.optional, element)
    }
}

/// One of several, each `(value, shown)`. `None`: there are none, and Slack
/// refuses an empty list.
pub(super) fn choice(name: &str, label: &str, options: &[(String, String)]) -> Option<Value> {
    let option = |(value, shown): &(String, String)| json!({ "text": plain(shown, OPTION_MAX), "value": cut(value, OPTION_VALUE_MAX) });
    let options: Vec<_> = options.iter().take(OPTIONS_MAX).map(option).collect();
    if options.is_empty() {
        return None;
    }
    let element = json!({ "type": "static_select", "action_id": INPUT, "options": options });
    Some(input(name, label, "", false, element))
}

fn input(name: &str, label: &str, hint: &str, optional: bool, element: Value) -> Value {
    let mut block = json!({
        "type": "input",
        "block_id": name,
        "label": plain(label, LABEL_MAX),
        "optional": optional,
        "element": element,
    });
    if !hint.is_empty() {
        block["hint"] = plain(hint, HINT_MAX);
    }
    block
}

fn plain(text: &str, most: usize) -> Value {
    let text = if text.is_empty() { "–" } else { text };
    json!({ "type": "plain_text", "text": cut(text, most) })
}

/// The answer to a form that was not filled in as it must be: what is wrong,
/// below the input that it is about.
pub fn wrong(name: &str, text: &str) -> Value {
    json!({ "response_action": "errors", "errors": { name: cut(text, HINT_MAX) } })
}

/// Checks every limit, everywhere within `view`; what tests call.
#[cfg(test)]
pub(crate) fn assert_view_within_limits(view: &View) {
    let json = view.json();
    let blocks = json["blocks"].as_array().unwrap();
    assert!((1..=BLOCKS_MAX).contains(&blocks.len()), "{} blocks", blocks.len());
    for (path, most) in [("/title/text", 24), ("/submit/text", 24), ("/close/text", 24)] {
        if let Some(text) = json.pointer(path).and_then(Value::as_str) {
            assert!((1..=most).contains(&super::text::length(text)), "{path}: {text}");
        }
    }
    let about = json["private_metadata"].as_str().unwrap_or("");
    assert!(super::text::length(about) <= METADATA_MAX);
    let mut names = std::collections::BTreeSet::new();
    for block in blocks {
        super::message::walk(block);
        if let Some(name) = block["block_id"].as_str() {
            assert!(names.insert(name.to_owned()), "{name} is there twice");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_of_monstrous_texts_is_cut_to_the_limits() {
        let long = "<&😀 ".repeat(2_000);
        let options: Vec<_> = (0..300).map(|_| (long.clone(), long.clone())).collect();
        let input = Input {
            name: "reason",
            label: &long,
            hint: &long,
            placeholder: &long,
            filled: &long,
            ..Input::NEEDED
        };
        let mut blocks = vec![input.block(), choice("stage", &long, &options).unwrap()];
        blocks.extend((0..200).map(|_| block(&super::super::message::section(&long))));
        let view = View::form("promote", &long, &long, &long, blocks);
        assert_view_within_limits(&view);
        assert_eq!(choice("stage", "x", &[]), None);
    }
}
