//! Cuts template source into text and tags, as the engine's lexer does.
//!
//! Not a parser: it knows where tags begin and end, and nothing of what is in
//! them. It is what decides whether a file is a template at all, what makes
//! `##` lines comments, and where marks can stand without changing the output.

use std::ops::Range;

use super::mark::Mark;

/// How many words and signs one tag may have, a quoted text being one.
const TOKENS_MAX: usize = 1_000;
/// How many `elif` tags one source may have.
const ELIFS_MAX: usize = 200;

/// A piece of source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) sort: Sort,
    pub(super) range: Range<usize>,
}

/// What a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// Printed as it is.
    Text,
    /// `${{ … }}`.
    Expression,
    /// `<% … %>` or `#% …`.
    Statement,
    /// `<# … #>`.
    Comment,
    /// `## …`, from the two signs to before the end of the line.
    LineComment,
}

/// Source text, cut into pieces.
#[derive(Debug)]
pub(crate) struct Source<'s> {
    text: &'s str,
    pieces: Vec<Piece>,
}

impl<'s> Source<'s> {
    /// Cuts `text`. A tag that doesn't end takes the rest; the engine says so.
    pub(crate) fn scan(text: &'s str) -> Self {
        let mut scanner = Scanner { text, at: 0, pieces: Vec::new() };
        scanner.run();
        Self { text, pieces: scanner.pieces }
    }

    /// Whether anything in it is not plain text.
    pub(crate) fn is_template(&self) -> bool {
        self.pieces.iter().any(|piece| piece.sort != Sort::Text)
    }

    /// Whether a tag holds one of `words` as a whole identifier. May err
    /// towards yes (a word within quotes), never towards no.
    pub(crate) fn mentions(&self, words: &[&str]) -> bool {
        let identifier = |c: char| c.is_alphanumeric() || c == '_';
        self.pieces
            .iter()
            .filter(|piece| matches!(piece.sort, Sort::Expression | Sort::Statement))
            .flat_map(|piece| self.text[piece.range.clone()].split(|c| !identifier(c)))
            .any(|word| words.contains(&word))
    }

    /// Where a tag, or the chain of `elif` tags, is longer than the engine can
    /// take: it walks both by recursion, so that a long enough one would
    /// overflow the stack. Gives the line, from 1.
    pub(super) fn too_deep(&self) -> Option<u32> {
        let mut elifs = 0;
        let deep = |piece: &&Piece| {
            let tag = &self.text[piece.range.clone()];
            elifs +=
                usize::from(piece.sort == Sort::Statement && words(tag).next() == Some("elif"));
            let tag_runs = matches!(piece.sort, Sort::Expression | Sort::Statement);
            elifs > ELIFS_MAX || (tag_runs && tokens(tag) > TOKENS_MAX)
        };
        let piece = self.pieces.iter().find(deep)?;
        Some(advance((1, 1), &self.text[..piece.range.start]).0)
    }

    /// The source as the engine gets it: each `##` line an inline comment, on
    /// the same line, which the engine drops with its line break; and a tag
    /// that ends a line of text told to leave the line break alone. Places
    /// stay what they are.
    pub(crate) fn plain(&self) -> String {
        let mut out = String::with_capacity(self.text.len() + 16);
        for piece in &self.pieces {
            match piece.sort {
                Sort::Text | Sort::Expression => out.push_str(&self.text[piece.range.clone()]),
                Sort::Statement | Sort::Comment | Sort::LineComment => self.tag(&mut out, piece),
            }
        }
        out
    }

    /// Writes a tag that prints nothing.
    ///
    /// The engine drops the line break behind such a tag. That is right where
    /// the tag is all that the line holds; behind text it would join the line
    /// to the next one, so there the tag gets the engine's `+`, which keeps it.
    fn tag(&self, out: &mut String, piece: &Piece) {
        let tag = &self.text[piece.range.clone()];
        let close = match piece.sort {
            Sort::LineComment => return out.push_str("<##>"),
            Sort::Comment => "#>",
            _ => "%>",
        };
        let ends_line = self.text[piece.range.end..].starts_with(['\r', '\n']);
        match tag.strip_suffix(close).filter(|inner| ends_line && !inner.ends_with(['-', '+'])) {
            Some(inner) if !begins_line(self.text, piece.range.start) => {
                out.push_str(inner);
                out.push('+');
                out.push_str(close);
            }
            _ => out.push_str(tag),
        }
    }

    /// The source with a mark before each piece of text on each line and
    /// before each expression. `file` is the number that the marks carry.
    ///
    /// Marks never stand among blanks, before a line break, or before a tag
    /// that trims what is before it, so they don't change what is trimmed.
    pub(super) fn marked(&self, file: u32) -> String {
        let mut out = String::with_capacity(self.text.len() * 2);
        let (mut line, mut column) = (1, 1);
        for piece in &self.pieces {
            let text = &self.text[piece.range.clone()];
            match piece.sort {
                Sort::Text => mark_lines(&mut out, text, file, (line, column)),
                Sort::Expression => {
                    if !text.starts_with("${{-") {
                        Mark { literal: false, file, line, column }.push(&mut out);
                    }
                    out.push_str(text);
                }
                Sort::Statement | Sort::Comment | Sort::LineComment => self.tag(&mut out, piece),
            }
            (line, column) = advance((line, column), text);
        }
        out
    }
}

fn mark_lines(out: &mut String, text: &str, file: u32, (mut line, mut column): (u32, u32)) {
    for part in text.split_inclusive('\n') {
        let words = part.trim_start();
        if !words.is_empty() {
            let blanks = &part[..part.len() - words.len()];
            let column = advance((line, column), blanks).1;
            out.push_str(blanks);
            Mark { literal: true, file, line, column }.push(out);
            out.push_str(words);
        } else {
            out.push_str(part);
        }
        (line, column) = advance((line, column), part);
    }
}

