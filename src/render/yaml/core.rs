//! YAML 1.2's core schema: what an unquoted scalar means when nobody says.

use super::Scalar;

/// A scalar's meaning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Core<'a> {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`; `yes` and `on` are texts.
    Bool(bool),
    /// An integer: decimal, `0x…` or `0o…`.
    Int(i128),
    /// Any other number.
    Float(f64),
    /// Everything else, and everything quoted.
    Text(&'a str),
}

impl Scalar {
    /// The meaning by the core schema.
    pub(crate) fn core(&self) -> Core<'_> {
        let text = &*self.text;
        if !self.plain {
            return Core::Text(text);
        }
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Core::Null,
            "true" | "True" | "TRUE" => Core::Bool(true),
            "false" | "False" | "FALSE" => Core::Bool(false),
            _ => number(text).unwrap_or(Core::Text(text)),
        }
    }

    /// What this is, for messages.
    pub(crate) fn describe(&self) -> String {
        match self.core() {
            Core::Null => "null".into(),
            Core::Bool(value) => format!("the boolean {value}"),
            Core::Int(_) | Core::Float(_) => format!("the number {}", self.text),
            Core::Text(text) => format!("the text \"{}\"", shorten(text)),
        }
    }
}

/// `text`, cut where a message would become unreadable.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    let escaped = text.escape_debug().to_string();
    match escaped.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", &escaped[..cut]),
        None => escaped,
    }
}

fn number<'a>(text: &str) -> Option<Core<'a>> {
    if let Some(digits) = text.strip_prefix("0x") {
        return unsigned(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return unsigned(digits, 8);
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    match digits {
        ".inf" | ".Inf" | ".INF" if text.starts_with('-') => {
            return Some(Core::Float(f64::NEG_INFINITY));
        }
        ".inf" | ".Inf" | ".INF" => return Some(Core::Float(f64::INFINITY)),
        _ => {}
    }
    if matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(Core::Float(f64::NAN));
    }
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let whole = text.strip_prefix('+').unwrap_or(text);
        return Some(whole.parse().map_or_else(|_| Core::Float(float(whole)), Core::Int));
    }
    is_float(digits).then(|| Core::Float(float(text)))
}

fn unsigned<'a>(digits: &str, radix: u32) -> Option<Core<'a>> {
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    i128::from_str_radix(digits, radix).ok().map(Core::Int)
}

fn float(text: &str) -> f64 {
    text.parse().unwrap_or(f64::NAN)
}

/// `( . digits | digits [ . digits ] ) [ e [sign] digits ]`
fn is_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_ok = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    exponent_ok
        && all_digits(whole)
        && all_digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
}
