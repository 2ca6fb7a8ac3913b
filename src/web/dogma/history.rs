//! Commits, and what differs between two of them.

use axum::extract::{RawQuery, State};
use serde_json::{Value, json};

use super::answer::{self, Reply};
use super::changes;
use super::entry::Query;
use super::fault;
use super::names::{self, Target};
use super::push::told;
use super::request::Params;
use super::revision::{self, Asked};
use crate::access::{Reach, Right};
use crate::content;
use crate::model::{CommitInfo, Effect, FilePath, Markup, RepoName, Revision};
use crate::store::{HistoryQuery, StoreError};
use crate::web::Site;
use crate::web::auth::Caller;
use crate::web::error::Fault;
use crate::web::extract::Path;

/// Commits of one answer, where nobody says and at most.
const COMMITS_DEFAULT: usize = 100;
const COMMITS_MAX: usize = 1000;
/// Files of one comparison; their contents are read.
const COMPARED_MAX: usize = 10_000;

type Whole = Path<(String, String)>;
type Named = Path<(String, String, String)>;

pub(super) async fn commits(
    State(site): State<Site>,
    Path((project, name)): Whole,
    RawQuery(query): RawQuery,
    caller: Caller,
) -> Reply {
    list(site, &project, &name, "", query, caller).await
}

pub(super) async fn commits_from(
    State(site): State<Site>,
    Path((project, name, from)): Named,
    RawQuery(query): RawQuery,
    caller: Caller,
) -> Reply {
    list(site, &project, &name, &from, query, caller).await
}

async fn list(
    site: Site,
    project: &str,
    name: &str,
    from: &str,
    query: Option<String>,
    caller: Caller,
) -> Reply {
    let params = Params::parse(query.as_deref());
    let repo = names::repo(&site, project, name)?;
    let head = revision::head(&site, &repo)?;
    let to = params.get("to").filter(|to| !to.is_empty()).map(Asked::parse).transpose()?;
    let single = !from.is_empty() && to.is_none();
    let newest = if from.is_empty() { Asked::HEAD } else { Asked::parse(from)? };
    let oldest = to.unwrap_or(if single { newest } else { Asked(1) });
    let (a, b) = (newest.normalise(&repo, head)?, oldest.normalise(&repo, head)?);
    let limit = match params.get("maxCommits").filter(|text| !text.is_empty()) {
        None => COMMITS_DEFAULT,
        Some(text) => text.parse().ok().filter(|count| *count > 0).ok_or_else(|| {
            fault::illegal(format!("maxCommits: `{}`: write a number above 0", text.escape_debug()))
        })?,
    };
    let patterns = names::target(params.get("path").unwrap_or("/**"))?.patterns();
    let wanted = HistoryQuery {
        newest: Some(a.max(b)),
        oldest: Some(a.min(b)),
        patterns,
        limit: limit.min(COMMITS_MAX),
    };
    let reach = caller.reach(&site, Right::Read, &repo);
    let found = super::blocking(move || history(&site, &repo, &wanted, &reach)).await?;
    if single {
        return found.first().map_or_else(|| Ok(answer::nothing()), answer::value);
    }
    answer::list(&found)
}

fn history(
    site: &Site,
    repo: &RepoName,
    wanted: &HistoryQuery,
    reach: &Reach,
) -> Result<Vec<Value>, Fault> {
    let store = &site.web.store;
    // Commits that changed nothing are among all, and match no pattern.
    let all = wanted.patterns.as_str() == "/**" && *reach == Reach::All;
    let infos = if all {
        let oldest = wanted.oldest.unwrap_or(Revision(1));
        let infos = store.history(repo, wanted.newest, None, wanted.limit);
        let mut infos = infos.map_err(fault::store)?;
        infos.retain(|info| info.revision >= oldest);
        infos
    } else {
        store.history_of(repo, wanted).map_err(fault::store)?
    };
    let mut told = Vec::with_capacity(infos.len());
    for info in infos {
        if *reach == Reach::All || is_seen(site, repo, &info, wanted, reach)? {
            told.push(commit(&info));
        }
    }
    Ok(told)
}

/// Whether a commit changed something that is asked for and within reach.
fn is_seen(
    site: &Site,
    repo: &RepoName,
    info: &CommitInfo,
    wanted: &HistoryQuery,
    reach: &Reach,
) -> Result<bool, Fault> {
    let before = Revision(info.revision.0.saturating_sub(1));
    let changed = site.web.store.changed(repo, before, info.revision, &wanted.patterns);
    Ok(changed.map_err(fault::store)?.iter().any(|one| reach.covers(&one.path)))
}