/// The position after `text` that begins at `(line, column)`.
pub(super) fn advance((line, column): (u32, u32), text: &str) -> (u32, u32) {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    match text.rfind('\n') {
        Some(last) => {
            let lines = count(text.matches('\n').count());
            (line.saturating_add(lines), count(text[last + 1..].chars().count()).saturating_add(1))
        }
        None => (line, column.saturating_add(count(text.chars().count()))),
    }
}

fn words(tag: &str) -> impl Iterator<Item = &str> {
    tag.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

fn tokens(tag: &str) -> usize {
    let bytes = tag.as_bytes();
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
    let (mut at, mut count) = (0, 0);
    while at < bytes.len() {
        let byte = bytes[at];
        if matches!(byte, b'"' | b'\'') {
            at = string_end(bytes, at, byte).unwrap_or(bytes.len());
        } else if word(byte) {
            at += bytes[at..].iter().take_while(|byte| word(**byte)).count() - 1;
        }
        count += usize::from(!byte.is_ascii_whitespace());
        at += 1;
    }
    count
}

struct Scanner<'s> {
    text: &'s str,
    at: usize,
    pieces: Vec<Piece>,
}

impl Scanner<'_> {
    fn run(&mut self) {
        let mut from = 0;
        while let Some((start, sort)) = self.next_start(from) {
            if let Some((text, end)) = self.raw(start, sort) {
                self.push(Sort::Statement, text.start);
                self.push(Sort::Text, text.end);
                self.push(Sort::Statement, end);
            } else {
                self.push(Sort::Text, start);
                let end = self.end(start, sort);
                self.push(sort, end);
            }
            from = self.at;
        }
        self.push(Sort::Text, self.text.len());
    }

    fn push(&mut self, sort: Sort, end: usize) {
        if end > self.at {
            self.pieces.push(Piece { sort, range: self.at..end });
            self.at = end;
        }
    }

    /// Where the next tag begins, and what it is.
    fn next_start(&self, from: usize) -> Option<(usize, Sort)> {
        let bytes = self.text.as_bytes();
        (from..bytes.len()).find_map(|at| {
            let sort = match (bytes[at], bytes.get(at + 1)?) {
                (b'$', b'{') if bytes.get(at + 2) == Some(&b'{') => Sort::Expression,
                (b'<', b'%') => Sort::Statement,
                (b'<', b'#') => Sort::Comment,
                (b'#', b'%') if begins_line(self.text, at) => Sort::Statement,
                (b'#', b'#') if begins_line(self.text, at) => Sort::LineComment,
                _ => return None,
            };
            Some((at, sort))
        })
    }

    fn end(&self, start: usize, sort: Sort) -> usize {
        let rest = &self.text[start..];
        let found = match sort {
            Sort::Comment => rest[2..].find("#>").map(|at| at + 4),
            Sort::LineComment => rest.find(['\r', '\n']),
            Sort::Expression => tag_end(rest, 3, Some("}}")),
            Sort::Statement if rest.starts_with('#') => tag_end(rest, 2, None),
            Sort::Statement => tag_end(rest, 2, Some("%>")),
            Sort::Text => None,
        };
        start + found.unwrap_or(rest.len())
    }

    /// The text between `<% raw %>` and `<% endraw %>`, and the end of the
    /// latter, where the tag at `start` is the former.
    fn raw(&mut self, start: usize, sort: Sort) -> Option<(Range<usize>, usize)> {
        let opens = sort == Sort::Statement && self.text[start..].starts_with("<%");
        let text_start = start + opens.then(|| basic_tag(&self.text[start..], "raw")).flatten()?;
        self.push(Sort::Text, start);
        let mut at = text_start;
        while let Some(next) = self.text[at..].find("<%") {
            at += next;
            if let Some(length) = basic_tag(&self.text[at..], "endraw") {
                return Some((text_start..at, at + length));
            }
            at += 2;
        }
        Some((text_start..self.text.len(), self.text.len()))
    }
}

fn begins_line(text: &str, at: usize) -> bool {
    let before = text[..at].trim_end_matches([' ', '\t']);
    before.is_empty() || before.ends_with(['\n', '\r'])
}

/// The length of the tag `<% name %>`, if `text` begins with it.
fn basic_tag(text: &str, name: &str) -> Option<usize> {
    let inner = text.strip_prefix("<%")?.trim_start_matches(['-', '+']).trim_start();
    let after = inner.strip_prefix(name)?.trim_start();
    let rest = after.trim_start_matches(['-', '+']).strip_prefix("%>")?;
    Some(text.len() - rest.len())
}

/// Where a tag ends: behind `close`, or without one behind the line break,
/// outside of quotes and brackets.
fn tag_end(tag: &str, from: usize, close: Option<&str>) -> Option<usize> {
    let bytes = tag.as_bytes();
    let (mut at, mut depth) = (from, 0_i32);
    while at < bytes.len() {
        match close {
            Some(close) if depth == 0 && bytes[at..].starts_with(close.as_bytes()) => {
                return Some(at + close.len());
            }
            None if depth == 0 && bytes[at] == b'\n' => return Some(at + 1),
            _ => {}
        }
        match bytes[at] {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            quote @ (b'"' | b'\'') => at = string_end(bytes, at, quote)?,
            _ => {}
        }
        at += 1;
    }
    None
}

fn string_end(bytes: &[u8], start: usize, quote: u8) -> Option<usize> {
    let mut at = start + 1;
    while *bytes.get(at)? != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    Some(at)
}
