//! A versioned tree of files, held in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The path of a file within a repository: UTF-8, `/` between parts, no
/// leading slash, and no part that is empty, `.`, `..` or `.git`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FilePath(Arc<str>);

/// Why a text is not a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a file path: {rule}", text.escape_debug())]
pub struct PathError {
    /// What was given.
    pub text: String,
    /// The rule it broke.
    pub rule: &'static str,
}

impl FilePath {
    /// The longest path in bytes; Git servers and file systems refuse longer.
    pub const MAX_BYTES: usize = 4096;

    /// Parses a path. One leading slash is dropped.
    ///
    /// # Errors
    /// A part is empty, `.`, `..` or `.git` (in any case), a character is
    /// NUL, or the path is longer than [`Self::MAX_BYTES`].
    pub fn new(text: &str) -> Result<Self, PathError> {
        let path = text.strip_prefix('/').unwrap_or(text);
        let refuse = |rule| Err(PathError { text: text.into(), rule });
        if path.len() > Self::MAX_BYTES {
            return refuse("longer than 4096 bytes");
        }
        if path.contains('\0') {
            return refuse("it holds a NUL");
        }
        for part in path.split('/') {
            match part {
                "" => return refuse("a part is empty"),
                "." | ".." => return refuse("a part is `.` or `..`"),
                part if part.eq_ignore_ascii_case(".git") => return refuse("a part is `.git`"),
                _ => {}
            }
        }
        Ok(Self(path.into()))
    }

    /// The path as text, without a leading slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last part.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl std::borrow::Borrow<str> for FilePath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for FilePath {
    type Err = PathError;
    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::new(text)
    }
}

impl TryFrom<String> for FilePath {
    type Error = PathError;
    fn try_from(text: String) -> Result<Self, PathError> {
        Self::new(&text)
    }
}

impl From<FilePath> for String {
    fn from(path: FilePath) -> String {
        path.0.as_ref().into()
    }
}

/// The files of one revision, with their content. Cheap to clone a file of,
/// never changed after it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceTree {
    /// Content by path.
    pub files: BTreeMap<FilePath, Bytes>,
    /// The paths among them that may be executed.
    pub executables: std::collections::BTreeSet<FilePath>,
}

impl SourceTree {
    /// The content of `path`.
    pub fn get(&self, path: &str) -> Option<&Bytes> {
        self.files.get(&FilePath::new(path).ok()?)
    }

    /// The files whose path begins with `folder` and a slash.
    pub fn under<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = (&'a FilePath, &'a Bytes)> {
        self.files.iter().filter(move |(path, _)| {
            path.as_str().strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_cannot_leave_the_tree() {
        for bad in ["", "a//b", "../a", "a/..", "./a", "a/.git/config", "A/.GIT", "a\0b", "a/"] {
            assert!(FilePath::new(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "/a/b", "a b/ü.yaml", "a/.gitignore", "c:\\x"] {
            assert!(FilePath::new(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn under_needs_a_whole_part() -> Result<(), PathError> {
        let mut tree = SourceTree::default();
        for path in ["values/common.yaml", "values2/common.yaml", "values"] {
            tree.files.insert(FilePath::new(path)?, Bytes::new());
        }
        let found: Vec<_> = tree.under("values").map(|(path, _)| path.as_str()).collect();
        assert_eq!(found, ["values/common.yaml"]);
        Ok(())
    }
}
