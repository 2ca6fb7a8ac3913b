//! `list` and `contents`: what lies in a repository, and what is in it.

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;

use super::answer::{self, Reply};
use super::entry::{self, Place, Query};
use super::fault;
use super::names::{self, Target};
use super::request::Params;
use super::revision;
use super::watch;
use crate::access::{Reach, Right};
use crate::content::Patterns;
use crate::model::{FilePath, RepoName, Revision};
use crate::store::{FileAt, Found, FoundKind, StoreError};
use crate::web::Site;
use crate::web::auth::Caller;
use crate::web::error::Fault;
use crate::web::extract::Path;

/// The bytes of content that one answer carries at most.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

type Named = Path<(String, String, String)>;
type Whole = Path<(String, String)>;

pub(super) async fn list_all(
    state: State<Site>,
    Path((project, name)): Whole,
    query: RawQuery,
    caller: Caller,
) -> Reply {
    list(state, Path((project, name, String::new())), query, caller).await
}

pub(super) async fn list(
    State(site): State<Site>,
    Path((project, name, path)): Named,
    RawQuery(query): RawQuery,
    caller: Caller,
) -> Reply {
    let params = Params::parse(query.as_deref());
    let repo = names::repo(&site, &project, &name)?;
    let revision = revision::find(&site, &repo, params.get("revision"))?;
    let slash = params.flag("preserveTrailingSlash")?;
    let asked = Asked { repo, revision, reach: Reach::All, slash, query: None };
    find(site, caller, asked, rooted(&path)).await
}

pub(super) async fn get_all(
    state: State<Site>,
    Path((project, name)): Whole,
    query: RawQuery,
    caller: Caller,
    headers: HeaderMap,
) -> Reply {
    get(state, Path((project, name, String::new())), query, caller, headers).await
}

/// A file, whatever a pattern finds, or a change of either.
pub(super) async fn get(
    State(site): State<Site>,
    Path((project, name, path)): Named,
    RawQuery(query): RawQuery,
    caller: Caller,
    headers: HeaderMap,
) -> Reply {
    let params = Params::parse(query.as_deref());
    let repo = names::repo(&site, &project, &name)?;
    let query = Query::parse(&params)?;
    let path = rooted(&path);
    if query.is_of_one_file() && !names::is_file_path(&path) {
        let text = format!("path: `{path}`: this query reads one file; name it");
        return Err(fault::illegal(text));
    }
    if let Some(wanted) = watch::Wanted::parse(&headers)? {
        return watch::watch(site, caller, headers, repo, names::target(&path)?, query, wanted)
            .await;
    }
    let revision = revision::find(&site, &repo, params.get("revision"))?;
    match names::target(&path)? {
        Target::File(file) => {
            caller.may(&site, Right::Read, &repo, Some(&file))?;
            one(&site, &repo, revision, &file, &query)
        }
        Target::Pattern(_) => {
            let slash = params.flag("preserveTrailingSlash")?;
            let asked = Asked { repo, revision, reach: Reach::All, slash, query: Some(query) };
            find(site, caller, asked, path).await
        }
    }
}

fn rooted(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("/{path}") }
}

/// The hot path: one file, read and written without a detour.
fn one(site: &Site, repo: &RepoName, revision: Revision, path: &FilePath, query: &Query) -> Reply {
    let file = match site.web.store.file(repo, revision, path) {
        Ok(file) => file,
        // A folder has no content, which is an answer too.
        Err(error @ StoreError::NoFile { .. }) => {
            return match is_folder(site, repo, revision, path)? {
                true => Ok(answer::nothing()),
                false => Err(fault::store(error)),
            };
        }
        Err(error) => return Err(fault::store(error)),
    };
    let found = entry::evaluate(&site.dogma.strict, path, &file, query)?;
    let mut out = Vec::with_capacity(file.content.len() + 256);
    let place = Place { repo, revision, path: path.as_str() };
    entry::write(&mut out, place, "", Some(&found));
    Ok(answer::written(out))
}

/// Whether a path is a folder's.
pub(super) fn is_folder(
    site: &Site,
    repo: &RepoName,
    revision: Revision,
    path: &FilePath,
) -> Result<bool, Fault> {
    let found = site.web.store.find(repo, revision, &Patterns::file(path), true);
    let found = found.map_err(fault::store)?;
    Ok(found.iter().any(|one| one.path == *path && one.kind == FoundKind::Folder))
}

