//! The answer to `help`, from the table of verbs.

use super::grammar::{VERBS, Verb, VerbSpec};
use super::message::{self, Message};
use super::text::escape;

/// Every verb, or all about one. `command` is the slash command's name.
pub fn help(command: &str, verb: Option<Verb>) -> Message {
    let command = escape(command);
    match VERBS.iter().find(|spec| Some(spec.verb) == verb) {
        Some(spec) => Message::plain(&one(&command, spec)),
        None => all(&command),
    }
}

fn one(command: &str, spec: &VerbSpec) -> String {
    let (usage, about, example) = (escape(spec.usage), escape(spec.about), escape(spec.example));
    format!("`{command} {usage}`\n{about}\nFor example: `{command} {example}`")
}

fn all(command: &str) -> Message {
    let line =
        |spec: &VerbSpec| format!("`{command} {}`  {}", escape(spec.usage), escape(spec.about));
    let lines = |changes: bool| {
        let some = VERBS.iter().filter(|spec| spec.changes == changes);
        some.map(line).collect::<Vec<_>>().join("\n")
    };
    let (reads, changes) = (lines(false), lines(true));
    let options =
        "`--repo PROJECT/REPOSITORY` where there are several, `--here` to answer so that \
                   the channel sees it"
            .to_owned();
    Message::new(
        &format!("{reads}\n{changes}"),
        vec![
            message::section(&format!("*Look*\n{reads}")),
            message::section(&format!("*Change*\n{changes}")),
            message::context(&[options]),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::message::assert_within_limits;

    #[test]
    fn help_names_every_verb() {
        let message = help("/convoy", None);
        assert_within_limits(&message);
        insta::assert_snapshot!("help", message.text);
    }

    #[test]
    fn each_verb_has_its_own_help() {
        for spec in &VERBS {
            let message = help("/convoy", Some(spec.verb));
            assert_within_limits(&message);
            assert!(message.text.contains(&escape(spec.example)), "{}", message.text);
        }
    }
}
