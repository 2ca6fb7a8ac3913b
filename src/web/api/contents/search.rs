//! Searching the content of files, in one repository or in all.

use axum::extract::State;
use serde::Serialize;
use tokio::time::{Duration, Instant};

use super::params::Params;
use super::scope::Scope;
use super::{heavy, of_content, patterns};
use crate::access::{Reach, Right};
use crate::content::{Patterns, Scan};
use crate::model::{At, RepoName, Revision};
use crate::store::FileHits;
use crate::web::Site;
use crate::web::auth::Caller;
use crate::web::error::Fault;
use crate::web::extract::Answer;

/// A search over all repositories ends after so long, with what it has.
const TIME_MAX: Duration = Duration::from_secs(5);
/// Files with hits that a search over all repositories gives.
const FILES_MAX: usize = 1000;

#[derive(Serialize)]
pub(super) struct Found {
    revision: Revision,
    /// Lines in all files together.
    hits: usize,
    files: Vec<FileHits>,
    /// Whether a bound ended it early.
    truncated: bool,
}

pub(super) async fn one(
    State(site): State<Site>,
    scope: Scope,
    params: Params,
) -> Result<Answer<Found>, Fault> {
    let params = params.only(&["q", "regex", "ignore_case", "pattern", "revision"])?;
    let revision = scope.revision(&site, params.value::<At>("revision")?)?;
    let (scan, patterns) = wanted(&params)?;
    heavy(&site, move |site| {
        let admit = |path: &_| scope.reach.covers(path);
        let found = site.web.store.search(&scope.repo, revision, &patterns, &scan, &admit)?;
        let hits = count(&found.files);
        let (files, truncated) = (found.files, found.truncated);
        Ok(Answer(Found { revision, hits, files, truncated }))
    })
    .await
}

fn wanted(params: &Params) -> Result<(Scan, Patterns), Fault> {
    let Some(text) = params.text("q")? else {
        return Err(Fault::invalid("`q` is missing", "say with q= what is searched for"));
    };
    let (regex, ignore_case) = (params.flag("regex")?, params.flag("ignore_case")?);
    let scan = Scan::new(text, regex, ignore_case).map_err(|error| of_content("q", &error))?;
    Ok((scan, patterns(params.text("pattern")?)?))
}

fn count(files: &[FileHits]) -> usize {
    files.iter().map(|file| file.hits.len()).sum()
}

#[derive(Serialize)]
pub(super) struct FoundInAll {
    /// Lines in all files of all repositories together.
    hits: usize,
    repos: Vec<FoundInRepo>,
    /// Whether a bound ended it early.
    truncated: bool,
}

#[derive(Serialize)]
struct FoundInRepo {
    repo: RepoName,
    #[serde(flatten)]
    found: Found,
}

pub(super) async fn all(
    State(site): State<Site>,
    caller: Caller,
    params: Params,
) -> Result<Answer<FoundInAll>, Fault> {
    let params = params.only(&["q", "regex", "ignore_case", "pattern"])?;
    let (scan, patterns) = wanted(&params)?;
    heavy(&site, move |site| Ok(Answer(in_all(site, &caller, &scan, &patterns)))).await
}

fn in_all(site: &Site, caller: &Caller, scan: &Scan, patterns: &Patterns) -> FoundInAll {
    let (ends, registry) = (Instant::now() + TIME_MAX, site.web.govern.registry());
    let mut all = FoundInAll { hits: 0, repos: Vec::new(), truncated: false };
    let mut files = 0;
    for repo in site.web.store.repositories() {
        if repo.is_internal() || registry.repository(&repo).is_none() {
            continue;
        }
        let reach = caller.reach(site, Right::Read, &repo);
        if reach == Reach::Nothing {
            continue;
        }
        if Instant::now() > ends || files >= FILES_MAX {
            all.truncated = true;
            break;
        }
        let Ok(head) = site.web.store.head(&repo) else { continue };
        let admit = |path: &_| reach.covers(path);
        // A repository that can't be read now (it may be purged meanwhile)
        // must not hide what the others have.
        let Ok(found) = site.web.store.search(&repo, head.revision, patterns, scan, &admit) else {
            all.truncated = true;
            continue;
        };
        all.truncated |= found.truncated;
        if !found.files.is_empty() {
            files += found.files.len();
            let hits = count(&found.files);
            all.hits += hits;
            let (files, truncated) = (found.files, found.truncated);
            let found = Found { revision: head.revision, hits, files, truncated };
            all.repos.push(FoundInRepo { repo, found });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_searched_for_must_be_said() {
        let fault = wanted(&Params::default()).expect_err("a fault");
        assert!(fault.message.contains("`q`"));
    }
}
