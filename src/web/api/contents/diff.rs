//! What differs between two revisions, by text and by structure.

use axum::extract::State;
use serde::Serialize;

use super::params::Params;
use super::scope::Scope;
use super::words::{Difference, Side};
use super::{heavy, patterns};
use crate::model::{At, BlobId, RepoName, Revision};
use crate::web::Site;
use crate::web::error::Fault;
use crate::web::extract::Answer;

/// Files whose contents one answer compares; the others are only named.
const COMPARED_MAX: usize = 200;
/// The contents that one answer reads together.
const READ_BYTES_MAX: usize = 16 << 20;

#[derive(Serialize)]
pub(super) struct Changes {
    from: Revision,
    to: Revision,
    files: Vec<Difference>,
    /// Whether some files are named only: too many differ for one answer.
    truncated: bool,
}

pub(super) async fn changes(
    State(site): State<Site>,
    scope: Scope,
    params: Params,
) -> Result<Answer<Changes>, Fault> {
    let params = params.only(&["from", "to", "pattern"])?;
    let to = scope.revision(&site, params.value::<At>("to")?)?;
    let from = match params.value::<At>("from")? {
        Some(from) => scope.revision(&site, Some(from))?,
        None => Revision(to.0.saturating_sub(1)),
    };
    let patterns = patterns(params.text("pattern")?)?;
    heavy(&site, move |site| {
        let mut changed = site.web.store.changed(&scope.repo, from, to, &patterns)?;
        changed.retain(|one| scope.reach.covers(&one.path));
        let mut budget = Budget { site, repo: &scope.repo, bytes: READ_BYTES_MAX, cut: false };
        let compare = |(index, one): (usize, crate::model::Changed)| {
            let read = index < COMPARED_MAX;
            let (before, after) = (budget.side(one.before, read), budget.side(one.after, read));
            Difference::of(one.path, before, after)
        };
        let files = changed.into_iter().enumerate().map(compare).collect();
        Ok(Answer(Changes { from, to, files, truncated: budget.cut }))
    })
    .await
}

/// What may still be read for an answer.
struct Budget<'a> {
    site: &'a Site,
    repo: &'a RepoName,
    bytes: usize,
    cut: bool,
}

impl Budget<'_> {
    fn side(&mut self, blob: Option<BlobId>, read: bool) -> Side {
        let Some(name) = blob else { return Side { blob, content: None, there: false } };
        if !read || self.bytes == 0 {
            self.cut = true;
            return Side { blob, content: None, there: true };
        }
        // What is too large to be read as content is only named.
        let content = self.site.web.store.blob(self.repo, &name).ok();
        self.bytes = self.bytes.saturating_sub(content.as_ref().map_or(0, bytes::Bytes::len));
        Side { blob, content, there: true }
    }
}
