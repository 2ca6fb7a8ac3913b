//! Brings one repository in step with its upstream: fetch, then import.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::event::SyncError;
use crate::mirror::{self, Upstream};
use crate::model::{CommitId, RepoName};
use crate::retry::Backoff;
use crate::store::{Import, Store};

/// A repository as the configuration names it.
#[derive(Debug, Clone)]
pub struct Repository {
    /// Its name.
    pub name: RepoName,
    /// What it follows; `None`: it is edited here only.
    pub upstream: Option<Upstream>,
    /// How often the upstream is looked at without a nudge.
    pub poll: Duration,
}

/// The waits after failed fetches.
pub(super) const BACKOFF: Backoff =
    Backoff { first: Duration::from_secs(2), longest: Duration::from_secs(300) };

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// How to take a fetched branch over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Only forward.
    Import,
    /// As it is, on a person's word.
    Adopt,
}

/// Fetches and imports. `seen` is the upstream head that needs no fetch.
pub(super) async fn sync(
    store: &Store,
    repository: &Repository,
    seen: Option<CommitId>,
    quarantine: &Path,
    mode: Mode,
) -> Result<Option<Import>, SyncError> {
    let Some(upstream) = &repository.upstream else { return Ok(None) };
    let git_dir = store.git_dir(&repository.name);
    let seen = seen.filter(|_| mode == Mode::Import);
    let began = Instant::now();
    let Some(fetched) = mirror::fetch(upstream, &git_dir, seen, quarantine).await? else {
        return Ok(Some(Import::UpToDate));
    };
    let fetch_ms = millis(began);
    let imported = match mode {
        Mode::Import => store.import(&repository.name, &fetched.fetched).await?,
        Mode::Adopt => store.adopt(&repository.name, &fetched.fetched).await?,
    };
    let import_ms = millis(began) - fetch_ms;
    tracing::info!(repo = %repository.name, fetch_ms, import_ms, "fetched");
    Ok(Some(imported))
}
