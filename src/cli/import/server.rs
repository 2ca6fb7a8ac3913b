//! A running server, read through its HTTP API.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::source::{Commit, Found, Project, Repository, bytes};
use crate::cli::Failure;
use crate::config::secrets;
use crate::content::{self, EntryKind, Patterns};
use crate::model::{Change, FilePath, RepoName, Revision, Secret};
use crate::store::{FoundKind, Store};

const TIMEOUT: Duration = Duration::from_secs(120);
/// What a server without authentication takes.
const ANYBODY: &str = "anonymous";
/// Commits of one request; servers give no more.
const PAGE: u64 = 1000;

/// The server.
#[derive(Debug)]
pub(super) struct Server {
    url: String,
    token: Secret,
    client: reqwest::Client,
}

/// An answer's value; null where there is none.
struct Answer {
    value: Value,
    left_out: Option<u64>,
}

impl Server {
    pub(super) fn open(url: &str, token_file: Option<&Path>) -> Result<Self, Failure> {
        crate::app::choose_crypto();
        let token = match token_file {
            Some(file) => secrets::read(file)
                .map_err(|error| Failure::new(Failure::USAGE, error.to_string()))?,
            None => Secret::new(ANYBODY),
        };
        let client = reqwest::Client::builder().timeout(TIMEOUT).build();
        let client = client
            .map_err(|error| Failure::new(Failure::FAILED, format!("no HTTP client: {error}")))?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), token, client })
    }

    async fn ask(&self, path: &str) -> Result<Answer, Failure> {
        let url = format!("{}/api/v1{path}", self.url);
        let request = self.client.get(&url).bearer_auth(self.token.expose());
        let unreachable = |error: reqwest::Error| {
            let why = error.without_url();
            Failure::new(Failure::UNAVAILABLE, format!("no answer from {}: {why}", self.url))
                .with_hint("run the import again: it goes on where it was")
        };
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status().as_u16();
        let left_out = answer.headers().get("x-convoy-left-out");
        let left_out = left_out.and_then(|value| value.to_str().ok()?.parse().ok());
        let text = answer.text().await.map_err(unreachable)?;
        let refused = |code| Failure::new(code, format!("{path}: {status} {}", cut(&text)));
        match status {
            204 => Ok(Answer { value: Value::Null, left_out }),
            200 => match serde_json::from_str(&text) {
                Ok(value) => Ok(Answer { value, left_out }),
                Err(_) => Err(refused(Failure::UNAVAILABLE).with_hint("is this Central Dogma?")),
            },
            401 | 403 => Err(refused(Failure::FORBIDDEN)
                .with_hint("--token-file names a token that reads everything")),
            404 => Err(refused(Failure::NOT_FOUND)),
            _ => Err(refused(Failure::UNAVAILABLE)),
        }
    }

    pub(super) async fn projects(&self) -> Result<Found, Failure> {
        let mut found = Found::default();
        for project in list(self.ask("/projects").await?.value) {
            let Some(name) = project["name"].as_str().map(str::to_owned) else { continue };
            if name.starts_with('@') || name == "dogma" {
                found.left_out.push(format!("`{name}`: it is the server's own"));
                continue;
            }
            let repos = self.ask(&format!("/projects/{name}/repos")).await?.value;
            let names = list(repos);
            let names = names.iter().filter_map(|repo| repo["name"].as_str());
            let ours = names.filter(|name| !["dogma", "meta"].contains(name));
            let repository = |name: &str| Repository { name: name.to_owned(), removed: false };
            let repositories = ours.map(repository).collect();
            let metadata = match self.ask(&format!("/projects/{name}")).await {
                Ok(answer) => answer.value,
                Err(failure) => {
                    found.left_out.push(format!("members and roles of `{name}`: {failure}"));
                    Value::Null
                }
            };
            found.projects.push(Project { name, removed: false, repositories, metadata });
        }
        for project in list(self.ask("/projects?status=removed").await?.value) {
            let name = project["name"].as_str().unwrap_or("?");
            found.left_out.push(format!("`{name}`: it is removed; a data folder still has it"));
        }
        Ok(found)
    }

    /// Every commit, oldest first.
    pub(super) async fn commits(&self, at: &str) -> Result<Vec<Commit>, Failure> {
        let head = self.ask(&format!("{at}/revision/-1")).await?.value;
        let head = head["revision"].as_u64().ok_or_else(|| odd(at, "it has no revision"))?;
        let mut commits = Vec::new();
        while (commits.len() as u64) < head {
            let from = commits.len() as u64 + 1;
            let to = head.min(from + PAGE - 1);
            let path = format!("{at}/commits/{to}?to={from}&maxCommits={PAGE}");
            let page = list(self.ask(&path).await?.value);
            if page.len() as u64 != to - from + 1 {
                return Err(odd(at, "its history has a gap"));
            }
            for (offset, commit) in page.iter().rev().enumerate() {
                if commit["revision"].as_u64() != Some(from + offset as u64) {
                    return Err(odd(at, "its history is out of order"));
                }
                commits.push(parse(at, commit)?);
            }
        }
        Ok(commits)
    }

    /// What a revision changed, and what of it this API can't carry.
    pub(super) async fn changes(
        &self,
        store: &Store,
        name: &RepoName,
        at: &str,
        revision: u64,
    ) -> Result<(Vec<Change>, Vec<String>), Failure> {
        // The first may hold files where the other server mirrors something.
        if revision == 1 {
            return self.whole(store, name, at, revision).await;
        }
        let before = revision - 1;
        let path = format!("{at}/compare?from={before}&to={revision}&pathPattern=/**");
        let answer = self.ask(&path).await?;
        let told = list(answer.value);
        if told.is_empty() {
            // A commit that only writes JSON in another way has no difference
            // to tell; its files are compared one by one.
            return self.whole(store, name, at, revision).await;
        }
        let mut left_out = Vec::new();
        if let Some(count) = answer.left_out {
            left_out.push(format!("`{name}` revision {revision}: {count} files have no name here"));
        }
        let (mut removed, mut written) = (Vec::new(), Vec::new());
        for change in told {
            let path = file_path(at, &change)?;
            if change["type"] == "REMOVE" {
                removed.push(Change::Remove(path));
            } else {
                let entry = format!("{at}/contents/{path}?revision={revision}&viewRaw=true");
                let entry = self.ask(&entry).await?.value;
                written.push(Change::Upsert(path.clone(), content_of(at, &path, &entry)?));
            }
        }
        removed.extend(written);
        Ok((removed, left_out))
    }

    /// What makes the whole tree of what was brought so far.
    async fn whole(
        &self,
        store: &Store,
        name: &RepoName,
        at: &str,
        revision: u64,
    ) -> Result<(Vec<Change>, Vec<String>), Failure> {
        let (theirs, left_out) = self.files(at, revision).await?;
        let ours = files_of(store, name, revision.saturating_sub(1))?;
        let gone = ours.keys().filter(|path| !theirs.contains_key(*path));
        let mut changes: Vec<Change> = gone.cloned().map(Change::Remove).collect();
        for (path, content) in theirs {
            if ours.get(&path) != Some(&content) {
                changes.push(Change::Upsert(path, content));
            }
        }
        let left_out = left_out
            .map(|count| format!("`{name}` revision {revision}: {count} files have no name here"));
        Ok((changes, left_out.into_iter().collect()))
    }

    async fn files(
        &self,
        at: &str,
        revision: u64,
    ) -> Result<(BTreeMap<FilePath, Bytes>, Option<u64>), Failure> {
        let path = format!("{at}/contents/**?revision={revision}&viewRaw=true");
        let answer = self.ask(&path).await?;
        let mut files = BTreeMap::new();
        for entry in list(answer.value) {
            if entry["type"] != "DIRECTORY" {
                let path = file_path(at, &entry)?;
                let content = content_of(at, &path, &entry)?;
                files.insert(path, content);
            }
        }
        Ok((files, answer.left_out))
    }

    pub(super) async fn differing(
        &self,
        store: &Store,
        name: &RepoName,
        at: &str,
        revision: u64,
    ) -> Result<Option<String>, Failure> {
        let (theirs, _) = self.files(at, revision).await?;
        let ours = files_of(store, name, revision)?;
        let differs = |path: &&FilePath| theirs.get(*path) != ours.get(*path);
        let all = theirs.keys().chain(ours.keys());
        Ok(all.filter(|path| differs(path)).map(ToString::to_string).next())
    }
}

