//! The one place that turns failures into answers: status, stable code,
//! public message, hint. What only we should know is logged here, once, and
//! not sent. `edge` writes the body, as JSON or as a page.

use std::time::Duration;

use axum::extract::rejection::{FormRejection, JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::auth::AuthError;
use crate::access::{Missing, ProjectRole};
use crate::govern::{GovernError, Registry};
use crate::mirror::MirrorError;
use crate::model::{CommitInfo, FilePath, IdError, PathError, RepoName, Revision};
use crate::promote::{Refusal, RefusalKind};
use crate::store::StoreError;
use crate::telemetry::chain;

/// Owners that a hint names at most.
const OWNERS_NAMED: usize = 5;

/// A refusal or failure as the caller sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Fault {
    #[serde(skip)]
    pub(crate) status: StatusCode,
    /// Stable: clients may branch on it.
    pub(crate) code: &'static str,
    /// One sentence, lower case, without a full stop.
    pub(crate) message: String,
    /// What to do next; empty where there is nothing to say.
    pub(crate) hint: String,
    /// Seconds after which it may be tried again, where that is known.
    #[serde(skip)]
    pub(crate) retry_after: Option<u64>,
    /// What Central Dogma's clients know it as, where that is certain.
    #[serde(skip)]
    pub(crate) exception: Option<&'static str>,
    /// The file that two people changed.
    #[serde(skip)]
    pub(crate) conflict: Option<Box<FileConflict>>,
}

/// A file that somebody changed meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FileConflict {
    pub(crate) path: FilePath,
    /// The head that the file was looked at in.
    pub(crate) head: Revision,
    /// The newest revision that changed it, and its author, where they are
    /// known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<Revision>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) author: Option<String>,
    /// Both edits between Git's markers, where a merge was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) marked: Option<String>,
}

impl Fault {
    fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        let retry_after = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(2);
        let (message, hint) = (message.into(), hint.into());
        Self { status, code, message, hint, retry_after, exception: None, conflict: None }
    }

    /// A refusal of Central Dogma's API, by the name its clients know.
    pub(crate) fn of_dogma(
        status: StatusCode,
        exception: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { exception: Some(exception), ..Self::new(status, "dogma", message, "") }
    }

    /// No token, or one that nobody knows.
    pub(crate) fn unauthenticated() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "no valid token was sent",
            "send `Authorization: Bearer TOKEN`, or log in to the console",
        )
    }

    /// The login form's token is not known.
    pub(crate) fn bad_token() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "bad_token",
            "this token is not known, or may not read",
            "check that it was copied whole; an administrator can make a new one",
        )
    }

    /// The identity provider's answer came to nothing.
    pub(crate) fn not_logged_in(message: impl Into<String>) -> Self {
        let hint = "log in again; if it stays, tell an administrator the request id";
        Self::new(StatusCode::UNAUTHORIZED, "not_logged_in", message, hint)
    }

    /// Too many logins failed; `left` is how long that lasts.
    pub(crate) fn too_many_logins(left: Duration) -> Self {
        let seconds = left.as_secs().max(1);
        Self {
            retry_after: Some(seconds),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_logins",
                "too many logins failed from your address",
                format!("wait {seconds} s, then try again"),
            )
        }
    }

    /// The caller's role is too small.
    pub(crate) fn forbidden(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message, hint)
    }

    /// The token names no person, but the act needs one for its record.
    pub(crate) fn no_person(token: &str) -> Self {
        Self::forbidden(
            format!("the token `{token}` belongs to no person"),
            "decisions are recorded under a person's name; use a token that has one",
        )
    }

    /// Another site made the browser send it.
    pub(crate) fn cross_origin() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "cross_origin",
            "the request does not come from one of our own pages",
            "open the console under its configured address and try again",
        )
    }

    /// The form's token is not the session's.
    pub(crate) fn bad_csrf() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "stale_form",
            "the form belongs to another session",
            "load the page again and repeat what you did",
        )
    }

    /// No such repository, or none that the caller may know of.
    pub(crate) fn no_repository(repo: &RepoName) -> Self {
        StoreError::NoRepository(repo.clone()).into()
    }

    /// No such project, or none that the caller may know of.
    pub(crate) fn no_project(name: &str) -> Self {
        GovernError::NotFound { what: "project", name: name.to_owned() }.into()
    }

    /// A right is missing: which, where, and who can give it.
    pub(crate) fn missing(registry: &Registry, project: &str, missing: &Missing) -> Self {
        Self::forbidden(missing.to_string(), givers(registry, project))
    }

    /// The repository may only be read.
    pub(crate) fn read_only(repo: &RepoName) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "read_only",
            format!("`{repo}` is read-only at the moment"),
            "whoever administers it can make it active again",
        )
    }

    /// Nothing is there.
    pub(crate) fn not_found(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message, hint)
    }

    /// No such route.
    pub(crate) fn no_route() -> Self {
        Self::not_found("nothing is at this address", "the board is at /, the API at /api/v1")
    }

    /// The route has other methods.
    pub(crate) fn wrong_method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "wrong_method",
            "this address takes another method",
            "reading is GET, acting is POST",
        )
    }

    /// It can't be meant that way.
    pub(crate) fn invalid(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message, hint)
    }

    /// Somebody was faster.
    pub(crate) fn conflict(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message, hint)
    }

    fn about(self, path: &FilePath, head: Revision, marked: Option<String>) -> Self {
        let (path, revision, author) = (path.clone(), None, None);
        let conflict = FileConflict { path, head, revision, author, marked };
        Self { conflict: Some(Box::new(conflict)), ..self }
    }

    /// Names who changed the file that the conflict is about.
    pub(crate) fn changed_by(self, info: &CommitInfo) -> Self {
        let Some(conflict) = self.conflict else { return self };
        let (revision, author) = (Some(info.revision), Some(info.author_name.clone()));
        let message =
            format!("{}: by {} in revision {}", self.message, info.author_name, info.revision);
        let conflict = Some(Box::new(FileConflict { revision, author, ..*conflict }));
        Self { message, conflict, ..self }
    }

    /// Try again later.
    pub(crate) fn busy(message: impl Into<String>) -> Self {
        let hint = "try again in a few seconds";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message, hint)
    }

    /// Our failure. The text is for the log only.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = %chain(error), "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "convoy could not answer this",
            "try again; if it stays, give the request id to whoever runs convoy",
        )
    }
}

