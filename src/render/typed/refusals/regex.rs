//! Regular expressions as RE2 reads them, which is Envoy's engine.
//!
//! Not a matcher: a reader of the syntax, that says what RE2 would. The syntax
//! is <https://github.com/google/re2/wiki/Syntax>; what it lacks beside other
//! engines are lookarounds, back references and possessive repetition.

use std::iter::Peekable;
use std::str::Chars;

use prost_reflect::DynamicMessage;

use super::Refusals;
use crate::render::yaml::shorten;
use crate::schema::fields::text;

/// The most often that RE2 repeats a part.
const REPEAT_MAX: u32 = 1000;

/// RE2's own bound on groups in groups.
const DEPTH_MAX: usize = 1000;

const CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

pub(super) fn matcher(message: &DynamicMessage, refusals: &mut Refusals<'_>) {
    let expression = text(message, "regex");
    if let Err(error) = groups(&expression) {
        let text =
            format!("`regex` is no expression of RE2: {error}, in `{}`", shorten(&expression));
        refusals.refuse("regex", "bad-regex", text, "see github.com/google/re2/wiki/Syntax");
    }
}

/// How many groups the expression captures.
fn groups(expression: &str) -> Result<u32, String> {
    let mut reader = Reader { rest: expression.chars().peekable(), open: 0, groups: 0 };
    reader.expression()?;
    Ok(reader.groups)
}

struct Reader<'e> {
    rest: Peekable<Chars<'e>>,
    open: usize,
    groups: u32,
}

/// What may follow: whether a repetition can.
#[derive(Clone, Copy, PartialEq)]
enum Last {
    Nothing,
    Part,
    Repetition,
}

