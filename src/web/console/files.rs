//! Files and history: folders, one file with numbered lines, commits.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Html;
use serde::{Deserialize, Serialize};

use crate::access::Right;
use crate::model::{CommitInfo, FilePath, RepoName, Revision};
use crate::store::StoreError;
use crate::web::Site;
use crate::web::api::{history as commits, revision_or_head};
use crate::web::auth::Caller;
use crate::web::error::Fault;
use crate::web::extract::{InRepo, Path, Query, repo_name};

/// Longer files are cut on the page; the API gives them whole.
const LINES_SHOWN_MAX: usize = 20_000;
const HISTORY_PAGE: usize = 50;

#[derive(Deserialize)]
pub(super) struct FilesQuery {
    #[serde(default)]
    revision: String,
}

/// The way to a file or folder, part by part.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Crumb {
    name: String,
    path: String,
}

#[derive(Serialize)]
struct FolderPage {
    repo: RepoName,
    at: Option<CommitInfo>,
    is_head: bool,
    folder: String,
    crumbs: Vec<Crumb>,
    entries: Vec<FolderEntry>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct FolderEntry {
    name: String,
    path: String,
    is_folder: bool,
    /// In bytes; of a folder, the files in it.
    size: u64,
}

#[derive(Serialize)]
struct FilePage {
    repo: RepoName,
    at: CommitInfo,
    is_head: bool,
    path: FilePath,
    crumbs: Vec<Crumb>,
    size: usize,
    /// `None`: it is no text.
    lines: Option<Vec<String>>,
    cut: bool,
}

pub(super) async fn root(
    State(site): State<Site>,
    InRepo(repo): InRepo,
    Query(query): Query<FilesQuery>,
    caller: Caller,
) -> Result<Html<String>, Fault> {
    let revision = revision_or_head(&site, &repo, parse(&query.revision)?)?;
    folder(&site, &caller, repo, revision, "")
}

pub(super) async fn show(
    State(site): State<Site>,
    Path((project, repo, path)): Path<(String, String, String)>,
    Query(query): Query<FilesQuery>,
    caller: Caller,
) -> Result<Html<String>, Fault> {
    let repo = repo_name(&project, &repo)?;
    let path = FilePath::new(path.trim_end_matches('/'))?;
    let revision = revision_or_head(&site, &repo, parse(&query.revision)?)?;
    match site.web.store.read(&repo, revision, &path) {
        Ok(_) if !caller.reach(&site, Right::Read, &repo).covers(&path) => {
            Err(StoreError::NoFile { repo, revision, path }.into())
        }
        Ok(bytes) => file(&site, &caller, repo, revision, path, &bytes),
        Err(error @ StoreError::NoFile { .. }) => {
            if visible(&site, &caller, &repo, revision, path.as_str())?.is_empty() {
                return Err(error.into());
            }
            folder(&site, &caller, repo, revision, path.as_str())
        }
        Err(error) => Err(error.into()),
    }
}

/// A revision as a form sends it: empty is the head.
pub(super) fn parse(revision: &str) -> Result<Option<Revision>, Fault> {
    if revision.is_empty() { Ok(None) } else { Ok(Some(revision.parse()?)) }
}

fn folder(
    site: &Site,
    caller: &Caller,
    repo: RepoName,
    revision: Revision,
    folder: &str,
) -> Result<Html<String>, Fault> {
    let empty = revision == Revision::default();
    let listed = match empty {
        true => Vec::new(),
        false => visible(site, caller, &repo, revision, folder)?,
    };
    let page = FolderPage {
        at: if empty { None } else { Some(site.web.store.info(&repo, revision)?) },
        is_head: site.web.store.head(&repo)?.revision == revision,
        folder: folder.into(),
        crumbs: crumbs(folder),
        entries: entries(folder, &listed),
        repo,
    };
    site.pages.render("folder.html", Some(caller), page)
}

/// The files below a folder that the caller may read.
fn visible(
    site: &Site,
    caller: &Caller,
    repo: &RepoName,
    revision: Revision,
    folder: &str,
) -> Result<Vec<(FilePath, u64)>, Fault> {
    let reach = caller.reach(site, Right::Read, repo);
    let mut listed = site.web.store.list(repo, revision, folder)?;
    listed.retain(|(path, _)| reach.covers(path));
    Ok(listed)
}

fn file(
    site: &Site,
    caller: &Caller,
    repo: RepoName,
    revision: Revision,
    path: FilePath,
    bytes: &[u8],
) -> Result<Html<String>, Fault> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    let lines = text.map(|text| -> Vec<String> {
        text.lines().take(LINES_SHOWN_MAX).map(Into::into).collect()
    });
    let page = FilePage {
        at: site.web.store.info(&repo, revision)?,
        is_head: site.web.store.head(&repo)?.revision == revision,
        crumbs: crumbs(path.as_str()),
        size: bytes.len(),
        cut: lines.as_ref().is_some_and(|lines| lines.len() == LINES_SHOWN_MAX),
        lines,
        repo,
        path,
    };
    site.pages.render("file.html", Some(caller), page)
}

