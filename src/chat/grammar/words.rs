//! From a line to words, and from words to options and the rest.
//!
//! Slack and phones rewrite what is typed: quotes turn round, `--` becomes a
//! dash, names and links are wrapped in `<…>`, `& < >` come as entities.

use std::collections::VecDeque;

use super::verbs::VerbSpec;
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

/// A line's options, and its words in order.
#[derive(Debug, Default)]
pub(super) struct Parts {
    words: VecDeque<Word>,
    pub(super) reason: Option<String>,
    pub(super) to: Option<String>,
    pub(super) repo: Option<String>,
    pub(super) here: bool,
}

impl Parts {
    /// The next word.
    pub(super) fn next(&mut self) -> Option<Word> {
        self.words.pop_front()
    }

    /// The next word, if it is such a one.
    pub(super) fn next_if(&mut self, such: impl Fn(&Word) -> bool) -> Option<Word> {
        self.words.front().is_some_and(such).then(|| self.words.pop_front()).flatten()
    }

    /// `--reason` if it was given, and all words that are left.
    pub(super) fn prose(&mut self) -> String {
        let left = self.words.drain(..).map(|word| word.text);
        let all: Vec<_> = self.reason.take().into_iter().chain(left).collect();
        all.join(" ")
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

const OPTIONS: [&str; 4] = ["--reason", "--to", "--repo", "--here"];

/// Takes the options out of `words`.
pub(super) fn parts(spec: &VerbSpec, words: &[Word]) -> Result<Parts, Refusal> {
    let mut parts = Parts::default();
    let mut rest = words;
    while let Some((word, behind)) = rest.split_first() {
        rest = behind;
        match option(spec, word) {
            Some((name, inline)) if is_known(spec, name) => {
                rest = take(&mut parts, spec, name, inline, rest)?;
            }
            // In prose an unknown option is only a word.
            Some((name, _)) if !spec.takes_prose || parts.words.is_empty() => {
                return Err(unknown(name, spec));
            }
            _ => parts.words.push_back(word.clone()),
        }
    }
    Ok(parts)
}

fn is_known(spec: &VerbSpec, name: &str) -> bool {
    match name {
        "to" | "--to" => spec.takes_to,
        _ => OPTIONS.contains(&name),
    }
}

/// Takes one option and its value; returns the words behind it.
fn take<'a>(
    parts: &mut Parts,
    spec: &VerbSpec,
    name: &str,
    inline: Option<String>,
    rest: &'a [Word],
) -> Result<&'a [Word], Refusal> {
    if name == "--here" {
        parts.here = true;
        return Ok(rest);
    }
    let (value, quoted, rest) = match (inline, rest.split_first()) {
        (Some(value), _) => (value, true, rest),
        (None, Some((word, behind))) if !is_long_option(word) => {
            (word.text.clone(), word.quoted, behind)
        }
        _ => return Err(invalid(&format!("`{name}` needs a value"), &usage(spec))),
    };
    match name {
        "--repo" => set(&mut parts.repo, value, name, spec)?,
        "--reason" => return reason(parts, spec, value, quoted, rest),
        _ => set(&mut parts.to, value, "to", spec)?,
    }
    Ok(rest)
}

/// A reason without quotes runs to the next option.
fn reason<'a>(
    parts: &mut Parts,
    spec: &VerbSpec,
    first: String,
    quoted: bool,
    rest: &'a [Word],
) -> Result<&'a [Word], Refusal> {
    let end = if quoted { 0 } else { rest.iter().position(is_long_option).unwrap_or(rest.len()) };
    let (said, rest) = rest.split_at(end);
    guard_target(spec, parts, said)?;
    let all: Vec<_> = std::iter::once(first).chain(said.iter().map(|w| w.text.clone())).collect();
    set(&mut parts.reason, all.join(" "), "--reason", spec)?;
    Ok(rest)
}

/// The option that `word` is, with its value if it carries one.
fn option<'a>(spec: &VerbSpec, word: &'a Word) -> Option<(&'a str, Option<String>)> {
    if word.quoted {
        return None;
    }
    if spec.takes_to && word.text.eq_ignore_ascii_case("to") {
        return Some(("to", None));
    }
    let long = is_long_option(word);
    match word.text.split_once('=') {
        Some((name, value)) if long => Some((name, Some(value.to_owned()))),
        _ => long.then_some((word.text.as_str(), None)),
    }
}

fn is_long_option(word: &Word) -> bool {
    !word.quoted && word.text.starts_with("--") && word.text.len() > 2
}

/// Where the target is still to come, `to` in an unquoted reason is one or
/// the other, and guessing wrong would move a stage to the wrong bundle.
fn guard_target(spec: &VerbSpec, parts: &Parts, said: &[Word]) -> Result<(), Refusal> {
    let to = |word: &Word| !word.quoted && word.text.eq_ignore_ascii_case("to");
    if spec.takes_to && parts.to.is_none() && said.iter().any(to) {
        let hint = format!("quote the reason: --reason \"…\"; {}", usage(spec));
        return Err(invalid("`to` could be part of the reason or name the target", &hint));
    }
    Ok(())
}

fn set(
    slot: &mut Option<String>,
    value: String,
    name: &str,
    spec: &VerbSpec,
) -> Result<(), Refusal> {
    if slot.is_some() {
        return Err(invalid(&format!("`{name}` is there twice"), &usage(spec)));
    }
    *slot = Some(value);
    Ok(())
}

fn unknown(name: &str, spec: &VerbSpec) -> Refusal {
    let message = format!("`{}` has no option `{name}`", spec.name);
    match did_you_mean(name, OPTIONS) {
        Some(hint) => invalid(&message, &format!("{hint} {}", usage(spec))),
        None => invalid(&message, &usage(spec)),
    }
}
