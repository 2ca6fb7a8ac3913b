//! Identifiers. Each is parsed once, at the door, and is valid from then on.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Why a text is not the identifier it was given as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: {rule}")]
pub struct IdError {
    /// The kind of identifier that was expected, in the field's words.
    pub what: &'static str,
    /// What was given.
    pub text: String,
    /// The rule it broke.
    pub rule: &'static str,
}

fn is_name(text: &str) -> bool {
    let ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !text.is_empty()
        && text.len() <= 64
        && text.chars().all(ok)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

const NAME_RULE: &str = "1 to 64 of a-z A-Z 0-9 `-` `_` `.`, beginning with a letter or digit";

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses the identifier.
            ///
            /// # Errors
            /// The text breaks the naming rule, which the error states.
            pub fn new(text: &str) -> Result<Self, IdError> {
                if is_name(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(IdError { what: $what, text: text.into(), rule: NAME_RULE })
                }
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().into()
            }
        }
    };
}

text_id!(
    /// One step of a pipeline: beta, staging, canary, release, or any other
    /// name that a manifest gives.
    Stage,
    "stage name"
);
text_id!(
    /// The name of a bundle, `b-` and the first 12 hex digits of its content
    /// hash. Equal content gives an equal name; nothing else does.
    BundleId,
    "bundle id"
);
text_id!(
    /// The name of a promotion, `P-` and a number that only grows.
    PromotionId,
    "promotion id"
);

text_id!(
    /// A named set of Envoys that get the same resources.
    NodeGroup,
    "node group name"
);
text_id!(
    /// A person as the configuration names them. Slack ids, Git addresses and
    /// tokens are mapped to it; it is what rules about people compare.
    Person,
    "person"
);

/// The node group that exists in every pipeline: nodes of a stage that no
/// other group's rules match.
pub const EVERYONE: &str = "default";

impl Default for NodeGroup {
    fn default() -> Self {
        Self(EVERYONE.into())
    }
}

impl BundleId {
    /// The name of the bundle whose content hashes to `hash`.
    pub fn of(hash: &ContentHash) -> Self {
        Self(format!("b-{}", &hash.to_string()[..12]).into())
    }
}

impl PromotionId {
    /// The name of the `number`-th promotion.
    pub fn numbered(number: u64) -> Self {
        Self(format!("P-{number}").into())
    }

    /// The number within the name, 0 where the name carries none.
    pub fn number(&self) -> u64 {
        self.0.trim_start_matches("P-").parse().unwrap_or(0)
    }
}

/// A repository as users name it: `project/repository`. Projects whose name
/// begins with `@` are Convoy's own and can't be named from outside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepoName(Arc<str>);

impl RepoName {
    /// Parses `project/repository`.
    ///
    /// # Errors
    /// There is no `/`, or one of the two halves is not a name.
    pub fn new(text: &str) -> Result<Self, IdError> {
        let ok =
            text.split_once('/').is_some_and(|(project, repo)| is_name(project) && is_name(repo));
        if ok {
            return Ok(Self(text.into()));
        }
        Err(IdError {
            what: "repository name",
            text: text.into(),
            rule: "write project/repository, each 1 to 64 of a-z A-Z 0-9 `-` `_` `.`",
        })
    }

    /// `@convoy/state`, where every decision is a commit.
    pub fn state() -> Self {
        Self("@convoy/state".into())
    }

    /// Whether the repository is one of Convoy's own.
    pub fn is_internal(&self) -> bool {
        self.0.starts_with('@')
    }

    /// The half before the slash.
    pub fn project(&self) -> &str {
        self.0.split_once('/').map_or("", |(project, _)| project)
    }

    /// The half after the slash.
    pub fn repository(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, repository)| repository)
    }

    /// The name as text, `project/repository`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RepoName {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::new(text)
    }
}

impl TryFrom<String> for RepoName {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        if text == "@convoy/state" { Ok(Self::state()) } else { Self::new(&text) }
    }
}

impl From<RepoName> for String {
    fn from(name: RepoName) -> String {
        name.0.as_ref().into()
    }
}

/// Our number for a state of a repository: 1, 2, 3 … one per commit on the
/// mirrored branch's first-parent line. Revision 0 is the empty repository.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Revision {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse().map(Self).map_err(|_| IdError {
            what: "revision",
            text: text.into(),
            rule: "a whole number, counted from 1",
        })
    }
}

/// Git's name of a commit: 20 bytes, printed as 40 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommitId(pub [u8; 20]);

impl CommitId {
    /// The first ten hex digits, for people.
    pub fn short(&self) -> String {
        hex(&self.0[..5])
    }
}

/// Git's name of a file's content (`git hash-object`), printed as 40 hex
/// digits. It is what a writer expects a file to be, and a file's `ETag`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BlobId(pub [u8; 20]);

/// A SHA-256 of some content, printed as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentHash(pub [u8; 32]);

/// How many bytes of parts are hashed at once.
const GATHERED: usize = 4 << 10;

impl ContentHash {
    /// Hashes `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Hashes several parts so that no two lists of parts collide: each part
    /// goes in behind its length.
    pub fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let (mut hasher, mut gathered) = (Sha256::new(), Vec::with_capacity(GATHERED));
        for part in parts {
            // Lists are mostly long and their parts short: each call of the
            // hash costs as much as such a part.
            if gathered.len() + 8 + part.len() > GATHERED {
                hasher.update(&gathered);
                gathered.clear();
            }
            gathered.extend_from_slice(&(part.len() as u64).to_be_bytes());
            if part.len() > GATHERED / 2 {
                hasher.update(&gathered);
                gathered.clear();
                hasher.update(part);
            } else {
                gathered.extend_from_slice(part);
            }
        }
        hasher.update(&gathered);
        Self(hasher.finalize().into())
    }

    /// The first 16 hex digits: what Envoy and people are shown as a version.
    pub fn short(&self) -> String {
        hex(&self.0[..8])
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

macro_rules! hex_id {
    ($name:ident, $what:literal, $rule:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                unhex(text).map(Self).ok_or_else(|| IdError {
                    what: $what,
                    text: text.into(),
                    rule: $rule,
                })
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    };
}

hex_id!(CommitId, "commit id", "40 hex digits");
hex_id!(BlobId, "blob id", "40 hex digits");
hex_id!(ContentHash, "content hash", "64 hex digits");

/// What one set of Envoys is served from: a stage of a repository's pipeline,
/// and the node group within it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SnapshotKey {
    /// The repository whose manifest names the stage.
    pub repo: RepoName,
    /// The stage.
    pub stage: Stage,
    /// The node group.
    pub group: NodeGroup,
}

impl fmt::Display for SnapshotKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.repo, self.stage, self.group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_ids_round_trip() {
        let hash = ContentHash::of(b"convoy");
        assert_eq!(hash.to_string().parse::<ContentHash>(), Ok(hash));
        assert!("zz".parse::<CommitId>().is_err());
        assert!("é".repeat(20).parse::<CommitId>().is_err());
    }

    #[test]
    fn parts_do_not_run_together() {
        let a = ContentHash::of_parts([b"ab".as_slice(), b"c"]);
        let b = ContentHash::of_parts([b"a".as_slice(), b"bc"]);
        assert_ne!(a, b);
    }

    #[test]
    fn internal_repositories_cannot_be_named_from_outside() {
        assert!(RepoName::new("@convoy/state").is_err());
        assert!(RepoName::new("mesh").is_err());
        assert_eq!(RepoName::new("mesh/config").map(|n| n.project().to_owned()), Ok("mesh".into()));
    }
}
