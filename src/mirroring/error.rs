//! Why a run failed. What people read is the whole chain on one line.

use crate::govern::GovernError;
use crate::mirror::MirrorError;
use crate::store::StoreError;

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    /// The remote, or the way to it.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// Our repository.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The documents.
    #[error(transparent)]
    Govern(#[from] GovernError),
    /// A rule of ours.
    #[error("{0}")]
    Refused(String),
}

impl RunError {
    pub(super) fn refused(text: impl Into<String>) -> Self {
        Self::Refused(text.into())
    }

    /// Whether somebody wrote between our look and our write, so that looking
    /// again may do.
    pub(super) fn is_race(&self) -> bool {
        match self {
            Self::Mirror(error) => matches!(error, MirrorError::Moved { .. }),
            Self::Store(error) => matches!(
                error,
                StoreError::Conflict { .. } | StoreError::Stale { .. } | StoreError::Unfit(_)
            ),
            _ => false,
        }
    }
}