/// Who can grant something in a project.
pub(crate) fn givers(registry: &Registry, project: &str) -> String {
    let members = registry.project(project).into_iter().flat_map(|project| &project.members);
    let owners = members.filter(|(_, role)| **role == ProjectRole::Owner);
    let owners: Vec<_> = owners.take(OWNERS_NAMED).map(|(who, _)| format!("`{who}`")).collect();
    match owners.as_slice() {
        [] => "ask an administrator to grant it".into(),
        owners => format!("ask an owner of `{project}` to grant it: {}", owners.join(", ")),
    }
}

impl IntoResponse for Fault {
    /// A response without a body: `edge::finish` knows whether a page or JSON
    /// is wanted, and the request's id.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(self);
        response
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FilePath, Revision};

    fn repo() -> RepoName {
        RepoName::new("mesh/config").expect("a name")
    }

    #[test]
    fn refusals_keep_their_words() {
        for (kind, status) in [
            (RefusalKind::NotFound, 404),
            (RefusalKind::Forbidden, 403),
            (RefusalKind::Conflict, 409),
            (RefusalKind::Invalid, 422),
            (RefusalKind::Unavailable, 503),
        ] {
            let refusal = Refusal { kind, message: "m".into(), hint: "h".into() };
            let fault = Fault::from(refusal);
            assert_eq!(
                (fault.status.as_u16(), fault.message, fault.hint),
                (status, "m".into(), "h".into())
            );
        }
    }

    #[test]
    fn store_errors_have_their_statuses() -> Result<(), PathError> {
        let revision = Revision(3);
        let path = FilePath::new("a")?;
        let failed = StoreError::Failed { what: "/secret/dir".into(), source: "disk".into() };
        for (error, status) in [
            (StoreError::NoRepository(repo()), 404),
            (StoreError::NoRevision { repo: repo(), revision }, 404),
            (StoreError::NoFile { repo: repo(), revision, path }, 404),
            (
                StoreError::Conflict { repo: repo(), expected: revision, actual: revision.next() },
                409,
            ),
            (StoreError::Empty(repo()), 409),
            (StoreError::Limit("too many".into()), 413),
            (failed, 500),
            (StoreError::Halted, 503),
        ] {
            let fault = Fault::from(error);
            assert_eq!(fault.status.as_u16(), status);
            assert!(!fault.message.contains("/secret"), "{}", fault.message);
            assert!(!fault.hint.is_empty());
        }
        Ok(())
    }

    #[test]
    fn an_upstream_that_is_down_is_not_our_failure() {
        let error =
            MirrorError::Unreachable { url: "https://git".into(), detail: "refused".into() };
        assert_eq!(Fault::from(error).status, StatusCode::BAD_GATEWAY);
    }
}
