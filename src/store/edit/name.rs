//! Names that Git keeps for itself, on any file system: a tree that holds one
//! doesn't pass `git fsck --strict`. Everything else that is UTF-8 may be
//! written, backslashes, colons and leading dots included.

use super::super::error::StoreError;
use crate::model::FilePath;

/// Refuses a path that has such a name in it.
pub(super) fn check(path: &FilePath) -> Result<(), StoreError> {
    for part in path.as_str().split('/') {
        if is_kept(part) {
            return Err(StoreError::Invalid(format!(
                "`{path}` can't be written: Git keeps the name `{}` for itself",
                part.escape_debug()
            )));
        }
    }
    Ok(())
}

/// Git checks behind each backslash too: Windows takes it for a slash.
fn is_kept(part: &str) -> bool {
    let mut pieces = part.split('\\');
    pieces.any(is_kept_by_windows) || is_kept_by_macos(part)
}

/// NTFS has short names, ignores dots and spaces at a name's end, and has
/// streams behind a colon.
fn is_kept_by_windows(piece: &str) -> bool {
    let name = piece.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let name = name.trim_end_matches(['.', ' ']);
    let short = |prefix: &str| {
        name.strip_prefix(prefix).is_some_and(|rest| matches!(rest, "1" | "2" | "3" | "4"))
    };
    matches!(name, ".git" | "git~1" | ".gitmodules")
        || short("gitmod~")
        || name.strip_prefix("gi7eb").is_some_and(|rest| rest.contains('~'))
}

/// HFS+ ignores some characters that nobody sees.
fn is_kept_by_macos(part: &str) -> bool {
    let is_seen = |c: &char| {
        !matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{206a}'..='\u{206f}' | '\u{feff}')
    };
    let seen: String = part.chars().filter(is_seen).collect::<String>().to_ascii_lowercase();
    matches!(seen.as_str(), ".git" | ".gitmodules")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_git_keeps_is_refused() {
        let refused = |text: &str| check(&FilePath::new(text).unwrap()).is_err();
        for bad in [
            "a/GIT~1/x",
            ".g\u{200c}it/x",
            ".gitmodules",
            "x/.GitModules",
            ".git ",
            ".git...",
            ".git:x",
            "a\\.git",
            "a\\.git\\b",
            "gitmod~1",
            "GI7EBA~1",
            ".gitmodules ",
            "git~1.",
        ] {
            assert!(refused(bad), "{bad:?}");
        }
        for good in [
            "a\\b",
            "c:\\x",
            " ",
            "a b",
            ".gitignore",
            ".gitattributes",
            "..a",
            "...",
            "-",
            "git~2",
            ".github",
            "a.git",
            "\u{1f600}/ü",
            "\n",
            "\u{7f}",
            "*?[x]",
            &"x".repeat(300),
            ".git-x",
            "con",
            "aux.",
            "x\\",
            "\\",
            ":",
            ".gitx:y",
            "\u{200c}git",
        ] {
            assert!(!refused(good), "{good:?}");
        }
    }
}