impl Reader<'_> {
    fn expression(&mut self) -> Result<(), String> {
        let mut last = Last::Nothing;
        while let Some(c) = self.rest.next() {
            last = match c {
                '(' => {
                    self.open()?;
                    Last::Nothing
                }
                ')' => {
                    self.open = self.open.checked_sub(1).ok_or("unexpected )")?;
                    Last::Part
                }
                '|' => Last::Nothing,
                '*' | '+' | '?' => self.repetition(&c.to_string(), last)?,
                '{' => match self.counted()? {
                    Some(text) => self.repetition(&text, last)?,
                    None => Last::Part,
                },
                '[' => {
                    self.class()?;
                    Last::Part
                }
                '\\' => {
                    self.escape(false)?;
                    Last::Part
                }
                _ => Last::Part,
            };
        }
        if self.open > 0 { Err("missing )".into()) } else { Ok(()) }
    }

    fn repetition(&mut self, operator: &str, last: Last) -> Result<Last, String> {
        match last {
            Last::Nothing => Err(format!("no argument for repetition operator: {operator}")),
            Last::Repetition => Err(format!("bad repetition operator: {operator}")),
            Last::Part => {
                self.rest.next_if_eq(&'?');
                Ok(Last::Repetition)
            }
        }
    }

    /// What stands behind `{`; `None` where it is no count but a character.
    fn counted(&mut self) -> Result<Option<String>, String> {
        let ahead: String = self.rest.clone().take_while(|c| *c != '}').take(24).collect();
        let (low, high) = ahead.split_once(',').unwrap_or((&ahead, &ahead));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let closed = self.rest.clone().nth(ahead.chars().count()) == Some('}');
        if !closed || !is_number(low) || !(high.is_empty() || is_number(high)) {
            return Ok(None);
        }
        self.rest.nth(ahead.chars().count());
        let text = format!("{{{ahead}}}");
        let bounds = [low, if high.is_empty() { low } else { high }].map(str::parse::<u32>);
        match bounds {
            [Ok(low), Ok(high)] if low <= high && high <= REPEAT_MAX => Ok(Some(text)),
            _ => Err(format!("invalid repetition size: {text}")),
        }
    }

    fn open(&mut self) -> Result<(), String> {
        self.open += 1;
        if self.open > DEPTH_MAX {
            return Err("expression nests too deeply".into());
        }
        if self.rest.next_if_eq(&'?').is_none() {
            self.groups += 1;
            return Ok(());
        }
        let mut named = self.rest.clone();
        let first = named.next();
        if first == Some('P') && named.next() == Some('<')
            || first == Some('<') && !matches!(self.rest.clone().nth(1), Some('=' | '!'))
        {
            return self.name();
        }
        self.flags()
    }

    fn name(&mut self) -> Result<(), String> {
        while self.rest.next_if(|c| *c != '<').is_some() {}
        self.rest.next();
        let mut name = String::new();
        loop {
            match self.rest.next() {
                Some('>') if !name.is_empty() => break,
                Some(c) if c.is_alphanumeric() || c == '_' => name.push(c),
                _ => return Err("invalid named capture group".into()),
            }
        }
        self.groups += 1;
        Ok(())
    }

    fn flags(&mut self) -> Result<(), String> {
        let mut seen = String::from("(?");
        loop {
            let c = self.rest.next().ok_or("missing )")?;
            seen.push(c);
            match c {
                ':' => return Ok(()),
                ')' => {
                    self.open -= 1;
                    return Ok(());
                }
                'i' | 'm' | 's' | 'U' | '-' => {}
                _ => return Err(format!("invalid perl operator: {seen}")),
            }
        }
    }

    fn class(&mut self) -> Result<(), String> {
        self.rest.next_if_eq(&'^');
        let mut first = true;
        loop {
            let c = self.rest.next().ok_or("missing ]")?;
            let low = match c {
                ']' if !first => return Ok(()),
                '[' if self.rest.peek() == Some(&':') => {
                    self.posix()?;
                    None
                }
                '\\' => self.escape(true)?,
                c => Some(c),
            };
            first = false;
            let Some(low) = low else { continue };
            let mut ahead = self.rest.clone();
            if ahead.next() != Some('-') || matches!(ahead.next(), None | Some(']')) {
                continue;
            }
            self.rest.next();
            let high = match self.rest.next() {
                Some('\\') => self.escape(true)?.ok_or("invalid character class range")?,
                Some(c) => c,
                None => return Err("missing ]".into()),
            };
            if low > high {
                return Err(format!("invalid character class range: {low}-{high}"));
            }
        }
    }

    /// A class such as `[:alpha:]`, behind its first bracket.
    fn posix(&mut self) -> Result<(), String> {
        let ahead: String = self.rest.clone().skip(1).take(16).collect();
        let Some((name, _)) = ahead.split_once(":]") else { return Ok(()) };
        if !CLASSES.contains(&name.trim_start_matches('^')) {
            return Err(format!("invalid character class range: [:{name}:]"));
        }
        self.rest.nth(name.chars().count() + 2);
        Ok(())
    }

    /// What stands behind a backslash; the character that it means, if it is one.
    fn escape(&mut self, in_class: bool) -> Result<Option<char>, String> {
        let c = self.rest.next().ok_or("trailing \\")?;
        match c {
            'd' | 'D' | 's' | 'S' | 'w' | 'W' => Ok(None),
            'b' | 'B' | 'A' | 'z' | 'C' if !in_class => Ok(None),
            'Q' if !in_class => {
                self.quoted();
                Ok(None)
            }
            // Without a beginning it is nothing.
            'E' if !in_class => Ok(None),
            'p' | 'P' => self.property(c).map(|()| None),
            'x' => self.hexadecimal().map(Some),
            '0' => Ok(Some('\0')),
            '1'..='7' if self.rest.peek().is_some_and(|c| ('0'..='7').contains(c)) => {
                while self.rest.next_if(|c| ('0'..='7').contains(c)).is_some() {}
                Ok(None)
            }
            'a' => Ok(Some('\u{7}')),
            'f' => Ok(Some('\u{c}')),
            'n' => Ok(Some('\n')),
            'r' => Ok(Some('\r')),
            't' => Ok(Some('\t')),
            'v' => Ok(Some('\u{b}')),
            c if c.is_ascii_alphanumeric() => Err(format!("invalid escape sequence: \\{c}")),
            c if c.is_ascii() => Ok(Some(c)),
            c => Err(format!("invalid escape sequence: \\{c}")),
        }
    }

    fn quoted(&mut self) {
        while let Some(c) = self.rest.next() {
            if c == '\\' && self.rest.next_if_eq(&'E').is_some() {
                return;
            }
        }
    }

    fn property(&mut self, which: char) -> Result<(), String> {
        let bad = || format!("invalid character class range: \\{which}");
        match self.rest.next().ok_or_else(bad)? {
            '{' => {
                let mut name = String::new();
                for c in self.rest.by_ref() {
                    if c == '}' {
                        let name = name.trim_start_matches('^');
                        let known = !name.is_empty()
                            && name.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
                        return if known { Ok(()) } else { Err(bad()) };
                    }
                    name.push(c);
                }
                Err(bad())
            }
            'C' | 'L' | 'M' | 'N' | 'P' | 'S' | 'Z' => Ok(()),
            _ => Err(bad()),
        }
    }

    fn hexadecimal(&mut self) -> Result<char, String> {
        let bad = || "invalid escape sequence: \\x".to_owned();
        let mut digits = String::new();
        if self.rest.next_if_eq(&'{').is_some() {
            while let Some(c) = self.rest.next_if(char::is_ascii_hexdigit) {
                digits.push(c);
            }
            self.rest.next_if_eq(&'}').ok_or_else(bad)?;
        } else {
            digits.extend(self.rest.next_if(char::is_ascii_hexdigit));
            digits.extend(self.rest.next_if(char::is_ascii_hexdigit));
            if digits.len() < 2 {
                return Err(bad());
            }
        }
        let code = u32::from_str_radix(&digits, 16).map_err(|_| bad())?;
        if code > 0x0010_FFFF {
            return Err(bad());
        }
        // Half of a pair is a number that RE2 takes, and no character of ours.
        Ok(char::from_u32(code).unwrap_or('\u{fffd}'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_re2_reads_is_read_with_its_groups() {
        for (expression, expected) in [
            ("", 0),
            ("a.*b", 0),
            ("(a)(?:b)(?P<c>d)(?<e>f)", 3),
            ("(?i)a|(?s-m:b)", 0),
            ("^*a{2,}?b{3}{", 0),
            ("a{,5}x{y}", 0),
            ("[]a]|[^]a-z]|[a-]|[[:alpha:]-x]|[a[b]", 0),
            (r"\d+\.\w\pN\p{Greek}\P{^Lu}\x41\x{10FFFF}\Q(*\E\017", 0),
            (r"a\-b\/c\_", 0),
        ] {
            assert_eq!(groups(expression), Ok(expected), "{expression}");
        }
    }

    #[test]
    fn what_re2_refuses_is_refused_in_its_words() {
        for (expression, expected) in [
            ("(a", "missing )"),
            ("a)", "unexpected )"),
            ("(a[", "missing ]"),
            ("a(?=b)", "invalid perl operator: (?="),
            ("a(?<!b)", "invalid perl operator: (?<"),
            ("(?x)a", "invalid perl operator: (?x"),
            (r"(a)\1", r"invalid escape sequence: \1"),
            (r"\Z", r"invalid escape sequence: \Z"),
            ("*a", "no argument for repetition operator: *"),
            ("a|+", "no argument for repetition operator: +"),
            ("a**", "bad repetition operator: *"),
            ("a*+", "bad repetition operator: +"),
            ("a{1001}", "invalid repetition size: {1001}"),
            ("a{3,2}", "invalid repetition size: {3,2}"),
            ("[z-a]", "invalid character class range: z-a"),
            ("[[:nope:]]", "invalid character class range: [:nope:]"),
            ("a\\", "trailing \\"),
        ] {
            assert_eq!(groups(expression), Err(expected.to_owned()), "{expression}");
        }
    }
}
