//! Failures as gRPC tells them: a code, a sentence, and behind it a
//! `google.rpc.ErrorInfo` with a stable reason and what to do next. What only
//! we should know is logged here and not sent.

use std::collections::HashMap;
use std::fmt;

use prost::Message;
use prost_types::Any;
use tonic::{Code, Status};

use crate::access::Missing;
use crate::content::ContentError;
use crate::feed::Ended;
use crate::model::{At, RepoName, Revision};
use crate::store::StoreError;
use crate::telemetry::chain;

/// Who names the reasons.
const DOMAIN: &str = "convoy";

/// `google.rpc.Status`, as far as we fill it in.
#[derive(Clone, PartialEq, Message)]
struct Rich {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.rpc.ErrorInfo`.
#[derive(Clone, PartialEq, Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    domain: String,
    #[prost(map = "string, string", tag = "3")]
    metadata: HashMap<String, String>,
}

/// A failure with its reason (stable: clients may branch on it) and what to
/// do about it.
fn rich(code: Code, reason: &str, message: impl Into<String>, hint: &str) -> Status {
    rich_with(code, reason, message.into(), &[("hint", hint)])
}

fn rich_with(code: Code, reason: &str, message: String, more: &[(&str, &str)]) -> Status {
    let metadata = more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let info = ErrorInfo {
        reason: reason.to_owned(),
        domain: DOMAIN.to_owned(),
        metadata: metadata.collect(),
    };
    let any = Any {
        type_url: "type.googleapis.com/google.rpc.ErrorInfo".into(),
        value: info.encode_to_vec(),
    };
    let details = Rich { code: code as i32, message: message.clone(), details: vec![any] };
    Status::with_details(code, message, details.encode_to_vec().into())
}

/// No token, or one that nobody knows.
pub(super) fn unauthenticated() -> Status {
    let hint = "send the metadata `authorization: Bearer TOKEN`";
    rich(Code::Unauthenticated, "UNAUTHENTICATED", "no valid token was sent", hint)
}

/// For what only operators see.
pub(super) fn not_operator(name: &str) -> Status {
    Status::permission_denied(format!(
        "{name} may not see the state of clients: it takes a token with the role operator"
    ))
}

/// A right is missing.
pub(super) fn denied(missing: &Missing) -> Status {
    let hint = "ask an owner of the project to grant it";
    rich(Code::PermissionDenied, "MISSING_RIGHT", missing.to_string(), hint)
}

/// A field can't be meant that way.
pub(super) fn invalid(field: &str, why: &dyn fmt::Display) -> Status {
    rich_with(
        Code::InvalidArgument,
        "INVALID",
        format!("{field}: {why}"),
        &[("field", field), ("hint", "mend the request; the .proto file says what is taken")],
    )
}

/// There is no such repository, as far as the caller may know.
pub(super) fn no_repository(repo: &RepoName) -> Status {
    of_store(StoreError::NoRepository(repo.clone()))
}

/// A revision counted from the head that would be before the first.
pub(super) fn before_the_first(repo: &RepoName, at: At, head: Revision) -> Status {
    let message = format!("`{repo}` has no revision {at}: its head is {head}");
    rich(Code::NotFound, "NO_REVISION", message, "History lists the revisions")
}

/// The repository takes no commits.
pub(super) fn read_only(repo: &RepoName) -> Status {
    let hint = "an owner of the project can make it active again";
    let message = format!("`{repo}` is read-only");
    rich(Code::FailedPrecondition, "READ_ONLY", message, hint)
}

/// The repository follows an upstream.
pub(super) fn mirrored(repo: &RepoName) -> Status {
    rich(
        Code::FailedPrecondition,
        "MIRRORED",
        format!("`{repo}` follows an upstream and takes no commits of its own"),
        "commit to the upstream, or propose the change through the JSON API",
    )
}

/// Too many streams are open.
pub(super) fn too_many_streams() -> Status {
    let hint = "follow several patterns on one stream";
    rich(Code::ResourceExhausted, "TOO_MANY_STREAMS", "too many streams are open", hint)
}

/// The program ends.
pub(super) fn stopping() -> Status {
    let hint = "call again with the last positions";
    rich(Code::Unavailable, "STOPPING", "convoy is stopping", hint)
}

/// A query or its result.
pub(super) fn of_content(field: &str, error: &ContentError) -> Status {
    match error {
        ContentError::NotFound(text) => {
            rich(Code::NotFound, "NOTHING_FOUND", text.clone(), "look at the file as it is")
        }
        ContentError::Syntax(text) => {
            let hint = "only JSON and YAML files can be queried; mend the file";
            rich(Code::FailedPrecondition, "UNREADABLE", text.clone(), hint)
        }
        other => invalid(field, other),
    }
}

/// Our failure; the text is for the log only.
pub(super) fn internal(error: &(dyn std::error::Error + 'static)) -> Status {
    tracing::error!(error = %chain(error), "a call failed");
    let hint = "try again; if it stays, ask whoever runs convoy to look at its log";
    rich(Code::Internal, "INTERNAL", "convoy could not answer this", hint)
}

/// Why a watch ended.
pub(super) fn of_end(ended: Ended) -> Status {
    match ended {
        Ended::Revoked => unauthenticated(),
        Ended::Denied(missing) => denied(&missing),
        Ended::Store(error) => of_store(error),
    }
}

/// What the store refused or failed at.
pub(super) fn of_store(error: StoreError) -> Status {
    let text = error.to_string();
    let (code, reason, hint) = match &error {
        StoreError::NoRepository(_) => {
            (Code::NotFound, "NO_REPOSITORY", "check the name; project/repository")
        }
        StoreError::NoRevision { .. } => {
            (Code::NotFound, "NO_REVISION", "History lists the revisions")
        }
        StoreError::NoFile { .. } => (Code::NotFound, "NO_FILE", "List lists the files"),
        StoreError::Conflict { .. } => {
            (Code::Aborted, "CONFLICT", "look at what changed, then repeat it on the new revision")
        }
        StoreError::Stale { .. } => {
            (Code::Aborted, "STALE", "look at the file as it is now, then repeat the change")
        }
        StoreError::Clash { marked, .. } => {
            return rich_with(
                Code::Aborted,
                "CLASH",
                text,
                &[("marked", cut(marked)), ("hint", "merge the two edits by hand")],
            );
        }
        StoreError::Empty(_) => (Code::FailedPrecondition, "NO_CHANGE", "change something"),
        StoreError::Unfit(_) => {
            (Code::FailedPrecondition, "UNFIT", "look at the files as they are now")
        }
        StoreError::Invalid(_) => (Code::InvalidArgument, "INVALID", "mend the request"),
        StoreError::Content { .. } => (Code::InvalidArgument, "INVALID", "mend what was sent"),
        StoreError::Quota(_) => {
            (Code::ResourceExhausted, "QUOTA", "remove files, or ask for a larger quota")
        }
        StoreError::TooOften { .. } => {
            (Code::ResourceExhausted, "TOO_OFTEN", "put several changes into one commit")
        }
        StoreError::Full => (Code::ResourceExhausted, "DISK_FULL", "make room, then repeat it"),
        StoreError::Limit(_) => (Code::ResourceExhausted, "TOO_LARGE", "ask for less at once"),
        StoreError::Halted => (Code::Unavailable, "HALTED", "convoy must be restarted"),
        StoreError::Failed { .. } => return internal(&error),
    };
    rich(code, reason, text, hint)
}

/// A status travels in a header: it must stay small.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(4 << 10);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_carries_its_reason_and_a_hint() {
        let repo = RepoName::new("mesh/config").unwrap();
        let status = no_repository(&repo);
        assert_eq!(status.code(), Code::NotFound);
        let rich = Rich::decode(status.details()).unwrap();
        let info = ErrorInfo::decode(rich.details[0].value.as_slice()).unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("NO_REPOSITORY", "convoy"));
        assert!(!info.metadata["hint"].is_empty());
    }

    #[test]
    fn our_failures_tell_nothing_of_themselves() {
        let failed = StoreError::Failed { what: "/secret/dir".into(), source: "disk".into() };
        assert!(!of_store(failed).message().contains("secret"));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(cut(&"é".repeat(4000)).len(), 4096);
        assert_eq!(cut("x"), "x");
    }
}
