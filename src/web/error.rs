//! The one place that turns failures into answers: status, stable code,
//! public message, hint. What only we should know is logged here, once, and
//! not sent. `edge` writes the body, as JSON or as a page.

mod from;

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::access::{Missing, ProjectRole};
use crate::govern::{GovernError, Registry};
use crate::model::{CommitInfo, FilePath, RepoName, Revision};
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

#[cfg(test)]
mod tests;
