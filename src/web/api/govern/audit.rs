//! The audit log over HTTP: in pages, and whole as JSON lines.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::{Deserialize, Serialize};

use crate::model::{ContentHash, RepoName};
use crate::store::{Audit, AuditEntry, AuditQuery, StoreError};
use crate::web::Site;
use crate::web::error::Fault;
use crate::web::extract::{Answer, Query};

/// Entries of one answer.
const ENTRIES_MAX: usize = 1000;
const ENTRIES_DEFAULT: usize = 100;
/// Entries that are looked through for the newest that match.
const LOOKED_AT_MAX: u64 = 50_000;
const WINDOW: u64 = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
    repo: Option<RepoName>,
}

#[derive(Serialize)]
pub(super) struct Entries {
    entries: Vec<AuditEntry>,
    /// What `after` is for the next page; `None` at the end.
    next: Option<u64>,
    head: HeadCard,
}

/// What to write down elsewhere, so that a cut end is noticed.
#[derive(Serialize)]
struct HeadCard {
    number: u64,
    hash: ContentHash,
}

pub(super) async fn list(
    State(site): State<Site>,
    Query(query): Query<ListQuery>,
) -> Result<Answer<Entries>, Fault> {
    let limit = query.limit.unwrap_or(ENTRIES_DEFAULT).clamp(1, ENTRIES_MAX);
    let query = AuditQuery { after: query.after, limit, repo: query.repo };
    let entries = read(&site, move |audit| {
        let (number, hash) = audit.head()?;
        let entries = audit.entries(&query)?;
        let last = entries.last().filter(|_| entries.len() == query.limit);
        let next = last.map(|entry| entry.number).filter(|last| *last < number);
        Ok(Entries { next, entries, head: HeadCard { number, hash } })
    });
    entries.await.map(Answer)
}

/// Reads the log where blocking is fine.
async fn read<T: Send + 'static>(
    site: &Site,
    work: impl FnOnce(&Audit) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Fault> {
    let audit = site.web.store.audit();
    let reading = tokio::task::spawn_blocking(move || work(&audit));
    Ok(reading.await.map_err(|error| Fault::internal(&error))??)
}

/// The newest entries before `before` that `wanted` takes, newest first. Looks
/// at a bounded number of them; the second value is where to look on.
pub(crate) async fn newest(
    site: &Site,
    before: Option<u64>,
    repo: Option<RepoName>,
    limit: usize,
    wanted: impl Fn(&AuditEntry) -> bool + Send + 'static,
) -> Result<(Vec<AuditEntry>, Option<u64>), Fault> {
    let find = move |audit: &Audit| {
        let mut end = before.unwrap_or(u64::MAX).min(audit.head()?.0.saturating_add(1));
        let floor = end.saturating_sub(LOOKED_AT_MAX);
        let mut found = Vec::new();
        while end > 1 && end > floor {
            let after = end.saturating_sub(WINDOW + 1);
            let limit_here = usize::try_from(end - after - 1).unwrap_or(usize::MAX);
            let query = AuditQuery { after, limit: limit_here, repo: repo.clone() };
            let entries = audit.entries(&query)?;
            let here = entries.into_iter().filter(|entry| entry.number < end).rev();
            for entry in here.filter(|entry| wanted(entry)) {
                found.push(entry);
                if found.len() == limit {
                    let on = found.last().map(|entry| entry.number).filter(|number| *number > 1);
                    return Ok((found, on));
                }
            }
            end = after + 1;
        }
        Ok((found, (end > 1).then_some(end)))
    };
    read(site, find).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportQuery {
    #[serde(default)]
    after: u64,
    repo: Option<RepoName>,
}

/// Streams page after page, so that a log of any length costs one of them.
pub(super) async fn export(
    State(site): State<Site>,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Fault> {
    let first = AuditQuery { after: query.after, limit: ENTRIES_MAX, repo: query.repo };
    // What fails at once is answered as a failure.
    let begun = page(&site, first.clone()).await?;
    let state = Some((site, first, Some(begun)));
    let lines = stream::unfold(state, |state| async move {
        let (site, query, begun) = state?;
        let entries = match begun {
            Some(entries) => entries,
            None => page(&site, query.clone()).await.ok()?,
        };
        let last = entries.last()?.number;
        let on = match entries.len() == query.limit {
            true => Some((site, AuditQuery { after: last, ..query }, None)),
            false => None,
        };
        Some((Ok::<Bytes, Infallible>(lines_of(&entries)), on))
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(lines)).into_response())
}

async fn page(site: &Site, query: AuditQuery) -> Result<Vec<AuditEntry>, Fault> {
    read(site, move |audit| audit.entries(&query)).await
}

fn lines_of(entries: &[AuditEntry]) -> Bytes {
    let mut text = String::new();
    for entry in entries {
        text.push_str(&serde_json::to_string(entry).unwrap_or_default());
        text.push('\n');
    }
    text.into()
}