/// What of a revision is asked for.
struct Asked {
    repo: RepoName,
    revision: Revision,
    reach: Reach,
    slash: bool,
    /// `None`: without contents.
    query: Option<Query>,
}

async fn find(site: Site, caller: Caller, asked: Asked, path: String) -> Reply {
    let reach = caller.reach(&site, Right::Read, &asked.repo);
    let asked = Asked { reach, ..asked };
    super::blocking(move || {
        let patterns = names::target(&path)?.patterns();
        let mut found = search(&site, &asked, &patterns)?;
        // A folder's name without a slash at its end means what is in it.
        if names::is_file_path(&path) && found.iter().any(|one| one.kind == FoundKind::Folder) {
            found = search(&site, &asked, &names::pattern(&format!("{path}/*"))?)?;
        }
        write(&site, &asked, &found)
    })
    .await
}

fn search(site: &Site, asked: &Asked, patterns: &Patterns) -> Result<Vec<Found>, Fault> {
    let found = site.web.store.find(&asked.repo, asked.revision, patterns, true);
    let mut found = found.map_err(fault::store)?;
    found.retain(|one| match one.kind {
        FoundKind::File { .. } => asked.reach.covers(&one.path),
        FoundKind::Folder => leads(&asked.reach, &one.path),
    });
    Ok(found)
}

/// Whether a folder lies within reach, or on the way to what does.
fn leads(reach: &Reach, folder: &FilePath) -> bool {
    let Reach::Some(granted) = reach else { return reach.covers(folder) };
    let folder = folder.as_str();
    let below = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mut alternatives = granted.iter().flat_map(Patterns::alternatives);
    alternatives.any(|one| {
        one.folder().is_empty() || below(one.folder(), folder) || below(folder, one.folder())
    })
}

/// Writes entries as a list, leaving out what this API can't carry.
fn write(site: &Site, asked: &Asked, found: &[Found]) -> Result<Response, Fault> {
    let mut out = b"[".to_vec();
    let (mut left_out, mut bytes_left) = (0, ANSWER_BYTES_MAX);
    for one in found {
        if !names::is_carried(&one.path) {
            left_out += 1;
            continue;
        }
        let begin = out.len();
        if begin > 1 {
            out.push(b',');
        }
        if !write_one(site, asked, one, &mut out, &mut bytes_left)? {
            out.truncate(begin);
            left_out += 1;
        }
    }
    out.push(b']');
    let response = if out.len() == 2 { answer::nothing() } else { answer::written(out) };
    Ok(answer::left_out(response, left_out))
}

/// Writes one entry; `false` where its content is no text.
fn write_one(
    site: &Site,
    asked: &Asked,
    one: &Found,
    out: &mut Vec<u8>,
    bytes_left: &mut u64,
) -> Result<bool, Fault> {
    let place = Place { repo: &asked.repo, revision: asked.revision, path: one.path.as_str() };
    let (blob, bytes) = match (&one.kind, &asked.query) {
        (FoundKind::Folder, _) => {
            let path = format!("{}{}", one.path, if asked.slash { "/" } else { "" });
            entry::write(out, Place { path: &path, ..place }, "DIRECTORY", None);
            return Ok(true);
        }
        (FoundKind::File { .. }, None) => {
            entry::write(out, place, entry::listed_kind(&one.path), None);
            return Ok(true);
        }
        (FoundKind::File { blob, bytes }, Some(_)) => (*blob, *bytes),
    };
    *bytes_left = bytes_left.checked_sub(bytes).ok_or_else(|| {
        fault::illegal(format!(
            "the files found hold more than {ANSWER_BYTES_MAX} bytes; ask for fewer at once"
        ))
    })?;
    let content = site.web.store.blob(&asked.repo, &blob).map_err(fault::store)?;
    if std::str::from_utf8(&content).is_err() {
        return Ok(false);
    }
    let query = asked.query.as_ref().unwrap_or(&Query::IDENTITY);
    let file = FileAt { blob, content };
    let found = entry::evaluate(&site.dogma.strict, &one.path, &file, query)?;
    entry::write(out, place, "", Some(&found));
    Ok(true)
}
