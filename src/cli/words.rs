//! The grammar of Slack on the command line: `convoy promote beta to staging`
//! is `convoy promote beta --to staging`.
//!
//! Only about the order of words: what is meant by which word is in the table
//! of verbs, what an option takes in the command line's own.

use std::collections::{BTreeMap, VecDeque};

use clap::CommandFactory as _;
use jiff::tz::TimeZone;

use crate::chat::{Arg, Clock, Kind, Seat, VERBS, VerbSpec, looks_like, moment};
use crate::telemetry::clock;

/// Words as options, where what was typed begins with a verb of the table
/// that changes something; anything else as it is.
pub fn as_options(typed: Vec<String>) -> Vec<String> {
    let spec = typed.get(1).and_then(|name| VERBS.iter().find(|spec| spec.name == name));
    let Some(spec) = spec.filter(|spec| spec.changes()) else { return typed };
    let clock = Clock { now: clock::now(), zone: TimeZone::system() };
    Rewriting::new(spec, &clock).run(typed)
}

struct Rewriting<'a> {
    clock: &'a Clock,
    /// The command's options, and whether each takes a value.
    options: BTreeMap<String, bool>,
    /// The parts with a name that were not given so far.
    named: Vec<&'static Arg>,
    /// The parts without one.
    seats: VecDeque<&'static Arg>,
    /// Whether the line may end in a reason or a note.
    talks: bool,
    prose: Vec<String>,
    out: Vec<String>,
}

impl<'a> Rewriting<'a> {
    fn new(spec: &'static VerbSpec, clock: &'a Clock) -> Self {
        let command = super::Cli::command();
        let own = command.find_subcommand(spec.name).into_iter().flat_map(|c| c.get_arguments());
        let option = |arg: &clap::Arg| {
            Some((format!("--{}", arg.get_long()?), arg.get_action().takes_values()))
        };
        let mut options: BTreeMap<_, _> =
            own.chain(command.get_arguments()).filter_map(option).collect();
        options.insert("-o".into(), true);
        let of = |seat: fn(&Seat) -> bool| spec.args.iter().filter(move |arg| seat(&arg.seat));
        Self {
            clock,
            options,
            named: of(|seat| matches!(seat, Seat::Word(_))).collect(),
            seats: of(|seat| *seat == Seat::Next).collect(),
            talks: of(|seat| *seat == Seat::Rest).next().is_some(),
            prose: Vec::new(),
            out: Vec::new(),
        }
    }

    fn run(mut self, typed: Vec<String>) -> Vec<String> {
        let mut words: VecDeque<String> = typed.into();
        self.out.extend(words.drain(..words.len().min(2)));
        while let Some(word) = words.pop_front() {
            if word.starts_with('-') && self.prose.is_empty() {
                self.option(word, &mut words);
            } else {
                self.word(word, &mut words);
            }
        }
        if !self.prose.is_empty() {
            let name = if self.options.contains_key("--note") { "--note" } else { "--reason" };
            self.out.extend([name.to_owned(), self.prose.join(" ")]);
        }
        self.out
    }

    fn option(&mut self, word: String, words: &mut VecDeque<String>) {
        let valued = !word.contains('=') && self.options.get(&word) == Some(&true);
        self.out.push(word);
        if valued {
            self.out.extend(words.pop_front());
        }
    }

    fn word(&mut self, word: String, words: &mut VecDeque<String>) {
        let is = |arg: &&'static Arg| static_of(arg) == word;
        let named = self.named.iter().position(is).filter(|_| self.prose.is_empty());
        if let Some(arg) = named.map(|at| self.named.remove(at))
            && let Some(option) = self.option_of(arg)
        {
            self.out.push(option);
            let value = self.value(arg, words);
            return self.out.extend(value);
        }
        let taken = self.seats.front().filter(|arg| self.prose.is_empty() && fits(arg, &word));
        match taken.map(|arg| arg.kind) {
            Some(kind) => {
                self.seats.pop_front();
                let option = match kind {
                    Kind::Digest => Some("--plan"),
                    // A second part, where the command line has an option.
                    Kind::Stage if self.out.len() > 2 => Some("--stage"),
                    _ => None,
                };
                self.out.extend(option.map(str::to_owned));
                self.out.push(word);
            }
            None if self.talks => self.prose.push(word),
            None => self.out.push(word),
        }
    }

