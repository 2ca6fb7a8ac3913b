//! Refusals as Central Dogma's clients know them: a status, the name of a
//! Java class, and a message. `edge` writes the body by [`told`].

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::access::{Reach, Right};
use crate::content::ContentError;
use crate::govern::GovernError;
use crate::model::{Change, RepoName};
use crate::store::StoreError;
use crate::web::Site;
use crate::web::auth::Caller;
use crate::web::error::Fault;

macro_rules! common {
    ($name:literal) => {
        concat!("com.linecorp.centraldogma.common.", $name)
    };
}

/// The faults' names. Clients branch on them.
pub(super) const ILLEGAL_ARGUMENT: &str = "java.lang.IllegalArgumentException";
const UNSUPPORTED: &str = "java.lang.UnsupportedOperationException";
const AUTHORIZATION: &str = common!("AuthorizationException");
const PERMISSION: &str = common!("PermissionException");
const CHANGE_CONFLICT: &str = common!("ChangeConflictException");
const CHANGE_FORMAT: &str = common!("ChangeFormatException");
const ENTRY_NOT_FOUND: &str = common!("EntryNotFoundException");
const INVALID_PUSH: &str = common!("InvalidPushException");
const PROJECT_EXISTS: &str = common!("ProjectExistsException");
const PROJECT_NOT_FOUND: &str = common!("ProjectNotFoundException");
const QUERY_EXECUTION: &str = common!("QueryExecutionException");
const QUERY_SYNTAX: &str = common!("QuerySyntaxException");
const READ_ONLY: &str = common!("ReadOnlyException");
const REDUNDANT: &str = common!("RedundantChangeException");
const REPOSITORY_EXISTS: &str = common!("RepositoryExistsException");
const REPOSITORY_NOT_FOUND: &str = common!("RepositoryNotFoundException");
const REVISION_NOT_FOUND: &str = common!("RevisionNotFoundException");
const JSON_CONFLICT: &str = common!("jsonpatch.JsonPatchConflictException");
const TEXT_CONFLICT: &str = common!("TextPatchConflictException");
const TOO_MANY: &str = common!("TooManyRequestsException");
const MIRROR: &str = common!("MirrorException");
const LOCK_TIMEOUT: &str = common!("LockAcquireTimeoutException");
const ANY: &str = common!("CentralDogmaException");
const NO_APP: &str = "com.linecorp.centraldogma.server.metadata.AppIdentityNotFoundException";
const NO_MEMBER: &str = "com.linecorp.centraldogma.server.metadata.MemberNotFoundException";
const TOO_LARGE: &str = "com.linecorp.armeria.common.ContentTooLargeException";
const HTTP_STATUS: &str = "com.linecorp.armeria.server.HttpStatusException";

/// It can't be meant that way.
pub(super) fn illegal(message: impl Into<String>) -> Fault {
    Fault::of_dogma(StatusCode::BAD_REQUEST, ILLEGAL_ARGUMENT, message)
}

/// Convoy has no counterpart; the message says what to use instead.
pub(super) fn unsupported(message: impl Into<String>) -> Fault {
    Fault::of_dogma(StatusCode::BAD_REQUEST, UNSUPPORTED, message)
}

/// A change that is not what its type says.
pub(super) fn bad_change(message: impl Into<String>) -> Fault {
    Fault::of_dogma(StatusCode::BAD_REQUEST, CHANGE_FORMAT, message)
}

/// A push that this repository takes from nobody.
pub(super) fn invalid_push(message: impl Into<String>) -> Fault {
    Fault::of_dogma(StatusCode::BAD_REQUEST, INVALID_PUSH, message)
}

/// A query that finds nothing where it must find something.
pub(super) fn query_failed(message: impl Into<String>) -> Fault {
    Fault::of_dogma(StatusCode::BAD_REQUEST, QUERY_EXECUTION, message)
}

