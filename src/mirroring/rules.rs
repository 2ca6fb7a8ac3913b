//! What a mirror leaves alone: rules in the form of a `.gitignore`, relative
//! to the mirrored folder. Pure.

use std::path::Path;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::error::RunError;
use crate::model::FilePath;

/// The rules together; longer ones are a mistake.
const BYTES_MAX: usize = 64 << 10;

/// Rules, read.
#[derive(Debug)]
pub(super) struct Rules {
    rules: Gitignore,
}

impl Rules {
    /// Reads rules.
    pub(super) fn new(text: &str) -> Result<Self, RunError> {
        if text.len() > BYTES_MAX {
            let what = format!("the mirror's ignore rules are longer than {BYTES_MAX} bytes");
            return Err(RunError::refused(what));
        }
        let mut builder = GitignoreBuilder::new("");
        for (number, line) in text.lines().enumerate() {
            let refused = |error: ignore::Error| {
                let line = line.escape_debug();
                RunError::refused(format!("ignore rule {}, `{line}`: {error}", number + 1))
            };
            builder.add_line(None, &without_braces(line)).map_err(refused)?;
        }
        let refused = |error: ignore::Error| RunError::refused(format!("ignore rules: {error}"));
        Ok(Self { rules: builder.build().map_err(refused)? })
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a file is left alone. As in Git, what lies in an ignored
    /// folder can't be taken back in.
    pub(super) fn ignore(&self, path: &FilePath) -> bool {
        let whole = path.as_str();
        let folders = whole.match_indices('/').map(|(at, _)| &whole[..at]);
        folders.into_iter().any(|folder| self.matches(folder, true)) || self.matches(whole, false)
    }

    fn matches(&self, path: &str, is_folder: bool) -> bool {
        matches!(self.rules.matched(Path::new(path), is_folder), Match::Ignore(_))
    }
}

/// Git knows no alternatives in braces, the library does: here they are
/// themselves, outside of brackets, where they are anyway.
fn without_braces(line: &str) -> String {
    let (mut out, mut in_brackets, mut escaped) = (String::new(), false, false);
    for c in line.chars() {
        if !escaped && !in_brackets && matches!(c, '{' | '}') {
            out.push('\\');
        }
        if !escaped {
            in_brackets = c == '[' || (in_brackets && c != ']');
        }
        escaped = !escaped && c == '\\';
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_mean_what_they_mean_to_git() {
        let rules = "# a comment\n*.tmp\n/build/\ndocs/**/draft.md\nlogs/\n!logs/keep.txt\n\
                     secret.*\n!secret.example\n\\#odd\n*.{a,b}\n[{]x\n";
        let rules = Rules::new(rules).unwrap();
        for (path, ignored) in [
            ("a.tmp", true),
            ("deep/er/a.tmp", true),
            ("a.tmp.txt", false),
            ("build/x/y", true),
            ("src/build/x", false),
            ("build", false),
            ("docs/a/b/draft.md", true),
            ("docs/draft.md", true),
            ("logs/keep.txt", true),
            ("x/logs/y", true),
            ("secret.key", true),
            ("secret.example", false),
            ("#odd", true),
            ("# a comment", false),
            ("x.a", false),
            ("x.{a,b}", true),
            ("{x", true),
        ] {
            assert_eq!(rules.ignore(&FilePath::new(path).unwrap()), ignored, "{path}");
        }
    }

    #[test]
    fn no_rules_ignore_nothing() {
        let rules = Rules::new("\n  \n# only this\n").unwrap();
        assert!(rules.is_empty() && !rules.ignore(&FilePath::new("a").unwrap()));
    }

    #[test]
    fn a_rule_that_cannot_be_read_is_named() {
        let error = Rules::new("ok\n[z-a]\n").expect_err("refused").to_string();
        assert!(error.contains("rule 2") && error.contains("[z-a]"), "{error}");
        assert!(Rules::new(&"x".repeat(BYTES_MAX + 1)).is_err());
    }
}
