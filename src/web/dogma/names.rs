//! Names and paths by Central Dogma's rules, which are narrower than ours:
//! file paths are of `-_.0-9A-Za-z` only, patterns have a space, `,` and `*`
//! more. What these rules can't name is refused with the reason.

use super::fault;
use crate::content::Patterns;
use crate::model::{FilePath, RepoName};
use crate::web::Site;
use crate::web::error::Fault;

/// What an address below `contents` or `list` means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// One file (or folder), by its name.
    File(FilePath),
    /// Whatever matches.
    Pattern(Patterns),
}

/// Checks a new project's or repository's name by Central Dogma's rule.
pub(super) fn check_name(what: &str, name: &str) -> Result<(), Fault> {
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"-+_.".contains(byte);
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    let ok = bytes.iter().all(inner)
        && edge(bytes.first())
        && edge(bytes.last())
        && !name.ends_with(".git");
    if ok {
        return Ok(());
    }
    Err(fault::illegal(format!(
        "{what} name `{}`: write letters, digits and `-` `+` `_` `.`, a letter or digit first and \
         last, and no `.git` at the end",
        name.escape_debug()
    )))
}

/// A repository that is there: neither it nor its project is removed.
pub(super) fn repo(site: &Site, project: &str, name: &str) -> Result<RepoName, Fault> {
    let registry = site.web.govern.registry();
    if registry.projects.get(project).is_none_or(|one| one.removed.is_some()) {
        return Err(fault::no_project(project));
    }
    let missing = || fault::no_repository(&format!("{project}/{name}"));
    let repo = RepoName::new(&format!("{project}/{name}")).map_err(|_| missing())?;
    registry.repository(&repo).map(|_| ()).ok_or_else(missing)?;
    Ok(repo)
}

/// Whether a text with a leading slash is a file path by their rule.
pub(super) fn is_file_path(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('/') else { return false };
    !rest.is_empty() && rest.split('/').all(is_part)
}

/// Whether one of our paths can be named through their API.
pub(super) fn is_carried(path: &FilePath) -> bool {
    path.as_str().split('/').all(is_part)
}

fn is_part(part: &str) -> bool {
    let ok = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !part.is_empty() && !part.ends_with('.') && part.bytes().all(ok)
}

/// A file's path, with its leading slash.
pub(super) fn file(text: &str) -> Result<FilePath, Fault> {
    if is_file_path(text)
        && let Ok(path) = FilePath::new(text)
    {
        return Ok(path);
    }
    Err(fault::illegal(format!(
        "path: `{}`: Central Dogma's API carries /-separated names of `-` `_` `.` 0-9 A-Z a-z that \
         don't end in `.`; Convoy's own API reads and writes every other name",
        text.escape_debug()
    )))
}

/// A path pattern.
pub(super) fn pattern(text: &str) -> Result<Patterns, Fault> {
    let ok = |byte: u8| byte.is_ascii_alphanumeric() || b"- /*_.,".contains(&byte);
    let refuse = |why: &str| {
        let text = text.escape_debug();
        fault::illegal(format!("path pattern `{text}`: {why}"))
    };
    if text.is_empty() || !text.bytes().all(ok) {
        return Err(refuse(
            "Central Dogma's API carries `- / * _ . ,`, space, 0-9 A-Z a-z; Convoy's own API finds \
             every other name",
        ));
    }
    if text.contains("***") {
        return Err(refuse("three stars in a row mean nothing"));
    }
    Patterns::new(text).map_err(|error| refuse(&error.to_string()))
}

/// What an address means: empty or `/` is the first level, a folder's path
/// with a slash at its end the level below it.
pub(super) fn target(text: &str) -> Result<Target, Fault> {
    if text.is_empty() || text == "/" {
        return Ok(Target::Pattern(pattern("/*")?));
    }
    if is_file_path(text) {
        return file(text).map(Target::File);
    }
    match text.strip_suffix('/') {
        Some(folder) if is_file_path(folder) => {
            Ok(Target::Pattern(pattern(&format!("{folder}/*"))?))
        }
        // Without a star it is a name, and one that this API can't carry.
        _ if !text.contains(['*', ',']) => file(text).map(Target::File),
        _ => Ok(Target::Pattern(pattern(text)?)),
    }
}

impl Target {
    /// As a pattern, also where one file is meant.
    pub(super) fn patterns(&self) -> Patterns {
        match self {
            Self::File(path) => Patterns::file(path),
            Self::Pattern(patterns) => patterns.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_central_dogmas_rule() {
        for good in ["a", "0", "a.b-c_d+e", "A9"] {
            assert!(check_name("project", good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "a.git", "a b", "ü", "@a", "a/b", ".a"] {
            let fault = check_name("project", bad).expect_err(bad);
            assert_eq!(fault.status.as_u16(), 400);
        }
    }

    #[test]
    fn an_address_is_a_file_a_folder_or_a_pattern() {
        for (text, expect) in [
            ("", "/*"),
            ("/", "/*"),
            ("/a/", "/a/*"),
            ("/a.json", "/a.json"),
            ("/*.json,/b c/**", "/*.json,/b c/**"),
        ] {
            assert_eq!(target(text).expect(text).patterns().as_str(), expect, "{text}");
        }
        for bad in ["/a b", "/ü", "/***", "/a?", "/[ab]*"] {
            assert_eq!(target(bad).expect_err(bad).status.as_u16(), 400, "{bad}");
        }
    }

    #[test]
    fn file_paths_follow_central_dogmas_rule() {
        for good in ["/a", "/a/b.json", "/.a/..b", "/-_", "/a-b/c_d.1"] {
            assert!(file(good).is_ok(), "{good}");
        }
        for bad in ["", "/", "a", "/a/", "/a.", "/a//b", "/a b", "/ü", "/@a", "/a+b", "/.git/x"] {
            assert!(file(bad).is_err(), "{bad}");
        }
    }
}