/// A role is missing.
pub(super) fn forbidden(message: impl Into<String>) -> Fault {
    Fault::of_dogma(StatusCode::FORBIDDEN, PERMISSION, message)
}

/// No such file.
pub(super) fn no_entry(message: impl Into<String>) -> Fault {
    Fault::of_dogma(StatusCode::NOT_FOUND, ENTRY_NOT_FOUND, message)
}

/// No such revision.
pub(super) fn no_revision(message: impl Into<String>) -> Fault {
    Fault::of_dogma(StatusCode::NOT_FOUND, REVISION_NOT_FOUND, message)
}

/// No such project.
pub(super) fn no_project(name: &str) -> Fault {
    Fault::of_dogma(StatusCode::NOT_FOUND, PROJECT_NOT_FOUND, format!("no project `{name}`"))
}

/// No such repository.
pub(super) fn no_repository(name: &str) -> Fault {
    let message = format!("no repository `{name}`");
    Fault::of_dogma(StatusCode::NOT_FOUND, REPOSITORY_NOT_FOUND, message)
}

/// The name is taken.
pub(super) fn repository_exists(name: &str) -> Fault {
    let message = format!("the repository `{name}` is there already");
    Fault::of_dogma(StatusCode::CONFLICT, REPOSITORY_EXISTS, message)
}

/// It is there already, or is not as it was thought to be.
pub(super) fn conflict(message: impl Into<String>) -> Fault {
    Fault::of_dogma(StatusCode::CONFLICT, CHANGE_CONFLICT, message)
}

/// No such member.
pub(super) fn no_member(name: &str) -> Fault {
    Fault::of_dogma(StatusCode::NOT_FOUND, NO_MEMBER, format!("no member `{name}`"))
}

/// No such token.
pub(super) fn no_identity(name: &str) -> Fault {
    Fault::of_dogma(StatusCode::NOT_FOUND, NO_APP, format!("no application identity `{name}`"))
}

/// Nothing may be written at the moment.
pub(super) fn read_only(message: impl Into<String>) -> Fault {
    Fault::of_dogma(StatusCode::SERVICE_UNAVAILABLE, READ_ONLY, message)
}

/// A mirror's run failed.
pub(super) fn mirror_failed(message: &str) -> Fault {
    Fault::of_dogma(StatusCode::INTERNAL_SERVER_ERROR, MIRROR, message)
}

/// Too much waits already.
pub(super) fn busy(message: impl Into<String>) -> Fault {
    Fault::of_dogma(StatusCode::SERVICE_UNAVAILABLE, LOCK_TIMEOUT, message)
}

/// The body's type is another.
pub(super) fn wrong_type(message: impl Into<String>) -> Fault {
    Fault::of_dogma(StatusCode::UNSUPPORTED_MEDIA_TYPE, HTTP_STATUS, message)
}

/// The body is too large.
pub(super) fn too_large(message: impl Into<String>) -> Fault {
    Fault::of_dogma(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE, message)
}

/// What content could not be.
pub(super) fn content(error: &ContentError) -> Fault {
    let exception = match error {
        ContentError::Syntax(_) | ContentError::BadPatch(_) => CHANGE_FORMAT,
        ContentError::Query(_) => QUERY_SYNTAX,
        ContentError::NotFound(_) | ContentError::Types(_) => QUERY_EXECUTION,
        ContentError::Mismatch(_) => {
            return Fault::of_dogma(StatusCode::CONFLICT, JSON_CONFLICT, error.to_string());
        }
    };
    Fault::of_dogma(StatusCode::BAD_REQUEST, exception, error.to_string())
}

