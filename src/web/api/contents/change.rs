//! What changes would come to, and going back to an older revision. Commits
//! themselves are `edits`.

use axum::extract::State;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::heavy;
use super::scope::Scope;
use super::words::{Difference, Side};
use crate::model::{At, Change, Effect, Revision};
use crate::store::NewCommit;
use crate::telemetry::clock;
use crate::web::Site;
use crate::web::auth::Caller;
use crate::web::edits::{self, ChangeIn, Edit, Saved, as_changes};
use crate::web::error::Fault;
use crate::web::extract::{Answer, JsonBody};

/// One preview takes no more changes than a commit.
const CHANGES_MAX: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PreviewIn {
    #[serde(default)]
    revision: At,
    changes: Vec<ChangeIn>,
}

#[derive(Serialize)]
pub(super) struct Preview {
    /// What the changes were laid upon.
    revision: Revision,
    files: Vec<Difference>,
}

pub(super) async fn preview(
    State(site): State<Site>,
    scope: Scope,
    JsonBody(body): JsonBody<PreviewIn>,
) -> Result<Answer<Preview>, Fault> {
    if body.changes.is_empty() || body.changes.len() > CHANGES_MAX {
        let message = format!("{} changes in one request", body.changes.len());
        return Err(Fault::invalid(message, "send 1 to 1,000"));
    }
    let revision = scope.revision(&site, Some(body.revision))?;
    let changes = as_changes(&body.changes);
    // Named paths first, so that a refusal tells nothing of what is there.
    changes.iter().flat_map(Change::paths).try_for_each(|path| scope.check(path))?;
    heavy(&site, move |site| {
        let effects = site.web.store.preview(&scope.repo, revision, &changes)?;
        effects.iter().try_for_each(|effect| scope.check(&effect.path))?;
        let files = effects.into_iter().map(difference).collect();
        Ok(Answer(Preview { revision, files }))
    })
    .await
}

fn difference(effect: Effect) -> Difference {
    let side =
        |content: Option<bytes::Bytes>| Side { blob: None, there: content.is_some(), content };
    Difference::of(effect.path, side(effect.before), side(effect.after))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RevertIn {
    /// The revision whose files are to be the files again.
    to: At,
    message: String,
    /// The revision that the head must have; left out: whatever it is.
    expected: Option<At>,
}

pub(super) async fn revert(
    State(site): State<Site>,
    scope: Scope,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(body): JsonBody<RevertIn>,
) -> Result<Answer<Saved>, Fault> {
    let RevertIn { to, message, expected } = body;
    let (to, by) = (scope.revision(&site, Some(to))?, caller.origin(&headers));
    let expected = expected.map(|at| scope.revision(&site, Some(at))).transpose()?;
    if edits::is_mirrored(&site, &scope.repo) || expected.is_none() {
        let base = scope.revision(&site, None)?;
        let changes = vec![ChangeIn { change: Change::Restore(to), expected: None }];
        let edit = Edit { repo: scope.repo, base, changes, merge: false, message };
        return Ok(Answer(edits::save(&site, &caller, by, edit).await?));
    }
    edits::check_message(&message)?;
    let changes = vec![Change::Restore(to)];
    caller.may_change(&site, &scope.repo, &changes)?;
    let author = edits::author_of(&site, &by);
    let new = NewCommit { expected, ..NewCommit::new(by, author, clock::now(), message, changes) };
    let head = site.web.store.commit(&scope.repo, new).await?;
    site.web.handle.nudge(&scope.repo);
    Ok(Answer(Saved::Committed { revision: head.revision, commit: head.commit }))
}
