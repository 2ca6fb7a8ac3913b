//! What an error may repeat of somebody else's words.
//!
//! Remote text goes to logs, Slack and the console, so it is cut short and
//! loses its control characters and, should it hold one, the secret. Called
//! wherever a [`super::MirrorError`] is made.

use super::Credentials;

/// Longer texts are cut: an error is a sentence, not a page.
const CHARS_MAX: usize = 500;

/// `text` on one line, short, and without the secret.
pub(super) fn clean(text: &str, credentials: Option<&Credentials>) -> String {
    let text = match credentials {
        Some(Credentials { secret, .. }) if !secret.is_empty() => {
            text.replace(secret.expose(), "…")
        }
        _ => text.into(),
    };
    let printable: String = text.chars().map(|c| if hides(c) { ' ' } else { c }).collect();
    let words: Vec<_> = printable.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(CHARS_MAX) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// Control characters, and those that turn the direction of text around.
fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The messages of an error and of its causes, outermost first.
pub(super) fn of(error: &gix::Error, credentials: Option<&Credentials>) -> String {
    let mut messages: Vec<String> = Vec::new();
    for cause in error.iter_errors() {
        let message = cause.to_string();
        if !messages.iter().any(|known| known.contains(&message)) {
            messages.push(message);
        }
    }
    clean(&messages.join(": "), credentials)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Secret;

    #[test]
    fn remote_text_loses_control_characters_length_and_secrets() {
        let credentials = Credentials { user: "me".into(), secret: Secret::new("hunter2") };
        let text = format!("a\u{1b}[31mred\r\nhunter2\u{202e}{}", "x".repeat(600));
        let shown = clean(&text, Some(&credentials));
        assert!(shown.starts_with("a [31mred … xxx"), "{shown}");
        assert_eq!(shown.chars().count(), CHARS_MAX + 1);
    }
}
