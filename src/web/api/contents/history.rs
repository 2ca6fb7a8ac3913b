//! Revisions of a repository, or of what a pattern matches in it.

use axum::extract::State;
use serde::Serialize;

use super::params::Params;
use super::scope::Scope;
use super::{heavy, patterns};
use crate::content::Patterns;
use crate::feed;
use crate::model::{At, CommitInfo, FilePath, Revision};
use crate::store::HistoryQuery;
use crate::web::Site;
use crate::web::error::Fault;
use crate::web::extract::Answer;

/// How many revisions one answer holds.
const REVISIONS_DEFAULT: usize = 50;
const REVISIONS_MAX: usize = 1000;

#[derive(Serialize)]
pub(super) struct Revisions {
    revisions: Vec<CommitInfo>,
    /// What to ask `from` for those before; null: there are none.
    next: Option<Revision>,
}

pub(super) async fn revisions(
    State(site): State<Site>,
    scope: Scope,
    params: Params,
) -> Result<Answer<Revisions>, Fault> {
    let params = params.only(&["path", "pattern", "from", "to", "limit"])?;
    let limit = params.count("limit", REVISIONS_DEFAULT, REVISIONS_MAX)?;
    let from = scope.revision(&site, params.value::<At>("from")?)?;
    let to = match params.value::<At>("to")? {
        Some(to) => scope.revision(&site, Some(to))?,
        None => Revision(1),
    };
    let patterns = match params.value::<FilePath>("path")? {
        Some(path) if params.text("pattern")?.is_none() => below(&path)?,
        Some(_) => return Err(Fault::invalid("`path` and `pattern` are given", "give one")),
        None => patterns(params.text("pattern")?)?,
    };
    // Either may be the newer one.
    let (newest, oldest) = (from.max(to), from.min(to).max(Revision(1)));
    let query =
        HistoryQuery { newest: Some(newest), oldest: Some(oldest), patterns, limit: limit + 1 };
    let found = heavy(&site, move |site| {
        Ok(feed::history(&site.web.store, &scope.repo, query, &scope.reach)?)
    });
    let mut revisions = found.await?;
    let next = revisions.get(limit).map(|info| info.revision);
    revisions.truncate(limit);
    Ok(Answer(Revisions { revisions, next }))
}

/// A file, or a folder with everything in it.
fn below(path: &FilePath) -> Result<Patterns, Fault> {
    // A name with a comma or a star is no pattern, but may be a file.
    let plain = !path.as_str().contains([',', '*']);
    match plain {
        true => patterns(Some(&format!("/{path},/{path}/**"))),
        false => Ok(Patterns::file(path)),
    }
}
