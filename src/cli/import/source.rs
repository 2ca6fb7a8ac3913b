//! Where an import comes from: a data folder or a server, as one.

use std::path::Path;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use super::folder::{self, Folder};
use super::server::Server;
use crate::cli::Failure;
use crate::model::{Change, Markup, RepoName};
use crate::store::Store;

/// What there is to bring.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) projects: Vec<Project>,
    /// The server's own tokens, by their ids.
    pub(super) tokens: Value,
    /// What is not brought, and why.
    pub(super) left_out: Vec<String>,
}

/// A project.
#[derive(Debug)]
pub(super) struct Project {
    pub(super) name: String,
    pub(super) removed: bool,
    pub(super) repositories: Vec<Repository>,
    /// Its metadata, where it can be read.
    pub(super) metadata: Value,
}

/// A repository.
#[derive(Debug)]
pub(super) struct Repository {
    pub(super) name: String,
    pub(super) removed: bool,
}

/// One revision, without its changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) author: (String, String),
    pub(super) time: Timestamp,
    pub(super) message: String,
    pub(super) markup: Markup,
}

impl Commit {
    /// A commit, by its message in parts.
    pub(super) fn new(author: (String, String), time: Timestamp, message: &Value) -> Self {
        let text = |field: &str| message[field].as_str().unwrap_or("");
        let (summary, detail) = (text("summary"), text("detail"));
        let markup = match text("markup") {
            "MARKDOWN" => Markup::Markdown,
            _ => Markup::Plaintext,
        };
        let message = match detail {
            "" => summary.to_owned(),
            detail => format!("{summary}\n\n{detail}"),
        };
        Self { author, time, message, markup }
    }
}

/// A data folder or a server.
#[derive(Debug)]
pub(super) enum Source {
    Folder(Folder),
    Server(Server),
}

/// One repository's line of revisions.
pub(super) enum Line<'a> {
    Folder(Box<folder::Line>),
    Server(&'a Server, Vec<Commit>, String),
}

impl Source {
    /// Opens what was named.
    pub(super) fn open(named: &str, token_file: Option<&Path>) -> Result<Self, Failure> {
        if named.starts_with("http://") || named.starts_with("https://") {
            return Server::open(named, token_file).map(Self::Server);
        }
        if token_file.is_some() {
            let message = "--token-file is for a server's address, not for a folder";
            return Err(Failure::new(Failure::USAGE, message));
        }
        Folder::open(Path::new(named)).map(Self::Folder)
    }

    /// Everything there is.
    pub(super) async fn projects(&self) -> Result<Found, Failure> {
        match self {
            Self::Folder(folder) => folder.projects(),
            Self::Server(server) => server.projects().await,
        }
    }

    /// A repository's revisions.
    pub(super) async fn line(
        &self,
        project: &Project,
        repo: &Repository,
    ) -> Result<Line<'_>, Failure> {
        match self {
            Self::Folder(folder) => folder.line(project, repo).map(Box::new).map(Line::Folder),
            Self::Server(server) => {
                let at = format!("/projects/{}/repos/{}", project.name, repo.name);
                Ok(Line::Server(server, server.commits(&at).await?, at))
            }
        }
    }
}

impl Line<'_> {
    /// How many revisions there are.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Folder(line) => line.len() as u64,
            Self::Server(_, commits, _) => commits.len() as u64,
        }
    }

    /// A revision's commit; the first is 1.
    pub(super) fn commit(&self, revision: u64) -> Result<Commit, Failure> {
        match self {
            Self::Folder(line) => line.commit(revision),
            Self::Server(_, commits, _) => {
                let index = usize::try_from(revision.saturating_sub(1)).unwrap_or(usize::MAX);
                commits.get(index).cloned().ok_or_else(|| missing(revision))
            }
        }
    }

    /// What a revision changed; `store` holds what was brought so far.
    pub(super) async fn changes(
        &self,
        store: &Store,
        name: &RepoName,
        revision: u64,
    ) -> Result<(Vec<Change>, Vec<String>), Failure> {
        match self {
            Self::Folder(line) => Ok((line.changes(revision)?, Vec::new())),
            Self::Server(server, _, at) => server.changes(store, name, at, revision).await,
        }
    }

    /// Whether a revision's files are those that the store has; names one
    /// that is not.
    pub(super) async fn differing(
        &self,
        store: &Store,
        name: &RepoName,
        revision: u64,
    ) -> Result<Option<String>, Failure> {
        match self {
            Self::Folder(line) => line.differing(store, name, revision),
            Self::Server(server, _, at) => server.differing(store, name, at, revision).await,
        }
    }
}

/// A revision that must be there, and is not.
pub(super) fn missing(revision: u64) -> Failure {
    Failure::new(Failure::FAILED, format!("the source has no revision {revision}"))
}

/// A file's text as bytes.
pub(super) fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}
