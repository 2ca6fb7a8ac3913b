//! From a line to words, and from words to the parts that a verb takes.
//!
//! Slack and phones rewrite what is typed: quotes turn round, `--` becomes a
//! dash, names and links are wrapped in `<…>`, `& < >` come as entities.

use std::collections::{BTreeMap, VecDeque};

use super::times::{self, Clock};
use super::verbs::{Arg, Kind, Seat, VerbSpec};
use super::{invalid, usage};
use crate::chat::text::is_invisible;
use crate::model::did_you_mean;
use crate::promote::Refusal;

/// One word, or one quoted text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) quoted: bool,
}

/// A line's parts, each a text of the right kind's look.
#[derive(Debug, Default)]
pub(super) struct Parts {
    next: VecDeque<Word>,
    named: BTreeMap<&'static str, String>,
    rest: Vec<String>,
}

impl Parts {
    /// The next part without a name.
    pub(super) fn next(&mut self) -> Option<String> {
        self.next.pop_front().map(|word| word.text)
    }

    /// The part of this name.
    pub(super) fn take(&mut self, name: &'static str) -> Option<String> {
        self.named.remove(name)
    }

    /// Whether the switch is there.
    pub(super) fn has(&self, name: &'static str) -> bool {
        self.named.contains_key(name)
    }

    /// `--reason` if it was given, and the rest of the line.
    pub(super) fn prose(&mut self) -> String {
        let all: Vec<_> = self.take("reason").into_iter().chain(self.rest.drain(..)).collect();
        all.join(" ").trim().to_owned()
    }
}

/// Splits a line at white space outside of quotes.
pub(super) fn split(line: &str) -> Vec<Word> {
    let line = unwrap_links(&straighten(line));
    let mut words = Vec::new();
    let mut chars = line.chars().peekable();
    while let Some(&c) = chars.peek() {
        if c.is_whitespace() {
            chars.next();
            continue;
        }
        words.push(word(&mut chars));
    }
    words
}

fn word(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Word {
    let quoted = match chars.peek().copied() {
        Some('"') => Some('"'),
        // An apostrophe quotes only where another one ends a word.
        Some('\'') if closes(chars.clone()) => Some('\''),
        _ => None,
    };
    if let Some(mark) = quoted {
        chars.next();
        let text: String = chars.by_ref().take_while(|c| *c != mark).collect();
        return Word { text: entities(text.trim()), quoted: true };
    }
    let mut text = String::new();
    while let Some(c) = chars.next_if(|c| !c.is_whitespace()) {
        if c == '"' && text.ends_with('=') {
            text.extend(chars.by_ref().take_while(|c| *c != '"'));
            break;
        }
        text.push(c);
    }
    let text = option_dashes(text.trim_matches('`'));
    Word { text: entities(&text), quoted: false }
}

fn closes(mut chars: std::iter::Peekable<std::str::Chars<'_>>) -> bool {
    chars.next();
    while let Some(c) = chars.next() {
        if c == '\'' && chars.peek().is_none_or(|next| next.is_whitespace()) {
            return true;
        }
    }
    false
}

/// Round quotes to straight ones, and nothing invisible.
fn straighten(line: &str) -> String {
    let shown =
        line.chars().filter(|c| !is_invisible(*c) && (!c.is_control() || c.is_whitespace()));
    let straight = |c| match c {
        '“' | '”' | '„' | '‟' | '«' | '»' | '＂' => '"',
        '‘' | '’' | '‚' | '‛' => '\'',
        c => c,
    };
    shown.map(straight).collect()
}

/// A dash that a phone made of `--`, where an option begins.
fn option_dashes(word: &str) -> String {
    match word.strip_prefix(['—', '–']) {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_alphabetic()) => format!("--{rest}"),
        _ => word.to_owned(),
    }
}

/// `<@U1|bob>` to `@bob`, `<#C1|ops>` to `#ops`, `<url|label>` to the label.
fn unwrap_links(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('<') {
        let Some((inside, behind)) = after.split_once('>') else { break };
        plain.push_str(before);
        plain.push_str(&link(inside));
        rest = behind;
    }
    plain.push_str(rest);
    plain
}

fn link(inside: &str) -> String {
    let (target, label) = match inside.split_once('|') {
        Some((target, label)) if !label.is_empty() => (target, label),
        Some((target, _)) => (target, target.trim_start_matches(['@', '#', '!'])),
        None => (inside, inside.trim_start_matches(['@', '#', '!'])),
    };
    let sign = match target.chars().next() {
        Some('#') => "#",
        Some('@' | '!') => "@",
        _ => "",
    };
    format!("{sign}{}", label.trim_start_matches(['@', '#']))
}

