//! The answer to `help`, from the table of verbs, for one person.

use super::grammar::{Family, VERBS, Verb, VerbSpec};
use super::message::{self, Message};
use super::text::{clean, escape};
use crate::model::{Person, Role, Stage};

/// What somebody may ask for, as far as it is known before they ask.
#[derive(Debug, Clone, Copy, Default)]
pub struct Able<'a> {
    /// Who they are; `None`: a Slack user who is linked to nobody.
    pub person: Option<&'a Person>,
    /// Their role, where they were given one; without, the policy of each
    /// stage decides alone.
    pub role: Option<Role>,
    /// The stages that there are.
    pub stages: &'a [Stage],
}

impl Able<'_> {
    /// Whether the verb can be for them. Who may decide what in a stage is
    /// asked again, with the promotion at hand.
    pub fn may(&self, spec: &VerbSpec) -> bool {
        let linked = self.person.is_some() && self.role.is_none_or(|role| role.covers(spec.needs));
        spec.needs == Role::Guest || linked
    }
}

/// Every verb that the person may use, or all about one. `command` is the
/// slash command's name.
pub fn help(command: &str, verb: Option<Verb>, able: &Able<'_>) -> Message {
    let command = escape(command);
    match verb.map(Verb::spec) {
        Some(spec) => Message::plain(&one(&command, spec, able)),
        None => all(&command, able),
    }
}

fn one(command: &str, spec: &VerbSpec, able: &Able<'_>) -> String {
    let (usage, about, example) = (escape(&spec.usage()), escape(spec.about), escape(spec.example));
    let mut text = format!("`{command} {usage}`\n{about}\nFor example: `{command} {example}`");
    if !able.may(spec) {
        text.push_str("\nYou can't use it: ");
        text.push_str(match able.person {
            None => "your Slack user is not linked to a name; use `link`",
            Some(_) => "your role allows only reading",
        });
    }
    text + &stages(able)
}

fn all(command: &str, able: &Able<'_>) -> Message {
    let mut blocks = Vec::new();
    let mut texts = Vec::new();
    for family in Family::ALL {
        let of_family = VERBS.iter().filter(|spec| spec.family == family && able.may(spec));
        let (mut lines, mut usages) = (Vec::new(), Vec::new());
        for spec in of_family {
            let usage = escape(&spec.usage());
            lines.push(format!("`{usage}`  {}", escape(spec.about)));
            usages.push(format!("`{usage}`"));
        }
        if lines.is_empty() {
            continue;
        }
        let title = family.title();
        blocks.push(message::section(&format!("*{title}*\n{}", lines.join("\n"))));
        texts.push(format!("{title}: {}", usages.join(", ")));
    }
    let options = "`--repo PROJECT/REPOSITORY` where there are several, `--here` to answer so \
                   that the channel sees it, `--json` for the record itself";
    let first = format!("Each behind `{command}`. `{command} help VERB` says more of one");
    blocks.push(message::context(&[first, options.into(), stages(able).trim().to_owned()]));
    Message::new(&texts.join("\n"), blocks)
}

fn stages(able: &Able<'_>) -> String {
    let names: Vec<_> = able.stages.iter().map(|stage| clean(stage.as_str(), 64)).collect();
    if names.is_empty() { String::new() } else { format!("\nStages: {}", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::message::assert_within_limits;
    use crate::chat::samples;

    fn able<'a>(person: Option<&'a Person>, role: Option<Role>, stages: &'a [Stage]) -> Able<'a> {
        Able { person, role, stages }
    }

    #[test]
    fn help_names_every_verb_to_those_who_may_use_all() {
        let kim = Person::new("kim").unwrap();
        let stages = [samples::stage("beta"), samples::stage("canary")];
        let message = help("/convoy", None, &able(Some(&kim), None, &stages));
        assert_within_limits(&message);
        for spec in &VERBS {
            assert!(message.text.contains(&format!("`{}", spec.name)), "{}", spec.name);
        }
        insta::assert_snapshot!("help", message.text);
        let shown = message.answer(crate::chat::Audience::Caller).to_string();
        assert!(shown.contains("Stages: beta, canary"), "{shown}");
    }

    #[test]
    fn help_shows_only_what_the_caller_may_use() {
        let kim = Person::new("kim").unwrap();
        for able in [able(None, None, &[]), able(Some(&kim), Some(Role::Reader), &[])] {
            let message = help("/convoy", None, &able);
            assert!(message.text.contains("`status") && message.text.contains("`link`"));
            for verb in ["`approve", "`promote", "`breakglass", "`subscribe"] {
                assert!(!message.text.contains(verb), "{}", message.text);
            }
            let one = help("/convoy", Some(Verb::Approve), &able).text;
            assert!(one.contains("You can't use it"), "{one}");
        }
        let admin = able(Some(&kim), Some(Role::Admin), &[]);
        assert!(help("/convoy", None, &admin).text.contains("`breakglass"));
    }

    #[test]
    fn each_verb_has_its_own_help() {
        for spec in &VERBS {
            let message = help("/convoy", Some(spec.verb), &Able::default());
            assert_within_limits(&message);
            assert!(message.text.contains(&escape(spec.example)), "{}", message.text);
        }
    }
}
