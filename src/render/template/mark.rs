//! Marks: private-use characters that carry a source position through a
//! template run, so that the output tells where each piece came from.
//!
//! A mark is four characters: its sort, the number of the file, line, column.

/// The number of the file being rendered; templates count from 1.
pub(super) const MAIN: u32 = 0;
/// The length of a mark in UTF-8.
pub(super) const BYTES: usize = 16;

/// Begins a mark before literal text.
const LITERAL: char = '\u{10fffc}';
/// Begins a mark before an expression.
const EXPRESSION: char = '\u{10fffd}';
/// Numbers are characters counted from here, in plane 15.
const ZERO: u32 = 0xf_0000;
const NUMBER_MAX: u32 = 0xfffd;

/// A source position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) literal: bool,
    pub(super) file: u32,
    pub(super) line: u32,
    pub(super) column: u32,
}

impl Mark {
    /// Appends the mark, unless a number is too large to be carried.
    pub(super) fn push(self, text: &mut String) {
        let digit =
            |number: u32| (number <= NUMBER_MAX).then(|| char::from_u32(ZERO + number)).flatten();
        let numbers = (digit(self.file), digit(self.line), digit(self.column));
        if let (Some(file), Some(line), Some(column)) = numbers {
            text.push(if self.literal { LITERAL } else { EXPRESSION });
            text.extend([file, line, column]);
        }
    }

    /// Takes a mark off the beginning of `text`.
    pub(super) fn take(text: &str) -> Option<(Self, &str)> {
        let mut chars = text.chars();
        let literal = match chars.next()? {
            LITERAL => true,
            EXPRESSION => false,
            _ => return None,
        };
        let mut number = || u32::from(chars.next()?).checked_sub(ZERO).filter(|n| *n <= NUMBER_MAX);
        let mark = Self { literal, file: number()?, line: number()?, column: number()? };
        Some((mark, chars.as_str()))
    }
}

/// Whether a character begins a mark.
pub(super) fn begins(c: char) -> bool {
    matches!(c, LITERAL | EXPRESSION)
}