fn entities(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// Sorts the words behind a verb into its parts.
pub(super) fn parts(
    spec: &'static VerbSpec,
    words: &[Word],
    clock: &Clock,
) -> Result<Parts, Refusal> {
    let mut sorting = Sorting { spec, clock, parts: Parts::default(), seats: seats(spec) };
    let mut rest = words;
    while let Some((word, behind)) = rest.split_first() {
        rest = sorting.sort(word, behind)?;
    }
    Ok(sorting.parts)
}

fn seats(spec: &'static VerbSpec) -> VecDeque<&'static Arg> {
    spec.args.iter().filter(|arg| arg.seat == Seat::Next).collect()
}

struct Sorting<'a> {
    spec: &'static VerbSpec,
    clock: &'a Clock,
    parts: Parts,
    /// The parts without a name that are still to come.
    seats: VecDeque<&'static Arg>,
}

impl Sorting<'_> {
    /// Takes one word, and what belongs to it; gives the words behind.
    fn sort<'a>(&mut self, word: &Word, behind: &'a [Word]) -> Result<&'a [Word], Refusal> {
        let prose = !self.parts.rest.is_empty();
        if let Some((name, inline)) = option(word) {
            return match self.named(name, true) {
                Some(arg) => self.take(arg, name, inline, behind),
                // In prose an unknown option is only a word.
                None if prose => Ok(self.say(word, behind)),
                None => Err(unknown(name, self.spec)),
            };
        }
        if !word.quoted
            && let Some(arg) = self.named(&word.text, false)
        {
            let name = seat_name(arg);
            match (self.parts.has(name), prose) {
                (false, false) => return self.take(arg, name, None, behind),
                (false, true) if self.fits(arg, behind) => return Err(self.unclear(name)),
                (true, _) if self.spec.prose().is_none() => return Err(twice(name, self.spec)),
                _ => {}
            }
        }
        if !prose && let Some(at) = self.seat_for(word) {
            self.seats.drain(..=at);
            self.parts.next.push_back(word.clone());
            return Ok(behind);
        }
        match self.spec.prose() {
            Some(_) => Ok(self.say(word, behind)),
            None => {
                let message =
                    format!("`{}` is one word too many for `{}`", word.text, self.spec.name);
                Err(invalid(&message, &usage(self.spec)))
            }
        }
    }

    fn say<'a>(&mut self, word: &Word, behind: &'a [Word]) -> &'a [Word] {
        self.parts.rest.push(word.text.clone());
        behind
    }

    /// `--reason` stands for the rest of the line wherever there is one.
    fn named(&self, name: &str, dashed: bool) -> Option<&'static Arg> {
        let prose = || self.spec.prose().filter(|_| dashed && name == "reason");
        self.spec.named(name, dashed).or_else(prose)
    }

    /// The seat that the word can take: the next one, or one behind optional
    /// parts that it can't be. Where prose follows, an optional part must look
    /// like one, or the first word of a reason would be taken for it.
    fn seat_for(&self, word: &Word) -> Option<usize> {
        let guarded = self.spec.prose().is_some();
        for (at, arg) in self.seats.iter().enumerate() {
            let strict = !arg.needed || arg.kind == Kind::Digest;
            if !(guarded && strict) || (!word.quoted && looks_like(arg.kind, &word.text)) {
                return Some(at);
            }
            if arg.needed && arg.kind != Kind::Digest {
                return None;
            }
        }
        None
    }

    /// Takes a named part and its value.
    fn take<'a>(
        &mut self,
        arg: &'static Arg,
        name: &str,
        inline: Option<String>,
        rest: &'a [Word],
    ) -> Result<&'a [Word], Refusal> {
        if arg.kind == Kind::Switch {
            self.set(arg, String::new())?;
            return Ok(rest);
        }
        let whole = inline.is_some();
        let (value, quoted, rest) = match (inline, rest.split_first()) {
            (Some(value), _) => (value, true, rest),
            (None, Some((word, behind))) if !is_long_option(word) => {
                (word.text.clone(), word.quoted, behind)
            }
            _ => return Err(invalid(&format!("`{name}` needs a value"), &usage(self.spec))),
        };
        match arg.kind {
            Kind::Text => self.words(arg, value, quoted, rest),
            Kind::Time if !whole && !quoted => self.moment(arg, value, rest),
            _ => {
                self.set(arg, value)?;
                Ok(rest)
            }
        }
    }

    /// A time runs over as many words as it needs.
    fn moment<'a>(
        &mut self,
        arg: &'static Arg,
        first: String,
        rest: &'a [Word],
    ) -> Result<&'a [Word], Refusal> {
        let more = rest.iter().take(times::WORDS_MAX - 1).take_while(|word| !word.quoted);
        let words: Vec<_> =
            std::iter::once(first.as_str()).chain(more.map(|word| word.text.as_str())).collect();
        let read = times::moment(&words, self.clock);
        let (_, taken) = read.map_err(|error| invalid(&error, &usage(self.spec)))?;
        self.set(arg, words[..taken].join(" "))?;
        Ok(&rest[taken - 1..])
    }

    /// A text without quotes runs to the next option.
    fn words<'a>(
        &mut self,
        arg: &'static Arg,
        first: String,
        quoted: bool,
        rest: &'a [Word],
    ) -> Result<&'a [Word], Refusal> {
        let end =
            if quoted { 0 } else { rest.iter().position(is_long_option).unwrap_or(rest.len()) };
        let (said, rest) = rest.split_at(end);
        self.guard_targets(said)?;
        let all: Vec<_> =
            std::iter::once(first).chain(said.iter().map(|w| w.text.clone())).collect();
        self.set(arg, all.join(" "))?;
        Ok(rest)
    }

    /// Where a target is still to come, `to` in an unquoted reason is one or
    /// the other, and guessing wrong would move a stage to the wrong bundle.
    fn guard_targets(&self, said: &[Word]) -> Result<(), Refusal> {
        for word in said.iter().filter(|word| !word.quoted) {
            if let Some(arg) = self.spec.named(&word.text, false)
                && !self.parts.has(seat_name(arg))
            {
                return Err(self.unclear(seat_name(arg)));
            }
        }
        Ok(())
    }

    fn unclear(&self, name: &str) -> Refusal {
        let hint = format!("quote the reason: \"…\"; {}", usage(self.spec));
        invalid(&format!("`{name}` could be part of the reason or name the target"), &hint)
    }

    /// Whether the words could be the part's value.
    fn fits(&self, arg: &Arg, rest: &[Word]) -> bool {
        let Some(first) = rest.first() else { return false };
        if arg.kind != Kind::Time {
            return looks_like(arg.kind, &first.text);
        }
        let words: Vec<_> =
            rest.iter().take(times::WORDS_MAX).map(|word| word.text.as_str()).collect();
        times::moment(&words, self.clock).is_ok()
    }

    fn set(&mut self, arg: &'static Arg, value: String) -> Result<(), Refusal> {
        let name = seat_name(arg);
        match self.parts.named.insert(name, value) {
            None => Ok(()),
            Some(_) => Err(twice(name, self.spec)),
        }
    }
}

