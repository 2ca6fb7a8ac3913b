//! Other modules' failures, and axum's, as answers.

use axum::extract::rejection::{FormRejection, JsonRejection, PathRejection, QueryRejection};
use axum::http::StatusCode;

use super::Fault;
use crate::govern::GovernError;
use crate::mirror::MirrorError;
use crate::model::{IdError, PathError};
use crate::promote::{Refusal, RefusalKind};
use crate::store::StoreError;
use crate::telemetry::chain;
use crate::web::auth::AuthError;

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let (status, code) = match refusal.kind {
            RefusalKind::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            RefusalKind::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
            RefusalKind::Conflict => (StatusCode::CONFLICT, "conflict"),
            RefusalKind::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            RefusalKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        };
        Self::new(status, code, refusal.message, refusal.hint)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        match &error {
            StoreError::NoRepository(_) => Self::not_found(text, "GET /api/v1/repos lists them"),
            StoreError::NoRevision { .. } => Self::not_found(text, "the history lists them"),
            StoreError::NoFile { .. } => Self::not_found(text, "the files page lists them"),
            StoreError::Conflict { .. } => {
                Self::conflict(text, "look at what changed, then repeat it on the new revision")
            }
            StoreError::Empty(_) => Self::new(
                StatusCode::CONFLICT,
                "no_change",
                text,
                "change something before you save",
            ),
            StoreError::Unfit(_) => {
                Self::conflict(text, "look at the file as it is now, then repeat the change")
            }
            StoreError::Stale { path, head, .. } => {
                Self::conflict(text, "look at the file as it is now, then repeat the change")
                    .about(path, *head, None)
            }
            StoreError::Clash { path, head, marked, .. } => Self::conflict(
                text,
                "merge the two edits by hand, then save again",
            )
            .about(path, *head, Some(marked.clone())),
            StoreError::Content { .. } => Self::invalid(text, "mend what was sent, then repeat it"),
            StoreError::Quota(_) => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "quota",
                text,
                "remove files, or ask an administrator for a larger quota",
            ),
            StoreError::TooOften { wait_s, .. } => Self {
                retry_after: Some(*wait_s),
                ..Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too_many_commits",
                    text,
                    "put several changes into one commit",
                )
            },
            StoreError::Full => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "disk_full",
                text,
                "make room on the data folder's disk, then repeat it; reading goes on",
            ),
            StoreError::Invalid(_) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid_change",
                text,
                "look at the files as they are now",
            ),
            StoreError::Limit(_) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text, "commit less at once")
            }
            StoreError::Halted => {
                tracing::error!(error = %chain(&error), "the store does not answer");
                Self::busy("the store takes no writes until convoy was restarted")
            }
            StoreError::Failed { .. } => Self::internal(&error),
        }
    }
}

impl From<GovernError> for Fault {
    fn from(error: GovernError) -> Self {
        let text = error.to_string();
        match error {
            GovernError::NotFound { .. } => Self::not_found(text, "check how the name is written"),
            GovernError::Exists { .. } => Self::new(
                StatusCode::CONFLICT,
                "exists",
                text,
                "choose another name, or use the one that is there",
            ),
            GovernError::State(_) => Self::conflict(text, "look at how it stands, then try again"),
            GovernError::Invalid(_) => Self::invalid(text, ""),
            GovernError::Id(error) => error.into(),
            GovernError::Path(error) => error.into(),
            GovernError::Busy(_) => Self::busy(text),
            GovernError::Store(error) => error.into(),
            GovernError::Damaged { .. } | GovernError::Secret { .. } | GovernError::Random(_) => {
                Self::internal(&error)
            }
        }
    }
}

impl From<MirrorError> for Fault {
    fn from(error: MirrorError) -> Self {
        let text = error.to_string();
        let gateway = |code, hint: &str| Self::new(StatusCode::BAD_GATEWAY, code, &text, hint);
        match &error {
            MirrorError::Unreachable { .. } => {
                gateway("upstream_unreachable", "try again; your draft was not sent")
            }
            MirrorError::Unauthorized { .. } => {
                gateway("upstream_unauthorized", "an administrator must renew the credentials")
            }
            MirrorError::NoBranch { .. } => {
                gateway("upstream_no_branch", "check the upstream's branch in the configuration")
            }
            MirrorError::PushRefused { .. } | MirrorError::Moved { .. } => {
                Self::conflict(text, "the upstream's own words say what it wants")
            }
            MirrorError::Limit { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text, "propose less at once")
            }
            MirrorError::BadUrl { .. } | MirrorError::Failed { .. } => Self::internal(&error),
        }
    }
}

impl From<IdError> for Fault {
    fn from(error: IdError) -> Self {
        Self::invalid(error.to_string(), "")
    }
}

impl From<PathError> for Fault {
    fn from(error: PathError) -> Self {
        Self::invalid(error.to_string(), "write folder/file, without `.` and `..`")
    }
}

impl From<AuthError> for Fault {
    fn from(error: AuthError) -> Self {
        Self::internal(&error)
    }
}

/// What axum refuses before a handler runs: mistakes in the request's form.
macro_rules! from_rejection {
    ($rejection:ty, $hint:literal) => {
        impl From<$rejection> for Fault {
            fn from(rejection: $rejection) -> Self {
                malformed(rejection.status(), rejection.body_text(), $hint)
            }
        }
    };
}

from_rejection!(JsonRejection, "the API's table names every field; unknown ones are refused");
from_rejection!(QueryRejection, "the API's table names every parameter");
from_rejection!(PathRejection, "check the address");
from_rejection!(FormRejection, "load the page again and repeat what you did");

/// What axum puts before a mistake in a body, for programmers.
const UNREADABLE: &str = "Failed to deserialize the JSON body into the target type: ";

fn malformed(status: StatusCode, text: String, hint: &str) -> Fault {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Fault::new(status, "too_large", "the request's body is too large", "send less at once")
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Fault::new(status, "unsupported", "the body's type is not taken", "send JSON")
        }
        _ => Fault::invalid(text.strip_prefix(UNREADABLE).unwrap_or(&text), hint),
    }
}