fn commit(info: &CommitInfo) -> Value {
    let (summary, detail) = parts(info);
    let markup = match info.markup {
        Markup::Plaintext => "PLAINTEXT",
        Markup::Markdown => "MARKDOWN",
    };
    json!({
        "revision": info.revision,
        "author": { "name": info.author_name, "email": info.author_email },
        "commitMessage": { "summary": summary, "detail": detail, "markup": markup },
        "pushedAt": answer::instant(info.time),
    })
}

/// A message as summary and detail: the first paragraph, and what follows.
fn parts(info: &CommitInfo) -> (&str, &str) {
    let (summary, detail) = info.message.split_once("\n\n").unwrap_or((&info.message, ""));
    // `git commit` ends each message with a line's end that nobody wrote.
    let ours = info.origin.is_some();
    let detail = if ours { detail } else { detail.trim_end_matches('\n') };
    (summary.trim_end_matches('\n'), detail)
}

pub(super) async fn compare(
    State(site): State<Site>,
    Path((project, name)): Whole,
    RawQuery(query): RawQuery,
    caller: Caller,
) -> Reply {
    let params = Params::parse(query.as_deref());
    let repo = names::repo(&site, &project, &name)?;
    let from = revision::find(&site, &repo, Some(params.get("from").unwrap_or("1")))?;
    let to = revision::find(&site, &repo, params.get("to"))?;
    // Whatever the order, the difference is told forwards.
    let (from, to) = (from.min(to), from.max(to));
    let asked = Query::parse(&params)?;
    if let Some(path) = params.get("path").filter(|path| !path.is_empty()) {
        let path = names::file(path)?;
        caller.may(&site, Right::Read, &repo, Some(&path))?;
        let paths = params.all("jsonpath");
        return super::blocking(move || one(&site, &repo, (from, to), &path, &paths)).await;
    }
    if asked.is_of_one_file() {
        return Err(fault::illegal("a query compares one file; name it by `path`"));
    }
    let patterns = names::target(params.get("pathPattern").unwrap_or("/**"))?;
    let reach = caller.reach(&site, Right::Read, &repo);
    super::blocking(move || all(&site, &repo, (from, to), &patterns, &reach)).await
}

fn all(
    site: &Site,
    repo: &RepoName,
    (from, to): (Revision, Revision),
    target: &Target,
    reach: &Reach,
) -> Reply {
    let store = &site.web.store;
    let changed = store.changed(repo, from, to, &target.patterns()).map_err(fault::store)?;
    if changed.len() > COMPARED_MAX {
        let text = format!("{} files differ; ask for fewer at once", changed.len());
        return Err(fault::illegal(text));
    }
    let read = |blob: &Option<_>| {
        blob.as_ref().map(|blob| store.blob(repo, blob)).transpose().map_err(fault::store)
    };
    let mut effects = Vec::with_capacity(changed.len());
    for one in changed.into_iter().filter(|one| reach.covers(&one.path)) {
        let (before, after) = (read(&one.before)?, read(&one.after)?);
        effects.push(Effect { path: one.path, before, after });
    }
    told(&effects)
}

fn one(
    site: &Site,
    repo: &RepoName,
    (from, to): (Revision, Revision),
    path: &FilePath,
    paths: &[String],
) -> Reply {
    let read = |at| match site.web.store.file(repo, at, path) {
        Ok(file) => Ok(Some(file.content)),
        Err(StoreError::NoFile { .. }) => Ok(None),
        Err(error) => Err(fault::store(error)),
    };
    let (before, after) = (read(from)?, read(to)?);
    if before.is_none() && after.is_none() {
        let text = format!("`/{path}` is in neither revision {from} nor {to} of `{repo}`");
        return Err(fault::no_entry(text));
    }
    if paths.is_empty() {
        let effect = Effect { path: path.clone(), before, after };
        let told = changes::told(&effect);
        let refuse = || fault::unsupported(format!("`/{path}` is not UTF-8"));
        return answer::value(&told.ok_or_else(refuse)?);
    }
    let select = |bytes: Option<bytes::Bytes>| {
        let Some(bytes) = bytes else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        let failed = |error: content::ContentError| fault::query_failed(error.to_string());
        let tree = content::parse(path, &text).map_err(failed)?;
        content::select_in_sequence(&tree, paths).map(Some).map_err(|error| fault::content(&error))
    };
    answer::value(&changes::told_values(path, select(before)?, select(after)?))
}
