//! Text that goes into messages: cleaned, escaped and cut.
//!
//! Commit subjects, reasons and Envoy's words come from outside. They must not
//! ping a channel, forge a link or break a limit.

/// Escapes what Slack reads as markup (`& < >`), so that `<!channel>` and
/// links stay plain text.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// One line of foreign text: white space made single, control and direction
/// characters dropped, cut to `most`, backticks replaced, then escaped.
pub fn clean(text: &str, most: usize) -> String {
    let plain: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    let shown = plain.chars().filter(|c| !c.is_control() && !is_invisible(*c));
    let shown: String = shown.map(|c| if c == '`' { '\'' } else { c }).collect();
    let words: Vec<_> = shown.split(' ').filter(|word| !word.is_empty()).collect();
    escape(&cut(&words.join(" "), most))
}

/// Zero-width characters and those that turn the direction of text around.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

/// Cuts to `most` characters as the strictest client counts them (UTF-16
/// units), ending in `…` where something is missing. Neither an entity nor a
/// link nor a code block is left open.
pub fn cut(text: &str, most: usize) -> String {
    if length(text) <= most {
        return text.to_owned();
    }
    // Room for the ellipsis and for closing a code block.
    let kept = whole(take(text, most.saturating_sub(5)));
    let fence = if kept.matches("```").count() % 2 == 1 { "\n```" } else { "" };
    format!("{kept}…{fence}")
}

/// Joins `items` with `separator` as far as they fit, and says how many don't.
pub fn joined(items: &[String], separator: &str, most: usize) -> String {
    let all = items.join(separator);
    if length(&all) <= most {
        return all;
    }
    let room = most.saturating_sub(40);
    let mut text = String::new();
    for (at, item) in items.iter().enumerate() {
        if length(&text) + length(item) + length(separator) > room {
            let more = items.len() - at;
            return format!("{text}{separator}… and {more} more");
        }
        if at > 0 {
            text.push_str(separator);
        }
        text.push_str(item);
    }
    text
}

/// The length in UTF-16 units.
pub(super) fn length(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

fn take(text: &str, most: usize) -> &str {
    let mut units = 0;
    for (at, c) in text.char_indices() {
        units += c.len_utf16();
        if units > most {
            return &text[..at];
        }
    }
    text
}

/// `text` without an entity or a link that was cut in two.
fn whole(text: &str) -> &str {
    let text = match (text.rfind('<'), text.rfind('>')) {
        (Some(open), close) if close.is_none_or(|close| close < open) => &text[..open],
        _ => text,
    };
    match text.rfind('&') {
        Some(at) if !text[at..].contains(';') && text.len() - at < 5 => &text[..at],
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_ping_or_forge_links() {
        let subject = "fix <!channel> & <https://evil.example|your console>\n\u{202E}x `y`";
        assert_eq!(
            clean(subject, 200),
            "fix &lt;!channel&gt; &amp; &lt;https://evil.example|your console&gt; x 'y'"
        );
    }

    #[test]
    fn a_cut_never_splits_an_entity_a_link_or_a_fence() {
        for most in 6..60 {
            let text =
                cut("see <https://x.example/a|a link> &amp; more &lt;here&gt; and so on", most);
            assert!(length(&text) <= most, "{most}: {text}");
            assert_eq!(text.matches('<').count(), text.matches('>').count(), "{text}");
            assert!(
                !text.contains("&a…") && !text.contains("&l…") && !text.contains("&…"),
                "{text}"
            );
        }
        assert_eq!(cut("```\nabcdefghijkl\n```", 14), "```\nabcde…\n```");
    }

    #[test]
    fn length_counts_what_slack_counts_at_its_strictest() {
        assert_eq!(length("a😀"), 3);
        assert_eq!(length(&cut(&"😀".repeat(100), 50)), 45);
    }

    #[test]
    fn a_list_that_is_too_long_says_what_is_missing() {
        let items: Vec<_> = (0..100).map(|n| format!("item {n}")).collect();
        let text = joined(&items, "\n", 200);
        assert!(length(&text) <= 200, "{text}");
        assert!(text.ends_with("more"), "{text}");
        assert_eq!(joined(&items[..2], ", ", 200), "item 0, item 1");
    }

    proptest::proptest! {
        #[test]
        fn any_text_fits_after_the_cut(text in ".*", most in 6_usize..80) {
            let short = cut(&text, most);
            proptest::prop_assert!(length(&short) <= most, "{short}");
            let clean = clean(&text, most);
            proptest::prop_assert!(!clean.contains(['<', '>', '\n', '`']), "{clean}");
        }
    }
}