/// What the store could not.
pub(super) fn store(error: StoreError) -> Fault {
    let (status, exception) = match &error {
        StoreError::NoRepository(_) => (StatusCode::NOT_FOUND, REPOSITORY_NOT_FOUND),
        StoreError::NoRevision { .. } => (StatusCode::NOT_FOUND, REVISION_NOT_FOUND),
        StoreError::NoFile { .. } => (StatusCode::NOT_FOUND, ENTRY_NOT_FOUND),
        StoreError::Empty(_) => (StatusCode::CONFLICT, REDUNDANT),
        StoreError::Conflict { .. }
        | StoreError::Unfit(_)
        | StoreError::Stale { .. }
        | StoreError::Clash { .. } => (StatusCode::CONFLICT, CHANGE_CONFLICT),
        StoreError::Invalid(_) => (StatusCode::BAD_REQUEST, ILLEGAL_ARGUMENT),
        StoreError::Content { path, source } => {
            let fault = content(source);
            return Fault { message: format!("{path}: {source}"), ..fault };
        }
        StoreError::Limit(_) | StoreError::Quota(_) => (StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE),
        StoreError::TooOften { .. } => (StatusCode::TOO_MANY_REQUESTS, TOO_MANY),
        StoreError::Halted => (StatusCode::SERVICE_UNAVAILABLE, READ_ONLY),
        StoreError::Full => (StatusCode::INSUFFICIENT_STORAGE, ANY),
        StoreError::Failed { .. } => (StatusCode::INTERNAL_SERVER_ERROR, ANY),
    };
    // The statuses and texts of everybody else, with what is private left out.
    let fault = Fault::from(error);
    Fault { status, exception: Some(exception), ..fault }
}

/// What the store could not, of these changes.
pub(super) fn push(error: StoreError, changes: &[Change]) -> Fault {
    let by_text = |wanted: &crate::model::FilePath| {
        changes.iter().any(|one| matches!(one, Change::PatchText(path, _) if path == wanted))
    };
    let text = matches!(&error, StoreError::Content { path, source: ContentError::Mismatch(_) }
        if by_text(path));
    let fault = store(error);
    if text { Fault { exception: Some(TEXT_CONFLICT), ..fault } } else { fault }
}

/// What could not be governed.
pub(super) fn govern(error: GovernError) -> Fault {
    let text = error.to_string();
    match error {
        GovernError::NotFound { what, .. } => {
            let exception = match what {
                "project" | "removed project" => PROJECT_NOT_FOUND,
                "repository" | "removed repository" => REPOSITORY_NOT_FOUND,
                "token" => NO_APP,
                "person" | "member" | "team" => NO_MEMBER,
                _ => ENTRY_NOT_FOUND,
            };
            Fault::of_dogma(StatusCode::NOT_FOUND, exception, text)
        }
        GovernError::Exists { what, .. } => {
            let exception = match what {
                "project" => PROJECT_EXISTS,
                "repository" => REPOSITORY_EXISTS,
                _ => CHANGE_CONFLICT,
            };
            Fault::of_dogma(StatusCode::CONFLICT, exception, text)
        }
        GovernError::State(_) => Fault::of_dogma(StatusCode::CONFLICT, CHANGE_CONFLICT, text),
        GovernError::Busy(_) => busy(text),
        GovernError::Invalid(_) | GovernError::Id(_) | GovernError::Path(_) => illegal(text),
        GovernError::Store(error) => store(error),
        error @ (GovernError::Damaged { .. }
        | GovernError::Secret { .. }
        | GovernError::Random(_)) => Fault { exception: Some(ANY), ..Fault::internal(&error) },
    }
}

