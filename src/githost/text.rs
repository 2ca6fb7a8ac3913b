//! Texts that go to GitHub, and what it says: cut to their limits, and with
//! nothing in them that means more than it says.
//!
//! Commit messages, names of resources and rendered values are written by
//! others. In Markdown they must not mention people, close issues, load
//! pictures or end the block that they stand in.

/// The text in at most `most` characters, with an ellipsis where it was cut.
pub fn clip(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// The text in one line without control characters, for descriptions.
pub fn line(text: &str, most: usize) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    clip(plain.split_whitespace().collect::<Vec<_>>().join(" ").as_str(), most)
}

/// The text as Markdown that shows exactly it.
pub fn markdown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            // A mention or a reference needs its sign: a joiner of no width
            // behind it takes the meaning away.
            '@' | '#' => {
                shown.push(c);
                shown.push('\u{2060}');
            }
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '&' => shown.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '!' | '|' | '~' | '(' | ')' => {
                shown.push('\\');
                shown.push(c);
            }
            c if c.is_control() => shown.push(' '),
            c => shown.push(c),
        }
    }
    // A bare address would become a link.
    shown.replace("://", ":\u{2060}//").replace("www.", "www\u{2060}.")
}

/// The text as a code span, whatever it holds.
pub fn code(text: &str) -> String {
    let text = line(text, 300);
    let fence = "`".repeat(longest_run(&text) + 1);
    let space =
        if text.starts_with('`') || text.ends_with('`') || text.is_empty() { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

/// The text as a fenced block of `language`, whatever it holds.
pub fn block(language: &str, text: &str) -> String {
    let fence = "`".repeat(longest_run(text).max(2) + 1);
    let end = if text.ends_with('\n') { "" } else { "\n" };
    format!("{fence}{language}\n{text}{end}{fence}\n")
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_one_line_of_characters_and_not_of_bytes() {
        assert_eq!(line("a\n\tb  c\u{7}", 140), "a b c");
        let long = line(&"ü".repeat(200), 140);
        assert_eq!((long.chars().count(), long.ends_with('…')), (140, true));
        assert_eq!(clip("abc", 3), "abc");
    }

    #[test]
    fn nobody_is_mentioned_and_nothing_is_closed_or_loaded() {
        let shown = markdown("@ann fixes #1 ![x](https://evil/x.png) <img src=x> www.evil.com `a`");
        for part in ["@ann", "#1", "![", "](", "<img", "://evil", "www.evil"] {
            assert!(!shown.contains(part), "{part}: {shown}");
        }
    }

    #[test]
    fn a_block_ends_where_it_ends() {
        let shown = block("diff", "+a\n```\n@ann\n");
        assert_eq!(shown, "````diff\n+a\n```\n@ann\n````\n");
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("`"), "`` ` ``");
    }
}