    /// The option that says what the word says.
    fn option_of(&self, arg: &Arg) -> Option<String> {
        let names: &[&str] = match static_of(arg) {
            "to" => &["--to"],
            "in" => &["--in", "--stage"],
            "for" => &["--for", "--until"],
            _ => &["--until"],
        };
        let known = names.iter().find(|name| self.options.contains_key(**name));
        known.map(|name| (*name).to_owned())
    }

    /// The value behind a word; a moment is made exact.
    fn value(&self, arg: &Arg, words: &mut VecDeque<String>) -> Option<String> {
        if arg.kind == Kind::Time {
            let ahead: Vec<_> = words.iter().flat_map(|word| word.split_whitespace()).collect();
            if let Ok((until, mut taken)) = moment(&ahead, self.clock) {
                let mut said = Vec::new();
                while taken > 0 {
                    let word = words.pop_front()?;
                    taken = taken.saturating_sub(word.split_whitespace().count());
                    said.push(word);
                }
                return Some(until.at().map_or_else(|| said.join(" "), |at| at.to_string()));
            }
        }
        let value = words.pop_front()?;
        Some(if arg.kind == Kind::Percent { value.trim_end_matches('%').to_owned() } else { value })
    }
}

fn static_of(arg: &Arg) -> &'static str {
    match arg.seat {
        Seat::Word(name) | Seat::Flag(name) => name,
        Seat::Next | Seat::Rest => "",
    }
}

fn fits(arg: &Arg, word: &str) -> bool {
    let strict = !arg.needed || arg.kind == Kind::Digest;
    !strict || looks_like(arg.kind, word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(line: &str) -> String {
        let typed = line.split(' ').map(|word| word.replace('_', " ")).collect();
        as_options(typed).join(" ")
    }

    #[test]
    fn the_order_of_slack_and_the_options_of_the_shell_are_one() {
        let table = [
            ("convoy promote beta to staging", "convoy promote beta --to staging"),
            ("convoy promote to staging beta", "convoy promote --to staging beta"),
            ("convoy promote beta --to staging", "convoy promote beta --to staging"),
            ("convoy reject P-7 too slow", "convoy reject P-7 --reason too slow"),
            ("convoy reject P-7 --reason too_slow", "convoy reject P-7 --reason too slow"),
            ("convoy approve P-7 7f3a ok", "convoy approve P-7 --plan 7f3a --note ok"),
            ("convoy -o json status", "convoy -o json status"),
            ("convoy advance P-7 to 25%", "convoy advance P-7 --to 25"),
            (
                "convoy veto r41 in release drops headers",
                "convoy veto r41 --stage release --reason drops headers",
            ),
            ("convoy pin release the launch", "convoy pin release --reason the launch"),
            (
                "convoy pin release b-7f3a the launch",
                "convoy pin release b-7f3a --reason the launch",
            ),
            (
                "convoy freeze all until 2099-01-01T09:00Z why",
                "convoy freeze all --until 2099-01-01T09:00:00Z --reason why",
            ),
            (
                "convoy lock canary for 2h load test",
                "convoy lock canary --until 2h --reason load test",
            ),
            (
                "convoy retest r42 canary --envoy 1.38.3",
                "convoy retest r42 --stage canary --envoy 1.38.3",
            ),
            ("convoy status to", "convoy status to"),
        ];
        for (typed, meant) in table {
            assert_eq!(rewritten(typed), meant, "{typed}");
        }
    }

    #[test]
    fn what_is_rewritten_is_taken() {
        use clap::Parser as _;
        for spec in VERBS.iter().filter(|spec| spec.changes()) {
            if matches!(spec.family, crate::chat::Family::Account) || spec.name == "adopt" {
                continue;
            }
            let line = format!("convoy {}", spec.example);
            let mut typed = Vec::new();
            for (at, part) in line.split('"').enumerate() {
                match at % 2 {
                    1 => typed.push(part.to_owned()),
                    _ => typed.extend(part.split_whitespace().map(str::to_owned)),
                }
            }
            let parsed = super::super::Cli::try_parse_from(as_options(typed.clone()));
            assert!(parsed.is_ok(), "{typed:?}: {}", parsed.unwrap_err());
        }
    }
}