/// A fault's status and body. What was refused before a handler ran (no login,
/// a missing right, no such route) has no name yet; it is found by status and
/// address.
pub(crate) fn told(
    site: &Site,
    path: &str,
    caller: Option<&Caller>,
    fault: &Fault,
) -> (StatusCode, Value) {
    let message = match fault.hint.as_str() {
        "" => fault.message.clone(),
        hint => format!("{}; {hint}", fault.message),
    };
    let status = match fault.status {
        StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
        _ if fault.code == "read_only" => StatusCode::SERVICE_UNAVAILABLE,
        status => status,
    };
    let name = fault.exception.or_else(|| match status {
        StatusCode::UNAUTHORIZED => Some(AUTHORIZATION),
        // As with Central Dogma's own decorators, a missing role has no name.
        StatusCode::FORBIDDEN => None,
        StatusCode::NOT_FOUND => Some(missing(site, path, caller)),
        StatusCode::CONFLICT => Some(CHANGE_CONFLICT),
        StatusCode::PAYLOAD_TOO_LARGE => Some(TOO_LARGE),
        StatusCode::SERVICE_UNAVAILABLE => Some(READ_ONLY),
        StatusCode::BAD_REQUEST => Some(ILLEGAL_ARGUMENT),
        StatusCode::INTERNAL_SERVER_ERROR => Some(ANY),
        _ => Some(HTTP_STATUS),
    });
    let body = match name {
        Some(exception) => json!({ "exception": exception, "message": message }),
        None => json!({ "message": message }),
    };
    (status, body)
}

/// What is missing at an address: its project, its repository, or the route.
/// What the caller can't see is not there.
fn missing(site: &Site, path: &str, caller: Option<&Caller>) -> &'static str {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let below = ["api", "v1"].iter().all(|part| parts.next() == Some(part));
    let (Some("projects" | "metadata"), Some(name)) =
        (parts.next().filter(|_| below), parts.next())
    else {
        return HTTP_STATUS;
    };
    let registry = site.web.govern.registry();
    let Some(who) = caller.map(Caller::principal) else { return PROJECT_NOT_FOUND };
    let there = registry.projects.get(name).is_some_and(|one| one.removed.is_none());
    if !there || !registry.policy.sees(&who, name) {
        return PROJECT_NOT_FOUND;
    }
    let (Some("repos"), Some(repo)) = (parts.next(), parts.next()) else { return HTTP_STATUS };
    let Ok(repo) = RepoName::new(&format!("{name}/{repo}")) else { return REPOSITORY_NOT_FOUND };
    let reach = registry.policy.reach(&who, Right::Read, &repo);
    match registry.repository(&repo) {
        Some(_) if reach != Reach::Nothing => HTTP_STATUS,
        _ => REPOSITORY_NOT_FOUND,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FilePath, Revision};

    #[test]
    fn store_errors_have_the_names_that_clients_know() {
        let repo = RepoName::new("a/b").expect("a name");
        let path = FilePath::new("a.json").expect("a path");
        let at = || (repo.clone(), path.clone());
        let of = |source| StoreError::Content { path: at().1, source };
        for (error, status, name) in [
            (StoreError::NoRepository(at().0), 404, REPOSITORY_NOT_FOUND),
            (
                StoreError::NoRevision { repo: at().0, revision: Revision(9) },
                404,
                REVISION_NOT_FOUND,
            ),
            (StoreError::Empty(at().0), 409, REDUNDANT),
            (StoreError::Unfit("x".into()), 409, CHANGE_CONFLICT),
            (StoreError::Invalid("x".into()), 400, ILLEGAL_ARGUMENT),
            (of(ContentError::Mismatch("x".into())), 409, JSON_CONFLICT),
            (of(ContentError::Syntax("x".into())), 400, CHANGE_FORMAT),
            (of(ContentError::NotFound("x".into())), 400, QUERY_EXECUTION),
            (of(ContentError::Query("x".into())), 400, QUERY_SYNTAX),
            (StoreError::Halted, 503, READ_ONLY),
            (StoreError::Full, 507, ANY),
        ] {
            let fault = store(error);
            assert_eq!((fault.status.as_u16(), fault.exception), (status, Some(name)));
        }
    }

    #[test]
    fn a_text_patch_that_does_not_fit_has_a_name_of_its_own() {
        let path = FilePath::new("a.txt").expect("a path");
        let error = StoreError::Content {
            path: path.clone(),
            source: ContentError::Mismatch("hunk 1".into()),
        };
        let fault = push(error, &[Change::PatchText(path, "@@".into())]);
        assert_eq!((fault.status.as_u16(), fault.exception), (409, Some(TEXT_CONFLICT)));
    }
}