/// What the store has of a revision; 0 is nothing.
fn files_of(
    store: &Store,
    name: &RepoName,
    revision: u64,
) -> Result<BTreeMap<FilePath, Bytes>, Failure> {
    if revision == 0 {
        return Ok(BTreeMap::new());
    }
    let found = store.find(name, Revision(revision), &Patterns::all(), false);
    let mut files = BTreeMap::new();
    for one in found.map_err(super::stored)? {
        if let FoundKind::File { blob, .. } = one.kind {
            files.insert(one.path, store.blob(name, &blob).map_err(super::stored)?);
        }
    }
    Ok(files)
}

fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list,
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

fn parse(at: &str, commit: &Value) -> Result<Commit, Failure> {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let author = (text(&commit["author"]["name"]), text(&commit["author"]["email"]));
    let time = text(&commit["pushedAt"]).parse();
    let time = time.map_err(|_| odd(at, "a commit has no time"))?;
    Ok(Commit::new(author, time, &commit["commitMessage"]))
}

fn file_path(at: &str, value: &Value) -> Result<FilePath, Failure> {
    let path = FilePath::new(value["path"].as_str().unwrap_or(""));
    path.map_err(|error| odd(at, &error.to_string()))
}

/// A file's bytes: as they are stored where the server says, else written as
/// Central Dogma writes them.
fn content_of(at: &str, path: &FilePath, entry: &Value) -> Result<Bytes, Failure> {
    if let Some(raw) = entry["rawContent"].as_str() {
        return Ok(bytes(raw));
    }
    match (&entry["type"], &entry["content"]) {
        (_, Value::Null) if entry["type"] != "JSON" => {
            Err(odd(at, &format!("`{path}` comes without content")))
        }
        (kind, content) if *kind == "JSON" => Ok(bytes(&content::pretty(EntryKind::Json, content))),
        (_, Value::String(text)) => Ok(bytes(text)),
        _ => Err(odd(at, &format!("`{path}` comes without content"))),
    }
}

fn odd(at: &str, why: &str) -> Failure {
    Failure::new(Failure::FAILED, format!("{at}: {why}"))
}

fn cut(text: &str) -> String {
    text.chars().take(300).collect()
}
