//! What repositories hold: files, queries over them, differences, history,
//! search, and watching. The rights of the caller are applied path by path;
//! the guard has only looked whether there is one at all.
//!
//! Commits and their validation are `edits`.

mod change;
mod diff;
mod files;
mod history;
mod merge;
mod params;
mod raw;
mod scope;
mod search;
mod stream;
mod watch;
mod words;

use crate::access::Right;
use crate::content::{ContentError, Patterns};
use crate::web::Site;
use crate::web::access::{Access, Entry};
use crate::web::error::Fault;

/// May be taken by whoever may read something of the repository.
const READ: Access = Access::Repo(Right::Read);
/// May be taken by whoever may write something of the repository.
const WRITE: Access = Access::Repo(Right::Write);
/// The longest pattern that is taken.
const PATTERN_BYTES_MAX: usize = 4096;

/// The routes.
pub(super) fn routes() -> Vec<Entry> {
    vec![
        Entry::get("/api/v1/repos/{project}/{repo}/raw/{*path}", READ, raw::raw),
        Entry::get("/api/v1/repos/{project}/{repo}/files", READ, files::list),
        Entry::get("/api/v1/repos/{project}/{repo}/files/{*path}", READ, files::one),
        Entry::get("/api/v1/repos/{project}/{repo}/merged", READ, merge::overlaid),
        Entry::get("/api/v1/repos/{project}/{repo}/revisions", READ, history::revisions),
        Entry::get("/api/v1/repos/{project}/{repo}/changes", READ, diff::changes),
        Entry::get("/api/v1/repos/{project}/{repo}/search", READ, search::one),
        Entry::get("/api/v1/repos/{project}/{repo}/watch", READ, watch::poll),
        Entry::post("/api/v1/repos/{project}/{repo}/preview", READ, change::preview).with_files(),
        Entry::post("/api/v1/repos/{project}/{repo}/merge", READ, merge::three).with_files(),
        Entry::post("/api/v1/repos/{project}/{repo}/revert", WRITE, change::revert),
        Entry::get("/api/v1/search", Access::Login, search::all),
        Entry::get("/api/v1/watch", Access::Login, stream::stream),
    ]
}

/// Runs what may read much on a thread where it may block, a few at a time.
async fn heavy<T: Send + 'static>(
    site: &Site,
    work: impl FnOnce(&Site) -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let permit = site.heavy.clone().acquire_owned().await;
    let Ok(permit) = permit else { return Err(Fault::busy("convoy is stopping")) };
    let site = site.clone();
    let done = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work(&site)
    });
    done.await.map_err(|error| Fault::internal(&error))?
}

/// A pattern; all paths where there is none.
fn patterns(given: Option<&str>) -> Result<Patterns, Fault> {
    let Some(text) = given.filter(|text| !text.is_empty()) else { return Ok(Patterns::all()) };
    if text.len() > PATTERN_BYTES_MAX {
        let message = format!("`pattern` is {} bytes long", text.len());
        return Err(Fault::invalid(message, "write at most 4,096"));
    }
    Patterns::new(text).map_err(|error| of_content("pattern", &error))
}

/// A mistake in content, or in what is asked of it.
fn of_content(field: &str, error: &ContentError) -> Fault {
    match error {
        ContentError::NotFound(text) => {
            Fault::not_found(format!("`{field}`: {text}"), "look at the file as it is")
        }
        ContentError::Syntax(text) => {
            let hint = "only JSON and YAML files can be queried or merged; raw/ gives any file";
            Fault::invalid(format!("`{field}`: {text}"), hint)
        }
        other => Fault::invalid(format!("`{field}`: {other}"), "the API's table has examples"),
    }
}
