//! `convoy completions`: what a shell offers next, from the same tables as
//! the command line and the grammar; and `convoy help`.
//!
//! The scripts ask the program itself for the words, so that they never have
//! to be made again.

use clap::CommandFactory as _;
use serde_json::json;

use super::Failure;
use super::output::Output;
use crate::chat;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// A script for bash: convoy completions bash > /etc/bash_completion.d/convoy
    Bash,
    /// A script for zsh, to be sourced
    Zsh,
    /// A script for fish: convoy completions fish > ~/.config/fish/completions/convoy.fish
    Fish,
    /// The words that may come next in a line
    #[command(hide = true)]
    Words {
        /// The line so far, beginning with `convoy`
        #[arg(allow_hyphen_values = true)]
        line: String,
    },
}

const BASH: &str = r#"_convoy() {
    local IFS=$'\n'
    COMPREPLY=($(compgen -W "$(convoy completions words "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _convoy convoy
"#;
const ZSH: &str = "autoload -U +X bashcompinit && bashcompinit\n";
const FISH: &str =
    "complete -c convoy -f -a '(convoy completions words (commandline -cp) 2>/dev/null)'\n";

pub(super) fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let text = match &args.what {
        What::Bash => BASH.to_owned(),
        What::Zsh => format!("{ZSH}{BASH}"),
        What::Fish => FISH.to_owned(),
        What::Words { line } => words(line).iter().map(|word| format!("{word}\n")).collect(),
    };
    output.result(&json!({ "completions": text }), || text.clone());
    Ok(())
}

/// What may come next: commands, then the options of a command and what the
/// grammar of Slack knows of it.
fn words(line: &str) -> Vec<String> {
    let line = line.trim_start();
    let rest = line.split_once(char::is_whitespace).map_or("", |(_, rest)| rest);
    let command = super::Cli::command();
    let begun: Vec<_> = rest.split_whitespace().collect();
    let last = begun.last().copied().unwrap_or_default();
    let typing = if rest.ends_with(char::is_whitespace) { "" } else { last };
    let done = begun.len() - usize::from(!typing.is_empty());
    let mut at = &command;
    for word in &begun[..done] {
        match at.get_subcommands().find(|sub| sub.get_name() == *word) {
            Some(sub) => at = sub,
            None => break,
        }
    }
    let shown = at.get_subcommands().filter(|sub| !sub.is_hide_set());
    let mut found: Vec<String> = shown.map(|sub| sub.get_name().to_owned()).collect();
    let options = at.get_arguments().filter(|arg| !arg.is_hide_set());
    found.extend(options.filter_map(|arg| Some(format!("--{}", arg.get_long()?))));
    let known = chat::VERBS.iter().any(|spec| begun.first() == Some(&spec.name));
    if known && done > 0 {
        found.extend(chat::completions(rest, &[]));
    }
    found.retain(|word| word.starts_with(typing));
    found.sort();
    found.dedup();
    found
}

#[derive(Debug, clap::Args)]
pub(super) struct Help {
    /// A command, or `chat` for what can be typed in Slack
    topic: Option<String>,
}

pub(super) fn help(args: &Help, output: &Output) -> Result<(), Failure> {
    let mut command = super::Cli::command();
    let text = match args.topic.as_deref() {
        None => command.render_long_help().to_string(),
        Some("chat") => chat::document("/convoy"),
        Some(name) => match command.find_subcommand_mut(name) {
            Some(sub) => sub.render_long_help().to_string(),
            None => {
                let names = super::Cli::command();
                let names = names.get_subcommands().map(clap::Command::get_name);
                let meant = crate::model::did_you_mean(name, names).unwrap_or_default();
                return Err(Failure::new(
                    Failure::USAGE,
                    format!("there is no command `{name}`; {meant}"),
                ));
            }
        },
    };
    output.result(&json!({ "help": text, "verbs": chat::palette() }), || text.clone());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_from_the_command_line_and_from_the_grammar() {
        let has = |line: &str, word: &str| words(line).contains(&word.to_owned());
        assert!(has("convoy pro", "promote") && !has("convoy pro", "status"));
        assert!(has("convoy promote beta ", "to") && has("convoy promote beta --dr", "--dry-run"));
        assert!(has("convoy slack ", "manifest"));
        assert!(words("convoy xyzzy").is_empty());
        assert!(!has("convoy completions ", "words"));
    }

    #[test]
    fn every_verb_that_changes_something_has_its_command() {
        // What is about a Slack user or a channel is for Slack alone.
        let command = super::super::Cli::command();
        for spec in chat::VERBS.iter().filter(|spec| spec.changes()) {
            let own = matches!(spec.family, chat::Family::Account);
            let found = command.find_subcommand(spec.name).is_some();
            assert_eq!(found, !own, "{}", spec.name);
        }
    }
}
