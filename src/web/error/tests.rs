//! Which failure becomes which answer.

use super::*;
use crate::mirror::MirrorError;
use crate::model::{FilePath, PathError, Revision};
use crate::promote::{Refusal, RefusalKind};

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
        (StoreError::Conflict { repo: repo(), expected: revision, actual: revision.next() }, 409),
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
    let error = MirrorError::Unreachable { url: "https://git".into(), detail: "refused".into() };
    assert_eq!(Fault::from(error).status, StatusCode::BAD_GATEWAY);
}
