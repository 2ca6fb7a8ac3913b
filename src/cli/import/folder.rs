//! Central Dogma's data folder: `PROJECT/REPOSITORY/` are bare Git folders
//! with one branch; removed ones end in `.removed`, purged ones in `.purged`.
//! A commit's message is a JSON document. Each project's own `dogma`
//! repository holds its metadata, the project `dogma` the server's tokens.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::source::{Commit, Found, Project, Repository, missing};
use crate::cli::Failure;
use crate::content::Patterns;
use crate::mirror::{Foreign, MirrorError};
use crate::model::{BlobId, Change, CommitId, FilePath, RepoName, Revision};
use crate::store::{FoundKind, Store};

const BRANCH: &str = "master";
const REMOVED: &str = ".removed";
/// The server's own project, and each project's own repositories.
const SERVER: &str = "dogma";
const OWN: [&str; 2] = ["dogma", "meta"];

/// The data folder.
#[derive(Debug)]
pub(super) struct Folder {
    dir: PathBuf,
}

/// One repository's commits, oldest first.
#[derive(Debug)]
pub(super) struct Line {
    git: Foreign,
    commits: Vec<CommitId>,
}

impl Folder {
    pub(super) fn open(dir: &Path) -> Result<Self, Failure> {
        if !dir.is_dir() {
            let message = format!("`{}` is neither a URL nor a folder", dir.display());
            return Err(Failure::new(Failure::NOT_FOUND, message)
                .with_hint("name http://HOST:PORT, or Central Dogma's data folder"));
        }
        Ok(Self { dir: dir.to_path_buf() })
    }

    pub(super) fn projects(&self) -> Result<Found, Failure> {
        let mut found = Found::default();
        for entry in folders(&self.dir)? {
            let (name, removed) = name_of(&entry);
            if name.ends_with(".purged") || name.starts_with(['.', '_', '@']) {
                found.left_out.push(format!("`{entry}`: it was purged, or is the server's own"));
            } else if name == SERVER {
                found.tokens = self.tokens(&entry)?;
            } else {
                self.project(&entry, name, removed, &mut found)?;
            }
        }
        if found.projects.is_empty() && found.tokens.is_null() {
            let message = format!("`{}` holds no project", self.dir.display());
            return Err(Failure::new(Failure::NOT_FOUND, message)
                .with_hint("name the folder that holds PROJECT/REPOSITORY/HEAD"));
        }
        Ok(found)
    }

    fn project(
        &self,
        entry: &str,
        name: &str,
        removed: bool,
        found: &mut Found,
    ) -> Result<(), Failure> {
        let dir = self.dir.join(entry);
        let (mut repositories, mut is_project) = (Vec::new(), false);
        for entry in folders(&dir)? {
            if !dir.join(&entry).join("HEAD").is_file() {
                continue;
            }
            is_project = true;
            let (repo, removed) = name_of(&entry);
            if repo.ends_with(".purged") {
                found.left_out.push(format!("`{name}/{entry}`: it was purged"));
            } else if !OWN.contains(&repo) {
                repositories.push(Repository { name: repo.to_owned(), removed });
            }
        }
        if is_project {
            let metadata = self.document(&dir.join(SERVER), "metadata.json")?;
            let name = name.to_owned();
            found.projects.push(Project { name, removed, repositories, metadata });
        }
        Ok(())
    }

    fn tokens(&self, entry: &str) -> Result<Value, Failure> {
        let tokens = self.document(&self.dir.join(entry).join(SERVER), "tokens.json")?;
        Ok(tokens.get("appIds").cloned().unwrap_or_default())
    }

    /// A document of one of the server's own repositories; null without it.
    fn document(&self, git_dir: &Path, name: &str) -> Result<Value, Failure> {
        if !git_dir.join("HEAD").is_file() {
            return Ok(Value::Null);
        }
        let git = Foreign::open(git_dir).map_err(failed)?;
        let Some(head) = git.line(BRANCH).map_err(failed)?.pop() else { return Ok(Value::Null) };
        let path = FilePath::new(name)
            .map_err(|error| Failure::new(Failure::FAILED, error.to_string()))?;
        let bytes = git.file(&head, &path).map_err(failed)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }

    pub(super) fn line(&self, project: &Project, repo: &Repository) -> Result<Line, Failure> {
        let folder =
            |name: &str, removed| if removed { format!("{name}{REMOVED}") } else { name.into() };
        let dir = self.dir.join(folder(&project.name, project.removed));
        let git = Foreign::open(&dir.join(folder(&repo.name, repo.removed))).map_err(failed)?;
        let commits = git.line(BRANCH).map_err(failed)?;
        Ok(Line { git, commits })
    }
}

impl Line {
    pub(super) fn len(&self) -> usize {
        self.commits.len()
    }

    fn id(&self, revision: u64) -> Result<&CommitId, Failure> {
        let index = usize::try_from(revision).ok().and_then(|number| number.checked_sub(1));
        index.and_then(|index| self.commits.get(index)).ok_or_else(|| missing(revision))
    }

    pub(super) fn commit(&self, revision: u64) -> Result<Commit, Failure> {
        let commit = self.git.commit(self.id(revision)?).map_err(failed)?;
        let document = match serde_json::from_str::<Value>(&commit.message) {
            Ok(document) if document["summary"].is_string() => document,
            // Whatever wrote it was no Central Dogma; its message is the message.
            _ => serde_json::json!({ "summary": commit.message.trim_end_matches('\n') }),
        };
        let author = (commit.author_name, commit.author_email);
        Ok(Commit::new(author, commit.time, &document))
    }

    pub(super) fn changes(&self, revision: u64) -> Result<Vec<Change>, Failure> {
        let before = if revision > 1 { Some(self.id(revision - 1)?) } else { None };
        self.git.changes(before, self.id(revision)?).map_err(failed)
    }

    pub(super) fn differing(
        &self,
        store: &Store,
        name: &RepoName,
        revision: u64,
    ) -> Result<Option<String>, Failure> {
        let theirs = self.git.files(self.id(revision)?).map_err(failed)?;
        let found = store.find(name, Revision(revision), &Patterns::all(), false);
        let ours: Vec<(FilePath, BlobId)> = found
            .map_err(super::stored)?
            .into_iter()
            .filter_map(|one| match one.kind {
                FoundKind::File { blob, .. } => Some((one.path, blob)),
                FoundKind::Folder => None,
            })
            .collect();
        let other = ours.iter().find(|(path, blob)| theirs.get(path) != Some(blob));
        if let Some((path, _)) = other {
            return Ok(Some(path.to_string()));
        }
        let ours: std::collections::BTreeSet<_> = ours.iter().map(|(path, _)| path).collect();
        Ok(theirs.keys().find(|path| !ours.contains(path)).map(ToString::to_string))
    }
}

/// The folders within one, sorted.
fn folders(dir: &Path) -> Result<Vec<String>, Failure> {
    let fail = |error: std::io::Error| {
        Failure::new(Failure::FAILED, format!("`{}` can't be read: {error}", dir.display()))
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if entry.path().is_dir() {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort();
    Ok(names)
}

/// A folder's name without the mark of what was removed, and whether it was.
fn name_of(entry: &str) -> (&str, bool) {
    match entry.strip_suffix(REMOVED) {
        Some(name) => (name, true),
        None => (entry, false),
    }
}

fn failed(error: MirrorError) -> Failure {
    Failure::new(Failure::FAILED, crate::telemetry::chain(&error))
}
