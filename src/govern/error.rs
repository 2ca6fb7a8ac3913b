//! Why something could not be governed.

use crate::model::{IdError, PathError};
use crate::store::StoreError;

/// Why something could not be governed. The texts name what, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum GovernError {
    /// There is no such project, repository, token, person, team, mirror or
    /// credential.
    #[error("there is no {what} `{name}`")]
    NotFound {
        /// `project`, `repository`, `token` …
        what: &'static str,
        /// The name.
        name: String,
    },
    /// It is there already.
    #[error("the {what} `{name}` is there already{}", if *removed { " (removed); restore or purge it" } else { "" })]
    Exists {
        /// `project`, `repository`, `token` …
        what: &'static str,
        /// The name.
        name: String,
        /// Whether it is only hidden.
        removed: bool,
    },
    /// It must be removed before it is purged, or not removed to be changed.
    #[error("{0}")]
    State(String),
    /// A name or value that can't be taken.
    #[error("{0}")]
    Invalid(String),
    /// A name that is none.
    #[error(transparent)]
    Id(#[from] IdError),
    /// A path that is none.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Others change the same document all the time.
    #[error("`{0}` is changed by others at the moment; try again")]
    Busy(String),
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A document can't be read.
    #[error("`{path}` in @convoy/state is damaged")]
    Damaged {
        /// The document.
        path: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The system gives no random numbers.
    #[error(transparent)]
    Random(#[from] super::NoRandom),
    /// A secret's file can't be read or written.
    #[error("the secret of `{name}` can't be kept or read")]
    Secret {
        /// The credential.
        name: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}