/// The parts of a path, each with the way to it.
pub(super) fn crumbs(path: &str) -> Vec<Crumb> {
    let parts = path.split('/').filter(|part| !part.is_empty());
    let mut way = String::new();
    let crumb = |part: &str| {
        if !way.is_empty() {
            way.push('/');
        }
        way.push_str(part);
        Crumb { name: part.into(), path: way.clone() }
    };
    parts.map(crumb).collect()
}

/// What lies directly in `folder`: folders first, then files.
fn entries(folder: &str, listed: &[(FilePath, u64)]) -> Vec<FolderEntry> {
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let mut found: BTreeMap<(bool, &str), u64> = BTreeMap::new();
    for (path, size) in listed {
        let Some(rest) = path.as_str().strip_prefix(&prefix) else { continue };
        match rest.split_once('/') {
            Some((name, _)) => *found.entry((false, name)).or_default() += 1,
            None => *found.entry((true, rest)).or_default() += size,
        }
    }
    let entry = |((is_file, name), size): ((bool, &str), u64)| FolderEntry {
        name: name.into(),
        path: format!("{prefix}{name}"),
        is_folder: !is_file,
        size,
    };
    found.into_iter().map(entry).collect()
}

#[derive(Deserialize)]
pub(super) struct HistoryQuery {
    #[serde(default)]
    path: String,
    #[serde(default)]
    from: String,
}

#[derive(Serialize)]
struct HistoryPage {
    repo: RepoName,
    path: String,
    commits: Vec<CommitLine>,
    /// Where the next page begins.
    older: Option<Revision>,
}

#[derive(Serialize)]
struct CommitLine {
    subject: String,
    short: String,
    #[serde(flatten)]
    info: CommitInfo,
    /// The bundle that was made of it, where one is remembered.
    bundle: Option<String>,
}

pub(super) async fn history(
    State(site): State<Site>,
    InRepo(repo): InRepo,
    Query(query): Query<HistoryQuery>,
    caller: Caller,
) -> Result<Html<String>, Fault> {
    let (repo, from) = (repo, parse(&query.from)?);
    let path = match query.path.trim() {
        "" => None,
        path => Some(FilePath::new(path)?),
    };
    let commits = commits(&site, &caller, &repo, from, path.as_ref(), HISTORY_PAGE)?;
    let last = commits.last().filter(|_| commits.len() == HISTORY_PAGE);
    let older = last.and_then(|info| info.revision.0.checked_sub(1)).filter(|n| *n > 0);
    let view = site.web.handle.view();
    let bundles: BTreeMap<_, _> = view
        .state
        .bundles
        .values()
        .filter(|bundle| bundle.repo == repo)
        .map(|bundle| (bundle.commit.revision, bundle.id.to_string()))
        .collect();
    let line = |info: CommitInfo| CommitLine {
        subject: info.subject().into(),
        short: info.commit.short(),
        bundle: bundles.get(&info.revision).cloned(),
        info,
    };
    let page = HistoryPage {
        path: path.map(|path| path.to_string()).unwrap_or_default(),
        commits: commits.into_iter().map(line).collect(),
        older: older.map(Revision),
        repo,
    };
    site.pages.render("history.html", Some(&caller), page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CommitId;
    use crate::web::board::tests::repo;
    use crate::web::console::pages::tests::page;

    #[test]
    fn a_folder_shows_what_lies_directly_in_it() {
        let path = |text: &str| FilePath::new(text).expect("a path");
        let listed = [(path("a/b/c"), 1), (path("a/b/d"), 2), (path("a/z"), 3), (path("ab"), 4)];
        let names = |folder: &str| -> Vec<(String, bool, u64)> {
            let entries = entries(folder, &listed).into_iter();
            entries.map(|entry| (entry.path, entry.is_folder, entry.size)).collect()
        };
        assert_eq!(names(""), [("a".into(), true, 3), ("ab".into(), false, 4)]);
        assert_eq!(names("a"), [("a/b".into(), true, 2), ("a/z".into(), false, 3)]);
    }

    #[test]
    fn a_file_has_an_anchor_for_each_line() {
        let at = CommitInfo {
            markup: Default::default(),
            origin: None,
            revision: Revision(3),
            commit: CommitId([1; 20]),
            author_name: "Ann".into(),
            author_email: String::new(),
            co_authors: Vec::new(),
            time: jiff::Timestamp::UNIX_EPOCH,
            message: "m".into(),
        };
        let path = FilePath::new("a/<b>.yaml").expect("a path");
        let html = page(
            "file.html",
            FilePage {
                repo: repo(),
                at,
                is_head: true,
                crumbs: crumbs(path.as_str()),
                path,
                size: 3,
                lines: Some(vec!["x: 1".into(), "<img src=x>".into()]),
                cut: false,
            },
        );
        assert!(html.contains(r##"id="L2""##) && html.contains("&lt;img src=x&gt;"), "{html}");
    }
}