fn seat_name(arg: &Arg) -> &'static str {
    match arg.seat {
        Seat::Word(name) | Seat::Flag(name) => name,
        Seat::Next | Seat::Rest => "reason",
    }
}

/// Whether a word can be of the kind, by its look alone.
pub fn looks_like(kind: Kind, text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match kind {
        // A word of hex digits behind a promotion is a digest, never the
        // beginning of a note: a note mistaken for a digest is refused, but a
        // digest mistaken for a note would approve whatever the plan is now.
        Kind::Digest => {
            (4..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        }
        Kind::Bundle => {
            let lower = text.to_ascii_lowercase();
            lower == "latest"
                || lower.strip_prefix("b-").is_some_and(|id| !id.is_empty())
                || lower.strip_prefix('r').is_some_and(digits)
        }
        Kind::Duration => times::span(text).is_ok(),
        Kind::Percent => digits(text.trim_end_matches('%')),
        Kind::Stage => crate::model::Stage::new(&text.to_lowercase()).is_ok(),
        _ => true,
    }
}

/// The option that `word` is, with its value if it carries one.
fn option(word: &Word) -> Option<(&str, Option<String>)> {
    if !is_long_option(word) {
        return None;
    }
    let name = &word.text[2..];
    Some(match name.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (name, None),
    })
}

fn is_long_option(word: &Word) -> bool {
    !word.quoted && word.text.starts_with("--") && word.text.len() > 2
}

fn twice(name: &str, spec: &VerbSpec) -> Refusal {
    invalid(&format!("`{name}` is there twice"), &usage(spec))
}

fn unknown(name: &str, spec: &VerbSpec) -> Refusal {
    let message = format!("`{}` has no option `--{name}`", spec.name);
    if name == "yes" || name == "force" {
        return invalid(&message, "nothing skips the confirmation; leave it out");
    }
    match did_you_mean(name, spec.options()) {
        Some(hint) => {
            invalid(&message, &format!("{} {}", hint.replacen('`', "`--", 1), usage(spec)))
        }
        None => invalid(&message, &usage(spec)),
    }
}
