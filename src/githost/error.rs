//! Why something did not happen on GitHub, and what to do about it.

use std::time::Duration;

/// Why a call failed. No text in it holds a token, a control character or
/// more than a few hundred characters of what GitHub said.
#[allow(missing_docs, reason = "the variants' texts name their fields")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// No answer, a broken one, or one that says that GitHub is unwell.
    #[error("{call}: GitHub can't be reached: {detail}")]
    Unreachable { call: String, detail: String },
    /// Too many calls; none is sent before the time is over.
    #[error("{call}: GitHub takes no more calls for {} s", wait.as_secs())]
    Limited { call: String, wait: Duration },
    /// The token was refused, also after it was read or bought again.
    #[error("{call}: GitHub refused the credentials; look at the token or the App's installation")]
    Unauthorized { call: String },
    /// The token is good and may not do this.
    #[error("{call}: GitHub forbids it: {detail}; look at the token's or the App's permissions")]
    Forbidden { call: String, detail: String },
    /// There is no such thing, or the token may not see it.
    #[error("{call}: GitHub knows no such thing, or the token may not see it")]
    NotFound { call: String },
    /// GitHub understood and refused.
    #[error("{call}: GitHub refused ({status}): {detail}")]
    Refused { call: String, status: u16, detail: String },
    /// The repository is somewhere else by now.
    #[error("{call}: GitHub says that the repository was renamed or moved; write its new name")]
    Moved { call: String },
    /// The credential can't be had at all.
    #[error("no token for GitHub: {0}")]
    NoToken(String),
}

impl HostError {
    /// Whether GitHub as a whole is away, so that other calls would fail too.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Limited { .. }
                | Self::Unauthorized { .. }
                | Self::NoToken(_)
        )
    }

    /// How long GitHub itself asked to wait.
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Self::Limited { wait, .. } => Some(*wait),
            _ => None,
        }
    }

    /// Whether what was to be changed is not there (any more).
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::Refused { status: 410, .. })
    }

    /// What GitHub said where it refused by its rules (422).
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::Refused { status: 422, detail, .. } => Some(detail),
            _ => None,
        }
    }
}
