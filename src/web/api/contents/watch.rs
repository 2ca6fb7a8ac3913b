//! The long poll: one pattern of one repository. It answers once what matches
//! differs from what it was, and with 204 where nothing came in time.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use super::params::Params;
use super::patterns;
use super::raw::REVISION;
use super::scope::Scope;
use super::stream::{fault_of, reader};
use super::words::EntryLine;
use crate::content::Patterns;
use crate::feed::{self, Ended, Reader};
use crate::model::{At, RepoName, Revision};
use crate::store::{Store, StoreError};
use crate::web::Site;
use crate::web::auth::{Caller, random_hex};
use crate::web::error::Fault;
use crate::web::extract::Answer;

/// How long is waited where nobody says, and at most.
const WAIT_DEFAULT_S: usize = 60;
const WAIT_MAX_S: usize = 3600;

#[derive(Serialize)]
struct Seen {
    /// What to give as `since` next.
    revision: Revision,
    since: Revision,
    entries: Vec<EntryLine>,
}

pub(super) async fn poll(
    State(site): State<Site>,
    scope: Scope,
    caller: Caller,
    params: Params,
) -> Result<Response, Fault> {
    let params = params.only(&["pattern", "since", "wait"])?;
    let since = scope.revision(&site, params.value::<At>("since")?)?;
    let patterns = patterns(params.text("pattern")?)?;
    let wait = params.count("wait", WAIT_DEFAULT_S, WAIT_MAX_S)?;
    let permit = site.dogma.watches.clone().try_acquire_owned();
    let _permit = permit.map_err(|_| Fault::busy("too many watches wait already"))?;
    let mut poll = Poll { store: &site.web.store, repo: &scope.repo, patterns: &patterns, since };
    let (reading, mut waiting) = (reader(&site, &caller), reader(&site, &caller));
    tokio::select! {
        seen = poll.wait(&reading) => match seen {
            Ok(seen) => Ok(Answer(seen).into_response()),
            Err(ended) => Err(fault_of(&site, &scope.repo, ended)),
        },
        ended = lost(&mut waiting, &scope.repo) => Err(fault_of(&site, &scope.repo, ended)),
        () = tokio::time::sleep(shortened(wait)) => Ok(nothing(since)),
        () = site.web.handle.draining() => Ok(nothing(since)),
    }
}

/// Resolves when the caller may not read any more.
async fn lost(reader: &mut Reader, repo: &RepoName) -> Ended {
    loop {
        // First of all: it may have gone between the guard and here.
        if let Err(ended) = reader.reach(repo) {
            return ended;
        }
        reader.changed().await;
    }
}

fn nothing(since: Revision) -> Response {
    (StatusCode::NO_CONTENT, [(REVISION, since.to_string())]).into_response()
}

/// Up to a tenth less than asked for, so that polls that began together don't
/// come back together.
fn shortened(wait_s: usize) -> Duration {
    let random = random_hex().ok().and_then(|hex| u32::from_str_radix(&hex[..4], 16).ok());
    let share = f64::from(random.unwrap_or(0)) / f64::from(u16::MAX);
    Duration::from_secs(wait_s as u64).mul_f64(1.0 - 0.1 * share)
}

/// What is waited for.
struct Poll<'a> {
    store: &'a Store,
    repo: &'a RepoName,
    patterns: &'a Patterns,
    since: Revision,
}

impl Poll<'_> {
    /// Waits until something that the reader may read differs from what it
    /// was.
    async fn wait(&mut self, reader: &Reader) -> Result<Seen, Ended> {
        let mut from = self.since;
        loop {
            let head = self.store.changed_since(self.repo, self.patterns, from).await?;
            if let Some(seen) = self.look(reader, head)? {
                return Ok(seen);
            }
            // What changed is not theirs to read: it counts as known.
            from = head;
        }
    }

    fn look(&self, reader: &Reader, head: Revision) -> Result<Option<Seen>, Ended> {
        let reach = reader.reach(self.repo)?;
        let changed: Result<Vec<_>, StoreError> =
            self.store.changed(self.repo, self.since, head, self.patterns);
        let mut changed = changed?;
        changed.retain(|one| reach.covers(&one.path));
        if changed.is_empty() {
            return Ok(None);
        }
        let entries = feed::entries(self.store, self.repo, changed);
        let entries = entries.into_iter().map(EntryLine::from).collect();
        Ok(Some(Seen { revision: head, since: self.since, entries }))
    }
}
